//! The edge: the Lambda runtime, the AWS clients, the stored ledger and the reports.
//!
//! This is the only place that knows `lambda_runtime` and `aws-config`; a function adds the clients of the services that
//! it may call.

mod clients;
mod errors;
mod ledger;
mod reporter;
mod runtime;

pub use clients::Aws;
pub use errors::classify;
pub use lambda_runtime::Error;
pub use ledger::DynamoLedger;
pub use reporter::AwsReporter;
pub use runtime::run;
