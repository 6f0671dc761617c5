//! One instance of a function: its process, and the Runtime API that Lambda would give it.

use std::{
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::loopback::{Answered, Closed, Loopback, Whole};

/// How an invocation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The function answered.
    Response(Value),
    /// The function says that it failed.
    Error(Value),
    /// The process ended before it answered.
    Ended(ExitStatus),
    /// The deadline passed. Lambda would stop the process.
    TimedOut,
}

struct Event {
    id: u64,
    payload: Vec<u8>,
    deadline: u128,
}

/// A running process that asks for events. It is killed when this is dropped.
#[derive(Debug)]
pub struct Instance {
    child: Kill,
    events: UnboundedSender<Event>,
    answers: Mutex<mpsc::Receiver<(u64, Answer)>>,
    invoked: u64,
    started: Instant,
    ready: Arc<OnceLock<Instant>>,
    _api: Loopback,
}

/// Kills an instance, from wherever.
#[derive(Clone, Debug)]
pub struct Kill(Arc<Mutex<Child>>);

impl Kill {
    /// SIGKILL, and waits for the end. An instance that has ended stays so.
    pub fn now(&self) {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }

    fn ended(&self) -> Option<ExitStatus> {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        child.try_wait().ok().flatten()
    }

    fn id(&self) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).id()
    }
}

impl Instance {
    /// Starts a command as Lambda starts a runtime, with what Lambda says in the environment besides the command's own. Its output goes where
    /// the command says.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let (events, waiting) = unbounded_channel();
        let (answer, answers) = mpsc::channel();
        let ready = Arc::new(OnceLock::new());
        let api = runtime_api(waiting, answer, Arc::clone(&ready))?;
        command
            .stdin(Stdio::null())
            .env("AWS_LAMBDA_RUNTIME_API", api.authority())
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/function")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "stream");
        let started = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("{command:?} cannot be started"))?;
        Ok(Self {
            child: Kill(Arc::new(Mutex::new(child))),
            events,
            answers: Mutex::new(answers),
            invoked: 0,
            started,
            ready,
            _api: api,
        })
    }

    /// Waits until it asks for its first event, and says how long that took from the start of the process.
    ///
    /// # Errors
    /// When it ends before, or takes longer than a minute.
    pub fn ready(&self) -> Result<Duration> {
        loop {
            if let Some(at) = self.ready.get() {
                return Ok(at.duration_since(self.started));
            }
            if let Some(status) = self.child.ended() {
                bail!("it ended before its first event: {status}");
            }
            if self.started.elapsed() > Duration::from_secs(60) {
                bail!("it did not ask for an event in a minute");
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Gives it an event and waits for the end, at most until the deadline.
    pub fn invoke(&mut self, payload: &Value, deadline: Duration) -> Answer {
        self.invoked += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let event = Event {
            id: self.invoked,
            payload: payload.to_string().into_bytes(),
            deadline: (now + deadline).as_millis(),
        };
        let until = Instant::now() + deadline;
        // If nobody listens, the process has ended or will time out.
        let _ = self.events.send(event);
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match answers.recv_timeout(Duration::from_millis(5)) {
                Ok((id, answer)) if id == self.invoked => return answer,
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return Answer::TimedOut,
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(status) = self.child.ended() {
                        return Answer::Ended(status);
                    }
                    if Instant::now() > until {
                        return Answer::TimedOut;
                    }
                }
            }
        }
    }

    /// What kills it.
    pub fn kill(&self) -> Kill {
        self.child.clone()
    }

    /// The most memory that it had resident so far, in bytes. Linux only.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kilobytes * 1024)
    }

    /// The processor time that it has used so far, in all its threads. Linux only.
    pub fn processor_time(&self) -> Option<Duration> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).ok()?;
        let of = |task: std::fs::DirEntry| {
            let schedstat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            schedstat.split(' ').next()?.parse::<u64>().ok()
        };
        Some(Duration::from_nanos(tasks.flatten().filter_map(of).sum()))
    }

    /// The id of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.child.now();
    }
}

/// The four calls of the Runtime API that a runtime makes, as
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html> has them.
fn runtime_api(
    waiting: UnboundedReceiver<Event>,
    answer: mpsc::Sender<(u64, Answer)>,
    ready: Arc<OnceLock<Instant>>,
) -> Result<Loopback> {
    let waiting = tokio::sync::Mutex::new(waiting);
    Loopback::serve(None, async move |request: Whole| {
        let path = request.uri().path().to_owned();
        if path.ends_with("/invocation/next") {
            let _ = ready.set(Instant::now());
            let event = waiting.lock().await.recv().await.ok_or(Closed)?;
            return Ok(next(event));
        }
        let body = || serde_json::from_slice(request.body()).unwrap_or(Value::Null);
        let told = match path.rsplit('/').collect::<Vec<_>>().as_slice() {
            ["response", id, ..] => id.parse().ok().map(|id| (id, Answer::Response(body()))),
            ["error", "init", ..] => None,
            ["error", id, ..] => id.parse().ok().map(|id| (id, Answer::Error(body()))),
            _ => return Ok(status(StatusCode::NOT_FOUND)),
        };
        if let Some(told) = told {
            let _ = answer.send(told);
        }
        Ok(status(StatusCode::ACCEPTED))
    })
}

fn next(event: Event) -> Answered {
    let mut answer = Response::new(Full::new(Bytes::from(event.payload)));
    let headers = answer.headers_mut();
    let number = |number: u128| number.to_string().try_into().ok();
    let arn = "arn:aws:lambda:us-east-1:111122223333:function:function";
    headers.extend(number(u128::from(event.id)).map(|id| {
        (
            hyper::header::HeaderName::from_static("lambda-runtime-aws-request-id"),
            id,
        )
    }));
    headers.extend(
        number(event.deadline).map(|at| (hyper::header::HeaderName::from_static("lambda-runtime-deadline-ms"), at)),
    );
    headers.insert(
        "lambda-runtime-invoked-function-arn",
        hyper::header::HeaderValue::from_static(arn),
    );
    headers.insert(
        "content-type",
        hyper::header::HeaderValue::from_static("application/json"),
    );
    answer
}

fn status(status: StatusCode) -> Answered {
    let mut answer = Response::new(Full::new(Bytes::from_static(b"{}")));
    *answer.status_mut() = status;
    answer
}
