//! What stands between a function and the emulators: it names each AWS call, and does to it what a test asks for.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Response, StatusCode, Uri, header::HeaderMap};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::json;

use crate::{
    LocalCloud,
    loopback::{Answered, Closed, Loopback, Whole},
    tls::Tls,
};

/// An AWS call, as it was signed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AwsCall {
    /// How many calls came before it.
    pub index: usize,
    /// The service as its calls are signed: `iam`, `wafv2`, `s3`.
    pub service: String,
    /// The operation as the service's API calls it: `UpdateIPSet`, `GetBucketEncryption`.
    pub operation: String,
    /// The Region it was signed for.
    pub region: String,
    /// Whose key signed it.
    pub access_key: String,
    /// Its method, path and query.
    pub request: String,
    /// The body.
    pub body: Bytes,
    /// What came back to the caller: the status, or none where the connection was cut.
    pub answered: Option<u16>,
    /// Whether the service got it, and did not refuse.
    pub applied: bool,
    /// How long the emulator took.
    pub took: Duration,
    protocol: Protocol,
}

impl fmt::Display for AwsCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.operation)
    }
}

/// How a service spells requests and errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Json,
    Query,
    Ec2,
    S3,
    Rest,
}

/// An error answer in the service's own spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many calls.
    Throttled,
    /// HTTP 500.
    Internal,
    /// HTTP 503.
    Unavailable,
    /// The caller lacks the permission.
    Denied,
}

/// What happens to a call.
#[derive(Clone)]
pub enum Fault {
    /// Nothing: it goes through.
    None,
    /// It is refused and does not reach the service.
    Refuse(Refusal),
    /// It does not reach the service, and the answer is no answer of AWS.
    Garbage,
    /// The connection is cut before it reaches the service.
    Reset,
    /// It does not reach the service, and nothing comes back.
    Hang,
    /// It goes through, late.
    Delay(Duration),
    /// It goes through, and the connection is cut before the answer.
    LoseAnswer,
    /// This is done before it would reach the service, and the connection is cut.
    Before(Arc<dyn Fn() + Send + Sync>),
    /// It goes through, then this is done, and the connection is cut.
    After(Arc<dyn Fn() + Send + Sync>),
}

type Plan = Box<dyn FnMut(&AwsCall) -> Fault + Send>;

struct State {
    calls: Vec<AwsCall>,
    /// Requests that nobody signed.
    unsigned: usize,
    plan: Plan,
}

/// Stands before the emulators of one local cloud until it is dropped.
pub struct Proxy {
    state: Arc<Mutex<State>>,
    /// The part of the name of `AWS_ENDPOINT_URL_…` that each is for; the first is for all services.
    servers: Vec<(&'static str, Loopback)>,
    tls: Option<Tls>,
}

/// The services that have a host of their own where the way is encrypted, as they do in AWS: each then takes a connection of its own.
const HOSTS: [&str; 9] = [
    "",
    "_DYNAMODB",
    "_EC2",
    "_IAM",
    "_S3",
    "_SECURITYHUB",
    "_SNS",
    "_SSM",
    "_WAFV2",
];

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("environment", &self.environment())
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// Starts one that lets everything through.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(cloud: &LocalCloud) -> Result<Self> {
        Self::of(cloud, None)
    }

    /// The same over TLS, with a host for each service, as AWS has it.
    ///
    /// # Errors
    /// When no port is free, or no certificate can be made.
    pub fn start_with_tls(cloud: &LocalCloud) -> Result<Self> {
        Self::of(cloud, Some(Tls::new()?))
    }

    fn of(cloud: &LocalCloud, tls: Option<Tls>) -> Result<Self> {
        let state = Arc::new(Mutex::new(State {
            calls: Vec::new(),
            unsigned: 0,
            plan: Box::new(|_| Fault::None),
        }));
        let hosts = if tls.is_some() { HOSTS.as_slice() } else { &[""] };
        let mut servers = Vec::with_capacity(hosts.len());
        for host in hosts {
            let upstream = Upstream {
                endpoint: cloud.endpoint().to_owned(),
                waf_endpoint: cloud.waf_endpoint().to_owned(),
                state: Arc::clone(&state),
            };
            // Made on the server's own thread: a client belongs to the runtime that drives it.
            let client = std::sync::OnceLock::new();
            let server = Loopback::serve(tls.as_ref().map(Tls::acceptor), async move |request| {
                let client = client.get_or_init(|| Client::builder(TokioExecutor::new()).build_http());
                upstream.answer(client, request).await
            })?;
            servers.push((*host, server));
        }
        Ok(Self { state, servers, tls })
    }

    /// What makes a function speak through it.
    pub fn environment(&self) -> Vec<(String, String)> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let endpoint = |(host, server): &(&str, Loopback)| {
            let url = format!("{scheme}://{}", server.authority());
            (format!("AWS_ENDPOINT_URL{host}"), url)
        };
        self.servers.iter().map(endpoint).collect()
    }

    /// The certificate of the authority that has signed for it, in PEM, where it speaks TLS.
    pub fn authority(&self) -> Option<&str> {
        self.tls.as_ref().map(Tls::authority)
    }

    /// Forgets the calls so far, and asks this about each that comes.
    pub fn plan(&self, plan: impl FnMut(&AwsCall) -> Fault + Send + 'static) {
        let mut state = lock(&self.state);
        state.calls.clear();
        state.unsigned = 0;
        state.plan = Box::new(plan);
    }

    /// The calls since the plan was made.
    pub fn calls(&self) -> Vec<AwsCall> {
        lock(&self.state).calls.clone()
    }

    /// How many requests came since then that nobody signed. They are no calls, reach no service, and open a connection.
    pub fn unsigned(&self) -> usize {
        lock(&self.state).unsigned
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Upstream {
    endpoint: String,
    waf_endpoint: String,
    state: Arc<Mutex<State>>,
}

type Http = Client<HttpConnector, Full<Bytes>>;

impl Upstream {
    async fn answer(&self, client: &Http, request: Whole) -> Result<Answered, Closed> {
        let mut call = AwsCall::read(&request);
        if call.access_key.is_empty() {
            lock(&self.state).unsigned += 1;
            return Ok(call.refused(Refusal::Denied));
        }
        let fault = {
            let mut state = lock(&self.state);
            call.index = state.calls.len();
            state.calls.push(call.clone());
            (state.plan)(&call)
        };
        let answer = match fault {
            Fault::None => self.forward(client, &call, request).await,
            Fault::Refuse(refusal) => Ok(call.refused(refusal)),
            Fault::Garbage => Ok(Response::new(Full::new(Bytes::from_static(
                b"<html>\xff\x00it works!</ht",
            )))),
            Fault::Reset => Err(Closed),
            Fault::Hang => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                Err(Closed)
            }
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                self.forward(client, &call, request).await
            }
            Fault::LoseAnswer => {
                let _ = self.forward(client, &call, request).await;
                Err(Closed)
            }
            Fault::Before(act) => {
                act();
                Err(Closed)
            }
            Fault::After(act) => {
                let _ = self.forward(client, &call, request).await;
                act();
                Err(Closed)
            }
        };
        self.note(call.index, |call| {
            call.answered = answer.as_ref().ok().map(|answer| answer.status().as_u16())
        });
        answer
    }

    /// The same request, byte by byte, and with the same host, which is part of what is signed.
    async fn forward(&self, client: &Http, call: &AwsCall, mut request: Whole) -> Result<Answered, Closed> {
        let base = match call.service.as_str() {
            "wafv2" | "securityhub" => &self.waf_endpoint,
            _ => &self.endpoint,
        };
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = Uri::try_from(format!("{base}{path}")).map_err(|_| Closed)?;
        let begin = Instant::now();
        let answer = client.request(request.map(Full::new)).await.map_err(|_| Closed)?;
        let applied = answer.status().is_success();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
        self.note(call.index, |call| {
            call.applied = applied;
            call.took = begin.elapsed();
        });
        Ok(Response::from_parts(head, Full::new(body)))
    }

    /// A plan made meanwhile has forgotten the call.
    fn note(&self, index: usize, note: impl FnOnce(&mut AwsCall)) {
        if let Some(call) = lock(&self.state).calls.get_mut(index) {
            note(call);
        }
    }
}

impl AwsCall {
    fn read(request: &Whole) -> Self {
        let headers = request.headers();
        let scope = header(headers, "authorization")
            .split("Credential=")
            .nth(1)
            .unwrap_or_default();
        let mut scope = scope.split([',', ' ']).next().unwrap_or_default().split('/');
        let mut next = || scope.next().unwrap_or_default().to_owned();
        let (access_key, _date, region, service) = (next(), next(), next(), next());
        let uri = request.uri();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let (protocol, operation) = operation(&service, request);
        Self {
            index: 0,
            service,
            operation,
            region,
            access_key,
            request: format!("{} {path}", request.method()),
            body: request.body().clone(),
            answered: None,
            applied: false,
            took: Duration::ZERO,
            protocol,
        }
    }

    /// A parameter of a Query request.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut parameters = form_urlencoded::parse(&self.body);
        parameters
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    fn refused(&self, refusal: Refusal) -> Answered {
        let (status, code) = match (refusal, self.protocol) {
            (Refusal::Throttled, Protocol::S3) => (503, "SlowDown"),
            (Refusal::Throttled, Protocol::Ec2) => (503, "RequestLimitExceeded"),
            (Refusal::Throttled, Protocol::Query) => (400, "Throttling"),
            (Refusal::Throttled, _) => (400, "ThrottlingException"),
            (Refusal::Internal, Protocol::S3 | Protocol::Ec2) => (500, "InternalError"),
            (Refusal::Internal, Protocol::Query) => (500, "ServiceFailure"),
            (Refusal::Internal, _) => (500, "InternalServerException"),
            (Refusal::Unavailable, _) => (503, "ServiceUnavailable"),
            (Refusal::Denied, Protocol::Ec2) => (403, "UnauthorizedOperation"),
            (Refusal::Denied, Protocol::Json | Protocol::Rest) => (400, "AccessDeniedException"),
            (Refusal::Denied, _) => (403, "AccessDenied"),
        };
        let text = "said so by the proxy";
        let xml = |open: &str, close: &str| {
            format!("<?xml version=\"1.0\"?>{open}<Code>{code}</Code><Message>{text}</Message>{close}")
        };
        let body = match self.protocol {
            Protocol::Json => json!({ "__type": code, "message": text }).to_string(),
            Protocol::Rest => json!({ "message": text }).to_string(),
            Protocol::Query => xml(
                "<ErrorResponse><Error><Type>Sender</Type>",
                "</Error><RequestId>proxy</RequestId></ErrorResponse>",
            ),
            Protocol::Ec2 => xml(
                "<Response><Errors><Error>",
                "</Error></Errors><RequestID>proxy</RequestID></Response>",
            ),
            Protocol::S3 => xml("<Error>", "</Error>"),
        };
        let mut answer = Response::new(Full::new(Bytes::from(body)));
        *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Ok(code) = code.try_into() {
            answer.headers_mut().insert("x-amzn-errortype", code);
        }
        answer
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn operation(service: &str, request: &Whole) -> (Protocol, String) {
    if let Some((_, operation)) = header(request.headers(), "x-amz-target").split_once('.') {
        return (Protocol::Json, operation.to_owned());
    }
    let method = request.method().as_str();
    let path: Vec<&str> = request
        .uri()
        .path()
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let named = |name: &str| name.to_owned();
    match service {
        "s3" => (
            Protocol::S3,
            s3_operation(method, request.uri().query().unwrap_or_default()),
        ),
        "securityhub" | "access-analyzer" => {
            let operation = match (method, path.as_slice()) {
                ("PATCH", ["findings", "batchupdate"]) => named("BatchUpdateFindings"),
                ("PATCH", ["findingsv2", "batchupdatev2"]) => named("BatchUpdateFindingsV2"),
                ("GET", ["findingv2", _]) => named("GetFindingV2"),
                ("POST", ["recommendation", _]) => named("GenerateFindingRecommendation"),
                ("GET", ["recommendation", _]) => named("GetFindingRecommendation"),
                _ => format!("{method} /{}", path.join("/")),
            };
            (Protocol::Rest, operation)
        }
        _ => {
            let mut parameters = form_urlencoded::parse(request.body());
            let action = parameters
                .find(|(key, _)| key == "Action")
                .map(|(_, value)| value.into_owned());
            let protocol = if service == "ec2" {
                Protocol::Ec2
            } else {
                Protocol::Query
            };
            (
                protocol,
                action.unwrap_or_else(|| format!("{method} /{}", path.join("/"))),
            )
        }
    }
}

/// S3 names the part of the bucket that is meant by the first word of the query.
fn s3_operation(method: &str, query: &str) -> String {
    let parts = [
        ("encryption", "BucketEncryption"),
        ("location", "BucketLocation"),
        ("logging", "BucketLogging"),
        ("ownershipControls", "BucketOwnershipControls"),
        ("policy", "BucketPolicy"),
        ("policyStatus", "BucketPolicyStatus"),
        ("publicAccessBlock", "PublicAccessBlock"),
        ("acl", "BucketAcl"),
        ("website", "BucketWebsite"),
        ("tagging", "BucketTagging"),
    ];
    let word = query.split(['&', '=']).next().unwrap_or_default();
    let verb = match method {
        "GET" => "Get",
        "PUT" => "Put",
        "DELETE" => "Delete",
        _ => "Head",
    };
    let part = parts
        .iter()
        .find(|(query, _)| *query == word)
        .map_or("Bucket", |(_, part)| part);
    format!("{verb}{part}")
}
