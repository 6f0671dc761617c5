//! Two of IAM's patterns, and a text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use securecart_fuzz::patterns;

fuzz_target!(|lines: &str| {
    let mut lines = lines.splitn(3, '\n').map(|line| line.get(..64).unwrap_or(line));
    let mut next = || lines.next().unwrap_or_default();
    patterns(next(), next(), next());
});
