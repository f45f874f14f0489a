//! `tb login` and `tb logout`: the server and the token of a project, kept in `.tinyb`.

use reqwest::Url;
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::failure::{Exit, Failure, Outcome};
use crate::files;
use crate::interview::{Interview, Question};
use crate::printer::{Output, Printer};
use crate::prompt;
use crate::resolve::{self, Environment, Secret, TargetFlags};

/// What `tb logout` takes out of `.tinyb`; the rest is not about who somebody is.
const OF_A_LOGIN: [&str; 9] = [
    "host",
    "token",
    "tokens",
    "user_token",
    "id",
    "user_id",
    "user_email",
    "scope",
    "version",
];

/// `tb login`: asks for what is not given, tries it, and only then writes it down.
pub(crate) async fn login(
    folder: &std::path::Path,
    flags: &TargetFlags,
    env: &Environment,
    printer: &Printer,
) -> Outcome {
    let mut file = files::tinyb_object(folder)?;
    let url = match resolve::cloud_url(flags, env, &files::tinyb_file(folder)) {
        // A host that was remembered is only a suggestion: somebody may log in to another one.
        Ok(Some(url)) if flags.host.is_some() => url,
        known => asked_host(known?.as_ref(), printer)?,
    };
    let token = match resolve::cloud_token(flags, env) {
        Some(token) => token,
        None => prompt::secret(&format!("Token for {}", url.authority()))?,
    };
    let client = Client::new(url.clone(), false)?.with_token(token.clone());
    let workspace = client.get("/v1/workspace", &[]).await.map_err(|failure| {
        if failure.exit == Exit::Refused {
            return failure.hint("copy the token from `tb token ls --show-tokens` of somebody who is logged in; nothing was written");
        }
        failure
    })?;
    let administers = client.get("/v0/variables", &[]).await.is_ok();
    remember(&mut file, &url, &token, &workspace);
    let path = files::write_tinyb(folder, &file)?;
    let name = workspace
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if printer.output == Output::Json {
        printer.json(&json!({
            "server": client.address(), "workspace": name, "id": workspace.get("id"), "file": path,
        }));
    }
    printer.success(format_args!(
        "Logged in to workspace {name} at {}",
        client.address()
    ));
    if !administers {
        printer.warning("this token may not deploy; for that, use one with the scope ADMIN");
    }
    if !files::is_ignored_by_git(folder, ".tinyb") {
        printer.warning(".tinyb holds the token and git would take it: add it to .gitignore");
    }
    printer.note("Use it with --cloud, as in: tb --cloud deploy");
    Ok(())
}

/// `tb logout`.
pub(crate) fn logout(folder: &std::path::Path, printer: &Printer) -> Outcome {
    let mut file = files::tinyb_object(folder)?;
    let known = file.contains_key("token") || file.contains_key("tokens");
    for key in OF_A_LOGIN {
        file.remove(key);
    }
    if file.is_empty() {
        files::remove_tinyb(folder)?;
    } else {
        files::write_tinyb(folder, &file)?;
    }
    if printer.output == Output::Json {
        printer.json(&json!({ "logged_out": known }));
    }
    if known {
        printer.success("Logged out; the token itself still works, `tb token rm` ends that");
    } else {
        printer.note("Nobody was logged in here.");
    }
    Ok(())
}

fn asked_host(known: Option<&Url>, printer: &Printer) -> Outcome<Url> {
    let question = Question {
        prompt: "Address of the server",
        option: "--host",
        default: known.map(|url| url.as_str().trim_end_matches('/').to_owned()),
    };
    Interview::new(false, printer).answer(&question, None, |answer| {
        resolve::server_url(answer).map_err(|failure| failure.problem)
    })
}

/// The keys that the official client writes, but for `name`: it decides which Local workspace a project has, and a login
/// must not make the one in use disappear. What else is in the file stays.
fn remember(file: &mut Map<String, Value>, url: &Url, token: &Secret, workspace: &Value) {
    let host = url.as_str().trim_end_matches('/');
    file.insert("host".to_owned(), json!(host));
    file.insert("token".to_owned(), json!(token.expose()));
    let tokens = file.entry("tokens").or_insert_with(|| json!({}));
    if !tokens.is_object() {
        *tokens = json!({});
    }
    tokens[host] = json!(token.expose());
    // They belong to the login before this one.
    file.remove("user_token");
    for key in ["id", "user_id", "user_email", "scope"] {
        match workspace.get(key) {
            Some(value) if !value.is_null() => file.insert(key.to_owned(), value.clone()),
            _ => file.remove(key),
        };
    }
    file.entry("version")
        .or_insert_with(|| json!(env!("CARGO_PKG_VERSION")));
}

/// Refuses a host that is not one before anybody is asked for a token.
pub(crate) fn checked(flags: &TargetFlags) -> Outcome {
    if flags.cloud || flags.local || flags.branch.is_some() {
        return Err(Failure::new(
            Exit::Usage,
            "tb login is about a server that teams share: leave --cloud, --local and --branch away",
        ));
    }
    flags
        .host
        .as_deref()
        .map_or(Ok(()), |host| resolve::server_url(host).map(drop))
}
