//! The deployed functions on the local cloud: the real binaries under their own enforced roles, and boto3 to look at what they did.
//!
//! One program, so that those that wait do so side by side.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod accounts;
mod buckets;
mod credentials;
mod ec2;
mod operating;
mod permissions;
mod public_access;
mod round_trip;
mod upgrade;

use securecart_tests::{seeds, stack};
