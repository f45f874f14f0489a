//! Connections without a person: options, two environments, a second table, listing and removing.

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::stage::{ROLE, Stage, TABLE_ARN, get, wait};
use super::wizard::{files, paste, policies, stage};

/// A second server, whose credentials are another account's.
struct Cloud {
    server: Child,
    _folder: tempfile::TempDir,
    url: String,
    token: String,
}

const CLOUD_ACCOUNT: &str = "999999999999";

impl Cloud {
    fn start(stage: &Stage) -> Self {
        stage.aws.handle.with(|world| {
            let user = format!("arn:aws:iam::{CLOUD_ACCOUNT}:user/host");
            world.iam.add_user("AKIACLOUD", &user);
        });
        let folder = tempfile::tempdir().unwrap();
        let mut command = stage.command();
        command.current_dir(folder.path());
        command
            .args(["server", "--local", "--port", "0", "--state-dir"])
            .arg(folder.path().join("state"))
            .env("AWS_ACCESS_KEY_ID", "AKIACLOUD")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = command.spawn().unwrap();
        let file = folder.path().join("state/server.json");
        let url = || {
            let text = fs::read_to_string(&file).ok()?;
            let port = serde_json::from_str::<Value>(&text).ok()?["port"].as_u64()?;
            Some(format!("http://127.0.0.1:{port}"))
        };
        wait("the other server to answer", || {
            url().is_some_and(|url| get(&format!("{url}/v0/health")).is_some())
        });
        let url = url().unwrap();
        let tokens = get(&format!("{url}/tokens")).unwrap();
        Self {
            server,
            _folder: folder,
            token: tokens["workspace_admin_token"].as_str().unwrap().to_owned(),
            url,
        }
    }

    fn tb(&self, stage: &Stage, arguments: &[&str]) -> Command {
        let mut command = stage.command();
        command.args(arguments);
        command
            .env("TB_HOST", &self.url)
            .env("TB_TOKEN", &self.token);
        command
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn run(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.success(),
        format!("{}{}", text(&output.stdout), text(&output.stderr)),
    )
}

fn create(extra: &[&'static str]) -> Vec<&'static str> {
    let given = [
        "connection",
        "create",
        "dynamodb",
        "--yes",
        "--name",
        "my_ddb",
        "--bucket",
        "my-orders-exports",
        "--role-arn",
        ROLE,
        "--table-arn",
        TABLE_ARN,
    ];
    [&given, extra].concat()
}

#[test]
fn both_environments_assume_one_role_with_their_own_accounts_and_ids() {
    let mut stage = stage();
    stage.start();
    let cloud = Cloud::start(&stage);
    let (ok, said) = run(&mut cloud.tb(
        &stage,
        &[
            "connection",
            "policy",
            "my_ddb",
            "--table",
            "orders",
            "--bucket",
            "my-orders-exports",
            "--output",
            "json",
        ],
    ));
    assert!(ok, "{said}");
    let documents: Value = serde_json::from_str(&said).unwrap();
    let trust = &documents["trust_policy"]["Statement"][0];
    let principals = trust["Principal"]["AWS"].to_string();
    assert!(
        principals.contains(CLOUD_ACCOUNT) && principals.contains("123456789012"),
        "{principals}"
    );
    let ids = trust["Condition"]["StringEquals"]["sts:ExternalId"]
        .as_array()
        .unwrap();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");

    // A role that only Local may assume is refused for Cloud, by name, and nothing is written.
    let mut local_only = documents.clone();
    let trust = &mut local_only["trust_policy"]["Statement"][0];
    trust["Principal"]["AWS"] = Value::from("arn:aws:iam::123456789012:root");
    paste(&stage, ROLE, &local_only);
    let (ok, said) = run(&mut cloud.tb(&stage, &create(&["--env", "both"])));
    assert!(
        !ok && said.contains("Cloud: ") && said.contains("external ID"),
        "{said}"
    );
    assert_eq!(files(&stage), Vec::<String>::new());

    paste(&stage, ROLE, &documents);
    let (ok, said) = run(&mut cloud.tb(&stage, &create(&[])));
    assert!(!ok && said.contains("--env local, cloud or both"), "{said}");
    let (ok, said) = run(&mut cloud.tb(&stage, &create(&["--env", "both"])));
    assert!(
        ok && said.contains("Local and Cloud can assume the role"),
        "{said}"
    );
    for at in [&["secret", "ls"][..], &["--cloud", "secret", "ls"]] {
        let (ok, said) = run(&mut cloud.tb(&stage, at));
        assert!(
            ok && said.contains("dynamodb_role_arn_my_ddb"),
            "{at:?}: {said}"
        );
    }
    for at in [
        &["build", "--with-connections", "--wait"][..],
        &["--cloud", "deploy", "--wait"],
    ] {
        let (ok, said) = run(&mut cloud.tb(&stage, at));
        assert!(ok, "{at:?}: {said}");
    }
    let (ok, said) = run(&mut cloud.tb(&stage, &["connection", "ls", "--output", "json"]));
    assert!(ok, "{said}");
    let listed: Value = serde_json::from_str(&said).unwrap();
    let expected = serde_json::json!([{
        "name": "my_ddb",
        "type": "dynamodb",
        "region": "us-east-1",
        "role": "secret dynamodb_role_arn_my_ddb",
        "datasources": ["orders"],
        "environments": ["local", "cloud"],
    }]);
    assert_eq!(listed, expected);
}

#[test]
fn without_local_credentials_it_goes_on_with_cloud() {
    let mut stage = stage();
    stage.no_aws = true;
    stage.start();
    let alone = stage.tb(&create(&[])).failure();
    assert!(
        alone.err.contains("no environment can be used"),
        "{}",
        alone.err
    );
    let cloud = Cloud::start(&stage);
    let (_, said) = run(&mut cloud.tb(
        &stage,
        &[
            "connection",
            "policy",
            "my_ddb",
            "--table",
            "orders",
            "--bucket",
            "my-orders-exports",
            "--env",
            "cloud",
            "--output",
            "json",
        ],
    ));
    paste(&stage, ROLE, &serde_json::from_str(&said).unwrap());
    let (ok, said) = run(&mut cloud.tb(&stage, &create(&["--env", "both"])));
    assert!(ok && said.contains("Going on with Cloud only"), "{said}");
    assert!(
        said.contains("Secret dynamodb_role_arn_my_ddb set in Cloud"),
        "{said}"
    );
    let (ok, said) = run(&mut cloud.tb(&stage, &["build"]));
    assert!(
        ok && said.contains("is inactive: the server has no AWS credentials"),
        "{said}"
    );
}

#[test]
fn a_missing_answer_names_its_option() {
    let mut stage = stage();
    stage.start();
    paste(
        &stage,
        ROLE,
        &policies(&stage, &["--table", "*", "--bucket", "*"]),
    );
    let all = create(&[]);
    for (option, named) in [
        ("--name", "--name"),
        ("--bucket", "--bucket"),
        ("--role-arn", "--role-arn"),
        ("--table-arn", "--table-arn"),
    ] {
        let at = all.iter().position(|word| *word == option).unwrap();
        let mut less = all.clone();
        less.drain(at..at + 2);
        let said = stage.tb(&less).failure();
        assert!(
            said.code == Some(2) && said.err.contains(&format!("give {named}")),
            "{}",
            said.err
        );
        // Without a terminal it is the same, even if nobody said --yes.
        less.retain(|word| *word != "--yes");
        assert_eq!(stage.tb(&less).failure().code, Some(2));
    }
    let wrong = stage
        .tb(&["connection", "create", "dynamodb", "--name", "1x"])
        .failure();
    assert!(
        wrong.err.contains("--name: \"1x\" is not a name"),
        "{}",
        wrong.err
    );
    assert_eq!(files(&stage), Vec::<String>::new());
}

#[test]
fn a_second_table_joins_the_policy_and_the_connection_goes_with_its_last_user() {
    let mut stage = stage();
    let users = aws_sim::TableSpec::new("users");
    stage
        .aws
        .handle
        .with(|world| world.create_table(&users).unwrap());
    stage.start();
    paste(
        &stage,
        ROLE,
        &policies(
            &stage,
            &["--table", "orders", "--bucket", "my-orders-exports"],
        ),
    );
    stage.tb(&create(&[])).success();
    let arn = TABLE_ARN.replace("orders", "users");
    let second = [
        "connection",
        "create",
        "dynamodb",
        "--yes",
        "--name",
        "my_ddb",
        "--bucket",
        "my-orders-exports",
        "--table-arn",
        &arn,
    ];
    // The role may not look at the other table yet.
    let said = stage.tb(&second).failure().all();
    assert!(said.contains("tb connection doctor"), "{said}");
    let both = policies(&stage, &["--table", "users"]);
    let resources = both["access_policy"]["Statement"][0]["Resource"].to_string();
    assert!(
        resources.contains("table/orders/stream/*") && resources.contains("table/users/export/*"),
        "{resources}"
    );
    paste(&stage, ROLE, &both);
    stage.tb(&second).success();
    assert_eq!(
        files(&stage),
        [
            "connections/my_ddb.connection",
            "datasources/orders.datasource",
            "datasources/users.datasource"
        ]
    );
    fs::remove_file(stage.project().join("datasources/users.datasource")).unwrap();
    stage
        .tb(&[
            "datasource",
            "create",
            "--dynamodb",
            "--yes",
            "--name",
            "people",
            "--dynamodb-table-arn",
            &arn,
            "--dynamodb-export-bucket",
            "my-orders-exports",
        ])
        .success();

    stage.tb(&["build"]).success();
    let said = stage.tb(&["connection", "rm", "my_ddb", "--yes"]).failure();
    assert!(
        said.code == Some(4) && said.err.contains("orders, people"),
        "{}",
        said.err
    );
    let said = stage
        .tb(&["connection", "rm", "my_ddb", "--with-datasources"])
        .failure();
    assert!(said.err.contains("give --yes"), "{}", said.err);
    stage
        .tb(&["connection", "rm", "my_ddb", "--with-datasources", "--yes"])
        .success();
    assert_eq!(files(&stage), Vec::<String>::new());

    // The tables are on the server still, and go only if that is meant.
    let tables = |stage: &Stage| {
        stage
            .tb(&["datasource", "ls", "--output", "csv"])
            .success()
            .out
    };
    let said = stage.tb(&["build"]).failure();
    assert!(
        said.err.contains("--allow-destructive-operations"),
        "{}",
        said.err
    );
    assert!(tables(&stage).contains("orders"), "{}", tables(&stage));
    stage
        .tb(&["build", "--allow-destructive-operations"])
        .success();
    assert!(!tables(&stage).contains("orders"), "{}", tables(&stage));
}

#[test]
fn the_policies_can_be_run() {
    let mut stage = stage();
    stage.start();
    let print = |format: &'static str| {
        let base = [
            "connection",
            "policy",
            "my_ddb",
            "--table",
            "orders",
            "--bucket",
            "my-orders-exports",
            format,
        ];
        stage.tb(&base).success().out
    };
    let documents = policies(
        &stage,
        &["--table", "orders", "--bucket", "my-orders-exports"],
    );
    let template: Value = serde_json::from_str(&print("--cloudformation")).unwrap();
    let role = &template["Resources"]["DynamirrorRole"]["Properties"];
    assert_eq!(role["AssumeRolePolicyDocument"], documents["trust_policy"]);
    assert_eq!(
        role["Policies"][0]["PolicyDocument"],
        documents["access_policy"]
    );
    // A shell that has another `aws` writes down what it would have been told.
    let bin = stage.folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(
        bin.join("aws"),
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >> \"$TOLD\"\n",
    )
    .unwrap();
    let script = stage.folder.path().join("make-role.sh");
    fs::write(&script, print("--cli")).unwrap();
    let told = stage.folder.path().join("told");
    let status = Command::new("sh")
        .args([
            "-c",
            "chmod +x \"$BIN/aws\" && PATH=\"$BIN:$PATH\" sh \"$SCRIPT\"",
        ])
        .env("BIN", &bin)
        .env("SCRIPT", &script)
        .env("TOLD", &told)
        .status()
        .unwrap();
    assert!(status.success());
    let told = fs::read_to_string(told).unwrap();
    let (_, policy) = told.split_once("--policy-document\n").unwrap();
    let mut read = serde_json::Deserializer::from_str(policy).into_iter::<Value>();
    assert_eq!(read.next().unwrap().unwrap(), documents["access_policy"]);
    let terraform = print("--terraform");
    let heredocs: Vec<&str> = terraform.split("<<POLICY\n").skip(1).collect();
    let read = |text: &str| {
        serde_json::from_str::<Value>(text.split_once("\nPOLICY\n").unwrap().0).unwrap()
    };
    assert_eq!(read(heredocs[0]), documents["trust_policy"]);
    assert_eq!(read(heredocs[1]), documents["access_policy"]);
}
