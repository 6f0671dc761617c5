"""ministack's server with what the local cloud needs beside it. This is ours, not AWS's.

Plain HTTP on loopback stands for TLS: the shipped policies refuse whatever does not come over TLS (aws:SecureTransport), and ministack
enforces them. A call that wants to be seen as plain HTTP says so with the header `x-forwarded-proto: http`.

IAM gives out ids and dates by itself, and nothing ages in a test. Control, unsigned, for users and roles that exist:
    POST /securecart-extension/iam   {"users": [{"name", "id", "keys": [{"id", "created", "last_used"}]}], "roles": [{"name", "id"}]}
It sets unique ids, and replaces a user's access keys. Times are RFC 3339; `last_used` is null for a key that was never used.
"""

from __future__ import annotations

import json
import os
from typing import Any

from ministack import app as ministack
from ministack.services import iam

CONTROL = "/securecart-extension/iam"
ACCOUNT = os.environ["MINISTACK_ACCOUNT_ID"]
NEVER_USED = "<Region>N/A</Region><ServiceName>N/A</ServiceName>"

_serve = ministack.app
_last_used = iam._IAM_HANDLERS["GetAccessKeyLastUsed"]


def last_used(parameters: Any) -> Any:
    """ministack keeps no account of the use of keys."""
    status, headers, body = _last_used(parameters)
    key = iam._access_keys.get(iam._p(parameters, "AccessKeyId")) or {}
    if status == 200 and (used := key.get("LastUsedDate")):
        shown = f"<LastUsedDate>{used}</LastUsedDate><Region>us-east-1</Region><ServiceName>s3</ServiceName>"
        body = body.replace(NEVER_USED.encode(), shown.encode())
    return status, headers, body


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
        iam._roles._data[(ACCOUNT, role["name"])]["RoleId"] = role["id"]


async def control(receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    try:
        seed(json.loads(body))
        status, answer = 200, {}
    except (KeyError, TypeError, ValueError) as error:
        status, answer = 400, {"code": "Refused", "message": repr(error)}
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        await _serve(scope, receive, send)
    elif scope["path"] == CONTROL and scope["method"] == "POST":
        await control(receive, send)
    else:
        await _serve(scope | {"scheme": "https"}, receive, send)


if __name__ == "__main__":
    iam._IAM_HANDLERS["GetAccessKeyLastUsed"] = last_used
    ministack.app = app
    ministack.main()
