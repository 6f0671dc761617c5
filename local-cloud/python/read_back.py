"""Reads every deployed resource back through its own service's API: CREATE_COMPLETE alone proves little on an emulator."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Client = Callable[[str], Any]
Reader = Callable[[Client, str, dict[str, Any]], Any]


def _queue(client: Client, url: str) -> dict[str, Any]:
    return client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


def _queue_policy(client: Client, _: str, properties: dict[str, Any]) -> Any:
    policies = [json.loads(_queue(client, url)["Policy"]) for url in properties["Queues"]]
    return {"Queues": properties["Queues"], "PolicyDocument": _same(policies)}


def _topic_policy(client: Client, _: str, properties: dict[str, Any]) -> Any:
    topics = [client("sns").get_topic_attributes(TopicArn=arn)["Attributes"] for arn in properties["Topics"]]
    return {"Topics": properties["Topics"], "PolicyDocument": _same([json.loads(topic["Policy"]) for topic in topics])}


def _same(policies: list[Any]) -> Any:
    if any(policy != policies[0] for policy in policies):
        raise LookupError("the policies differ")
    return policies[0]


def _table(client: Client, name: str) -> dict[str, Any]:
    dynamodb = client("dynamodb")
    table = dynamodb.describe_table(TableName=name)["Table"]
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    return table | {
        "BillingMode": table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
        "SSESpecification": {"SSEEnabled": table.get("SSEDescription", {}).get("Status") == "ENABLED"},
        "TimeToLiveSpecification": {
            "AttributeName": expiry.get("AttributeName"),
            "Enabled": expiry["TimeToLiveStatus"] in ("ENABLED", "ENABLING"),
        },
        "PointInTimeRecoverySpecification": {
            "PointInTimeRecoveryEnabled": backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
        },
    }


def _role(client: Client, name: str) -> dict[str, Any]:
    iam = client("iam")
    policies = iam.list_role_policies(RoleName=name)["PolicyNames"]
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    return iam.get_role(RoleName=name)["Role"] | {
        "Policies": [iam.get_role_policy(RoleName=name, PolicyName=policy) for policy in policies],
        "ManagedPolicyArns": [policy["PolicyArn"] for policy in attached],
    }


def _permission(client: Client, identifier: str, properties: dict[str, Any]) -> Any:
    policy = json.loads(client("lambda").get_policy(FunctionName=properties["FunctionName"])["Policy"])
    for statement in policy["Statement"]:
        principal = statement["Principal"].get("Service") if isinstance(statement["Principal"], dict) else statement["Principal"]
        source = statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn")
        read = {"Action": statement["Action"], "Principal": principal, "SourceArn": source}
        # The function is the one whose policy this is; a wanted ARN is known to CloudFormation alone.
        if not differences({name: properties[name] for name in read if name in properties}, read):
            return read | {"FunctionName": properties["FunctionName"]}
    raise LookupError(f"{identifier} is not there")


def _rule(client: Client, name: str, properties: dict[str, Any]) -> Any:
    bus, _, name = name.rpartition("|")
    scope = {"EventBusName": bus or properties.get("EventBusName", "default")}
    targets = client("events").list_targets_by_rule(Rule=name, **scope)["Targets"]
    rule = client("events").describe_rule(Name=name, **scope)
    if "EventPattern" in rule:
        rule["EventPattern"] = json.loads(rule["EventPattern"])
    return rule | {"Targets": targets}


def _subscription(client: Client, arn: str, properties: dict[str, Any]) -> Any:
    subscriptions = client("sns").list_subscriptions_by_topic(TopicArn=properties["TopicArn"])["Subscriptions"]
    return _only(subscriptions, "Endpoint", properties["Endpoint"], arn)


def _log_group(client: Client, name: str) -> Any:
    return _only(client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"], "logGroupName", name, name)


def _alarm(client: Client, name: str) -> Any:
    return _only(client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"], "AlarmName", name, name)


def _only(items: list[dict[str, Any]], key: str, value: Any, what: str) -> dict[str, Any]:
    for item in items:
        if item.get(key) == value:
            return item
    raise LookupError(f"{what} is not there")


def _invoke_config(client: Client, _: str, properties: dict[str, Any]) -> Any:
    place = {name: properties[name] for name in ("FunctionName", "Qualifier")}
    return client("lambda").get_function_event_invoke_config(**place) | place


def _function(client: Client, name: str, properties: dict[str, Any]) -> Any:
    found = client("lambda").get_function(FunctionName=name)
    code = {"Code": properties["Code"]} if found["Configuration"]["CodeSize"] else {}
    return found["Configuration"] | code | {"Tags": found.get("Tags", {})}


def _mapping(client: Client, identifier: str, _: dict[str, Any]) -> Any:
    mapping = client("lambda").get_event_source_mapping(UUID=identifier)
    return mapping | {"FunctionName": mapping["FunctionArn"].rpartition(":")[2], "Enabled": mapping["State"] == "Enabled"}


def _key(client: Client, identifier: str, _: dict[str, Any]) -> Any:
    kms = client("kms")
    return kms.describe_key(KeyId=identifier)["KeyMetadata"] | {
        "EnableKeyRotation": kms.get_key_rotation_status(KeyId=identifier)["KeyRotationEnabled"],
        "KeyPolicy": json.loads(kms.get_key_policy(KeyId=identifier, PolicyName="default")["Policy"]),
    }


def _waf(client: Client, kind: str, member: str, reference: str) -> Any:
    place = dict(zip(("Name", "Id", "Scope"), reference.split("|"), strict=True))
    return getattr(client("wafv2"), f"get_{kind}")(**place)[member] | place


# What a service takes but never shows.
WRITE_ONLY = {"AWS::KMS::Key": {"PendingWindowInDays"}}

READERS: dict[str, Reader] = {
    "AWS::CloudWatch::Alarm": lambda client, name, _: _alarm(client, name),
    "AWS::CloudWatch::Dashboard": lambda client, name, _: client("cloudwatch").get_dashboard(DashboardName=name),
    "AWS::DynamoDB::Table": lambda client, name, _: _table(client, name),
    "AWS::Events::Rule": _rule,
    "AWS::IAM::ManagedPolicy": lambda client, arn, _: client("iam").get_policy(PolicyArn=arn)["Policy"],
    "AWS::IAM::Role": lambda client, name, _: _role(client, name),
    "AWS::KMS::Key": _key,
    "AWS::Lambda::EventInvokeConfig": _invoke_config,
    "AWS::Lambda::EventSourceMapping": _mapping,
    "AWS::Lambda::Function": _function,
    "AWS::Lambda::Permission": _permission,
    "AWS::Logs::LogGroup": lambda client, name, _: _log_group(client, name),
    "AWS::SNS::Subscription": _subscription,
    "AWS::SNS::Topic": lambda client, arn, _: client("sns").get_topic_attributes(TopicArn=arn)["Attributes"],
    "AWS::SNS::TopicPolicy": _topic_policy,
    "AWS::SQS::Queue": lambda client, url, _: _queue(client, url),
    "AWS::SQS::QueuePolicy": _queue_policy,
    "AWS::SSM::Parameter": lambda client, name, _: client("ssm").get_parameter(Name=name)["Parameter"],
    "AWS::WAFv2::IPSet": lambda client, ref, _: _waf(client, "ip_set", "IPSet", ref),
    "AWS::WAFv2::RuleGroup": lambda client, ref, _: _waf(client, "rule_group", "RuleGroup", ref),
    "AWS::WAFv2::WebACL": lambda client, ref, _: _waf(client, "web_acl", "WebACL", ref),
}


class Unknown:
    """A property whose value CloudFormation alone knows."""


UNKNOWN = Unknown()


def differences(wanted: Any, found: Any, path: str = "") -> list[str]:
    """Properties that the template sets and the read-back shows otherwise or not at all. A hint, since spellings differ."""
    if wanted is UNKNOWN:
        return []
    if isinstance(found, str) and isinstance(wanted, (dict, list)):
        try:
            found = json.loads(found)
        except ValueError:
            return [path]
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return [path]
        names = {name.lower(): name for name in found}
        wrong: list[str] = []
        for key, value in wanted.items():
            inner = f"{path}.{key}".lstrip(".")
            name = names.get(key.lower())
            wrong += [inner] if name is None else differences(value, found[name], inner)
        return wrong
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            return [path]
        return [wrong for i, (a, b) in enumerate(zip(wanted, found)) for wrong in differences(a, b, f"{path}[{i}]")]
    return [] if _text(wanted) == _text(found) else [path]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
