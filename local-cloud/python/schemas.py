"""What no emulator has: the resolved properties are checked against the resource's CloudFormation schema by cfn-lint, and the call that
CloudFormation would make of them against the model of the service's API by botocore.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import botocore.session

import service_models
from deploy import REGION, Failed, shaped
from intrinsics import Known
from makers import renamed

Json = dict[str, Any]


@dataclass(frozen=True)
class SchemaOnly:
    """A resource that is only checked: the call that makes it, and what CloudFormation's Ref would give."""

    service: str
    operation: str
    request: Callable[[Json], Json]
    reference: Callable[[Json, str], str]
    attribute: str

    def known(self, properties: Json, account: str) -> Known:
        reference = self.reference(properties, account)
        return Known(reference, {self.attribute: reference})

    def refusals(self, properties: Json) -> list[str]:
        """How the call differs from the service's model."""
        model = botocore.session.get_session().get_service_model(self.service)
        shape = model.operation_model(self.operation).input_shape
        try:
            return service_models.violations(shaped(self.request(properties), shape), shape)
        except (Failed, KeyError) as wrong:
            return [str(wrong)]


def _analyzer(properties: Json) -> Json:
    own = ("AnalyzerConfiguration", "Tags")
    unused = properties.get("AnalyzerConfiguration", {}).get("UnusedAccessConfiguration")
    configuration = {"configuration": {"unusedAccess": {"unusedAccessAge": unused["UnusedAccessAge"]}}} if unused else {}
    tags = {"tags": {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}}
    plain = {name: value for name, value in properties.items() if name not in own}
    return renamed(plain, {"AnalyzerName": "analyzerName", "Type": "type"}) | configuration | tags


def _action(properties: Json) -> Json:
    return {name: properties[name] for name in ("Name", "Description", "Id") if name in properties}


SCHEMA_ONLY: dict[str, SchemaOnly] = {
    "AWS::AccessAnalyzer::Analyzer": SchemaOnly(
        "accessanalyzer",
        "CreateAnalyzer",
        _analyzer,
        lambda properties, account: f"arn:aws:access-analyzer:{REGION}:{account}:analyzer/{properties['AnalyzerName']}",
        "Arn",
    ),
    "AWS::SecurityHub::ActionTarget": SchemaOnly(
        "securityhub",
        "CreateActionTarget",
        _action,
        lambda properties, account: f"arn:aws:securityhub:{REGION}:{account}:action/custom/{properties['Id']}",
        "ActionTargetArn",
    ),
    "AWS::SecurityHub::Standard": SchemaOnly(
        "securityhub",
        "BatchEnableStandards",
        lambda properties: {"StandardsSubscriptionRequests": [{"StandardsArn": properties["StandardsArn"]}]},
        lambda properties, account: f"arn:aws:securityhub:{REGION}:{account}:subscription/{properties['StandardsArn'].partition('/')[2]}",
        "StandardsSubscriptionArn",
    ),
}


def violations(kind: str, properties: Json) -> list[str]:
    """What is wrong with a resource that is only checked."""
    from cfnlint.api import lint  # takes a second or two, and is seldom needed

    template = {"Resources": {"Checked": {"Type": kind, "Properties": properties}}}
    return SCHEMA_ONLY[kind].refusals(properties) + [str(match) for match in lint(json.dumps(template), regions=[REGION])]
