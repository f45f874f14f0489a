"""Runs the simulator's API through boto3. Usage: boto3_check.py URL [ROLE_ARN EXTERNAL_ID]. Exits 1 on any failure.

Needs boto3 1.44 and a simulator started with --export-seconds 1 and, for the role checks, --role and --external-id.
"""

import gzip
import base64
import hashlib
import io
import json
import sys
import time
import traceback
import urllib.request
from decimal import Decimal

import boto3
from boto3.dynamodb.types import TypeDeserializer
from botocore.config import Config
from botocore.exceptions import ClientError

URL = sys.argv[1].rstrip("/")
ROLE = sys.argv[2] if len(sys.argv) > 2 else None
EXTERNAL_ID = sys.argv[3] if len(sys.argv) > 3 else None
KEYS = {"aws_access_key_id": "AKIATEST", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
CONFIG = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
FAILED = []


def client(service, **overrides):
    return boto3.client(service, endpoint_url=URL, config=CONFIG, **{**KEYS, **overrides})


ddb, streams, s3, sts = (client(name) for name in ("dynamodb", "dynamodbstreams", "s3", "sts"))


def admin(path, body=None, method="POST"):
    data = None if method == "GET" else json.dumps(body or {}).encode()
    request = urllib.request.Request(f"{URL}/_sim{path}", data=data, method=method)
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


def refused(code, call, *args, contains="", **kwargs):
    try:
        call(*args, **kwargs)
    except ClientError as error:
        got = error.response["Error"]
        assert got["Code"] == code, f"wanted {code}, got {got}"
        assert contains in got.get("Message", ""), got
        return error
    raise AssertionError(f"wanted {code}, got success")


def check(function):
    try:
        function()
        print(f"ok    {function.__name__}")
    except Exception:
        FAILED.append(function.__name__)
        print(f"FAIL  {function.__name__}")
        traceback.print_exc()


def wait_active(name):
    while ddb.describe_table(TableName=name)["Table"]["TableStatus"] != "ACTIVE":
        time.sleep(0.05)


def make(name, sort=False, stream=True, pitr=True):
    keys = [("pk", "HASH", "S")] + ([("sk", "RANGE", "N")] if sort else [])
    args = {}
    if stream:
        args["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    ddb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, _, t in keys],
        KeySchema=[{"AttributeName": n, "KeyType": k} for n, k, _ in keys],
        **args,
    )
    ddb.get_waiter("table_exists").wait(TableName=name)
    if pitr:
        ddb.update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        while True:
            found = ddb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
            if found["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED":
                break
            time.sleep(0.05)


def scan_all(name, **kwargs):
    return [item for page in ddb.get_paginator("scan").paginate(TableName=name, **kwargs) for item in page["Items"]]


def by_key(items):
    return sorted((canonical(item) for item in items), key=str)


def canonical(value):
    if isinstance(value, dict):
        return {k: (sorted(map(str, v)) if k in ("SS", "NS", "BS") else canonical(v)) for k, v in sorted(value.items())}
    if isinstance(value, list):
        return [canonical(member) for member in value]
    return value


def tables():
    make("tables_t")
    table = ddb.describe_table(TableName="tables_t")["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["LatestStreamArn"].startswith(table["TableArn"] + "/stream/")
    assert len(table["TableId"]) == 36 and table["ProvisionedThroughput"]["WriteCapacityUnits"] == 0
    refused("ResourceInUseException", make, "tables_t")
    refused("ResourceNotFoundException", ddb.describe_table, TableName="absent")
    refused("TableNotFoundException", ddb.describe_continuous_backups, TableName="absent")
    refused("ResourceNotFoundException", ddb.put_item, TableName="absent", Item={"pk": {"S": "a"}})
    enable = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    refused("ValidationException", ddb.update_table, TableName="tables_t", StreamSpecification=enable, contains="already")
    first = table["LatestStreamArn"]
    ddb.update_table(TableName="tables_t", StreamSpecification={"StreamEnabled": False})
    refused("ResourceInUseException", ddb.update_table, TableName="tables_t", StreamSpecification=enable)
    wait_active("tables_t")
    table = ddb.describe_table(TableName="tables_t")["Table"]
    assert "StreamSpecification" not in table and table["LatestStreamArn"] == first
    assert streams.describe_stream(StreamArn=first)["StreamDescription"]["StreamStatus"] == "DISABLED"
    answer = ddb.update_table(TableName="tables_t", StreamSpecification=enable)
    assert answer["TableDescription"]["TableStatus"] == "UPDATING"
    second = answer["TableDescription"]["LatestStreamArn"]
    assert second != first
    assert streams.describe_stream(StreamArn=second)["StreamDescription"]["StreamStatus"] == "ENABLING"
    wait_active("tables_t")
    assert streams.describe_stream(StreamArn=second)["StreamDescription"]["StreamStatus"] == "ENABLED"
    listed = [stream["StreamArn"] for stream in streams.list_streams(TableName="tables_t")["Streams"]]
    assert listed == [first, second], listed
    ddb.update_table(
        TableName="tables_t",
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 300},
    )
    wait_active("tables_t")
    assert ddb.describe_table(TableName="tables_t")["Table"]["ProvisionedThroughput"]["WriteCapacityUnits"] == 300
    ddb.update_time_to_live(TableName="tables_t", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})
    assert ddb.describe_time_to_live(TableName="tables_t")["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED"
    assert "tables_t" in ddb.list_tables()["TableNames"]
    old = table["TableId"]
    ddb.delete_table(TableName="tables_t")
    ddb.get_waiter("table_not_exists").wait(TableName="tables_t")
    make("tables_t")
    assert ddb.describe_table(TableName="tables_t")["Table"]["TableId"] != old


def provisioned_has_no_billing_mode():
    ddb.create_table(
        TableName="prov_t",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 6},
    )
    assert "BillingModeSummary" not in ddb.describe_table(TableName="prov_t")["Table"]


def items():
    make("items_t", sort=True)
    table = boto3.resource("dynamodb", endpoint_url=URL, config=CONFIG, **KEYS).Table("items_t")
    item = {
        "pk": "a", "sk": Decimal("1.50"), "n": Decimal("-0.50"), "big": Decimal("12345678901234567890123456789012345678"),
        "b": b"\x00\xff", "t": True, "z": None, "l": [1, "x", {"y": []}], "m": {"a": {"b": "c"}}, "e": "",
        "ss": {"b", "a"}, "ns": {Decimal(1), Decimal("2.5")}, "bs": {b"x", b"y"}, "dotted.name\"$": "q",
    }
    table.put_item(Item=item)
    got = table.get_item(Key={"pk": "a", "sk": Decimal("1.5")}, ConsistentRead=True)["Item"]
    assert {k: v for k, v in got.items() if k not in ("b", "bs")} == {k: v for k, v in item.items() if k not in ("b", "bs")}, got
    raw = ddb.get_item(TableName="items_t", Key={"pk": {"S": "a"}, "sk": {"N": "0015e-1"}})["Item"]
    assert raw["n"]["N"] == "-0.5" and raw["sk"]["N"] == "1.5"
    for text, shown in {"1E+125": "1" + "0" * 125, "1E-130": "0." + "0" * 129 + "1", "-0": "0", "+007.10": "7.1"}.items():
        ddb.put_item(TableName="items_t", Item={"pk": {"S": "num"}, "sk": {"N": "0"}, "v": {"N": text}})
        assert ddb.get_item(TableName="items_t", Key={"pk": {"S": "num"}, "sk": {"N": "0"}})["Item"]["v"]["N"] == shown, text
    for text in ("1" * 39, "1E126", "1E-131", "abc", ""):
        refused("ValidationException", ddb.put_item, TableName="items_t",
                Item={"pk": {"S": "num"}, "sk": {"N": "0"}, "v": {"N": text}})
    refused("ValidationException", ddb.put_item, TableName="items_t", Item={"pk": {"S": ""}, "sk": {"N": "0"}}, contains="empty string")
    refused("ValidationException", ddb.put_item, TableName="items_t", Item={"pk": {"S": "x"}}, contains="Missing the key sk")
    refused("ValidationException", ddb.put_item, TableName="items_t", Item={"pk": {"S": "x"}, "sk": {"N": "1"}, "s": {"SS": []}})
    refused("ValidationException", ddb.put_item, TableName="items_t", Item={"pk": {"S": "x"}, "sk": {"N": "1"}, "s": {"S": "x" * 410000}}, contains="size")
    refused("ValidationException", ddb.get_item, TableName="items_t", Key={"pk": {"S": "x"}}, contains="does not match the schema")
    key = {"pk": "u", "sk": 1}
    table.update_item(Key=key, UpdateExpression="SET a = :one, l = :l, m = :m", ExpressionAttributeValues={":one": 1, ":l": [1], ":m": {"x": 1}})
    out = table.update_item(
        Key=key,
        UpdateExpression="SET a = a + :two, #m.y = if_not_exists(#m.y, :two), l = list_append(l, :l), l2 = if_not_exists(nope, :l) REMOVE #m.x ADD c :two, s :s",
        ExpressionAttributeNames={"#m": "m"}, ExpressionAttributeValues={":two": 2, ":l": [2], ":s": {"p", "q"}}, ReturnValues="ALL_NEW",
    )["Attributes"]
    assert out == {"pk": "u", "sk": 1, "a": 3, "m": {"y": 2}, "l": [1, 2], "l2": [2], "c": 2, "s": {"p", "q"}}, out
    out = table.update_item(Key=key, UpdateExpression="DELETE s :s SET a = a - :one, l[0] = :one REMOVE l[1]",
                            ExpressionAttributeValues={":s": {"p"}, ":one": 1}, ReturnValues="UPDATED_NEW")["Attributes"]
    assert out == {"s": {"q"}, "a": 2, "l": [1]}, out
    refused("ValidationException", table.update_item, Key=key, UpdateExpression="SET pk = :x", ExpressionAttributeValues={":x": "y"}, contains="part of the key")
    refused("ValidationException", table.update_item, Key=key, UpdateExpression="SET a = :x, a = :x", ExpressionAttributeValues={":x": 1}, contains="overlap")
    refused("ValidationException", table.update_item, Key=key, UpdateExpression="SET a = zz", contains="does not exist in the item")
    refused("ConditionalCheckFailedException", table.put_item, Item={"pk": "u", "sk": 1}, ConditionExpression="attribute_not_exists(pk)")
    table.put_item(Item={"pk": "u", "sk": 2, "v": 5}, ConditionExpression="attribute_not_exists(pk) OR size(pk) < :n", ExpressionAttributeValues={":n": 0})
    table.delete_item(Key={"pk": "u", "sk": 2}, ConditionExpression="v BETWEEN :a AND :b AND contains(pk, :u) AND NOT v IN (:a, :b)",
                      ExpressionAttributeValues={":a": 1, ":b": 9, ":u": "u"})
    old = table.delete_item(Key=key, ReturnValues="ALL_OLD")["Attributes"]
    assert old["a"] == 2
    ddb.transact_write_items(TransactItems=[
        {"Put": {"TableName": "items_t", "Item": {"pk": {"S": "tx"}, "sk": {"N": "1"}}}},
        {"Update": {"TableName": "items_t", "Key": {"pk": {"S": "tx"}, "sk": {"N": "2"}}, "UpdateExpression": "SET v = :v", "ExpressionAttributeValues": {":v": {"N": "1"}}}},
    ])
    refused("TransactionCanceledException", ddb.transact_write_items, contains="[ConditionalCheckFailed, None]", TransactItems=[
        {"ConditionCheck": {"TableName": "items_t", "Key": {"pk": {"S": "tx"}, "sk": {"N": "1"}}, "ConditionExpression": "attribute_not_exists(pk)"}},
        {"Delete": {"TableName": "items_t", "Key": {"pk": {"S": "tx"}, "sk": {"N": "2"}}}},
    ])


def query_and_scan():
    make("query_t", sort=True)
    table = boto3.resource("dynamodb", endpoint_url=URL, config=CONFIG, **KEYS).Table("query_t")
    with table.batch_writer() as batch:
        for n in range(-60, 60):
            batch.put_item(Item={"pk": "p", "sk": n, "even": n % 2 == 0, "pad": "x" * 20000})
        for n in range(300):
            batch.put_item(Item={"pk": f"q{n}", "sk": 0})
    client_ = table.meta.client
    pages = list(client_.get_paginator("query").paginate(TableName="query_t", KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": "p"}))
    assert len(pages) == 3, len(pages)
    assert [item["sk"] for page in pages for item in page["Items"]] == list(range(-60, 60))
    out = table.query(KeyConditionExpression="pk = :p AND sk BETWEEN :a AND :b", FilterExpression="even = :t", ProjectionExpression="sk",
                      ScanIndexForward=False, ExpressionAttributeValues={":p": "p", ":a": -5, ":b": 5, ":t": True})
    assert [item["sk"] for item in out["Items"]] == [4, 2, 0, -2, -4] and out["ScannedCount"] == 11, out
    seen, start = [], {}
    while True:
        out = table.query(KeyConditionExpression="pk = :p AND sk < :b", ScanIndexForward=False, Limit=7, ProjectionExpression="sk",
                          ExpressionAttributeValues={":p": "p", ":b": 0}, **start)
        seen += [item["sk"] for item in out["Items"]]
        if "LastEvaluatedKey" not in out:
            break
        start = {"ExclusiveStartKey": out["LastEvaluatedKey"]}
    assert seen == list(range(-1, -61, -1)), seen
    assert len(scan_all("query_t")) == 420
    parts = [scan_all("query_t", TotalSegments=5, Segment=at) for at in range(5)]
    assert by_key(sum(parts, [])) == by_key(scan_all("query_t")) and sum(1 for part in parts if part) > 2
    assert ddb.scan(TableName="query_t", Select="COUNT", FilterExpression="begins_with(pk, :q)", ExpressionAttributeValues={":q": {"S": "q"}})["Count"] <= 300
    got = ddb.batch_get_item(RequestItems={"query_t": {"Keys": [{"pk": {"S": f"q{n}"}, "sk": {"N": "0"}} for n in range(50)]}})
    assert len(got["Responses"]["query_t"]) == 50
    refused("ValidationException", ddb.query, TableName="query_t", KeyConditionExpression="sk = :p", ExpressionAttributeValues={":p": {"N": "1"}})
    refused("ValidationException", ddb.scan, TableName="query_t", FilterExpression="a = :p", ExpressionAttributeValues={":p": {"N": "1"}, ":q": {"N": "1"}}, contains="unused")


def all_shards(arn):
    found, start = [], {}
    while True:
        page = streams.describe_stream(StreamArn=arn, Limit=3, **start)["StreamDescription"]
        found += page["Shards"]
        if "LastEvaluatedShardId" not in page:
            return found
        start = {"ExclusiveStartShardId": page["LastEvaluatedShardId"]}


def read_shard(arn, shard, limit=1000):
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    records, empty = [], 0
    while iterator and empty < 5:
        page = streams.get_records(ShardIterator=iterator, Limit=limit)
        records += page["Records"]
        empty = 0 if page["Records"] else empty + 1
        iterator = page.get("NextShardIterator")
    closed = "EndingSequenceNumber" in shard["SequenceNumberRange"]
    assert (iterator is None) == closed, "only closed shards end"
    return records


def stream_through_splits():
    make("stream_t")
    arn = ddb.describe_table(TableName="stream_t")["Table"]["LatestStreamArn"]
    for round_ in range(4):
        for n in range(40):
            ddb.put_item(TableName="stream_t", Item={"pk": {"S": f"k{n}"}, "v": {"N": str(round_)}})
        admin("/split" if round_ % 2 else "/rollover", {"table": "stream_t"})
    ddb.put_item(TableName="stream_t", Item={"pk": {"S": "k1"}, "v": {"N": "3"}})
    ddb.delete_item(TableName="stream_t", Key={"pk": {"S": "absent"}})
    ddb.update_item(TableName="stream_t", Key={"pk": {"S": "fresh"}})
    for n in range(10):
        ddb.delete_item(TableName="stream_t", Key={"pk": {"S": f"k{n}"}})
    admin("/expire", {"table": "stream_t", "key": {"pk": {"S": "k10"}}})
    shards = all_shards(arn)
    ids = [shard["ShardId"] for shard in shards]
    assert len(ids) == 4 + 4 + 8 + 8 + 16 and ids == sorted(ids) and all(len(id_) == 37 for id_ in ids), ids
    known, replica, count, kinds, expired = set(), {}, 0, {}, 0
    for shard in shards:
        assert shard.get("ParentShardId") is None or shard["ParentShardId"] in known
        known.add(shard["ShardId"])
        last = -1
        for record in read_shard(arn, shard, limit=7):
            data = record["dynamodb"]
            number = int(data["SequenceNumber"])
            assert 21 <= len(data["SequenceNumber"]) <= 40 and number > last
            last = number
            assert data["ApproximateCreationDateTime"].microsecond == 0 and len(record["eventID"]) == 32
            count += 1
            kinds[record["eventName"]] = kinds.get(record["eventName"], 0) + 1
            expired += "userIdentity" in record
            key = data["Keys"]["pk"]["S"]
            assert canonical(data.get("OldImage")) == canonical(replica.get(key)), (record, replica.get(key))
            if record["eventName"] == "REMOVE":
                assert "NewImage" not in data
                del replica[key]
            else:
                replica[key] = data["NewImage"]
    assert count == 160 + 1 + 11 and kinds == {"INSERT": 41, "MODIFY": 120, "REMOVE": 11} and expired == 1, (count, kinds)
    assert by_key(replica.values()) == by_key(scan_all("stream_t"))
    children = streams.describe_stream(StreamArn=arn, ShardFilter={"Type": "CHILD_SHARDS", "ShardId": ids[0]})["StreamDescription"]["Shards"]
    assert [child["ParentShardId"] for child in children] == [ids[0]]
    iterate = streams.get_shard_iterator
    refused("ValidationException", iterate, StreamArn=arn, ShardId=ids[0], ShardIteratorType="AT_SEQUENCE_NUMBER")
    refused("ValidationException", iterate, StreamArn=arn, ShardId=ids[0], ShardIteratorType="LATEST", SequenceNumber="1" * 21)
    refused("ResourceNotFoundException", iterate, StreamArn=arn, ShardId="shardId-00000000000000000000-00000000", ShardIteratorType="LATEST", contains="Shard does not exist")
    token = iterate(StreamArn=arn, ShardId=ids[0], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    refused("ValidationException", streams.get_records, ShardIterator=token, Limit=1001)
    records = read_shard(arn, shards[0])
    middle = records[len(records) // 2]["dynamodb"]["SequenceNumber"]
    for kind, want in (("AT_SEQUENCE_NUMBER", len(records) // 2), ("AFTER_SEQUENCE_NUMBER", len(records) // 2 + 1)):
        token = iterate(StreamArn=arn, ShardId=ids[0], ShardIteratorType=kind, SequenceNumber=middle)["ShardIterator"]
        got = []
        while token:
            page = streams.get_records(ShardIterator=token)
            got += page["Records"]
            token = page.get("NextShardIterator")
        assert len(got) == len(records) - want, (kind, len(got), len(records), want)
    admin("/trim", {"stream": arn, "shard": ids[0]})
    refused("TrimmedDataAccessException", iterate, StreamArn=arn, ShardId=ids[0], ShardIteratorType="AT_SEQUENCE_NUMBER", SequenceNumber=middle)
    admin("/faults", {"fault": {"error": {"code": "LimitExceededException"}}, "action": "DescribeStream", "times": 1})
    refused("LimitExceededException", streams.describe_stream, StreamArn=arn)
    streams.describe_stream(StreamArn=arn)
    admin("/faults", {"fault": "lost_answer", "action": "PutItem", "times": 1})
    try:
        ddb.put_item(TableName="stream_t", Item={"pk": {"S": "lost"}})
        raise AssertionError("the answer was not lost")
    except ClientError:
        raise
    except Exception as error:
        assert "Connection" in type(error).__name__, error
    assert "Item" in ddb.get_item(TableName="stream_t", Key={"pk": {"S": "lost"}})


def finish_export(arn):
    while True:
        found = ddb.describe_export(ExportArn=arn)["ExportDescription"]
        if found["ExportStatus"] != "IN_PROGRESS":
            return found
        time.sleep(0.1)


def get(bucket, key):
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def load_export(found):
    bucket = found["S3Bucket"]
    summary_text = get(bucket, found["ExportManifest"])
    md5 = get(bucket, found["ExportManifest"].replace(".json", ".md5")).decode()
    assert base64.b64encode(hashlib.md5(summary_text).digest()).decode() == md5
    summary = json.loads(summary_text)
    lines, empty = [], 0
    for row in get(bucket, summary["manifestFilesS3Key"]).splitlines():
        entry = json.loads(row)
        body = get(bucket, entry["dataFileS3Key"])
        assert base64.b64encode(hashlib.md5(body).digest()).decode() == entry["md5Checksum"]
        assert entry["etag"].endswith("-1")
        text = gzip.GzipFile(fileobj=io.BytesIO(body)).read() if body else b""
        rows = text.splitlines()
        assert len(rows) == entry["itemCount"]
        empty += not rows
        lines += [json.loads(line) for line in rows]
    assert len(lines) == summary["itemCount"] == found["ItemCount"] and empty >= 2
    return summary, lines


def exports():
    s3.create_bucket(Bucket="exports-b")
    make("export_t")
    arn = ddb.describe_table(TableName="export_t")["Table"]["TableArn"]
    for n in range(250):
        ddb.put_item(TableName="export_t", Item={"pk": {"S": f"k{n}"}, "v": {"N": str(n)}, "s": {"SS": ["a", "b", "c"]}, "m": {"M": {"x": {"S": "\u00e9\n"}, "y": {"L": []}}}})
    started = ddb.export_table_to_point_in_time(TableArn=arn, S3Bucket="exports-b", S3Prefix="pre/fix", ClientToken="t1")["ExportDescription"]
    assert started["ExportStatus"] == "IN_PROGRESS" and "ExportType" not in started and "ExportTime" in started
    again = ddb.export_table_to_point_in_time(TableArn=arn, S3Bucket="exports-b", S3Prefix="pre/fix", ClientToken="t1")["ExportDescription"]
    assert again["ExportArn"] == started["ExportArn"]
    refused("ExportConflictException", ddb.export_table_to_point_in_time, TableArn=arn, S3Bucket="exports-b", ClientToken="t1", contains="Duplicate request detected")
    refused("ValidationException", ddb.describe_export, ExportArn=arn + "/x" * 20, contains="Invalid Export ARN")
    refused("ExportNotFoundException", ddb.describe_export, ExportArn=arn + "/export/01234567890123-a1b2c3d4")
    refused("TableNotFoundException", ddb.export_table_to_point_in_time, TableArn=arn + "x", S3Bucket="exports-b")
    ddb.put_item(TableName="export_t", Item={"pk": {"S": "late"}})
    found = finish_export(started["ExportArn"])
    assert found["ExportStatus"] == "COMPLETED" and found["ExportManifest"].startswith("pre/fix/AWSDynamoDB/")
    summary, lines = load_export(found)
    assert summary["exportArn"] == started["ExportArn"] and summary["s3Prefix"] == "pre/fix"
    scanned = [item for item in scan_all("export_t") if item["pk"]["S"] != "late"]
    assert by_key(line["Item"] for line in lines) == by_key(scanned)
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="exports-b", Prefix="pre/fix/")["Contents"]]
    assert any(key.endswith("/_started") for key in keys)
    failed = ddb.export_table_to_point_in_time(TableArn=arn, S3Bucket="no-such-bucket")["ExportDescription"]
    failed = finish_export(failed["ExportArn"])
    assert failed["FailureCode"] == "S3NoSuchBucket" and "bucket does not exist" in failed["FailureMessage"]
    assert len(ddb.list_exports(TableArn=arn)["ExportSummaries"]) == 2
    make("nopitr_t", pitr=False)
    refused("PointInTimeRecoveryUnavailableException", ddb.export_table_to_point_in_time, TableArn=arn.replace("export_t", "nopitr_t"), S3Bucket="exports-b",
            contains="Point in time recovery is not enabled for table 'nopitr_t'")


def incremental_exports():
    make("inc_t")
    arn = ddb.describe_table(TableName="inc_t")["Table"]["TableArn"]
    start = admin("/state", method="GET")["now_ms"] // 1000
    for n in range(6):
        ddb.put_item(TableName="inc_t", Item={"pk": {"S": f"k{n}"}, "v": {"N": "1"}})
    admin("/advance", {"ms": 16 * 60 * 1000})
    ddb.put_item(TableName="inc_t", Item={"pk": {"S": "k0"}, "v": {"N": "2"}})
    ddb.put_item(TableName="inc_t", Item={"pk": {"S": "k0"}, "v": {"N": "3"}})
    ddb.delete_item(TableName="inc_t", Key={"pk": {"S": "k1"}})
    ddb.put_item(TableName="inc_t", Item={"pk": {"S": "brief"}})
    ddb.delete_item(TableName="inc_t", Key={"pk": {"S": "brief"}})
    admin("/advance", {"ms": 16 * 60 * 1000})
    spec = {"ExportFromTime": start + 900, "ExportToTime": start + 900 + 960, "ExportViewType": "NEW_AND_OLD_IMAGES"}
    short = {**spec, "ExportToTime": start + 1000}
    refused("InvalidExportTimeException", ddb.export_table_to_point_in_time, TableArn=arn, S3Bucket="exports-b", ExportType="INCREMENTAL_EXPORT",
            IncrementalExportSpecification=short, contains="Difference between export period")
    done = finish_export(ddb.export_table_to_point_in_time(TableArn=arn, S3Bucket="exports-b", ExportType="INCREMENTAL_EXPORT",
                                                           IncrementalExportSpecification=spec)["ExportDescription"]["ExportArn"])
    summary, lines = load_export(done)
    assert summary["outputView"] == "NEW_AND_OLD_IMAGES" and summary["exportType"] == "INCREMENTAL_EXPORT"
    lines = {line["Keys"]["pk"]["S"]: line for line in lines}
    assert set(lines) == {"k0", "k1"}, lines
    assert lines["k0"]["NewImage"]["v"]["N"] == "3" and lines["k0"]["OldImage"]["v"]["N"] == "1"
    assert "NewImage" not in lines["k1"] and len(lines["k1"]["Metadata"]["WriteTimestampMicros"]["N"]) == 16


def storage():
    s3.create_bucket(Bucket="store-b")
    refused("404", s3.head_bucket, Bucket="nowhere-b")
    head = s3.head_bucket(Bucket="store-b")
    assert head["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "us-east-1"
    client("s3", region_name="eu-west-1").create_bucket(Bucket="far-b", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    with_far = urllib.request.Request(URL + "/far-b", method="HEAD")
    with_far.add_header("authorization", "AWS4-HMAC-SHA256 Credential=AKIA/20240101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0")
    try:
        urllib.request.build_opener(NoRedirect).open(with_far)
        raise AssertionError("no redirect")
    except urllib.error.HTTPError as error:
        assert error.code == 301 and error.headers["x-amz-bucket-region"] == "eu-west-1"
    s3.put_object(Bucket="store-b", Key="a/b c+d\u00e9.txt", Body=b"hello world", Metadata={"who": "me"}, ContentType="text/plain")
    got = s3.get_object(Bucket="store-b", Key="a/b c+d\u00e9.txt")
    assert got["Body"].read() == b"hello world" and got["Metadata"] == {"who": "me"} and got["ContentType"] == "text/plain"
    part = s3.get_object(Bucket="store-b", Key="a/b c+d\u00e9.txt", Range="bytes=6-")
    assert part["Body"].read() == b"world" and part["ContentRange"] == "bytes 6-10/11"
    assert s3.head_object(Bucket="store-b", Key="a/b c+d\u00e9.txt")["ContentLength"] == 11
    s3.put_object(Bucket="store-b", Key="streamed", Body=io.BytesIO(b"x" * 100000))
    assert s3.head_object(Bucket="store-b", Key="streamed")["ContentLength"] == 100000
    s3.upload_fileobj(io.BytesIO(b"y" * (9 * 1024 * 1024)), "store-b", "multi")
    assert s3.head_object(Bucket="store-b", Key="multi")["ContentLength"] == 9 * 1024 * 1024
    for n in range(25):
        s3.put_object(Bucket="store-b", Key=f"many/{n:02}", Body=b"")
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket="store-b", Prefix="many/", PaginationConfig={"PageSize": 10}))
    assert [len(page["Contents"]) for page in pages] == [10, 10, 5]
    top = s3.list_objects_v2(Bucket="store-b", Delimiter="/")
    assert [group["Prefix"] for group in top["CommonPrefixes"]] == ["a/", "many/"] and len(top["Contents"]) == 2
    assert s3.list_objects_v2(Bucket="store-b", Prefix="a/")["Contents"][0]["Key"] == "a/b c+d\u00e9.txt"
    s3.delete_object(Bucket="store-b", Key="streamed")
    s3.delete_objects(Bucket="store-b", Delete={"Objects": [{"Key": f"many/{n:02}"} for n in range(25)]})
    refused("NoSuchKey", s3.get_object, Bucket="store-b", Key="streamed")
    refused("404", s3.head_object, Bucket="store-b", Key="streamed")
    assert s3.get_bucket_location(Bucket="store-b")["LocationConstraint"] is None
    assert {"store-b", "far-b"} <= {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def security_tokens():
    me = sts.get_caller_identity()
    assert me["Arn"].endswith(":root") and len(me["Account"]) == 12
    if not ROLE:
        return
    good = {"RoleArn": ROLE, "RoleSessionName": "check", "ExternalId": EXTERNAL_ID}
    session = sts.assume_role(**good)
    keys = session["Credentials"]
    creds = {"aws_access_key_id": keys["AccessKeyId"], "aws_secret_access_key": keys["SecretAccessKey"], "aws_session_token": keys["SessionToken"]}
    assert "assumed-role" in client("sts", **creds).get_caller_identity()["Arn"]
    absent = ROLE.rsplit("/", 1)[0] + "/absent"
    for wrong in ({**good, "ExternalId": EXTERNAL_ID.swapcase()}, {k: v for k, v in good.items() if k != "ExternalId"}, {**good, "RoleArn": absent}):
        error = refused("AccessDenied", sts.assume_role, **wrong)
        assert error.response["Error"]["Message"] == f"User: {me['Arn']} is not authorized to perform: sts:AssumeRole on resource: {wrong['RoleArn']}"
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    refused("ValidationError", sts.assume_role, **{**good, "DurationSeconds": 7200})
    role_ddb, role_s3 = client("dynamodb", **creds), client("s3", **creds)
    make("role_t")
    role_ddb.describe_table(TableName="role_t")
    admin("/roles/deny", {"role": ROLE, "action": "dynamodb:Scan"})
    admin("/roles/deny", {"role": ROLE, "action": "s3:GetObject", "resource": "arn:aws:s3:::store-b/*"})
    refused("AccessDeniedException", role_ddb.scan, TableName="role_t", contains="is not authorized to perform: dynamodb:Scan on resource: ")
    refused("AccessDenied", role_s3.get_object, Bucket="store-b", Key="multi", contains="s3:GetObject")
    admin("/roles/restore", {"role": ROLE})
    role_ddb.scan(TableName="role_t")
    admin("/roles/expire", {"role": ROLE})
    refused("ExpiredTokenException", role_ddb.scan, TableName="role_t")
    refused("ExpiredToken", role_s3.list_buckets)


for function in (tables, provisioned_has_no_billing_mode, items, query_and_scan, stream_through_splits, exports, incremental_exports, storage, security_tokens):
    check(function)
sys.exit(1 if FAILED else 0)
