//! What each function calls is what its roles allow, at home and in a member account: every call is made under the role's own credentials,
//! and each action and each resource of every statement is used.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and what was called is shown"
)]

mod claims;
mod exercises;
mod roles;

use std::collections::{BTreeMap, BTreeSet};

use local_cloud::{FUNCTIONS, Fault};
use securecart_tests::{laboratory::Laboratory, seeds, stack::Stack};

use crate::roles::{Call, Role};

const HOME: &str = local_cloud::ACCOUNT;
const MEMBER: &str = "222233334444";
const EXTERNAL_ID: &str = "securecart-0001";

/// The emulators know no X-Ray, to which Lambda sends traces with the function's credentials.
const OF_LAMBDA: [&str; 2] = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"];

fn laboratory(name: &'static str) -> Laboratory {
    let parameters = [
        ("MemberAccounts", MEMBER),
        ("MemberExternalId", EXTERNAL_ID),
        ("ProtectCloudFront", "true"),
    ];
    let stack = Stack::deploy_all_with(name, &parameters);
    stack.join(MEMBER, EXTERNAL_ID);
    Laboratory::of(stack).unwrap()
}

/// All that is held against the roles: who called what.
#[derive(Default)]
struct Record(BTreeMap<&'static str, Vec<(String, Call)>>);

impl Record {
    /// What was called since the last time.
    fn take(&mut self, laboratory: &Laboratory, function: &'static str) {
        let calls = self.0.entry(function).or_default();
        calls.extend(roles::judged(laboratory, function));
        laboratory.stack.cloud.reset_authorizations().unwrap();
        laboratory.proxy.plan(|_| Fault::None);
    }
}

#[test]
fn s95_what_is_called_is_what_is_allowed_and_nothing_is_allowed_besides() {
    let mut laboratory = laboratory("privilege");
    let (mut record, mut wrong) = (Record::default(), Vec::new());
    for account in [HOME, MEMBER] {
        laboratory.stack.look_after(account);
        seeds::everything(&laboratory.stack);
        laboratory.stack.cloud.save().unwrap();
        laboratory.stack.cloud.reset_authorizations().unwrap();
        laboratory.proxy.plan(|_| Fault::None);
        for function in FUNCTIONS
            .into_iter()
            .filter(|name| account == HOME || roles::is_in_members(name))
        {
            wrong.extend(exercises::run(&laboratory, function));
            record.take(&laboratory, function);
        }
    }
    for function in FUNCTIONS {
        exercises::as_lambda(&laboratory, function);
        record.take(&laboratory, function);
    }

    for (function, calls) in &record.0 {
        for role in Role::of(&laboratory.stack, function) {
            let own: Vec<_> = calls
                .iter()
                .filter(|(caller, _)| role.is(caller))
                .map(|(_, call)| call)
                .collect();
            let actions: BTreeSet<_> = own.iter().map(|call| call.action.as_str()).collect();
            let actions: Vec<_> = actions.into_iter().collect();
            println!("{role}: {} calls; {}", own.len(), actions.join(" "));
            wrong.extend(role.refused(&own));
            wrong.extend(role.unused(&own, &OF_LAMBDA));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
