//! A finding of the newer Security Hub, in OCSF.
#![no_main]

use libfuzzer_sys::fuzz_target;
use securecart_fuzz::{delivered, event};

fuzz_target!(|finding: &str| {
    let detail = format!(r#"{{"findings":[{finding}]}}"#);
    delivered(&event("aws.securityhub", "Findings Imported V2", &detail));
});
