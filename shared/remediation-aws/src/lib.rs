//! The edge: the Lambda runtime, the AWS clients, the stored ledger and the reports.
//!
//! This is the only place that knows `lambda_runtime` and `aws-config`; a function adds the clients of the services that
//! it may call.

#[cfg(feature = "s3")]
mod buckets;
mod calls;
mod clients;
#[cfg(feature = "ec2")]
mod ec2;
mod errors;
#[cfg(feature = "iam")]
mod inline;
mod ledger;
mod reporter;
mod runtime;
mod settings;

#[cfg(feature = "s3")]
pub use buckets::{BucketPolicies, gone, meanwhile};
pub use calls::https_client;
pub use clients::Aws;
#[cfg(feature = "ec2")]
pub use ec2::{Ec2, SecurityGroup, SecurityGroupRule};
pub use errors::{changed_meanwhile, classify, found, unexpected};
#[cfg(feature = "iam")]
pub use inline::{Bearer, InlinePolicies, decoded};
pub use lambda_runtime::Error;
pub use ledger::DynamoLedger;
pub use reporter::AwsReporter;
pub use runtime::run;
