"""What the functions are measured against: the same AWS calls for the same events, written plainly with boto3.

Each handler reads the settings, records its intent, changes the resource, looks again, records the outcome, and tells Security Hub and
people, as the function of its name does. It has none of the function's judgement: what is measured is the least that Python could do.
Clients are made when the module is loaded, which Lambda gives a whole core.
"""

import hashlib
import json
import os
import time

import boto3
from botocore.config import Config

REGION = os.environ["AWS_REGION"]
ACCOUNT = os.environ["OWN_ROLE_ARN"].split(":")[4]
TABLE = os.environ["LEDGER_TABLE"]
CONFIG = Config(retries={"mode": "standard"}, tcp_keepalive=True)

session = boto3.session.Session()


def client(name):
    return session.client(name, config=CONFIG)


dynamodb = client("dynamodb")
securityhub = client("securityhub")
sns = client("sns")
ssm = client("ssm")


def standing(pk):
    answer = dynamodb.query(
        TableName=TABLE,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": pk}},
        ConsistentRead=True,
    )
    return answer["Items"]


def write(name, record, revision, status, number, spends):
    """The record, the link of the chain, and what is spent of the budget, together."""
    now = int(time.time())
    body = json.dumps({"id": record, "status": status, "at": now})
    put = {
        "TableName": TABLE,
        "Item": {
            "pk": {"S": f"record#{record}"},
            "sk": {"S": "record"},
            "rev": {"N": str(revision + 1)},
            "body": {"S": body},
        },
    }
    if revision:
        put["ConditionExpression"] = "rev = :rev"
        put["ExpressionAttributeValues"] = {":rev": {"N": str(revision)}}
    else:
        put["ConditionExpression"] = "attribute_not_exists(pk)"
    link = {
        "TableName": TABLE,
        "Item": {
            "pk": {"S": f"chain#{name}"},
            "sk": {"S": f"{number:012}"},
            "body": {"S": json.dumps({"number": number, "digest": hashlib.sha256(body.encode()).hexdigest()})},
        },
        "ConditionExpression": "attribute_not_exists(pk)",
    }
    items = [{"Put": put}, {"Put": link}]
    if spends:
        hour = time.strftime("%Y-%m-%dT%H", time.gmtime(now))
        items.append(
            {
                "Update": {
                    "TableName": TABLE,
                    "Key": {"pk": {"S": f"budget#{name}#{ACCOUNT}#{hour}"}, "sk": {"S": "budget"}},
                    "UpdateExpression": "SET spent = if_not_exists(spent, :none) + :one",
                    "ConditionExpression": "attribute_not_exists(spent) OR spent < :limit",
                    "ExpressionAttributeValues": {
                        ":none": {"N": "0"},
                        ":one": {"N": "1"},
                        ":limit": {"N": "100"},
                    },
                }
            }
        )
    dynamodb.transact_write_items(TransactItems=items)


def turn(key):
    now = int(time.time() * 1000)
    dynamodb.update_item(
        TableName=TABLE,
        Key={"pk": {"S": f"turn#{key}"}, "sk": {"S": "turn"}},
        UpdateExpression="SET free_at = :free",
        ConditionExpression="attribute_not_exists(free_at) OR free_at <= :now",
        ExpressionAttributeValues={":free": {"N": str(now + 1100)}, ":now": {"N": str(now)}},
    )


def tell(event, name, text):
    detail = event["detail"]
    for finding in detail.get("findings", []):
        securityhub.batch_update_findings(
            FindingIdentifiers=[{"Id": finding["Id"], "ProductArn": finding["ProductArn"]}],
            Note={"Text": text, "UpdatedBy": name},
            Workflow={"Status": "RESOLVED"},
        )
    sns.publish(TopicArn=os.environ["NOTICE_TOPIC"], Subject=f"{name}: remediated", Message=text)


def remediate(name, event, scope, observe, apply, paced=False):
    """`observe` returns what is to be changed, or nothing; `apply` changes it."""
    ssm.get_parameter(Name=os.environ["SETTINGS_PARAMETER"])
    record = f"{name}-{hashlib.sha256(json.dumps(event).encode()).hexdigest()[:24]}"
    key = {"pk": {"S": f"record#{record}"}, "sk": {"S": "record"}}
    dynamodb.batch_get_item(RequestItems={TABLE: {"Keys": [key], "ConsistentRead": True}})
    held = standing(f"standing#{name}#{scope}")
    change = observe()
    if standing(f"standing#{name}#{scope}") != held:
        raise RuntimeError("somebody else writes")
    head = dynamodb.query(
        TableName=TABLE,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"chain#{name}"}},
        ConsistentRead=True,
        ScanIndexForward=False,
        Limit=1,
    )["Items"]
    number = int(head[0]["sk"]["S"]) + 1 if head else 1
    write(name, record, 0, "Intended", number, spends=True)
    if paced:
        turn(scope)
    apply(change)
    standing(f"standing#{name}#{scope}")
    if observe():
        raise RuntimeError("written and not read back")
    write(name, record, 1, "Remediated", number + 1, spends=False)
    tell(event, name, f"{scope} is as it shall be; record {record}")


def each(name, prepare):
    """A handler for batches of a queue."""

    def handler(batch, _context):
        for message in batch["Records"]:
            event = json.loads(message["body"])
            remediate(name, event, *prepare(event))
        return {"batchItemFailures": []}

    return handler


NAME = os.environ.get("_HANDLER", "").rpartition(".")[2]


def _block_ip():
    wafv2 = client("wafv2")

    def prepare(event):
        action = event["detail"]["service"]["action"]["networkConnectionAction"]
        address = action["remoteIpDetails"]["ipAddressV4"] + "/32"
        name, identity, scope = os.environ["BLOCK_IPV4_SETS"].split(",")[0].split("|")

        def observe():
            answer = wafv2.get_ip_set(Name=name, Id=identity, Scope=scope)
            addresses = answer["IPSet"]["Addresses"]
            return None if address in addresses else (answer["LockToken"], [*addresses, address])

        def apply(change):
            token, addresses = change
            wafv2.update_ip_set(Name=name, Id=identity, Scope=scope, LockToken=token, Addresses=addresses)

        return name, observe, apply, True

    return each("block-ip", prepare)


def _disable_access_key():
    iam = client("iam")

    def prepare(event):
        user = event["detail"]["findings"][0]["Resources"][0]["Details"]["AwsIamUser"]["UserName"]
        iam.get_user(UserName=user)
        iam.list_access_keys(UserName=user)

        def observe():
            stale = None
            for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]:
                if key["Status"] != "Active":
                    continue
                used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]
                last = used.get("LastUsedDate", key["CreateDate"])
                if time.time() - last.timestamp() > 90 * 24 * 3600:
                    stale = key["AccessKeyId"]
            return stale

        def apply(key):
            iam.update_access_key(UserName=user, AccessKeyId=key, Status="Inactive")

        return user, observe, apply

    return each("disable-access-key", prepare)


def _revoke_permissions():
    iam = client("iam")

    def details():
        found = {}
        for kind in ("LocalManagedPolicy", "User", "Role"):
            pages = iam.get_paginator("get_account_authorization_details").paginate(Filter=[kind])
            found[kind] = list(pages)
        return found

    def is_admin(statement):
        return statement["Effect"] == "Allow" and statement["Action"] == "*" and statement["Resource"] == "*"

    def prepare(event):
        arn = event["detail"]["findings"][0]["Resources"][0]["Id"]
        details()

        def observe():
            policies = [policy for page in details()["LocalManagedPolicy"] for policy in page["Policies"]]
            policy = next(policy for policy in policies if policy["Arn"] == arn)
            version = next(version for version in policy["PolicyVersionList"] if version["IsDefaultVersion"])
            statements = version["Document"]["Statement"]
            kept = [statement for statement in statements if not is_admin(statement)]
            return None if len(kept) == len(statements) else kept

        def apply(statements):
            version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
            iam.get_policy_version(PolicyArn=arn, VersionId=version)
            document = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)

        return arn, observe, apply, True

    return each("revoke-permissions", prepare)


def _enforce_s3_encryption():
    s3 = client("s3")

    def prepare(event):
        bucket = event["detail"]["findings"][0]["Resources"][0]["Id"].rpartition(":")[2]

        def observe():
            s3.head_bucket(Bucket=bucket)
            rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
            default = rules[0]["ApplyServerSideEncryptionByDefault"]
            if default["SSEAlgorithm"] == "aws:kms":
                return None
            s3.get_bucket_acl(Bucket=bucket)
            return rules

        def apply(_rules):
            rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}, "BucketKeyEnabled": True}
            s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})

        return bucket, observe, apply

    return each("enforce-s3-encryption", prepare)


def _block_public_access():
    s3 = client("s3")
    whole = dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    )

    def prepare(event):
        bucket = event["detail"]["findings"][0]["Resources"][0]["Id"].rpartition(":")[2]

        def unless(code, call):
            try:
                return call(Bucket=bucket)
            except s3.exceptions.ClientError as error:
                if error.response["Error"]["Code"] != code:
                    raise
                return None

        def block():
            answer = unless("NoSuchPublicAccessBlockConfiguration", s3.get_public_access_block)
            return answer and answer["PublicAccessBlockConfiguration"]

        def observe():
            s3.head_bucket(Bucket=bucket)
            found = block()
            if unless("NoSuchWebsiteConfiguration", s3.get_bucket_website):
                raise RuntimeError("a website")
            return None if found == whole else {"found": found}

        def apply(change):
            if block() != change["found"]:
                raise RuntimeError("somebody else writes")
            s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=whole)

        return bucket, observe, apply

    return each("block-public-access", prepare)


def _close_open_ingress():
    ec2 = client("ec2")

    def prepare(event):
        group = event["detail"]["findings"][0]["Resources"][0]["Id"].rpartition("/")[2]

        def observe():
            ec2.describe_security_groups(GroupIds=[group])
            rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
            return [
                rule["SecurityGroupRuleId"]
                for rule in rules["SecurityGroupRules"]
                if not rule["IsEgress"]
                and rule.get("CidrIpv4") == "0.0.0.0/0"
                and rule.get("FromPort", 0) <= 22 <= rule.get("ToPort", 65535)
            ]

        def apply(rules):
            ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=rules)

        return group, observe, apply

    return each("close-open-ingress", prepare)


def _enforce_storage_encryption():
    ec2 = client("ec2")

    def prepare(_event):
        def observe():
            return not ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"]

        def apply(_change):
            ec2.enable_ebs_encryption_by_default()

        return REGION, observe, apply

    return each("enforce-storage-encryption", prepare)


# One handler is loaded, as one function has one.
globals()[NAME] = globals()[f"_{NAME}"]()
