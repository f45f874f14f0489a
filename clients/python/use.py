"""What a program does with the Python SDK. Prints a line of JSON for each call: its name, and its answer or its error."""

import json
import os
from dataclasses import asdict
from types import SimpleNamespace

from tinybird_sdk import create_client
from tinybird_sdk.api import branches, deploy, resources, workspaces

URL, TOKEN = os.environ["TINYBIRD_URL"], os.environ["TINYBIRD_TOKEN"]
PLACE = {"base_url": URL, "token": TOKEN}


def client(token=TOKEN):
    return create_client({"base_url": URL, "token": token, "dev_mode": False})


def call(name, what):
    try:
        line = {"call": name, "answer": what()}
    except Exception as error:
        line = {"call": name, "error": f"{type(error).__name__}: {error}"}
    print(json.dumps(line, default=asdict), flush=True)


def text(path):
    with open(path) as file:
        return file.read()


tinybird = client()
call("sql", lambda: tinybird.sql("SELECT count() AS n FROM orders FINAL")["data"])
call("wrong sql", lambda: tinybird.sql("SELECT nothing FROM orders"))
call("wrong token", lambda: client("p.wrong").sql("SELECT 1"))
call("query", lambda: tinybird.query("top", {"limit": 1}))
call("ingest", lambda: tinybird.ingest("orders", {"pk": "1", "sk": "2"}))
call("append", lambda: tinybird.datasources.append("orders", {"url": "http://127.0.0.1/orders.csv"}))
call("delete", lambda: tinybird.datasources.delete("orders", {"delete_condition": "pk = '1'"}))
call("truncate", lambda: tinybird.datasources.truncate("orders"))
scope = {"type": "DATASOURCES:READ", "resource": "orders"}
call("jwt", lambda: tinybird.tokens.create_jwt({"name": "short", "expires_at": 4102444800, "scopes": [scope]}))
call("workspace", lambda: workspaces.get_workspace(PLACE).name)
call("datasource", lambda: resources.get_datasource(PLACE, "orders"))
call("pull", lambda: resources.pull_all_resource_files(PLACE))
call("branch", lambda: branches.create_branch(PLACE, "by_program").name)
call("branches", lambda: [branch.name for branch in branches.list_branches(PLACE)])
call("no branch", lambda: branches.branch_exists(PLACE, "none"))
call("branch removed", lambda: branches.delete_branch(PLACE, "by_program"))
described = SimpleNamespace(name="orders", content="DESCRIPTION >\n    By a program\n\n" + text("orders.datasource"))
project = SimpleNamespace(datasources=[described], pipes=[], connections=[])
call("deploy", lambda: deploy.deploy_to_main(PLACE, project))
