"""What the ministack test does on the side of AWS, with AWS's own Python SDK: set up, trust, write."""

import json
import sys

import botocore.session
from botocore.config import Config

ROLE = "dynamirror"
TABLE = "orders"
BUCKET = "my-orders-exports"


def client(service):
    session = botocore.session.Session()
    session.set_credentials("test", "test")
    return session.create_client(
        service,
        region_name="us-east-1",
        endpoint_url=sys.argv[2],
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


def trust_policy(external_id):
    account = client("sts").get_caller_identity()["Account"]
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def set_up():
    """A table with a stream, a bucket, and a role that trusts another external id than ours."""
    client("s3").create_bucket(Bucket=BUCKET)
    iam = client("iam")
    role = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=trust_policy("somebody-else"))
    everything = {"Effect": "Allow", "Action": ["dynamodb:*", "s3:*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    iam.put_role_policy(RoleName=ROLE, PolicyName="mirror", PolicyDocument=policy)
    dynamodb = client("dynamodb")
    keys = [("pk", "HASH"), ("sk", "RANGE")]
    table = dynamodb.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    on = {"PointInTimeRecoveryEnabled": True}
    dynamodb.update_continuous_backups(TableName=TABLE, PointInTimeRecoverySpecification=on)
    return {"role": role["Role"]["Arn"], "table": table["TableDescription"]["TableArn"]}


def trust():
    client("iam").update_assume_role_policy(RoleName=ROLE, PolicyDocument=trust_policy(sys.argv[3]))
    return {}


def write():
    """Inserts, updates and deletes; answers with all items as they are then, in DynamoDB JSON."""
    dynamodb = client("dynamodb")
    version = int(sys.argv[3])
    for number in range(60):
        key = {"pk": {"S": f"customer#{number // 5}"}, "sk": {"S": f"order#{number % 5}"}}
        if (number + version) % 4 == 0:
            dynamodb.delete_item(TableName=TABLE, Key=key)
            continue
        item = {
            "version": {"N": str(version)},
            "exact": {"N": f"1234567890{number:028}"},
            "amount": {"N": f"{number}.5"},
            "note": {"S": 'line\nbreak \\ "quoted" – 東京 🙂'},
            "empty": {"S": ""},
            "tags": {"SS": ["b", "a", "ü"]},
            "scores": {"NS": ["10", "-2.5", "9"]},
            "yes": {"BOOL": True},
            "nothing": {"NULL": True},
            "map": {"M": {"list": {"L": [{"N": "1"}, {"M": {}}, {"L": []}]}}},
        }
        dynamodb.put_item(TableName=TABLE, Item=key | item)
        change = {":one": {"N": "1"}}
        dynamodb.update_item(
            TableName=TABLE, Key=key, UpdateExpression="ADD updates :one", ExpressionAttributeValues=change
        )
    pages = dynamodb.get_paginator("scan").paginate(TableName=TABLE)
    return {"items": [item for page in pages for item in page["Items"]]}


print(json.dumps({"set_up": set_up, "trust": trust, "write": write}[sys.argv[1]]()))
