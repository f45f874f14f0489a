//! `tb open`: the address of the server, in a browser where there is one.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::env_vars;
use crate::failure::Outcome;
use crate::printer::{Output, Printer};
use crate::resolve::Environment;
use crate::workspace::Session;

/// Prints the address. That no browser can be opened is not a failure: the address is what was asked for.
pub(crate) fn run(
    session: &Session,
    no_browser: bool,
    env: &Environment,
    printer: &Printer,
) -> Outcome {
    let address = session.client()?.address();
    let graphical = [env_vars::DISPLAY, env_vars::WAYLAND_DISPLAY]
        .iter()
        .any(|name| env.get(name).is_some());
    let opened = !no_browser && printer.out_is_terminal() && graphical && open(&address);
    if printer.output == Output::Json {
        printer.json(&json!({ "address": address, "opened": opened }));
    } else {
        printer.data(&address);
    }
    Ok(())
}

fn open(address: &str) -> bool {
    let mut command = Command::new("xdg-open");
    command.arg(address);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .is_ok()
}
