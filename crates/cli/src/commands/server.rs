//! `tb server`: the server in the foreground.

use std::net::IpAddr;
use std::path::PathBuf;

use reqwest::Url;

use crate::allocator;
use crate::assemble;
use crate::config_file::{self, ConfigFile, LogFormat, LogLevel, PollSection, PricesSection};
use crate::env_vars;
use crate::failure::{Exit, Failure, Outcome};
use crate::printer::Printer;
use crate::resolve::{self, Environment, LOCAL_PORT, Secret};

/// The flags.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) config: Option<PathBuf>,
    pub(crate) local: bool,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    /// Do not look for AWS credentials.
    pub(crate) no_aws: bool,
    /// Leave the terminal's session first.
    pub(crate) detached: bool,
}

/// A server as flags, environment and file together describe it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) local: bool,
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
    pub(crate) state_dir: PathBuf,
    /// Whether AWS credentials may be looked for.
    pub(crate) aws: bool,
    /// `None` is the embedded engine.
    pub(crate) clickhouse: Option<External>,
    /// Memory of the embedded engine, bytes; `None` for half of the machine's.
    pub(crate) engine_memory_bytes: Option<u64>,
    /// `None` lifts the limit.
    pub(crate) max_table_bytes: Limit,
    /// `None` lifts the limit.
    pub(crate) max_write_capacity_units: Limit,
    pub(crate) query_seconds: u64,
    pub(crate) query_memory_bytes: u64,
    pub(crate) query_result_bytes: u64,
    pub(crate) poll: PollSection,
    pub(crate) prices: PlannedPrices,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: LogLevel,
}

/// Prices in millionths of a dollar; `None` leaves what the server knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PlannedPrices {
    pub(crate) export_per_gb: Option<u64>,
    pub(crate) pitr_per_gb_month: Option<u64>,
    pub(crate) stream_reads_per_million: Option<u64>,
    pub(crate) stream_reads_free_per_month: Option<u64>,
}

/// A limit that a settings file may leave alone, change or lift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Default,
    At(u64),
    Lifted,
}

/// A ClickHouse server that somebody else runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct External {
    /// Without user and password.
    pub(crate) url: Url,
    pub(crate) user: String,
    pub(crate) password: Secret,
}

/// Runs the server until SIGTERM or SIGINT.
pub(crate) fn run(flags: Flags, env: &Environment, printer: &Printer) -> Outcome {
    allocator::settle();
    if flags.detached {
        // Fails only for the leader of a session, which is as far from the terminal as it gets.
        let _ = rustix::process::setsid();
    }
    let file = match &flags.config {
        Some(path) => config_file::read(path, printer)?,
        None => ConfigFile::default(),
    };
    assemble::serve(&plan(flags, env, file)?)
}

/// Flag, then environment, then file, then default.
fn plan(flags: Flags, env: &Environment, file: ConfigFile) -> Outcome<Plan> {
    let host_text = flags
        .host
        .or(file.host)
        .unwrap_or_else(|| "127.0.0.1".to_owned());
    let host: IpAddr = match host_text.as_str() {
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        text => text.trim_matches(['[', ']']).parse().map_err(|_| {
            Failure::new(
                Exit::Usage,
                format!("{text:?} is not an address to listen on"),
            )
            .hint("use 127.0.0.1, 0.0.0.0, ::1 or another IP address of this machine")
        })?,
    };
    if flags.local && !host.is_loopback() {
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "a Local server cannot listen on {host}: it hands its tokens to whoever reaches it"
            ),
        )
        .hint("leave --local away for a server that others use"));
    }
    let default_state = || {
        if flags.local {
            resolve::local_state(env)
        } else {
            resolve::server_state(env)
        }
    };
    let state_dir = flags
        .state_dir
        .or(file.state_dir)
        .map_or_else(default_state, Ok)?;
    let limit = |value: Option<u64>, unit: u64| match value {
        None => Limit::Default,
        Some(0) => Limit::Lifted,
        Some(value) => Limit::At(value.saturating_mul(unit)),
    };
    let megabytes = |value: u64| value.saturating_mul(1024 * 1024);
    Ok(Plan {
        local: flags.local,
        host,
        port: flags.port.or(file.port).unwrap_or(LOCAL_PORT),
        state_dir: resolve::absolute(&state_dir),
        aws: !flags.no_aws,
        clickhouse: external(
            env,
            file.clickhouse.url.map(config_file::RedactedText::secret),
            file.clickhouse.user,
            file.clickhouse
                .password
                .map(config_file::RedactedText::secret),
        )?,
        engine_memory_bytes: file.engine.max_memory_mb.map(megabytes),
        max_table_bytes: limit(file.limits.max_table_gb, 1_000_000_000),
        max_write_capacity_units: limit(file.limits.max_write_capacity_units, 1),
        query_seconds: file.limits.query_seconds.unwrap_or(10),
        query_memory_bytes: megabytes(file.limits.query_memory_mb.unwrap_or(2048)),
        query_result_bytes: megabytes(file.limits.query_result_mb.unwrap_or(100)),
        poll: file.poll,
        prices: prices(&file.prices)?,
        log_format: file.log.format,
        log_level: file.log.level,
    })
}

/// Dollars as somebody wrote them, to millionths of a dollar.
fn prices(section: &PricesSection) -> Outcome<PlannedPrices> {
    let micro = |key: &str, dollars: Option<f64>| match dollars {
        None => Ok(None),
        Some(dollars) if (0.0..=1_000_000.0).contains(&dollars) => {
            Ok(Some((dollars * 1_000_000.0).round() as u64))
        }
        Some(dollars) => Err(Failure::new(
            Exit::Usage,
            format!("{key} in [prices] is {dollars}, which is not a price"),
        )
        .hint("write dollars, as 0.10")),
    };
    Ok(PlannedPrices {
        export_per_gb: micro("export_per_gb", section.export_per_gb)?,
        pitr_per_gb_month: micro("pitr_per_gb_month", section.pitr_per_gb_month)?,
        stream_reads_per_million: micro(
            "stream_reads_per_million",
            section.stream_reads_per_million,
        )?,
        stream_reads_free_per_month: section.stream_reads_free_per_month,
    })
}

/// The external ClickHouse, if one is named. Variables beat the file, and both beat what the URL holds.
fn external(
    env: &Environment,
    url: Option<Secret>,
    user: Option<String>,
    password: Option<Secret>,
) -> Outcome<Option<External>> {
    let Some(text) = env.get(env_vars::CLICKHOUSE_URL).map(Secret::new).or(url) else {
        return Ok(None);
    };
    // The URL is never quoted: it may hold a password.
    let refused = |why: &str| {
        Failure::new(
            Exit::Usage,
            format!("the address of ClickHouse cannot be used: {why}"),
        )
        .hint("write CLICKHOUSE_URL as https://clickhouse.example.com:8443")
    };
    let mut url = Url::parse(text.expose()).map_err(|error| refused(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("it must start with http:// or https://"));
    }
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let in_url = (decoded(url.username()), url.password().map(decoded));
    let user = env
        .get(env_vars::CLICKHOUSE_USER)
        .map(str::to_owned)
        .or(user)
        .or(Some(in_url.0).filter(|user| !user.is_empty()));
    let password = env
        .get(env_vars::CLICKHOUSE_PASSWORD)
        .map(Secret::new)
        .or(password)
        .or(in_url.1.map(Secret::new));
    if url
        .set_username("")
        .and_then(|()| url.set_password(None))
        .is_err()
    {
        return Err(refused("it names no host"));
    }
    Ok(Some(External {
        url,
        user: user.unwrap_or_else(|| "default".to_owned()),
        password: password.unwrap_or_else(|| Secret::new("")),
    }))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Environment {
        let mut all = vec![("HOME", "/h")];
        all.extend(pairs);
        Environment::of_pairs(&all)
    }

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let file: ConfigFile =
            toml::from_str("host = \"0.0.0.0\"\nport = 9\nstate_dir = \"/f\"").unwrap();
        let flags = Flags {
            port: Some(8),
            ..Flags::default()
        };
        let made = plan(flags, &env(&[]), file).unwrap();
        assert_eq!((made.host.to_string().as_str(), made.port), ("0.0.0.0", 8));
        assert_eq!(made.state_dir, PathBuf::from("/f"));
        let plain = plan(Flags::default(), &env(&[]), ConfigFile::default()).unwrap();
        assert_eq!(
            (plain.host.to_string().as_str(), plain.port),
            ("127.0.0.1", 7181)
        );
        assert_eq!(
            plain.state_dir,
            PathBuf::from("/h/.local/share/dynamirror/server")
        );
        assert_eq!(
            (plain.max_table_bytes, plain.clickhouse),
            (Limit::Default, None)
        );
    }

    #[test]
    fn a_local_server_stays_on_loopback() {
        let flags = |host: &str| Flags {
            local: true,
            host: Some(host.to_owned()),
            ..Flags::default()
        };
        assert_eq!(
            plan(flags("0.0.0.0"), &env(&[]), ConfigFile::default())
                .unwrap_err()
                .exit,
            Exit::Usage
        );
        assert!(plan(flags("::1"), &env(&[]), ConfigFile::default()).is_ok());
        assert!(plan(flags("localhost"), &env(&[]), ConfigFile::default()).is_ok());
    }

    #[test]
    fn prices_are_dollars_and_kept_to_the_millionth() {
        let read = |text: &str| {
            let file: ConfigFile = toml::from_str(&format!("[prices]\n{text}")).unwrap();
            plan(Flags::default(), &env(&[]), file).map(|plan| plan.prices)
        };
        let made = read("export_per_gb = 0.114\nstream_reads_free_per_month = 0").unwrap();
        assert_eq!(
            (made.export_per_gb, made.pitr_per_gb_month),
            (Some(114_000), None)
        );
        assert_eq!(made.stream_reads_free_per_month, Some(0));
        for wrong in ["-0.1", "nan", "inf", "2e6"] {
            let refused = read(&format!("pitr_per_gb_month = {wrong}")).unwrap_err();
            assert_eq!(refused.exit, Exit::Usage, "{wrong}");
        }
    }

    #[test]
    fn zero_lifts_a_limit() {
        let file: ConfigFile =
            toml::from_str("[limits]\nmax_table_gb = 0\nmax_write_capacity_units = 7").unwrap();
        let made = plan(Flags::default(), &env(&[]), file).unwrap();
        assert_eq!(
            (made.max_table_bytes, made.max_write_capacity_units),
            (Limit::Lifted, Limit::At(7))
        );
    }

    #[test]
    fn the_user_of_clickhouse_comes_from_variable_file_or_url() {
        let found = |pairs: &[(&str, &str)], file: &str| {
            let file: ConfigFile = toml::from_str(file).unwrap();
            plan(Flags::default(), &env(pairs), file)
                .unwrap()
                .clickhouse
                .unwrap()
        };
        let url = found(&[("CLICKHOUSE_URL", "https://me:p%40ss@c:8443")], "");
        assert_eq!(
            (url.url.as_str(), url.user.as_str(), url.password.expose()),
            ("https://c:8443/", "me", "p@ss")
        );
        let all = found(
            &[
                ("CLICKHOUSE_USER", "env"),
                ("CLICKHOUSE_PASSWORD", "secret"),
            ],
            "[clickhouse]\nurl = \"http://u:p@c:1\"\nuser = \"file\"",
        );
        assert_eq!(
            (all.user.as_str(), all.password.expose()),
            ("env", "secret")
        );
        assert_eq!(
            found(&[("CLICKHOUSE_URL", "http://c:1")], "").user,
            "default"
        );
        assert!(!format!("{url:?}").contains("p@ss"));
    }

    #[test]
    fn a_broken_address_of_clickhouse_is_not_quoted() {
        let broken = plan(
            Flags::default(),
            &env(&[("CLICKHOUSE_URL", "tcp://me:secret@c")]),
            ConfigFile::default(),
        )
        .unwrap_err();
        assert!(!format!("{broken:?}").contains("secret"));
    }
}
