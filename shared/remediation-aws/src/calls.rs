//! How many calls go to AWS. One HTTP client for all services, which counts.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;

/// Requests that were sent, tries among them, by one client and its connections.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    count: Arc<AtomicU64>,
    http: SharedHttpClient,
}

impl Calls {
    /// Over the SDK's own client.
    pub(crate) fn new() -> Self {
        Self {
            count: Arc::default(),
            http: https_client(),
        }
    }

    /// How many so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Sends, and counts.
    pub(crate) fn client(&self) -> SharedHttpClient {
        let count = Arc::clone(&self.count);
        SharedHttpClient::new(Through(self.http.clone(), move |request| {
            count.fetch_add(1, Ordering::Relaxed);
            request
        }))
    }

    /// Sends, in the place of each call, a request to the same host that asks for nothing and is signed by nobody: what comes back is an
    /// error, and the connection stays for the call.
    pub(crate) fn rehearsing(&self) -> SharedHttpClient {
        SharedHttpClient::new(Through(self.http.clone(), bare))
    }
}

/// The SDK's own HTTP client, over the one TLS library that is in use.
#[must_use]
pub fn https_client() -> SharedHttpClient {
    Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

fn bare(call: HttpRequest) -> HttpRequest {
    let uri = call.uri();
    let host = uri.find("://").and_then(|scheme| {
        let rest = uri.get(scheme + 3..)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        uri.get(..scheme + 3 + end)
    });
    let mut request = HttpRequest::new(SdkBody::empty());
    // A host that cannot be read is of a call that could not be made.
    let _ = request.set_uri(format!("{}/", host.unwrap_or_default()));
    request
}

/// What is sent goes through a function first.
#[derive(Clone)]
struct Through<T, F>(T, F);

impl<T: std::fmt::Debug, F> std::fmt::Debug for Through<T, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Through").field(&self.0).finish()
    }
}

impl<F> HttpClient for Through<SharedHttpClient, F>
where
    F: Fn(HttpRequest) -> HttpRequest + Clone + Send + Sync + 'static,
{
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.0.http_connector(settings, components);
        SharedHttpConnector::new(Through(inner, self.1.clone()))
    }
}

impl<F> HttpConnector for Through<SharedHttpConnector, F>
where
    F: Fn(HttpRequest) -> HttpRequest + Send + Sync + 'static,
{
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.0.call((self.1)(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s104_a_rehearsed_call_asks_its_host_for_nothing() {
        for (uri, host) in [
            (
                "https://sns.us-east-1.amazonaws.com/",
                "https://sns.us-east-1.amazonaws.com/",
            ),
            ("https://iam.amazonaws.com", "https://iam.amazonaws.com/"),
            (
                "http://127.0.0.1:4566/findings/batchupdate?x=/",
                "http://127.0.0.1:4566/",
            ),
            (
                "https://s3.eu-west-1.amazonaws.com?encryption",
                "https://s3.eu-west-1.amazonaws.com/",
            ),
        ] {
            let mut call = HttpRequest::new(SdkBody::from("Action=DeleteEverything"));
            call.set_uri(uri).unwrap();
            call.set_method("PATCH").unwrap();
            call.headers_mut()
                .insert("authorization", "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE");
            let sent = bare(call);
            assert_eq!((sent.uri(), sent.method()), (host, "GET"));
            assert_eq!(sent.headers().iter().count(), 0);
            assert_eq!(sent.body().bytes(), Some(&[][..]));
        }
    }
}
