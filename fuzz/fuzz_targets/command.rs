//! What an operator types: a record, and who they are; or an event to be explained.
#![no_main]

use libfuzzer_sys::fuzz_target;
use securecart_fuzz::ordered;

fuzz_target!(|typed: &str| {
    let (id, rest) = typed.split_once('\n').unwrap_or((typed, ""));
    ordered(id, rest);
});
