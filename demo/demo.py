#!/usr/bin/env python3
"""The whole product on one machine: a DynamoDB table appears in ClickHouse and is followed through every change.

Uses the simulator of this repository in place of AWS, so it costs nothing and needs no account. Run it with
`make demo`; KEEP=1 leaves everything running and prints the addresses.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

from aws import Aws, AwsError, write_batch
from compare import compare
from items import key, order

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROJECT = ROOT / "examples" / "orders"
RUN = ROOT / "demo" / "run"
TABLE, BUCKET = "orders", "my-orders-exports"
ROLE = "arn:aws:iam::123456789012:role/dynamirror-demo"
PAGE_QUERY = (
    "SELECT JSONExtractString(_record, 'id') AS id, JSONExtractString(_record, 'status') AS status, _timestamp, _event_name "
    "FROM orders FINAL ORDER BY id LIMIT 5"
)
TEN_MINUTES_MS = 600_000


def quoted(word):
    """The word as a person would type it."""
    return f'"{word}"' if "'" in word and '"' not in word else shlex.quote(word)


def say(text):
    print(text, flush=True)


class Demo:
    def __init__(self, options):
        self.items = options.items
        self.seconds = options.seconds
        self.seed = options.seed
        self.bin = pathlib.Path(options.bin).resolve()
        self.simulator = None
        self.env = None
        self.failures = []

    def tb(self, *arguments, capture=False, check=True):
        if not capture:
            say("$ tb " + " ".join(map(quoted, arguments)))
        done = subprocess.run(
            [self.bin / "tb", *arguments], cwd=PROJECT, env=self.env, check=False, text=True, stdout=subprocess.PIPE if capture else None
        )
        if check and done.returncode != 0:
            raise SystemExit(f"demo: tb {arguments[0]} ended with exit code {done.returncode}")
        return done.stdout if capture else None

    def server(self):
        return json.loads((self.state() / "server.json").read_text())

    def state(self):
        return pathlib.Path(self.env["TB_LOCAL_STATE"])

    def get(self, path, data=None):
        token = json.loads(self.http("/tokens"))["admin_token"] if self.token is None else self.token
        return self.http(path, data, {"Authorization": f"Bearer {token}"})

    token = None

    def http(self, path, data=None, headers=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.server()['port']}{path}", data=data, headers=headers or {})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.read()

    def select(self, sql):
        return [json.loads(line) for line in self.get("/v0/sql", sql.encode()).splitlines() if line]

    # 1. AWS: ten minutes ago, a table with items.
    def start_aws(self):
        log = open(RUN / "aws-sim.log", "w")
        command = [self.bin / "aws-sim", "--port", "0", "--export-seconds", "3", "--start-ago-seconds", str(TEN_MINUTES_MS // 1000)]
        self.simulator = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
        line = self.simulator.stdout.readline()
        url = re.search(r"http://\S+", line).group(0)
        self.aws = Aws(url)
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TB_", "TINYBIRD_", "CLICKHOUSE_"))},
            "AWS_ACCESS_KEY_ID": "DEMO",
            "AWS_SECRET_ACCESS_KEY": "demo-secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "TB_LOCAL_PORT": "0",
            "TB_LOCAL_STATE": str(RUN / "local"),
        }
        say(f"demo: AWS is simulated at {url}")
        self.aws.create_bucket(BUCKET)
        attributes = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")]
        schema = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
        self.aws.dynamodb("CreateTable", TableName=TABLE, AttributeDefinitions=attributes, KeySchema=schema, BillingMode="PAY_PER_REQUEST")
        self.aws.simulator("advance", ms=5_000)
        began = time.monotonic()
        with multiprocessing.Pool(2) as pool:
            step = 5_000
            jobs = [(url, self.seed, first, min(first + step, self.items)) for first in range(0, self.items, step)]
            written = 0
            for count in pool.imap_unordered(seed_items, jobs):
                written += count
                if written % 100_000 == 0:
                    say(f"demo: {written:,} items written")
        say(f"demo: table {TABLE} has {self.items:,} items, written in {time.monotonic() - began:.1f} s")
        pitr = {"PointInTimeRecoveryEnabled": True}
        self.aws.dynamodb("UpdateContinuousBackups", TableName=TABLE, PointInTimeRecoverySpecification=pitr)
        stream = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        self.aws.dynamodb("UpdateTable", TableName=TABLE, StreamSpecification=stream)
        self.aws.simulator("advance", ms=TEN_MINUTES_MS - 5_000)

    # 2. Dynamirror: what a user types.
    def set_up(self):
        self.tb("local", "start", "--use-aws-creds")
        self.tb("secret", "set", "dynamodb_role_arn_my_ddb", ROLE)
        self.tb("check")
        began = time.monotonic()
        self.tb("build", "--with-connections", "--wait")
        say(f"demo: built and backfilled in {time.monotonic() - began:.1f} s")
        self.token = self.workspace_token()
        self.report_load()
        self.tb("sql", PAGE_QUERY)
        self.tb("datasource", "ls")

    def workspace_token(self):
        name = json.loads(self.tb("workspace", "current", "--output", "json", capture=True))["name"]
        tokens = json.loads(self.http("/tokens"))
        listed = json.loads(self.http(f"/v1/user/workspaces?token={tokens['admin_token']}"))
        return next(workspace["token"] for workspace in listed["workspaces"] if workspace["name"] == name)

    def mirror(self):
        return json.loads(self.get(f"/v0/mirrors/{TABLE}"))

    def report_load(self):
        backfill = self.mirror()["backfill"]
        seconds = max(backfill["elapsed_seconds"], 0.001)
        rows, size = backfill["items_loaded"], backfill["bytes"]
        say(f"demo: backfill loaded {rows:,} rows, {size / 1e6:.1f} MB compressed, in {seconds:.1f} s: {rows / seconds:,.0f} rows/s, {size / 1e6 / seconds:.1f} MB/s")
        say(f"demo: peak memory: server {self.peak_mb(self.server()['pid'])} MB, engine {self.peak_mb(self.engine_pid())} MB")

    def engine_pid(self):
        server = self.server()["pid"]
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                if f"\nPPid:\t{server}\n" in status.read_text():
                    return int(status.parent.name)
        return None

    @staticmethod
    def peak_mb(pid):
        with contextlib.suppress(OSError):
            found = re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())
            return int(found.group(1)) // 1024
        return "?"

    # 3. Changes, a shard split, and a server that dies in the middle.
    def live(self):
        say(f"demo: {self.seconds} s of inserts, updates and deletes")
        stop = threading.Event()
        writer = Writer(Aws(self.aws_url()), self.items, self.seed)
        thread = threading.Thread(target=writer.run, args=(stop,))
        thread.start()
        began = time.monotonic()
        split = killed = False
        while (now := time.monotonic() - began) < self.seconds:
            if not split and now > self.seconds * 0.25:
                split = True
                shards = self.aws.simulator("split", table=TABLE)["shards"]
                say(f"demo: every shard splits in two: {len(shards)} new ones")
            if not killed and now > self.seconds * 0.5:
                killed = True
                pid = self.server()["pid"]
                say(f"demo: kill -9 {pid} (the server), and start it again")
                os.kill(pid, signal.SIGKILL)
                self.tb("local", "start", "--use-aws-creds")
            self.print_line(writer, now)
            time.sleep(1)
        stop.set()
        thread.join()
        if writer.error:
            raise SystemExit(f"demo: the writer failed: {writer.error}")
        say(f"demo: {writer.changes:,} changes written")

    def aws_url(self):
        return self.env["AWS_ENDPOINT_URL"]

    def print_line(self, writer, seconds):
        try:
            rows = self.select(f"SELECT count() AS n FROM {TABLE} FINAL FORMAT JSONEachRow")[0]["n"]
            mirror = self.mirror()
            lag = mirror["lag_seconds"]
            lag = "unknown" if lag is None else f"{lag:.1f} s"
            say(f"demo: {seconds:4.0f} s  items {writer.count():>9,}  rows {int(rows):>9,}  lag {lag}  state {mirror['state']}  shards {mirror['active_shards']}")
        except (urllib.error.URLError, OSError, KeyError) as error:
            say(f"demo: {seconds:4.0f} s  the server does not answer yet ({error})")

    # 4. Every item, every attribute.
    def verify(self):
        deadline = time.monotonic() + 60
        while True:
            items, rows, different = compare(self.aws, TABLE, self.select)
            if not different and items == rows:
                break
            if time.monotonic() > deadline:
                break
            time.sleep(1)
        for position, what in different[:10]:
            say(f"demo: {position}: {what}")
        say(f"demo: {items} items in the table, {rows} in the mirror, {len(different)} different")
        return not different and items == rows

    def stop(self):
        if self.env is not None and (self.state() / "server.json").exists():
            subprocess.run([self.bin / "tb", "local", "stop"], cwd=PROJECT, env=self.env, check=False, stdout=subprocess.DEVNULL)
        if self.simulator is not None:
            self.simulator.terminate()
            self.simulator.wait(timeout=20)

    def keep(self):
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL", "TB_LOCAL_PORT", "TB_LOCAL_STATE")
        settings = "".join(f"  export {name}={self.env[name]}\n" for name in names)
        print(
            f"demo: still running, because of KEEP=1\n  API  http://127.0.0.1:{self.server()['port']}\n  AWS  {self.aws_url()}\n"
            f"To use it from another terminal:\n{settings}  cd {PROJECT.relative_to(ROOT)} && {os.path.relpath(self.bin, PROJECT)}/tb datasource ls\n"
            f"To stop it: tb local stop, and kill {self.simulator.pid}",
            file=sys.stderr,
        )


class Writer:
    """Inserts, updates and deletes at random, and knows how many items there must be."""

    def __init__(self, aws, items, seed):
        self.aws, self.seed = aws, seed
        self.rnd = random.Random(seed)
        self.next = items
        self.deleted = set()
        self.changes = 0
        self.error = None

    def count(self):
        return self.next - len(self.deleted)

    def run(self, stop):
        try:
            while not stop.is_set():
                self.change()
                time.sleep(0.002)
        except (AwsError, OSError) as error:
            self.error = error

    def pick(self):
        return self.rnd.randrange(self.next)

    def change(self):
        self.changes += 1
        dice = self.rnd.random()
        if dice < 0.3:
            self.aws.dynamodb("PutItem", TableName=TABLE, Item=order(self.next, self.seed))
            self.next += 1
            return
        number = self.pick()
        if dice < 0.5:
            self.aws.dynamodb("DeleteItem", TableName=TABLE, Key=key(number))
            self.deleted.add(number)
        elif dice < 0.75:
            self.aws.dynamodb("PutItem", TableName=TABLE, Item=order(number, self.seed, version=self.changes))
            self.deleted.discard(number)
        else:
            names = {"#s": "status", "#c": "changed"}
            values = {":s": {"S": "updated"}, ":one": {"N": "1"}}
            update = "SET #s = :s REMOVE note ADD #c :one"
            self.aws.dynamodb("UpdateItem", TableName=TABLE, Key=key(number), UpdateExpression=update, ExpressionAttributeNames=names, ExpressionAttributeValues=values)
            self.deleted.discard(number)


def seed_items(job):
    url, seed, first, last = job
    aws = Aws(url)
    for start in range(first, last, 25):
        write_batch(aws, TABLE, [{"PutRequest": {"Item": order(number, seed)}} for number in range(start, min(start + 25, last))])
    return last - first


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000, help="items in the table before the mirror starts (10000)")
    parser.add_argument("--seconds", type=int, default=20, help="seconds of changes (20)")
    parser.add_argument("--seed", type=int, default=1, help="what the items and changes are made from (1)")
    parser.add_argument("--bin", default=ROOT / "target" / "demo", help="folder of tb and aws-sim")
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    options = parser.parse_args()
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir(parents=True)
    demo = Demo(options)
    began = time.monotonic()
    done = False
    try:
        demo.start_aws()
        demo.set_up()
        demo.live()
        equal = demo.verify()
        done = True
    finally:
        if done and options.keep:
            demo.keep()
        else:
            demo.stop()
    say_time = f"demo: took {time.monotonic() - began:.0f} s"
    print(say_time, file=sys.stderr)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
