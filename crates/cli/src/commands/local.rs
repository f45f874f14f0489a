//! `tb local`: the server on this machine, in the background.

use std::time::Duration;

use serde_json::{Value, json};

use self::process::{Running, client, end, ready, running, spawn};
use crate::client::Client;
use crate::failure::{Exit, Failure, Outcome};
use crate::local_state::LocalState;
use crate::printer::{Output, Printer};
use crate::prompt;
use crate::resolve::{self, Environment, LOCAL_PORT};
use crate::text;

mod process;

/// Between two looks at a log that is followed.
const FOLLOW: Duration = Duration::from_millis(250);
/// How to start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) use_aws_creds: bool,
    pub(crate) port: u16,
}

impl Options {
    /// The flags, completed from the environment.
    pub(crate) fn resolve(
        use_aws_creds: bool,
        port: Option<u16>,
        env: &Environment,
    ) -> Outcome<Self> {
        let port = resolve::local_port(port, env)?.unwrap_or(LOCAL_PORT);
        Ok(Self {
            use_aws_creds,
            port,
        })
    }
}

/// `tb local start`.
pub(crate) async fn start(options: &Options, env: &Environment, printer: &Printer) -> Outcome {
    let state = LocalState::new(resolve::local_state(env)?);
    if let Some(running) = running(&state).await? {
        let client = ready(&state, running.pid, None, 0, printer).await?;
        printer.success(format_args!(
            "The Local server runs already at {} (process {})",
            client.address(),
            running.pid
        ));
        if options.use_aws_creds {
            printer.hint(
                "to give it the AWS credentials of this shell: tb local restart --use-aws-creds",
            );
        }
        return report(&client, &state, running.pid, None, printer).await;
    }
    let log_start = state.log_len();
    let mut child = spawn(options, env, &state)?;
    let pid = child.id();
    let client = ready(&state, pid, Some(&mut child), log_start, printer).await?;
    printer.success(format_args!(
        "The Local server is ready at {}",
        client.address()
    ));
    report(&client, &state, pid, Some(options), printer).await
}

/// `tb local stop`.
pub(crate) async fn stop(env: &Environment, printer: &Printer) -> Outcome {
    let state = LocalState::new(resolve::local_state(env)?);
    let ran = end(&state, printer).await?;
    if printer.output == Output::Json {
        printer.json(&json!({ "status": "stopped", "ran": ran }));
    }
    if ran {
        printer.success("The Local server is stopped");
    } else {
        printer.note("The Local server does not run.");
    }
    Ok(())
}

/// `tb local restart`.
pub(crate) async fn restart(options: &Options, env: &Environment, printer: &Printer) -> Outcome {
    end(&LocalState::new(resolve::local_state(env)?), printer).await?;
    start(options, env, printer).await
}

/// `tb local status`.
pub(crate) async fn status(env: &Environment, printer: &Printer) -> Outcome {
    let state = LocalState::new(resolve::local_state(env)?);
    let running = running(&state).await?;
    let client = match &running {
        Some(Running {
            file: Some(file), ..
        }) => Some(client(file)?),
        _ => None,
    };
    let health = match &client {
        Some(client) => client
            .get("/v0/health", &[])
            .await
            .map_err(|failure| failure.causes.join(": ")),
        None => Err("it does not listen yet".to_owned()),
    };
    let word = match (&running, &health) {
        (None, _) => "stopped",
        (Some(_), Ok(_)) => "running",
        (Some(_), Err(_)) => "not answering",
    };
    let pid = running.as_ref().map(|running| running.pid);
    let address = client.as_ref().map(Client::address);
    let version = health
        .as_ref()
        .ok()
        .and_then(|health| health.get("version"))
        .and_then(Value::as_str);
    if printer.output == Output::Json {
        printer.json(&json!({
            "status": word, "address": address, "pid": pid, "version": version,
            "state": state.path(), "log": state.log_path(),
        }));
    } else {
        let mut lines = vec![("status", word.to_owned())];
        lines.extend(address.map(|address| ("address", address)));
        lines.extend(pid.map(|pid| ("process", pid.to_string())));
        lines.extend(version.map(|version| ("version", version.to_owned())));
        lines.push(("state", state.path().display().to_string()));
        lines.push(("log", state.log_path().display().to_string()));
        for (name, value) in lines {
            printer.data(format_args!("{name:8} {value}"));
        }
    }
    match (running, health) {
        (None, _) => Err(Failure::told(Exit::Unreachable).hint("start it with: tb local start")),
        (Some(_), Err(cause)) => {
            printer.detail(cause);
            Err(Failure::told(Exit::Unreachable).hint("see what it is doing: tb local logs"))
        }
        (Some(_), Ok(_)) => Ok(()),
    }
}

/// `tb local remove`.
pub(crate) async fn remove(yes: bool, env: &Environment, printer: &Printer) -> Outcome {
    let state = LocalState::new(resolve::local_state(env)?);
    if !state.exists() {
        printer.note(format_args!(
            "There is nothing to remove in {}",
            state.path().display()
        ));
        return Ok(());
    }
    if !yes {
        let question = format!(
            "Delete the Local server's tables, secrets and progress in {}?",
            state.path().display()
        );
        prompt::confirm(&question, "--yes")?;
    }
    end(&state, printer).await?;
    let left = state.remove().map_err(|error| {
        Failure::new(
            Exit::Server,
            format!("cannot remove {}", state.path().display()),
        )
        .because(&error)
    })?;
    if printer.output == Output::Json {
        printer.json(&json!({ "removed": state.path(), "left": left }));
    }
    printer.success(format_args!(
        "Removed the Local server's data in {}",
        state.path().display()
    ));
    if !left.is_empty() {
        printer.note(format_args!(
            "Other files are left there: {}",
            left.join(", ")
        ));
    }
    Ok(())
}

/// `tb local logs`.
pub(crate) async fn logs(
    lines: usize,
    follow: bool,
    env: &Environment,
    printer: &Printer,
) -> Outcome {
    let state = LocalState::new(resolve::local_state(env)?);
    let unreadable = |error: std::io::Error| {
        let failure = Failure::new(
            Exit::Failed,
            format!("cannot read {}", state.log_path().display()),
        )
        .because(&error);
        if error.kind() == std::io::ErrorKind::NotFound {
            failure.hint("start the server with: tb local start")
        } else {
            failure
        }
    };
    let (tail, mut end) = state.log_tail(0, lines).map_err(unreadable)?;
    for line in tail {
        printer.data(text::printable(&line));
    }
    if !follow {
        return Ok(());
    }
    loop {
        tokio::time::sleep(FOLLOW).await;
        if state.log_len() < end {
            // A new log was begun.
            end = 0;
        }
        let (more, whole_lines_end) = state.log_since(end).map_err(unreadable)?;
        for line in more {
            printer.data(text::printable(&line));
        }
        end = whole_lines_end;
    }
}

/// `tb local version`.
pub(crate) async fn version(env: &Environment, printer: &Printer) -> Outcome {
    let state = LocalState::new(resolve::local_state(env)?);
    let ours = env!("CARGO_PKG_VERSION");
    let server = match running(&state).await? {
        Some(Running {
            file: Some(file), ..
        }) => match client(&file)?.get("/v0/health", &[]).await {
            Ok(health) => health
                .get("version")
                .and_then(Value::as_str)
                .map(str::to_owned)
                .or(file.version),
            Err(_) => file.version,
        },
        _ => None,
    };
    if printer.output == Output::Json {
        printer.json(&json!({"tb": ours, "server": server}));
        return Ok(());
    }
    printer.data(format_args!("tb      {ours}"));
    printer.data(format_args!(
        "server  {}",
        server.as_deref().unwrap_or("not running")
    ));
    if server.is_some_and(|server| server != ours) {
        printer.hint("the server is of another version; tb local restart runs this one");
    }
    Ok(())
}

/// Says who the server is for AWS, and for programs where it is.
async fn report(
    client: &Client,
    state: &LocalState,
    pid: u32,
    started: Option<&Options>,
    printer: &Printer,
) -> Outcome {
    let identity = identity(client).await;
    match (started, &identity) {
        (_, Ok(account)) => printer.note(format_args!("AWS: account {account}")),
        (
            Some(Options {
                use_aws_creds: true,
                ..
            }),
            Err(failure),
        ) => {
            printer.warning(
                "no usable AWS credentials; DynamoDB data sources cannot be mirrored here",
            );
            printer.note(format_args!("  {}", failure.problem));
        }
        (Some(_), Err(_)) => {
            printer.note("AWS: no credentials. To mirror tables: tb local restart --use-aws-creds")
        }
        (None, Err(_)) => {}
    }
    if printer.output == Output::Json {
        printer.json(&json!({"address": client.address(), "pid": pid, "state": state.path(), "aws_account": identity.ok()}));
    }
    Ok(())
}

/// The account that the server's own credentials belong to.
async fn identity(client: &Client) -> Outcome<String> {
    let tokens = client.get("/tokens", &[]).await?;
    let token = tokens
        .get("workspace_admin_token")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let settings = client
        .with_token(resolve::Secret::new(token))
        .get("/v0/integrations/s3/settings", &[])
        .await?;
    Ok(settings
        .get("account")
        .and_then(Value::as_str)
        .unwrap_or("unknown")
        .to_owned())
}
