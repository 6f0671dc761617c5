//! The operator's document, in SSM Parameter Store.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aws_sdk_ssm::Client;
use futures_util::{FutureExt, future::BoxFuture};
use remediation::{
    engine::Switch,
    failure::{Class, Failure},
    settings::Document,
};
use tokio::sync::Mutex;

use crate::errors::classify;

/// A document is read again when it is older: what is set there holds within a minute everywhere.
const MAX_AGE: Duration = Duration::from_secs(50);

/// The document as it stands in the store. Nothing is done on one that cannot be read, or is wrong.
#[derive(Debug)]
pub(crate) struct SettingsStore {
    client: Client,
    parameter: String,
    known: Mutex<Option<(Instant, Arc<Document>)>>,
}

impl SettingsStore {
    /// `parameter`: its name.
    pub(crate) fn new(client: Client, parameter: String) -> Self {
        Self {
            client,
            parameter,
            known: Mutex::new(None),
        }
    }

    /// The document.
    ///
    /// # Errors
    /// When it cannot be read, and when it is wrong: then each thing that is.
    pub(crate) async fn current(&self) -> Result<Arc<Document>, Failure> {
        let mut known = self.known.lock().await;
        if let Some((read, document)) = known.as_ref()
            && read.elapsed() < MAX_AGE
        {
            return Ok(Arc::clone(document));
        }
        *known = None;
        let read = Instant::now();
        let document = Arc::new(self.read().await?);
        *known = Some((read, Arc::clone(&document)));
        Ok(document)
    }

    /// Has it read again before it is too old: as soon as it is right, it holds.
    pub(crate) async fn forget(&self) {
        *self.known.lock().await = None;
    }

    async fn read(&self) -> Result<Document, Failure> {
        const OPERATION: &str = "ssm:GetParameter";
        let call = self.client.get_parameter().name(&self.parameter);
        let answer = call.send().await.map_err(|error| classify(OPERATION, &error))?;
        let text = answer.parameter().and_then(|parameter| parameter.value());
        let text =
            text.ok_or_else(|| Failure::new(Class::Permanent, OPERATION, "NoValue", "the parameter has no value"))?;
        Document::parse(text).map_err(|wrong| invalid(&wrong))
    }
}

/// Settings that are wrong.
pub(crate) fn invalid(wrong: &remediation::settings::InvalidSettings) -> Failure {
    Failure::new(Class::Permanent, "settings", "InvalidSettings", wrong.to_string())
}

impl Switch for SettingsStore {
    fn allows_writes(&self) -> BoxFuture<'_, Result<bool, Failure>> {
        async { Ok(!self.current().await?.stop) }.boxed()
    }
}
