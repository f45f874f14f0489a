"""The life of a connection with the official command line: Local, Cloud, branches, wizard, mistakes."""

from stage import BUCKET, ROLE, ROOT, SECRET, TABLE_ARN

EXAMPLE = ROOT / "examples" / "orders"
PIPE = "NODE endpoint\nSQL >\n    SELECT count() AS n FROM orders FINAL\n\nTYPE endpoint\n"


def run(stage):
    local(stage)
    clear(stage)
    wizard(stage)
    cloud(stage)
    mistakes(stage)


def commands(stage, who, folder, env=()):
    """A function that runs `tb` there."""
    program = stage.clients / "cli" / "bin" / "tb"

    def tb(*arguments, says=(), **options):
        wants = [says] if isinstance(says, str) else says
        return stage.step(who, [program, *arguments], *wants, cwd=folder, env=env, **options)

    return tb


def local(stage):
    known = stage.names()
    folder = stage.project("cli-local", EXAMPLE)
    tb = commands(stage, "cli, Local", folder)
    tb("build", says=[f"the secret {SECRET} is not set", "Build failed"], code=1)
    name, token = stage.local_workspace(known)
    tb("secret", "set", SECRET, ROLE, says="set")
    tb("secret", "ls", says=SECRET, lacks=[ROLE])
    tb("build", says=["orders.datasource created", "my_ddb.connection created", "not connected", "Build completed"])
    tb("datasource", "sample", "orders", "--rows", "10", "--wait", says="Sample imported")
    tb("datasource", "sample", "orders", "--max-bytes", "1MB", "--wait", says="Sample imported")
    tb("datasource", "sample", "orders", "--full-export", says="tb build --with-connections", code=1)
    jobs = tb("job", "ls", says=["sample", "done"])
    job = jobs.split("id: ")[1].split()[0] if "id: " in jobs else "none"
    tb("job", "details", job, says="done")
    tb("job", "retry", job, says="once more", code=1)
    tb("build", "--with-connections", says=["orders.datasource changed", "DynamoDB initial export backfill started", "Export ARN: arn:aws:dynamodb:"])
    tb("build", "--with-connections", says="No changes", lacks=["backfill started"])
    tb("datasource", "sample", "orders", says="is connected to its DynamoDB table", code=1)
    stage.equal("cli, Local", token)
    stage.change(1)
    stage.equal("cli, Local", token)
    tb("datasource", "ls", says=["orders", "connection: dynamodb", "row_count: 5"])
    tb("connection", "ls", says=["service: dynamodb", "name: my_ddb", "connected_datasources: orders"])
    tb("sql", "SELECT count() AS orders FROM orders FINAL", says="500")
    tb("--output", "json", "sql", "SELECT count() AS n FROM orders FINAL", says='"n": 500')
    tb("--output", "csv", "sql", "SELECT count() AS n FROM orders FINAL", says='"n" 500')
    tb("datasource", "data", "orders", "--limit", "1", says="_record")
    tb("datasource", "export", "orders", "--format", "ndjson", says="Exported data")
    tb("datasource", "stop", "orders", says="stopped")
    tb("datasource", "start", "orders", says="started")
    stage.change(2)
    stage.equal("cli, Local, after stop and start", token)
    tb("token", "ls", says="workspace admin token")
    tb("info", says="Tinybird Local")
    tb("local", "version", says="dynamirror")
    tb("local", "ls", says="Workspace")
    refused(tb, folder)
    pipes(tb, folder)
    tb("deploy", says="is live", lacks=["backfill started"])
    tb("deploy", says="No changes", lacks=["backfill started", "| new "])
    tb("deployment", "ls", says="Live")
    stage.drop_workspace(name)


def clear(stage):
    """The workspace that every server has is deleted and made again."""
    folder = stage.project("cli-clear")
    tb = commands(stage, "cli, Local", folder)
    tb("--host", stage.url, "--token", stage.tokens["workspace_admin_token"], "workspace", "current", says="Workspace")
    tb("local", "clear", "--yes", says="Workspace")
    tb("datasource", "ls")


def refused(tb, folder):
    """What is no part of a mirror says so."""
    (folder / "rows.ndjson").write_text('{"pk": "a", "sk": "b"}\n')
    tb("datasource", "append", "orders", "rows.ndjson", says="write to the table instead", code=1)
    tb("datasource", "truncate", "orders", "--yes", says="delete the items in DynamoDB", code=1)
    tb("datasource", "delete", "orders", "--sql-condition", "pk = 'a'", "--yes", says="delete the items in DynamoDB", code=1)
    tb("datasource", "sync", "orders", "--yes", says="follows its DynamoDB table by itself", code=1)
    tb("datasource", "analyze", "rows.ndjson", says="follows from its DynamoDB table", code=1)
    tb("token", "create", "jwt", "j", "--ttl", "1h", "--scope", "DATASOURCES:READ", "--resource", "orders", says="not part of this version", code=1)
    tb("logs", says=["tinybird.*", "not part of this version", "GET /v0/logs"], code=1)
    (folder / "rows.ndjson").unlink()


def pipes(tb, folder):
    """They are kept, listed and given back, and nothing runs them."""
    (folder / "pipes").mkdir()
    (folder / "pipes" / "top.pipe").write_text(PIPE)
    tb("build", says=["pipes/top.pipe created", "'top' is kept and not run", "Build completed"])
    tb("pipe", "ls", says=["top", "endpoint"])
    tb("endpoint", "ls")
    tb("endpoint", "data", "top", says='pipe "top" is kept and not run', code=1)
    tb("endpoint", "data", "none", says='there is no pipe "none"', code=1)
    tb("copy", "ls")
    tb("sink", "ls")
    tb("materialization", "ls")
    # The workspace of tests is a new one, and has its secrets from this file.
    (folder / ".env.local").write_text(f"{SECRET}={ROLE}\n")
    tb("test", "run", says="No tests to run")
    (folder / ".env.local").unlink()


def wizard(stage):
    known = stage.names()
    folder = stage.project("cli-wizard")
    tb = commands(stage, "cli, wizard", folder)
    answers = ["wiz", "orders", BUCKET, "us-east-1", "1", "", "", ROLE, TABLE_ARN, ""]
    tb(
        "connection", "create", "dynamodb", stdin="\n".join(answers),
        says=["dynamodb:ExportTableToPointInTime", "sts:ExternalId", "arn:aws:iam::123456789012:root", "validation passed", "created successfully"],
    )
    table = ["--dynamodb-table-arn", TABLE_ARN, "--dynamodb-export-bucket", BUCKET]
    tb("datasource", "create", "--dynamodb", "--connection-name", "wiz", "--name", "orders", *table, says=["validation passed", "orders.datasource created"])
    nowhere = [word.replace("table/orders", "table/nowhere") for word in table]
    tb("datasource", "create", "--dynamodb", "--connection-name", "wiz", "--name", "nowhere", *nowhere, says="The DynamoDB table was not found.", code=1)
    tb("build", "--with-connections", says=["backfill started", "Build completed"])
    name, token = stage.local_workspace(known)
    stage.equal("cli, wizard", token)
    stage.drop_workspace(name)


def cloud(stage):
    token = stage.workspace("cli_cloud")
    folder = stage.project("cli-cloud", EXAMPLE)
    tb = commands(stage, "cli, Cloud", folder, {"TB_HOST": stage.url, "TB_TOKEN": token})
    tb("workspace", "current", says="cli_cloud")
    tb("workspace", "ls", says="cli_cloud")
    tb("info", says=["cli_cloud", "Branch count: 0"])
    tb("--cloud", "build", says="only supported in Tinybird Local", code=1)
    tb("--cloud", "deploy", "--check", says=[f"the secret {SECRET} is not set", "not valid"], code=1)
    tb("--cloud", "secret", "set", SECRET, ROLE, says="set")
    tb("--cloud", "deploy", "--check", says=["| new | orders", "Deployment is valid"])
    tb("--cloud", "deploy", says=["backfill started", "is live"])
    tb("--cloud", "deploy", says="No changes", lacks=["backfill started", "| new "])
    stage.equal("cli, Cloud", token)
    datasource = folder / "datasources" / "orders.datasource"
    datasource.write_text("DESCRIPTION >\n    All orders\n\n" + datasource.read_text())
    tb("--cloud", "deployment", "create", "--wait", says=["| modified | orders", "Deployment is ready"], lacks=["backfill started"])
    tb("--cloud", "deployment", "ls", says=["Staging", "Live"])
    tb("--cloud", "deployment", "discard", "--wait", says="successfully completed")
    tb("--cloud", "deployment", "ls", "--include-deleted", says="Deleted")
    tb("--cloud", "deployment", "create", "--wait", says="Deployment is ready")
    tb("--cloud", "deployment", "promote", "--wait", says=["Old deployment removed", "is live"])
    tb("--cloud", "datasource", "ls", says=["orders", "dynamodb"])
    tb("--cloud", "connection", "ls", says="connected_datasources: orders")
    tb("--cloud", "sql", "SELECT count() FROM orders FINAL", says="500")
    tb("--cloud", "token", "create", "static", "reader", "--scope", "DATASOURCES:READ", "--resource", "orders", says="generated successfully")
    tb("--cloud", "token", "scopes", "reader", says="DATASOURCES:READ")
    tb("--cloud", "token", "refresh", "reader", "--yes", says="refreshed")
    tb("--cloud", "token", "rm", "reader", "--yes", says="removed")
    tb("--cloud", "secret", "set", "other", "value", says="set")
    tb("--cloud", "secret", "rm", "other", says="deleted")
    written = (datasource.read_text(), (folder / "connections" / "my_ddb.connection").read_text())
    datasource.unlink()
    tb("--cloud", "pull", "--force")
    pulled = tuple(path.read_text() for name in ("orders.datasource", "my_ddb.connection") for path in folder.rglob(name))
    stage.note("cli, Cloud: what is pulled is what was deployed", [] if pulled == written else [repr(pulled)])
    branches(stage, tb)
    stage.drop_workspace("cli_cloud")


def branches(stage, tb):
    tb("branch", "create", "one", says="has been created")
    tb("branch", "create", "one", says='there is a branch "one" already', code=1)
    tb("branch", "ls", says=["name: one", "admin@localhost"])
    tb("--cloud", "job", "ls", says=["kind: branch", "done"])
    tb("--branch=one", "secret", "ls", says=SECRET)
    tb("--branch=one", "build", says=["orders.datasource created", "reads the same DynamoDB table", "backfill started", "Build completed"])
    tb("--branch=one", "datasource", "ls", says="orders")
    tb("branch", "clear", "one", "--yes", says="cleared")
    tb("branch", "rm", "one", "--yes", says="deleted")
    tb("branch", "rm", "one", "--yes", says="not found", code=1)
    tb("preview", says="is live")


def mistakes(stage):
    token = stage.workspace("cli_mistakes")
    stage.set_role(token)
    folder = stage.project("cli-mistakes", EXAMPLE)
    tb = commands(stage, "cli, mistakes", folder, {"TB_HOST": stage.url, "TB_TOKEN": token})
    file = folder / "datasources" / "orders.datasource"
    good = file.read_text()
    for before, after, wanted in [
        ("ReplacingMergeTree", "MergeTree", "do not support the MergeTree engine"),
        ("table/orders", "table/nowhere", "The DynamoDB table was not found."),
        ("my-orders-exports", "s3://my-orders-exports", "write `IMPORT_EXPORT_BUCKET my-orders-exports`"),
        ("$.Item.pk", "$.pk", "did you mean `json:$.Item.pk`?"),
        ("pk String", "pk Strin", "there is no type Strin"),
        ('"pk, sk"', '"pk"', "sk"),
        ("my_ddb", "nobody", "nobody"),
    ]:
        file.write_text(good.replace(before, after))
        tb("--cloud", "deploy", "--check", says=["orders.datasource", wanted, "not valid"], code=1)
    tb("--cloud", "deploy", says=["Deployment failed"], code=1)
    file.write_text(good)
    tb("--cloud", "datasource", "data", "nothing", says="UNKNOWN_TABLE", code=1)
    tb("--cloud", "datasource", "stop", "nothing", says="'nothing' Data Source does not exist", code=1)
    tb("--cloud", "sql", "SELECT nothing FROM system.one", code=1)
    tb("--cloud", "secret", "rm", "nothing", says='there is no secret "nothing"')
    tb("--cloud", "token", "rm", "nothing", "--yes", says="nothing", code=1)
    tb("--cloud", "deployment", "promote", says="No deployments found", code=1)
    tb("--cloud", "job", "details", "nothing", says="nothing", code=1)
    tb("--branch=nothing", "build", says="Branch nothing not found", code=1)
    wrong = commands(stage, "cli, wrong token", folder, {"TB_HOST": stage.url, "TB_TOKEN": "p.wrong"})
    wrong("workspace", "current", says="nvalid", code=1)
    wrong("--cloud", "datasource", "ls", says="invalid authentication token", code=1)
    wrong("--cloud", "deploy", says="invalid authentication token", code=1)
    stage.drop_workspace("cli_mistakes")
