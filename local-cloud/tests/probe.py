"""A function on the Lambda runtime API: makes the AWS call that it is sent, or stores the records of a batch."""

import json
import os
import urllib.request

import boto3
from botocore.exceptions import ClientError

RUNTIME = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"


def handle(event: dict) -> object:
    for record in event.get("Records", []):
        item = {"pk": {"S": json.loads(record["body"])["detail"]["name"]}, "greeting": {"S": os.environ["GREETING"]}}
        boto3.client("dynamodb").put_item(TableName=os.environ["TABLE"], Item=item)
    if "environment" in event:
        return {name: os.environ.get(name) for name in event["environment"]}
    if "fail" in event:
        raise RuntimeError(event["fail"])
    if "call" in event:
        service, operation, arguments = event["call"]
        try:
            getattr(boto3.client(service), operation)(**arguments)
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "served"
    return {"batchItemFailures": []}


while True:
    with urllib.request.urlopen(f"{RUNTIME}/next") as response:
        request, event = response.headers["Lambda-Runtime-Aws-Request-Id"], json.load(response)
    try:
        path, answer = "response", handle(event)
    except Exception as error:
        path, answer = "error", {"errorType": type(error).__name__, "errorMessage": str(error)}
    urllib.request.urlopen(f"{RUNTIME}/{request}/{path}", data=json.dumps(answer).encode())
