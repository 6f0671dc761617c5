"""Calls the local cloud with boto3, a client that knows nothing of the functions: what it reads is the state as anybody sees it. Lists are read to their end.

    python client.py ENDPOINT < [{"service", "operation", "parameters", "region"?, "account"?, "credentials"?}, …] > [{"answer"} | {"code", "message", "status"}, …]
"""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import Any

import boto3
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError


@cache
def client(service: str, region: str, key: str, secret: str, token: str | None) -> BaseClient:
    return boto3.client(
        service,
        endpoint_url=sys.argv[1],
        region_name=region,
        # The local cloud takes an account for its root user's key, and any other key for one of its own account.
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def call(wanted: dict[str, Any]) -> dict[str, Any]:
    role = wanted.get("credentials", {})
    identity = (role.get("AccessKeyId", wanted.get("account", "test")), role.get("SecretAccessKey", "test"), role.get("SessionToken"))
    service = client(wanted["service"], wanted.get("region", "us-east-1"), *identity)
    operation = wanted["operation"]
    try:
        if service.can_paginate(operation):
            return {"answer": service.get_paginator(operation).paginate(**wanted["parameters"]).build_full_result()}
        answer = getattr(service, operation)(**wanted["parameters"])
    except ClientError as error:
        answer = error.response
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        return {"code": answer["Error"]["Code"], "message": answer["Error"].get("Message", ""), "status": status}
    answer.pop("ResponseMetadata", None)
    return {"answer": answer}


if __name__ == "__main__":
    json.dump([call(wanted) for wanted in json.load(sys.stdin)], sys.stdout, default=str)
