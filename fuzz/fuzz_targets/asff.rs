//! A finding of Security Hub in ASFF, imported and with a custom action.
#![no_main]

use libfuzzer_sys::fuzz_target;
use securecart_fuzz::{delivered, event};

fuzz_target!(|finding: &str| {
    let imported = format!(r#"{{"findings":[{finding}]}}"#);
    delivered(&event("aws.securityhub", "Security Hub Findings - Imported", &imported));
    let chosen = format!(r#"{{"actionName":"Remediate","findings":[{finding}]}}"#);
    delivered(&event(
        "aws.securityhub",
        "Security Hub Findings - Custom Action",
        &chosen,
    ));
});
