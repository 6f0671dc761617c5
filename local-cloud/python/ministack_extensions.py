"""ministack's server with what the local cloud needs beside it. This is ours, not AWS's.

Plain HTTP on loopback stands for TLS: the shipped policies refuse whatever does not come over TLS (aws:SecureTransport), and ministack
enforces them. A call that wants to be seen as plain HTTP says so with the header `x-forwarded-proto: http`.

IAM gives out ids and dates by itself, and nothing ages in a test. Control, unsigned, for users, roles, groups and policies that exist:
    POST /securecart-extension/iam   {"users": [{"name", "id", "keys": [{"id", "created", "last_used"}]}],
                                      "roles": [{"name", "id", "created", "last_used"}], "groups": [{"name", "id"}],
                                      "policies": [{"name", "id"}]}
It sets unique ids and dates, and replaces a user's access keys. Times are RFC 3339; `last_used` is null, or left out, for what was never used.

IAM: SetDefaultPolicyVersion is served here. GetAccountAuthorizationDetails is well-formed here, and tells of permissions boundaries, of a
role's last use and of when a policy was last changed.

IAM Access Analyzer: GenerateFindingRecommendation and GetFindingRecommendation are served here, for findings that a control names, and are
authorised as everything else is. The first answer is that the recommendation is still being made.
    POST /securecart-extension/access-analyzer   {"findings": [{"id", "resource", "steps": [{"action", "policy", "document", "updated"}]}]}
"""

from __future__ import annotations

import json
import os
import re
from typing import Any
from urllib.parse import parse_qs, unquote

from ministack import app as ministack
from ministack.core import iam_evaluator
from ministack.services import iam

CONTROL = "/securecart-extension/"
ACCOUNT = os.environ["MINISTACK_ACCOUNT_ID"]
NEVER_USED = "<Region>N/A</Region><ServiceName>N/A</ServiceName>"

_serve = ministack.app
_last_used = iam._IAM_HANDLERS["GetAccessKeyLastUsed"]
_account_details = iam._IAM_HANDLERS["GetAccountAuthorizationDetails"]


def last_used(parameters: Any) -> Any:
    """ministack keeps no account of the use of keys."""
    status, headers, body = _last_used(parameters)
    key = iam._access_keys.get(iam._p(parameters, "AccessKeyId")) or {}
    if status == 200 and (used := key.get("LastUsedDate")):
        shown = f"<LastUsedDate>{used}</LastUsedDate><Region>us-east-1</Region><ServiceName>s3</ServiceName>"
        body = body.replace(NEVER_USED.encode(), shown.encode())
    return status, headers, body


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


def account_details(parameters: Any) -> Any:
    """ministack ends the result with the tag of the response, and leaves out what it knows."""
    status, headers, body = _account_details(parameters)
    text = body.decode()
    end = "</GetAccountAuthorizationDetailsResponse>"
    text = text.replace(f"<IsTruncated>false</IsTruncated>{end}", "<IsTruncated>false</IsTruncated></GetAccountAuthorizationDetailsResult>")
    bearers = {bearer["Arn"]: bearer for known in (iam._users, iam._roles) for bearer in known.values()}

    def with_more(match: re.Match[str]) -> str:
        bearer, more = bearers[match[1]], ""
        if boundary := bearer.get("PermissionsBoundary"):
            kind = "<PermissionsBoundaryType>PermissionsBoundaryPolicy</PermissionsBoundaryType>"
            more += f"<PermissionsBoundary>{kind}<PermissionsBoundaryArn>{boundary}</PermissionsBoundaryArn></PermissionsBoundary>"
        if used := bearer.get("LastUsedDate"):
            more += f"<RoleLastUsed><LastUsedDate>{used}</LastUsedDate><Region>us-east-1</Region></RoleLastUsed>"
        return match[0] + more

    text = re.sub(r"<Arn>(arn:[^<]*:(?:user|role)/[^<]*)</Arn>(?=<Path>)", with_more, text)
    for arn, policy in iam._policies.items():
        updated = policy.get("UpdateDate", policy["CreateDate"])
        text = text.replace(f"<Arn>{arn}</Arn><Path>", f"<Arn>{arn}</Arn><UpdateDate>{updated}</UpdateDate><Path>")
    return status, headers, text.encode()


def seed(wanted: dict[str, Any]) -> None:
    for user in wanted.get("users", []):
        iam._users._data[(ACCOUNT, user["name"])]["UserId"] = user["id"]
        keys = iam._access_keys._data
        for stored in [stored for stored, key in keys.items() if stored[0] == ACCOUNT and key["UserName"] == user["name"]]:
            del keys[stored]
        for key in user.get("keys", []):
            keys[(ACCOUNT, key["id"])] = {
                "UserName": user["name"],
                "AccessKeyId": key["id"],
                "SecretAccessKey": "not used by anybody",
                "Status": "Active",
                "CreateDate": key["created"],
                "LastUsedDate": key.get("last_used"),
            }
    for role in wanted.get("roles", []):
        known = iam._roles._data[(ACCOUNT, role["name"])]
        known["RoleId"], known["LastUsedDate"] = role["id"], role.get("last_used")
        known["CreateDate"] = role.get("created", known["CreateDate"])
    for group in wanted.get("groups", []):
        iam._groups._data[(ACCOUNT, group["name"])]["GroupId"] = group["id"]
    for policy in wanted.get("policies", []):
        arn = f"arn:aws:iam::{ACCOUNT}:policy/{policy['name']}"
        iam._policies._data[(ACCOUNT, arn)]["PolicyId"] = policy["id"]


# What IAM Access Analyzer knows: a finding's resource and steps, and how often it was asked since its recommendation was ordered.
findings: dict[str, dict[str, Any]] = {}


def know(wanted: dict[str, Any]) -> None:
    for finding in wanted["findings"]:
        findings[finding["id"]] = {"resource": finding["resource"], "steps": finding["steps"], "asked": None}


def recommend(method: str, id: str, analyzer: str, credential: str) -> tuple[int, dict[str, Any]]:
    operation = {"POST": "GenerateFindingRecommendation", "GET": "GetFindingRecommendation"}.get(method)
    if operation is None:
        return 400, {"__type": "ValidationException", "message": f"no such operation: {method}"}
    key, _, region = credential.split("/")[:3]
    denied = iam_evaluator.enforce(key, f"access-analyzer:{operation}", "access-analyzer", region, resource_arn=analyzer)
    if denied:
        return 403, {"__type": "AccessDeniedException", "message": f"not authorized to perform: access-analyzer:{operation} on {analyzer}"}
    finding = findings.get(id)
    if finding is None or (method == "GET" and finding["asked"] is None):
        unknown = {"message": f"no recommendation of {id}", "resourceId": id, "resourceType": "FindingRecommendation"}
        return 404, {"__type": "ResourceNotFoundException", **unknown}
    if method == "POST":
        finding["asked"] = 0
        return 200, {}
    finding["asked"] += 1
    answer = {"startedAt": "2026-11-20T09:20:11Z", "resourceArn": finding["resource"], "recommendationType": "UnusedPermissionRecommendation"}
    if finding["asked"] == 1:
        return 200, answer | {"status": "IN_PROGRESS"}
    steps = [{"unusedPermissionsRecommendedStep": {name: value for name, value in {
        "recommendedAction": step["action"],
        "existingPolicyId": step["policy"],
        "recommendedPolicy": step.get("document"),
        "policyUpdatedAt": step.get("updated"),
    }.items() if value is not None}} for step in finding["steps"]]
    return 200, answer | {"status": "SUCCEEDED", "completedAt": "2026-11-20T09:20:14Z", "recommendedSteps": steps}


async def whole(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def respond(send: Any, status: int, answer: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json")]
    if kind := answer.pop("__type", None):
        headers.append((b"x-amzn-errortype", kind.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


async def control(path: str, receive: Any, send: Any) -> None:
    wanted = {"iam": seed, "access-analyzer": know}
    try:
        wanted[path.removeprefix(CONTROL)](json.loads(await whole(receive)))
        status, answer = 200, {}
    except (KeyError, TypeError, ValueError) as error:
        status, answer = 400, {"code": "Refused", "message": repr(error)}
    await respond(send, status, answer)


async def analyzer(scope: dict[str, Any], credential: str, receive: Any, send: Any) -> None:
    await whole(receive)
    ministack.set_request_account_id(ACCOUNT)
    asked = parse_qs(scope["query_string"].decode()).get("analyzerArn", [""])[0]
    id = unquote(scope["path"].removeprefix("/recommendation/"))
    await respond(send, *recommend(scope["method"], id, asked, credential))


def credential_of(scope: dict[str, Any]) -> str:
    """Who signed the request, and for which service: `KEY/DATE/REGION/SERVICE/aws4_request`."""
    signed = dict(scope["headers"]).get(b"authorization", b"").decode()
    found = re.search(r"Credential=([^, ]+)", signed)
    return found[1] if found else ""


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        await _serve(scope, receive, send)
    elif scope["path"].startswith(CONTROL) and scope["method"] == "POST":
        await control(scope["path"], receive, send)
    elif "/access-analyzer/" in (credential := credential_of(scope)) and scope["path"].startswith("/recommendation/"):
        await analyzer(scope, credential, receive, send)
    else:
        await _serve(scope | {"scheme": "https"}, receive, send)


if __name__ == "__main__":
    iam._IAM_HANDLERS["GetAccessKeyLastUsed"] = last_used
    iam._IAM_HANDLERS["SetDefaultPolicyVersion"] = default_version
    iam._IAM_HANDLERS["GetAccountAuthorizationDetails"] = account_details
    ministack.app = app
    ministack.main()
