"""Deploys the stacks of the reference environment to the local cloud and accounts for every resource of theirs.

Prints one line of JSON:
    {"stacks": {NAME: {"outputs": {...}, "resources": {LOGICAL_ID: {"type", "physical_id", "accounted": "stack" | "api" | "nested" | "schema",
     "properties", "found", "completed": [...], "not_honoured": [...]}}}}}

The root template names its stacks by files beside it. Each is deployed with the outputs of those before it. A SAM template is left to deploy.py, which
reads each of its resources back too. Within a stack,
    stack   ministack's CloudFormation creates the resource, and it is read back through its service;
    api     CloudFormation there does not know the type: it is created through its service's own API, from the template's properties with all
            of CloudFormation's functions resolved, and read back;
    schema  no emulator has the service: the resolved properties are checked against the resource's CloudFormation schema by cfn-lint, and
            against the service's API by botocore's model.
`properties` are the resolved ones, `found` is what the service shows. `completed` names properties that CloudFormation there drops and that were
then set through the service's API from the same properties; `not_honoured` those that the service shows otherwise or not at all.

A type that is in none of the three fails the deployment, and so does a resource that cannot be read back.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from samtranslator.yaml_helper import yaml_parse

from deploy import REGION, Clients, Failed, create_stack, is_made, pair, partial
from deploy import deploy as deploy_application
from environment_readers import COMPLETERS, READ_ATTRIBUTES, READERS, WRITE_ONLY
from intrinsics import NO_VALUE, VARIABLE, Intrinsics, Known, mentions, substitute
from makers import MAKERS
from read_back import differences
from schemas import SCHEMA_ONLY, violations

Json = dict[str, Any]
NESTED = "AWS::CloudFormation::Stack"


class Everywhere(Clients):
    """boto3 clients by service. These few are only at moto."""

    def __call__(self, service: str) -> Any:
        if service in ("guardduty", "shield") and service not in self._clients:
            config = super().__call__("wafv2").meta.config
            self._clients[service] = self._session.client(service, endpoint_url=self._waf_endpoint, config=config)
        return super().__call__(service)


def decided(value: Any, intrinsics: Intrinsics) -> Any:
    """The value with its conditions decided."""
    if isinstance(value, list):
        return [item for item in (decided(item, intrinsics) for item in value) if item is not NO_VALUE]
    if not isinstance(value, dict):
        return value
    if "Fn::If" in value:
        condition, yes, no = value["Fn::If"]
        return decided(yes if intrinsics.holds(condition) else no, intrinsics)
    if value == {"Ref": "AWS::NoValue"}:
        return NO_VALUE
    items = {key: decided(item, intrinsics) for key, item in value.items()}
    return {key: item for key, item in items.items() if item is not NO_VALUE}


def attributes(value: Any) -> set[tuple[str, str]]:
    """The attributes of resources that the value asks for."""
    if isinstance(value, list):
        return set().union(*map(attributes, value))
    if not isinstance(value, dict):
        return set()
    found: set[tuple[str, str]] = set()
    for key, item in value.items():
        if key == "Fn::GetAtt":
            name, attribute = item.split(".", 1) if isinstance(item, str) else item
            found.add((name, attribute))
        elif key == "Fn::Sub":
            text, local = item if isinstance(item, list) else (item, {})
            used = (variable.strip().partition(".") for variable in VARIABLE.findall(text))
            found |= {(name, attribute) for name, dot, attribute in used if dot and name not in local} | attributes(local)
        else:
            found |= attributes(item)
    return found


def with_attributes(value: Any, known: dict[tuple[str, str], str]) -> Any:
    """The value with these attributes in place of their names."""
    if isinstance(value, list):
        return [with_attributes(item, known) for item in value]
    if not isinstance(value, dict):
        return value
    if "Fn::GetAtt" in value:
        use = value["Fn::GetAtt"]
        return known.get(tuple(use.split(".", 1) if isinstance(use, str) else use), value)
    return {key: with_attributes(item, known) for key, item in value.items()}


def accounting(kind: str) -> str:
    if kind == NESTED:
        return "nested"
    if kind in MAKERS:
        return "api"
    return "schema" if kind in SCHEMA_ONLY else "stack"


@dataclass(frozen=True)
class Application:
    """What a SAM template among the stacks needs: binaries for its functions, and their environment."""

    binaries: list[tuple[str, Path]]
    environment: list[tuple[str, str]]

    def deploy(self, client: Clients, file: Path, name: str, parameters: dict[str, str]) -> Json:
        made = deploy_application(client, argparse.Namespace(
            template=file, stack=name, parameter=list(parameters.items()), binary=self.binaries, env=self.environment, prepare_only=None
        ))  # fmt: skip
        for resource in made["resources"].values():
            resource |= {"accounted": resource.pop("created_by"), "properties": None, "found": None, "completed": []}
        return {file.stem: made}


class Stack:
    """One template, deployed in rounds: what CloudFormation can create now, what has to be created through APIs then, and so on."""

    def __init__(self, client: Clients, file: Path, name: str, parameters: dict[str, str], application: Application) -> None:
        self._client, self._file, self._name, self._parameters, self._application = client, file, name, parameters, application
        self._template = yaml_parse(file.read_text())
        account = self._account_id = client("sts").get_caller_identity()["Account"]
        self.intrinsics = Intrinsics(self._template, parameters, {
            "AWS::AccountId": account, "AWS::Region": REGION, "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": name,
        })  # fmt: skip
        self._resources = self._made("Resources")
        self._outputs = self._made("Outputs")
        self._waiting = set(self._resources)
        self.children: dict[str, Json] = {}

    def _made(self, section: str) -> Json:
        items = self._template.get(section, {})
        return {name: decided(item, self.intrinsics) for name, item in items.items() if is_made(item, self.intrinsics)}

    def deploy(self) -> Json:
        while self._waiting:
            before = len(self._waiting)
            self._by_stack()
            self._by_api()
            if len(self._waiting) == before:
                raise Failed(f"{self._file.name}: {', '.join(sorted(self._waiting))} need each other, or something that is not made")
        resources = {name: self._account(name) for name in self._resources}
        outputs = {name: self.intrinsics.resolve(item["Value"]) for name, item in self._outputs.items()}
        return {self._file.stem: {"outputs": outputs, "resources": resources}} | self.children

    def _needs(self, name: str) -> set[str]:
        resource = self._resources[name]
        after = resource.get("DependsOn", [])
        after = {after} if isinstance(after, str) else set(after)
        return (mentions(resource.get("Properties", {}), set(self._resources)) | (after & set(self._resources))) - {name}

    def _by_stack(self) -> None:
        """Creates all that waits for nothing which CloudFormation cannot create."""
        hosted = {name for name, item in self._resources.items() if accounting(item["Type"]) == "stack"}
        ready = hosted & self._waiting
        while blocked := {name for name in ready if self._needs(name) & self._waiting - ready or self._read_first(name) & self._waiting}:
            ready -= blocked
        if not ready:
            return
        present = (hosted - self._waiting) | ready
        others = {name: known for name, known in self.intrinsics.known.items() if name not in hosted}
        read = {(name, attribute): value for name, known in self.intrinsics.known.items() if name in hosted
                for attribute, value in known.attributes.items() if self._is_read(name, attribute)}  # fmt: skip
        resources = {name: with_attributes(substitute(self._resources[name], others), read) for name in self._resources if name in present}
        for resource in resources.values():
            after = resource.pop("DependsOn", [])
            if after := [name for name in ([after] if isinstance(after, str) else after) if name in present]:
                resource["DependsOn"] = after
        wanted = sorted(use for use in attributes([self._resources, self._outputs]) if use[0] in present and not self._is_read(*use))
        body = {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Parameters": self._template.get("Parameters", {}),
            "Mappings": self._template.get("Mappings", {}),
            "Resources": resources,
            "Outputs": {f"Use{index}": {"Value": {"Fn::GetAtt": list(use)}} for index, use in enumerate(wanted)},
        }
        body = {section: content for section, content in body.items() if content}
        create_stack(self._client, self._name, json.dumps(body, default=str), self._parameters)
        self._learn(present, wanted)
        self._waiting -= ready

    def _is_read(self, name: str, attribute: str) -> bool:
        return attribute in READ_ATTRIBUTES.get(self._resources[name]["Type"], {})

    def _read_first(self, name: str) -> set[str]:
        """The resources that have to be read back before CloudFormation can create this one."""
        uses = attributes(self._resources[name].get("Properties", {}))
        return {used for used, attribute in uses if used in self._resources and self._is_read(used, attribute)}

    def _learn(self, present: set[str], wanted: list[tuple[str, str]]) -> None:
        """What CloudFormation gives for the resources that it made."""
        api = self._client("cloudformation")
        listed = [item for page in api.get_paginator("list_stack_resources").paginate(StackName=self._name)
                  for item in page["StackResourceSummaries"]]  # fmt: skip
        for item in listed:
            if item["LogicalResourceId"] in present and item.get("PhysicalResourceId"):
                self.intrinsics.known[item["LogicalResourceId"]] = Known(item["PhysicalResourceId"])
        if missing := sorted(present - set(self.intrinsics.known)):
            raise Failed(f"{self._file.name}: the stack is complete without {', '.join(missing)}")
        stack = api.describe_stacks(StackName=self._name)["Stacks"][0]
        self.intrinsics.known["AWS::StackId"] = Known(stack["StackId"])
        values = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
        for index, (name, attribute) in enumerate(wanted):
            if value := values.get(f"Use{index}"):
                self.intrinsics.known[name].attributes[attribute] = value
        for name in present:
            known, kind = self.intrinsics.known[name], self._resources[name]["Type"]
            for attribute, member in READ_ATTRIBUTES.get(kind, {}).items():
                found = READERS[kind](self._client, known.ref, partial(self._resources[name].get("Properties", {}), self.intrinsics))
                known.attributes[attribute] = str(found[member])

    def _by_api(self) -> None:
        """Creates, one after the other, what CloudFormation there does not know."""
        while ready := sorted(
            name for name in self._waiting if accounting(self._resources[name]["Type"]) != "stack" and not self._needs(name) & self._waiting
        ):
            for name in ready:
                self.intrinsics.known[name] = self._make(name, self._resources[name])
                self._waiting.discard(name)

    def _make(self, name: str, resource: Json) -> Known:
        kind = resource["Type"]
        properties = self.intrinsics.resolve(resource.get("Properties", {}))
        if kind == NESTED:
            return self._nest(name, properties)
        if kind in SCHEMA_ONLY:
            return SCHEMA_ONLY[kind].known(properties, self._account_id)
        try:
            return MAKERS[kind](self._client, properties, f"{self._name}-{name}")
        except (ClientError, BotoCoreError, LookupError) as error:
            raise Failed(f"{self._file.name}: {name} ({kind}) was not created: {type(error).__name__}: {error}") from error

    def _nest(self, name: str, properties: Json) -> Known:
        file = (self._file.parent / properties["TemplateURL"]).resolve()
        parameters = {key: ",".join(map(str, value)) if isinstance(value, list) else str(value)
                      for key, value in properties.get("Parameters", {}).items()}  # fmt: skip
        child = f"{self._name}-{name}"
        if "Transform" in yaml_parse(file.read_text()):
            made = self._application.deploy(self._client, file, child, parameters)
        else:
            made = Stack(self._client, file, child, parameters, self._application).deploy()
        self.children |= made
        outputs = {f"Outputs.{key}": str(value) for key, value in made[file.stem]["outputs"].items()}
        return Known(f"arn:aws:cloudformation:{REGION}:local:stack/{child}/local", outputs)

    def _account(self, name: str) -> Json:
        """Completes the resource, reads it back, and compares."""
        resource, known = self._resources[name], self.intrinsics.known[name]
        kind, properties = resource["Type"], partial(resource.get("Properties", {}), self.intrinsics)
        told = {"type": kind, "physical_id": known.ref, "accounted": accounting(kind), "properties": properties, "found": None,
                "completed": [], "not_honoured": []}  # fmt: skip
        if told["accounted"] == "nested":
            return told
        if told["accounted"] == "schema":
            if wrong := violations(kind, properties):
                raise Failed(f"{self._file.name}: {name} ({kind}) is not of its schema: {'; '.join(wrong)}")
            return told
        if kind not in READERS:
            raise Failed(f"{self._file.name}: nothing here reads {kind} ({name}) back")
        try:
            lacking = set(self._look(told)["not_honoured"])
            if lacking and kind in COMPLETERS:
                COMPLETERS[kind](self._client, known.ref, properties)
                told["completed"] = sorted(lacking - set(self._look(told)["not_honoured"]))
        except (ClientError, BotoCoreError, LookupError, TypeError, ValueError) as error:
            raise Failed(f"{self._file.name}: {name} ({kind}) cannot be read back: {type(error).__name__}: {error}") from error
        return told

    def _look(self, told: Json) -> Json:
        kind, properties = told["type"], told["properties"]
        told["found"] = READERS[kind](self._client, told["physical_id"], properties)
        hidden = WRITE_ONLY.get(kind, set()) | {"Tags"}
        # CloudFormation puts a secret's value in its place.
        hidden |= {name for name, value in properties.items() if "{{resolve:" in str(value)}
        told["not_honoured"] = sorted(differences({key: value for key, value in properties.items() if key not in hidden}, told["found"]))
        return told


def main() -> int:
    parser = argparse.ArgumentParser(description="Deploys the stacks of the reference environment to the local cloud.")
    parser.add_argument("--root", type=Path, required=True, help="the template that names the others")
    parser.add_argument("--stack", required=True)
    parser.add_argument("--endpoint", required=True, help="ministack")
    parser.add_argument("--waf-endpoint", required=True, help="moto with our extension")
    parser.add_argument("--parameter", type=pair, action="append", default=[], help="NAME=VALUE, once for each")
    parser.add_argument("--binary", type=pair, action="append", default=[], help="NAME=PATH for the functions of a SAM template")
    parser.add_argument("--env", type=pair, action="append", default=[], help="NAME=VALUE for these functions")
    arguments = parser.parse_args()
    try:
        client = Everywhere(arguments.endpoint, arguments.waf_endpoint)
        application = Application([(name, Path(path)) for name, path in arguments.binary], arguments.env)
        stacks = Stack(client, arguments.root, arguments.stack, dict(arguments.parameter), application).deploy()
    except (Failed, ValueError, OSError, ClientError, BotoCoreError) as error:
        print(f"{arguments.root} was not deployed: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"stacks": stacks}, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main())
