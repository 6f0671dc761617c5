//! The operator's settings.
#![no_main]

use libfuzzer_sys::fuzz_target;
use securecart_fuzz::settings_text;

fuzz_target!(|text: &str| settings_text(text));
