//! `template.yaml` and the code say the same thing. No emulator is needed for it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use local_cloud::logical;
use remediation::{
    clock::{Clock, SystemClock, Timestamp},
    ids::RoleArn,
    settings::{Document, InvalidSettings, Mode, SettingsReader},
};
use serde_json::Value;

/// What one function's block of the template has to say.
struct Function {
    name: &'static str,
    /// The settings that it reads, beside those of the runtime.
    settings: &'static [&'static str],
    /// Every action that its role allows beside the common ones, and what needs it.
    actions: &'static [(&'static str, &'static str)],
    /// Statements that AWS knows no resources for.
    anywhere: &'static [&'static str],
    /// Reads the settings, and says how far they go by default.
    read: fn(SettingsReader) -> Result<Mode, InvalidSettings>,
}

const FUNCTIONS: [Function; 7] = [
    Function {
        name: "block-ip",
        settings: &["BLOCK_IPV4_SETS", "BLOCK_IPV6_SETS"],
        actions: &[
            ("wafv2:GetIPSet", "looks at a set before and after"),
            ("wafv2:UpdateIPSet", "the one write"),
            ("dynamodb:DeleteItem", "a block that is over leaves the ledger"),
        ],
        anywhere: &[],
        read: |reader| {
            let environment = block_ip::Environment::read(reader)?;
            Ok(block_ip::Settings::read(&environment, &settings())?.policy.mode)
        },
    },
    Function {
        name: "block-public-access",
        settings: &[],
        actions: &[
            ("s3:ListBucket", "HeadBucket: is it there, and in which Region"),
            ("s3:GetBucketPublicAccessBlock", "looks before and after"),
            (
                "s3:PutBucketPublicAccessBlock",
                "PutPublicAccessBlock and DeletePublicAccessBlock",
            ),
            (
                "s3:GetBucketWebsite",
                "whether the bucket is a website, which everybody is meant to read",
            ),
        ],
        anywhere: &[],
        read: |reader| {
            reader.finish(Some(()))?;
            Ok(block_public_access::Settings::read(&settings())?.policy.mode)
        },
    },
    Function {
        name: "close-open-ingress",
        settings: &[],
        actions: &[
            ("ec2:DescribeSecurityGroups", "is it there, and what is it called"),
            ("ec2:DescribeSecurityGroupRules", "looks before and after"),
            ("ec2:RevokeSecurityGroupIngress", "closes"),
            ("ec2:AuthorizeSecurityGroupIngress", "opens again, for undo"),
            ("ec2:CreateTags", "a rule's tags are given with it"),
        ],
        anywhere: &["Look"],
        read: |reader| {
            reader.finish(Some(()))?;
            Ok(close_open_ingress::Settings::read(&settings())?.policy.mode)
        },
    },
    Function {
        name: "disable-access-key",
        settings: &["OWN_ROLES"],
        actions: &[
            ("iam:ListUsers", "finds a user by its id"),
            ("iam:GetUser", "finds a user by its name, and its password's last use"),
            ("iam:GetLoginProfile", "a password's age"),
            ("iam:GetUserPolicy", "looks for our deny on a user"),
            ("iam:ListAccessKeys", "looks at keys before and after"),
            ("iam:GetAccessKeyLastUsed", "a key's last use, and its owner"),
            ("iam:UpdateAccessKey", "disables and re-activates"),
            ("iam:GetRole", "finds a role, and where it comes from"),
            ("iam:GetRolePolicy", "looks for our deny on a role"),
            ("iam:PutUserPolicy", "cuts a user's sessions"),
            ("iam:DeleteUserPolicy", "gives them back"),
            ("iam:PutRolePolicy", "cuts a role's sessions"),
            ("iam:DeleteRolePolicy", "gives them back"),
            (
                "dynamodb:DeleteItem",
                "a change by rule leaves the ledger when its key is compromised",
            ),
        ],
        anywhere: &["FindUsers"],
        read: |reader| {
            let environment = disable_access_key::Environment::read(reader)?;
            Ok(disable_access_key::Settings::read(&environment, &settings())?
                .policy
                .mode)
        },
    },
    Function {
        name: "enforce-s3-encryption",
        settings: &[],
        actions: &[
            ("s3:ListBucket", "HeadBucket: is it there, and in which Region"),
            ("s3:GetEncryptionConfiguration", "looks before and after"),
            (
                "s3:PutEncryptionConfiguration",
                "PutBucketEncryption and DeleteBucketEncryption",
            ),
            (
                "s3:GetBucketPolicy",
                "looks before and after, and for who reads the bucket",
            ),
            ("s3:PutBucketPolicy", "merges the statement, and restores"),
            ("s3:DeleteBucketPolicy", "restores a bucket that had none"),
            ("s3:GetBucketAcl", "who reads the bucket"),
            (
                "s3:GetBucketWebsite",
                "whether the bucket is a website, which has no TLS",
            ),
            ("kms:DescribeKey", "whether the chosen key can encrypt"),
            ("kms:GetKeyPolicy", "whether readers from outside may use it"),
        ],
        anywhere: &[],
        read: |reader| {
            reader.finish(Some(()))?;
            Ok(enforce_s3_encryption::Settings::read(&role(), &settings())?.policy.mode)
        },
    },
    Function {
        name: "enforce-storage-encryption",
        settings: &[],
        actions: &[
            ("ec2:GetEbsEncryptionByDefault", "looks before and after"),
            ("ec2:EnableEbsEncryptionByDefault", "switches it on"),
            ("ec2:DisableEbsEncryptionByDefault", "switches it off, for undo"),
        ],
        anywhere: &["EncryptByDefault"],
        read: |reader| {
            reader.finish(Some(()))?;
            Ok(enforce_storage_encryption::Settings::read(&settings())?.policy.mode)
        },
    },
    Function {
        name: "revoke-permissions",
        settings: &["OWN_ROLES"],
        actions: &[
            (
                "iam:GetAccountAuthorizationDetails",
                "who has what, whom a policy reaches, who administers the account",
            ),
            (
                "iam:GetPolicy",
                "looks once more before it writes, and at AWS's policies",
            ),
            (
                "iam:GetPolicyVersion",
                "looks once more before it writes, and at AWS's policies",
            ),
            ("iam:CreatePolicyVersion", "trims a managed policy"),
            ("iam:DeletePolicyVersion", "makes room, and takes our version away"),
            ("iam:SetDefaultPolicyVersion", "restores the version before"),
            ("iam:GetUserPolicy", "looks once more before it writes"),
            ("iam:PutUserPolicy", "trims, and restores"),
            ("iam:DeleteUserPolicy", "deletes what would grant nothing"),
            ("iam:ListAttachedUserPolicies", "looks once more before it detaches"),
            (
                "iam:GetLoginProfile",
                "whether an administrator who would be left can sign in",
            ),
            ("iam:ListAccessKeys", "or has a key that works"),
            ("iam:DetachUserPolicy", "takes a policy off a user"),
            ("iam:AttachUserPolicy", "restores it"),
            ("iam:GetGroupPolicy", "looks once more before it writes"),
            ("iam:PutGroupPolicy", "trims, and restores"),
            ("iam:DeleteGroupPolicy", "deletes what would grant nothing"),
            ("iam:ListAttachedGroupPolicies", "looks once more before it detaches"),
            ("iam:DetachGroupPolicy", "takes a policy off a group"),
            ("iam:AttachGroupPolicy", "restores it"),
            ("iam:GetRole", "looks once more at the trust policy before it writes"),
            ("iam:GetRolePolicy", "looks once more before it writes"),
            ("iam:PutRolePolicy", "trims, quarantines, and restores"),
            (
                "iam:DeleteRolePolicy",
                "deletes what would grant nothing, and lifts a quarantine",
            ),
            ("iam:ListAttachedRolePolicies", "looks once more before it detaches"),
            ("iam:DetachRolePolicy", "takes a policy off a role"),
            ("iam:AttachRolePolicy", "restores it"),
            (
                "iam:UpdateAssumeRolePolicy",
                "takes outsiders out of a trust policy, and restores",
            ),
            ("s3:ListBucket", "HeadBucket: is it there, and in which Region"),
            ("s3:GetBucketPolicy", "looks before and after"),
            (
                "s3:PutBucketPolicy",
                "takes outsiders out of a bucket policy, and restores",
            ),
            ("s3:DeleteBucketPolicy", "deletes what would say nothing"),
            (
                "access-analyzer:GenerateFindingRecommendation",
                "asks for a recommendation",
            ),
            ("access-analyzer:GetFindingRecommendation", "reads it"),
        ],
        anywhere: &["ReadAccount"],
        read: |reader| {
            let environment = revoke_permissions::Environment::read(reader, role())?;
            Ok(revoke_permissions::Settings::read(&environment, &settings(), now())?
                .policy
                .mode)
        },
    },
];

/// The settings that the stack begins with.
fn settings() -> Document {
    Document::parse(properties("Settings")["Value"].as_str().unwrap()).unwrap()
}

fn role() -> RoleArn {
    testkit::role("111122223333")
}

fn now() -> Timestamp {
    SystemClock.now()
}

/// Read by every function's runtime.
const RUNTIME: [&str; 5] = [
    "LEDGER_TABLE",
    "METRICS_NAMESPACE",
    "NOTICE_TOPIC",
    "OWN_ROLE_ARN",
    "SETTINGS_PARAMETER",
];

/// Read by the runtime of those that act in member accounts, too.
const MEMBERS: [&str; 3] = ["MEMBER_ACCOUNTS", "MEMBER_EXTERNAL_ID", "MEMBER_ROLE"];
const IN_MEMBERS: [&str; 6] = [
    "block-public-access",
    "close-open-ingress",
    "disable-access-key",
    "enforce-s3-encryption",
    "enforce-storage-encryption",
    "revoke-permissions",
];

/// Read by the TLS library: the certificates of Lambda's image.
const FOR_TLS: &str = "SSL_CERT_FILE";

/// Allowed to every function by the policy that they share.
const COMMON: [(&str, &str); 12] = [
    ("dynamodb:BatchGetItem", "the ledger finds records"),
    (
        "dynamodb:Query",
        "the ledger reads what stands in a scope, and the end of the chain",
    ),
    ("dynamodb:Query", "the ledger finds what was done about a finding"),
    ("dynamodb:PutItem", "a put in the ledger's transactions"),
    ("dynamodb:UpdateItem", "the ledger takes a turn"),
    (
        "securityhub:BatchUpdateFindings",
        "the reporter answers, in both forms of Security Hub",
    ),
    ("ssm:GetParameter", "the settings"),
    ("sns:Publish", "people are told"),
    ("kms:Decrypt", "by a topic that is encrypted"),
    ("kms:GenerateDataKey", "by a topic that is encrypted"),
    ("xray:PutTraceSegments", "Lambda's tracing"),
    ("xray:PutTelemetryRecords", "Lambda's tracing"),
];

/// Allowed in every role, each on its own queue and log group.
const OWN: [(&str, &str); 5] = [
    ("sqs:ReceiveMessage", "Lambda polls the queue with the function's role"),
    (
        "sqs:DeleteMessage",
        "Lambda deletes what the function did not return as failed",
    ),
    ("sqs:GetQueueAttributes", "Lambda scales by the length of the queue"),
    ("logs:CreateLogStream", "Lambda writes the log with the function's role"),
    ("logs:PutLogEvents", "Lambda writes the log with the function's role"),
];

fn properties(resource: &str) -> Value {
    common::template()["Resources"][resource]["Properties"].clone()
}

/// The default of a parameter, as the text that CloudFormation makes of it.
fn default(parameter: &str) -> String {
    text(&common::template()["Parameters"][parameter]["Default"])
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A function's environment in a stack with default parameters.
fn environment(function: &str) -> BTreeMap<String, String> {
    let resource = format!("{}Function", logical(function));
    let environment = properties(&resource)["Environment"]["Variables"].clone();
    let parameters = common::template()["Parameters"].clone();
    let resolve = |value: &Value| {
        // CloudFront is not protected by default: the second branch holds.
        let value = value.get("Fn::If").map_or(value, |branches| &branches[2]);
        match (
            value.get("Ref").and_then(Value::as_str),
            value.get("Fn::GetAtt"),
            value.get("Fn::Sub"),
        ) {
            _ if value.get("Fn::Join").is_some() => match &value["Fn::Join"][1] {
                Value::Array(parts) => {
                    let part = |part: &Value| part["Fn::Sub"].as_str().map_or_else(|| text(part), substituted);
                    parts.iter().map(part).collect::<Vec<_>>().join(",")
                }
                list => default(list["Ref"].as_str().unwrap()),
            },
            (Some("AWS::AccountId"), ..) => "111122223333".to_owned(),
            (Some("AWS::Partition"), ..) => "aws".to_owned(),
            (Some(name), ..) if parameters.get(name).is_some() => default(name),
            // What CloudFormation gives for an IP set.
            (Some(name), ..) if name.ends_with("Set") => {
                format!("{name}|00000000-0000-0000-0000-000000000000|REGIONAL")
            }
            (Some(name), ..) => name.to_owned(),
            (_, Some(_), _) => "arn:aws:iam::111122223333:role/stack-Role-1ABC".to_owned(),
            (_, _, Some(text)) => substituted(text.as_str().unwrap()),
            _ => text(value),
        }
    };
    environment
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), resolve(value)))
        .collect()
}

/// `Fn::Sub` of names and parameters.
fn substituted(text: &str) -> String {
    let parameters = common::template()["Parameters"].clone();
    let mut parts = text.split("${");
    let mut done = parts.next().unwrap().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap();
        done += &if parameters.get(name).is_some() {
            default(name)
        } else {
            format!("stack-{name}-1ABC")
        };
        done += rest;
    }
    done
}

#[test]
fn the_environment_is_what_the_code_reads() {
    for function in FUNCTIONS {
        let set: BTreeSet<_> = environment(function.name).into_keys().collect();
        let members = MEMBERS.iter().filter(|_| IN_MEMBERS.contains(&function.name));
        let read = function
            .settings
            .iter()
            .chain(&RUNTIME)
            .chain([&FOR_TLS])
            .chain(members);
        let read: BTreeSet<_> = read.map(|name| (*name).to_owned()).collect();
        assert_eq!(set, read, "{}", function.name);
    }
}

/// The lists above are not a wish: each name stands in the code that reads settings, and no other does.
#[test]
fn the_settings_are_those_in_the_code() {
    let read = |path: &str| -> BTreeSet<String> {
        let code = std::fs::read_to_string(common::root().join(path)).unwrap();
        let code = code.split("#[cfg(test)]").next().unwrap();
        let calls = ["reader.required(\"", ".or_default(\""];
        calls
            .iter()
            .flat_map(|call| code.split(call).skip(1).filter_map(|rest| rest.split('"').next()))
            .map(str::to_owned)
            .collect()
    };
    for function in FUNCTIONS {
        let settings: BTreeSet<_> = function.settings.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(read(&format!("functions/{}/src/settings.rs", function.name)), settings);
    }
    let runtime: BTreeSet<_> = RUNTIME.into_iter().chain(MEMBERS).map(str::to_owned).collect();
    assert_eq!(read("shared/remediation-aws/src/runtime.rs"), runtime);
}

#[test]
fn s16_the_environment_is_valid_and_the_first_settings_change_nothing() {
    for function in FUNCTIONS {
        let mode = (function.read)(SettingsReader::new(environment(function.name)));
        assert_eq!(mode, Ok(Mode::DryRun), "{}", function.name);
    }
    let environment = |function| SettingsReader::new(environment(function));
    let sets = block_ip::Environment::read(environment("block-ip")).unwrap().sets;
    assert_eq!(sets.len(), 2);
    let keys = disable_access_key::Environment::read(environment("disable-access-key")).unwrap();
    let own = FUNCTIONS.len() + IN_MEMBERS.len();
    assert_eq!(keys.own_roles.len(), own, "the functions' own roles: {keys:?}");
    let permissions = revoke_permissions::Environment::read(environment("revoke-permissions"), role()).unwrap();
    assert_eq!(permissions.own_roles.len(), 2);
}

/// The document in the repository says all defaults; nothing changes by it.
#[test]
fn s16_the_default_document_is_what_the_code_does_without_one() {
    let text = std::fs::read_to_string(common::root().join("settings.json")).unwrap();
    let document = Document::parse(&text).unwrap();
    for function in FUNCTIONS {
        let read = |document: &Document| {
            let reader = SettingsReader::new(environment(function.name));
            match function.name {
                "block-ip" => {
                    let environment = block_ip::Environment::read(reader).unwrap();
                    format!("{:?}", block_ip::Settings::read(&environment, document).unwrap())
                }
                "block-public-access" => format!("{:?}", block_public_access::Settings::read(document).unwrap()),
                "close-open-ingress" => format!("{:?}", close_open_ingress::Settings::read(document).unwrap()),
                "enforce-storage-encryption" => {
                    format!("{:?}", enforce_storage_encryption::Settings::read(document).unwrap())
                }
                "disable-access-key" => {
                    let environment = disable_access_key::Environment::read(reader).unwrap();
                    format!(
                        "{:?}",
                        disable_access_key::Settings::read(&environment, document).unwrap()
                    )
                }
                "enforce-s3-encryption" => {
                    format!(
                        "{:?}",
                        enforce_s3_encryption::Settings::read(&role(), document).unwrap()
                    )
                }
                "revoke-permissions" => {
                    let environment = revoke_permissions::Environment::read(reader, role()).unwrap();
                    format!(
                        "{:?}",
                        revoke_permissions::Settings::read(&environment, document, now()).unwrap()
                    )
                }
                unknown => panic!("{unknown}"),
            }
        };
        assert_eq!(read(&document), read(&Document::default()), "{}", function.name);
    }
}

#[test]
fn samconfig_sets_only_parameters_that_there_are() {
    let text = std::fs::read_to_string(common::root().join("samconfig.toml")).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("parameter_overrides"));
    let set: Vec<_> = lines
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .filter_map(|pair| pair.split('=').next())
        .collect();
    assert!(!set.is_empty());
    for name in set {
        assert!(common::template()["Parameters"].get(name).is_some(), "{name}");
    }
}

#[test]
fn there_are_settings_for_every_function_that_is_deployed() {
    let names: Vec<_> = FUNCTIONS.iter().map(|function| function.name).collect();
    assert_eq!(names, remediation::settings::FUNCTIONS);
    assert_eq!(names, local_cloud::FUNCTIONS);
}

/// The actions that statements allow. None of them is about everything, except for those named.
fn allowed(statements: &Value, anywhere: &[&str]) -> Vec<String> {
    let mut allowed = Vec::new();
    for statement in statements.as_array().unwrap() {
        let is_turned = statement.get("NotAction").is_some() || statement.get("NotResource").is_some();
        assert!(!is_turned, "{statement}");
        if statement["Effect"] == "Allow" {
            let actions = statement["Action"]
                .as_array()
                .cloned()
                .unwrap_or_else(|| vec![statement["Action"].clone()]);
            assert!(actions.iter().all(|action| !text(action).contains('*')), "{statement}");
            allowed.extend(actions.iter().map(text));
            let is_anywhere = anywhere.contains(&statement["Sid"].as_str().unwrap());
            assert!(statement["Resource"] != "*" || is_anywhere, "{statement}");
        }
    }
    allowed.sort();
    allowed
}

fn sorted<'a>(actions: impl IntoIterator<Item = &'a (&'static str, &'static str)>) -> Vec<String> {
    let mut actions: Vec<_> = actions.into_iter().map(|(action, _)| (*action).to_owned()).collect();
    actions.sort();
    actions
}

#[test]
fn s36_the_roles_allow_what_the_code_calls_and_nothing_else() {
    let common = properties("CommonPolicy")["PolicyDocument"]["Statement"].clone();
    assert_eq!(allowed(&common, &["Trace"]), sorted(&COMMON));
    for function in FUNCTIONS {
        let role = properties(&format!("{}Role", logical(function.name)));
        let managed = role["ManagedPolicyArns"].clone();
        assert_eq!(
            managed,
            serde_json::json!([{ "Ref": "CommonPolicy" }]),
            "what AWS manages, AWS widens"
        );
        let policies = role["Policies"].as_array().unwrap();
        let statements = &policies[0]["PolicyDocument"]["Statement"];
        let needed = sorted(function.actions.iter().chain(&OWN));
        assert_eq!(allowed(statements, function.anywhere), needed, "{}", function.name);
    }
}

/// What a function may do in a member account is what it may do at home, on that account's own resources; and its role there
/// is for it alone.
#[test]
fn s36_the_roles_in_member_accounts_allow_what_those_at_home_do() {
    let template = common::yaml("stacks/member-role.yaml");
    let resources = template["Resources"].as_object().unwrap();
    assert_eq!(resources.len(), IN_MEMBERS.len());
    for function in IN_MEMBERS {
        let logical = format!("{}Role", logical(function));
        let (home, member) = (properties(&logical), &resources[&logical]["Properties"]);
        let of_resources = |role: &Value| -> Vec<Value> {
            let statements = role["Policies"][0]["PolicyDocument"]["Statement"]
                .as_array()
                .unwrap()
                .clone();
            // The queue, the log and the ledger are at home.
            let is_its_own =
                |statement: &Value| ["Receive", "Log", "Forget"].contains(&statement["Sid"].as_str().unwrap());
            statements
                .into_iter()
                .filter(|statement| !is_its_own(statement))
                .collect()
        };
        let here = Value::from(of_resources(&home)).to_string();
        let here = here
            .replace("${AWS::StackName}", "securecart-remediation")
            .replace(r#"{"Ref":"CommonPolicy"},"#, "");
        assert_eq!(Value::from(of_resources(member)).to_string(), here, "{function}");

        let trust = member["AssumeRolePolicyDocument"]["Statement"].as_array().unwrap();
        assert_eq!(trust.len(), 1);
        assert_eq!(
            trust[0]["Condition"]["StringEquals"]["sts:ExternalId"]["Ref"],
            "ExternalId"
        );
        let caller = trust[0]["Condition"]["ArnLike"]["aws:PrincipalArn"]["Fn::Sub"]
            .as_str()
            .unwrap();
        assert!(
            caller.ends_with(&format!("role/${{HomeStack}}/*-{logical}-*")),
            "{caller}"
        );

        let path = format!("{}{}", text(&member["Path"]), text(&member["RoleName"]));
        let assumed = &home["Policies"][1]["Fn::If"][1]["PolicyDocument"]["Statement"];
        assert_eq!(assumed.as_array().map(Vec::len), Some(1));
        assert_eq!(assumed[0]["Action"], "sts:AssumeRole");
        assert!(
            text(&assumed[0]["Resource"]["Fn::Sub"]).ends_with(&format!(":role{path}")),
            "{assumed}"
        );
        assert_eq!(
            assumed[0]["Condition"]["StringEquals"]["aws:ResourceAccount"]["Ref"],
            "MemberAccounts"
        );
        assert_eq!(format!("/{}", environment(function)["MEMBER_ROLE"]), path);
    }
}

#[test]
fn s2_one_bad_record_does_not_bring_its_batch_again() {
    for function in FUNCTIONS {
        let resource = format!("{}Function", logical(function.name));
        let source = properties(&resource)["Events"]["Findings"]["Properties"].clone();
        let responses = serde_json::json!(["ReportBatchItemFailures"]);
        assert_eq!(source["FunctionResponseTypes"], responses);
    }
}

/// A rule that may not send to its queue, or not put aside what it could not deliver, loses findings.
#[test]
fn s38_every_rule_may_send_to_its_queue_and_to_the_undelivered() {
    let template = common::template();
    let sources = |policy: &str| {
        let statement = &template["Resources"][policy]["Properties"]["PolicyDocument"]["Statement"][0];
        statement["Condition"]["ArnEquals"]["aws:SourceArn"].to_string()
    };
    for (name, resource) in template["Resources"].as_object().unwrap() {
        if resource["Type"] != "AWS::Events::Rule" {
            continue;
        }
        let reference = format!("\"{name}\"");
        assert!(sources("UndeliveredEventsPolicy").contains(&reference), "{name}");
        let target = &resource["Properties"]["Targets"][0]["Arn"]["Fn::GetAtt"][0];
        if let Some(queue) = target.as_str().unwrap().strip_suffix("Queue") {
            assert!(sources(&format!("{queue}QueuePolicy")).contains(&reference), "{name}");
        }
    }
}

/// AWS advises six times the timeout, so that Lambda can try a throttled batch again before its messages come back.
#[test]
fn a_message_stays_hidden_while_it_is_worked_on() {
    let template = common::template();
    let timeout = template["Globals"]["Function"]["Timeout"].as_u64().unwrap();
    let window = template["Parameters"]["BatchingWindowSeconds"]["MaxValue"]
        .as_u64()
        .unwrap();
    for function in FUNCTIONS {
        let part = |part| properties(&format!("{}{part}", logical(function.name)));
        assert!(part("Function").get("Timeout").is_none());
        let hidden = part("Queue")["VisibilityTimeout"].as_u64().unwrap();
        assert!(hidden >= 6 * timeout + window, "{hidden} < 6 * {timeout} + {window}");
    }
}

/// EventBridge refuses such a pattern when it is deployed, and no check before that does.
#[test]
fn no_pattern_mixes_numbers_and_texts_within_anything_but() {
    fn check(value: &Value) {
        if let Some(excluded) = value.get("anything-but").and_then(Value::as_array) {
            assert!(
                excluded.iter().all(Value::is_string) || excluded.iter().all(Value::is_number),
                "{value}"
            );
        }
        match value {
            Value::Object(entries) => entries.values().for_each(check),
            Value::Array(entries) => entries.iter().for_each(check),
            _ => {}
        }
    }
    check(&common::template()["Resources"]);
}

/// Suppressing hides a finding for good.
#[test]
fn s32_no_role_may_suppress_a_finding() {
    let statements = properties("CommonPolicy")["PolicyDocument"]["Statement"].clone();
    let denied: BTreeSet<_> = statements
        .as_array()
        .unwrap()
        .iter()
        .filter(|statement| statement["Effect"] == "Deny" && statement["Resource"] == "*")
        .filter(|statement| statement["Action"] == "securityhub:BatchUpdateFindings")
        .map(|statement| statement["Condition"].to_string())
        .collect();
    let suppressed = [
        r#"{"StringEquals":{"securityhub:ASFFSyntaxPath/Workflow.Status":"SUPPRESSED"}}"#,
        r#"{"StringEquals":{"securityhub:OCSFSyntaxPath/StatusId":"3"}}"#,
    ];
    assert_eq!(denied, suppressed.map(str::to_owned).into());
    for function in FUNCTIONS {
        let role = properties(&format!("{}Role", logical(function.name)));
        let shared = role["ManagedPolicyArns"].as_array().unwrap();
        assert!(
            shared.contains(&serde_json::json!({ "Ref": "CommonPolicy" })),
            "{}",
            function.name
        );
    }
}

/// EC2 has none: `remediation-aws` speaks to it, as it does to the ledger. What several functions call of a service is there too, as a feature.
#[test]
fn s37_the_sdks_of_a_function_are_those_of_its_role() {
    let dependencies = |package: &str| -> Vec<String> {
        let manifest = std::fs::read_to_string(common::root().join(package).join("Cargo.toml")).unwrap();
        let (_, rest) = manifest.split_once("[dependencies]\n").unwrap();
        let own = rest.lines().take_while(|line| !line.starts_with('['));
        own.map(str::to_owned).collect()
    };
    for function in FUNCTIONS {
        let called: BTreeSet<_> = function
            .actions
            .iter()
            .map(|(action, _)| action.split(':').next().unwrap().replace('-', ""))
            .filter(|service| service != "dynamodb")
            .collect();
        let mut built_with = BTreeSet::new();
        for line in dependencies(&format!("functions/{}", function.name)) {
            if let Some(rest) = line.strip_prefix("aws-sdk-") {
                built_with.extend(rest.split(['.', ' ']).next().map(str::to_owned));
            } else if line.starts_with("remediation-aws") {
                built_with.extend(line.split('"').skip(1).step_by(2).map(str::to_owned));
            }
        }
        assert_eq!(called, built_with, "{}", function.name);
    }
    let common = dependencies("shared/remediation");
    let is_sdk = |line: &&String| {
        ["aws-", "lambda_runtime", "remediation-aws"]
            .iter()
            .any(|name| line.starts_with(name))
    };
    assert_eq!(common.iter().find(is_sdk), None);
    assert!(!common.is_empty());
}

/// CloudFormation writes an empty list over all addresses as soon as a property or a tag of a set changes.
#[test]
fn s39_nothing_in_the_ip_sets_ever_changes() {
    let template = common::template();
    let resources = template["Resources"].as_object().unwrap();
    let sets = resources.iter().filter(|(_, set)| set["Type"] == "AWS::WAFv2::IPSet");
    let mut count = 0;
    for (name, set) in sets {
        let mut properties = set["Properties"].clone();
        let called = properties["Name"].take();
        assert!(
            called["Fn::Sub"]
                .as_str()
                .unwrap()
                .starts_with("${AWS::StackName}-block-ip-"),
            "{name}"
        );
        assert_eq!(called.to_string().matches("${").count(), 1, "{name}");
        let is_constant = |value: &Value| value.is_null() || value.is_string() || value == &serde_json::json!([]);
        assert!(properties.as_object().unwrap().values().all(is_constant), "{name}");
        assert!(properties.get("Tags").is_none(), "{name}");
        count += 1;
    }
    assert_eq!(count, 4);
    let samconfig = std::fs::read_to_string(common::root().join("samconfig.toml")).unwrap();
    assert!(!samconfig.lines().any(|line| line.trim_start().starts_with("tags")));
}

/// What would be lost for good is kept even if somebody deletes the stack, or CloudFormation replaces it.
#[test]
fn s98_what_holds_findings_records_or_blocks_outlives_its_replacement() {
    let kinds = [
        "AWS::DynamoDB::Table",
        "AWS::SQS::Queue",
        "AWS::WAFv2::IPSet",
        "AWS::SSM::Parameter",
    ];
    let template = common::template();
    let mut checked = 0;
    for (name, resource) in template["Resources"].as_object().unwrap() {
        if !kinds.contains(&resource["Type"].as_str().unwrap()) {
            continue;
        }
        assert_eq!(resource["UpdateReplacePolicy"], "Retain", "{name}");
        let deletion = resource["DeletionPolicy"].as_str().unwrap_or("Delete");
        assert!(
            ["Retain", "RetainExceptOnCreate"].contains(&deletion),
            "{name}: {deletion}"
        );
        checked += 1;
    }
    assert!(checked > 15, "{checked}");
}
