//! The roles as they are deployed, and what was called held against them: by ministack, which enforces them, and by what their statements say.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use local_cloud::{AwsCall, logical, workspace};
use remediation::policy::{Document, Statement, matches, texts};
use securecart_tests::{laboratory::Laboratory, stack::Stack};
use serde_json::{Value, json};

use crate::{HOME, MEMBER};

/// A call, as it is put to the role under which it was made.
#[derive(Debug)]
pub struct Call {
    pub action: String,
    pub resource: String,
    /// What it says for conditions; the keys in small letters.
    pub conditions: BTreeMap<String, String>,
    /// What ministack decided; moto decides nothing.
    pub decision: Option<bool>,
}

/// A role of a function.
pub struct Role {
    function: &'static str,
    account: &'static str,
    name: String,
    statements: Vec<Statement>,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.account == HOME {
            "at home"
        } else {
            "in a member account"
        };
        write!(f, "{} {place}", self.function)
    }
}

/// Whether it has a role in member accounts.
pub fn is_in_members(function: &str) -> bool {
    let template = std::fs::read_to_string(workspace().unwrap().join("stacks/member-role.yaml")).unwrap();
    template.contains(&format!("RoleName: securecart-{function}\n"))
}

impl Role {
    /// The function's role at home, and the one in the member account.
    pub fn of(stack: &Stack, function: &'static str) -> Vec<Self> {
        let deployed = &stack.deployment.resources[&format!("{}Role", logical(function))];
        let mut roles = vec![(HOME, deployed.physical_id.clone())];
        if is_in_members(function) {
            roles.push((MEMBER, format!("securecart-{function}")));
        }
        let role = |(account, name): (&'static str, String)| Self {
            function,
            account,
            statements: statements(stack, account, &name),
            name,
        };
        roles.into_iter().map(role).collect()
    }

    /// Whether this is the ARN of a session of this role.
    pub fn is(&self, caller: &str) -> bool {
        caller.starts_with(&format!("arn:aws:sts::{}:assumed-role/{}/", self.account, self.name))
    }

    /// The calls that the role does not allow.
    pub fn refused(&self, calls: &[&Call]) -> BTreeSet<String> {
        let wrong = |call: &&&Call| !(self.allows(call) && call.decision != Some(false));
        let text = |call: &&Call| {
            let Call {
                action,
                resource,
                conditions,
                decision,
            } = call;
            format!("{self}: {action} on {resource} with {conditions:?} is not allowed; ministack says {decision:?}")
        };
        calls.iter().filter(wrong).map(text).collect()
    }

    /// As IAM does it: what a statement denies is not allowed, whatever others say.
    fn allows(&self, call: &Call) -> bool {
        let mut about = self.statements.iter().filter(|statement| is_about(statement, call));
        let is_allowed = about.clone().any(Statement::is_allow);
        is_allowed && about.all(Statement::is_allow)
    }

    /// The actions and the resources of its statements that no call makes use of.
    pub fn unused(&self, calls: &[&Call], but: &[&str]) -> Vec<String> {
        let mut unused = Vec::new();
        for statement in self.statements.iter().filter(|statement| statement.is_allow()) {
            let used: Vec<_> = calls.iter().filter(|call| is_about(statement, call)).collect();
            let sid = statement.sid().unwrap();
            let actions = statement.list("Action");
            let idle = actions
                .iter()
                .filter(|action| !used.iter().any(|call| call.action == **action));
            unused.extend(
                idle.filter(|action| !but.contains(action))
                    .map(|action| format!("{self} never calls {action} of {sid}")),
            );
            if actions.iter().all(|action| but.contains(action)) {
                continue;
            }
            let idle = statement.list("Resource").into_iter();
            let idle = idle.filter(|pattern| !used.iter().any(|call| matches(pattern, &call.resource)));
            unused.extend(idle.map(|pattern| format!("{self} never calls anything of {sid} on {pattern}")));
        }
        unused
    }
}

fn is_about(statement: &Statement, call: &Call) -> bool {
    let conditions = statement.condition().into_iter().flatten();
    let mut conditions = conditions.flat_map(|(operator, keys)| {
        assert_eq!(operator, "StringEquals", "another operator than this test can judge by");
        keys.as_object().unwrap()
    });
    assert!(statement.is_understood(), "{}", statement.spelt());
    statement.covers(&call.action)
        && statement.reaches(&call.resource)
        && conditions.all(|(key, allowed)| {
            let said = call.conditions.get(&key.to_ascii_lowercase());
            said.is_some_and(|said| texts(allowed).contains(&said.as_str()))
        })
}

/// All that a role's policies say.
fn statements(stack: &Stack, account: &str, role: &str) -> Vec<Statement> {
    let ask = |operation: &'static str, parameters: Value| {
        let answers = stack.cloud.boto3_in(account, &[("iam", operation, parameters)]);
        answers.unwrap().remove(0).unwrap()
    };
    let mut documents = Vec::new();
    let inline = ask("list_role_policies", json!({ "RoleName": role }));
    for name in inline["PolicyNames"].as_array().unwrap() {
        let get = json!({ "RoleName": role, "PolicyName": name });
        documents.push(ask("get_role_policy", get)["PolicyDocument"].take());
    }
    let attached = ask("list_attached_role_policies", json!({ "RoleName": role }));
    for policy in attached["AttachedPolicies"].as_array().unwrap() {
        let arn = &policy["PolicyArn"];
        let version = ask("get_policy", json!({ "PolicyArn": arn }))["Policy"]["DefaultVersionId"].take();
        let get = json!({ "PolicyArn": arn, "VersionId": version });
        documents.push(ask("get_policy_version", get)["PolicyVersion"]["Document"].take());
    }
    let parsed = documents
        .iter()
        .map(|document| Document::parse(&document.to_string()).unwrap());
    parsed
        .flat_map(|document| document.statements().cloned().collect::<Vec<_>>())
        .collect()
}

/// What was called while this function was at work, each with the ARN of its caller.
pub fn judged(laboratory: &Laboratory, function: &str) -> Vec<(String, Call)> {
    let by_ministack = laboratory
        .stack
        .cloud
        .authorizations()
        .unwrap()
        .into_iter()
        .map(|judged| {
            // Whose the resource is; of a bucket, its ARN does not say. Nothing here belongs to a third account.
            let owner = judged.resource.split(':').nth(4).filter(|account| !account.is_empty());
            let owner = owner.unwrap_or(&judged.account).to_owned();
            let said = judged
                .conditions
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
            let call = Call {
                conditions: said.chain([("aws:resourceaccount".to_owned(), owner)]).collect(),
                decision: Some(judged.decision == "Allow"),
                action: judged.action,
                resource: judged.resource,
            };
            (judged.principal, call)
        });
    let role = &laboratory.stack.deployment.resources[&format!("{}Role", logical(function))].physical_id;
    let own = laboratory.credentials(function).unwrap()["AccessKeyId"].take();
    let by_moto = laboratory.proxy.calls().into_iter().filter_map(|call| {
        let asked = at_moto(&call)?;
        assert_eq!(
            own, call.access_key,
            "{call} is not made with the function's own credentials"
        );
        Some((format!("arn:aws:sts::{HOME}:assumed-role/{role}/{function}"), asked))
    });
    by_ministack.chain(by_moto).collect()
}

/// What moto does not judge: the newer form of an operation has the permission of the older one.
fn at_moto(call: &AwsCall) -> Option<Call> {
    let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let (resource, said) = match (call.service.as_str(), call.operation.as_str()) {
        ("wafv2", _) => {
            let scope = if body["Scope"] == "CLOUDFRONT" {
                "global"
            } else {
                "regional"
            };
            let (name, id) = (body["Name"].as_str().unwrap(), body["Id"].as_str().unwrap());
            (format!("wafv2:{}:{HOME}:{scope}/ipset/{name}/{id}", call.region), None)
        }
        ("securityhub", "BatchUpdateFindingsV2") => {
            let status = body.get("StatusId").map(Value::to_string);
            let said = status.map(|status| ("securityhub:ocsfsyntaxpath/statusid", status));
            (
                format!(
                    "securityhub:{}:{HOME}:hubv2/00000000-0000-4000-8000-000000000001",
                    call.region
                ),
                said,
            )
        }
        ("securityhub", _) => {
            let status = body.pointer("/Workflow/Status").and_then(Value::as_str);
            let said = status.map(|status| ("securityhub:asffsyntaxpath/workflow.status", status.to_owned()));
            (format!("securityhub:{}:{HOME}:hub/default", call.region), said)
        }
        _ => return None,
    };
    Some(Call {
        action: format!("{}:{}", call.service, call.operation.trim_end_matches("V2")),
        resource: format!("arn:aws:{resource}"),
        conditions: said.map(|(key, value)| (key.to_owned(), value)).into_iter().collect(),
        decision: None,
    })
}

#[test]
fn s32_what_a_condition_denies_is_not_allowed() {
    let text = json!({ "Statement": [
        { "Sid": "Report", "Effect": "Allow", "Action": "securityhub:BatchUpdateFindings", "Resource": "arn:aws:securityhub:*:111122223333:hub/default" },
        {
            "Sid": "NeverSuppress", "Effect": "Deny", "Action": "securityhub:BatchUpdateFindings", "Resource": "*",
            "Condition": { "StringEquals": { "securityhub:ASFFSyntaxPath/Workflow.Status": "SUPPRESSED" } },
        },
    ] });
    let role = Role {
        function: "block-ip",
        account: HOME,
        name: "a-role".to_owned(),
        statements: Document::parse(&text.to_string())
            .unwrap()
            .statements()
            .cloned()
            .collect(),
    };
    let told = |status: &str, hub: &str| Call {
        action: "securityhub:BatchUpdateFindings".to_owned(),
        resource: format!("arn:aws:securityhub:us-east-1:{hub}:hub/default"),
        conditions: BTreeMap::from([(
            "securityhub:asffsyntaxpath/workflow.status".to_owned(),
            status.to_owned(),
        )]),
        decision: None,
    };
    assert!(role.allows(&told("RESOLVED", HOME)));
    assert!(!role.allows(&told("SUPPRESSED", HOME)));
    assert!(!role.allows(&told("RESOLVED", MEMBER)));
    assert_eq!(role.unused(&[&told("RESOLVED", HOME)], &[]), Vec::<String>::new());
    assert_eq!(role.unused(&[], &[]).len(), 2);
}
