"""The whole state of the account: told, saved and put back. This is ours, not AWS's.

    GET  /securecart-extension/state                {"state": ["iam._users[111122223333:anna].Path: \\"/\\"", …]}
    POST /securecart-extension/state/save           remembers it
    POST /securecart-extension/state/restore        makes it what it was when it was saved
    GET  /securecart-extension/authorizations       {"authorizations": [{principal, account, action, resource, region, conditions, decision}]}
    POST /securecart-extension/authorizations/reset

What is told is what somebody could have changed: not what was logged or measured, not sessions and their credentials, when a thing was
touched last, at what moment anything was done, or what CloudFormation remembers of its templates. The items of tables and the messages of queues are told by their own services. Saved is everything but sessions and functions.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import AccountRegionScopedDict, AccountScopedDict

import moments

SCOPED = (AccountScopedDict, AccountRegionScopedDict)
# What AWS owns, what only tells of what happened, and what a call of a running function needs.
NEVER_TOLD = {"cloudformation", "cloudwatch", "cloudwatch_logs", "dynamodb", "dynamodb_streams", "lambda_core", "lambda_svc", "sqs", "sts"}
NEVER_SAVED = {"cloudwatch", "cloudwatch_logs", "lambda_core", "lambda_svc", "sts"}
AWS_OWN = {"_aws_managed_policies", "_aws_managed_attachment_counts"}
# IAM notes when a policy was touched last, EC2 gives each rule that is put back another id, and our analyzer counts what it was asked.
TOUCHED = {"asked", "UpdateDate", "SecurityGroupRuleId", "SecurityGroupRuleArn", "_last_modified", "LastModifiedDate"}

_evaluate, _enforce = iam_evaluator.evaluate, iam_evaluator.enforce
# What the call under way is judged by first: its caller's own policies. A resource's policy comes after.
_judged: ContextVar[Any] = ContextVar("judged", default=None)
# Whose key the call under way was signed with.
caller: ContextVar[str] = ContextVar("caller", default="")
_saved: dict[tuple[str, str], Any] = {}
_authorizations: list[dict[str, Any]] = []


def _holders(leave_out: set[str]) -> Iterator[tuple[str, str, Any]]:
    """What holds state: the scoped dictionaries of every service that has been used. What our extensions hold comes beside them."""
    for name, module in sorted(sys.modules.items()):
        service = name.rpartition(".")[2]
        if not name.startswith("ministack.services.") or service in leave_out:
            continue
        for attribute, held in sorted(vars(module).items()):
            if isinstance(held, SCOPED) and attribute not in AWS_OWN:
                yield service, attribute, held._data


def _order(value: Any) -> str:
    return "" if isinstance(value, (bytes, bytearray)) else repr(value)


def _lines(path: str, value: Any, out: list[str]) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in TOUCHED:
                _lines(f"{path}.{name}", inner, out)
    elif isinstance(value, (list, tuple)):
        # Few of IAM's lists have an order.
        for number, inner in enumerate(sorted(value, key=_order)):
            _lines(f"{path}[{number}]", inner, out)
    elif isinstance(value, (set, frozenset)):
        _lines(path, sorted(value, key=_order), out)
    elif isinstance(value, (bytes, bytearray)):
        # The content of objects, functions' packages among them, which no function can write.
        out.append(f"{path}: {len(value)} bytes")
    elif value is None or isinstance(value, (str, int, float, bool)):
        out.append(f"{path}: {value!r}")


def told(extra: dict[str, Any]) -> list[str]:
    out: list[str] = []
    for service, attribute, data in _holders(NEVER_TOLD):
        for key, value in data.items():
            _lines(f"{service}.{attribute}[{':'.join(map(str, key)) if isinstance(key, tuple) else key}]", value, out)
    for name, held in extra.items():
        _lines(f"extension.{name}", {str(key): value for key, value in held.items()} if isinstance(held, dict) else held, out)
    return moments.without(out)


def save(extra: dict[str, Any]) -> None:
    _saved.clear()
    for service, attribute, data in _holders(NEVER_SAVED):
        _saved[service, attribute] = copy.deepcopy(data)
    for name, held in extra.items():
        _saved["extension", name] = copy.deepcopy(held)


def restore(extra: dict[str, Any]) -> None:
    holders = [*_holders(NEVER_SAVED), *(("extension", name, held) for name, held in extra.items())]
    for service, attribute, held in holders:
        before = copy.deepcopy(_saved.get((service, attribute)))
        held.clear()
        # A service that was first used after the saving had nothing.
        if before is not None:
            held.update(before)


def evaluate(context: Any, *policies: Any) -> Any:
    if _judged.get() is None:
        _judged.set(context)
    return _evaluate(context, *policies)


def enforce(key: str, *request: Any, **named: Any) -> Any:
    _judged.set(None)
    caller.set(key)
    refused = _enforce(key, *request, **named)
    if (context := _judged.get()) is not None:
        _authorizations.append({
            "principal": context.principal_arn, "account": context.principal_account, "action": context.action,
            "resource": context.resource_arn, "region": context.region, "decision": "Deny" if refused else "Allow",
            "conditions": {key: value for key, value in context.service_context.items() if value},
        })  # fmt: skip
    return refused


def authorizations() -> list[dict[str, Any]]:
    return list(_authorizations)


def reset_authorizations() -> None:
    _authorizations.clear()


def install() -> None:
    iam_evaluator.evaluate, iam_evaluator.enforce = evaluate, enforce
