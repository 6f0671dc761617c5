//! What becomes of the rules of one security group.

use remediation::{
    Ask, Request,
    clock::Timestamp,
    ledger::{Phase, Standing},
    outcome::Reason,
    plan::{Decision, Plan, Step},
};
use serde::{Deserialize, Serialize};

use crate::{
    HOLD,
    ec2::Write,
    group::{Group, GroupRef, Opening, Rule, Target},
    settings::Limits,
};

/// Rules that were closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Whose.
    pub group: GroupRef,
    /// The rules, as they were; and those that were closed before for the same reason and are still.
    pub rules: Vec<Rule>,
    /// What an operator had let in again before, of what was closed for the same reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spared: Vec<Spared>,
}

/// What an operator let in again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spared {
    /// What the rule lets in.
    pub opening: Opening,
    /// It stays open until then.
    pub until: Timestamp,
}

impl Closed {
    /// What the rules let in.
    pub(crate) fn openings(&self) -> Vec<String> {
        openings(&self.rules)
    }
}

fn openings(rules: &[Rule]) -> Vec<String> {
    let mut openings: Vec<_> = rules.iter().map(|rule| rule.opening.to_string()).collect();
    openings.sort();
    openings
}

/// What the decision rests on.
pub(crate) struct Situation<'a> {
    pub now: Timestamp,
    pub limits: &'a Limits,
    pub group: &'a GroupRef,
    /// `None`: the group is gone.
    pub state: Option<&'a Group>,
    pub standing: &'a [Standing<Closed>],
}

/// Decides on the rules of one group.
pub(crate) fn decide(situation: &Situation<'_>, requests: &[Request<'_, Target>]) -> Plan<Closed, Write> {
    let decisions: Vec<_> = requests
        .iter()
        .map(|request| match request.ask {
            Ask::Undo => situation.undo(request.target),
            Ask::Remediate(_) => situation.close(request.target),
        })
        .collect();
    Plan {
        write: situation.write(&decisions),
        decisions,
        upkeep: Vec::new(),
        gauges: Vec::new(),
    }
}

impl Situation<'_> {
    /// All that is to be closed in one call; then, one by one, what is to be put back.
    fn write(&self, decisions: &[Decision<Closed>]) -> Option<Write> {
        let state = self.state?;
        let rules = |make: bool| {
            let steps = decisions.iter().filter_map(move |decision| match decision {
                Decision::Act(Step::Make(closed), _) if make => Some(&closed.rules),
                Decision::Act(Step::Revert(closed), _) if !make => Some(&closed.rules),
                _ => None,
            });
            steps.flatten()
        };
        let mut openings: Vec<Opening> = Vec::new();
        for rule in rules(true).filter(|rule| state.rule(&rule.opening).is_some()) {
            if !openings.contains(&rule.opening) {
                openings.push(rule.opening.clone());
            }
        }
        if !openings.is_empty() {
            return Some(Write::Revoke(self.group.clone(), openings));
        }
        let rule = rules(false).find(|rule| state.rule(&rule.opening).is_none())?;
        Some(Write::Authorize(self.group.clone(), rule.clone()))
    }

    fn gone(&self) -> Decision<Closed> {
        Decision::decline(
            "no-such-group",
            format!("there is no security group {} any more", self.group.id),
        )
    }

    fn close(&self, target: &Target) -> Decision<Closed> {
        let Some(state) = self.state else { return self.gone() };
        let (id, name) = (&self.group.id, &state.name);
        let mut rules = self.closed_before(target, state);
        let forbidden: Vec<_> = state
            .rules
            .iter()
            .filter(|rule| target.demand.forbids(rule, self.limits))
            .collect();
        if forbidden.is_empty() {
            let text = match rules.as_slice() {
                [] => format!("{id} ({name}) opens nothing of it to the world: {}", target.demand),
                _ => format!(
                    "{id} ({name}) does not let in any more: {}",
                    openings(&rules).join(", ")
                ),
            };
            return Decision::in_place("closed", text);
        }
        if self.limits.protects(self.group, Some(name)) {
            return Decision::decline("protected-group", format!("{id} ({name}) is protected by a setting"));
        }
        let mut left = None;
        let before = rules.len();
        for rule in forbidden {
            if let Some(declared) = self.limits.declared(self.group, name, &rule.opening) {
                let text = format!(
                    "{id} ({name}) lets {} in, which the baseline declares: {declared}",
                    rule.opening
                );
                left = Some(Reason::new("baseline", text));
            } else if let Some(until) = self.held_until(&rule.opening) {
                let day = until.date_naive();
                let text = format!(
                    "an operator let {} into {id} again; it stays so until {day}",
                    rule.opening
                );
                left = Some(Reason::new(Reason::UNDONE, text));
            } else {
                rules.push(rule.clone());
            }
        }
        match left {
            // What is closed already does not make of the rest a finding that is dealt with.
            Some(reason) if rules.len() == before => Decision::Decline(reason),
            _ => {
                let closed = Closed {
                    group: self.group.clone(),
                    rules,
                    spared: self.spared_before(target),
                };
                let text = format!(
                    "{id} ({name}) does not let in any more: {}",
                    closed.openings().join(", ")
                );
                Decision::Act(Step::Make(closed), Reason::new("closed", text))
            }
        }
    }

    /// The rules that stand closed for this target: whoever takes the next change back takes them back as well.
    fn closed_before(&self, target: &Target, state: &Group) -> Vec<Rule> {
        // Those whose undo is under way are still closed, too.
        let closed = self.rows(target).filter(|row| !matches!(row.phase, Phase::Held(_)));
        let rules = closed.flat_map(|row| &row.change.rules);
        rules
            .filter(|rule| state.rule(&rule.opening).is_none())
            .cloned()
            .collect()
    }

    /// What an operator's word holds open of this target: the next change takes the place of the one that says so.
    fn spared_before(&self, target: &Target) -> Vec<Spared> {
        self.rows(target).flat_map(|row| self.spared(row)).collect()
    }

    fn rows(&self, target: &Target) -> impl Iterator<Item = &Standing<Closed>> {
        let name = target.to_string();
        self.standing.iter().filter(move |row| row.target == name)
    }

    /// What an operator let in again, as this row says it, as long as that holds.
    fn spared(&self, row: &Standing<Closed>) -> impl Iterator<Item = Spared> {
        let until = row.phase.held_until(self.now, HOLD);
        let rules = row.change.rules.iter();
        let undone = rules.filter_map(move |rule| {
            let opening = rule.opening.clone();
            until.map(|until| Spared { opening, until })
        });
        let before = row.change.spared.iter().filter(|spared| spared.until > self.now);
        undone.chain(before.cloned())
    }

    /// Until when an operator's word holds that this is open, whatever it was closed for.
    fn held_until(&self, opening: &Opening) -> Option<Timestamp> {
        let spared = self.standing.iter().flat_map(|row| self.spared(row));
        let of_this = spared.filter(|spared| spared.opening == *opening);
        of_this.map(|spared| spared.until).max()
    }

    fn undo(&self, target: &Target) -> Decision<Closed> {
        let name = target.to_string();
        let Some(row) = self.standing.iter().find(|row| row.target == name) else {
            return Decision::decline("not-standing", "nothing that this function closed is left here");
        };
        let Some(state) = self.state else { return self.gone() };
        let closed = &row.change;
        let is_open = closed.rules.iter().all(|rule| state.rule(&rule.opening).is_some());
        let text = format!(
            "an operator let into {} again: {}",
            closed.group.id,
            closed.openings().join(", ")
        );
        let reason = Reason::new("opened", text);
        match (&row.phase, is_open) {
            (Phase::Held(_), true) => Decision::InPlace(Reason::undone_before()),
            (Phase::Held(_), false) => {
                let text = format!(
                    "what {} does not let in is no change of ours that stands",
                    closed.group.id
                );
                Decision::decline("not-standing", text)
            }
            (_, true) => Decision::InPlace(reason),
            (_, false) => Decision::Act(Step::Revert(closed.clone()), reason),
        }
    }
}
