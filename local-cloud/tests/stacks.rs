//! Deploying stacks of the reference environment: what is created in turns, what fails, and what our extension adds to ministack for it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use local_cloud::{Accounting, LocalCloud, Stacks};
use serde_json::{Value, json};

struct Folder {
    cloud: LocalCloud,
    folder: tempfile::TempDir,
}

impl Folder {
    fn deploy(&self, name: &str, resources: &Value, outputs: &Value) -> anyhow::Result<Stacks> {
        let template = self.folder.path().join(format!("{name}.yaml"));
        std::fs::write(
            &template,
            json!({ "Resources": resources, "Outputs": outputs }).to_string(),
        )?;
        self.cloud.deploy_stacks(&template, name, &[], &[])
    }

    fn refused(&self, name: &str, kind: &str, properties: &Value) -> String {
        let resources = json!({ "Odd": { "Type": kind, "Properties": properties } });
        self.deploy(name, &resources, &json!({})).unwrap_err().to_string()
    }

    fn ec2(&self, operation: &'static str, parameters: Value) -> Result<Value, local_cloud::CallError> {
        self.cloud.boto3(&[("ec2", operation, parameters)]).unwrap().remove(0)
    }
}

#[test]
fn stacks() {
    let folder = Folder {
        cloud: LocalCloud::start(&|_| ()).unwrap(),
        folder: tempfile::tempdir().unwrap(),
    };
    what_cloudformation_creates_waits_for_what_apis_create(&folder);
    a_network_acl_keeps_ports_and_numbers(&folder);
    a_secret_is_known_by_its_arn(&folder);
    stacks_take_each_other_s_outputs(&folder);
    what_nobody_creates_fails(&folder);
    what_is_not_of_its_schema_fails(&folder);
    what_the_api_refuses_fails(&folder);
}

fn what_cloudformation_creates_waits_for_what_apis_create(folder: &Folder) {
    let resources = json!({
        "Vpc": { "Type": "AWS::EC2::VPC", "Properties": { "CidrBlock": "10.7.0.0/16" } },
        "Subnet": { "Type": "AWS::EC2::Subnet", "Properties": {
            "VpcId": { "Ref": "Vpc" }, "CidrBlock": "10.7.0.0/24", "AvailabilityZone": { "Fn::Select": [0, { "Fn::GetAZs": "" }] }
        } },
        "Address": { "Type": "AWS::EC2::EIP", "Properties": { "Domain": "vpc" } },
        "Nat": { "Type": "AWS::EC2::NatGateway", "Properties": {
            "SubnetId": { "Ref": "Subnet" }, "AllocationId": { "Fn::GetAtt": ["Address", "AllocationId"] }
        } },
        "Table": { "Type": "AWS::EC2::RouteTable", "Properties": { "VpcId": { "Ref": "Vpc" } } },
        "Route": { "Type": "AWS::EC2::Route", "Properties": {
            "RouteTableId": { "Ref": "Table" }, "DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": { "Ref": "Nat" }
        } },
    });
    let outputs = json!({
        "Cidr": { "Value": { "Fn::GetAtt": ["Vpc", "CidrBlock"] } },
        "Both": { "Value": { "Fn::Sub": "${Nat} in ${Subnet}" } },
    });
    let deployed = folder.deploy("turns", &resources, &outputs).unwrap();
    let stack = &deployed.stacks["turns"];
    let by = |name: &str| stack.resources[name].accounted;
    assert_eq!((by("Nat"), by("Route")), (Accounting::Api, Accounting::Stack));
    assert_eq!(
        stack.resources["Route"].found["NatGatewayId"],
        stack.resources["Nat"].physical_id
    );
    assert_eq!(stack.outputs["Cidr"], "10.7.0.0/16");
    let (nat, subnet) = (
        &stack.resources["Nat"].physical_id,
        &stack.resources["Subnet"].physical_id,
    );
    assert_eq!(stack.outputs["Both"], format!("{nat} in {subnet}"));
}

fn a_network_acl_keeps_ports_and_numbers(folder: &Folder) {
    let vpc = folder.ec2("create_vpc", json!({ "CidrBlock": "10.8.0.0/16" })).unwrap()["Vpc"]["VpcId"].take();
    let subnet = folder
        .ec2("create_subnet", json!({ "VpcId": vpc, "CidrBlock": "10.8.0.0/24" }))
        .unwrap();
    let subnet = &subnet["Subnet"]["SubnetId"];
    let acls = json!({ "Filters": [{ "Name": "vpc-id", "Values": [vpc] }] });
    let first = folder.ec2("describe_network_acls", acls).unwrap()["NetworkAcls"][0].take();
    assert_eq!(
        (&first["IsDefault"], &first["Associations"][0]["SubnetId"]),
        (&json!(true), subnet)
    );

    let acl = folder.ec2("create_network_acl", json!({ "VpcId": vpc })).unwrap()["NetworkAcl"]["NetworkAclId"].take();
    let entry = |number: i64, egress: bool| {
        json!({
            "NetworkAclId": acl, "RuleNumber": number, "Egress": egress, "Protocol": "6", "RuleAction": "allow",
            "CidrBlock": "10.0.0.0/8", "PortRange": { "From": 1024, "To": 65535 }
        })
    };
    folder.ec2("create_network_acl_entry", entry(100, false)).unwrap();
    folder.ec2("create_network_acl_entry", entry(100, true)).unwrap();
    let twice = folder.ec2("create_network_acl_entry", entry(100, true)).unwrap_err();
    assert_eq!(twice.code(), Some("NetworkAclEntryAlreadyExists"));
    folder.ec2("create_network_acl_entry", entry(32767, true)).unwrap_err();

    let place = json!({ "AssociationId": first["Associations"][0]["NetworkAclAssociationId"], "NetworkAclId": acl });
    folder.ec2("replace_network_acl_association", place.clone()).unwrap();
    folder.ec2("replace_network_acl_association", place).unwrap_err();
    let found = folder
        .ec2("describe_network_acls", json!({ "NetworkAclIds": [acl] }))
        .unwrap()["NetworkAcls"][0]
        .take();
    assert_eq!(found["Associations"][0]["SubnetId"], *subnet);
    let entries = found["Entries"].as_array().unwrap();
    let numbers: Vec<_> = entries
        .iter()
        .map(|entry| entry["RuleNumber"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers, [32767, 32767, 100, 100]);
    assert_eq!(entries[2]["PortRange"], json!({ "From": 1024, "To": 65535 }));
}

fn a_secret_is_known_by_its_arn(folder: &Folder) {
    let resources =
        json!({ "Secret": { "Type": "AWS::SecretsManager::Secret", "Properties": { "SecretString": "{}" } } });
    let deployed = folder
        .deploy(
            "secret",
            &resources,
            &json!({ "Secret": { "Value": { "Ref": "Secret" } } }),
        )
        .unwrap();
    let arn = deployed.stacks["secret"].outputs["Secret"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:secretsmanager:us-east-1:"), "{arn}");
}

fn stacks_take_each_other_s_outputs(folder: &Folder) {
    let write =
        |name: &str, template: &Value| std::fs::write(folder.folder.path().join(name), template.to_string()).unwrap();
    let queue = json!({ "Type": "AWS::SQS::Queue", "Properties": { "QueueName": { "Ref": "Name" } } });
    let outputs = json!({ "QueueName": { "Value": { "Fn::GetAtt": ["Queue", "QueueName"] } } });
    let child =
        json!({ "Parameters": { "Name": { "Type": "String" } }, "Resources": { "Queue": queue }, "Outputs": outputs });
    write("first.yaml", &child);
    write("second.yaml", &child);
    let nested = |file: &str, name: Value| {
        let properties = json!({ "TemplateURL": file, "Parameters": { "Name": name } });
        json!({ "Type": "AWS::CloudFormation::Stack", "Properties": properties })
    };
    let of_first = json!({ "Fn::Sub": "${First.Outputs.QueueName}-again" });
    let resources =
        json!({ "Second": nested("./second.yaml", of_first), "First": nested("./first.yaml", json!("jobs")) });
    let deployed = folder.deploy("pair", &resources, &json!({})).unwrap();
    assert_eq!(deployed.stacks["second"].outputs["QueueName"], "jobs-again");
    assert_eq!(deployed.stacks["pair"].resources["First"].accounted, Accounting::Nested);
}

fn what_nobody_creates_fails(folder: &Folder) {
    let error = folder.refused("unknown", "AWS::Macie::Session", &json!({ "Status": "ENABLED" }));
    assert!(error.contains("AWS::Macie::Session"), "{error}");
    // ministack creates it, and nothing here reads it back.
    let error = folder.refused("unread", "AWS::SES::ConfigurationSet", &json!({ "Name": "unread" }));
    assert!(
        error.contains("nothing here reads AWS::SES::ConfigurationSet"),
        "{error}"
    );
}

fn what_is_not_of_its_schema_fails(folder: &Folder) {
    let analyzer = |kind: &str| json!({ "AnalyzerName": "outside", "Type": kind });
    let error = folder.refused("schema", "AWS::AccessAnalyzer::Analyzer", &analyzer("EVERYTHING"));
    assert!(
        error.contains("is not of its schema") && error.contains("EVERYTHING"),
        "{error}"
    );
    let resources =
        json!({ "Analyzer": { "Type": "AWS::AccessAnalyzer::Analyzer", "Properties": analyzer("ACCOUNT") } });
    let deployed = folder.deploy("schema-only", &resources, &json!({})).unwrap();
    let analyzer = &deployed.stacks["schema-only"].resources["Analyzer"];
    assert_eq!(
        (analyzer.accounted, &analyzer.found),
        (Accounting::Schema, &Value::Null)
    );
}

fn what_the_api_refuses_fails(folder: &Folder) {
    let properties = json!({ "Domain": "vpc", "Colour": "blue" });
    let error = folder.refused("refused", "AWS::EC2::EIP", &properties);
    assert!(error.contains("has no Colour"), "{error}");
}
