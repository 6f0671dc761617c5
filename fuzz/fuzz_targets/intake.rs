//! Whatever a function may be called with: batches, bare events, the schedule, operators' commands.
#![no_main]

use libfuzzer_sys::fuzz_target;
use securecart_fuzz::delivered;

fuzz_target!(|payload: &str| delivered(payload));
