//! `securecart`: what an operator does with the remediation functions.

mod cloud;
mod error;
mod ledger;
mod operate;
mod replay;
mod report;
mod screen;
mod settings;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use remediation::ids::RecordId;

use error::Error;
use screen::Screen;

/// Operates the SecureCart remediation functions: settings, approvals, undo, explanations, replays and the ledger.
///
/// Exit codes: 0 done, 1 refused or found wrong, 2 not understood or not found, 3 AWS did not answer as it should.
#[derive(Debug, Parser)]
#[command(name = "securecart", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
struct Common {
    /// The name of the CloudFormation stack.
    #[arg(
        long,
        global = true,
        env = "SECURECART_STACK",
        default_value = "securecart-remediation"
    )]
    stack: String,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The settings document.
    #[command(subcommand)]
    Settings(settings::Command),
    /// Take a change back.
    Undo(operate::Order),
    /// Carry out a plan that waits, if it still is what is to be done.
    Approve(operate::Order),
    /// Say what a function would do about an event, and why. Changes nothing.
    Explain {
        /// The function.
        #[arg(value_parser = remediation::settings::FUNCTIONS)]
        function: String,
        /// The event, as EventBridge delivers it.
        event: PathBuf,
    },
    /// Show what the functions would do about past events, by the settings as they are or as they would be. Changes nothing.
    Replay(replay::Replay),
    /// What was done, decided and planned.
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Write a page that shows a period at a glance.
    Report(report::Report),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let screen = Screen { json: cli.common.json };
    match run(cli, screen).await {
        Ok(code) => code,
        Err(error) => {
            screen.complain(&error);
            error.code()
        }
    }
}

async fn run(cli: Cli, screen: Screen) -> Result<ExitCode, Error> {
    let stack = cli.common.stack.as_str();
    match cli.command {
        Command::Settings(command) => settings::run(command, stack, screen).await,
        Command::Undo(order) => operate::order("undo", &order, stack, screen).await,
        Command::Approve(order) => operate::order("approve", &order, stack, screen).await,
        Command::Explain { function, event } => operate::explain(&function, &event, stack, screen).await,
        Command::Replay(replay) => replay::run(&replay, stack, screen).await,
        Command::Ledger(command) => ledger::run(command, stack, screen).await,
        Command::Report(report) => report::run(&report, stack, screen).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "securecart", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The function that a record belongs to.
fn function_of(id: &RecordId) -> Result<&'static str, Error> {
    let belongs = |function: &&&str| {
        let rest = id.as_str().strip_prefix(**function);
        rest.is_some_and(|rest| rest.starts_with('-'))
    };
    let mut functions = remediation::settings::FUNCTIONS.iter().filter(belongs);
    functions.next().copied().ok_or_else(|| Error::Input {
        what: id.to_string(),
        problem: "is a record of none of the functions".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// What documents tell people to type: in spans of code, and, on lines of its own, to be copied.
    fn commands(text: &str) -> Vec<(String, bool)> {
        let spans = text.split('`').skip(1).step_by(2);
        let blocks = text
            .lines()
            .flat_map(|line| line.split(['|', ';', '(', '&']))
            .filter(|part| !part.contains('`'));
        let ends = ['|', ';', '>', '#', ')', '\n'];
        let command = |text: &str| {
            let command = text
                .trim()
                .trim_start_matches("do ")
                .split(ends)
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned();
            command.starts_with("securecart ").then_some(command)
        };
        let copied = blocks.filter_map(command).map(|command| (command, true));
        copied
            .chain(spans.filter_map(command).map(|command| (command, false)))
            .collect()
    }

    /// A sentence may speak of a command without its arguments.
    fn is_name(command: &str) -> bool {
        let mut at = Cli::command();
        let named = command.split_whitespace().skip(1).try_for_each(|word| {
            at = at.find_subcommand(word)?.clone();
            Some(())
        });
        named.is_some() && !at.has_subcommands()
    }

    #[test]
    fn what_documents_tell_people_to_type_is_understood() {
        let read = |file: &str| std::fs::read_to_string(format!("{}/../{file}", env!("CARGO_MANIFEST_DIR")));
        for file in [
            "README.md",
            "docs/RUNBOOK.md",
            "docs/CONFIGURATION.md",
            "docs/ENVIRONMENT.md",
            "CONTRIBUTING.md",
        ] {
            let text = read(file).unwrap_or_default();
            let commands = commands(&text);
            assert!(
                !text.is_empty() && (file != "docs/RUNBOOK.md" || commands.len() > 20),
                "{file}: {commands:?}"
            );
            for (command, is_copied) in commands {
                // What stands for something, and a shell's variable, in a form that may stand there.
                let word = |word: &str| match word {
                    "RECORD" | "\"$record\"" => "block-ip-0123456789abcdef01234567".to_owned(),
                    "FUNCTION" => "block-ip".to_owned(),
                    "SHELL" => "bash".to_owned(),
                    word => word.to_owned(),
                };
                let parsed = Cli::try_parse_from(command.split_whitespace().map(word));
                let wrong = parsed.err().filter(|_| is_copied || !is_name(&command));
                assert!(
                    wrong.is_none(),
                    "{file}: {command}: {}",
                    wrong.map(|wrong| wrong.to_string()).unwrap_or_default()
                );
            }
        }
    }

    #[test]
    fn a_record_says_whose_it_is() {
        let id = |text: &str| RecordId::parse(text).ok();
        let known = id("enforce-s3-encryption-0123456789abcdef01234567");
        assert_eq!(
            known.and_then(|id| function_of(&id).ok()),
            Some("enforce-s3-encryption")
        );
        let other = id("other-0123456789abcdef01234567");
        assert!(other.is_some_and(|id| function_of(&id).is_err()));
    }
}
