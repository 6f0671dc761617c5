//! The text of a policy: read, edited, trimmed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use securecart_fuzz::policy_text;

fuzz_target!(|text: &str| policy_text(text));
