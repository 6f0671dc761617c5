//! IAM Access Analyzer's findings: the event's detail, as each of its detail types.
#![no_main]

use libfuzzer_sys::fuzz_target;
use securecart_fuzz::{delivered, event};

fuzz_target!(|detail: &str| {
    for kind in [
        "Unused Access Finding for IAM entities",
        "Access Analyzer Finding",
        "Internal Access Finding",
    ] {
        delivered(&event("aws.access-analyzer", kind, detail));
    }
});
