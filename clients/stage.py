"""A simulator of AWS, a Local server, and steps: commands of clients with what they must say."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "demo"))

from aws import Aws  # noqa: E402
from compare import compare  # noqa: E402
from items import key, order  # noqa: E402

TABLE, BUCKET, ITEMS = "orders", "my-orders-exports", 500
TABLE_ARN = f"arn:aws:dynamodb:us-east-1:123456789012:table/{TABLE}"
ROLE = "arn:aws:iam::123456789012:role/dynamirror-clients"
SECRET = "dynamodb_role_arn_my_ddb"
TEN_MINUTES_MS = 600_000
STEP_SECONDS = 120
# Never right, whatever a step wants: a client that broke, and an endpoint that nobody thought of.
BROKEN = re.compile(r"Traceback \(most recent|TypeError|KeyError|there is no [A-Z]+ /v|/v\S+ does not take [A-Z]+")


class Stage:
    def __init__(self, bin, clients, run):
        self.bin, self.clients, self.run = bin, clients, run
        self.steps = self.failed = 0
        self.simulator = None

    # Around the clients: AWS, the server, workspaces.

    def start(self):
        shutil.rmtree(self.run, ignore_errors=True)
        (self.run / "home").mkdir(parents=True)
        command = [self.bin / "aws-sim", "--port", "0", "--export-seconds", "2", "--start-ago-seconds", str(TEN_MINUTES_MS // 1000)]
        log = open(self.run / "aws-sim.log", "w")
        self.simulator = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
        url = re.search(r"http://\S+", self.simulator.stdout.readline()).group(0)
        self.aws = Aws(url)
        self.env = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.run / "home"),
            "NO_COLOR": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            # The command line asks the internet for news and reports what it does, unless told otherwise.
            "TB_VERSION_WARNING": "0",
            "TB_CLI_TELEMETRY_OPTOUT": "1",
        }
        for name in ("TB_ENGINE_LIBRARY", "CLICKHOUSE_URL", "CLICKHOUSE_USER", "CLICKHOUSE_PASSWORD"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        self.make_table()
        self.start_server(url)

    def make_table(self):
        self.aws.create_bucket(BUCKET)
        attributes = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")]
        schema = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
        self.aws.dynamodb("CreateTable", TableName=TABLE, AttributeDefinitions=attributes, KeySchema=schema, BillingMode="PAY_PER_REQUEST")
        self.aws.simulator("advance", ms=5_000)
        for number in range(ITEMS):
            self.aws.dynamodb("PutItem", TableName=TABLE, Item=order(number, 1))
        pitr = {"PointInTimeRecoveryEnabled": True}
        self.aws.dynamodb("UpdateContinuousBackups", TableName=TABLE, PointInTimeRecoverySpecification=pitr)
        stream = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        self.aws.dynamodb("UpdateTable", TableName=TABLE, StreamSpecification=stream)
        self.aws.simulator("advance", ms=TEN_MINUTES_MS - 5_000)

    def start_server(self, aws_url):
        self.state = self.run / "local"
        credentials = {
            "AWS_ACCESS_KEY_ID": "CLIENTS",
            "AWS_SECRET_ACCESS_KEY": "clients-secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": aws_url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.server_env = {**self.env, **credentials, "TB_LOCAL_PORT": "0", "TB_LOCAL_STATE": str(self.state)}
        done = subprocess.run([self.bin / "tb", "local", "start", "--use-aws-creds"], env=self.server_env, check=False, stdout=subprocess.DEVNULL)
        if done.returncode != 0:
            raise SystemExit("clients: the server did not start")
        self.port = json.loads((self.state / "server.json").read_text())["port"]
        self.url = f"http://127.0.0.1:{self.port}"
        self.env["TB_LOCAL_PORT"] = str(self.port)
        self.tokens = self.ask("/tokens")

    def stop(self):
        if (self.run / "local" / "server.json").exists():
            subprocess.run([self.bin / "tb", "local", "stop"], env=self.server_env, check=False, capture_output=True)
        if self.simulator is not None:
            self.simulator.terminate()
            self.simulator.wait(timeout=20)

    def ask(self, path, data=None, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data=data, headers=headers), timeout=60) as answer:
            return json.loads(answer.read())

    def workspace(self, name):
        """Makes one and returns its token."""
        form = urllib.parse.urlencode({"name": name}).encode()
        return self.ask("/v1/workspaces", form, self.tokens["user_token"])["token"]

    def set_role(self, token):
        self.ask("/v0/variables", urllib.parse.urlencode({"name": SECRET, "value": ROLE}).encode(), token)

    def local_workspace(self, known=()):
        """Name and token of the one workspace that is not among the known names."""
        listed = self.ask(f"/v1/user/workspaces?token={self.tokens['admin_token']}")["workspaces"]
        (found,) = [(item["name"], item["token"]) for item in listed if item["name"] not in known]
        return found

    def names(self):
        """Of all workspaces."""
        return [item["name"] for item in self.ask(f"/v1/user/workspaces?token={self.tokens['admin_token']}")["workspaces"]]

    def drop_workspace(self, name):
        """So that its mirror does not slow the next ones down."""
        query = f"token={self.tokens['user_token']}&hard_delete_confirmation=yes"
        request = urllib.request.Request(f"{self.url}/v1/workspaces/{name}?{query}", method="DELETE")
        urllib.request.urlopen(request, timeout=60).read()

    def project(self, name, *sources):
        """A folder with copies of `sources` that is a git repository of its own: clients ask git for the branch."""
        folder = self.run / name
        folder.mkdir()
        left_out = shutil.ignore_patterns("requirements.txt", "package*.json", "README.md", "__pycache__")
        for source in sources:
            shutil.copytree(source, folder, dirs_exist_ok=True, ignore=left_out)
        self.git(folder, "init", "--quiet", "--initial-branch=main")
        self.git(folder, "add", "--all")
        self.git(folder, "commit", "--quiet", "--allow-empty", "--message=project")
        return folder

    def git(self, folder, *arguments):
        settings = ["-c", "user.name=clients", "-c", "user.email=clients@localhost"]
        subprocess.run(["git", *settings, *arguments], cwd=folder, env=self.env, check=True, stdout=subprocess.DEVNULL)

    # Steps.

    def step(self, who, command, *wants, cwd, env=(), code=0, stdin="", lacks=()):
        """Runs a command of a client. Its exit code must be `code`, it must say all of `wants` and none of `lacks`."""
        began = time.monotonic()
        env = {**self.env, **dict(env)}
        program, *arguments = command
        try:
            done = subprocess.run(
                [program, *arguments], cwd=cwd, env=env, input=stdin, text=True, timeout=STEP_SECONDS,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
            )
            found, said = done.returncode, done.stdout
        except subprocess.TimeoutExpired as expired:
            found, said = f"none within {STEP_SECONDS} s", (expired.stdout or b"").decode(errors="replace")
        flat = " ".join(said.split())
        problems = [] if found == code else [f"exit code {found} in place of {code}"]
        problems += [f"does not say «{want}»" for want in wants if want not in flat]
        problems += [f"says «{word}»" for word in lacks if word in flat]
        broken = BROKEN.search(flat)
        problems += [f"says «{broken.group(0)}»"] if broken else []
        shown = " ".join([pathlib.Path(program).name, *arguments])
        self.note(f"{who}: {shown}", problems, said, time.monotonic() - began)
        return said

    def note(self, name, problems, said="", seconds=None):
        """Counts something that was looked at."""
        self.steps += 1
        took = "" if seconds is None else f" ({seconds:.1f} s)"
        if not problems:
            print(f"ok      {name}{took}", flush=True)
            return
        self.failed += 1
        print(f"FAILED  {name}{took}: {'; '.join(problems)}", flush=True)
        for line in said.splitlines()[-60:]:
            print(f"        | {line}", flush=True)

    def calls(self, who, said, wants):
        """Judges the lines that a program of ours printed: each call with an answer or an error that has a text."""
        lines = {}
        for line in said.splitlines():
            if line.startswith("{"):
                call = json.loads(line)
                lines[call["call"]] = call
        for name, (kind, text) in wants.items():
            found = lines.get(name, {})
            problems = [] if kind in found and text in json.dumps(found[kind]) else [f"no {kind} with «{text}»"]
            self.note(f"{who}: {name}", problems, json.dumps(found))

    def equal(self, who, token):
        """The mirror of a workspace has every item with every attribute, at the latest after a while."""
        def select(sql):
            request = urllib.request.Request(f"{self.url}/v0/sql", data=sql.encode(), headers={"Authorization": f"Bearer {token}"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                return [json.loads(line) for line in answer.read().splitlines()]

        deadline = time.monotonic() + 60
        while True:
            items, rows, different = compare(self.aws, TABLE, select)
            if (items == rows and not different) or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        problems = [f"{items} items, {rows} rows, {len(different)} different"] if items != rows or different else []
        self.note(f"{who}: {items} items in the table, {rows} in the mirror", problems)

    def change(self, number):
        """One item more, one other, one less."""
        self.aws.dynamodb("PutItem", TableName=TABLE, Item=order(ITEMS + number, 2))
        self.aws.dynamodb("PutItem", TableName=TABLE, Item=order(number, 3, version=1))
        self.aws.dynamodb("DeleteItem", TableName=TABLE, Key=key(100 + number))
