//! A call as CloudTrail records it: the event's detail.
#![no_main]

use libfuzzer_sys::fuzz_target;
use securecart_fuzz::{delivered, event};

fuzz_target!(|detail: &str| {
    delivered(&event("aws.s3", "AWS API Call via CloudTrail", detail));
    delivered(&event("aws.ec2", "AWS API Call via CloudTrail", detail));
});
