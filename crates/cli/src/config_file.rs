//! `server.toml`: the settings of a server, as somebody wrote them.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::diagnostics;
use crate::failure::{Exit, Failure, Outcome};
use crate::printer::Printer;
use crate::resolve::Secret;
use crate::text;

/// The whole file. Every key is optional; a key that is not here is an error.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConfigFile {
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) state_dir: Option<std::path::PathBuf>,
    pub(crate) clickhouse: ClickHouseSection,
    pub(crate) engine: EngineSection,
    pub(crate) limits: LimitsSection,
    pub(crate) poll: PollSection,
    pub(crate) prices: PricesSection,
    pub(crate) log: LogSection,
}

/// `[clickhouse]`: a server of its own instead of the embedded engine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClickHouseSection {
    pub(crate) url: Option<RedactedText>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<RedactedText>,
}

/// `[engine]`: the embedded engine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EngineSection {
    pub(crate) max_memory_mb: Option<u64>,
}

/// `[limits]`; 0 lifts the two limits on tables.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitsSection {
    pub(crate) max_table_gb: Option<u64>,
    pub(crate) max_write_capacity_units: Option<u64>,
    pub(crate) query_seconds: Option<u64>,
    pub(crate) query_memory_mb: Option<u64>,
    pub(crate) query_result_mb: Option<u64>,
}

/// `[poll]`, milliseconds, but for calls and files.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PollSection {
    pub(crate) export_ms: Option<u64>,
    pub(crate) discovery_ms: Option<u64>,
    pub(crate) stream_min_ms: Option<u64>,
    pub(crate) stream_idle_max_ms: Option<u64>,
    pub(crate) stream_idle_calls_per_hour: Option<u64>,
    pub(crate) retry_max_ms: Option<u64>,
    pub(crate) export_retry_ms: Option<u64>,
    pub(crate) load_parallelism: Option<u16>,
}

/// `[prices]`: what AWS asks for, dollars, for the estimates of `tb plan`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PricesSection {
    pub(crate) export_per_gb: Option<f64>,
    pub(crate) pitr_per_gb_month: Option<f64>,
    pub(crate) stream_reads_per_million: Option<f64>,
    pub(crate) stream_reads_free_per_month: Option<u64>,
}

/// `[log]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogSection {
    pub(crate) format: LogFormat,
    pub(crate) level: LogLevel,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// What is logged.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// Text that may hold a password.
#[derive(Clone, Deserialize)]
pub(crate) struct RedactedText(String);

impl RedactedText {
    pub(crate) fn secret(self) -> Secret {
        Secret::new(self.0)
    }
}

impl std::fmt::Debug for RedactedText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<redacted>")
    }
}

/// Reads the file; a mistake is shown where it is.
pub(crate) fn read(path: &Path, printer: &Printer) -> Outcome<ConfigFile> {
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::new(Exit::Usage, format!("cannot read {}", path.display())).because(&error)
    })?;
    parse(&text).map_err(|mistake| {
        let shown = path.display().to_string();
        // The line may hold a password, so only lines that cannot are shown.
        match mistake.span.filter(|span| !holds_secret(&text, span.start)) {
            Some(span) => printer.note(diagnostics::marked(
                &mistake.message,
                &shown,
                &text,
                span,
                "",
                printer.err_colour(),
                printer.err_width(),
            )),
            None => printer.error(format_args!("{shown}: {}", mistake.message)),
        }
        let failure = Failure::told(Exit::Usage);
        failure.hint(
            mistake
                .hint
                .unwrap_or_else(|| "`tb server --help` lists every key".to_owned()),
        )
    })
}

/// What is wrong with the file.
#[derive(Debug)]
struct Mistake {
    message: String,
    span: Option<std::ops::Range<usize>>,
    hint: Option<String>,
}

fn parse(text: &str) -> Result<ConfigFile, Mistake> {
    toml::from_str(text).map_err(|error| {
        let message = error.message().to_owned();
        Mistake {
            hint: suggestion(&message),
            // The texts of the library quote values; a password may be one.
            message: message.lines().next().unwrap_or_default().to_owned(),
            span: error.span(),
        }
    })
}

fn holds_secret(text: &str, at: usize) -> bool {
    let start = text[..at.min(text.len())]
        .rfind('\n')
        .map_or(0, |at| at + 1);
    let line = text[start..]
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start();
    line.starts_with("password") || line.contains('@')
}

/// From "unknown field `prot`, expected one of `host`, `port`" to "did you mean port?".
fn suggestion(message: &str) -> Option<String> {
    let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (written, known) = words.split_first()?;
    if !message.starts_with("unknown ") {
        return None;
    }
    text::closest(written, known.iter().copied()).map(|meant| format!("did you mean {meant}?"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn every_key_of_the_help_is_read() {
        let help = "host = \"0.0.0.0\"\nport = 1\nstate_dir = \"/s\"\n[clickhouse]\nurl = \"http://c\"\nuser = \"u\"\npassword = \"p\"\n\
            [engine]\nmax_memory_mb = 1\n[limits]\nmax_table_gb = 0\nmax_write_capacity_units = 0\nquery_seconds = 1\nquery_memory_mb = 1\nquery_result_mb = 1\n\
            [poll]\nexport_ms = 1\ndiscovery_ms = 1\nstream_min_ms = 1\nstream_idle_max_ms = 1\nstream_idle_calls_per_hour = 1\nretry_max_ms = 1\nexport_retry_ms = 1\nload_parallelism = 1\n[log]\nformat = \"json\"\nlevel = \"debug\"\n";
        let config = parse(help).unwrap();
        assert_eq!(config.limits.max_table_gb, Some(0));
        assert_eq!(config.log.format, LogFormat::Json);
        assert!(!format!("{config:?}").contains("\"p\""));
        assert!(parse("").is_ok());
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
        let mistake = parse("prot = 1").unwrap_err();
        assert!(
            mistake.message.starts_with("unknown field `prot`"),
            "{mistake:?}"
        );
        assert_eq!(mistake.hint.as_deref(), Some("did you mean port?"));
        assert_eq!(mistake.span, Some(0..4));
        assert_eq!(
            parse("[limits]\nmax_tabel_gb = 1")
                .unwrap_err()
                .hint
                .as_deref(),
            Some("did you mean max_table_gb?")
        );
        assert_eq!(parse("[log]\nlevel = \"loud\"").unwrap_err().hint, None);
        assert_eq!(parse("port = \"x\"").unwrap_err().hint, None);
    }

    #[test]
    fn lines_with_a_password_are_not_shown() {
        let text = "[clickhouse]\npassword = 5\nurl = \"http://u:p@h\"\nuser = 1\n";
        assert!(holds_secret(text, text.find('5').unwrap()));
        assert!(holds_secret(text, text.find("http").unwrap()));
        assert!(!holds_secret(text, text.find('1').unwrap()));
    }
}
