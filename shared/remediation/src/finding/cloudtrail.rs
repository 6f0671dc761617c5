//! API calls as CloudTrail records them. Two matter here: the creation of a bucket, and a rule that lets traffic into a security group.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Channel, Detail, Envelope, Evidence, Finding, FindingError, IngressAuthorized, Severity, lenient, read_time,
    required,
};
use crate::ids::{AccountId, FindingId, FindingVersion, Region};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default, rename = "eventID", deserialize_with = "lenient::text")]
    event_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    event_source: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    event_name: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    event_time: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    aws_region: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    error_code: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    recipient_account_id: Option<String>,
    #[serde(default)]
    user_identity: lenient::Object,
    /// `null` for some calls.
    #[serde(default)]
    request_parameters: lenient::Object,
    #[serde(default)]
    response_elements: Value,
}

/// Reads an `AWS API Call via CloudTrail` event; `None` for any other call than these two.
pub(crate) fn from_cloudtrail(event: &Envelope) -> Result<Option<Finding>, FindingError> {
    let raw: Raw =
        serde_json::from_str(event.detail.get()).map_err(|error| FindingError::malformed("detail", &error))?;
    let (kind, severity) = match (raw.event_source.as_deref(), raw.event_name.as_deref()) {
        (Some("s3.amazonaws.com"), Some(name @ "CreateBucket")) => (name, Severity::Medium),
        (Some("ec2.amazonaws.com"), Some(name @ "AuthorizeSecurityGroupIngress")) => (name, Severity::High),
        _ => return Ok(None),
    };
    let kind = kind.to_owned();
    let detail = if raw.error_code.is_some() {
        Detail::Other(format!("a failed {kind}"))
    } else if kind == "CreateBucket" {
        let bucket = raw.request_parameters.get(&["bucketname"]);
        Detail::BucketCreated(required(bucket, "detail.requestParameters.bucketName")?)
    } else {
        Detail::IngressAuthorized(opened(
            raw.request_parameters.get(&["groupid"]),
            &raw.response_elements,
        )?)
    };
    let account = raw
        .recipient_account_id
        .or_else(|| raw.user_identity.get(&["accountid"]));
    let account = account.or_else(|| event.account.clone());
    let time = required(raw.event_time, "detail.eventTime")?;
    let region = raw.aws_region.or_else(|| event.region.clone());
    Ok(Some(Finding {
        evidence: Evidence {
            id: FindingId::new(required(raw.event_id, "detail.eventID")?),
            observed_at: event.observed(read_time(&time), &time, "detail.eventTime")?,
            version: FindingVersion::new(time),
            channel: Channel::Direct,
            kind,
            severity,
            account: AccountId::new(required(account, "detail.recipientAccountId")?),
            region: Region::new(required(region, "detail.awsRegion")?),
        },
        archived: false,
        sample: false,
        answered: false,
        asked: None,
        suppressed: false,
        detail,
    }))
}

/// What the request says comes in two forms, and with the group's name in place of its id; the answer names the rules.
fn opened(group: Option<String>, answer: &Value) -> Result<IngressAuthorized, FindingError> {
    let rules = answer.pointer("/securityGroupRuleSet/items").and_then(Value::as_array);
    let texts = |name: &str| -> Vec<String> {
        let rules = rules.into_iter().flatten();
        let texts = rules.filter_map(|rule| rule.get(name).and_then(Value::as_str));
        texts.map(str::to_owned).collect()
    };
    let group = group.or_else(|| texts("groupId").into_iter().next());
    Ok(IngressAuthorized {
        group: required(group, "detail.requestParameters.groupId")?,
        rules: texts("securityGroupRuleId"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn detail() -> Value {
        json!({
            "eventVersion": "1.11",
            "userIdentity": {
                "type": "IAMUser",
                "principalId": "AIDA2EXAMPLECHECKOUT0",
                "arn": "arn:aws:iam::111122223333:user/checkout-deploy",
                "accountId": "111122223333",
                "accessKeyId": "AKIAEXAMPLECHECKOUT0",
                "userName": "checkout-deploy"
            },
            "eventTime": "2026-11-20T09:18:44Z",
            "eventSource": "s3.amazonaws.com",
            "eventName": "CreateBucket",
            "awsRegion": "eu-central-1",
            "sourceIPAddress": "203.0.113.10",
            "requestParameters": {
                "CreateBucketConfiguration": {"LocationConstraint": "eu-central-1"},
                "bucketName": "securecart-uploads-111122223333",
                "Host": "s3.eu-central-1.amazonaws.com"
            },
            "responseElements": null,
            "eventID": "0b1c2d3e-0000-4000-8000-000000000001",
            "readOnly": false,
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "recipientAccountId": "111122223333",
            "eventCategory": "Management"
        })
    }

    fn read(detail: &Value) -> Result<Option<Finding>, FindingError> {
        from_cloudtrail(&Envelope::sample("aws.s3", "AWS API Call via CloudTrail", &[], detail))
    }

    #[test]
    fn a_new_bucket() {
        let finding = read(&detail()).unwrap().unwrap();
        assert_eq!(finding.evidence.id.as_str(), "0b1c2d3e-0000-4000-8000-000000000001");
        assert_eq!(finding.evidence.region.as_str(), "eu-central-1");
        assert_eq!(finding.evidence.kind, "CreateBucket");
        assert_eq!(
            finding.detail,
            Detail::BucketCreated("securecart-uploads-111122223333".to_owned())
        );
    }

    #[test]
    fn a_call_that_failed_and_calls_that_are_none_of_ours() {
        let mut failed = detail();
        failed["errorCode"] = "BucketAlreadyExists".into();
        failed["requestParameters"] = Value::Null;
        let finding = read(&failed).unwrap().unwrap();
        assert_eq!(finding.detail, Detail::Other("a failed CreateBucket".to_owned()));
        for (field, value) in [
            ("eventName", "DeleteBucket"),
            ("eventSource", "s3express.amazonaws.com"),
        ] {
            let mut other = detail();
            other[field] = value.into();
            assert_eq!(read(&other).unwrap(), None);
        }
    }

    #[test]
    fn a_rule_that_lets_traffic_in_by_either_form_of_the_request() {
        let opened = |request: Value, response: Value| {
            let mut detail = detail();
            detail["eventSource"] = "ec2.amazonaws.com".into();
            detail["eventName"] = "AuthorizeSecurityGroupIngress".into();
            detail["requestParameters"] = request;
            detail["responseElements"] = response;
            let event = Envelope::sample("aws.ec2", "AWS API Call via CloudTrail", &[], &detail);
            from_cloudtrail(&event).map(|finding| finding.unwrap().detail)
        };
        let rules = json!({"securityGroupRuleSet": {"items": [
            {"groupId": "sg-1", "securityGroupRuleId": "sgr-1"}, {"groupId": "sg-1", "securityGroupRuleId": "sgr-2"}, {"x": 1}
        ]}});
        let expected = |rules: &[&str]| {
            let rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
            Detail::IngressAuthorized(IngressAuthorized {
                group: "sg-1".to_owned(),
                rules,
            })
        };
        let named = json!({"groupId": "sg-1", "ipPermissions": {"items": []}});
        assert_eq!(opened(named, rules.clone()).unwrap(), expected(&["sgr-1", "sgr-2"]));
        let flat =
            json!({"groupId": "sg-1", "ipPermissions": {}, "ipProtocol": "tcp", "fromPort": 22, "cidrIp": "0.0.0.0/0"});
        assert_eq!(opened(flat, Value::Null).unwrap(), expected(&[]));
        assert_eq!(
            opened(json!({"groupName": "default"}), rules).unwrap(),
            expected(&["sgr-1", "sgr-2"])
        );
        let nameless = opened(json!({"groupName": "default"}), json!({"_return": true})).unwrap_err();
        assert_eq!(nameless.to_string(), "detail.requestParameters.groupId is missing");
    }

    #[test]
    fn without_parameters_the_bucket_is_missing() {
        for parameters in [json!(null), json!({}), json!([]), json!({"bucketName": ""})] {
            let mut detail = detail();
            detail["requestParameters"] = parameters;
            assert_eq!(
                read(&detail).unwrap_err().to_string(),
                "detail.requestParameters.bucketName is missing"
            );
        }
    }
}
