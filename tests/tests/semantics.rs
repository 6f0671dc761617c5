//! Each promise of `docs/SEMANTICS.md` is executed by a test that bears its number, and no test bears a number without a promise.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Where tests are.
const SOURCES: [&str; 6] = ["cli", "functions", "local-cloud", "shared", "tests", "xtask"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The promises of the page, in its order: `- **S7** text`.
fn promises() -> Vec<(u32, String)> {
    let page = fs::read_to_string(root().join("docs/SEMANTICS.md")).unwrap();
    let promise = |line: &str| {
        let (number, text) = line.strip_prefix("- **S")?.split_once("** ")?;
        Some((number.parse().unwrap(), text.trim().to_owned()))
    };
    page.lines().filter_map(promise).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The numbers at the start of a name: `s3_s12_what_holds` has two.
fn numbers(name: &str) -> Vec<u32> {
    let number = |part: &str| part.strip_prefix('s').and_then(|digits| digits.parse().ok());
    name.split('_').map_while(number).collect()
}

/// Every function of a source that bears numbers, and whether it is a test that runs.
fn numbered(source: &str) -> Vec<(String, Vec<u32>, bool)> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(rest) = line.strip_prefix("fn ").or_else(|| line.strip_prefix("async fn ")) else {
            continue;
        };
        let name = rest.split(['(', '<']).next().unwrap();
        let numbers = numbers(name);
        if numbers.is_empty() {
            continue;
        }
        let above = lines[..index].iter().rev();
        let attributes: Vec<_> = above
            .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
            .collect();
        let has = |start: &str| attributes.iter().any(|line| line.starts_with(start));
        let runs = (has("#[test]") || has("#[tokio::test")) && !has("#[ignore") && !has("#[cfg");
        found.push((name.to_owned(), numbers, runs));
    }
    found
}

#[test]
fn each_promise_has_a_test_and_each_numbered_test_a_promise() {
    let mut files = Vec::new();
    for folder in SOURCES {
        sources(&root().join(folder), &mut files);
    }
    let mut tests: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let found = numbered(&fs::read_to_string(&file).unwrap());
        for (name, numbers) in found
            .into_iter()
            .filter_map(|(name, numbers, runs)| runs.then_some((name, numbers)))
        {
            for number in numbers {
                tests.entry(number).or_default().insert(name.clone());
            }
        }
    }
    let promised: BTreeSet<u32> = promises().into_iter().map(|(number, _)| number).collect();
    let tested: BTreeSet<u32> = tests.keys().copied().collect();
    let without_test: Vec<_> = promised.difference(&tested).collect();
    assert!(without_test.is_empty(), "promises without a test: {without_test:?}");
    let without_promise: Vec<_> = tested.difference(&promised).map(|number| &tests[number]).collect();
    assert!(
        without_promise.is_empty(),
        "tests without a promise: {without_promise:?}"
    );
}

#[test]
fn the_promises_are_numbered_from_one_on() {
    let promises = promises();
    assert!(!promises.is_empty());
    let mut numbers: Vec<_> = promises.iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    let expected: Vec<_> = (1..).take(promises.len()).collect();
    assert_eq!(numbers, expected);
    let texts: BTreeSet<_> = promises.iter().map(|(_, text)| text).collect();
    assert_eq!(texts.len(), promises.len(), "a promise is there twice");
    // A line that is meant as a promise and is not read as one would be lost in silence.
    let page = fs::read_to_string(root().join("docs/SEMANTICS.md")).unwrap();
    assert_eq!(page.matches("**S").count(), promises.len());
}

#[test]
fn a_number_counts_only_on_a_test_that_runs() {
    let found = numbered(
        "#[test]\nfn s1_s2_held() {}\n\nfn s3_helper() {}\n\n#[tokio::test(start_paused = true)]\nasync fn s4_held() {}\n\n\
         #[test]\n#[ignore = \"slow\"]\nfn s5_not_run() {}\n\n#[test]\nfn sets_have_no_number() {}\n\
         #[test]\nfn sse_s3_becomes_sse_kms() {}",
    );
    let runs: Vec<_> = found
        .iter()
        .map(|(_, numbers, runs)| (numbers.as_slice(), *runs))
        .collect();
    assert_eq!(runs, [(&[1, 2][..], true), (&[3], false), (&[4], true), (&[5], false)]);
}
