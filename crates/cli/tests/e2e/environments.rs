//! Cloud and branches: a second server that knows nothing of the Local one and has an AWS account of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use aws_sim::{Role, Trust};
use serde_json::Value;

use super::flow;
use super::stage::{PATIENCE, ROLE, Said, Stage, said, wait};

/// The account of the shared server, and an access key of it.
const CLOUD_ACCOUNT: &str = "210987654321";
const CLOUD_KEY: &str = "CLOUDKEY";

/// A shared server beside the Local one of a stage.
struct Cloud {
    stage: Stage,
    server: Child,
}

impl Cloud {
    /// Starts it on the stage's AWS; the project folder and the table are the stage's.
    fn start(stage: Stage) -> Self {
        stage.aws.handle.with(|world| {
            let root = format!("arn:aws:iam::{CLOUD_ACCOUNT}:root");
            world.iam.add_user(CLOUD_KEY, &root);
        });
        let state = stage.folder.path().join("cloud");
        let log = fs::File::create(stage.folder.path().join("cloud.log")).unwrap();
        let mut command = stage.command();
        command
            .current_dir(stage.folder.path())
            .args(["server", "--config", "server.toml", "--state-dir"])
            .arg(&state)
            .env("AWS_ACCESS_KEY_ID", CLOUD_KEY)
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let server = command.spawn().unwrap();
        let cloud = Self { stage, server };
        wait("the shared server to answer", || {
            cloud.state().join("server.json").exists()
        });
        cloud
    }

    fn state(&self) -> PathBuf {
        self.stage.folder.path().join("cloud")
    }

    fn json(&self, file: &str) -> Value {
        let text = fs::read_to_string(self.state().join(file)).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.json("server.json")["port"])
    }

    fn token(&self) -> String {
        let tokens = self.json("tokens.json");
        tokens["workspace_admin_token"].as_str().unwrap().to_owned()
    }

    fn tb(&self, arguments: &[&str]) -> Said {
        self.stage.tb(arguments)
    }

    #[track_caller]
    fn log_in(&self) {
        let token = self.token();
        let said = self.tb(&["login", "--host", &self.address(), "--token", &token]);
        said.success();
    }

    /// What `tb` prints as JSON.
    #[track_caller]
    fn asked(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.extend(["--output", "json"]);
        let said = self.tb(&all).success();
        serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}", said.all()))
    }

    /// Waits until the mirror of orders is live where `selector` points.
    #[track_caller]
    fn until_live(&self, selector: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let all = self.asked(&[selector, "datasource", "ls"]);
            if all[0]["state"] == "live" {
                return;
            }
            assert!(Instant::now() < deadline, "{selector}: {all:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn exports(&self) -> usize {
        let handle = &self.stage.aws.handle;
        handle.with(|world| world.export_states().count())
    }

    fn put_some(&self, count: u32) {
        for at in 0..count {
            self.stage.put(&flow::order(at, 1));
        }
    }

    fn rows(&self, selector: &str) -> u64 {
        let sql = "SELECT count() AS rows FROM orders FINAL";
        let answer = self.asked(&[selector, "sql", sql]);
        let rows = answer.as_array().or_else(|| answer["data"].as_array());
        let found = &rows.unwrap()[0]["rows"];
        found
            .as_u64()
            .or_else(|| found.as_str()?.parse().ok())
            .unwrap()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.stage.folder.path().join("cloud.log"));
            eprintln!(
                "--- the shared server's log ---\n{}",
                log.unwrap_or_default()
            );
        }
    }
}

#[test]
fn a_login_is_tried_before_it_is_written_and_forgotten_by_a_logout() {
    let cloud = Cloud::start(Stage::new());
    let file = cloud.stage.project().join(".tinyb");
    let wrong = cloud.tb(&["login", "--host", &cloud.address(), "--token", "p.ey.x"]);
    assert_eq!(wrong.failure().code, Some(4));
    assert!(!file.exists());
    // What others keep in the file stays.
    fs::write(
        &file,
        r#"{"cwd": null, "dev_mode": "local", "user_token": "old"}"#,
    )
    .unwrap();
    cloud.log_in();
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let known: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(known["host"], cloud.address());
    assert_eq!(known["token"], cloud.token());
    assert_eq!(known["tokens"][cloud.address()], cloud.token());
    assert_eq!(
        (&known["name"], &known["dev_mode"], &known["user_token"]),
        (&Value::Null, &"local".into(), &Value::Null)
    );
    let current = cloud.asked(&["--cloud", "workspace", "current"]);
    assert_eq!(current["server"], cloud.address());
    // A variable wins over the file: somebody else's token is not this one's.
    let mut command = cloud.stage.command();
    command.args(["--cloud", "workspace", "current"]);
    let refused = said(&command.env("TB_TOKEN", "p.ey.x").output().unwrap());
    assert_eq!(refused.failure().code, Some(4));
    cloud.tb(&["logout"]).success();
    let known: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(
        known,
        serde_json::json!({ "cwd": null, "dev_mode": "local" })
    );
    let refused = cloud.tb(&["--cloud", "workspace", "current"]).failure();
    assert!(refused.err.contains("tb login"), "{}", refused.all());
}

#[test]
fn the_token_of_a_login_can_come_from_stdin_and_is_never_printed() {
    let cloud = Cloud::start(Stage::new());
    let mut command = cloud.stage.command();
    command
        .args(["login", "--host", &cloud.address()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    use std::io::Write;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(cloud.token().as_bytes()).unwrap();
    drop(stdin);
    let ran = said(&child.wait_with_output().unwrap()).success();
    assert!(!ran.all().contains(&cloud.token()));
    // A shared server hands its tokens to nobody who merely asks.
    let log = fs::read_to_string(cloud.stage.folder.path().join("cloud.log")).unwrap();
    assert!(!log.contains(&cloud.token()));
    let mode = fs::metadata(cloud.state().join("tokens.json")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    assert_eq!(
        super::stage::get(&format!("{}/tokens", cloud.address())),
        None
    );
    // Without a terminal and without a host there is nobody to ask.
    let refused = cloud.tb(&["logout"]).success();
    drop(refused);
    let refused = cloud.tb(&["login"]).failure();
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("--host"), "{}", refused.all());
}

#[test]
fn one_project_is_mirrored_by_local_cloud_and_branch_each_with_its_own_export() {
    let mut stage = Stage::new();
    stage.start();
    stage.set_secret();
    let cloud = Cloud::start(stage);
    cloud.log_in();
    cloud
        .tb(&["--cloud", "secret", "set", "dynamodb_role_arn_my_ddb", ROLE])
        .success();
    // Two servers, two accounts, two external ids: the role trusts each with its own.
    let ids: Vec<String> = ["--local", "--cloud"]
        .iter()
        .map(|selector| trusted_id(&cloud, selector))
        .collect();
    assert_ne!(ids[0], ids[1]);
    let trust = |account: &str, id: &String| Trust {
        principals: vec![format!("arn:aws:iam::{account}:root")],
        external_ids: vec![id.clone()],
    };
    cloud.stage.aws.handle.with(|world| {
        let mut role = Role::new(ROLE, "*", &[]).with_connector_policy(
            "arn:aws:dynamodb:us-east-1:123456789012:table/orders",
            "my-orders-exports",
        );
        role.trust = vec![
            trust("123456789012", &ids[0]),
            trust(CLOUD_ACCOUNT, &ids[1]),
        ];
        world.iam.add_role(role);
    });
    cloud.put_some(20);

    cloud
        .tb(&["build", "--with-connections", "--wait"])
        .success();
    assert_eq!(cloud.exports(), 1);
    let refused = cloud.tb(&["--cloud", "build"]).failure();
    assert!(
        refused.err.contains("tb --cloud deploy"),
        "{}",
        refused.all()
    );
    cloud.tb(&["--cloud", "deploy", "--wait"]).success();
    assert_eq!(cloud.exports(), 2);

    // The branch has the Cloud's credentials, secret and external id: the role need not know of it.
    let missing = cloud.tb(&["--branch=feature_x", "build"]).failure();
    assert!(
        missing.err.contains("tb branch create feature_x"),
        "{}",
        missing.all()
    );
    cloud.tb(&["branch", "create", "feature_x"]).success();
    let typo = cloud.tb(&["--branch=feature_y", "build"]).failure();
    assert!(
        typo.err.contains("did you mean feature_x?"),
        "{}",
        typo.all()
    );
    cloud.tb(&["--branch=feature_x", "build"]).success();
    assert_eq!(cloud.exports(), 2, "a build touches no connection");
    let built = cloud
        .tb(&[
            "--branch=feature_x",
            "build",
            "--with-connections",
            "--wait",
        ])
        .success();
    assert!(
        built.err.contains("the same DynamoDB table as 'Workspace'"),
        "{}",
        built.all()
    );
    cloud
        .tb(&["--branch=feature_x", "build", "--with-connections"])
        .success();
    cloud.tb(&["--cloud", "deploy"]).success();
    cloud.tb(&["build", "--with-connections"]).success();
    assert_eq!(cloud.exports(), 3, "one export in each context, once");

    cloud.put_some(25);
    for selector in ["--local", "--cloud", "--branch=feature_x"] {
        cloud.until_live(selector);
        wait("the new rows", || cloud.rows(selector) == 25);
    }
    let listed = cloud.asked(&["branch", "ls"]);
    assert_eq!(listed[0]["name"], "feature_x");
    let workspaces = cloud.asked(&["--cloud", "workspace", "ls"]);
    assert_eq!(workspaces[1]["branch_of"], "Workspace");
    assert_eq!(
        cloud.tb(&["branch", "rm", "feature_x"]).failure().code,
        Some(4),
        "nobody confirmed"
    );
    cloud.tb(&["branch", "rm", "feature_x", "--yes"]).success();
    assert_eq!(cloud.asked(&["branch", "ls"]), serde_json::json!([]));
    assert_eq!(cloud.rows("--cloud"), 25);
}

/// The external id that a server wants in the trust policy.
fn trusted_id(cloud: &Cloud, selector: &str) -> String {
    // The role trusts nobody yet, so the refusal names what it has to.
    cloud.stage.aws.handle.with(|world| {
        world
            .iam
            .add_role(Role::new(ROLE, "arn:aws:iam::999999999999:root", &["-"]));
    });
    let said = match selector {
        "--cloud" => cloud.tb(&["--cloud", "deploy"]),
        _ => cloud.tb(&["build", "--with-connections"]),
    };
    let text = said.failure().all();
    let hex = |word: &&str| word.len() == 32 && word.chars().all(|c| c.is_ascii_hexdigit());
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .find(hex)
        .unwrap_or_else(|| panic!("{text}"))
        .to_owned()
}

#[test]
fn a_sample_fills_a_branch_and_goes_when_the_mirror_begins() {
    let cloud = Cloud::start(Stage::new());
    cloud.log_in();
    cloud
        .tb(&["--cloud", "secret", "set", "dynamodb_role_arn_my_ddb", ROLE])
        .success();
    cloud.put_some(60);
    cloud.tb(&["branch", "create", "x"]).success();
    cloud.tb(&["--branch=x", "build"]).success();
    let sampled = cloud.asked(&[
        "--branch=x",
        "datasource",
        "sample",
        "orders",
        "--rows",
        "40",
    ]);
    assert_eq!(
        (&sampled["rows"], &sampled["whole_table"]),
        (&40.into(), &false.into())
    );
    assert_eq!((cloud.rows("--branch=x"), cloud.exports()), (40, 0));
    // Again, and all of it: the table is emptied first.
    let sampled = cloud.asked(&["--branch=x", "datasource", "sample", "orders"]);
    assert_eq!(
        (&sampled["rows"], &sampled["whole_table"]),
        (&60.into(), &true.into())
    );
    cloud.tb(&["--branch=x", "build"]).success();
    assert_eq!(cloud.rows("--branch=x"), 60, "a build keeps a sample");

    // Items that are deleted now are in no export and in no record of the stream that is read later.
    for at in 0..10 {
        let key = flow::key(at);
        cloud
            .stage
            .aws
            .handle
            .with(|world| world.delete_item("orders", &key))
            .unwrap();
    }
    // A day later the stream has forgotten the deletions.
    cloud.stage.aws.handle.advance(25 * 60 * 60 * 1000);
    cloud
        .tb(&["--branch=x", "build", "--with-connections", "--wait"])
        .success();
    cloud.until_live("--branch=x");
    wait("the deleted items to be gone", || {
        cloud.rows("--branch=x") == 50
    });
    let refused = cloud
        .tb(&["--branch=x", "datasource", "sample", "orders"])
        .failure();
    assert!(refused.err.contains("is connected"), "{}", refused.all());
    // The Cloud workspace itself is for deployments.
    cloud.tb(&["--cloud", "deploy", "--wait"]).success();
    let refused = cloud
        .tb(&["--cloud", "datasource", "sample", "orders"])
        .failure();
    assert!(
        refused.err.contains("tb branch create"),
        "{}",
        refused.all()
    );
}

#[test]
fn a_sample_that_the_role_may_not_take_says_so() {
    let cloud = Cloud::start(Stage::new());
    cloud.log_in();
    cloud
        .tb(&["--cloud", "secret", "set", "dynamodb_role_arn_my_ddb", ROLE])
        .success();
    cloud.put_some(5);
    cloud.tb(&["branch", "create", "x"]).success();
    cloud.tb(&["--branch=x", "build"]).success();
    cloud
        .stage
        .aws
        .handle
        .with(|world| world.iam.deny(ROLE, "dynamodb:Scan", "*"));
    let refused = cloud
        .tb(&["--branch=x", "datasource", "sample", "orders"])
        .failure();
    assert!(refused.err.contains("dynamodb:Scan"), "{}", refused.all());
    assert_eq!(cloud.rows("--branch=x"), 0);
    let jobs = cloud.asked(&["--branch=x", "job", "ls"]);
    assert_eq!(
        (&jobs[0]["kind"], &jobs[0]["status"]),
        (&"sample".into(), &"error".into())
    );
}

#[test]
fn a_plan_says_what_would_change_and_what_it_costs_and_changes_nothing() {
    let mut stage = Stage::new();
    stage.start();
    stage.set_secret();
    let cloud = Cloud::start(stage);
    cloud.put_some(30);
    let plan = cloud.asked(&["plan"]);
    let mirror = &plan["plan"]["mirrors"][0];
    assert_eq!(
        (&mirror["datasource"], &mirror["reason"]),
        (&"orders".into(), &"new".into())
    );
    assert_eq!(mirror["table_items"], 30);
    let bytes = mirror["table_bytes"].as_u64().unwrap();
    let rounded = |price: u64| (bytes * price + (1 << 29)) >> 30;
    assert_eq!(mirror["export_micro_dollars"], rounded(100_000));
    assert_eq!(mirror["pitr_micro_dollars_per_month"], rounded(200_000));
    assert_eq!(mirror["shards_are_known"], true);
    assert_eq!(mirror["permissions_missing"], serde_json::json!([]));
    let paths: Vec<&str> = plan["plan"]["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "connections/my_ddb.connection",
            "datasources/orders.datasource"
        ]
    );
    assert_eq!(cloud.asked(&["datasource", "ls"]), serde_json::json!([]));
    assert_eq!(cloud.exports(), 0);

    cloud.tb(&["deploy", "--wait"]).success();
    let none = cloud.tb(&["deploy", "--check"]).success();
    assert!(none.err.contains("No changes."), "{}", none.all());
    cloud.stage.edit(
        "datasources/orders.datasource",
        "    _is_deleted UInt8",
        "    status String `json:$.NewImage.status`,\n    _is_deleted UInt8",
    );
    let plan = cloud.tb(&["plan"]).success();
    assert!(
        plan.out
            .contains("+    status String `json:$.NewImage.status`,")
            && plan.out.contains("--- a/datasources/orders.datasource"),
        "{}",
        plan.all()
    );
    cloud
        .stage
        .aws
        .handle
        .with(|world| world.iam.deny(ROLE, "dynamodb:DescribeStream", "*"));
    cloud.stage.write(
        "datasources/more.datasource",
        &fs::read_to_string(cloud.stage.project().join("datasources/orders.datasource")).unwrap(),
    );
    let plan = cloud.tb(&["plan"]).success();
    assert!(
        plan.out.contains("missing") && plan.out.contains("dynamodb:DescribeStream"),
        "{}",
        plan.all()
    );
    assert_eq!(cloud.exports(), 1);
}

#[test]
fn deployments_are_staged_promoted_and_discarded() {
    let cloud = Cloud::start(Stage::new());
    cloud.log_in();
    cloud
        .tb(&["--cloud", "secret", "set", "dynamodb_role_arn_my_ddb", ROLE])
        .success();
    let nothing = cloud.tb(&["--cloud", "deployment", "promote"]).failure();
    assert!(
        nothing.err.contains("tb deployment create"),
        "{}",
        nothing.all()
    );
    cloud.tb(&["--cloud", "deployment", "create"]).success();
    assert_eq!(
        cloud.asked(&["--cloud", "datasource", "ls"]),
        serde_json::json!([])
    );
    cloud
        .tb(&["--cloud", "deployment", "promote", "--wait"])
        .success();
    cloud.until_live("--cloud");
    let file = "datasources/orders.datasource";
    cloud
        .stage
        .edit(file, "SCHEMA >", "DESCRIPTION all orders\n\nSCHEMA >");
    cloud.tb(&["--cloud", "deploy", "--no-auto"]).success();
    let listed = cloud.asked(&["--cloud", "deployment", "ls"]);
    assert_eq!(
        (&listed[0]["id"], &listed[0]["live"]),
        (&"2".into(), &false.into())
    );
    assert_eq!(
        (&listed[1]["id"], &listed[1]["live"]),
        (&"1".into(), &true.into())
    );
    assert_eq!(listed[0]["changes"], "1 changed");
    cloud.tb(&["--cloud", "deployment", "discard"]).success();
    let all = cloud.asked(&["--cloud", "deployment", "ls", "--include-deleted"]);
    assert_eq!(
        (&all[0]["id"], &all[0]["status"]),
        (&"2".into(), &"deleted".into())
    );
    let logs = cloud.tb(&["--cloud", "logs"]).success();
    assert!(logs.out.contains("deployment 1: is live"), "{}", logs.all());
    assert_eq!(cloud.exports(), 1);
}

#[test]
fn tokens_are_made_renewed_and_removed() {
    let cloud = Cloud::start(Stage::new());
    cloud.log_in();
    let made = cloud.tb(&["--cloud", "token", "create", "deploys", "--scope", "ADMIN"]);
    let token = made.success().out.trim().to_owned();
    let with = |token: &str| {
        let address = cloud.address();
        cloud.tb(&["--host", &address, "--token", token, "token", "ls"])
    };
    let listed = with(&token).success();
    assert!(
        listed.out.contains("deploys") && !listed.out.contains("p.ey"),
        "{}",
        listed.all()
    );
    let renewed = cloud.tb(&["--cloud", "token", "refresh", "deploys", "--yes"]);
    let renewed = renewed.success().out.trim().to_owned();
    assert_eq!(with(&token).failure().code, Some(4));
    with(&renewed).success();
    cloud
        .tb(&["--cloud", "token", "rm", "deploys", "--yes"])
        .success();
    assert_eq!(with(&renewed).failure().code, Some(4));
    let wrong = cloud.tb(&["--cloud", "token", "create", "x", "--scope", "EVERYTHING"]);
    assert!(wrong.failure().err.contains("DATASOURCES:READ"));
}

#[test]
fn a_local_server_without_credentials_skips_what_it_cannot_reach() {
    let mut stage = Stage::new();
    let without: [(&str, &str); 3] = [
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    stage.server_env = without
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    stage.tb(&["local", "start"]).success();
    // No secret is set either: the wizard went on Cloud-only.
    let built = stage.tb(&["build"]).success();
    assert!(
        built.err.contains("connection my_ddb is skipped here")
            && built.err.contains("the server has no AWS credentials"),
        "{}",
        built.all()
    );
    let rows = stage.rows("SELECT count() AS rows FROM orders");
    assert_eq!(rows.len(), 1);
    let refused = stage.tb(&["build", "--with-connections"]).failure();
    assert!(
        refused.err.contains("dynamodb_role_arn_my_ddb"),
        "{}",
        refused.all()
    );
    stage.tb(&["local", "stop"]).success();
}
