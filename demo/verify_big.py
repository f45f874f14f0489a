#!/usr/bin/env python3
"""One wrong row among a million, planted behind the mirror's back: `tb datasource verify --full --repair` must find and mend it.

The simulator over HTTP, `tb` and a ClickHouse beside it, which is the embedded engine with a user who may write. One
attribute of one row is changed at the version it has, so that neither counts nor versions tell. Writes go on meanwhile.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

from aws import Aws
from compare import parse, plain, same
from demo import ROOT, RUN, TABLE, Demo, Writer, say
from items import key

USER, PASSWORD = "operator", "secret"
COLUMNS = "pk, sk, _record, _old_record, _timestamp, _event_name, _is_deleted"
USERS = f"""<clickhouse><profiles><default/></profiles><quotas><q/></quotas><users>
<default><no_password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>q</quota></default>
<{USER}><password>{PASSWORD}</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>
<quota>q</quota><access_management>1</access_management></{USER}></users></clickhouse>"""


def library():
    """The engine's library, as `tb` finds it in a checkout."""
    if given := os.environ.get("TB_ENGINE_LIBRARY"):
        return given
    for found in (ROOT / "engine" / "node_modules").glob("**/libchdb.so"):
        return found
    raise SystemExit("verify-big: no engine; run `make engine` first")


class ClickHouse:
    """The engine as a server of its own."""

    def __init__(self, tb, folder):
        (folder / "data").mkdir(parents=True)
        (folder / "users.xml").write_text(USERS)
        (folder / "engine.xml").write_text(f"<clickhouse><users_config>{folder / 'users.xml'}</users_config></clickhouse>")
        command = [tb, "engine", "--library", library(), "--data", folder / "data", "--conf", folder]
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(folder / "log", "w"), text=True, start_new_session=True
        )
        ready = self.process.stdout.readline().split()
        if ready[:1] != ["ready"]:
            raise SystemExit(f"verify-big: the engine did not start, see {folder / 'log'}")
        self.url = f"http://{USER}:{PASSWORD}@127.0.0.1:{ready[1]}"
        self.query_url = f"http://127.0.0.1:{ready[1]}/?" + urllib.parse.urlencode({"user": USER, "password": PASSWORD})

    def sql(self, query):
        with urllib.request.urlopen(self.query_url, query.encode(), timeout=120) as answer:
            return answer.read().decode()

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


class Around(Writer):
    """Changes any item but one."""

    def __init__(self, aws, items, seed, planted):
        super().__init__(aws, items, seed)
        self.planted = planted

    def pick(self):
        while (number := super().pick()) == self.planted:
            pass
        return number


class Check:
    def __init__(self, demo, clickhouse):
        self.demo, self.clickhouse = demo, clickhouse
        self.number = random.Random(demo.seed).randrange(demo.items)
        self.key = {name: value["S"] for name, value in key(self.number).items()}

    def record(self):
        where = f"pk = '{self.key['pk']}' AND sk = '{self.key['sk']}'"
        rows = self.demo.select(f"SELECT _record, toString(_timestamp) AS at FROM {TABLE} FINAL WHERE {where} FORMAT JSONEachRow")
        return rows[0]["_record"], rows[0]["at"]

    def is_right(self):
        item = self.demo.aws.dynamodb("GetItem", TableName=TABLE, Key=key(self.number), ConsistentRead=True)["Item"]
        return same(plain({"M": item}), parse(self.record()[0]))

    def plant(self):
        before = self.record()
        if not self.is_right():
            raise SystemExit(f"verify-big: {self.key} is wrong before anything was planted")
        (database,) = self.clickhouse.sql(f"SELECT database FROM system.tables WHERE name = '{TABLE}'").split()
        table = f"{database}.{TABLE}"
        wrong = "replaceRegexpOne(_record, '\"id\":\"[^\"]*\"', '\"id\":\"planted\"')"
        where = f"pk = '{self.key['pk']}' AND sk = '{self.key['sk']}'"
        # Of equal versions the row that was inserted last counts.
        self.clickhouse.sql(f"INSERT INTO {table} ({COLUMNS}) SELECT {COLUMNS.replace('_record', wrong, 1)} FROM {table} FINAL WHERE {where}")
        after = self.record()
        if after[0] == before[0] or after[1] != before[1] or self.is_right():
            raise SystemExit(f"verify-big: {self.key} could not be made wrong")
        say(f"verify-big: one attribute of {self.key} is wrong now, at its version {after[1]}")

    def verify(self):
        """Returns the report and how long it took, seconds."""
        began = time.monotonic()
        text = self.demo.tb("datasource", "verify", TABLE, "--full", "--repair", "--output", "json", capture=True, check=False)
        return json.loads(text), time.monotonic() - began


def run(demo, rows):
    """Returns what came of it, and whether that is as it should be."""
    demo.start_aws()
    clickhouse = ClickHouse(demo.bin / "tb", RUN / "clickhouse")
    try:
        demo.env["CLICKHOUSE_URL"] = clickhouse.url
        demo.set_up()
        check = Check(demo, clickhouse)
        stop = threading.Event()
        writer = Around(Aws(demo.aws_url()), rows, demo.seed, check.number)
        thread = threading.Thread(target=writer.run, args=(stop,))
        thread.start()
        try:
            check.plant()
            report, seconds = check.verify()
        finally:
            stop.set()
            thread.join()
        if writer.error:
            raise SystemExit(f"verify-big: the writer failed: {writer.error}")
        say(f"verify-big: {writer.changes:,} changes were written meanwhile")
        say(f"verify-big: peak memory: server {demo.peak_mb(demo.server()['pid'])} MB, ClickHouse {demo.peak_mb(clickhouse.process.pid)} MB")
        for note in report["notes"]:
            say(f"verify-big: note: {note}")
        found = [one for one in report["keys"] if one["key"] == check.key and one["kind"] == "different"]
        mended = sum(one["repaired"] for one in found) if check.is_right() else 0
        false = report["differences"] - len(found)
        untold = report["changing"] + report["unreadable"] + report["remaining"] + len(report["notes"])
        line = f"verify-big: 1 planted in {rows}, {len(found)} found, {mended} mended, {false} false, {seconds:.0f} s"
        return line, (len(found), mended, false, untold) == (1, 1, 0, 0) and report["checked"] > rows * 0.9
    finally:
        demo.stop()
        clickhouse.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="items in the table (1000000)")
    parser.add_argument("--seed", type=int, default=1, help="what items, changes and the planted key are made from (1)")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "target" / "release", help="folder of tb and aws-sim")
    options = parser.parse_args()
    options.items, options.seconds = options.rows, 0
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir(parents=True)
    line, right = run(Demo(options), options.rows)
    say(line)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
