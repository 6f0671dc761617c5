//! The statement that refuses whatever does not come over TLS, in a policy that belongs to somebody else.

use remediation::{
    Ask, Request,
    clock::Timestamp,
    ids::{BucketName, RoleArn},
    ledger::{Phase, Standing},
    outcome::Reason,
    plan::{Decision, Plan, Step},
    policy::{Document, Principal, Statement, Unreadable, difference, matches, says_the_same, texts},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Change, Write, bucket::Target, held_until};

/// The Sid of our statement, unless the policy uses it for something else.
const SID: &str = "SecureCartTlsOnly";
/// What S3 takes for a bucket policy, in bytes.
pub(crate) const LARGEST: usize = 20_480;

/// A policy that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merging {
    /// Whose.
    pub bucket: BucketName,
    /// The text as it was, to the byte; none: there was no policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The text that was written.
    pub after: String,
}

impl Merging {
    fn write(&self, found: Option<String>, wanted: Option<String>) -> Write {
        Write::Policy {
            bucket: self.bucket.clone(),
            found,
            wanted,
        }
    }
}

/// A bucket's policy, and what it must not break.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Governed {
    /// The text; none: there is no policy.
    pub policy: Option<String>,
    /// Whether the bucket is a website.
    pub website: bool,
}

/// What the decision rests on.
pub(crate) struct Situation<'a> {
    pub now: Timestamp,
    /// As whom the function acts, to see whether a policy would lock it out.
    pub role: &'a RoleArn,
    pub bucket: &'a BucketName,
    /// `None`: the bucket is gone.
    pub state: Option<&'a Governed>,
    pub standing: &'a [Standing<Change>],
}

/// Decides on the policy of one bucket.
pub(crate) fn decide(situation: &Situation<'_>, requests: &[Request<'_, Target>]) -> Plan<Change, Write> {
    let decisions = requests.iter().map(|request| match request.ask {
        Ask::Undo => situation.undo(request.target),
        Ask::Remediate(_) => situation.enforce(),
    });
    Plan::of(decisions, |step| match step {
        Step::Make(Change::Policy(merged)) => Some(merged.write(merged.before.clone(), Some(merged.after.clone()))),
        Step::Revert(Change::Policy(merged)) => Some(merged.write(Some(merged.after.clone()), merged.before.clone())),
        Step::Make(Change::Encryption(_)) | Step::Revert(Change::Encryption(_)) => None,
    })
}

impl Situation<'_> {
    fn enforce(&self) -> Decision<Change> {
        let bucket = self.bucket;
        let Some(Governed { policy, website }) = self.state else {
            return Decision::decline("no-such-bucket", format!("there is no bucket {bucket} any more"));
        };
        let policy = policy.as_deref();
        let merged = match merge(policy, bucket, self.role.partition()) {
            Ok(Merged::Present) => {
                return Decision::InPlace(Reason::new(
                    "tls-only",
                    format!("{bucket} refuses what does not come over TLS"),
                ));
            }
            Ok(Merged::Text(text)) => text,
            Err(error) => return Decision::escalate("unreadable-policy", format!("{bucket}: {error}")),
        };
        if let Some(until) = held_until(self.standing, self.now) {
            let text = format!(
                "an operator gave {bucket} back its policy; it stays so until {}",
                until.date_naive()
            );
            return Decision::decline(Reason::UNDONE, text);
        }
        if *website {
            let text = format!(
                "{bucket} is a website, which S3 serves over plain HTTP only: the statement would take it offline. Put CloudFront with an \
                 origin access control before it, or exempt it from the control"
            );
            return Decision::escalate("website", text);
        }
        if let Some(id) = Document::parse(&merged)
            .ok()
            .and_then(|document| document.deleted_principal())
        {
            let text = format!(
                "the policy of {bucket} names {id}, which is deleted, and S3 takes no such policy: take it out by hand, or add the statement with it"
            );
            return Decision::escalate("deleted-principal", text);
        }
        if merged.len() > LARGEST {
            let text = format!(
                "the policy of {bucket} would have {} bytes; S3 takes {LARGEST}: shorten it, or add the statement by hand",
                merged.len()
            );
            return Decision::escalate("policy-too-large", text);
        }
        if let Some(sid) = policy.and_then(|policy| self.lock_out(policy)) {
            let text = format!(
                "the statement {sid} of {bucket}'s policy keeps this function from writing the policy, and so from taking it back"
            );
            return Decision::escalate("locked-out", text);
        }
        let change = Merging {
            bucket: bucket.clone(),
            before: policy.map(str::to_owned),
            after: merged,
        };
        let reason = Reason::new("tls-only", format!("{bucket} refuses what does not come over TLS"));
        Decision::Act(Step::Make(Change::Policy(change)), reason)
    }

    /// A statement that denies us, unconditionally, to write the policy. A condition is S3's to judge.
    fn lock_out(&self, policy: &str) -> Option<String> {
        let document = Document::parse(policy).ok()?;
        let bucket_arn = arn(self.bucket, self.role.partition());
        let is_own_role = |principal: &Principal| principal.name() == self.role.as_str();
        let is_us = |principal: &Principal| match principal {
            Principal::Anyone => true,
            Principal::Aws { account, text } => {
                let is_ours = account.as_deref() == Some(self.role.account().as_str());
                is_own_role(principal) || (is_ours && (text.ends_with(":root") || text == self.role.account().as_str()))
            }
            Principal::Service(_) | Principal::Other(..) => false,
        };
        let denies = |(index, statement): (usize, &Statement)| {
            let concerns_us = match statement.excepted() {
                // The account alone excepts its root user, and none of its roles.
                Some(excepted) => !excepted.iter().any(is_own_role),
                None => statement.principals().iter().any(is_us),
            };
            let is_denied = statement.is_deny()
                && statement.condition().is_none()
                && statement.covers("s3:PutBucketPolicy")
                && statement.reaches(&bucket_arn);
            (is_denied && concerns_us).then(|| statement.name(index))
        };
        document.statements().enumerate().find_map(denies)
    }

    fn undo(&self, target: &Target) -> Decision<Change> {
        let name = target.to_string();
        let row = self.standing.iter().find(|row| row.target == name);
        let Some((row, Change::Policy(merged))) = row.map(|row| (row, &row.change)) else {
            return Decision::decline(
                "not-standing",
                "nothing that this function wrote is left here".to_owned(),
            );
        };
        let Some(Governed { policy, .. }) = self.state else {
            return Decision::decline("no-such-bucket", format!("there is no bucket {} any more", self.bucket));
        };
        let policy = policy.as_deref();
        let is_before = says_the_same(policy, merged.before.as_deref());
        if let Phase::Held(_) = row.phase {
            return if is_before {
                Decision::InPlace(Reason::undone_before())
            } else {
                Decision::decline(
                    "not-standing",
                    format!("the policy of {} is no change of ours that stands", self.bucket),
                )
            };
        }
        let reason = Reason::new(
            "restored",
            format!("an operator gave {} back its policy as it was", self.bucket),
        );
        if says_the_same(policy, Some(&merged.after)) {
            Decision::Act(Step::Revert(Change::Policy(merged.clone())), reason)
        } else if is_before {
            Decision::InPlace(reason)
        } else {
            let difference = difference(&merged.after, policy);
            Decision::decline(
                "changed-since",
                format!("the policy of {} has been changed since: {difference}", self.bucket),
            )
        }
    }
}

/// What merging our statement into a policy comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// The policy says it already.
    Present,
    /// The new text.
    Text(String),
}

/// Adds the statement to a policy. Every other statement keeps its text to the byte, and its place.
///
/// # Errors
/// When the policy is not one, or its statements cannot be told apart.
pub fn merge(policy: Option<&str>, bucket: &BucketName, partition: &str) -> Result<Merged, Unreadable> {
    let Some(policy) = policy else {
        let statement = statement(SID, bucket, partition);
        return Ok(Merged::Text(
            json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string(),
        ));
    };
    let document = Document::parse(policy)?;
    if document
        .statements()
        .any(|statement| refuses_plain_http(statement, bucket, partition))
    {
        return Ok(Merged::Present);
    }
    let is_taken = |sid: &String| document.statements().any(|statement| statement.sid() == Some(sid));
    let numbered = (2..).map(|number| format!("{SID}{number}"));
    let sid = std::iter::once(SID.to_owned())
        .chain(numbered)
        .find(|sid| !is_taken(sid));
    let ours = statement(&sid.unwrap_or_default(), bucket, partition);
    document.with(&ours).map(Merged::Text)
}

fn arn(bucket: &BucketName, partition: &str) -> String {
    format!("arn:{partition}:s3:::{bucket}")
}

/// What AWS documents for S3.5: it holds for the bucket and for its objects.
fn statement(sid: &str, bucket: &BucketName, partition: &str) -> Value {
    let arn = arn(bucket, partition);
    json!({
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, format!("{arn}/*")],
        "Condition": { "Bool": { "aws:SecureTransport": "false" } }
    })
}

/// Whether the statement certainly refuses every call on the bucket and its objects that does not come over TLS.
fn refuses_plain_http(statement: &Statement, bucket: &BucketName, partition: &str) -> bool {
    let bucket_arn = arn(bucket, partition);
    let objects = format!("{bucket_arn}/");
    let field = |name: &str| statement.field(name).map(texts).unwrap_or_default();
    let is_everybody = match statement.field("Principal") {
        Some(Value::String(text)) => text == "*",
        Some(Value::Object(kinds)) => kinds.get("AWS").is_some_and(|named| texts(named).contains(&"*")),
        _ => false,
    };
    let resources = field("Resource");
    let covers_bucket = resources.iter().any(|pattern| matches(pattern, &bucket_arn));
    // All objects, if the part before the last `*` gets as far as the slash.
    let covers_objects = resources
        .iter()
        .any(|pattern| pattern.ends_with('*') && matches(pattern, &objects));
    let on_http = || {
        let mut operators = statement.condition()?.iter();
        let (operator, keys) = operators.next()?;
        let mut keys = keys.as_object()?.iter();
        let (key, value) = keys.next()?;
        let is_false = match value {
            Value::Bool(flag) => !flag,
            other => texts(other) == ["false"],
        };
        let is_alone = operators.next().is_none() && keys.next().is_none();
        Some(is_alone && operator == "Bool" && key.eq_ignore_ascii_case("aws:SecureTransport") && is_false)
    };
    statement.is_deny()
        && statement.has_only(&["Sid", "Effect", "Principal", "Action", "Resource", "Condition"])
        && is_everybody
        && field("Action")
            .iter()
            .any(|action| *action == "*" || action.eq_ignore_ascii_case("s3:*"))
        && covers_bucket
        && covers_objects
        && on_http().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket() -> BucketName {
        BucketName::parse("orders").unwrap()
    }

    fn merged(policy: &str) -> Option<String> {
        match merge(Some(policy), &bucket(), "aws").unwrap() {
            Merged::Present => None,
            Merged::Text(text) => Some(text),
        }
    }

    #[test]
    fn the_rest_of_the_text_stays_as_it_is() {
        let ours = statement(SID, &bucket(), "aws").to_string();
        for (before, after) in [
            (r#"{"Statement":[]}"#, format!(r#"{{"Statement":[{ours}]}}"#)),
            (
                r#"{ "Statement" : [ ] , "Id":"x"}"#,
                format!(r#"{{ "Statement" : [ {ours}] , "Id":"x"}}"#),
            ),
            (
                "{\n  \"Statement\": [\n    {\"Effect\" : \"Allow\",\"Action\":\"s3:*\"}\n  ]\n}",
                format!("{{\n  \"Statement\": [\n    {{\"Effect\" : \"Allow\",\"Action\":\"s3:*\"}},{ours}\n  ]\n}}"),
            ),
            (
                r#"{"Statement":{"Sid":"é","Effect":"Allow"},"Version":"2008-10-17"}"#,
                format!(r#"{{"Statement":[{{"Sid":"é","Effect":"Allow"}},{ours}],"Version":"2008-10-17"}}"#),
            ),
        ] {
            assert_eq!(merged(before), Some(after), "{before}");
        }
    }

    #[test]
    fn once_is_enough_however_it_is_written() {
        let first = merged(r#"{"Statement":[]}"#).unwrap();
        assert_eq!(merged(&first), None);
        let form = |principal: &str, action: &str, resource: &str, condition: &str| {
            format!(
                r#"{{"Statement":[{{"Effect":"Deny","Principal":{principal},"Action":{action},"Resource":{resource},"Condition":{condition}}}]}}"#
            )
        };
        let (all, both) = (r#""s3:*""#, r#"["arn:aws:s3:::orders","arn:aws:s3:::orders/*"]"#);
        let http = r#"{"Bool":{"aws:SecureTransport":"false"}}"#;
        for present in [
            form(r#""*""#, all, both, http),
            form(
                r#"{"AWS":["*"]}"#,
                r#"["S3:*"]"#,
                r#""arn:aws:s3:::orders*""#,
                r#"{"Bool":{"AWS:securetransport":[false]}}"#.replace("[false]", "false").as_str(),
            ),
            form(
                r#"{"AWS":"*"}"#,
                r#""*""#,
                r#""*""#,
                r#"{"Bool":{"aws:SecureTransport":["false"]}}"#,
            ),
        ] {
            assert_eq!(merged(&present), None, "{present}");
        }
        for absent in [
            form(r#"{"AWS":"111122223333"}"#, all, both, http),
            form(r#""*""#, r#""s3:GetObject""#, both, http),
            form(r#""*""#, all, r#""arn:aws:s3:::orders/*""#, http),
            form(r#""*""#, all, r#""arn:aws:s3:::orders""#, http),
            form(
                r#""*""#,
                all,
                r#"["arn:aws:s3:::orders","arn:aws:s3:::orders/?"]"#,
                http,
            ),
            form(r#""*""#, all, r#""arn:aws:s3:::Orders*""#, http),
            form(r#""111122223333""#, all, both, http),
            form(r#""*""#, all, both, r#"{"Bool":{"aws:SecureTransport":"true"}}"#),
            form(
                r#""*""#,
                all,
                both,
                r#"{"Bool":{"aws:SecureTransport":"false","aws:ViaAWSService":"false"}}"#,
            ),
            form(
                r#""*""#,
                all,
                both,
                r#"{"Bool":{"aws:SecureTransport":"false"},"StringEquals":{"a":"b"}}"#,
            ),
            form(r#""*""#, all, both, http).replace("Deny", "Allow"),
            form(r#""*""#, all, both, http).replace("Principal", "NotPrincipal"),
        ] {
            assert!(merged(&absent).is_some(), "{absent}");
        }
    }

    #[test]
    fn a_sid_that_is_taken_is_not_taken_twice() {
        let text = merged(r#"{"Statement":[{"Sid":"SecureCartTlsOnly","Effect":"Allow"},{"Sid":"SecureCartTlsOnly2","Effect":"Allow"}]}"#).unwrap();
        assert!(text.contains(r#""Sid":"SecureCartTlsOnly3""#), "{text}");
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"Statement":"x"}"#,
            r#"{"Statement":[1]}"#,
            r#"{"Statement":[],"Statement":[]}"#,
        ] {
            assert!(merge(Some(text), &bucket(), "aws").is_err(), "{text}");
        }
    }
}
