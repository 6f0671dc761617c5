//! Every AWS call of every scenario broken in every way: whatever happens, redelivery ends where the undisturbed run ends, and nothing is
//! said on the way that is not so.
//!
//! The real binaries run under the credentials of their roles; a proxy stands between them and the emulators. `cargo test` takes a fixed
//! sample of the matrix, one case of 97. `CHAOS=all cargo test --workspace --test chaos -- --nocapture` takes all of it, `CHAOS=10`
//! one case of ten, `CHAOS=unblock` all of a scenario, `CHAOS='unblock, call 3'` those of a call, as they are named where one is wrong. With `CHAOS_BUILD=shipped` the functions are those that `cargo lambda build --release`
//! has left, which is quicker, and not the development builds.
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

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use case::{Bench, Case};
use fault::{FAULTS, Lasting};
use local_cloud::{Proxy, function, shipped};
use scenario::{SCENARIOS, Scenario};
use securecart_tests::{laboratory::Laboratory, stack::Stack};

/// Local clouds that are worked in at once: most of a case is waiting.
const WORKERS: usize = 3;

/// Cases and failures of each fault.
type Matrix = BTreeMap<&'static str, [usize; 2]>;

#[test]
fn s6_s92_whatever_breaks_redelivery_ends_where_the_undisturbed_run_ends() {
    let only = std::env::var("CHAOS").unwrap_or_default();
    let one_of: Option<u16> = if only.is_empty() { Some(97) } else { only.parse().ok() };
    let is_wanted = |scenario: &&Scenario| {
        one_of.is_some() || only == "all" || scenario.name.contains(&only) || only.starts_with(scenario.name)
    };
    // The longest are the last: a worker that is done early finds something short.
    let wanted: Vec<_> = SCENARIOS.iter().rev().filter(is_wanted).collect();
    let workers = std::env::var("CHAOS_WORKERS").map_or(WORKERS, |workers| workers.parse().unwrap());
    let is_shipped = std::env::var("CHAOS_BUILD").is_ok_and(|build| build == "shipped");
    let binary = if is_shipped { shipped } else { function };
    let (next, number) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let all: Mutex<(Matrix, Vec<String>)> = Mutex::default();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..workers.min(wanted.len()) {
            scope.spawn(|| {
                let stack = Stack::deploy_binaries("chaos", binary);
                let proxy = Proxy::start(&stack.cloud).unwrap();
                let laboratory = Laboratory::with(stack, proxy, binary).unwrap();
                scenario::seed(&laboratory.stack);
                let bench = Bench::new(laboratory);
                while let Some(scenario) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (matrix, wrong) = disturb(&bench, scenario, one_of.unwrap_or(1), &only, &number);
                    let mut all = all.lock().unwrap();
                    for (kind, [cases, wrong]) in matrix {
                        let of = all.0.entry(kind).or_default();
                        of[0] += cases;
                        of[1] += wrong;
                    }
                    all.1.extend(wrong);
                }
            });
        }
    });
    let (matrix, wrong) = all.into_inner().unwrap();
    println!("\n{:<24}{:>8}{:>8}", "fault", "cases", "wrong");
    for (kind, [cases, wrong]) in &matrix {
        println!("{kind:<24}{cases:>8}{wrong:>8}");
    }
    let run: usize = matrix.values().map(|[cases, _]| cases).sum();
    let (number, seconds) = (number.into_inner(), begin.elapsed().as_secs());
    println!("{:<24}{run:>8}{:>8}   of {number}, in {seconds} s", "all", wrong.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(run > 0, "no such case: {only}");
    assert!(run > 10 || one_of.is_none(), "a sample of {run}");
}

/// Every case of a scenario, or its part of the sample.
fn disturb(
    bench: &Bench,
    scenario: &'static Scenario,
    one_of: u16,
    only: &str,
    number: &AtomicUsize,
) -> (Matrix, Vec<String>) {
    let begin = Instant::now();
    let undisturbed = bench.undisturbed(scenario);
    let (mut matrix, mut wrong) = (Matrix::new(), Vec::new());
    for index in 0..undisturbed.calls.len() {
        for kind in FAULTS {
            for lasting in [Lasting::Once, Lasting::ThroughTheDelivery] {
                if !kind.can_last() && lasting == Lasting::ThroughTheDelivery {
                    continue;
                }
                let case = Case {
                    scenario,
                    index,
                    kind: *kind,
                    lasting,
                };
                number.fetch_add(1, Ordering::Relaxed);
                let is_named = !only.starts_with(scenario.name) || case.to_string().starts_with(only);
                if !is_named || !case.is_sampled(one_of) {
                    continue;
                }
                let of = matrix.entry(kind.name()).or_default();
                of[0] += 1;
                if let Err(problem) = bench.run(&case, &undisturbed) {
                    of[1] += 1;
                    println!("WRONG {case}: {problem}");
                    wrong.push(format!("{case}: {problem}"));
                }
            }
        }
    }
    let cases: usize = matrix.values().map(|[cases, _]| cases).sum();
    println!(
        "{}: {cases} cases, {} wrong, {} s; {} calls: {}",
        scenario.name,
        wrong.len(),
        begin.elapsed().as_secs(),
        undisturbed.calls.len(),
        undisturbed.calls.join(" ")
    );
    (matrix, wrong)
}
