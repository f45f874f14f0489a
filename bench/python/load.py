#!/usr/bin/env python3
"""Load an export of DynamoDB into ClickHouse the way one writes it first: one process, one item after the other.

Uses what people use: boto3's TypeDeserializer and clickhouse-connect. Prints one JSON object with rows, seconds from the
first file's opening to the last insert's end, and CPU seconds; imports and connecting are not counted.
"""

import argparse
import base64
import datetime
import decimal
import gzip
import json
import pathlib
import time
import urllib.parse

import clickhouse_connect
from boto3.dynamodb.types import Binary, TypeDeserializer

COLUMNS = ["pk", "sk", "_record", "_old_record", "_timestamp", "_event_name", "_is_deleted"]
BATCH_ROWS = 50_000


class Deserializer(TypeDeserializer):
    """An export has binaries as base64, which boto3 has decoded by the time its own deserializer sees them."""

    def _deserialize_b(self, value):
        return Binary(base64.b64decode(value))


def plain(value):
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, set):
        return sorted(value)
    if isinstance(value, Binary):
        return base64.b64encode(value.value).decode()
    raise TypeError(type(value))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--table", required=True)
    parser.add_argument("folder", type=pathlib.Path)
    options = parser.parse_args()
    url = urllib.parse.urlparse(options.url)
    client = clickhouse_connect.get_client(host=url.hostname, port=url.port)
    deserialize = Deserializer().deserialize
    exported = datetime.datetime(2026, 10, 1, tzinfo=datetime.timezone.utc)
    began, cpu, total, rows = time.perf_counter(), time.process_time(), 0, []

    def flush():
        client.insert(options.table, rows, column_names=COLUMNS, settings={"optimize_on_insert": 0})
        rows.clear()

    for file in sorted(options.folder.glob("*.json.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                item = {name: deserialize(value) for name, value in json.loads(line)["Item"].items()}
                record = json.dumps(item, default=plain, ensure_ascii=False, separators=(",", ":"))
                rows.append([item["pk"], item["sk"], record, None, exported, "EXPORT", 0])
                total += 1
                if len(rows) == BATCH_ROWS:
                    flush()
    if rows:
        flush()
    print(json.dumps({"rows": total, "seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}))


if __name__ == "__main__":
    main()
