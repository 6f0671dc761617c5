//! The application as it was published, changed in its parameters and then to the template of today: what it guards and what it knows stays.

use local_cloud::{Deployment, Service, workspace};
use securecart_tests::read_ip_set;
use serde_json::json;

use crate::stack::{Stack, outcomes};

/// Where blocks, records, settings and findings are.
fn kept(deployment: &Deployment) -> Vec<(&str, &str)> {
    const KINDS: [&str; 4] = [
        "AWS::DynamoDB::Table",
        "AWS::SQS::Queue",
        "AWS::SSM::Parameter",
        "AWS::WAFv2::IPSet",
    ];
    let resources = deployment.resources.iter();
    resources
        .filter(|(_, resource)| KINDS.contains(&resource.kind.as_str()))
        .map(|(name, resource)| (name.as_str(), resource.physical_id.as_str()))
        .collect()
}

#[test]
fn s97_an_upgrade_loses_no_block_no_record_no_setting_and_no_finding() {
    let first = workspace().unwrap().join("tests/upgrades/0.1.0.yaml");
    let mut stack = Stack::deploy_template("block-ip", "upgrade", &first, &[]);
    stack.set(&json!({ "blockHours": { "low": 5 } }));
    let answer = stack.invoke("ssh-brute-force").unwrap();
    let (outcome, record) = outcomes(&answer).remove(0);
    assert_eq!(outcome, "Remediated");
    let set = stack.deployment.outputs["RegionalIPv4SetRef"].clone();
    let blocked = read_ip_set(&stack.cloud, &set).unwrap().0;
    assert_eq!(blocked.len(), 1);
    let letters = stack.deployment.resources["BlockIpDeadLetters"].physical_id.clone();
    let letter = json!({ "QueueUrl": letters, "MessageBody": "a finding that waits for somebody" });
    stack.cloud.call(Service::Sqs, "SendMessage", &letter).unwrap();
    let settings = |stack: &Stack| {
        let name = stack.deployment.outputs["SettingsParameter"].clone();
        stack.boto3(&[("ssm", "get_parameter", json!({ "Name": name }))])[0]["Parameter"]["Value"].clone()
    };
    let (before, set_before) = (stack.deployment.clone(), settings(&stack));
    assert!(kept(&before).len() > 15, "{:?}", kept(&before));

    let today = workspace().unwrap().join("template.yaml");
    let parameters = [
        ("BatchSize", "50"),
        ("BatchingWindowSeconds", "2"),
        ("LogRetentionDays", "30"),
    ];
    for (template, parameters) in [
        (&first, parameters.as_slice()),
        (&today, parameters.as_slice()),
        (&today, &[]),
    ] {
        stack.deploy_again(template, parameters);
        let after = kept(&stack.deployment);
        for resource in kept(&before) {
            assert!(after.contains(&resource), "{resource:?} is not among {after:?}");
        }
        assert_eq!(read_ip_set(&stack.cloud, &set).unwrap().0, blocked);
        assert_eq!(settings(&stack), set_before);
        let attributes = json!({ "QueueUrl": letters, "AttributeNames": ["ApproximateNumberOfMessages"] });
        let attributes = stack
            .cloud
            .call(Service::Sqs, "GetQueueAttributes", &attributes)
            .unwrap();
        assert_eq!(attributes["Attributes"]["ApproximateNumberOfMessages"], "1");
        // It is known, and nothing is done twice.
        let answer = stack.invoke("ssh-brute-force").unwrap();
        assert_eq!(outcomes(&answer), [("Remediated".to_owned(), record.clone())]);
    }
    let answer = stack.call(&json!({ "undo": record, "by": "an operator" })).unwrap();
    assert_eq!(outcomes(&answer)[0].0, "Undone");
    assert!(read_ip_set(&stack.cloud, &set).unwrap().0.is_empty());
}
