"""Deploys a SAM template to the local cloud and reads every resource back.

Prints one line of JSON:
    {"outputs": {...}, "resources": {"LogicalId": {"type": ..., "physical_id": ..., "created_by": "stack" | "api",
     "read_back": true, "not_honoured": ["properties that the read-back shows otherwise"]}}}

The functions get the given binaries, the architecture of this machine and the given environment variables. AWS WAF's resources,
which ministack cannot create, are created at moto through AWS WAF's own API from the template's properties, and every use of them
becomes the literal that CloudFormation would give. What ministack drops of a DynamoDB table is set through DynamoDB's API. Any other
type that ministack refuses, and any resource that cannot be read back, fails the deployment.

With --prepare-only the template is written for a real `sam deploy` instead, with the AWS WAF resources created and replaced.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import platform
import sys
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, WaiterError
from botocore.model import Shape
from samtranslator.yaml_helper import yaml_parse

from intrinsics import NO_VALUE, Intrinsics, Known, Unresolved, mentions, substitute
from read_back import READERS, UNKNOWN, WRITE_ONLY, differences

ARTIFACTS = "securecart-local-artifacts"
REGION = "us-east-1"
# Created in this order: a rule group names IP sets, a web ACL names both.
WAF_KINDS = {"AWS::WAFv2::IPSet": "ip_set", "AWS::WAFv2::RuleGroup": "rule_group", "AWS::WAFv2::WebACL": "web_acl"}
AT_MOTO = ("wafv2", "securityhub")
# Only Amazon Linux has its certificates there; the endpoints here are plain HTTP.
AMAZON_LINUX_ONLY = ("SSL_CERT_FILE",)

Json = dict[str, Any]


class Failed(Exception):
    """Why the deployment failed."""


class Clients:
    """boto3 clients by service, each at the emulator that has the service."""

    def __init__(self, endpoint: str, waf_endpoint: str) -> None:
        self._session = boto3.Session("test", "test", region_name=REGION)
        self._endpoint, self._waf_endpoint = endpoint, waf_endpoint
        self._clients: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        if service not in self._clients:
            url = self._waf_endpoint if service in AT_MOTO else self._endpoint
            config = Config(retries={"total_max_attempts": 3, "mode": "standard"}, s3={"addressing_style": "path"})
            self._clients[service] = self._session.client(service, endpoint_url=url, config=config)
        return self._clients[service]


# ---------------------------------------------------------------- the functions


def package(client: Clients, binary: Path) -> Json:
    """Uploads the binary as the zip that Lambda takes, and returns its place."""
    archive = io.BytesIO()
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr = 0o100755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr(entry, binary.read_bytes(), compresslevel=1)
    key = f"{binary.name}-{hashlib.sha256(archive.getvalue()).hexdigest()[:16]}.zip"
    client("s3").create_bucket(Bucket=ARTIFACTS)
    client("s3").put_object(Bucket=ARTIFACTS, Key=key, Body=archive.getvalue())
    return {"Bucket": ARTIFACTS, "Key": key}


def binary_of(name: str, function: Json, binaries: Mapping[str, Path]) -> Path:
    """The binary by the name that the template gives it: BuildProperties.Binary, CodeUri or the logical id."""
    code = str(function["Properties"].get("CodeUri", "")).rstrip("/")
    declared = function.get("Metadata", {}).get("BuildProperties", {}).get("Binary")
    for key in (declared, code, code.rpartition("/")[2], name):
        if key in binaries:
            return binaries[key]
    raise Failed(f"no binary for function {name} ({declared or code}); there are: {', '.join(binaries) or 'none'}")


def localise(client: Clients, template: Json, binaries: Mapping[str, Path], variables: Mapping[str, str]) -> None:
    """Makes the functions run here: this machine's binary and architecture, the local endpoints."""
    defaults = template.setdefault("Globals", {}).setdefault("Function", {})
    shared = defaults.setdefault("Environment", {}).setdefault("Variables", {})
    architecture = "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64"
    environments = [shared]
    defaults.pop("Architectures", None)
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            properties = resource["Properties"]
            properties["CodeUri"] = package(client, binary_of(name, resource, binaries))
            properties["Architectures"] = [architecture]
            # Or `sam deploy` would look for a build of its own.
            resource.pop("Metadata", None)
            environments.append(properties.get("Environment", {}).get("Variables", {}))
    for environment in environments:
        for variable in (*AMAZON_LINUX_ONLY, *variables):
            environment.pop(variable, None)
    shared.update(variables)


# ---------------------------------------------------------------- AWS WAF


def shaped(value: Any, shape: Shape) -> Any:
    """CloudFormation's spelling of a value as the API has it: names differ in case, numbers and booleans come as text."""
    if value is UNKNOWN:
        raise Failed(f"{shape.name} depends on something that only CloudFormation knows")
    match shape.type_name:
        case "structure":
            members = {name.lower(): name for name in shape.members}
            result = {}
            for key, item in value.items():
                if key == "SearchStringBase64":
                    key = "SearchString"
                if key.lower() not in members:
                    raise Failed(f"{shape.name} has no {key}")
                name = members[key.lower()]
                result[name] = shaped(item, shape.members[name])
            return result
        case "list":
            return [shaped(item, shape.member) for item in value]
        case "map":
            return {key: shaped(item, shape.value) for key, item in value.items()}
        case "integer" | "long":
            return int(value)
        case "boolean":
            return str(value).lower() == "true"
        case "blob":
            return str(value).encode()
        case "string":
            return str(value)
    return value


class Waf:
    """Creates AWS WAF's resources of a template, or finds them from an earlier deployment of the stack."""

    def __init__(self, client: Clients, stack: str) -> None:
        self._api, self._stack = client("wafv2"), stack

    def ensure(self, logical_id: str, kind: str, properties: Json) -> tuple[Known, str]:
        name, scope = properties.setdefault("Name", f"{self._stack}-{logical_id}"), properties["Scope"]
        existing = self._find(kind, name, scope)
        if existing is None:
            existing = self._send("create", kind, properties)["Summary"]
        elif kind != "ip_set":
            # CloudFormation leaves an IP set alone while its properties are the same; the addresses are the function's.
            place = {"Name": name, "Scope": scope, "Id": existing["Id"], "LockToken": existing["LockToken"]}
            self._send("update", kind, properties | place, only_known=True)
        reference = f"{name}|{existing['Id']}|{scope}"
        attributes = {"Arn": existing["ARN"], "Id": existing["Id"]}
        if kind != "ip_set":
            get = getattr(self._api, f"get_{kind}")(Name=name, Id=existing["Id"], Scope=scope)
            attributes |= {
                member: str(get[outer][member])
                for outer in ("RuleGroup", "WebACL") if outer in get
                for member in ("LabelNamespace", "Capacity") if member in get[outer]
            }  # fmt: skip
        return Known(reference, attributes), reference

    def _find(self, kind: str, name: str, scope: str) -> Json | None:
        answer = getattr(self._api, f"list_{kind}s")(Scope=scope, Limit=100)
        summaries = next(value for value in answer.values() if isinstance(value, list))
        return next((summary for summary in summaries if summary["Name"] == name), None)

    def _send(self, verb: str, kind: str, properties: Json, only_known: bool = False) -> Json:
        method = f"{verb}_{kind}"
        operation = self._api.meta.method_to_api_mapping[method]
        shape = self._api.meta.service_model.operation_model(operation).input_shape
        if only_known:
            known = {name.lower() for name in shape.members}
            properties = {name: value for name, value in properties.items() if name.lower() in known}
        return getattr(self._api, method)(**shaped(properties, shape))


def extract_waf(client: Clients, template: Json, stack: str, intrinsics: Intrinsics) -> dict[str, tuple[str, str]]:
    """Creates AWS WAF's resources, takes them out of the template, and returns their types and references."""
    resources: Json = template["Resources"]
    waiting = {name: resource for name, resource in resources.items() if resource["Type"] in WAF_KINDS}
    if not waiting:
        return {}
    names, created = set(waiting), {}
    waf = Waf(client, stack)
    absent = {name for name, resource in waiting.items() if not is_made(resource, intrinsics)}
    for kind in WAF_KINDS:
        for name, resource in waiting.items():
            if resource["Type"] == kind and name not in absent:
                try:
                    properties = intrinsics.resolve(resource["Properties"])
                except Unresolved as unknown:
                    raise Failed(f"{name} needs {unknown}, which only CloudFormation knows") from unknown
                intrinsics.known[name], reference = waf.ensure(name, WAF_KINDS[kind], properties)
                created[name] = (kind, reference)
    for name in names:
        del resources[name]
    # A use of a set that is not made must stand behind its condition, as in CloudFormation.
    if absent:
        for section in ("Resources", "Outputs"):
            items = template.get(section, {})
            for name in [name for name, item in items.items() if mentions(item, absent) and not is_made(item, intrinsics)]:
                del items[name]
            template[section] = prune(items, absent, intrinsics)
            if left := mentions(template[section], absent):
                raise Failed(f"{section} use {', '.join(sorted(left))}, whose condition does not hold")
    for section in ("Resources", "Outputs", "Conditions", "Globals"):
        if section in template:
            template[section] = substitute(template[section], intrinsics.known)
    for resource in resources.values():
        after = resource.get("DependsOn", [])
        after = [name for name in ([after] if isinstance(after, str) else after) if name not in names]
        resource.pop("DependsOn", None)
        if after:
            resource["DependsOn"] = after
    return created


def is_made(item: Json, intrinsics: Intrinsics) -> bool:
    return "Condition" not in item or intrinsics.holds(item["Condition"])


def prune(value: Any, absent: set[str], intrinsics: Intrinsics) -> Any:
    """Decides each Fn::If that names an absent resource."""
    if isinstance(value, list):
        return [prune(item, absent, intrinsics) for item in value]
    if not isinstance(value, dict):
        return value
    if "Fn::If" in value and mentions(value, absent):
        condition, yes, no = value["Fn::If"]
        return prune(yes if intrinsics.holds(condition) else no, absent, intrinsics)
    return {key: prune(item, absent, intrinsics) for key, item in value.items()}


# ---------------------------------------------------------------- the stack


def template_url(client: Clients, body: str) -> str:
    """CloudFormation takes 51,200 bytes with the call, and 1 MB from S3, where `sam deploy` puts templates as well."""
    s3, key = client("s3"), f"template-{uuid.uuid4()}.json"
    s3.create_bucket(Bucket=ARTIFACTS)
    s3.put_object(Bucket=ARTIFACTS, Key=key, Body=body.encode())
    return f"{s3.meta.endpoint_url}/{ARTIFACTS}/{key}"


def create_stack(client: Clients, stack: str, body: str, parameters: Mapping[str, str]) -> None:
    """Creates or updates the stack by a change set, as `sam deploy` does."""
    api = client("cloudformation")
    try:
        status = api.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        kind = "CREATE" if status == "REVIEW_IN_PROGRESS" else "UPDATE"
    except ClientError:
        kind = "CREATE"
    change = f"local-{uuid.uuid4()}"
    arn = api.create_change_set(
        StackName=stack,
        ChangeSetName=change,
        ChangeSetType=kind,
        TemplateURL=template_url(client, body),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    )["Id"]
    waiting = {"Delay": 0.2, "MaxAttempts": 600}
    try:
        api.get_waiter("change_set_create_complete").wait(ChangeSetName=arn, StackName=stack, WaiterConfig=waiting)
    except WaiterError as error:
        reason = error.last_response.get("StatusReason", str(error))
        if kind == "UPDATE" and ("didn't contain changes" in reason or "No updates" in reason):
            return
        raise Failed(f"the change set was refused: {reason}") from error
    api.execute_change_set(ChangeSetName=arn, StackName=stack)
    try:
        api.get_waiter(f"stack_{kind.lower()}_complete").wait(StackName=stack, WaiterConfig=waiting)
    except WaiterError as error:
        events = api.describe_stack_events(StackName=stack)["StackEvents"]
        reasons = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
            for event in reversed(events)
            if event["ResourceStatus"].endswith("FAILED")
        ]
        raise Failed("the stack failed: " + "; ".join(reasons or [str(error)])) from error


def complete_table(client: Clients, table: str, properties: Json) -> None:
    """Sets what ministack's CloudFormation drops of a table, from the template's own properties."""
    dynamodb = client("dynamodb")

    def send(method: str, wanted: Json) -> None:
        operation = dynamodb.meta.method_to_api_mapping[method]
        shape = dynamodb.meta.service_model.operation_model(operation).input_shape
        getattr(dynamodb, method)(**shaped({"TableName": table} | wanted, shape))

    if expiry := properties.get("TimeToLiveSpecification"):
        if dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"] == "DISABLED":
            send("update_time_to_live", {"TimeToLiveSpecification": expiry})
    if backups := properties.get("PointInTimeRecoverySpecification"):
        send("update_continuous_backups", {"PointInTimeRecoverySpecification": backups})
    if encryption := properties.get("SSESpecification"):
        renamed = {"SSEEnabled": "Enabled"}
        wanted = {renamed.get(name, name): value for name, value in encryption.items()}
        send("update_table", {"SSESpecification": wanted})


def partial(value: Any, intrinsics: Intrinsics) -> Any:
    """The value as far as it is known before CloudFormation computes the rest."""
    if isinstance(value, dict) and not (len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::"))):
        known = {key: partial(item, intrinsics) for key, item in value.items()}
        return {key: item for key, item in known.items() if item is not NO_VALUE}
    if isinstance(value, list):
        return [item for item in (partial(item, intrinsics) for item in value) if item is not NO_VALUE]
    if isinstance(value, dict) and "Fn::If" in value:
        condition, yes, no = value["Fn::If"]
        return partial(yes if intrinsics.holds(condition) else no, intrinsics)
    try:
        return intrinsics.resolve(value)
    except Unresolved:
        return UNKNOWN


def read_back(client: Clients, kind: str, physical_id: str, properties: Json) -> list[str]:
    """Reads the resource through its service, and returns the properties that it shows otherwise."""
    if kind not in READERS:
        raise Failed(f"nothing here reads {kind} back")
    try:
        found = READERS[kind](client, physical_id, properties)
    except (ClientError, BotoCoreError, LookupError, ValueError, TypeError) as error:
        raise Failed(f"{kind} {physical_id} cannot be read back: {type(error).__name__}: {error}") from error
    hidden = WRITE_ONLY.get(kind, set()) | {"Tags"}
    return sorted(differences({name: item for name, item in properties.items() if name not in hidden}, found))


def stack_resources(client: Clients, stack: str, intrinsics: Intrinsics) -> Json:
    api = client("cloudformation")
    listed = [item for page in api.get_paginator("list_stack_resources").paginate(StackName=stack)
              for item in page["StackResourceSummaries"]]  # fmt: skip
    processed = api.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
    definitions = (processed if isinstance(processed, dict) else yaml_parse(processed))["Resources"]
    missing = [
        name for name, item in definitions.items()
        if is_made(item, intrinsics) and name not in {resource["LogicalResourceId"] for resource in listed}
    ]  # fmt: skip
    if missing:
        raise Failed(f"the stack is complete without {', '.join(missing)}")
    for item in listed:
        intrinsics.known[item["LogicalResourceId"]] = Known(item["PhysicalResourceId"])
    resources: Json = {}
    for item in listed:
        name, kind, physical_id = item["LogicalResourceId"], item["ResourceType"], item["PhysicalResourceId"]
        properties = partial(definitions.get(name, {}).get("Properties", {}), intrinsics)
        if kind == "AWS::DynamoDB::Table":
            complete_table(client, physical_id, properties)
        resources[name] = {
            "type": kind,
            "physical_id": physical_id,
            "created_by": "stack",
            "not_honoured": read_back(client, kind, physical_id, properties),
            "read_back": True,
        }
    return resources


def deploy(client: Clients, arguments: argparse.Namespace) -> Json:
    template = yaml_parse(arguments.template.read_text())
    parameters = dict(arguments.parameter)
    pseudo = {
        "AWS::AccountId": client("sts").get_caller_identity()["Account"],
        "AWS::Region": REGION,
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::StackName": arguments.stack,
    }
    intrinsics = Intrinsics(template, parameters, pseudo)
    definitions = dict(template["Resources"])
    waf = extract_waf(client, template, arguments.stack, intrinsics)
    localise(client, template, dict(arguments.binary), dict(arguments.env))
    body = json.dumps(template, default=str)
    resources: Json = {}
    outputs: dict[str, str] = {}
    if arguments.prepare_only:
        # JSON is YAML.
        arguments.prepare_only.write_text(json.dumps(template, default=str, indent=2) + "\n")
    else:
        create_stack(client, arguments.stack, body, parameters)
        resources = stack_resources(client, arguments.stack, intrinsics)
        described = client("cloudformation").describe_stacks(StackName=arguments.stack)["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    for name, (kind, reference) in waf.items():
        resources[name] = {
            "type": kind,
            "physical_id": reference,
            "created_by": "api",
            "not_honoured": read_back(client, kind, reference, partial(definitions[name]["Properties"], intrinsics)),
            "read_back": True,
        }
    return {"outputs": outputs, "resources": resources}


def pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return key, value


def main() -> int:
    parser = argparse.ArgumentParser(description="Deploys a SAM template to the local cloud.")
    parser.add_argument("--template", type=Path, required=True)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--endpoint", required=True, help="ministack")
    parser.add_argument("--waf-endpoint", required=True, help="moto with our extension")
    parser.add_argument("--binary", type=lambda text: (pair(text)[0], Path(pair(text)[1])), action="append", default=[])
    parser.add_argument("--parameter", type=pair, action="append", default=[], help="NAME=VALUE, once for each")
    parser.add_argument("--env", type=pair, action="append", default=[], help="NAME=VALUE for all functions")
    parser.add_argument("--prepare-only", type=Path, metavar="OUT", help="write the template for `sam deploy`, deploy nothing")
    arguments = parser.parse_args()
    try:
        result = deploy(Clients(arguments.endpoint, arguments.waf_endpoint), arguments)
    except (Failed, ValueError, OSError, ClientError, BotoCoreError) as error:
        print(f"{arguments.template} was not deployed: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
