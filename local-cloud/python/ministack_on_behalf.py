"""What AWS judges with a call beside the call itself, and ministack does not. This is ours, not AWS's.

SNS: whoever publishes to a topic that has a key is asked for `kms:GenerateDataKey` and `kms:Decrypt` of it, with SNS for `kms:ViaService`:
<https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html>.

EC2: a rule of a security group that is made with tags is authorised on the rule as on its group, and asked for `ec2:CreateTags` too, with
the operation for `ec2:CreateAction`: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html>.
"""

from __future__ import annotations

from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import ec2, sns

import ministack_state

INGRESS = "AuthorizeSecurityGroupIngress"

_authorize = ec2._ACTION_MAP[INGRESS]
_publish = sns._publish


def refused(action: str, resource: str, conditions: dict[str, str]) -> str | None:
    """Why the caller of the request under way may not do this; what ministack does by itself has no caller."""
    key = ministack_state.caller.get()
    if key and iam_evaluator.enforce(key, action, action.split(":")[0], get_region(), resource, conditions):
        return f"not authorized to perform: {action} on {resource}"
    return None


def publish(parameters: Any) -> Any:
    topic = sns._topics.get(sns._p(parameters, "TopicArn")) or {}
    if key := topic.get("attributes", {}).get("KmsMasterKeyId"):
        arn = f"arn:aws:kms:{get_region()}:{get_account_id()}:key/{key.rpartition('/')[2]}"
        for action in ("kms:GenerateDataKey", "kms:Decrypt"):
            if why := refused(action, arn, {"kms:ViaService": f"sns.{get_region()}.amazonaws.com"}):
                return sns._error("KMSAccessDenied", why, 400)
    return _publish(parameters)


def authorize_ingress(parameters: Any) -> Any:
    if ec2._p(parameters, "TagSpecification.1.Tag.1.Key"):
        rule = f"arn:aws:ec2:{get_region()}:{get_account_id()}:security-group-rule/*"
        why = refused(f"ec2:{INGRESS}", rule, {}) or refused("ec2:CreateTags", rule, {"ec2:CreateAction": INGRESS})
        if why:
            return ec2._error("UnauthorizedOperation", why, 403)
    return _authorize(parameters)


def install() -> None:
    ec2._ACTION_MAP[INGRESS] = authorize_ingress
    sns._publish = publish
