//! `tb plan` and `tb deploy --check`: what a deployment would change, in a diff, and what new mirrors take on AWS.

use serde::Deserialize;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::build::form;
use super::changes::{self, Changes};
use super::check;
use crate::failure::Outcome;
use crate::printer::{Output, Paint, Printer};
use crate::progress::Progress;
use crate::resolve::Target;
use crate::text;
use crate::workspace::Session;

/// Lines around a change that are shown with it.
const CONTEXT: usize = 3;

/// What the server says lies ahead.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Outlook {
    files: Vec<FileChange>,
    mirrors: Vec<Mirror>,
    prices: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FileChange {
    path: String,
    before: Option<String>,
    after: Option<String>,
}

/// Money is in millionths of a dollar.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Mirror {
    datasource: String,
    table_arn: String,
    reason: String,
    table_bytes: Option<u64>,
    table_items: u64,
    export_micro_dollars: u64,
    pitr_micro_dollars_per_month: u64,
    pitr_is_on: bool,
    shards: u64,
    shards_are_known: bool,
    idle_polling_micro_dollars_per_month: u64,
    busy_polling_micro_dollars_per_month: u64,
    minutes_to_first_row: u64,
    minutes_to_complete: u64,
    permissions_missing: Vec<String>,
}

/// Asks the server, and prints what it says; nothing changes.
pub(crate) async fn run(session: &Session, allow_destructive: bool, printer: &Printer) -> Outcome {
    let project = check::before_upload(session, allow_destructive, printer)?;
    let client = session.workspace().await?;
    let mut query = vec![("check", "true"), ("plan", "true")];
    if allow_destructive {
        query.push(("allow_destructive_operations", "true"));
    }
    if matches!(session.target, Target::Cloud { .. }) {
        query.push(("from", "cli"));
    }
    let progress = Progress::new(printer);
    let mut line = progress.line(printer);
    if printer.err_is_terminal() {
        line.say("Checking the deployment");
    }
    let uploaded = client.upload("/v1/deploy", &query, form(&project)).await;
    line.clear();
    let (status, answer) = uploaded?;
    let Some(result) = answer.get("result").and_then(Value::as_str) else {
        return Err(client.refusal(status, answer.to_string().as_bytes()));
    };
    let deployment = answer.get("deployment").cloned().unwrap_or_default();
    let found = if deployment.is_null() {
        Changes::default()
    } else {
        Changes::read(&deployment)?
    };
    let outlook = answer.get("plan").cloned().unwrap_or_default();
    let outlook: Outlook = match outlook.is_null() {
        true => Outlook::default(),
        false => {
            serde_json::from_value(outlook).map_err(|error| changes::not_understood(&error))?
        }
    };
    match printer.output {
        Output::Json => printer.json(&answer),
        Output::Csv => found.print(&project, printer),
        Output::Human => {
            for file in &outlook.files {
                let (before, after) = (file.before.as_deref(), file.after.as_deref());
                printer.data(diff(&file.path, before, after, printer));
            }
            found.print(&project, printer);
            for mirror in &outlook.mirrors {
                mirror.print(printer);
            }
            if outlook.mirrors.iter().any(|it| it.table_bytes.is_some()) {
                let of = outlook.prices.get("of").and_then(Value::as_str);
                printer.note(format!(
                    "\nEstimates, with the prices of {}, before tax, unless the server's [prices] say others.",
                    of.unwrap_or("AWS")
                ));
            }
        }
    }
    found.print_feedback(printer);
    if !matches!(result, "success" | "no_changes") {
        return Err(changes::refused(&answer, "deployment", &project, printer));
    }
    printer.success("The project can be deployed");
    let lacking = |mirror: &Mirror| !mirror.permissions_missing.is_empty();
    if outlook.mirrors.iter().any(lacking) {
        printer.hint("a mirror whose role lacks permissions stops there; `tb connection doctor NAME` prints the statements to add");
    }
    Ok(())
}

impl Mirror {
    fn print(&self, printer: &Printer) {
        let title = match self.reason.as_str() {
            "new" => format!("{}: a new mirror", self.datasource),
            reason => format!("{}: filled again, because {reason}", self.datasource),
        };
        printer.data(format_args!(
            "\n{}",
            printer.paint(Paint::Bold, text::printable(&title))
        ));
        let mut lines = vec![("table", self.table_arn.clone())];
        if let Some(bytes) = self.table_bytes {
            lines.extend(self.estimate(bytes));
        } else {
            lines.push((
                "size",
                "unknown: the table could not be looked at".to_owned(),
            ));
        }
        for missing in &self.permissions_missing {
            lines.push(("missing", missing.clone()));
        }
        let width = printer.width().unwrap_or(120).saturating_sub(16).max(20);
        for (name, value) in lines {
            let mut wrapped = text::wrap(&text::printable(&value), width).into_iter();
            printer.data(format_args!(
                "  {name:12} {}",
                wrapped.next().unwrap_or_default()
            ));
            for line in wrapped {
                printer.data(format_args!("  {:12} {line}", ""));
            }
        }
    }

    fn estimate(&self, bytes: u64) -> Vec<(&'static str, String)> {
        let pitr = dollars(self.pitr_micro_dollars_per_month);
        let paid = if self.pitr_is_on {
            "which is on already"
        } else {
            "which is switched on"
        };
        let shards = text::plural(self.shards, "shard");
        let guessed = if self.shards_are_known {
            ""
        } else {
            ", a guess"
        };
        vec![
            (
                "size",
                format!(
                    "{}, {}",
                    text::bytes(bytes),
                    text::plural(self.table_items, "item")
                ),
            ),
            (
                "export",
                format!("{} once", dollars(self.export_micro_dollars)),
            ),
            (
                "recovery",
                format!("{pitr} a month for point-in-time recovery, {paid}"),
            ),
            (
                "polling",
                format!(
                    "{} a month if nobody writes, {} if every shard is always busy ({shards}{guessed})",
                    dollars(self.idle_polling_micro_dollars_per_month),
                    dollars(self.busy_polling_micro_dollars_per_month),
                ),
            ),
            (
                "first row",
                format!("after about {} min", self.minutes_to_first_row),
            ),
            (
                "complete",
                format!("after about {} min", self.minutes_to_complete),
            ),
        ]
    }
}

/// `$1,234.56`; less than half a cent but something is `< $0.01`.
fn dollars(micro: u64) -> String {
    if micro > 0 && micro < 5_000 {
        return "< $0.01".to_owned();
    }
    let cents = micro.saturating_add(5_000) / 10_000;
    format!("${}.{:02}", text::count(cents / 100), cents % 100)
}

/// A unified diff, in colour where stdout takes it.
pub(crate) fn diff(
    path: &str,
    before: Option<&str>,
    after: Option<&str>,
    printer: &Printer,
) -> String {
    let changes = TextDiff::from_lines(before.unwrap_or_default(), after.unwrap_or_default());
    let side = |known: Option<&str>, letter: &str| match known {
        Some(_) => format!("{letter}/{path}"),
        None => "/dev/null".to_owned(),
    };
    let mut out = printer.paint(
        Paint::Bold,
        text::printable(&format!(
            "--- {}\n+++ {}",
            side(before, "a"),
            side(after, "b")
        )),
    );
    for hunk in changes.unified_diff().context_radius(CONTEXT).iter_hunks() {
        out.push_str(&format!("\n{}", printer.paint(Paint::Cyan, hunk.header())));
        for change in hunk.iter_changes() {
            let line = change.value().trim_end_matches(['\n', '\r']);
            let line = text::printable(&format!("{}{line}", change.tag()));
            let line = match change.tag() {
                ChangeTag::Delete => printer.paint(Paint::Red, line),
                ChangeTag::Insert => printer.paint(Paint::Green, line),
                ChangeTag::Equal => line,
            };
            out.push('\n');
            out.push_str(&line);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_rounded_to_cents_and_never_to_nothing() {
        for (micro, text) in [
            (0, "$0.00"),
            (1, "< $0.01"),
            (4_999, "< $0.01"),
            (5_000, "$0.01"),
            (14_999, "$0.01"),
            (15_000, "$0.02"),
            (940_000, "$0.94"),
            (999_996, "$1.00"),
            (10_000_000, "$10.00"),
            (1_234_567_890_000, "$1,234,567.89"),
        ] {
            assert_eq!(dollars(micro), text, "{micro}");
        }
    }

    #[test]
    fn a_diff_names_the_side_that_is_not_there() {
        let printer = Printer::new(Output::Human, false, false);
        assert_eq!(
            diff("a.pipe", None, Some("x\n"), &printer),
            "--- /dev/null\n+++ b/a.pipe\n@@ -0,0 +1 @@\n+x"
        );
        assert_eq!(
            diff("a.pipe", Some("x\ny\n"), Some("x\nz\n"), &printer),
            "--- a/a.pipe\n+++ b/a.pipe\n@@ -1,2 +1,2 @@\n x\n-y\n+z"
        );
    }
}
