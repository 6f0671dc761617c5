//! One configuration for all clients, loaded once.

use std::{borrow::Cow, time::Duration};

use aws_config::{
    BehaviorVersion, Region, SdkConfig, environment::EnvironmentVariableCredentialsProvider, retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_sdk_sts::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use remediation::{clock::Timestamp, failure::Failure, ids::RoleArn};

use crate::{
    calls::Calls,
    errors::{classify, unexpected},
};

/// Credentials, Region and endpoints.
#[derive(Debug, Clone)]
pub struct Aws {
    config: SdkConfig,
    /// With the function's own credentials, where the others are of a role in a member account.
    home: SdkConfig,
    calls: Calls,
}

impl Aws {
    /// A call that hangs must not eat the whole invocation.
    const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

    /// From the environment, as Lambda sets it, and from nothing else: a function neither looks for profiles nor asks a metadata service.
    #[must_use]
    pub fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let calls = Calls::new();
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(SharedCredentialsProvider::new(
                EnvironmentVariableCredentialsProvider::new(),
            ))
            .http_client(calls.client())
            .service_config(Endpoints)
            .retry_config(RetryConfig::standard())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(SharedTimeSource::new(SystemTimeSource::new()));
        config
            .set_region(variable("AWS_REGION").map(Region::new))
            .set_timeout_config(Some(Self::timeouts()))
            .set_use_fips(variable("AWS_USE_FIPS_ENDPOINT").map(|text| text == "true"))
            .set_use_dual_stack(variable("AWS_USE_DUALSTACK_ENDPOINT").map(|text| text == "true"));
        let config = config.build();
        Self {
            home: config.clone(),
            config,
            calls,
        }
    }

    /// From wherever a person's credentials come from: the environment, a profile, a container.
    pub async fn of_person() -> Self {
        let calls = Calls::new();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .timeout_config(Self::timeouts())
            .http_client(calls.client())
            .load()
            .await;
        Self {
            home: config.clone(),
            config,
            calls,
        }
    }

    fn timeouts() -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(2))
            .operation_attempt_timeout(Self::ATTEMPT_TIMEOUT)
            .build()
    }

    /// The same in the account of a role, and until when its credentials are good.
    ///
    /// # Errors
    /// When STS does not give any.
    pub(crate) async fn assume(
        &self,
        role: &RoleArn,
        session: &str,
        external_id: &str,
    ) -> Result<(Self, Timestamp), Failure> {
        const OPERATION: &str = "sts:AssumeRole";
        let call = aws_sdk_sts::Client::new(&self.home).assume_role();
        let call = call
            .role_arn(role.as_str())
            .external_id(external_id)
            .role_session_name(session);
        let answer = call.send().await.map_err(|error| {
            let failure = classify(OPERATION, &error);
            Failure {
                message: format!("{role}: {}", failure.message),
                ..failure
            }
        })?;
        let given = answer
            .credentials()
            .ok_or_else(|| unexpected(OPERATION, "no credentials"))?;
        let until = Timestamp::from_timestamp(given.expiration().secs(), 0);
        let until = until.ok_or_else(|| unexpected(OPERATION, "no expiry"))?;
        let (id, secret, token) = (given.access_key_id(), given.secret_access_key(), given.session_token());
        let credentials = Credentials::new(id, secret, Some(token.to_owned()), None, "member");
        let config = self
            .home
            .to_builder()
            .credentials_provider(SharedCredentialsProvider::new(credentials));
        let aws = Self {
            config: config.build(),
            ..self.clone()
        };
        Ok((aws, until))
    }

    /// The same clients, whose calls open the connections that they would take, and are not made: everything that a first call costs its
    /// caller, and nothing that AWS would do, note or count. Each answers with an error, which says nothing.
    #[must_use]
    pub(crate) fn rehearsal(&self) -> Self {
        let rehearsing = |config: &SdkConfig| config.to_builder().http_client(self.calls.rehearsing()).build();
        Self {
            config: rehearsing(&self.config),
            home: rehearsing(&self.home),
            calls: self.calls.clone(),
        }
    }

    /// How many calls were made so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.count()
    }

    /// From a configuration that somebody else has made; for tests against local endpoints.
    #[must_use]
    pub fn from_config(config: SdkConfig) -> Self {
        Self {
            home: config.clone(),
            config,
            calls: Calls::new(),
        }
    }

    /// For the ledger and the reports: the SDK tries again by itself.
    #[must_use]
    pub fn patient(&self) -> SdkConfig {
        self.config.clone()
    }

    /// For what a remediation reads and writes: the engine alone decides when to try again, and looks afresh first.
    #[must_use]
    pub fn paced(&self) -> SdkConfig {
        paced(&self.config)
    }

    /// The same in another Region.
    #[must_use]
    pub fn paced_in(&self, region: impl Into<Cow<'static, str>>) -> SdkConfig {
        in_region(self.paced(), region)
    }

    /// The same with the function's own credentials, in its own account.
    #[must_use]
    pub fn paced_at_home_in(&self, region: impl Into<Cow<'static, str>>) -> SdkConfig {
        in_region(paced(&self.home), region)
    }
}

/// `AWS_ENDPOINT_URL_DYNAMODB` before `AWS_ENDPOINT_URL`, as every SDK has it:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>.
#[derive(Debug)]
struct Endpoints;

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_ascii_uppercase().replace([' ', '-'], "_");
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        variable(&format!("{}_{service}", key.env())).or_else(|| variable(key.env()))
    }
}

fn in_region(config: SdkConfig, region: impl Into<Cow<'static, str>>) -> SdkConfig {
    config.into_builder().region(Region::new(region)).build()
}

fn paced(config: &SdkConfig) -> SdkConfig {
    config.to_builder().retry_config(RetryConfig::disabled()).build()
}
