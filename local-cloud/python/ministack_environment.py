"""What ministack lacks for the reference environment. This is ours, not AWS's.

CloudFormation: Ref of a secret is its ARN, and a topic has the key that it is given.

EC2: an endpoint shows its security groups, its policy and whether it has private names. The entries of a network ACL keep their port range, and
there are no two of one number and direction. Every ACL ends in the two entries that deny the rest. A subnet is always with one ACL, at first
with its VPC's default one, and takes its place with another when the association is replaced.
"""

from __future__ import annotations

import json
from typing import Any
from xml.sax.saxutils import escape

from ministack.services import ec2, secretsmanager, sns
from ministack.services.cloudformation import provisioners

REST = 32767

_entry_xml = ec2._network_acl_entry_xml
_create_acl = ec2._create_network_acl
_create_entry = ec2._create_network_acl_entry
_describe = ec2._describe_network_acls
_endpoint_xml = ec2._vpce_fields_xml
_replace_association = ec2._replace_network_acl_association


def entry_xml(entry: dict[str, Any]) -> str:
    xml, ports = _entry_xml(entry), entry.get("PortRange")
    if ports is None:
        return xml
    shown = f"<portRange><from>{ports[0]}</from><to>{ports[1]}</to></portRange>"
    return xml.replace("<egress>", f"{shown}<egress>")


def endpoint_xml(endpoint: dict[str, Any], tag: str = "item") -> str:
    groups = "".join(f"<item><groupId>{group}</groupId></item>" for group in endpoint.get("SecurityGroupIds", []))
    private = str(endpoint.get("PrivateDnsEnabled", False)).lower()
    told = f"<groupSet>{groups}</groupSet><privateDnsEnabled>{private}</privateDnsEnabled>"
    if policy := endpoint.get("PolicyDocument"):
        told += f"<policyDocument>{escape(policy if isinstance(policy, str) else json.dumps(policy))}</policyDocument>"
    xml = _endpoint_xml(endpoint, tag)
    end = xml.rindex(f"</{tag}>")
    return xml[:end] + told + xml[end:]


def rest(egress: bool) -> dict[str, Any]:
    return {"RuleNumber": REST, "Protocol": "-1", "RuleAction": "deny", "Egress": egress, "CidrBlock": "0.0.0.0/0"}


def create_acl(parameters: Any) -> Any:
    answer = _create_acl(parameters)
    for acl in ec2._network_acls.values():
        if not acl["IsDefault"] and not acl["Entries"]:
            acl["Entries"] = [rest(False), rest(True)]
    return answer


def create_entry(parameters: Any) -> Any:
    acl = ec2._network_acls.get(ec2._p(parameters, "NetworkAclId"))
    number, egress = int(ec2._p(parameters, "RuleNumber") or 0), ec2._p(parameters, "Egress") == "true"
    if not 1 <= number < REST:
        return ec2._error("InvalidParameterValue", f"{number} is no number of a rule", 400)
    if acl and any((entry["RuleNumber"], entry["Egress"]) == (number, egress) for entry in acl["Entries"]):
        message = f"The network acl entry identified by {number} already exists."
        return ec2._error("NetworkAclEntryAlreadyExists", message, 400)
    answer = _create_entry(parameters)
    if acl and (first := ec2._p(parameters, "PortRange.From")):
        acl["Entries"][-1]["PortRange"] = (int(first), int(ec2._p(parameters, "PortRange.To")))
    return answer


def associate_by_default() -> None:
    """Gives each subnet that has no ACL the default one of its VPC."""
    placed = {place["SubnetId"] for acl in ec2._network_acls.values() for place in acl["Associations"]}
    defaults = {acl["VpcId"]: acl for acl in ec2._network_acls.values() if acl["IsDefault"]}
    for subnet in ec2._subnets.values():
        name = subnet["SubnetId"]
        if name not in placed and (acl := defaults.get(subnet["VpcId"])):
            acl["Associations"].append({"NetworkAclAssociationId": f"aclassoc-{name.removeprefix('subnet-')}", "SubnetId": name})


def describe(parameters: Any) -> Any:
    associate_by_default()
    return _describe(parameters)


def replace_association(parameters: Any) -> Any:
    associate_by_default()
    wanted, target = ec2._p(parameters, "AssociationId"), ec2._p(parameters, "NetworkAclId")
    places = [place for acl in ec2._network_acls.values() for place in acl["Associations"]]
    subnet = next((place["SubnetId"] for place in places if place["NetworkAclAssociationId"] == wanted), None)
    if subnet is None:
        return ec2._error("InvalidAssociationID.NotFound", f"The association ID '{wanted}' does not exist", 400)
    answer = _replace_association(parameters)
    if target in ec2._network_acls:
        ec2._network_acls[target]["Associations"][-1]["SubnetId"] = subnet
    return answer


def secret_arn(name: str) -> str:
    return secretsmanager._secrets[name]["ARN"]


def secret_name(arn: str) -> str:
    return next((name for name, secret in secretsmanager._secrets.items() if secret["ARN"] == arn), arn)


def refer_to_secrets_by_arn() -> None:
    """ministack's Ref is the name, which no policy's Resource understands."""
    known = provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::Secret"]
    create, update, delete = known["create"], known["update"], known["delete"]

    def created(*arguments: Any) -> Any:
        name, attributes = create(*arguments)
        return secret_arn(name), attributes

    def updated(identifier: str, *arguments: Any, **named: Any) -> Any:
        name, *rest = update(secret_name(identifier), *arguments, **named)
        return secret_arn(name), *rest

    def deleted(identifier: str, *arguments: Any) -> Any:
        return delete(secret_name(identifier), *arguments)

    known |= {"create": created, "update": updated, "delete": deleted}


def keep_keys_of_topics() -> None:
    """ministack makes topics without."""
    known = provisioners._RESOURCE_HANDLERS["AWS::SNS::Topic"]
    create = known["create"]

    def created(logical: str, properties: Any, stack: str) -> Any:
        arn, attributes = create(logical, properties, stack)
        if key := properties.get("KmsMasterKeyId"):
            sns._topics[arn]["attributes"]["KmsMasterKeyId"] = key
        return arn, attributes

    known["create"] = created


def install() -> None:
    refer_to_secrets_by_arn()
    keep_keys_of_topics()
    ec2._network_acl_entry_xml = entry_xml
    ec2._vpce_fields_xml = endpoint_xml
    ec2._ACTION_MAP |= {
        "CreateNetworkAcl": create_acl,
        "CreateNetworkAclEntry": create_entry,
        "DescribeNetworkAcls": describe,
        "ReplaceNetworkAclAssociation": replace_association,
    }
