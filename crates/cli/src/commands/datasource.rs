//! `tb datasource`: the data sources of the workspace and the mirrors that keep them in step.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::sql;
use crate::client::{Client, segment};
use crate::failure::{Exit, Failure, Outcome};
use crate::mirrors::{self, Backfill, Mirror};
use crate::printer::{Output, Paint, Printer};
use crate::table::Table;
use crate::text;
use crate::workspace::Session;

/// A data source, and its mirror if it has one.
#[derive(Debug)]
struct Entry {
    name: String,
    rows: Option<u64>,
    bytes: Option<u64>,
    mirror: Option<Mirror>,
}

/// `tb datasource ls`.
pub(crate) async fn ls(session: &Session, printer: &Printer) -> Outcome {
    let client = session.workspace().await?;
    let entries = entries(&client).await?;
    if entries.is_empty() && printer.output == Output::Human {
        printer.note("No data sources. Make some with: tb build");
        return Ok(());
    }
    if printer.output == Output::Human {
        printer.table(&short(&entries));
        for entry in &entries {
            remarks(entry, printer);
        }
    } else {
        printer.table(&full(&entries));
    }
    Ok(())
}

/// `tb datasource show`.
pub(crate) async fn show(session: &Session, name: &str, printer: &Printer) -> Outcome {
    let client = session.workspace().await?;
    let answer = existing(&client, name).await?;
    let mirror = mirrors::list(&client)
        .await?
        .into_iter()
        .find(|mirror| mirror.datasource == name);
    let entry = entry(&answer, mirror);
    if printer.output != Output::Human {
        printer.table(&full(&[entry]));
        return Ok(());
    }
    let mut lines = vec![("name", name.to_owned())];
    let text_at = |path: &str| {
        answer
            .pointer(path)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    lines.extend(text_at("/engine/engine").map(|engine| ("engine", engine)));
    lines.extend(
        text_at("/engine/sorting_key")
            .or_else(|| text_at("/engine/engine_sorting_key"))
            .map(|key| ("sorting key", key)),
    );
    lines.extend(entry.rows.map(|rows| ("rows", text::count(rows))));
    lines.extend(entry.bytes.map(|bytes| ("on disk", text::bytes(bytes))));
    if let Some(mirror) = &entry.mirror {
        lines.push(("state", mirror.state.clone()));
        lines.push(("backfill", backfill(mirror)));
        lines.extend(
            mirror
                .backfill
                .export_arn
                .clone()
                .map(|arn| ("export", arn)),
        );
        lines.extend(
            mirror
                .stream_rows
                .map(|rows| ("from stream", text::plural(rows, "row"))),
        );
        lines.extend(mirror.watermark.clone().map(|at| ("complete to", at)));
        lines.extend(mirror.lag_seconds.map(|lag| ("lag", text::duration(lag))));
        lines.extend(
            mirror
                .headroom_seconds
                .map(|left| ("headroom", text::duration(left))),
        );
        let waiting = match mirror.waiting_shards {
            0 => String::new(),
            waiting => format!(", {waiting} waiting"),
        };
        lines.push(("shards", format!("{} read{waiting}", mirror.active_shards)));
        lines.extend(mirror.last_read_at.clone().map(|at| ("last read", at)));
        lines.push(("quarantined", text::count(mirror.quarantined)));
    }
    for (name, value) in lines {
        printer.data(format_args!(
            "{} {}",
            printer.paint(Paint::Bold, format_args!("{name:12}")),
            text::printable(&value)
        ));
    }
    remarks(&entry, printer);
    Ok(())
}

/// `tb datasource data`.
pub(crate) async fn data(session: &Session, name: &str, limit: u64, printer: &Printer) -> Outcome {
    let client = session.workspace().await?;
    let answer = existing(&client, name).await?;
    let engine = answer
        .pointer("/engine/engine")
        .and_then(Value::as_str)
        .unwrap_or_default();
    // Only engines that merge rows take FINAL.
    let last = if engine.contains("Replacing") {
        " FINAL"
    } else {
        ""
    };
    let query = format!(
        "SELECT * FROM `{}`{last}",
        name.replace('\\', "\\\\").replace('`', "\\`")
    );
    sql::show(&client, &query, limit, "--limit", printer).await
}

/// `tb datasource stop`.
pub(crate) async fn stop(session: &Session, name: &str, printer: &Printer) -> Outcome {
    switch(session, name, "stop", printer).await?;
    printer.success(format_args!("{name} is stopped; its rows stay"));
    printer.note("The stream keeps changes for 24 hours. Go on within that time with: tb datasource start NAME".replace("NAME", name));
    Ok(())
}

/// `tb datasource start`.
pub(crate) async fn start(session: &Session, name: &str, printer: &Printer) -> Outcome {
    switch(session, name, "start", printer).await?;
    printer.success(format_args!(
        "{name} goes on; watch it with: tb datasource ls"
    ));
    Ok(())
}

async fn switch(session: &Session, name: &str, verb: &str, printer: &Printer) -> Outcome {
    let client = session.workspace().await?;
    let path = format!("/v0/datasources/{}/{verb}", segment(name));
    let answer = client.answer(client.request(Method::POST, &path)).await;
    if answer.is_err() {
        existing(&client, name).await?;
    }
    answer?;
    if printer.output == Output::Json {
        printer.json(&json!({"datasource": name, "done": verb}));
    }
    Ok(())
}

/// The data source, or a failure that names the one that was probably meant.
pub(super) async fn existing(client: &Client, name: &str) -> Outcome<Value> {
    if let Some(answer) = client
        .find(&format!("/v0/datasources/{}", segment(name)))
        .await?
    {
        return Ok(answer);
    }
    let failure = client.refusal(
        StatusCode::NOT_FOUND,
        format!(
            "{{\"error\": {:?}}}",
            format!("there is no data source {name}")
        )
        .as_bytes(),
    );
    let known: Vec<String> = entries(client)
        .await?
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    let hint = match text::closest(name, known.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "`tb datasource ls` lists them".to_owned(),
    };
    Err(Failure {
        exit: Exit::Failed,
        ..failure
    }
    .hint(hint))
}

async fn entries(client: &Client) -> Outcome<Vec<Entry>> {
    let answer = client.get("/v0/datasources", &[]).await?;
    let mut mirrors = mirrors::list(client).await?;
    let list = answer
        .get("datasources")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    Ok(list
        .map(|value| {
            let name = value
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let mirror = mirrors
                .iter()
                .position(|mirror| mirror.datasource == name)
                .map(|at| mirrors.swap_remove(at));
            entry(value, mirror)
        })
        .collect())
}

fn entry(value: &Value, mirror: Option<Mirror>) -> Entry {
    let statistic = |key: &str| {
        value
            .get("statistics")
            .or(value.get("stats"))
            .and_then(|it| it.get(key))
            .and_then(Value::as_u64)
    };
    Entry {
        name: value
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        rows: statistic("row_count"),
        bytes: statistic("bytes"),
        mirror,
    }
}

/// What fits on a line.
fn short(entries: &[Entry]) -> Table {
    let mut table =
        Table::new(["NAME", "STATE", "ROWS", "LAG", "HEADROOM", "QUARANTINED"]).right([2, 3, 4, 5]);
    for entry in entries {
        let mirror = entry.mirror.as_ref();
        let or_nothing = |text: Option<String>| text.map_or(Value::Null, Value::from);
        table.push(vec![
            entry.name.clone().into(),
            or_nothing(mirror.map(state)),
            or_nothing(entry.rows.map(text::count)),
            or_nothing(mirror.and_then(|it| it.lag_seconds).map(text::duration)),
            or_nothing(
                mirror
                    .and_then(|it| it.headroom_seconds)
                    .map(text::duration),
            ),
            or_nothing(mirror.map(|it| text::count(it.quarantined))),
        ]);
    }
    table
}

fn state(mirror: &Mirror) -> String {
    if mirror.resync.is_some() && matches!(mirror.state.as_str(), "live" | "catching up" | "gap") {
        return "resyncing".to_owned();
    }
    if let (Some(healing), "healing") = (&mirror.healing, mirror.state.as_str()) {
        return format!(
            "healing {}/{}",
            healing.windows_healed, healing.windows_total
        );
    }
    let backfill = &mirror.backfill;
    match (mirror.state.as_str(), backfill.phase.as_str()) {
        ("backfilling", "loading") if backfill.items_total > 0 => {
            format!(
                "loading {} %",
                backfill.items_loaded.min(backfill.items_total) * 100 / backfill.items_total
            )
        }
        ("backfilling", phase) if !phase.is_empty() => phase.to_owned(),
        (state, _) => state.to_owned(),
    }
}

fn backfill(mirror: &Mirror) -> String {
    backfill_text(&mirror.backfill)
}

fn backfill_text(backfill: &Backfill) -> String {
    let mut out = backfill.phase.clone();
    if backfill.files_total > 0 {
        out.push_str(&format!(
            ", {} of {}",
            text::count(backfill.files_loaded),
            text::plural(backfill.files_total, "file")
        ));
    }
    if backfill.items_total > 0 {
        out.push_str(&format!(
            ", {} of {}",
            text::count(backfill.items_loaded),
            text::plural(backfill.items_total, "item")
        ));
    }
    if let Some(left) = backfill.seconds_left {
        out.push_str(&format!(", {} left", text::whole_seconds(left)));
    }
    out
}

/// Everything, for programs.
fn full(entries: &[Entry]) -> Table {
    let mut table = Table::new([
        "name",
        "state",
        "reason",
        "reason_code",
        "stalled",
        "gap",
        "healing",
        "resync",
        "rows",
        "bytes",
        "watermark",
        "lag_seconds",
        "headroom_seconds",
        "last_read_at",
        "quarantined",
        "backfill_phase",
        "backfill_items",
        "backfill_items_total",
        "export_arn",
        "last_error",
        "next_action",
    ]);
    for entry in entries {
        let mirror = entry.mirror.as_ref();
        let of_mirror = |read: &dyn Fn(&Mirror) -> Value| mirror.map_or(Value::Null, read);
        table.push(vec![
            json!(entry.name),
            of_mirror(&|it| json!(it.state)),
            of_mirror(&|it| json!(it.reason)),
            of_mirror(&|it| json!(it.reason_code)),
            of_mirror(&|it| json!(it.stalled)),
            of_mirror(&|it| json!(it.gap)),
            of_mirror(&|it| healing(it).map_or(Value::Null, Value::from)),
            of_mirror(&|it| resync(it).map_or(Value::Null, Value::from)),
            json!(entry.rows),
            json!(entry.bytes),
            of_mirror(&|it| json!(it.watermark)),
            of_mirror(&|it| json!(it.lag_seconds)),
            of_mirror(&|it| json!(it.headroom_seconds)),
            of_mirror(&|it| json!(it.last_read_at)),
            of_mirror(&|it| json!(it.quarantined)),
            of_mirror(&|it| json!(it.backfill.phase)),
            of_mirror(&|it| json!(it.backfill.items_loaded)),
            of_mirror(&|it| json!(it.backfill.items_total)),
            of_mirror(&|it| json!(it.backfill.export_arn)),
            of_mirror(&|it| json!(it.last_error)),
            of_mirror(&|it| json!(it.next_action)),
        ]);
    }
    table
}

fn healing(mirror: &Mirror) -> Option<String> {
    let healing = mirror.healing.as_ref()?;
    Some(format!(
        "{} of {} healed: {}",
        healing.windows_healed,
        text::plural(healing.windows_total, "window"),
        healing.what
    ))
}

fn resync(mirror: &Mirror) -> Option<String> {
    let resync = mirror.resync.as_ref()?;
    let problem = resync.problem.as_ref();
    Some(format!(
        "{} ({}){}",
        backfill_text(&resync.backfill),
        resync.reason,
        problem.map(|text| format!("; {text}")).unwrap_or_default()
    ))
}

/// What does not fit into a column: why, since when, what to do.
fn remarks(entry: &Entry, printer: &Printer) {
    let Some(mirror) = &entry.mirror else { return };
    let healthy = matches!(mirror.state.as_str(), "live" | "backfilling" | "starting");
    let (healing, resync) = (healing(mirror), resync(mirror));
    let mut lines = Vec::new();
    lines.extend(mirror.reason.as_deref().map(|reason| ("why", reason)));
    // In the state itself it is the reason already.
    let stalled = mirror.stalled.as_deref();
    let known = mirror.reason.as_deref().unwrap_or_default();
    lines.extend(
        stalled
            .filter(|text| !known.contains(*text))
            .map(|text| ("stalled", text)),
    );
    lines.extend(healing.as_deref().map(|text| ("healing", text)));
    lines.extend(resync.as_deref().map(|text| ("resync", text)));
    let error = mirror.last_error.as_deref();
    lines.extend(
        error
            .filter(|error| !healthy && mirror.reason.as_deref() != Some(*error))
            .map(|error| ("last error", error)),
    );
    lines.extend(mirror.next_action.as_deref().map(|next| ("next", next)));
    let word = mirror.reason_code.as_ref().unwrap_or(&mirror.state);
    let more = format!("tb explain {}", word.replace(' ', "-"));
    lines.extend((!healthy).then_some(("more", more.as_str())));
    lines.extend(
        mirror
            .warnings
            .iter()
            .map(|warning| ("warning", warning.as_str())),
    );
    if lines.is_empty() {
        return;
    }
    printer.data("");
    let paint = if healthy { Paint::Yellow } else { Paint::Red };
    printer.data(format_args!(
        "{}: {}",
        printer.paint(Paint::Bold, &entry.name),
        printer.paint(paint, &mirror.state)
    ));
    let width = printer.width().unwrap_or(120).saturating_sub(14).max(20);
    for (name, text) in lines {
        let mut wrapped = text::wrap(&text::printable(text), width).into_iter();
        printer.data(format_args!(
            "  {name:10} {}",
            wrapped.next().unwrap_or_default()
        ));
        for line in wrapped {
            printer.data(format_args!("  {:10} {line}", ""));
        }
    }
}
