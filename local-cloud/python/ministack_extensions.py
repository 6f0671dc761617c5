"""ministack's server with what the local cloud needs beside it. This is ours, not AWS's.

Plain HTTP on loopback stands for TLS: the shipped policies refuse whatever does not come over TLS (aws:SecureTransport), and ministack
enforces them. A call that wants to be seen as plain HTTP says so with the header `x-forwarded-proto: http`.

IAM gives out ids and dates by itself, and nothing ages in a test. Control, unsigned, for users, roles, groups and policies that exist:
    POST /securecart-extension/iam   {"users": [{"name", "id", "keys": [{"id", "created", "last_used"}]}],
                                      "roles": [{"name", "id", "created", "last_used"}], "groups": [{"name", "id"}],
                                      "policies": [{"name", "id", "updated"}], "account"?}
It sets unique ids and dates, and replaces a user's access keys. Times are RFC 3339; `last_used` is null, or left out, for what was never used.
    POST /securecart-extension/iam/pages   {"details": 100}
So many users, roles, groups and policies GetAccountAuthorizationDetails gives at once from now on; at first, ten.

IAM: SetDefaultPolicyVersion is served here, and so are all policies that AWS manages, as moto has them. Lists come in pages. A malformed
trust policy is refused, and so is attaching a policy that does not exist. Calls are authorised on the group, role or user that they name,
with its path, and on the stream of a log. GetRole tells of a role's last use; GetAccountAuthorizationDetails of that, of permissions boundaries and of what GetPolicy
tells.

    POST /securecart-extension/ec2   {"groups": ["sg-…"]}
It gives the next security groups that are created these ids.

EC2: whether new volumes are encrypted unasked is kept for each account and Region; network ACLs are as in `ministack_environment.py`.

STS: a policy's aws:PrincipalArn is the ARN of the caller's role, with its path, and not the session's.

IAM Access Analyzer: GetFindingV2, GenerateFindingRecommendation and GetFindingRecommendation are served here, for findings that a control
names, and are authorised as everything else is. The first answer is that the recommendation is still being made. `analyzer` may be left
out, and `finding` is what GetFindingV2 answers.
    POST /securecart-extension/access-analyzer   {"findings": [{"id", "analyzer", "resource", "finding",
                                                               "steps": [{"action", "policy", "document", "updated"}]}]}

    POST /securecart-extension/session   {"FunctionName", "FunctionArn", "Role"}
It gives the credentials that Lambda gives an instance of this function.

What is judged beside the calls themselves: `ministack_on_behalf.py`. The state of the account, and which calls were authorised:
`ministack_state.py`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree

from ministack import app as ministack
from ministack.core import iam_actions, iam_evaluator
from ministack.core.lambda_runtime import execution_credentials
from ministack.core.responses import get_account_id, get_region
from ministack.services import ec2, iam

import ministack_environment
import ministack_on_behalf
import ministack_state

CONTROL = "/securecart-extension/"
ACCOUNT = os.environ["MINISTACK_ACCOUNT_ID"]
NEVER_USED = "<Region>N/A</Region><ServiceName>N/A</ServiceName>"
NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"
# IAM may give fewer than it was asked for. Short pages, so that every reader is seen to turn them.
pages = {"details": 10}
STEPS_PER_PAGE = 2
Handler = Callable[[Any], Any]

_serve = ministack.app
_resource_arn = iam_actions.extract_resource_arn
_role_xml = iam._role_xml
_group_id = ec2._new_sg_id
_condition_key = iam_evaluator._resolve_condition_key
_last_used = iam._IAM_HANDLERS["GetAccessKeyLastUsed"]
_account_details = iam._IAM_HANDLERS["GetAccountAuthorizationDetails"]
_trust = iam._IAM_HANDLERS["UpdateAssumeRolePolicy"]

ElementTree.register_namespace("", NAMESPACE)


def last_used(parameters: Any) -> Any:
    """ministack keeps no account of the use of keys."""
    status, headers, body = _last_used(parameters)
    key = iam._access_keys.get(iam._p(parameters, "AccessKeyId")) or {}
    if status == 200 and (used := key.get("LastUsedDate")):
        shown = f"<LastUsedDate>{used}</LastUsedDate><Region>us-east-1</Region><ServiceName>s3</ServiceName>"
        body = body.replace(NEVER_USED.encode(), shown.encode())
    return status, headers, body


def resource_arn(service: str, *request: Any) -> str:
    """ministack leaves out paths and streams of logs, and takes the policy for the resource when one is attached to a group."""
    named = {"GroupName": iam._groups, "RoleName": iam._roles, "UserName": iam._users} if service == "iam" else {}
    for parameter, known in named.items():
        if found := known.get(iam._p(request[4], parameter)):
            return found["Arn"]
    arn = _resource_arn(service, *request)
    if service == "logs" and (stream := json.loads(request[3] or b"{}").get("logStreamName")):
        return f"{arn}:log-stream:{stream}"
    return arn


def default_version(parameters: Any) -> Any:
    """ministack does not have SetDefaultPolicyVersion."""
    arn, version = iam._p(parameters, "PolicyArn"), iam._p(parameters, "VersionId")
    policy = iam._policies.get(arn)
    if policy is None or version not in policy["Versions"]:
        return iam._error(404, "NoSuchEntity", f"Policy {arn} version {version} does not exist or is not attachable.", ns="iam")
    for known in policy["Versions"].values():
        known["IsDefaultVersion"] = known["VersionId"] == version
    policy["DefaultVersionId"], policy["UpdateDate"] = version, iam._now()
    return iam._xml(200, "SetDefaultPolicyVersionResponse", "", ns="iam")


@lru_cache(maxsize=1)
def managed_by_aws() -> dict[str, Any]:
    from moto.iam.aws_managed_policies import aws_managed_policies_data  # takes half a second, and is seldom needed

    return json.loads(aws_managed_policies_data)


def aws_managed(arn: str) -> dict[str, Any] | None:
    """ministack has a few of the policies that AWS manages, and asks this for the others."""
    name = arn.rsplit("/", 1)[-1]
    known = managed_by_aws().get(name)
    if known is None or arn != f"arn:aws:iam::aws:policy{known['Path']}{name}":
        return None
    policy = iam._make_aws_managed_record(known["Path"][1:] + name, json.dumps(known["Document"]))
    version, dates = known["DefaultVersionId"], {date: known[date] for date in ("CreateDate", "UpdateDate")}
    policy |= dates | {"DefaultVersionId": version}
    policy["Versions"] = {version: policy["Versions"]["v1"] | {"VersionId": version, "CreateDate": dates["UpdateDate"]}}
    iam._aws_managed_policies[arn] = policy
    return policy


def attaching(handler: Handler) -> Handler:
    """ministack attaches policies that do not exist."""

    def attach(parameters: Any) -> Any:
        arn = iam._p(parameters, "PolicyArn")
        if not iam._policy_exists(arn):
            return iam._error(404, "NoSuchEntity", f"Policy {arn} does not exist or is not attachable.", ns="iam")
        return handler(parameters)

    return attach


def malformed_trust(text: str) -> str | None:
    try:
        document = json.loads(text)
        statements = document["Statement"]
        statements = [statements] if isinstance(statements, dict) else statements
        if any("Resource" in statement or "NotResource" in statement for statement in statements):
            return "Has prohibited field Resource"
        if not all("Principal" in statement for statement in statements):
            return "Missing required field Principal"
        everywhere = [statement | {"Resource": "*"} for statement in statements]
    except (KeyError, TypeError, ValueError):
        return "This policy contains invalid Json"
    return iam_evaluator.validate_policy_document(document | {"Statement": everywhere})


def trust(parameters: Any) -> Any:
    """ministack takes any text for a trust policy."""
    malformed = malformed_trust(iam._p(parameters, "PolicyDocument"))
    if malformed and iam._p(parameters, "RoleName") in iam._roles:
        return iam._error(400, "MalformedPolicyDocument", malformed, ns="iam")
    return _trust(parameters)


def role_xml(name: str, boundary: bool = True) -> str:
    """ministack keeps no account of the use of roles. Lists of roles tell neither of it nor of a boundary."""
    used = iam._roles[name].get("LastUsedDate")
    if not boundary or not used:
        return _role_xml(name, boundary)
    return f"{_role_xml(name, boundary)}<RoleLastUsed><LastUsedDate>{used}</LastUsedDate><Region>us-east-1</Region></RoleLastUsed>"


def account_details(parameters: Any) -> Any:
    """ministack leaves out much of what it knows."""
    status, headers, body = _account_details(parameters)
    answer = ElementTree.fromstring(body)

    def complete(kind: str, key: str, describe: Callable[[str], str], *wanted: str) -> None:
        for member in answer.iterfind(f"*/{{*}}{kind}/{{*}}member"):
            told = ElementTree.fromstring(f'<told xmlns="{NAMESPACE}">{describe(member.findtext(f"{{*}}{key}"))}</told>')
            member.extend(part for part in told if part.tag.removeprefix(f"{{{NAMESPACE}}}") in wanted)

    counts = ("AttachmentCount", "PermissionsBoundaryUsageCount", "IsAttachable")
    complete("UserDetailList", "UserName", iam._user_xml, "PermissionsBoundary")
    complete("RoleDetailList", "RoleName", role_xml, "PermissionsBoundary", "RoleLastUsed")
    complete("Policies", "Arn", iam._managed_policy_xml, *counts, "CreateDate", "UpdateDate", "Description")
    return status, headers, ElementTree.tostring(answer)


def condition_key(key: str, context: Any) -> Any:
    value = _condition_key(key, context)
    if key.lower() != "aws:principalarn" or ":assumed-role/" not in str(value):
        return value
    role = iam._roles.get_scoped(context.principal_account, None, value.split("/")[1])
    return role["Arn"] if role else value


def paged(handler: Handler, kind: str = "") -> Handler:
    """ministack gives everything in one page."""

    def page(parameters: Any) -> Any:
        status, headers, body = handler(parameters)
        if status != 200:
            return status, headers, body
        answer = ElementTree.fromstring(body)
        start, size = int(iam._p(parameters, "Marker", "0")), int(iam._p(parameters, "MaxItems", "100"))
        end = start + min(size, pages.get(kind, 1000))
        members = [(part, member) for part in answer[0] for member in part.findall("{*}member")]
        for part, member in members[:start] + members[end:]:
            part.remove(member)
        if len(members) > end:
            answer[0].find("{*}IsTruncated").text = "true"
            ElementTree.SubElement(answer[0], f"{{{NAMESPACE}}}Marker").text = str(end)
        return status, headers, ElementTree.tostring(answer)

    return page


next_groups: list[str] = []


def name_groups(wanted: dict[str, Any]) -> None:
    next_groups.extend(wanted["groups"])


def group_id() -> str:
    return next_groups.pop(0) if next_groups else _group_id()


# Accounts and Regions where new volumes are encrypted unasked.
encrypted: set[tuple[str, str]] = set()


def ebs_encryption(operation: str) -> Handler:
    def answer(_: Any) -> Any:
        place = (get_account_id(), get_region())
        if operation.startswith("Enable"):
            encrypted.add(place)
        elif operation.startswith("Disable"):
            encrypted.discard(place)
        on = str(place in encrypted).lower()
        return ec2._xml(200, f"{operation}Response", f"<ebsEncryptionByDefault>{on}</ebsEncryptionByDefault>")

    return answer


def seed(wanted: dict[str, Any]) -> None:
    account = wanted.get("account", ACCOUNT)
    for user in wanted.get("users", []):
        iam._users._data[(account, user["name"])]["UserId"] = user["id"]
        keys = iam._access_keys._data
        for stored in [stored for stored, key in keys.items() if stored[0] == account and key["UserName"] == user["name"]]:
            del keys[stored]
        for key in user.get("keys", []):
            keys[(account, key["id"])] = {
                "UserName": user["name"],
                "AccessKeyId": key["id"],
                "SecretAccessKey": "not used by anybody",
                "Status": "Active",
                "CreateDate": key["created"],
                "LastUsedDate": key.get("last_used"),
            }
    for role in wanted.get("roles", []):
        known = iam._roles._data[(account, role["name"])]
        known["RoleId"], known["LastUsedDate"] = role["id"], role.get("last_used")
        known["CreateDate"] = role.get("created", known["CreateDate"])
    for group in wanted.get("groups", []):
        iam._groups._data[(account, group["name"])]["GroupId"] = group["id"]
    for policy in wanted.get("policies", []):
        arn = f"arn:aws:iam::{account}:policy/{policy['name']}"
        known = iam._policies._data[(account, arn)]
        known["PolicyId"], known["UpdateDate"] = policy["id"], policy.get("updated", known["UpdateDate"])


# What IAM Access Analyzer knows: a finding's resource and steps, and how often it was asked since its recommendation was ordered.
findings: dict[str, dict[str, Any]] = {}


OPERATIONS = {
    ("GET", "findingv2"): ("GetFindingV2", "GetFinding"),
    ("POST", "recommendation"): ("GenerateFindingRecommendation", "GenerateFindingRecommendation"),
    ("GET", "recommendation"): ("GetFindingRecommendation", "GetFindingRecommendation"),
}


def know(wanted: dict[str, Any]) -> None:
    for finding in wanted["findings"]:
        findings[finding["id"]] = {"resource": finding["resource"], "steps": finding["steps"], "asked": None} | finding


def analyze(method: str, path: str, query: dict[str, list[str]], credential: str) -> tuple[int, dict[str, Any]]:
    kind, _, id = unquote(path[1:]).partition("/")
    if (method, kind) not in OPERATIONS:
        return 400, {"__type": "ValidationException", "message": f"no such operation: {method} {path}", "reason": "unknownOperation"}
    operation, action = OPERATIONS[method, kind]
    key, _, region = credential.split("/")[:3]
    analyzer = query.get("analyzerArn", [""])[0]
    if iam_evaluator.enforce(key, f"access-analyzer:{action}", "access-analyzer", region, resource_arn=analyzer):
        return 403, {"__type": "AccessDeniedException", "message": f"not authorized to perform: access-analyzer:{action} on {analyzer}"}
    finding = findings.get(id)
    if finding is None or finding.get("analyzer", analyzer) != analyzer or f":{region}:" not in analyzer:
        finding = {}
    if operation == "GenerateFindingRecommendation" and not finding:
        return 400, {"__type": "ValidationException", "message": f"no finding {id} of {analyzer}", "reason": "other"}
    if operation == "GenerateFindingRecommendation":
        finding["asked"] = 0
        return 200, {}
    if finding.get("finding" if operation == "GetFindingV2" else "asked") is None:
        unknown = {"message": f"{operation} of {id}: there is none", "resourceId": id, "resourceType": "Finding"}
        return 404, {"__type": "ResourceNotFoundException", **unknown}
    return 200, finding["finding"] if operation == "GetFindingV2" else recommendation(finding, query)


def recommendation(finding: dict[str, Any], query: dict[str, list[str]]) -> dict[str, Any]:
    finding["asked"] += 1
    answer = {"startedAt": "2026-11-20T09:20:11Z", "resourceArn": finding["resource"], "recommendationType": "UnusedPermissionRecommendation"}
    if finding["asked"] == 1:
        return answer | {"status": "IN_PROGRESS"}
    start, size = (int(query.get(name, [default])[0]) for name, default in (("nextToken", "0"), ("maxResults", "1000")))
    end = start + min(size, STEPS_PER_PAGE)
    steps = [{"unusedPermissionsRecommendedStep": {name: value for name, value in {
        "recommendedAction": step["action"],
        "existingPolicyId": step["policy"],
        "recommendedPolicy": step.get("document"),
        "policyUpdatedAt": step.get("updated"),
    }.items() if value is not None}} for step in finding["steps"][start:end]]
    answer |= {"status": "SUCCEEDED", "completedAt": "2026-11-20T09:20:14Z", "recommendedSteps": steps}
    return answer | ({"nextToken": str(end)} if len(finding["steps"]) > end else {})


async def whole(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def respond(send: Any, status: int, answer: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json")]
    if kind := answer.get("__type"):
        headers.append((b"x-amzn-errortype", kind.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


async def control(method: str, path: str, receive: Any, send: Any) -> None:
    own = {"access-analyzer": findings, "ebs-encryption": encrypted}
    wanted: dict[tuple[str, str], Callable[[Any], Any]] = {
        ("POST", "iam"): seed,
        ("POST", "iam/pages"): pages.update,
        ("POST", "access-analyzer"): know,
        ("POST", "ec2"): name_groups,
        ("GET", "state"): lambda _: {"state": ministack_state.told(own)},
        ("POST", "state/save"): lambda _: ministack_state.save(own),
        ("POST", "state/restore"): lambda _: ministack_state.restore(own),
        ("POST", "session"): execution_credentials,
        ("GET", "authorizations"): lambda _: {"authorizations": ministack_state.authorizations()},
        ("POST", "authorizations/reset"): lambda _: ministack_state.reset_authorizations(),
    }
    try:
        body = await whole(receive)
        answer = wanted[method, path.removeprefix(CONTROL)](json.loads(body) if body else None) or {}
        status = 200
    except (KeyError, TypeError, ValueError) as error:
        status, answer = 400, {"code": "Refused", "message": repr(error)}
    await respond(send, status, answer)


async def analyzer(scope: dict[str, Any], credential: str, receive: Any, send: Any) -> None:
    query = parse_qs(scope["query_string"].decode(), keep_blank_values=True)
    ministack.set_request_account_id(credential.split("/")[0])
    iam_evaluator.pin_signed_request(scope["method"], scope["raw_path"].decode(), query, scope["headers"])
    iam_evaluator.pin_signed_body(await whole(receive))
    await respond(send, *analyze(scope["method"], scope["raw_path"].decode(), query, credential))


def credential_of(scope: dict[str, Any]) -> str:
    """Who signed the request, and for which service: `KEY/DATE/REGION/SERVICE/aws4_request`."""
    signed = dict(scope["headers"]).get(b"authorization", b"").decode()
    found = re.search(r"Credential=([^, ]+)", signed)
    return found[1] if found else ""


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        await _serve(scope, receive, send)
    elif scope["path"].startswith(CONTROL):
        await control(scope["method"], scope["path"], receive, send)
    elif "/access-analyzer/" in (credential := credential_of(scope)):
        await analyzer(scope, credential, receive, send)
    else:
        await _serve(scope | {"scheme": "https"}, receive, send)


if __name__ == "__main__":
    iam_actions.extract_resource_arn = resource_arn
    iam_evaluator._resolve_condition_key = condition_key
    iam._role_xml = role_xml
    iam._autocreate_aws_managed_enabled, iam._autovivify_aws_managed_policy = lambda: True, aws_managed
    handlers = iam._IAM_HANDLERS
    handlers["GetAccessKeyLastUsed"] = last_used
    handlers["SetDefaultPolicyVersion"] = default_version
    handlers["UpdateAssumeRolePolicy"] = trust
    for operation in ("AttachUserPolicy", "AttachRolePolicy", "AttachGroupPolicy"):
        handlers[operation] = attaching(handlers[operation])
    for operation in [operation for operation in handlers if operation.startswith("List")] + ["GetGroup"]:
        handlers[operation] = paged(handlers[operation])
    handlers["GetAccountAuthorizationDetails"] = paged(account_details, "details")
    for operation in ("GetEbsEncryptionByDefault", "EnableEbsEncryptionByDefault", "DisableEbsEncryptionByDefault"):
        ec2._ACTION_MAP[operation] = ebs_encryption(operation)
    ec2._new_sg_id = group_id
    ministack_environment.install()
    ministack_on_behalf.install()
    ministack_state.install()
    ministack.app = app
    ministack.main()
