//! `tb connection doctor`: which permission of a role is missing, and the statement that gives it.

use serde_json::{Value, json};

use super::checks_of_server::{Reachable, examine};
use super::environments::{Place, Sessions};
use super::names;
use super::policy::pretty;
use super::project_view::ProjectView;
use crate::failure::{Exit, Failure, Outcome};
use crate::printer::{Output, Paint, Printer};
use crate::table::Table;
use crate::text;

/// `tb connection doctor`.
pub(crate) async fn run(
    sessions: &Sessions,
    name: &str,
    table_arn: Option<String>,
    bucket: Option<String>,
    printer: &Printer,
) -> Outcome {
    let view = ProjectView::read(&sessions.local)?;
    let connection = view.known_connection(name)?;
    let region = connection.region.literal().ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            format!("the region of {} is a secret", connection.path),
        )
        .hint("write the region into the file, as DYNAMODB_REGION us-east-1")
    })?;
    let usage = |option: &str, why: String| Failure::new(Exit::Usage, format!("{option}: {why}"));
    if let Some(bucket) = &bucket {
        names::bucket(bucket).map_err(|why| usage("--bucket", why))?;
    }
    let tables = tables(&view, name, table_arn, bucket);
    if tables.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            format!("no data source of this project uses {name}"),
        )
        .hint("name a table: --table-arn arn:aws:dynamodb:us-east-1:123456789012:table/orders"));
    }
    for (table, _) in &tables {
        names::table_arn(table, &region, "*").map_err(|why| usage("--table-arn", why))?;
    }
    let (session, place_name) = match sessions.current()? {
        session @ crate::workspace::Session {
            target: crate::resolve::Target::Cloud { .. },
            ..
        } => (session, "Cloud"),
        session => (session, "Local"),
    };
    let place = Place {
        name: place_name,
        tb: "tb",
        client: session.workspace().await?,
    };
    let role = connection.role_arn.to_string();
    let mut reports = Vec::new();
    for (table_arn, bucket) in &tables {
        let table = Reachable {
            connection: name,
            region: &region,
            role: &role,
            table_arn,
            bucket,
        };
        let report = examine(&place, &table).await?;
        if printer.output != Output::Json {
            tell(&report, &place, printer);
        }
        reports.push(report);
    }
    let well = reports.iter().all(|report| report["ok"] == true);
    if printer.output == Output::Json {
        printer.json(&json!({
            "connection": name,
            "environment": place.name.to_ascii_lowercase(),
            "ok": well,
            "tables": reports,
        }));
    }
    if well {
        return Ok(());
    }
    Err(Failure::told(Exit::Failed))
}

/// The tables to look at, with their buckets.
fn tables(
    view: &ProjectView,
    name: &str,
    table_arn: Option<String>,
    bucket: Option<String>,
) -> Vec<(String, String)> {
    let imports = view
        .users(name)
        .into_iter()
        .filter_map(|d| d.import.as_ref());
    let known: Vec<(String, String)> = imports
        .filter_map(|import| {
            let of_file = import.export_bucket.literal();
            let bucket = bucket.clone().or(of_file).unwrap_or_default();
            Some((import.table_arn.literal()?, bucket))
        })
        .collect();
    let Some(wanted) = table_arn else {
        return known;
    };
    let of_table = known.iter().find(|(arn, _)| *arn == wanted);
    let any = of_table.or(known.first()).map(|(_, bucket)| bucket.clone());
    vec![(wanted, bucket.or(any).unwrap_or_default())]
}

fn tell(report: &Value, place: &Place, printer: &Printer) {
    let text_of = |value: &Value, name: &str| {
        let text = value.get(name).and_then(Value::as_str).unwrap_or_default();
        text::printable(text)
    };
    let list = |name: &str| {
        report
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    printer.note(printer.paint_err(Paint::Bold, text_of(report, "table_arn")));
    if report["role_assumed"] == true {
        printer.success(format_args!(
            "{} can assume {}",
            place.name,
            text_of(report, "role_arn")
        ));
        let mut table = Table::new(["action", "resource", "statement", "outcome"]);
        for permission in list("permissions") {
            let cell = |name: &str| json!(text_of(permission, name));
            let outcome = match (
                text_of(permission, "outcome").as_str(),
                text_of(permission, "statement").as_str(),
            ) {
                ("allowed", _) => printer.paint(Paint::Green, "allowed"),
                ("missing", "aws_guide") => printer.paint(Paint::Yellow, "not allowed"),
                ("missing", _) => printer.paint(Paint::Red, "MISSING"),
                _ => "not tried".to_owned(),
            };
            table.push(vec![
                cell("action"),
                cell("resource"),
                cell("statement"),
                json!(outcome),
            ]);
        }
        printer.table(&table);
    }
    for permission in list("permissions") {
        let (outcome, detail) = (
            text_of(permission, "outcome"),
            text_of(permission, "detail"),
        );
        let (action, resource) = (
            text_of(permission, "action"),
            text_of(permission, "resource"),
        );
        let needed = permission["statement"] != "aws_guide";
        match outcome.as_str() {
            "missing" if needed => printer.error(format_args!(
                "the {} statement of the access policy has to allow {action} on {resource}\n  AWS said: {detail}",
                text_of(permission, "statement"),
            )),
            "not_tried" => printer.note(format_args!("{action} was not tried: {detail}")),
            _ => {}
        }
    }
    for refusal in list("refusals") {
        let message = text_of(refusal, "message");
        if refusal["a_build_does_it"] == true {
            printer.warning(format_args!(
                "{message} A build switches it on if the role may."
            ));
        } else {
            printer.error(message);
        }
    }
    for statement in list("statements_to_add") {
        printer.note("Add this statement to the access policy of the role:");
        printer.note(pretty(statement));
    }
    for statement in list("statements_of_the_guide") {
        printer.note("AWS's guide to exports also asks for this; add it if an export fails with Access Denied:");
        printer.note(pretty(statement));
    }
    if report["ok"] == true {
        printer.success("Nothing is missing");
    }
}
