"""Creates through services' APIs what CloudFormation on the local cloud does not know, from the template's own resolved properties."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from deploy import Waf, shaped
from intrinsics import Known

Client = Callable[[str], Any]
Json = dict[str, Any]
Maker = Callable[[Client, Json, str], Known]


def send(client: Client, service: str, method: str, wanted: Json) -> Json:
    """Makes the call with CloudFormation's spelling of its parameters. A name that the API does not have fails."""
    api = client(service)
    shape = api.meta.service_model.operation_model(api.meta.method_to_api_mapping[method]).input_shape
    tags = wanted.get("Tags")
    if isinstance(tags, list):
        member = {name.lower(): (name, member) for name, member in shape.members.items()}.get("tags")
        wanted = {name: value for name, value in wanted.items() if name != "Tags"}
        if member:
            wanted[member[0]] = {tag["Key"]: tag["Value"] for tag in tags} if member[1].type_name == "map" else tags
    answer: Json = getattr(api, method)(**shaped(wanted, shape))
    return answer


def renamed(properties: Json, names: dict[str, str]) -> Json:
    return {names.get(name, name): value for name, value in properties.items()}


# ---------------------------------------------------------------- EC2


def _tagged(client: Client, identifier: str, properties: Json) -> str:
    if tags := properties.get("Tags"):
        client("ec2").create_tags(Resources=[identifier], Tags=tags)
    return identifier


def _without_tags(properties: Json) -> Json:
    return {name: value for name, value in properties.items() if name != "Tags"}


def _acl(client: Client, properties: Json, _: str) -> Known:
    acl = send(client, "ec2", "create_network_acl", _without_tags(properties))["NetworkAcl"]["NetworkAclId"]
    return Known(_tagged(client, acl, properties), {"Id": acl})


def _acl_entry(client: Client, properties: Json, _: str) -> Known:
    properties.setdefault("Egress", False)
    send(client, "ec2", "create_network_acl_entry", renamed(properties, {"Icmp": "IcmpTypeCode"}))
    return Known(f"{properties['NetworkAclId']}|{properties['RuleNumber']}|{properties['Egress']}")


def _acl_association(client: Client, properties: Json, _: str) -> Known:
    subnet = properties["SubnetId"]
    for acl in client("ec2").describe_network_acls()["NetworkAcls"]:
        for place in acl["Associations"]:
            if place["SubnetId"] == subnet:
                moved = client("ec2").replace_network_acl_association(
                    AssociationId=place["NetworkAclAssociationId"], NetworkAclId=properties["NetworkAclId"]
                )["NewAssociationId"]
                return Known(moved, {"AssociationId": moved})
    raise LookupError(f"{subnet} has no network ACL")


def permission(rule: Json) -> Json:
    """CloudFormation's rule of a security group as the API has it."""
    wanted = {name: rule[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in rule}
    described = {"Description": rule["Description"]} if "Description" in rule else {}
    group = rule.get("SourceSecurityGroupId") or rule.get("DestinationSecurityGroupId")
    prefixes = rule.get("SourcePrefixListId") or rule.get("DestinationPrefixListId")
    if group:
        wanted["UserIdGroupPairs"] = [{"GroupId": group} | described]
    elif prefixes:
        wanted["PrefixListIds"] = [{"PrefixListId": prefixes} | described]
    elif "CidrIpv6" in rule:
        wanted["Ipv6Ranges"] = [{"CidrIpv6": rule["CidrIpv6"]} | described]
    else:
        wanted["IpRanges"] = [{"CidrIp": rule["CidrIp"]} | described]
    return wanted


def _group_rule(direction: str) -> Maker:
    def make(client: Client, properties: Json, _: str) -> Known:
        wanted = {"GroupId": properties["GroupId"], "IpPermissions": [permission(properties)]}
        rules = send(client, "ec2", f"authorize_security_group_{direction}", wanted)["SecurityGroupRules"]
        return Known(rules[0]["SecurityGroupRuleId"])

    return make


def _address(client: Client, properties: Json, _: str) -> Known:
    made = send(client, "ec2", "allocate_address", _without_tags(properties))
    _tagged(client, made["AllocationId"], properties)
    return Known(made["PublicIp"], {"AllocationId": made["AllocationId"], "PublicIp": made["PublicIp"]})


def _nat(client: Client, properties: Json, _: str) -> Known:
    nat = send(client, "ec2", "create_nat_gateway", _without_tags(properties))["NatGateway"]["NatGatewayId"]
    return Known(_tagged(client, nat, properties), {"NatGatewayId": nat})


def _flow_log(client: Client, properties: Json, _: str) -> Known:
    wanted = _without_tags(properties) | {"ResourceIds": [properties["ResourceId"]]}
    del wanted["ResourceId"]
    made = send(client, "ec2", "create_flow_logs", wanted)["FlowLogIds"][0]
    return Known(_tagged(client, made, properties), {"Id": made})


# ---------------------------------------------------------------- AWS WAF


def _waf(kind: str) -> Maker:
    def make(client: Client, properties: Json, name: str) -> Known:
        return Waf(client, name).ensure(name, kind, properties)[0]

    return make


def _web_acl_association(client: Client, properties: Json, _: str) -> Known:
    send(client, "wafv2", "associate_web_acl", properties)
    return Known(f"{properties['WebACLArn']}|{properties['ResourceArn']}")


def _web_acl_logging(client: Client, properties: Json, _: str) -> Known:
    send(client, "wafv2", "put_logging_configuration", {"LoggingConfiguration": properties})
    return Known(properties["ResourceArn"])


def _protection(client: Client, properties: Json, _: str) -> Known:
    identifier = send(client, "shield", "create_protection", properties)["ProtectionId"]
    return Known(identifier, {"ProtectionId": identifier})


# ---------------------------------------------------------------- Secrets Manager


def _secret_policy(client: Client, properties: Json, _: str) -> Known:
    wanted = properties | {"ResourcePolicy": json.dumps(properties["ResourcePolicy"])}
    return Known(send(client, "secretsmanager", "put_resource_policy", wanted)["ARN"])


def _rotation(client: Client, properties: Json, _: str) -> Known:
    wanted = renamed(properties, {"RotateImmediatelyOnUpdate": "RotateImmediately"})
    return Known(send(client, "secretsmanager", "rotate_secret", wanted)["ARN"])


# ---------------------------------------------------------------- ECS


def _task_definition(client: Client, properties: Json, _: str) -> Known:
    """CloudFormation there keeps the containers in its own spelling, which the API then does not show."""
    arn = send(client, "ecs", "register_task_definition", _without_tags(properties))["taskDefinition"]["taskDefinitionArn"]
    return Known(arn, {"TaskDefinitionArn": arn})


# ---------------------------------------------------------------- Config, CloudTrail, GuardDuty, Security Hub


def _start_recording(client: Client) -> None:
    """CloudFormation starts the recorder when it is there and has a place to deliver to."""
    config = client("config")
    if config.describe_delivery_channels()["DeliveryChannels"]:
        for recorder in config.describe_configuration_recorders()["ConfigurationRecorders"]:
            config.start_configuration_recorder(ConfigurationRecorderName=recorder["name"])


def _recorder(client: Client, properties: Json, name: str) -> Known:
    wanted = {"Name": name} | _without_tags(properties)
    send(client, "config", "put_configuration_recorder", {"ConfigurationRecorder": wanted})
    _start_recording(client)
    return Known(wanted["Name"])


def _channel(client: Client, properties: Json, name: str) -> Known:
    wanted = {"Name": name} | properties
    send(client, "config", "put_delivery_channel", {"DeliveryChannel": wanted})
    _start_recording(client)
    return Known(wanted["Name"])


def _config_rule(client: Client, properties: Json, name: str) -> Known:
    wanted = {"ConfigRuleName": name} | _without_tags(properties)
    if "InputParameters" in wanted and not isinstance(wanted["InputParameters"], str):
        wanted["InputParameters"] = json.dumps({name: str(value) for name, value in wanted["InputParameters"].items()})
    send(client, "config", "put_config_rule", {"ConfigRule": wanted})
    rule = client("config").describe_config_rules(ConfigRuleNames=[wanted["ConfigRuleName"]])["ConfigRules"][0]
    return Known(rule["ConfigRuleName"], {"Arn": rule["ConfigRuleArn"], "ConfigRuleId": rule["ConfigRuleId"]})


def _trail(client: Client, properties: Json, name: str) -> Known:
    selectors = {key: properties[key] for key in ("EventSelectors", "AdvancedEventSelectors") if key in properties}
    own = {"IsLogging", "TrailName", "InsightSelectors", "Tags", "EnableLogFileValidation", *selectors}
    wanted = {"Name": properties.get("TrailName", name)} | {key: value for key, value in properties.items() if key not in own}
    wanted |= {"EnableLogFileValidation": properties.get("EnableLogFileValidation", False)}
    made = send(client, "cloudtrail", "create_trail", renamed(wanted, {"KMSKeyId": "KmsKeyId"}))
    if selectors:
        send(client, "cloudtrail", "put_event_selectors", {"TrailName": made["Name"]} | selectors)
    if properties["IsLogging"]:
        client("cloudtrail").start_logging(Name=made["Name"])
    return Known(made["Name"], {"Arn": made["TrailARN"]})


def _detector(client: Client, properties: Json, _: str) -> Known:
    detector = send(client, "guardduty", "create_detector", properties)["DetectorId"]
    return Known(detector, {"Id": detector})


def _hub(client: Client, properties: Json, _: str) -> Known:
    """moto lacks the call for AutoEnableControls; the read-back shows whether it is as wanted."""
    send(client, "securityhub", "enable_security_hub", {name: value for name, value in properties.items() if name != "AutoEnableControls"})
    arn = client("securityhub").describe_hub()["HubArn"]
    return Known(arn, {"ARN": arn})


MAKERS: dict[str, Maker] = {
    "AWS::CloudTrail::Trail": _trail,
    "AWS::Config::ConfigRule": _config_rule,
    "AWS::Config::ConfigurationRecorder": _recorder,
    "AWS::Config::DeliveryChannel": _channel,
    "AWS::EC2::EIP": _address,
    "AWS::EC2::FlowLog": _flow_log,
    "AWS::EC2::NatGateway": _nat,
    "AWS::EC2::NetworkAcl": _acl,
    "AWS::EC2::NetworkAclEntry": _acl_entry,
    "AWS::EC2::SecurityGroupEgress": _group_rule("egress"),
    "AWS::EC2::SecurityGroupIngress": _group_rule("ingress"),
    "AWS::EC2::SubnetNetworkAclAssociation": _acl_association,
    "AWS::ECS::TaskDefinition": _task_definition,
    "AWS::GuardDuty::Detector": _detector,
    "AWS::SecretsManager::ResourcePolicy": _secret_policy,
    "AWS::SecretsManager::RotationSchedule": _rotation,
    "AWS::SecurityHub::Hub": _hub,
    "AWS::Shield::Protection": _protection,
    "AWS::WAFv2::IPSet": _waf("ip_set"),
    "AWS::WAFv2::LoggingConfiguration": _web_acl_logging,
    "AWS::WAFv2::RuleGroup": _waf("rule_group"),
    "AWS::WAFv2::WebACL": _waf("web_acl"),
    "AWS::WAFv2::WebACLAssociation": _web_acl_association,
}
