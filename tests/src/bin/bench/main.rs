//! Measures the functions as Lambda would run them, side by side with Python doing the same and with Cloud Custodian: from the start of
//! the process to its first answer, when warm, memory, and AWS calls. `cargo xtask bench` builds what it measures, and starts it.
//!
//!     bench [--runs N] [--function NAME] [--share 0.072] [--write]
//!
//! Each run is a new process behind a Runtime API on loopback, with TLS to every service, at the local cloud's emulators. Until it asks
//! for its first event it has a whole core, as Lambda gives it; from then on the share of a function of 128 MB.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to a person")]

mod report;
mod subject;
mod throttle;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use local_cloud::{Answer, AwsCall, Fault, Instance, LocalCloud, Proxy, shipped, workspace};
use securecart_tests::{laboratory::Laboratory, seeds, stack::Stack};
use serde_json::Value;

use crate::{
    subject::{JOBS, Job, Subject, Subjects},
    throttle::{SMALLEST, Throttle},
};

/// What one process came to.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// From its start until it asks for the first event, in milliseconds.
    pub init: f64,
    /// From then until its first answer.
    pub first: f64,
    /// A second event, which asks for as much; where there was none, no number.
    pub warm: f64,
    /// Processor time until the first answer; where it is not known, no number.
    pub processor: f64,
    /// Of `first`, what the emulators took.
    pub emulators: f64,
    /// Until its first answer if the event had its share to the microsecond: the start, the emulators, and the event's processor time
    /// divided by the share. The kernel holds a process back when its clock ticks, so that short work gets more than its share.
    pub exact: f64,
    /// The most memory that it had resident, in megabytes.
    pub memory: f64,
}

/// What a subject came to with a job.
#[derive(Debug, Default)]
pub struct Series {
    /// One for each process.
    pub runs: Vec<Run>,
    /// The calls of the first event, and of the second.
    pub calls: [Vec<String>; 2],
}

/// By function and subject.
pub type Results = BTreeMap<(&'static str, Subject), Series>;

/// Unless it is asked for more: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html>.
const AS_IAM_GIVES: u32 = 100;

struct Options {
    runs: usize,
    function: Option<String>,
    share: f64,
    write: bool,
}

fn options() -> Result<Options> {
    let mut options = Options {
        runs: 20,
        function: None,
        share: SMALLEST,
        write: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} wants a value"));
        match argument.as_str() {
            "--runs" => options.runs = value()?.parse().context("--runs wants a whole number")?,
            "--function" => options.function = Some(value()?),
            "--share" => options.share = value()?.parse().context("--share wants a number such as 0.072")?,
            "--write" => options.write = true,
            _ => bail!("unknown: {argument}\nusage: bench [--runs N] [--function NAME] [--share SHARE] [--write]"),
        }
    }
    ensure!(
        options.runs > 0 && options.share > 0.0 && options.share <= 1.0,
        "at least one run, and a share of up to 1"
    );
    Ok(options)
}

fn main() -> Result<()> {
    let options = options()?;
    let subjects = Subjects::prepare()?;
    let stack = Stack::deploy_binaries("bench", shipped);
    seeds::everything(&stack);
    stack.cloud.details_per_page(AS_IAM_GIVES)?;
    let proxy = Proxy::start_with_tls(&stack.cloud)?;
    let trust = trust(&proxy)?;
    let laboratory = Laboratory::with(stack, proxy, shipped)?;
    laboratory.stack.cloud.save()?;
    let bench = Bench {
        laboratory,
        subjects,
        share: options.share,
        trust,
    };
    let wanted = |job: &&Job| options.function.as_ref().is_none_or(|name| name == job.function);
    let mut results = Results::new();
    for job in JOBS.iter().filter(wanted) {
        // The subjects take turns: what else the machine does meets them all.
        for run in 0..=options.runs {
            for subject in Subject::ALL
                .into_iter()
                .filter(|subject| bench.subjects.has(*subject, job))
            {
                let (measured, calls) = bench
                    .run(subject, job)
                    .with_context(|| format!("{} for {}", subject.name(), job.function))?;
                // The first fills the caches of the file system.
                if run > 0 {
                    let series = results.entry((job.function, subject)).or_default();
                    series.runs.push(measured);
                    series.calls = calls;
                }
            }
        }
        report::print_job(job, &results);
        // An hour is long: what is measured is not lost with what is not.
        if options.write {
            report::write(&results, options.runs, options.share)?;
        }
    }
    report::print(&results);
    Ok(())
}

/// What the subjects trust: the system's authorities, as on Lambda, and the proxy's.
fn trust(proxy: &Proxy) -> Result<PathBuf> {
    let bundles = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
    let system = bundles.iter().find_map(|path| fs::read_to_string(path).ok());
    let own = proxy.authority().context("the proxy speaks TLS")?;
    let path = workspace()?.join("target/bench/trust.pem");
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    fs::write(&path, format!("{}\n{own}", system.unwrap_or_default()))?;
    Ok(path)
}

struct Bench {
    laboratory: Laboratory,
    subjects: Subjects,
    share: f64,
    trust: PathBuf,
}

/// Cloud Custodian needs long at a small share.
const DEADLINE: Duration = Duration::from_secs(300);

impl Bench {
    fn run(&self, subject: Subject, job: &Job) -> Result<(Run, [Vec<String>; 2])> {
        let cloud = &self.laboratory.stack.cloud;
        let mut run = Run::default();
        self.prepare(cloud)?;
        // One for each process: a group remembers what was taken beyond its share, the end of a killed process among it.
        let throttle = (self.share < 1.0).then(|| Throttle::new(self.share)).transpose()?;
        let mut instance = self.subjects.start(&self.laboratory, subject, job, &self.trust)?;
        run.init = milliseconds(instance.ready()?);
        if let Some(throttle) = &throttle {
            throttle.hold(instance.process())?;
        }
        let processor = |instance: &Instance| instance.processor_time().map_or(0.0, milliseconds);
        let started = processor(&instance);
        let payload = self.subjects.payload(subject, job, 1);
        let timed = |instance: &mut Instance| -> Result<(f64, Vec<AwsCall>)> {
            let begin = std::time::Instant::now();
            let answer = instance.invoke(&payload, DEADLINE);
            let took = milliseconds(begin.elapsed());
            let calls = self.laboratory.proxy.calls();
            is_done(&answer, &calls, job)?;
            Ok((took, calls))
        };
        let (first, calls) = timed(&mut instance)?;
        run.first = first;
        run.emulators = calls.iter().map(|call| milliseconds(call.took)).sum();
        // Cloud Custodian works in threads that end, and the kernel no longer tells what they took.
        run.processor = match subject {
            Subject::Custodian => f64::NAN,
            Subject::Ours | Subject::Python => processor(&instance),
        };
        run.exact = run.init + run.emulators + (run.processor - started) / self.share;
        let cold = names(&calls);
        let mut warm = cold.clone();
        if subject == Subject::Custodian {
            run.warm = f64::NAN;
        } else {
            self.prepare(cloud)?;
            let (took, calls) = timed(&mut instance)?;
            run.warm = took;
            warm = names(&calls);
        }
        #[expect(clippy::cast_precision_loss, reason = "megabytes")]
        let memory = instance.peak_memory().map_or(0.0, |bytes| bytes as f64 / 1_048_576.0);
        run.memory = memory;
        Ok((run, [cold, warm]))
    }

    /// The account as it was before anything was done.
    fn prepare(&self, cloud: &LocalCloud) -> Result<()> {
        cloud.restore()?;
        self.laboratory.proxy.plan(|_| Fault::None);
        Ok(())
    }
}

fn names(calls: &[AwsCall]) -> Vec<String> {
    calls.iter().map(ToString::to_string).collect()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// What is measured has to be the whole work: the change is made, and the function says so.
fn is_done(answer: &Answer, calls: &[AwsCall], job: &Job) -> Result<()> {
    let names = names(calls);
    let Answer::Response(response) = answer else {
        bail!("{answer:?} after {names:?}");
    };
    let failed = response.get("batchItemFailures").and_then(Value::as_array);
    ensure!(failed.is_none_or(Vec::is_empty), "{response} after {names:?}");
    let is_written = calls
        .iter()
        .any(|call| call.applied && job.writes.contains(&call.operation.as_str()));
    ensure!(is_written, "none of {:?} among {names:?}", job.writes);
    Ok(())
}
