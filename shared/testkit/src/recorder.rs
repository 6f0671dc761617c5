//! A reporter that remembers what it was told.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use remediation::report::{Gauges, Report, Reporter, Untold};

use crate::locked;

/// All reports, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<Report>>>, Arc<AtomicBool>);

impl Recorder {
    /// What was told so far.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        locked(&self.0).clone()
    }

    /// From now on nobody can be told; or again everybody.
    pub fn is_out_of_reach(&self, out: bool) {
        self.1.store(out, Ordering::Relaxed);
    }

    /// What people were told of, as `outcome target`.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let reports = self.reports().into_iter().filter(|report| report.notice);
        reports
            .map(|report| format!("{} {}", report.outcome.name(), report.target))
            .collect()
    }
}

impl Reporter for Recorder {
    async fn report(&self, _: &'static str, reports: &[Report], _: &Gauges, _: Duration) -> Untold {
        if self.1.load(Ordering::Relaxed) {
            let of = |report: &Report| report.record.clone();
            return Untold {
                people: reports.iter().filter(|report| report.notice).map(of).collect(),
                sources: reports.iter().map(of).collect(),
            };
        }
        locked(&self.0).extend_from_slice(reports);
        Untold::default()
    }
}
