//! Two policies: whatever is proved of them is so.
#![no_main]

use libfuzzer_sys::fuzz_target;
use securecart_fuzz::judge::two_policies;

fuzz_target!(|bytes: &[u8]| two_policies(bytes));
