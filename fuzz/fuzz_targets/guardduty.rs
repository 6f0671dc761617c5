//! GuardDuty's finding: the event's detail.
#![no_main]

use libfuzzer_sys::fuzz_target;
use securecart_fuzz::{delivered, event};

fuzz_target!(|detail: &str| {
    delivered(&event("aws.guardduty", "GuardDuty Finding", detail));
});
