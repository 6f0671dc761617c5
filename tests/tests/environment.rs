//! The reference environment, row by row of what SecureCart asks for: its stacks on the local cloud, read back through each service's API.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use common::yaml;
use local_cloud::{ACCOUNT, Accounted, Accounting, CallError, FUNCTIONS, LocalCloud, Stack, Stacks, workspace};
use serde_json::{Value, json};

const PARAMETERS: [(&str, &str); 2] = [
    (
        "CertificateArn",
        "arn:aws:acm:us-east-1:111122223333:certificate/00000000-0000-0000-0000-000000000000",
    ),
    // Off by default; here it shows that the protection is one.
    ("ShieldAdvanced", "true"),
];
const VPC: &str = "10.20.0.0/16";
const ANY: &str = "0.0.0.0/0";
const PUBLIC: &str = "10.20.0.0/23";
const PRIVATE: &str = "10.20.16.0/20";
const DATABASE: &str = "10.20.4.0/23";

/// What the emulators do not show, or show otherwise. Everything else of the templates' properties reads back as it was written.
const NOT_SHOWN: [(&str, &str, &str); 15] = [
    ("data", "Database", "EnableCloudwatchLogsExports"),
    ("data", "Database", "PerformanceInsightsKMSKeyId"),
    ("data", "RotationPermission", "SourceAccount"),
    ("detection", "Hub", "EnableDefaultStandards"),
    ("detection", "Trail", "CloudWatchLogsLogGroupArn"),
    ("detection", "Trail", "CloudWatchLogsRoleArn"),
    ("network", "FlowLog", "DeliverLogsPermissionArn"),
    ("network", "FlowLog", "MaxAggregationInterval"),
    ("network", "FlowLog", "ResourceType"),
    ("network", "NatGatewayA", "AllocationId"),
    ("network", "NatGatewayB", "AllocationId"),
    ("workload", "Api", "EndpointConfiguration.Types"),
    ("workload", "OrderFunction", "VpcConfig"),
    ("workload", "Service", "HealthCheckGracePeriodSeconds"),
    ("workload", "Service", "PlatformVersion"),
];
/// Tags, which no row asks for.
const TAGGING: [&str; 2] = ["EnableECSManagedTags", "PropagateTags"];

/// The types that no emulator has, which are checked against their schemas only.
const SCHEMA_ONLY: [&str; 3] = [
    "AWS::AccessAnalyzer::Analyzer",
    "AWS::SecurityHub::ActionTarget",
    "AWS::SecurityHub::Standard",
];

/// The functions that run here.
const RUN: [&str; 2] = ["block-ip", "enforce-s3-encryption"];
const PATIENCE: Duration = Duration::from_secs(60);

struct Environment {
    cloud: LocalCloud,
    deployed: Stacks,
}

impl Environment {
    fn deploy(parameters: &[(&str, &str)]) -> Self {
        let cloud = LocalCloud::start(&|_| {}).unwrap();
        let root = workspace().unwrap().join("stacks/root.yaml");
        let built: BTreeMap<_, _> = RUN.map(|name| (name, local_cloud::function(name).unwrap())).into();
        // The others are deployed and never run: any file stands for their binaries.
        let binaries =
            FUNCTIONS.map(|function| (function, built.get(function).map_or(root.as_path(), PathBuf::as_path)));
        let deployed = cloud
            .deploy_stacks(&root, "environment", &binaries, parameters)
            .unwrap();
        Self { cloud, deployed }
    }

    fn resource(&self, stack: &str, name: &str) -> &Accounted {
        &self.deployed.stacks[stack].resources[name]
    }

    /// What the resource's service shows.
    fn found(&self, stack: &str, name: &str) -> &Value {
        let resource = self.resource(stack, name);
        assert!(
            matches!(resource.accounted, Accounting::Stack | Accounting::Api),
            "{name}"
        );
        &resource.found
    }

    /// What `Ref` gives.
    fn id(&self, stack: &str, name: &str) -> &str {
        &self.resource(stack, name).physical_id
    }

    fn output(&self, stack: &str, name: &str) -> String {
        self.deployed.stacks[stack].outputs[name].as_str().unwrap().to_owned()
    }

    fn of_kind<'a>(&'a self, stack: &str, kind: &'a str) -> impl Iterator<Item = (&'a String, &'a Accounted)> + 'a {
        self.deployed.stacks[stack]
            .resources
            .iter()
            .filter(move |(_, resource)| resource.kind == kind)
    }

    fn ask(&self, service: &'static str, operation: &'static str, parameters: Value) -> Value {
        let answers = self.cloud.boto3(&[(service, operation, parameters)]);
        answers.unwrap().remove(0).unwrap()
    }

    /// Has the application act: it begins with a dry run.
    fn enforce(&self) {
        let name = self.output("template", "SettingsParameter");
        let put = json!({ "Name": name, "Value": "{\"mode\": \"enforce\"}", "Type": "String", "Overwrite": true });
        self.ask("ssm", "put_parameter", put);
    }

    /// Puts a sample event into the function's queue, as EventBridge does.
    fn deliver(&self, function: &str, sample: &str) {
        let file = workspace().unwrap().join(format!("events/{function}/{sample}.json"));
        let queue = self.output("template", &format!("{}QueueUrl", local_cloud::logical(function)));
        let body = std::fs::read_to_string(file).unwrap();
        self.ask("sqs", "send_message", json!({ "QueueUrl": queue, "MessageBody": body }));
    }

    fn wait<T: std::fmt::Debug>(&self, look: impl Fn() -> Result<(), T>) {
        let begin = Instant::now();
        while let Err(found) = look() {
            let logs = self.cloud.logs().display();
            assert!(
                begin.elapsed() < PATIENCE,
                "{found:?}; the functions' logs are below {logs}"
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn ask_moto(&self, service: &'static str, operation: &'static str, parameters: Value) -> Value {
        let answers = self.cloud.boto3_at_moto(&[(service, operation, parameters)]);
        answers.unwrap().remove(0).unwrap()
    }
}

fn texts(value: &Value) -> BTreeSet<String> {
    let each = value.as_array().unwrap().iter();
    each.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// One or several, as policies have it.
fn all(value: &Value) -> Vec<&Value> {
    value
        .as_array()
        .map_or_else(|| vec![value], |several| several.iter().collect())
}

/// One test, in order: the stacks are deployed once.
#[test]
fn every_row_reads_back() {
    let environment = Environment::deploy(&PARAMETERS);
    every_resource_is_accounted_for(&environment);
    nothing_is_dropped_silently(&environment);
    row_1_only_the_tasks_read_secrets(&environment);
    row_2_configuration_is_in_the_parameter_store(&environment);
    row_3_three_tiers_in_two_zones(&environment);
    row_4_security_groups(&environment);
    row_5_network_acls(&environment);
    row_6_web_acl(&environment);
    row_7_shield(&environment);
    row_8_customers_sign_in_with_cognito(&environment);
    row_9_orders_are_for_those_who_are_signed_in(&environment);
    row_10_roles_have_no_wildcards(&environment);
    row_11_tasks_get_their_secrets_from_secrets_manager(&environment);
    row_12_the_database(&environment);
    row_13_guardduty(&environment);
    row_14_config(&environment);
    row_15_cloudtrail(&environment);
    row_16_security_hub(&environment);
    row_17_access_analyzer(&environment);
    rows_18_to_21_the_remediation_listens(&environment);
    environment.enforce();
    row_19_a_brute_force_is_blocked_in_front_of_every_other_rule(&environment);
    row_20_a_new_bucket_is_encrypted(&environment);
}

/// What costs, or what an account has already, can be left out, and nothing else goes with it.
#[test]
fn switches_are_off() {
    let off = [
        "NatGateways",
        "MultiAz",
        "ThreatProtection",
        "ApiGatewayLogRole",
        "GuardDuty",
        "ConfigRecorder",
        "SecurityHub",
        "IamRules",
        "UnusedAccessAnalyzer",
        "DeletionProtection",
    ];
    let others = [
        PARAMETERS[0],
        ("EnvironmentName", "second"),
        ("DomainPrefix", "second-shop"),
        ("DeploymentRoleArn", "arn:aws:iam::111122223333:role/deploy"),
    ];
    let parameters: Vec<_> = off.map(|name| (name, "false")).into_iter().chain(others).collect();
    let environment = Environment::deploy(&parameters);
    for (stack, deployed) in own_stacks(&environment) {
        let template = yaml(&format!("stacks/{stack}.yaml"));
        // Endpoints are the one switch that is left on: there must be a way to AWS.
        let off = |resource: &Value| {
            resource
                .get("Condition")
                .is_some_and(|condition| condition != "HasEndpoints")
        };
        let resources = template["Resources"].as_object().unwrap().iter();
        let expected: BTreeSet<_> = resources
            .filter(|(_, resource)| !off(resource))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(deployed.resources.keys().collect::<BTreeSet<_>>(), expected, "{stack}");
    }
    let database = environment.found("data", "Database");
    assert_eq!(
        (&database["MultiAZ"], &database["DeletionProtection"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(
        (&database["StorageEncrypted"], &database["PubliclyAccessible"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(environment.id("identity", "UserPoolDomain"), "second-shop");
    let policy = &environment.found("data", "DatabaseSecretPolicy")["ResourcePolicy"]["Statement"];
    assert_eq!(policy[1]["Sid"], "CloudFormationOnlyForTheDeploymentRole");
}

/// All but the application's, which has tests of its own.
fn own_stacks(environment: &Environment) -> impl Iterator<Item = (&str, &Stack)> {
    let stacks = environment
        .deployed
        .stacks
        .iter()
        .filter(|(stack, _)| *stack != "template");
    stacks.map(|(stack, deployed)| (stack.as_str(), deployed))
}

/// Each resource of each template is there, by CloudFormation, by API or by its schema; and no other.
fn every_resource_is_accounted_for(environment: &Environment) {
    let mut table: BTreeMap<(&str, Accounting), usize> = BTreeMap::new();
    for (stack, deployed) in own_stacks(environment) {
        let template = yaml(&format!("stacks/{stack}.yaml"));
        let written: BTreeSet<_> = template["Resources"].as_object().unwrap().keys().collect();
        assert_eq!(written, deployed.resources.keys().collect(), "{stack}");
        for resource in deployed.resources.values() {
            *table.entry((&resource.kind, resource.accounted)).or_default() += 1;
        }
    }
    let files = [
        "data",
        "detection",
        "edge",
        "identity",
        "network",
        "root",
        "template",
        "workload",
    ];
    assert_eq!(environment.deployed.stacks.keys().collect::<Vec<_>>(), files);
    for ((kind, accounted), count) in &table {
        println!("{accounted:?} {kind} {count}");
    }
    let by_schema = table.keys().filter(|(_, accounted)| *accounted == Accounting::Schema);
    assert_eq!(by_schema.map(|(kind, _)| *kind).collect::<Vec<_>>(), SCHEMA_ONLY);
}

fn nothing_is_dropped_silently(environment: &Environment) {
    let mut not_shown = BTreeSet::new();
    for (stack, deployed) in own_stacks(environment) {
        for (name, resource) in &deployed.resources {
            let shown_otherwise = resource
                .not_honoured
                .iter()
                .filter(|property| !TAGGING.contains(&property.as_str()));
            not_shown.extend(shown_otherwise.map(|property| (stack, name.as_str(), property.as_str())));
        }
    }
    assert_eq!(not_shown, BTreeSet::from(NOT_SHOWN));
}

// ---------------------------------------------------------------- 1, 2: secrets and configuration

const SECRETS: [&str; 3] = ["DatabaseSecret", "PaymentSecret", "OAuthSecret"];

fn row_1_only_the_tasks_read_secrets(environment: &Environment) {
    let key = environment.output("data", "DataKeyArn");
    for secret in SECRETS {
        assert_eq!(environment.found("data", secret)["KmsKeyId"], key, "{secret}");
    }
    assert_eq!(environment.found("data", "DataKey")["EnableKeyRotation"], true);
    let made = &environment.found("data", "DatabaseSecret")["GenerateSecretString"];
    assert_eq!(made["PasswordLength"], 40);
    let rotation = environment.found("data", "DatabaseRotation");
    assert_eq!(rotation["RotationEnabled"], true);
    assert_eq!(rotation["RotationRules"]["AutomaticallyAfterDays"], 30);
    assert_eq!(
        rotation["RotationLambdaARN"],
        environment.output("data", "RotationFunctionArn")
    );
    the_policies_are_enforced(environment);
}

/// Who reads which secret, as the local cloud's IAM decides. Everybody is allowed to by a policy of their own.
fn the_policies_are_enforced(environment: &Environment) {
    // These two have no value before somebody puts it.
    for secret in ["PaymentSecret", "OAuthSecret"] {
        let put = json!({ "SecretId": environment.id("data", secret), "SecretString": "{}" });
        environment.ask("secretsmanager", "put_secret_value", put);
    }
    let role = |stack: &str, name: &str| environment.id(stack, name).to_owned();
    let readers = [
        ("developer".to_owned(), &[][..]),
        (role("identity", "TaskRole"), &[]),
        (role("identity", "OrderFunctionRole"), &[]),
        (role("identity", "ExecutionRole"), &SECRETS),
        (role("data", "RotationRole"), &SECRETS[..1]),
    ];
    let policy = |action: &[&str]| json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": action, "Resource": "*" }] });
    let trust = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") }, "Action": "sts:AssumeRole" }
    ] });
    environment.ask(
        "iam",
        "create_role",
        json!({ "RoleName": "developer", "AssumeRolePolicyDocument": trust.to_string() }),
    );
    for (name, reads) in readers {
        // The test takes the place of ECS and Lambda, and gives everybody what a careless administrator might.
        let generous = policy(&["secretsmanager:*", "kms:*"]).to_string();
        let calls = [
            (
                "iam",
                "put_role_policy",
                json!({ "RoleName": name, "PolicyName": "generous", "PolicyDocument": generous }),
            ),
            (
                "iam",
                "update_assume_role_policy",
                json!({ "RoleName": name, "PolicyDocument": trust.to_string() }),
            ),
            ("iam", "get_role", json!({ "RoleName": name })),
        ];
        let described = environment.cloud.boto3(&calls).unwrap().remove(2).unwrap();
        let assume = json!({ "RoleArn": described["Role"]["Arn"], "RoleSessionName": "reader" });
        let credentials = environment.ask("sts", "assume_role", assume)["Credentials"].take();
        let gets = SECRETS.map(|secret| {
            let get = json!({ "SecretId": environment.id("data", secret) });
            ("secretsmanager", "get_secret_value", get)
        });
        let answers = environment.cloud.boto3_as(&credentials, &gets).unwrap();
        let read = |answer: Result<Value, CallError>| {
            let code = answer.err().map(|error| error.code().unwrap_or_default().to_owned());
            assert!(
                matches!(code.as_deref(), None | Some("AccessDeniedException")),
                "{name}: {code:?}"
            );
            code.is_none()
        };
        let answers = SECRETS.into_iter().zip(answers);
        let found: Vec<&str> = answers
            .filter_map(|(secret, answer)| read(answer).then_some(secret))
            .collect();
        assert_eq!(found, reads, "{name}");
    }
}

fn row_2_configuration_is_in_the_parameter_store(environment: &Environment) {
    let path = environment.output("data", "ConfigurationPath");
    let found = environment.ask(
        "ssm",
        "get_parameters_by_path",
        json!({ "Path": path, "Recursive": true }),
    );
    let found: BTreeMap<_, _> = found["Parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameter| {
            (
                parameter["Name"].as_str().unwrap(),
                parameter["Value"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let expected = BTreeMap::from([
        ("/securecart/config/currency", "USD".to_owned()),
        ("/securecart/config/log-level", "info".to_owned()),
        (
            "/securecart/config/object-bucket",
            environment.output("data", "ObjectBucketName"),
        ),
        (
            "/securecart/config/orders-table",
            environment.output("data", "OrdersTableName"),
        ),
    ]);
    assert_eq!(found, expected);
    let settings = environment.output("template", "SettingsParameter");
    environment.ask("ssm", "get_parameter", json!({ "Name": settings }));
}

// ---------------------------------------------------------------- 3 to 5: the network. See reachability.rs for what it lets through.

fn row_3_three_tiers_in_two_zones(environment: &Environment) {
    let vpc = environment.output("network", "VpcId");
    let of_vpc = json!({ "Filters": [{ "Name": "vpc-id", "Values": [vpc] }] });
    let subnets = environment.ask("ec2", "describe_subnets", of_vpc);
    let subnets: BTreeMap<&str, &Value> = subnets["Subnets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|subnet| (subnet["SubnetId"].as_str().unwrap(), subnet))
        .collect();
    assert_eq!(subnets.len(), 6);
    assert!(subnets.values().all(|subnet| subnet["MapPublicIpOnLaunch"] == false));
    for (tier, cidr) in [("Public", PUBLIC), ("Private", PRIVATE), ("Database", DATABASE)] {
        let ids = environment.output("network", &format!("{tier}SubnetIds"));
        let zones: BTreeSet<_> = ids
            .split(',')
            .map(|id| subnets[id]["AvailabilityZone"].as_str())
            .collect();
        assert_eq!(zones.len(), 2, "{tier}");
        let tier: ipnet::Ipv4Net = cidr.parse().unwrap();
        let within = |id: &str| {
            tier.contains(
                &subnets[id]["CidrBlock"]
                    .as_str()
                    .unwrap()
                    .parse::<ipnet::Ipv4Net>()
                    .unwrap(),
            )
        };
        assert!(ids.split(',').all(within));
    }
    let placed = |tier: &str| -> BTreeSet<String> {
        environment
            .output("network", &format!("{tier}SubnetIds"))
            .split(',')
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(
        texts(&environment.found("edge", "LoadBalancer")["Subnets"]),
        placed("Public")
    );
    assert_eq!(
        texts(&environment.found("data", "DatabaseSubnets")["SubnetIds"]),
        placed("Database")
    );
    let service = &environment.found("workload", "Service")["networkConfiguration"]["awsvpcConfiguration"];
    assert_eq!(texts(&service["subnets"]), placed("Private"));
    assert_eq!(service["assignPublicIp"], "DISABLED");
    let endpoints = environment.of_kind("network", "AWS::EC2::VPCEndpoint");
    let endpoints: BTreeSet<_> = endpoints
        .map(|(_, endpoint)| endpoint.found["ServiceName"].as_str().unwrap())
        .collect();
    let services = ["dynamodb", "ecr.api", "ecr.dkr", "logs", "s3", "secretsmanager", "ssm"];
    assert_eq!(endpoints.len(), services.len());
    assert!(
        services
            .iter()
            .all(|name| endpoints.contains(format!("com.amazonaws.us-east-1.{name}").as_str()))
    );
    assert_eq!(environment.found("network", "FlowLog")["TrafficType"], "ALL");
}

/// A rule of a security group: group, in or out, port, and who.
type GroupRule = (String, &'static str, i64, String);

fn row_4_security_groups(environment: &Environment) {
    let names: BTreeMap<String, &str> = [
        ("Alb", "alb"),
        ("Task", "task"),
        ("Database", "database"),
        ("Endpoint", "endpoint"),
        ("OrderFunction", "order function"),
    ]
    .map(|(output, name)| (environment.output("network", &format!("{output}SecurityGroupId")), name))
    .into();
    let ids: Vec<_> = names.keys().collect();
    let groups = environment.ask("ec2", "describe_security_groups", json!({ "GroupIds": ids }));
    let mut found: Vec<GroupRule> = Vec::new();
    for group in groups["SecurityGroups"].as_array().unwrap() {
        let name = names[group["GroupId"].as_str().unwrap()];
        for (direction, member) in [("in", "IpPermissions"), ("out", "IpPermissionsEgress")] {
            for rule in group[member].as_array().unwrap() {
                assert_eq!(
                    (&rule["IpProtocol"], &rule["FromPort"]),
                    (&json!("tcp"), &rule["ToPort"]),
                    "{rule}"
                );
                let peers = rule["UserIdGroupPairs"].as_array().unwrap().iter();
                let peers = peers.map(|pair| names[pair["GroupId"].as_str().unwrap()].to_owned());
                let ranges = rule["IpRanges"].as_array().unwrap().iter();
                let ranges = ranges.map(|range| range["CidrIp"].as_str().unwrap().to_owned());
                let port = rule["FromPort"].as_i64().unwrap();
                found.extend(peers.chain(ranges).map(|peer| (name.to_owned(), direction, port, peer)));
                assert_eq!(rule["Ipv6Ranges"], json!([]));
            }
        }
    }
    found.sort();
    let mut expected: Vec<GroupRule> = [
        // The source's rows.
        ("alb", "in", 80, ANY),
        ("alb", "in", 443, ANY),
        ("alb", "out", 80, VPC),
        ("alb", "out", 443, VPC),
        ("task", "in", 8080, "alb"),
        ("task", "out", 443, ANY),
        ("database", "in", 5432, "task"),
        ("order function", "out", 443, ANY),
        // Repair 3, and repair 2 for «5432 inbound from the database».
        ("alb", "out", 8080, "task"),
        ("task", "out", 5432, "database"),
        // The endpoints of AWS services.
        ("endpoint", "in", 443, "task"),
        ("endpoint", "in", 443, "order function"),
        // What keeps CloudFormation from «everything, everywhere».
        ("alb", "out", 1, "127.0.0.1/32"),
        ("task", "out", 1, "127.0.0.1/32"),
        ("database", "out", 1, "127.0.0.1/32"),
        ("endpoint", "out", 1, "127.0.0.1/32"),
        ("order function", "out", 1, "127.0.0.1/32"),
    ]
    .map(|(name, direction, port, peer)| (name.to_owned(), direction, port, peer.to_owned()))
    .into();
    expected.sort();
    assert_eq!(found, expected);
}

/// A rule of a network ACL: number, out of the subnet, whether it allows, ports, and who.
type AclRule = (i64, bool, bool, Option<(i64, i64)>, &'static str);

fn row_5_network_acls(environment: &Environment) {
    const HIGH: Option<(i64, i64)> = Some((1024, 65535));
    const fn port(port: i64) -> Option<(i64, i64)> {
        Some((port, port))
    }
    // Ports of all protocols are none. The last of each direction is EC2's own.
    let public: &[AclRule] = &[
        (100, false, true, port(80), ANY),
        (101, false, true, port(443), ANY),
        (102, false, true, HIGH, PRIVATE),
        (103, false, false, None, VPC),
        (104, false, true, HIGH, ANY),
        (110, false, false, None, ANY),
        (32767, false, false, None, ANY),
        (120, true, true, port(80), VPC),
        (121, true, true, port(443), VPC),
        (122, true, true, port(8080), PRIVATE),
        (123, true, true, HIGH, PRIVATE),
        (124, true, false, None, VPC),
        (125, true, true, HIGH, ANY),
        (126, true, true, port(443), ANY),
        (130, true, false, None, ANY),
        (32767, true, false, None, ANY),
    ];
    let private: &[AclRule] = &[
        (200, false, true, port(8080), PUBLIC),
        (202, false, true, port(443), PRIVATE),
        (204, false, true, HIGH, PRIVATE),
        (210, false, true, HIGH, DATABASE),
        (212, false, false, None, VPC),
        (214, false, true, HIGH, ANY),
        (220, false, false, None, ANY),
        (32767, false, false, None, ANY),
        (230, true, true, port(443), ANY),
        (232, true, true, HIGH, PUBLIC),
        (234, true, true, port(5432), DATABASE),
        (236, true, true, HIGH, PRIVATE),
        (32767, true, false, None, ANY),
    ];
    let database: &[AclRule] = &[
        (300, false, true, port(5432), PRIVATE),
        (310, false, false, None, ANY),
        (32767, false, false, None, ANY),
        (315, true, true, HIGH, PRIVATE),
        (320, true, false, None, ANY),
        (32767, true, false, None, ANY),
    ];
    for (tier, expected) in [("Public", public), ("Private", private), ("Database", database)] {
        let id = environment.output("network", &format!("{tier}AclId"));
        let acl =
            environment.ask("ec2", "describe_network_acls", json!({ "NetworkAclIds": [id] }))["NetworkAcls"][0].take();
        let subnets: BTreeSet<String> = acl["Associations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|place| place["SubnetId"].as_str().unwrap().to_owned())
            .collect();
        let ids = environment.output("network", &format!("{tier}SubnetIds"));
        assert_eq!(subnets, ids.split(',').map(str::to_owned).collect(), "{tier}");
        let rule = |entry: &Value| {
            let ports = entry
                .get("PortRange")
                .map(|range| (range["From"].as_i64().unwrap(), range["To"].as_i64().unwrap()));
            assert_eq!(entry["Protocol"], if ports.is_some() { "6" } else { "-1" });
            let network = entry["CidrBlock"].as_str().unwrap().to_owned();
            (
                entry["RuleNumber"].as_i64().unwrap(),
                entry["Egress"] == true,
                entry["RuleAction"] == "allow",
                ports,
                network,
            )
        };
        let mut found: Vec<_> = acl["Entries"].as_array().unwrap().iter().map(rule).collect();
        found.sort_by_key(|(number, egress, ..)| (*egress, *number));
        let expected: Vec<_> = expected
            .iter()
            .map(|rule| (rule.0, rule.1, rule.2, rule.3, rule.4.to_owned()))
            .collect();
        assert_eq!(found, expected, "{tier}");
    }
}

// ---------------------------------------------------------------- 6, 7: the edge

fn row_6_web_acl(environment: &Environment) {
    let acl = environment.found("edge", "WebAcl");
    let mut rules: Vec<&Value> = acl["Rules"].as_array().unwrap().iter().collect();
    rules.sort_by_key(|rule| rule["Priority"].as_i64().unwrap());
    let named: Vec<_> = rules.iter().map(|rule| rule["Name"].as_str().unwrap()).collect();
    let names = [
        "block-ip",
        "sql-injection",
        "cross-site-scripting",
        "rate-limit",
        "ip-reputation",
        "us-and-europe-only",
    ];
    assert_eq!(named, names);
    let group = environment.output("template", "RegionalRuleGroupArn");
    assert_eq!(rules[0]["Statement"]["RuleGroupReferenceStatement"]["ARN"], group);
    let managed = |rule: &Value| {
        let statement = &rule["Statement"]["ManagedRuleGroupStatement"];
        assert_eq!(
            (&statement["VendorName"], &rule["OverrideAction"]),
            (&json!("AWS"), &json!({ "None": {} }))
        );
        statement["Name"].as_str().unwrap().to_owned()
    };
    assert_eq!(managed(rules[1]), "AWSManagedRulesSQLiRuleSet");
    assert_eq!(managed(rules[2]), "AWSManagedRulesCommonRuleSet");
    assert_eq!(managed(rules[4]), "AWSManagedRulesAmazonIpReputationList");
    let rate = &rules[3]["Statement"]["RateBasedStatement"];
    assert_eq!(
        (&rate["Limit"], &rate["EvaluationWindowSec"], &rate["AggregateKeyType"]),
        (&json!(100), &json!(300), &json!("IP"))
    );
    for rule in [rules[3], rules[5]] {
        assert!(rule["Action"].get("Block").is_some(), "{rule}");
    }
    let places = &rules[5]["Statement"]["NotStatement"]["Statement"]["OrStatement"]["Statements"];
    let lists = places
        .as_array()
        .unwrap()
        .iter()
        .map(|place| &place["GeoMatchStatement"]["CountryCodes"]);
    let lists: Vec<_> = lists.map(texts).collect();
    assert!(lists.iter().all(|list| list.len() <= 50));
    let countries: BTreeSet<String> = lists.into_iter().flatten().collect();
    for country in [
        "US", "DE", "FR", "SE", "PL", "GB", "CH", "NO", "IS", "UA", "RS", "AL", "MD", "GI", "JE", "FO",
    ] {
        assert!(countries.contains(country), "{country}");
    }
    for country in ["CN", "RU", "BY", "IR", "BR", "IN", "AU"] {
        assert!(!countries.contains(country), "{country}");
    }
    assert_eq!(acl["DefaultAction"], json!({ "Allow": {} }));

    let stage = environment.output("workload", "ApiStageArn");
    for protected in [environment.id("edge", "LoadBalancer"), &stage] {
        let answer = environment.ask_moto("wafv2", "get_web_acl_for_resource", json!({ "ResourceArn": protected }));
        assert_eq!(answer["WebACL"]["ARN"], environment.output("edge", "WebAclArn"));
    }
    let logging = environment.found("edge", "WebAclLogging");
    let destination = logging["LogDestinationConfigs"][0].as_str().unwrap();
    assert!(
        destination.ends_with(":log-group:aws-waf-logs-securecart"),
        "{destination}"
    );
}

/// GuardDuty sees somebody try passwords; the deployed function blocks the address in a rule that comes before every other one.
fn row_19_a_brute_force_is_blocked_in_front_of_every_other_rule(environment: &Environment) {
    let attacker = "198.51.100.23/32";
    let parts = |reference: &str| {
        let parts: Vec<_> = reference.split('|').map(str::to_owned).collect();
        json!({ "Name": parts[0], "Id": parts[1], "Scope": parts[2] })
    };
    let (_, set) = environment
        .of_kind("template", "AWS::WAFv2::IPSet")
        .find(|(name, _)| name.contains("V4") || name.contains("v4"))
        .unwrap();
    let place = parts(&set.physical_id);
    let known = environment.ask_moto("wafv2", "get_ip_set", place.clone());
    assert_eq!(known["IPSet"]["Addresses"], json!([]));
    environment.deliver("block-ip", "ssh-brute-force");
    environment.wait(|| {
        let now = environment.ask_moto("wafv2", "get_ip_set", place.clone());
        (now["IPSet"]["Addresses"] == json!([attacker]))
            .then_some(())
            .ok_or(now)
    });

    let acl = environment.found("edge", "WebAcl");
    let first = acl["Rules"]
        .as_array()
        .unwrap()
        .iter()
        .min_by_key(|rule| rule["Priority"].as_i64())
        .unwrap();
    // The web ACL leaves the group's own actions as they are.
    assert_eq!(first["OverrideAction"], json!({ "None": {} }));
    let arn = &first["Statement"]["RuleGroupReferenceStatement"]["ARN"];
    let group = environment.ask_moto("wafv2", "get_rule_group", json!({ "ARN": arn }));
    let blocks = group["RuleGroup"]["Rules"].as_array().unwrap().iter().any(|rule| {
        let sets = rule["Statement"].to_string();
        let named = sets.contains(known["IPSet"]["ARN"].as_str().unwrap());
        named && rule["Action"].get("Block").is_some()
    });
    assert!(blocks, "{group}");
}

/// Somebody creates a bucket; CloudTrail tells of it, and the deployed function encrypts it.
fn row_20_a_new_bucket_is_encrypted(environment: &Environment) {
    let bucket = json!({ "Bucket": "securecart-uploads-111122223333" });
    environment.ask("s3", "create_bucket", bucket.clone());
    let algorithm = || {
        let found = environment.ask("s3", "get_bucket_encryption", bucket.clone());
        let rule = found["ServerSideEncryptionConfiguration"]["Rules"][0].clone();
        rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"].clone()
    };
    assert_eq!(algorithm(), "AES256");
    environment.deliver("enforce-s3-encryption", "cloudtrail-create-bucket");
    environment.wait(|| match algorithm() {
        found if found == "aws:kms" => Ok(()),
        other => Err(other),
    });
}

fn row_7_shield(environment: &Environment) {
    let protection = environment.found("edge", "LoadBalancerShield");
    assert_eq!(protection["ResourceArn"], environment.id("edge", "LoadBalancer"));
    // It is a paid subscription, and so nobody gets it who does not ask.
    for stack in ["stacks/edge.yaml", "stacks/root.yaml"] {
        assert_eq!(yaml(stack)["Parameters"]["ShieldAdvanced"]["Default"], "false");
    }
    assert_eq!(
        yaml("stacks/edge.yaml")["Resources"]["LoadBalancerShield"]["Condition"],
        "HasShieldAdvanced"
    );
    let listener = environment.found("edge", "HttpListener");
    assert_eq!(
        listener["DefaultActions"][0]["RedirectConfig"]["Protocol"], "HTTPS",
        "port 80 redirects only"
    );
    let listener = environment.found("edge", "HttpsListener");
    assert_eq!(
        (&listener["Port"], &listener["Protocol"]),
        (&json!(443), &json!("HTTPS"))
    );
    assert_eq!(listener["SslPolicy"], "ELBSecurityPolicy-TLS13-1-2-2021-06");
}

// ---------------------------------------------------------------- 8 to 11: who may do what

fn row_8_customers_sign_in_with_cognito(environment: &Environment) {
    let pool = environment.found("identity", "UserPool");
    assert_eq!(pool["MfaConfiguration"], "ON");
    let password = &pool["Policies"]["PasswordPolicy"];
    assert_eq!(password["MinimumLength"], 14);
    for required in [
        "RequireLowercase",
        "RequireUppercase",
        "RequireNumbers",
        "RequireSymbols",
    ] {
        assert_eq!(password[required], true, "{required}");
    }
    let client = environment.found("identity", "UserPoolClient");
    assert_eq!(client["AllowedOAuthFlows"], json!(["code"]));
    assert_eq!(client["PreventUserExistenceErrors"], "ENABLED");
    assert!(
        !texts(&client["ExplicitAuthFlows"])
            .iter()
            .any(|flow| flow.contains("PASSWORD"))
    );
    let domain = environment.found("identity", "UserPoolDomain");
    assert_eq!(domain["UserPoolId"], environment.output("identity", "UserPoolId"));
}

fn row_9_orders_are_for_those_who_are_signed_in(environment: &Environment) {
    let api = environment.output("workload", "ApiId");
    let resources = environment.ask(
        "apigateway",
        "get_resources",
        json!({ "restApiId": api, "embed": ["methods"] }),
    );
    let methods: Vec<_> = resources["items"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|resource| {
            let path = resource["path"].as_str().unwrap();
            let methods = resource.get("resourceMethods").and_then(Value::as_object);
            methods
                .into_iter()
                .flat_map(|methods| methods.keys())
                .map(move |method| format!("{method} {path}"))
        })
        .collect();
    assert_eq!(methods, ["GET /orders"]);
    let method = environment.found("workload", "OrdersMethod");
    assert_eq!(method["authorizationType"], "COGNITO_USER_POOLS");
    let authorizer = environment.found("workload", "ApiAuthorizer");
    assert_eq!(method["authorizerId"], authorizer["id"]);
    assert_eq!(authorizer["type"], "COGNITO_USER_POOLS");
    assert_eq!(
        authorizer["providerARNs"],
        json!([environment.output("identity", "UserPoolArn")])
    );
    let stage = environment.found("workload", "ApiStage");
    let settings = &stage["methodSettings"]["*/*"];
    assert_eq!(
        (&settings["throttlingRateLimit"], &settings["throttlingBurstLimit"]),
        (&json!(50.0), &json!(100))
    );
    assert_eq!(settings["dataTraceEnabled"], false);
    assert!(
        stage["accessLogSettings"]["destinationArn"]
            .as_str()
            .unwrap()
            .contains(":log-group:/aws/apigateway/")
    );
    let permission = environment.found("workload", "OrdersPermission");
    let source = permission["SourceArn"].as_str().unwrap();
    assert!(source.ends_with("/prod/GET/orders"), "{source}");
}

fn row_10_roles_have_no_wildcards(environment: &Environment) {
    // Actions that AWS knows no resources for, as the service authorisation reference says.
    let anywhere = [
        "ecr:GetAuthorizationToken",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
        "secretsmanager:GetRandomPassword",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    ];
    let mut actions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for stack in ["network", "data", "identity", "workload", "detection"] {
        for (name, role) in environment.of_kind(stack, "AWS::IAM::Role") {
            for policy in role.found["Policies"].as_array().unwrap() {
                // What the test gave itself above.
                if policy["PolicyName"] == "generous" {
                    continue;
                }
                let statements = all(&policy["PolicyDocument"]["Statement"]).into_iter();
                for statement in statements.filter(|statement| statement["Effect"] == "Allow") {
                    for action in all(&statement["Action"]) {
                        let action = action.as_str().unwrap();
                        assert!(!action.contains('*'), "{name}: {action}");
                        let everywhere = all(&statement["Resource"]).contains(&&json!("*"));
                        assert!(
                            !everywhere || anywhere.contains(&action),
                            "{name}: {action} on everything"
                        );
                        actions.entry(name).or_default().insert(action.to_owned());
                    }
                }
            }
        }
    }
    let services = |role: &str| -> BTreeSet<_> {
        actions[role]
            .iter()
            .map(|action| action.split(':').next().unwrap())
            .collect()
    };
    assert_eq!(services("TaskRole"), BTreeSet::from(["dynamodb", "kms", "s3"]));
    assert!(actions["OrderFunctionRole"].contains("dynamodb:Query"));
    assert!(
        !actions["OrderFunctionRole"]
            .iter()
            .any(|action| action.starts_with("dynamodb:Put"))
    );
    for (role, service) in [
        ("TaskRole", "ecs-tasks"),
        ("ExecutionRole", "ecs-tasks"),
        ("OrderFunctionRole", "lambda"),
    ] {
        let trust = &environment.resource("identity", role).properties["AssumeRolePolicyDocument"]["Statement"];
        assert_eq!(
            all(trust)[0]["Principal"],
            json!({ "Service": format!("{service}.amazonaws.com") })
        );
    }
}

fn row_11_tasks_get_their_secrets_from_secrets_manager(environment: &Environment) {
    let definition = environment.found("workload", "TaskDefinition");
    assert_eq!(definition["requiresCompatibilities"], json!(["FARGATE"]));
    assert_eq!(
        definition["executionRoleArn"],
        environment.output("identity", "ExecutionRoleArn")
    );
    assert_eq!(definition["taskRoleArn"], environment.output("identity", "TaskRoleArn"));
    let container = &definition["containerDefinitions"][0];
    assert_eq!(container["portMappings"][0]["containerPort"], 8080);
    assert_eq!(container["readonlyRootFilesystem"], true);
    let secrets = container["secrets"].as_array().unwrap().iter();
    let secrets: BTreeMap<_, _> = secrets
        .map(|secret| (secret["name"].as_str().unwrap(), secret["valueFrom"].as_str().unwrap()))
        .collect();
    let database = environment.output("data", "DatabaseSecretArn");
    for (name, key) in [
        ("PGHOST", "host"),
        ("PGPORT", "port"),
        ("PGDATABASE", "dbname"),
        ("PGUSER", "username"),
        ("PGPASSWORD", "password"),
    ] {
        assert_eq!(secrets[name], format!("{database}:{key}::"));
    }
    assert_eq!(
        secrets["PAYMENT_GATEWAY_KEYS"],
        environment.output("data", "PaymentSecretArn")
    );
    assert_eq!(secrets["OAUTH_TOKENS"], environment.output("data", "OAuthSecretArn"));
    let plain = container["environment"].as_array().unwrap().iter();
    let plain: Vec<_> = plain.map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(plain, ["PGSSLMODE"], "nothing secret is written down");
    let service = environment.found("workload", "Service");
    assert_eq!(service["loadBalancers"][0]["containerPort"], 8080);
    assert_eq!(
        service["loadBalancers"][0]["targetGroupArn"],
        environment.output("edge", "TargetGroupArn")
    );
    assert_eq!(environment.found("edge", "TargetGroup")["Port"], 8080);
    let groups = &service["networkConfiguration"]["awsvpcConfiguration"]["securityGroups"];
    assert_eq!(*groups, json!([environment.output("network", "TaskSecurityGroupId")]));
}

// ---------------------------------------------------------------- 12: the database

fn row_12_the_database(environment: &Environment) {
    let id = environment.output("data", "DatabaseIdentifier");
    let database =
        environment.ask("rds", "describe_db_instances", json!({ "DBInstanceIdentifier": id }))["DBInstances"][0].take();
    for (flag, expected) in [
        ("StorageEncrypted", true),
        ("PubliclyAccessible", false),
        ("DeletionProtection", true),
        ("MultiAZ", true),
        ("IAMDatabaseAuthenticationEnabled", true),
    ] {
        assert_eq!(database[flag], expected, "{flag}");
    }
    assert_eq!(database["Engine"], "postgres");
    assert_eq!(database["KmsKeyId"], environment.output("data", "DataKeyArn"));
    let groups: Vec<_> = all(&database["VpcSecurityGroups"])
        .into_iter()
        .map(|group| &group["VpcSecurityGroupId"])
        .collect();
    assert_eq!(
        groups,
        [&json!(environment.output("network", "DatabaseSecurityGroupId"))]
    );
    let parameters = &environment.found("data", "DatabaseParameters")["Parameters"];
    assert_eq!(parameters["rds.force_ssl"], "1");
    assert_eq!(
        database["DBParameterGroups"][0]["DBParameterGroupName"],
        environment.id("data", "DatabaseParameters")
    );
    for bucket in [
        ("data", "ObjectBucket"),
        ("data", "LogBucket"),
        ("detection", "TrailBucket"),
        ("detection", "ConfigBucket"),
    ] {
        let found = environment.found(bucket.0, bucket.1);
        assert_eq!(
            found["PublicAccessBlockConfiguration"]["RestrictPublicBuckets"], true,
            "{bucket:?}"
        );
        let rule = &found["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"];
        let algorithm = if bucket.1 == "LogBucket" { "AES256" } else { "aws:kms" };
        assert_eq!(rule["SSEAlgorithm"], algorithm, "{bucket:?}");
    }
}

// ---------------------------------------------------------------- 13 to 17: detection

fn row_13_guardduty(environment: &Environment) {
    let detectors = environment.ask_moto("guardduty", "list_detectors", json!({}));
    assert_eq!(
        detectors["DetectorIds"],
        json!([environment.output("detection", "DetectorId")])
    );
    let detector = environment.found("detection", "Detector");
    assert_eq!(detector["Status"], "ENABLED");
    let features: BTreeMap<_, _> = all(&detector["Features"])
        .into_iter()
        .map(|feature| (feature["Name"].as_str().unwrap(), feature["Status"].as_str().unwrap()))
        .collect();
    let wanted = [
        "S3_DATA_EVENTS",
        "EKS_AUDIT_LOGS",
        "EBS_MALWARE_PROTECTION",
        "RDS_LOGIN_EVENTS",
        "LAMBDA_NETWORK_LOGS",
        "RUNTIME_MONITORING",
    ];
    assert_eq!(features, wanted.map(|name| (name, "ENABLED")).into());
}

fn row_14_config(environment: &Environment) {
    let recorder = environment.found("detection", "Recorder");
    assert_eq!(recorder["recording"], true);
    assert_eq!(
        recorder["recordingGroup"],
        json!({ "allSupported": true, "includeGlobalResourceTypes": true })
    );
    let channel = environment.found("detection", "DeliveryChannel");
    assert_eq!(
        channel["s3BucketName"],
        environment.output("detection", "ConfigBucketName")
    );
    let rules = environment.ask("config", "describe_config_rules", json!({}));
    let rules: BTreeMap<_, _> = rules["ConfigRules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| (rule["ConfigRuleName"].as_str().unwrap(), rule))
        .collect();
    for (name, identifier) in [
        (
            "s3-bucket-server-side-encryption-enabled",
            "S3_BUCKET_SERVER_SIDE_ENCRYPTION_ENABLED",
        ),
        ("s3-default-encryption-kms", "S3_DEFAULT_ENCRYPTION_KMS"),
        ("s3-bucket-ssl-requests-only", "S3_BUCKET_SSL_REQUESTS_ONLY"),
        ("rds-storage-encrypted", "RDS_STORAGE_ENCRYPTED"),
        ("encrypted-volumes", "ENCRYPTED_VOLUMES"),
        ("ec2-ebs-encryption-by-default", "EC2_EBS_ENCRYPTION_BY_DEFAULT"),
        ("restricted-ssh", "INCOMING_SSH_DISABLED"),
        (
            "vpc-sg-open-only-to-authorized-ports",
            "VPC_SG_OPEN_ONLY_TO_AUTHORIZED_PORTS",
        ),
        ("access-keys-rotated", "ACCESS_KEYS_ROTATED"),
        ("iam-user-unused-credentials-check", "IAM_USER_UNUSED_CREDENTIALS_CHECK"),
        (
            "iam-policy-no-statements-with-admin-access",
            "IAM_POLICY_NO_STATEMENTS_WITH_ADMIN_ACCESS",
        ),
    ] {
        let source = &rules.get(name).unwrap_or_else(|| panic!("no rule {name}"))["Source"];
        assert_eq!(
            (&source["Owner"], &source["SourceIdentifier"]),
            (&json!("AWS"), &json!(identifier)),
            "{name}"
        );
    }
    let parameters =
        |name: &str| -> Value { serde_json::from_str(rules[name]["InputParameters"].as_str().unwrap()).unwrap() };
    assert_eq!(parameters("access-keys-rotated"), json!({ "maxAccessKeyAge": "90" }));
    assert_eq!(
        parameters("vpc-sg-open-only-to-authorized-ports"),
        json!({ "authorizedTcpPorts": "80,443" })
    );
}

fn row_15_cloudtrail(environment: &Environment) {
    let trail = environment.found("detection", "Trail");
    for flag in [
        "IsMultiRegionTrail",
        "LogFileValidationEnabled",
        "IncludeGlobalServiceEvents",
        "IsLogging",
    ] {
        assert_eq!(trail[flag], true, "{flag}");
    }
    assert_eq!(
        trail["S3BucketName"],
        environment.output("detection", "TrailBucketName")
    );
    assert_eq!(trail["KmsKeyId"], environment.output("detection", "AuditKeyArn"));
    let selectors = all(&trail["EventSelectors"]);
    assert!(
        selectors
            .iter()
            .any(|selector| selector["ReadWriteType"] == "All" && selector["IncludeManagementEvents"] == true)
    );
}

fn row_16_security_hub(environment: &Environment) {
    let hub = environment.found("detection", "Hub");
    assert_eq!(hub["HubArn"], environment.output("detection", "HubArn"));
    assert_eq!(
        (&hub["ControlFindingGenerator"], &hub["AutoEnableControls"]),
        (&json!("SECURITY_CONTROL"), &json!(true))
    );
    let actions = environment.of_kind("detection", "AWS::SecurityHub::ActionTarget");
    let actions: BTreeSet<_> = actions
        .map(|(_, action)| action.properties["Name"].as_str().unwrap())
        .collect();
    assert_eq!(actions, BTreeSet::from(["Remediate", "Undo remediation"]));
    // The application listens to these names.
    let application = yaml("template.yaml").to_string();
    assert!(actions.iter().all(|name| application.contains(&format!("\"{name}\""))));
    let standards = environment.of_kind("detection", "AWS::SecurityHub::Standard");
    let standards: Vec<_> = standards
        .map(|(_, standard)| standard.properties["StandardsArn"].as_str().unwrap())
        .collect();
    assert!(
        standards
            .iter()
            .any(|arn| arn.contains("/aws-foundational-security-best-practices/")),
        "{standards:?}"
    );
}

fn row_17_access_analyzer(environment: &Environment) {
    let analyzers = environment.of_kind("detection", "AWS::AccessAnalyzer::Analyzer");
    let kinds: BTreeSet<_> = analyzers
        .map(|(_, analyzer)| analyzer.properties["Type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, BTreeSet::from(["ACCOUNT", "ACCOUNT_UNUSED_ACCESS"]));
}

// ---------------------------------------------------------------- 18 to 21: the remediation, whose scenarios are in the other tests

fn rows_18_to_21_the_remediation_listens(environment: &Environment) {
    let functions = environment.of_kind("template", "AWS::Lambda::Function").count();
    assert_eq!(functions, FUNCTIONS.len());
    // Every Config rule of the environment has an event rule of the application that listens to it.
    let sample = std::fs::read_to_string(
        workspace()
            .unwrap()
            .join("events/close-open-ingress/config-restricted-ssh.json"),
    );
    let sample: Value = serde_json::from_str(&sample.unwrap()).unwrap();
    let event = |rule: &str| {
        let mut event = sample.clone();
        event["detail"]["configRuleName"] = json!(rule);
        event.to_string()
    };
    let rules = environment.ask("events", "list_rules", json!({}));
    let patterns = rules["Rules"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|rule| rule.get("EventPattern"));
    let patterns: Vec<_> = patterns.collect();
    let config_rules = environment.of_kind("detection", "AWS::Config::ConfigRule");
    let config_rules: Vec<_> = config_rules.map(|(_, rule)| rule.physical_id.as_str()).collect();
    assert!(config_rules.len() >= 11);
    // One that the application does not know comes last.
    let asked: Vec<_> = config_rules.iter().copied().chain(["cloudtrail-enabled"]).collect();
    let calls = asked.iter().flat_map(|name| {
        let test = |pattern: &&Value| json!({ "EventPattern": pattern, "Event": event(name) });
        let tests: Vec<_> = patterns.iter().map(test).collect();
        tests.into_iter().map(|test| ("events", "test_event_pattern", test))
    });
    let answers = environment.cloud.boto3(&calls.collect::<Vec<_>>()).unwrap();
    let heard: Vec<bool> = answers
        .into_iter()
        .map(|answer| answer.unwrap()["Result"] == true)
        .collect();
    let heard = heard.chunks(patterns.len()).map(|each| each.contains(&true));
    let unheard: Vec<_> = asked
        .into_iter()
        .zip(heard)
        .filter(|(_, heard)| !heard)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(unheard, ["cloudtrail-enabled"]);
}
