//! The developer's commands: `cargo demo`, and `cargo xtask` with the others.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "commands talk to a person")]

mod bench;
mod cloud;
mod coverage;
mod demo;
mod fuzz;
mod instructions;
mod micro;
mod mutants;
mod sbom;
mod screen;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  demo [--picture FILE]
           deploys the application to the local cloud, attacks it, and shows what happens
  cloud    keeps the local cloud running with the application deployed, for cargo lambda watch
  deploy TEMPLATE ARCHITECTURE
           deploys what `sam build` has built with `sam deploy` to the local cloud, and reads it back
  fuzz [--seconds N] [TARGET]
           gives the readers of the library what nobody would send; `fuzz seeds` makes the seeds anew of the sample events
  coverage [PACKAGE...]
           measures which lines the unit tests of the library and the functions reach
  mutants [FILE...]
           tries whether the library's tests see what is made wrong in it
  sbom     writes what each function is made of, in CycloneDX, below target/sbom
  bench [--runs N] [--function NAME] [--share SHARE] [--write]
           measures the functions side by side with Python doing the same, and with Cloud Custodian
  micro [--write]
           measures reading and deciding, and how they grow
  instructions [--update]
           counts the instructions that reading an event takes, and fails when they have become more";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["demo"] => demo::run(None),
        ["demo", "--picture", path] => demo::run(Some(path)),
        ["cloud"] => cloud::hold(),
        ["deploy", template, architecture] => cloud::sam_deploy(template, architecture),
        ["fuzz", rest @ ..] => fuzz::command(rest),
        ["coverage", packages @ ..] => coverage::command(packages),
        ["mutants", files @ ..] => mutants::command(files),
        ["sbom"] => sbom::command(),
        ["bench", rest @ ..] => bench::command(rest),
        ["micro", rest @ ..] => micro::command(rest),
        ["instructions", rest @ ..] => instructions::command(rest),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
