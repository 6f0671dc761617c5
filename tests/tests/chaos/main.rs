//! Every AWS call of every scenario broken in every way: whatever happens, redelivery ends where the undisturbed run ends, and nothing is
//! said on the way that is not so.
//!
//! The real binaries run under the credentials of their roles; a proxy stands between them and the emulators. `cargo test` takes a fixed
//! sample of the matrix; `cargo xtask chaos` takes all of it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and the matrix is shown"
)]

mod case;
mod fault;
mod scenario;

use std::{collections::BTreeMap, time::Instant};

use case::{Bench, Case};
use fault::{FAULTS, Lasting};
use scenario::SCENARIOS;
use securecart_tests::{laboratory::Laboratory, stack::Stack};

/// The sample takes one case of so many: a prime, so that it meets every fault, every scenario and every place of a call.
const ONE_OF: usize = 53;

#[test]
fn whatever_breaks_redelivery_ends_where_the_undisturbed_run_ends() {
    let only = std::env::var("CHAOS").unwrap_or_default();
    let sampled = only.is_empty();
    let laboratory = Laboratory::of(Stack::deploy_all("chaos")).unwrap();
    scenario::seed(&laboratory.stack);
    let bench = Bench::new(laboratory);
    let begin = Instant::now();
    let (mut number, mut run) = (0, 0);
    let mut matrix: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    let mut wrong = Vec::new();
    for scenario in SCENARIOS {
        if !sampled && only != "all" && !scenario.name.contains(&only) {
            continue;
        }
        let undisturbed = bench.undisturbed(scenario);
        println!(
            "{}: {} calls: {}",
            scenario.name,
            undisturbed.calls.len(),
            undisturbed.calls.join(" ")
        );
        let (before, begun) = (wrong.len(), run);
        for index in 0..undisturbed.calls.len() {
            for kind in FAULTS {
                for lasting in [Lasting::Once, Lasting::ThroughTheDelivery] {
                    if !kind.can_last() && lasting == Lasting::ThroughTheDelivery {
                        continue;
                    }
                    number += 1;
                    if sampled && number % ONE_OF != 0 {
                        continue;
                    }
                    let case = Case {
                        scenario,
                        index,
                        kind: *kind,
                        lasting,
                    };
                    let of = matrix.entry(kind.name()).or_default();
                    of[0] += 1;
                    run += 1;
                    if let Err(problem) = bench.run(&case, &undisturbed) {
                        of[1] += 1;
                        println!("WRONG {case}: {problem}");
                        wrong.push(format!("{case}: {problem}"));
                    }
                }
            }
        }
        println!("    {} cases, {} wrong", run - begun, wrong.len() - before);
    }
    println!("\n{:<24}{:>8}{:>8}", "fault", "cases", "wrong");
    for (kind, [cases, wrong]) in &matrix {
        println!("{kind:<24}{cases:>8}{wrong:>8}");
    }
    println!(
        "{:<24}{run:>8}{:>8}   of {number}, in {} s",
        "all",
        wrong.len(),
        begin.elapsed().as_secs()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(run > 10, "a sample of {run}");
}
