//! One configuration for all clients, loaded once.

use std::{borrow::Cow, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};

use crate::calls::Calls;

/// The function's credentials, Region and endpoints.
#[derive(Debug, Clone)]
pub struct Aws {
    config: SdkConfig,
    calls: Calls,
}

impl Aws {
    /// A call that hangs must not eat the whole invocation.
    const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

    /// From the environment, as Lambda sets it.
    pub async fn load() -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(2))
            .operation_attempt_timeout(Self::ATTEMPT_TIMEOUT)
            .build();
        let calls = Calls::default();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .timeout_config(timeouts)
            .http_client(calls.client())
            .load()
            .await;
        Self { config, calls }
    }

    /// How many calls were made so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.count()
    }

    /// From a configuration that somebody else has made; for tests against local endpoints.
    #[must_use]
    pub fn from_config(config: SdkConfig) -> Self {
        Self {
            config,
            calls: Calls::default(),
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
        self.config
            .clone()
            .into_builder()
            .retry_config(RetryConfig::disabled())
            .build()
    }

    /// The same in another Region.
    #[must_use]
    pub fn paced_in(&self, region: impl Into<Cow<'static, str>>) -> SdkConfig {
        self.paced().into_builder().region(Region::new(region)).build()
    }
}
