//! Input that nobody honest sends: too deep, too large, of another form than it claims, or with characters that are not seen.
//! Whatever it is, it is refused with a reason or taken for no more than it says, within a bound of time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::{
    collections::BTreeSet,
    net::IpAddr,
    time::{Duration, Instant},
};

use remediation::{
    accounts::Accounts,
    finding::{Action, Detail, Finding, Verdict},
    ids::{AccountId, BucketName, KeyId, PrincipalName, RecordId, RoleArn, UniqueId},
    intake::{self, Command, Intake, Invocation},
    ledger::ScopeKey,
    notice::Notice,
    outcome::{Outcome, Reason},
    policy::{Document, Narrowed, Principal, includes, matches, may_meet},
    report::Report,
    settings::{self, Net},
};
use serde_json::{Value, json};

/// A development build on a busy machine; what takes quadratic time takes minutes.
const SOON: Duration = Duration::from_secs(20);

fn soon<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    let took = begun.elapsed();
    assert!(took < SOON, "{what} took {took:?}");
    done
}

/// Each source, and a detail that it takes.
fn sources() -> Vec<(&'static str, &'static str, Value)> {
    let at = "2026-11-20T09:12:00Z";
    let iam = json!([{"Type": "AwsIamUser", "Id": "arn:aws:iam::111122223333:user/a"}]);
    vec![
        (
            "aws.guardduty",
            "GuardDuty Finding",
            json!({
                "id": "f", "type": "UnauthorizedAccess:EC2/SSHBruteForce", "accountId": "111122223333", "region": "us-east-1",
                "updatedAt": at, "severity": 2, "resource": {"accessKeyDetails": {"userName": "a"}},
                "service": {"resourceRole": "TARGET", "action": {"actionType": "NETWORK_CONNECTION", "networkConnectionAction": {
                    "connectionDirection": "INBOUND", "remoteIpDetails": {"ipAddressV4": "198.51.100.7"}}}},
            }),
        ),
        (
            "aws.securityhub",
            "Security Hub Findings - Imported",
            json!({"findings": [{
                "Id": "f", "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/securityhub", "AwsAccountId": "111122223333",
                "Region": "us-east-1", "UpdatedAt": at, "Types": ["t"], "Compliance": {"Status": "FAILED", "SecurityControlId": "IAM.3"},
                "Resources": iam,
            }]}),
        ),
        (
            "aws.securityhub",
            "Findings Imported V2",
            json!({"findings": [{
                "metadata": {"uid": "m", "product": {"uid": "arn:aws:securityhub:us-east-1::productv2/aws/securityhub"}},
                "finding_info": {"uid": "f", "modified_time_dt": at, "types": ["t"]},
                "cloud": {"account": {"uid": "111122223333"}, "region": "us-east-1"},
                "compliance": {"control": "IAM.3", "status_id": 3},
            }]}),
        ),
        (
            "aws.config",
            "Config Rules Compliance Change",
            json!({
                "resourceId": "r", "resourceType": "AWS::IAM::User", "awsAccountId": "111122223333", "awsRegion": "us-east-1",
                "configRuleName": "access-keys-rotated", "newEvaluationResult": {"complianceType": "NON_COMPLIANT", "resultRecordedTime": at},
            }),
        ),
        (
            "aws.access-analyzer",
            "Unused Access Finding for IAM entities",
            json!({
                "findingId": "f", "resource": "arn:aws:iam::111122223333:user/a", "resourceType": "AWS::IAM::User",
                "accountId": "111122223333", "region": "us-east-1", "updatedAt": at, "findingType": "UnusedIAMUserAccessKey", "status": "ACTIVE",
            }),
        ),
        (
            "aws.access-analyzer",
            "Access Analyzer Finding",
            json!({
                "id": "f", "resource": "arn:aws:s3:::a", "resourceType": "AWS::S3::Bucket", "accountId": "111122223333",
                "region": "us-east-1", "updatedAt": at, "status": "ACTIVE", "principal": {"AWS": "999988887777"},
            }),
        ),
        (
            "aws.s3",
            "AWS API Call via CloudTrail",
            json!({
                "eventID": "f", "eventSource": "s3.amazonaws.com", "eventName": "CreateBucket", "eventTime": at, "awsRegion": "us-east-1",
                "recipientAccountId": "111122223333", "requestParameters": {"bucketName": "a"},
            }),
        ),
        (
            "aws.health",
            "AWS Health Event",
            json!({
                "eventArn": "arn:aws:health:us-east-1::event/f", "service": "RISK", "eventTypeCode": "AWS_RISK_CREDENTIALS_EXPOSED",
                "communicationId": "c", "lastUpdatedTime": "Fri, 20 Nov 2026 09:12:00 GMT", "affectedAccount": "111122223333",
                "eventRegion": "us-east-1", "affectedEntities": [{"entityValue": "AKIAEXAMPLE00000"}],
            }),
        ),
    ]
}

fn event(source: &str, detail_type: &str, detail: &str) -> String {
    format!(r#"{{"source":"{source}","detail-type":"{detail_type}","account":"111122223333","detail":{detail}}}"#)
}

fn findings(payload: &str) -> Result<Vec<Finding>, String> {
    match intake::read(payload).map_err(|error| error.to_string())? {
        Invocation::Event(Intake::Findings(findings)) => Ok(findings),
        Invocation::Event(Intake::Declined(reason)) => Err(reason.to_string()),
        other => panic!("{other:?}"),
    }
}

fn is_seen(text: &str) -> bool {
    let is_mark = |c| matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !text.contains(|c: char| c.is_control() || is_mark(c))
}

/// Escapes of a terminal, ends of lines, a turn of the direction of writing, what has no width.
const HIDDEN: [&str; 7] = [
    "\u{1b}[2J\u{1b}[31m",
    "\r\nSubject: x",
    "\u{0}",
    "\u{202e}gnp",
    "\u{200b}",
    "\u{9b}31m",
    "\u{2028}ERROR",
];

#[test]
fn every_source_is_read() {
    for (source, detail_type, detail) in sources() {
        let read = findings(&event(source, detail_type, &detail.to_string()));
        assert_eq!(read.map(|findings| findings.len()), Ok(1), "{detail_type}");
    }
}

#[test]
fn a_hundred_thousand_levels_are_no_more_than_a_few() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        // serde_json stops at 128.
        let deeper = &format!("{}1{}", open.repeat(1_000), close.repeat(1_000));
        {
            let read = |payload: &str| soon("depth", || intake::read(payload));
            assert!(read(&deep).is_err());
            // Where nothing is read a depth does no harm, and where something is it is refused.
            for (source, detail_type, detail) in sources() {
                let _ = read(&event(source, detail_type, &deep));
                let text = detail.to_string();
                for field in detail.as_object().unwrap().keys() {
                    let mut detail = detail.clone();
                    detail[field] = json!("HERE");
                    let _ = read(&event(
                        source,
                        detail_type,
                        &detail.to_string().replace("\"HERE\"", deeper),
                    ));
                }
                let beside = format!("{},\"more\":{deep}}}", text.strip_suffix('}').unwrap());
                assert!(read(&event(source, detail_type, &beside)).is_ok(), "{detail_type}");
            }
            let batch = json!({"Records": [{"messageId": "m", "body": deep}]}).to_string();
            match read(&batch) {
                Ok(Invocation::Batch(messages)) => assert!(messages[0].intake.is_err()),
                other => panic!("{other:?}"),
            }
            for command in ["explain", "undo", "approve"] {
                assert!(read(&format!(r#"{{"{command}":{deep}}}"#)).is_err());
            }
            assert!(Document::parse(&deep).is_err());
            assert!(Document::parse(&format!(r#"{{"Statement":[{{"Effect":"Allow","Condition":{deep}}}]}}"#)).is_err());
            assert!(settings::Document::parse(&deep).is_err());
            assert!(settings::Document::parse(&format!(r#"{{"exemptions":{deep}}}"#)).is_err());
        }
    }
}

#[test]
fn a_quarter_of_a_megabyte_in_any_field_is_read_in_time() {
    let long = "x".repeat(1 << 18);
    for (source, detail_type, detail) in sources() {
        let mut places = Vec::new();
        leaves(&detail, "", &mut places);
        soon(detail_type, || {
            for place in places {
                let mut detail = detail.clone();
                *detail.pointer_mut(&place).unwrap() = json!(long);
                let payload = event(source, detail_type, &detail.to_string());
                match findings(&payload) {
                    // What is told is cut, and what is told of an error says where and quotes a little.
                    Ok(findings) => {
                        let notice = notice_of(&findings[0], &long);
                        assert!(notice.subject.len() <= 100);
                        let description = notice.chat.pointer("/content/description").unwrap();
                        assert!(description.as_str().unwrap().chars().count() <= 3000);
                    }
                    Err(error) => assert!(error.len() < 1000, "{place}: {} bytes", error.len()),
                }
            }
        });
    }
}

fn leaves(value: &Value, at: &str, places: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                leaves(value, &format!("{at}/{name}"), places);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                leaves(value, &format!("{at}/{index}"), places);
            }
        }
        _ => places.push(at.to_owned()),
    }
}

/// More than fit into the megabyte that a message may have.
const MANY: usize = 30_000;

fn many(entry: impl Fn(usize) -> Value) -> Value {
    (0..MANY).map(entry).collect::<Vec<_>>().into()
}

#[test]
fn tens_of_thousands_of_anything_are_read_in_time() {
    let sources = sources();
    let payload = |index: usize, change: &dyn Fn(&mut Value)| {
        let (source, detail_type, mut detail) = sources[index].clone();
        change(&mut detail);
        event(source, detail_type, &detail.to_string())
    };
    let guardduty = |path: &str, value: Value| {
        payload(0, &|detail| {
            let service = detail["service"].as_object_mut().unwrap();
            service.remove("action");
            match path {
                "probes" => {
                    service.insert(
                        "action".to_owned(),
                        json!({"actionType": "PORT_PROBE", "portProbeAction": {"portProbeDetails": value}}),
                    );
                }
                other => {
                    service.insert("detection".to_owned(), json!({"sequence": {other: value}}));
                }
            }
        })
    };
    let address = |n: usize| format!("198.{}.{}.{}", 18 + n / 65_536, n / 256 % 256, n % 256);
    let key = |n: usize| format!("AKIA{n:012}");
    for (what, payload) in [
        (
            "probes",
            guardduty(
                "probes",
                many(|n| json!({"remoteIpDetails": {"ipAddressV4": address(n)}})),
            ),
        ),
        (
            "actors",
            guardduty(
                "actors",
                many(|n| json!({"user": {"name": "a", "credentialUid": key(n)}})),
            ),
        ),
        (
            "keys",
            guardduty(
                "resources",
                many(|n| json!({"uid": key(n), "data": {"accessKey": {"principalId": n}}})),
            ),
        ),
        (
            "endpoints",
            guardduty(
                "endpoints",
                many(|n| json!({"id": n, "ip": address(n), "connection": {"direction": "INBOUND"}})),
            ),
        ),
        (
            "signals",
            guardduty(
                "signals",
                many(|n| json!({"endpointIds": [n], "signalIndicators": [{"key": "TOR_IP"}]})),
            ),
        ),
        (
            "resources",
            payload(1, &|detail| {
                detail["findings"][0]["Resources"] = many(|n| json!({"Type": "AwsIamUser", "Id": n}));
            }),
        ),
        (
            "credentials",
            payload(1, &|detail| {
                let finding = &mut detail["findings"][0];
                finding["ProductArn"] = json!("arn:aws:securityhub:us-east-1::product/aws/guardduty");
                finding["Resources"] = many(|n| json!({"Type": "AwsIamAccessKey", "Id": key(n)}));
            }),
        ),
        (
            "findings",
            payload(1, &|detail| {
                let finding = detail["findings"][0].clone();
                detail["findings"] = vec![finding; MANY].into();
            }),
        ),
        (
            "outsiders",
            payload(2, &|detail| {
                let finding = &mut detail["findings"][0];
                finding["metadata"]["product"]["uid"] =
                    json!("arn:aws:securityhub:us-east-1::productv2/aws/access-analyzer");
                finding["finding_info"]["types"] = json!(["External Access Granted"]);
                finding["resources"] = json!([{"type": "AwsS3Bucket", "uid": "arn:aws:s3:::a"}]);
                finding["evidences"] = many(|n| json!({"data": {"External Principal": format!("{n:012}")}}));
            }),
        ),
        (
            "grantees",
            payload(5, &|detail| {
                detail["principal"]["AWS"] = many(|n| json!(format!("{n:012}")))
            }),
        ),
        (
            "rules",
            payload(6, &|detail| {
                detail["eventSource"] = json!("ec2.amazonaws.com");
                detail["eventName"] = json!("AuthorizeSecurityGroupIngress");
                detail["requestParameters"] = json!({"groupId": "sg-1"});
                detail["responseElements"]["securityGroupRuleSet"]["items"] =
                    many(|n| json!({"securityGroupRuleId": n.to_string()}));
            }),
        ),
        (
            "entities",
            payload(7, &|detail| {
                detail["affectedEntities"] = many(|n| json!({"entityValue": key(n)}))
            }),
        ),
    ] {
        let read = soon(what, || findings(&payload));
        if ["actors", "keys", "credentials"].contains(&what) {
            // Each would be compared with all others, and be a matter of its own.
            assert!(read.unwrap_err().contains("more than 1000 credentials"), "{what}");
            continue;
        }
        let read = read.unwrap_or_else(|error| panic!("{what}: {error}"));
        let sorted = soon(what, || {
            let home = AccountId::new("111122223333");
            let accounts = Accounts {
                home: home.clone(),
                members: BTreeSet::new(),
            };
            accounts.sort(Intake::Findings(read.clone())).remove(&home)
        });
        assert_eq!(sorted, Some(Intake::Findings(read)), "{what}");
    }
    let batch = json!({ "Records": many(|n| json!({"messageId": n.to_string(), "body": "{}"})) }).to_string();
    match soon("records", || intake::read(&batch)) {
        Ok(Invocation::Batch(messages)) => assert_eq!(messages.len(), MANY),
        other => panic!("{other:?}"),
    }
}

/// As large as IAM and S3 take them, and larger.
#[test]
fn large_policies_are_compared_in_time() {
    let patterns = |prefix: &str| (0..400).map(|n| format!("{prefix}{n}*")).collect::<Vec<_>>();
    let policy = |actions: Vec<String>, resources: Vec<String>| {
        json!({"Statement": [{"Effect": "Allow", "Action": actions, "Resource": resources}]}).to_string()
    };
    let wide = policy(patterns("s3:a"), patterns("arn:aws:s3:::b"));
    let narrow = policy(
        patterns("s3:a").split_off(200),
        patterns("arn:aws:s3:::b").split_off(200),
    );
    soon("pairs", || {
        assert!(Narrowed::prove(Some(&wide), Some(&narrow)).is_ok());
        assert!(Narrowed::prove(Some(&narrow), Some(&wide)).is_err());
    });
    let statements: Vec<_> = (0..400)
        .map(|n| json!({"Effect": "Allow", "Action": format!("s3:a{n}"), "Resource": format!("arn:aws:s3:::{n}")}))
        .collect();
    let scattered = json!({ "Statement": statements }).to_string();
    soon("statements", || {
        assert!(Narrowed::prove(Some(&scattered), Some(&scattered)).is_ok());
        assert!(Narrowed::prove(Some(&scattered), Some(&wide)).is_err());
    });
    let (stars, text) = ("*a".repeat(500), "a".repeat(1_000));
    soon("stars", || {
        assert!(matches(&stars, &text) && !matches(&stars, &format!("{text}b")));
        assert!(includes(&stars, &stars) && may_meet(&stars, &format!("{text}*b*a")));
    });
}

#[test]
fn a_tampered_time_does_not_end_the_verification() {
    use remediation::{
        clock::Timestamp,
        ledger::chain::{Digest, Link, verify},
    };
    let link = Link {
        number: 1,
        previous: Digest::none(),
        at: Timestamp::MAX_UTC,
        records: Vec::new(),
    };
    let now: Timestamp = "2026-11-20T09:12:00Z".parse().unwrap();
    assert_eq!(verify(&[link], &[], now), []);
}

#[test]
fn a_time_that_cannot_be_is_refused() {
    for time in [
        "+262142-12-31 23:59:59",
        "-0001-01-01 00:00:00",
        "0001-01-01T00:00:00Z",
        "1013-11-20T09:12:00Z",
    ] {
        for (source, detail_type, detail) in sources() {
            let text = detail.to_string();
            let text = text.replace("2026-11-20T09:12:00Z", time);
            let text = text.replace("Fri, 20 Nov 2026 09:12:00 GMT", time);
            let error = findings(&event(source, detail_type, &text)).unwrap_err();
            assert!(error.ends_with("is not a time"), "{detail_type}: {error}");
        }
    }
    // Milliseconds since 1970.
    for millis in ["8210266876799999", "-62135596800000", "1e300"] {
        let (source, detail_type, detail) = sources()[2].clone();
        let text = detail.to_string().replace(
            "\"modified_time_dt\":\"2026-11-20T09:12:00Z\"",
            &format!("\"modified_time\":{millis}"),
        );
        assert!(findings(&event(source, detail_type, &text)).is_err(), "{millis}");
    }
}

#[test]
fn what_is_not_utf8_is_no_text() {
    let good = event("aws.config", "Config Rules Compliance Change", "{}");
    for bad in [
        &b"\xff"[..],
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
    ] {
        let mut bytes = good.clone().into_bytes();
        bytes.splice(10..10, bad.iter().copied());
        assert!(String::from_utf8(bytes).is_err());
    }
    // Half of a surrogate pair can be written in JSON, and is no character.
    for half in [r"\ud800", r"\udfff", r"\ud800\ud800", r"\u12"] {
        let (source, detail_type, detail) = sources()[3].clone();
        let text = detail.to_string().replace("\"r\"", &format!("\"{half}\""));
        assert!(findings(&event(source, detail_type, &text)).is_err(), "{half}");
    }
}

fn notice_of(finding: &Finding, text: &str) -> Notice {
    let scope = ScopeKey {
        account: "111122223333",
        remediation: "block-ip",
        scope: "s",
    };
    Notice::of(
        "block-ip",
        &Report {
            record: RecordId::derive(scope, text, &finding.evidence.id, &finding.evidence.version),
            scope: "s".to_owned(),
            target: text.to_owned(),
            evidence: finding.evidence.clone(),
            channels: BTreeSet::new(),
            notice: true,
            repeated: false,
            part: false,
            image: None,
            outcome: Outcome::Escalated(Reason::new("code", text)),
        },
    )
}

#[test]
fn no_name_writes_a_line_of_its_own() {
    let (source, detail_type, detail) = sources()[0].clone();
    let finding = &findings(&event(source, detail_type, &detail.to_string())).unwrap()[0];
    let lines = notice_of(finding, "name").text.lines().count();
    for hidden in HIDDEN {
        for text in [hidden.to_owned(), format!("na{hidden}me"), hidden.repeat(200)] {
            // What the ledger, Security Hub's note, the answer and the log say.
            let outcome = Outcome::Declined(Reason::new("code", text.as_str()));
            assert!(is_seen(&outcome.to_string()), "{outcome:?}");
            let notice = notice_of(finding, &text);
            assert!(notice.subject.is_ascii() && notice.subject.len() <= 100 && is_seen(&notice.subject));
            assert_eq!(notice.text.lines().count(), lines, "{:?}", notice.text);
            assert!(notice.text.lines().all(is_seen), "{:?}", notice.text);
            let mut places = Vec::new();
            leaves(&notice.chat, "", &mut places);
            for text in places.iter().filter_map(|place| notice.chat.pointer(place)?.as_str()) {
                assert!(text.split('\n').all(is_seen), "{text:?}");
            }
        }
    }
    let notice = notice_of(finding, "аdmin ＡＤＭＩＮ @here <!channel>");
    assert!(
        notice.subject.is_ascii(),
        "homoglyphs are not taken for what they look like"
    );
    assert!(!notice.text.contains('@') && !notice.text.contains("<!"));
}

#[test]
fn no_error_writes_a_line_of_its_own() {
    for (source, detail_type, detail) in sources() {
        let mut places = Vec::new();
        leaves(&detail, "", &mut places);
        for place in places {
            for hidden in HIDDEN {
                let mut detail = detail.clone();
                *detail.pointer_mut(&place).unwrap() = json!(hidden);
                match findings(&event(source, detail_type, &detail.to_string())) {
                    Err(error) => assert!(is_seen(&error), "{error:?}"),
                    Ok(findings) => {
                        let evidence = &findings[0].evidence;
                        let named = [
                            evidence.id.as_str(),
                            evidence.account.as_str(),
                            evidence.region.as_str(),
                            &evidence.kind,
                        ];
                        assert!(named.into_iter().all(is_seen), "{place} {evidence:?}");
                    }
                }
            }
        }
    }
    for hidden in HIDDEN {
        for payload in [
            json!({ "undo": hidden }),
            json!({ "approve": format!("block-ip-{hidden}") }),
            json!({ hidden: 1 }),
            json!({"source": hidden, "detail-type": hidden, "detail": {}}),
        ] {
            match intake::read(&payload.to_string()) {
                Err(error) => assert!(is_seen(&error.to_string()), "{error}"),
                Ok(Invocation::Event(Intake::Declined(reason))) => assert!(is_seen(&reason.to_string()), "{reason}"),
                Ok(other) => panic!("{other:?}"),
            }
        }
        let by = json!({"undo": "block-ip-0123456789abcdef01234567", "by": format!("{hidden}ann")}).to_string();
        match intake::read(&by) {
            Ok(Invocation::Command(Command::Undo(order))) => assert!(is_seen(&order.by), "{:?}", order.by),
            other => panic!("{other:?}"),
        }
        let twice = json!({ "functions": { hidden: {}, "block-ip": 7 }, hidden: 1 }).to_string();
        assert!(is_seen(&settings::Document::parse(&twice).unwrap_err().to_string()));
        let quoted = json!(hidden).to_string();
        let error = Document::parse(&format!(r#"{{"Statement":[],{quoted}:1,{quoted}:2}}"#)).unwrap_err();
        assert!(is_seen(&error.to_string()), "{error}");
    }
}

#[test]
fn an_arn_is_what_it_says_and_nothing_else() {
    for text in [
        "arn:aws:iam::11112222333:role/a",
        "arn:aws:iam::1111222233334:role/a",
        "arn:aws:iam::１１１１２２２２３３３３:role/a",
        "arn:aws:iam:us-east-1:111122223333:role/a",
        "arn:aws:iam::*:role/a",
        "arn:aws:iam::111122223333:*",
        "arn:aws:iam:::111122223333:role/a",
        "arn::iam::111122223333:role/a",
        "ARN:aws:iam::111122223333:role/a",
        " arn:aws:iam::111122223333:role/a",
        "arn:aws:sts::111122223333:assumed-role/a/b",
    ] {
        assert!(RoleArn::parse(text).is_err(), "{text}");
    }
    for text in [
        "11112222333",
        "1111222233334",
        "１１１１２２２２３３３３",
        "111122223333 ",
        "+11122223333",
        "11112222333a",
    ] {
        assert!(AccountId::parse(text).is_err(), "{text}");
    }
    for text in [
        "a*",
        "a/b",
        "а",
        "a b",
        "a\n",
        "",
        "${aws:username}",
        "a:b",
        &"a".repeat(129),
    ] {
        assert!(PrincipalName::parse(text).is_none(), "{text}");
        assert!(text.len() > 100 || BucketName::parse(text).is_none(), "{text}");
    }
    for text in [
        "AIDA",
        "AIDA1234567é",
        "aida2EXAMPLECHECKOUT0",
        "AKIA2EXAMPLE:*",
        "ASIA2EXAMPLECHECKOUT0",
    ] {
        assert!(
            UniqueId::parse(text).is_none() && KeyId::parse(text).is_none(),
            "{text}"
        );
    }
    // Whose a principal is, only an account at its place says.
    for (text, account) in [
        ("111122223333", Some("111122223333")),
        ("arn:aws:iam::111122223333:root", Some("111122223333")),
        (
            "arn:aws:iam::111122223333:role/arn:aws:iam::444455556666:root",
            Some("111122223333"),
        ),
        ("arn:aws:iam::*:root", None),
        ("arn:aws:iam::11112222333?:root", None),
        ("arn:aws:iam:::111122223333:root", None),
        ("1111222233334", None),
    ] {
        match Principal::new("AWS", text) {
            Principal::Aws { account: read, .. } => assert_eq!(read.as_deref(), account, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    assert_eq!(Principal::new("AWS", "*"), Principal::Anyone);
}

/// Whichever account the envelope is from: a finding is about the one that it says, and the ARN in it goes before.
#[test]
fn a_finding_about_another_account_is_not_dealt_with_here() {
    let accounts = Accounts {
        home: AccountId::new("111122223333"),
        members: BTreeSet::from([AccountId::new("444455556666")]),
    };
    for stated in [
        "999988887777",
        "4444555566667",
        "44445555666",
        "４４４４５５５５６６６６",
        "444455556666 ",
        "*",
        "4444????6666",
    ] {
        assert_eq!(accounts.of(&AccountId::new(stated)), &accounts.home, "{stated}");
    }
    let (source, detail_type, mut detail) = sources()[1].clone();
    let finding = &mut detail["findings"][0];
    finding["ProductArn"] = json!("arn:aws:securityhub:us-east-1::product/aws/access-analyzer");
    finding["Types"] = json!(["Software and Configuration Checks/Unused IAM User Access Key"]);
    finding["Resources"] = json!([{"Type": "AwsIamUser", "Id": "arn:aws:iam::999988887777:user/a"}]);
    let read = findings(&event(source, detail_type, &detail.to_string())).unwrap();
    assert_eq!(read[0].evidence.account.as_str(), "999988887777");
}

fn remotes(address: &str) -> Result<Vec<IpAddr>, String> {
    let (source, detail_type, mut detail) = sources()[0].clone();
    detail["service"]["action"]["networkConnectionAction"]["remoteIpDetails"]["ipAddressV4"] = json!(address);
    let finding = findings(&event(source, detail_type, &detail.to_string()))?.remove(0);
    let Detail::Threat(threat) = finding.detail else {
        panic!("{finding:?}")
    };
    match threat.action.map_err(|error| error.to_string())? {
        Action::NetworkConnection { remotes, .. } => Ok(remotes),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_address_is_written_in_one_way() {
    for text in [
        "010.0.0.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "127.1",
        "1.2.3.4/0",
        "1.2.3.4/32",
        "1.2.3.4, 5.6.7.8",
        "1.2.3.4 5.6.7.8",
        "1.2.3.256",
        "1.2.3.-4",
        "+1.2.3.4",
        "1.2.3.4.",
        "１.2.3.4",
        "1。2。3。4",
        "fe80::1%eth0",
        "[2001:db8::1]",
        "2001:db8::1:",
        "1.2.3.4\u{0}",
        "1.2.3.4\u{200b}",
        "localhost",
        "*",
    ] {
        let read = remotes(text);
        assert!(
            read.as_ref()
                .is_err_and(|error| error.contains("is not an IP address") && is_seen(error)),
            "{text}: {read:?}"
        );
        assert!(Net::parse(text).is_err() || ["1.2.3.4/32"].contains(&text), "{text}");
    }
    for (text, address) in [
        (" 198.51.100.7\n", "198.51.100.7"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::FFFF:0a00:0001", "10.0.0.1"),
        ("0:0:0:0:0:ffff:198.51.100.7", "198.51.100.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
    ] {
        assert_eq!(remotes(text).unwrap(), [address.parse::<IpAddr>().unwrap()], "{text}");
    }
    for text in [
        "1.2.3.4/0",
        "1.2.3.4/33",
        "1.2.3.4/-1",
        "1.2.3.4/024",
        "10.0.0.0/8 ",
        " 10.0.0.0/8",
        "::/129",
        "1.2.3.4/",
        "/8",
    ] {
        assert!(Net::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_verdict_is_a_word_that_is_known() {
    for word in [
        "FAILED ",
        "failed",
        "ＦＡＩＬＥＤ",
        "FA\u{200b}ILED",
        "NON_COMPLIANT",
        "",
    ] {
        let (source, detail_type, mut detail) = sources()[1].clone();
        detail["findings"][0]["Compliance"]["Status"] = json!(word);
        let finding = findings(&event(source, detail_type, &detail.to_string()))
            .unwrap()
            .remove(0);
        match finding.detail {
            Detail::Compliance(compliance) => {
                assert_eq!(compliance.verdict, Verdict::Unknown(word.to_owned()));
                let why = compliance.is_no_violation("IAM.3").unwrap();
                assert!(is_seen(&why.to_string()), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
}
