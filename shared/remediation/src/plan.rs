//! What a remediation decides: per request a decision, for the whole scope at most one write.

use crate::outcome::Reason;

/// A change made, or taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<C> {
    /// Make the change.
    Make(C),
    /// Take the change back.
    Revert(C),
}

/// What is to be done about one request, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<C> {
    /// Do this.
    Act(Step<C>, Reason),
    /// The state is already as it should be.
    InPlace(Reason),
    /// By rule, nothing.
    Decline(Reason),
    /// A person has to look.
    Escalate(Reason),
}

impl<C> Decision<C> {
    /// By rule, nothing.
    pub fn decline(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Decline(Reason::new(code, text))
    }

    /// A person has to look.
    pub fn escalate(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Escalate(Reason::new(code, text))
    }

    /// The state is already as it should be.
    pub fn in_place(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self::InPlace(Reason::new(code, text))
    }
}

/// What a scope needs beside the requests: a standing change that has expired, gives way, or has gone missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upkeep<C> {
    /// The target whose standing change this is about.
    pub target: String,
    /// The step. `Make` puts a change back, or notes a new one that no finding asked for.
    pub step: Step<C>,
    /// Why.
    pub reason: Reason,
    /// Whether the state already shows the step's effect, so that only the ledger is behind.
    pub in_place: bool,
}

/// The whole decision for one scope.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan<C, W> {
    /// One decision per request, in the order of the requests.
    pub decisions: Vec<Decision<C>>,
    /// What else is due.
    pub upkeep: Vec<Upkeep<C>>,
    /// The one write that brings the scope to the planned state; `None` when it is there already.
    pub write: Option<W>,
    /// Measures of the scope for the metrics, such as its occupancy: name and value.
    pub gauges: Vec<(&'static str, f64)>,
}

impl<C, W> Plan<C, W> {
    /// These decisions and nothing beside them. The write is that of the first step for which there is one.
    pub fn of(decisions: impl IntoIterator<Item = Decision<C>>, write: impl Fn(&Step<C>) -> Option<W>) -> Self {
        let decisions: Vec<_> = decisions.into_iter().collect();
        let write = decisions.iter().find_map(|decision| match decision {
            Decision::Act(step, _) => write(step),
            Decision::InPlace(_) | Decision::Decline(_) | Decision::Escalate(_) => None,
        });
        Self {
            decisions,
            upkeep: Vec::new(),
            write,
            gauges: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_write_of_a_plan_is_that_of_the_first_step_that_has_one() {
        let act = |step| Decision::Act(step, Reason::new("asked", "because"));
        let decisions = [
            Decision::decline("exempt", "because"),
            act(Step::Make("there already")),
            act(Step::Revert("second")),
            act(Step::Make("third")),
        ];
        let write = |step: &Step<&'static str>| (*step != Step::Make("there already")).then(|| step.clone());
        let plan = Plan::of(decisions.clone(), write);
        assert_eq!(plan.decisions, decisions);
        assert_eq!(plan.write, Some(Step::Revert("second")));
        assert_eq!(Plan::of(decisions, |_| None::<()>).write, None);
    }
}
