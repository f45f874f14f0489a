//! `tb sql`: runs a query and prints its rows, or its mistake where it is.

use std::io::Read;
use std::ops::Range;

use reqwest::Method;
use serde_json::Value;

use crate::client::{Answer, Client, QUERY_TIMEOUT};
use crate::diagnostics;
use crate::failure::{Exit, Failure, Outcome};
use crate::printer::{Output, Printer};
use crate::table::Table;
use crate::text;
use crate::workspace::Session;

/// Longer queries travel in a body; servers and proxies cut addresses, bytes.
const MAX_QUERY_IN_URL: usize = 4096;
/// A query is text that somebody wrote, bytes.
const MAX_QUERY_BYTES: u64 = 4 * 1024 * 1024;

/// What is sent for a query, and where the query stands in it.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    sql: String,
    prefix: usize,
    /// The query names its own format: the answer is passed on as it is.
    raw: bool,
    limited: bool,
}

/// Runs `query`, or the text on stdin if it is `-`.
pub(crate) async fn run(
    session: &Session,
    query: &str,
    rows_limit: u64,
    printer: &Printer,
) -> Outcome {
    let query = match query {
        "-" => from_stdin()?,
        query => query.to_owned(),
    };
    let query = query.trim().trim_end_matches(';').trim_end();
    if query.is_empty() {
        return Err(Failure::new(Exit::Usage, "the query is empty").hint("tb sql 'SELECT 1'"));
    }
    let client = session.workspace().await?;
    show(&client, query, rows_limit, "--rows-limit", printer).await
}

/// Runs a query and prints the answer in the printer's format. `limit_flag` is how a user asks for more rows.
pub(crate) async fn show(
    client: &Client,
    query: &str,
    rows_limit: u64,
    limit_flag: &str,
    printer: &Printer,
) -> Outcome {
    let request = request(query, rows_limit, printer.output);
    let answer = send(client, &request.sql)
        .await
        .map_err(|failure| marked(failure, query, &request, printer))?;
    if request.raw || printer.output == Output::Csv || !answer.content_type.contains("json") {
        printer.bytes(&answer.body);
        if !answer.body.is_empty() && !answer.body.ends_with(b"\n") {
            printer.bytes(b"\n");
        }
        return Ok(());
    }
    let value: Value = serde_json::from_slice(&answer.body).map_err(|error| {
        Failure::new(Exit::Server, "the server's answer is cut short").because(&error)
    })?;
    if printer.output == Output::Json {
        printer.json(&value);
        return Ok(());
    }
    let rows = print_rows(&value, printer);
    printer.note(summary(
        &value,
        rows,
        request.limited.then_some((rows_limit, limit_flag)),
    ));
    Ok(())
}

fn from_stdin() -> Outcome<String> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(MAX_QUERY_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| {
            Failure::new(Exit::Failed, "cannot read the query from stdin").because(&error)
        })?;
    if text.len() as u64 > MAX_QUERY_BYTES {
        return Err(
            Failure::new(Exit::Usage, "the query on stdin is larger than 4 MiB")
                .hint("is this the right file?"),
        );
    }
    Ok(text)
}

async fn send(client: &Client, sql: &str) -> Outcome<Answer> {
    let request = if sql.len() > MAX_QUERY_IN_URL {
        client
            .request(Method::POST, "/v0/sql")
            .header("content-type", "text/plain")
            .body(sql.to_owned())
    } else {
        client.request(Method::GET, "/v0/sql").query(&[("q", sql)])
    };
    client.answer(request.timeout(QUERY_TIMEOUT)).await
}

/// SELECTs are limited from outside, so that a LIMIT or an ORDER BY inside keeps its meaning.
fn request(query: &str, rows_limit: u64, output: Output) -> Request {
    if names_format(query) {
        return Request {
            sql: query.to_owned(),
            prefix: 0,
            raw: true,
            limited: false,
        };
    }
    let format = if output == Output::Csv {
        "CSVWithNames"
    } else {
        "JSON"
    };
    let first = first_word(query);
    let selects = matches!(first.as_str(), "select" | "with" | "(");
    let limited = rows_limit > 0 && selects && !names_settings(query);
    if limited {
        const PREFIX: &str = "SELECT * FROM (\n";
        // The line feed ends a comment on the last line.
        let sql = format!("{PREFIX}{query}\n) LIMIT {rows_limit} FORMAT {format}");
        Request {
            sql,
            prefix: PREFIX.len(),
            raw: false,
            limited,
        }
    } else {
        Request {
            sql: format!("{query}\nFORMAT {format}"),
            prefix: 0,
            raw: false,
            limited,
        }
    }
}

/// The first word in lower case, comments left out; an opening parenthesis is a word.
fn first_word(query: &str) -> String {
    let mut rest = query.trim_start();
    loop {
        if let Some(comment) = rest.strip_prefix("--").or_else(|| rest.strip_prefix('#')) {
            rest = comment
                .split_once('\n')
                .map_or("", |(_, rest)| rest)
                .trim_start();
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment
                .split_once("*/")
                .map_or("", |(_, rest)| rest)
                .trim_start();
        } else if rest.starts_with('(') {
            return "(".to_owned();
        } else {
            let word: String = rest
                .chars()
                .take_while(|c| c.is_ascii_alphabetic())
                .collect();
            return word.to_ascii_lowercase();
        }
    }
}

/// Whether the query has `SETTINGS name = value`, which must stay at its end: such a query is not limited.
fn names_settings(query: &str) -> bool {
    let words: Vec<&str> = query.split_whitespace().collect();
    words.windows(3).any(|three| {
        three[0].eq_ignore_ascii_case("settings")
            && (three[1].contains('=') || three[2].starts_with('='))
    }) || words
        .windows(2)
        .last()
        .is_some_and(|two| two[0].eq_ignore_ascii_case("settings") && two[1].contains('='))
}

/// Whether the query ends in `FORMAT Name`.
fn names_format(query: &str) -> bool {
    let mut words = query.split_whitespace().rev();
    let is_name = words
        .next()
        .is_some_and(|word| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    is_name
        && words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("format"))
}

fn print_rows(value: &Value, printer: &Printer) -> u64 {
    let list = |key: &str| {
        value
            .get(key)
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice)
    };
    let text = |value: &Value, key: &str| {
        value
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let columns: Vec<(String, String)> = list("meta")
        .iter()
        .map(|it| (text(it, "name"), text(it, "type")))
        .collect();
    let numbers = columns
        .iter()
        .enumerate()
        .filter(|(_, (_, ty))| is_number(ty))
        .map(|(at, _)| at);
    let mut table =
        Table::new(columns.iter().map(|(name, _)| name.clone())).right(numbers.collect::<Vec<_>>());
    for row in list("data") {
        table.push(
            columns
                .iter()
                .map(|(name, _)| row.get(name).cloned().unwrap_or(Value::Null))
                .collect(),
        );
    }
    if !columns.is_empty() {
        printer.table(&table);
    }
    list("data").len() as u64
}

fn is_number(ty: &str) -> bool {
    let ty = ty.strip_prefix("Nullable(").unwrap_or(ty);
    let ty = ty.strip_prefix("LowCardinality(").unwrap_or(ty);
    ["Int", "UInt", "Float", "Decimal"]
        .iter()
        .any(|prefix| ty.starts_with(prefix))
}

fn summary(value: &Value, rows: u64, limit: Option<(u64, &str)>) -> String {
    let mut out = format!("\n{}", text::plural(rows, "row"));
    let statistics = value.get("statistics");
    if let Some(elapsed) = statistics
        .and_then(|it| it.get("elapsed"))
        .and_then(Value::as_f64)
    {
        out.push_str(&format!(" in {elapsed:.3} s"));
    }
    if let Some(read) = statistics
        .and_then(|it| it.get("rows_read"))
        .and_then(Value::as_u64)
    {
        out.push_str(&format!(", {} read", text::count(read)));
    }
    if let Some((limit, flag)) = limit
        && limit == rows
    {
        out.push_str(&format!("; there may be more, see {flag}"));
    }
    out
}

/// Shows a refused query with a mark under the place that ClickHouse names.
fn marked(failure: Failure, query: &str, request: &Request, printer: &Printer) -> Failure {
    if failure.exit != Exit::Failed {
        return failure;
    }
    let Some(mistake) = mistake(&failure.problem, query, request) else {
        return failure;
    };
    printer.note(diagnostics::marked(
        &mistake.title,
        "query",
        query,
        mistake.span,
        mistake.label,
        printer.err_colour(),
        printer.err_width(),
    ));
    printer.detail(text::printable(&failure.problem));
    Failure {
        problem: String::new(),
        ..failure
    }
}

/// A mistake in a query.
#[derive(Debug, PartialEq, Eq)]
struct Mistake {
    span: Range<usize>,
    title: String,
    label: &'static str,
}

/// Where in the query ClickHouse found the mistake, if it says so and the place can be trusted.
fn mistake(message: &str, query: &str, request: &Request) -> Option<Mistake> {
    if let Some((before, rest)) = message.split_once("failed at position ") {
        // What follows quotes the rest of the query, our own words around it included, and lists everything
        // that may stand there; the mark says it shorter.
        let title = before.trim_end().trim_end_matches(':').to_owned();
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let token = rest[digits.len()..].strip_prefix(" (")?;
        let token = token.split_once(") (line").or(token.split_once(')'))?.0;
        let at = digits.parse::<usize>().ok()?.checked_sub(1)?;
        let after_query = request.limited && at > request.prefix + query.len();
        if token == "end of query" || after_query && token == ")" {
            return Some(Mistake {
                span: query.len()..query.len(),
                title,
                label: "something is missing here",
            });
        }
        // The server may have put something of its own before the query; the token tells.
        let here = at
            .checked_sub(request.prefix)
            .filter(|at| query.get(*at..).is_some_and(|rest| rest.starts_with(token)))
            .map(|at| at..at + token.len());
        return Some(Mistake {
            span: here.or_else(|| only(query, token))?,
            title,
            label: "not expected here",
        });
    }
    let (_, rest) = message.split_once(" identifier ")?;
    let quote = rest.chars().next().filter(|c| matches!(c, '`' | '\''))?;
    let name = rest[1..].split(quote).next()?;
    let title = message.split(" in scope ").next().unwrap_or(message);
    Some(Mistake {
        span: only(query, name)?,
        title: title.to_owned(),
        label: "not known",
    })
}

/// The only place where `word` stands in the query.
fn only(query: &str, word: &str) -> Option<Range<usize>> {
    let mut places = query.match_indices(word);
    let (at, _) = places.next()?;
    (!word.is_empty() && places.next().is_none()).then(|| at..at + word.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_are_limited_and_other_statements_are_not() {
        assert_eq!(
            request("SELECT 1", 5, Output::Human).sql,
            "SELECT * FROM (\nSELECT 1\n) LIMIT 5 FORMAT JSON"
        );
        assert_eq!(
            request("-- x\nwith 1 AS a SELECT a", 5, Output::Csv).sql,
            "SELECT * FROM (\n-- x\nwith 1 AS a SELECT a\n) LIMIT 5 FORMAT CSVWithNames"
        );
        assert_eq!(
            request("SHOW TABLES", 5, Output::Human).sql,
            "SHOW TABLES\nFORMAT JSON"
        );
        assert_eq!(
            request("SELECT 1", 0, Output::Human).sql,
            "SELECT 1\nFORMAT JSON"
        );
        let own = request("SELECT 1 format TSV", 5, Output::Human);
        assert!(own.raw && own.sql == "SELECT 1 format TSV");
        assert!(!request("SELECT 'FORMAT TSV'", 5, Output::Human).raw);
        for settings in [
            "max_threads=1",
            "max_threads = 1",
            "max_threads =1, final = 1",
        ] {
            let query = format!("SELECT 1 settings {settings}");
            let sent = request(&query, 5, Output::Human).sql;
            assert_eq!(sent, format!("{query}\nFORMAT JSON"));
        }
        assert!(request("SELECT settings FROM orders", 5, Output::Human).limited);
    }

    #[test]
    fn the_mark_is_put_where_the_token_is() {
        let query = "SELECT a FROMM orders";
        let request = request(query, 100, Output::Human);
        let span = |message: &str| mistake(message, query, &request).map(|it| it.span);
        let message =
            "Syntax error: failed at position 26 (FROMM) (line 2, col 10): FROMM orders\n) LIMIT";
        let found = mistake(message, query, &request);
        assert_eq!(
            found.map(|it| (it.span, it.title)),
            Some((9..14, "Syntax error".into()))
        );
        let shifted = "Syntax error: failed at position 60 (FROMM) (line 2, col 10): FROMM orders";
        assert_eq!(span(shifted), Some(9..14));
        let elsewhere = "Syntax error: failed at position 60 (LIMIT) (line 2, col 10): LIMIT";
        assert_eq!(span(elsewhere), None);
        let unknown = "Unknown expression identifier `a` in scope";
        assert_eq!(span(unknown), Some(7..8));
    }

    #[test]
    fn a_query_that_ends_too_early_is_marked_at_its_end() {
        let query = "SELECT 1 +";
        let request = request(query, 100, Output::Human);
        for message in [
            "Syntax error: failed at position 28 ()) (line 3, col 1): ) LIMIT 100. Expected one of: NOT",
            "Syntax error: failed at position 26 (end of query): . Expected one of: NOT",
        ] {
            let found = mistake(message, query, &request);
            assert_eq!(found.map(|it| it.span), Some(10..10), "{message}");
        }
    }
}
