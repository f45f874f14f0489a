"""The life of a connection with the official SDKs: projects written in TypeScript and in Python, and programs that ask."""

import os

from stage import ROLE, ROOT, SECRET

CLIENTS = ROOT / "clients"

# What both programs (use.mjs, use.py) must be told.
TOLD = {
    "sql": ("answer", '"n": 500'),
    "wrong sql": ("error", "Unknown expression identifier `nothing`"),
    "wrong token": ("error", "invalid authentication token"),
    "query": ("error", 'there is no pipe \\"top\\"'),
    "ingest": ("error", "write to the table instead"),
    "append": ("error", "write to the table instead"),
    "delete": ("error", "delete the items in DynamoDB"),
    "truncate": ("error", "delete the items in DynamoDB"),
    "jwt": ("error", "not part of this version"),
}


def typescript(stage):
    token = stage.workspace("typescript")
    folder = stage.project("typescript", CLIENTS / "typescript")
    os.symlink(stage.clients / "typescript" / "node_modules", folder / "node_modules")
    env = {"TINYBIRD_URL": stage.url, "TINYBIRD_TOKEN": token}

    def tinybird(*arguments, says=(), **options):
        wants = [says] if isinstance(says, str) else says
        program = folder / "node_modules" / ".bin" / "tinybird"
        return stage.step("TypeScript", [program, *arguments], *wants, cwd=folder, env={**env, **options.pop("env", {})}, **options)

    tinybird("deploy", "--dry-run", says="IMPORT_TABLE_ARN")
    tinybird("deploy", says=[f"the secret {SECRET} is not set", "Deploy failed"], code=1)
    stage.set_role(token)
    tinybird("deploy", "--check", says="Resources validated")
    tinybird("deploy", says=["new │ orders", "new │ my_ddb", "is live"])
    tinybird("deploy", says="No changes")
    stage.equal("TypeScript", token)
    tinybird("info", "--json", says='"workspaceName": "typescript"')
    tinybird("build", says="Cannot deploy to main workspace", code=1)
    tinybird("pull", "--output-dir", "pulled", "--force", says="orders")
    for name in ("orders.datasource", "my_ddb.connection"):
        found = list(folder.glob(f"pulled/**/{name}"))
        stage.note(f"TypeScript: {name} is pulled", [] if found else ["it is not there"])
    tinybird("deploy", env={"TINYBIRD_TOKEN": "p.wrong"}, says="invalid authentication token", code=1)
    stage.git(folder, "checkout", "--quiet", "-b", "feature/x")
    tinybird("build", says=["feature_x", "created", "Build completed"])
    tinybird("build", says=["feature_x existing", "Build completed"])
    tinybird("branch", "list", says="feature_x")
    tinybird("branch", "status", says="Branch ID:")
    tinybird("preview", says=["tmp_ci_feature_x", "Deployed to preview branch"])
    tinybird("preview", says="Deployed to preview branch")
    tinybird("clear", "--yes", says="cleared")
    tinybird("branch", "delete", "feature_x", says="deleted successfully")
    said = stage.step("TypeScript", ["node", "use.mjs"], cwd=folder, env=env)
    stage.calls("TypeScript", said, TOLD)
    stage.drop_workspace("typescript")


def python(stage):
    token = stage.workspace("python")
    folder = stage.project("python", CLIENTS / "python")
    programs = stage.clients / "python" / "bin"
    env = {"TINYBIRD_URL": stage.url, "TINYBIRD_TOKEN": token, "TB_HOST": stage.url, "TB_TOKEN": token}
    # The SDK starts `python`, and `generate` does not look into its own folder.
    env |= {"PATH": f"{programs}{os.pathsep}{stage.env['PATH']}", "PYTHONPATH": "."}

    def tinybird(*arguments, says=(), **options):
        wants = [says] if isinstance(says, str) else says
        return stage.step("Python", [programs / "tinybird", *arguments], *wants, cwd=folder, env=env, **options)

    tinybird("generate", says="1 datasources, 0 pipes, 1 connections")
    tinybird("deploy", says=[f"the secret {SECRET} is not set", "Deployment failed"], code=1)
    tinybird("--cloud", "secret", "set", SECRET, ROLE, says="set")
    tinybird("deploy", "--check", says="Deployment is valid")
    tinybird("deploy", says=["backfill started", "is live"])
    tinybird("deploy", says="No changes", lacks=["backfill started", "| new "])
    stage.equal("Python", token)
    tinybird("--cloud", "datasource", "ls", says="connection: dynamodb")
    tinybird("--cloud", "pull", "--force")
    found = list(folder.rglob("orders.datasource"))
    stage.note("Python: orders.datasource is pulled", [] if found else ["it is not there"])
    text = found[0].read_text() if found else ""
    stage.git(folder, "checkout", "--quiet", "-b", "feature/y")
    tinybird("build", says=["feature_y", "created", "backfill started", "Build completed"])
    tinybird("build", says="No changes")
    tinybird("branch", "ls", says="name: feature_y")
    tinybird("preview", says="Preview branch 'tmp_ci_feature_y' is live")
    tinybird("branch", "rm", "feature_y", "--yes", says="deleted")
    (folder / "orders.datasource").write_text(text)
    said = stage.step("Python", [programs / "python", "use.py"], cwd=folder, env=env)
    told = {
        "workspace": ("answer", "python"),
        "datasource": ("answer", "ReplacingMergeTree"),
        "pull": ("answer", "DYNAMODB_REGION"),
        "branch": ("answer", "by_program"),
        "branches": ("answer", "by_program"),
        "no branch": ("answer", "false"),
        "branch removed": ("answer", "null"),
        "deploy": ("answer", "success"),
    }
    stage.calls("Python", said, TOLD | told)
    stage.equal("Python, deployed by a program", token)
    stage.drop_workspace("python")
