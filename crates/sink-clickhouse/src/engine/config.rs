//! The engine's configuration: command line, `engine.xml`, `users.xml`.
//!
//! Users cannot be made in SQL and `users.xml` is read only at the start, so every workspace that may come
//! has its users beforehand: database `ws_<n>` belongs to slot `n`, with `owner_<n>` who may do everything
//! inside that database and `reader_<n>` who may only select from it.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use mirror::error::{Error, ErrorKind, Result};

use crate::endpoint::{Credentials, Secret};

/// Databases of workspaces are named `ws_<n>`, `n` from 1, without leading zeros.
pub const DATABASE_PREFIX: &str = "ws_";

/// Slots are made in steps of this many.
pub(super) const SLOT_STEP: u32 = 64;

/// More would make `users.xml` slow to read: about 1 kB each.
pub(super) const MAX_SLOTS: u32 = 16_384;

/// What a user of a slot may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Everything in its own database.
    Owner,
    /// SELECT in its own database.
    Reader,
}

/// The slot of a database, if its name is one of a workspace.
pub(crate) fn slot_of(database: &str) -> Option<u32> {
    let digits = database.strip_prefix(DATABASE_PREFIX)?;
    let slot: u32 = digits.parse().ok()?;
    let canonical = slot.to_string() == digits;
    (canonical && (1..=MAX_SLOTS).contains(&slot)).then_some(slot)
}

/// How many slots there must be so that `slot` is one of them.
pub(super) fn slots_for(slot: u32) -> u32 {
    slot.div_ceil(SLOT_STEP).max(1) * SLOT_STEP
}

/// The user of a slot. Its password follows from the password of this start.
pub(crate) fn slot_user(role: Role, slot: u32, admin: &Credentials) -> Credentials {
    let user = match role {
        Role::Owner => format!("owner_{slot}"),
        Role::Reader => format!("reader_{slot}"),
    };
    Credentials {
        password: admin.password.derive(&user),
        user,
    }
}

/// Settings a user's SQL may change for itself; every other one is refused, limits above all.
const FREE_SETTINGS: &[&str] = &[
    "aggregate_functions_null_for_empty",
    "allow_experimental_analyzer",
    "allow_simdjson",
    "any_join_distinct_right_table_keys",
    "cast_keep_nullable",
    "count_distinct_implementation",
    "date_time_output_format",
    "do_not_merge_across_partitions_select_final",
    "empty_result_for_aggregation_by_empty_set",
    "enable_analyzer",
    "enable_positional_arguments",
    "extremes",
    "final",
    "format_csv_delimiter",
    "group_by_use_nulls",
    "join_algorithm",
    "join_default_strictness",
    "join_use_nulls",
    "optimize_move_to_prewhere",
    "optimize_move_to_prewhere_if_final",
    "optimize_read_in_order",
    "output_format_json_quote_64bit_floats",
    "output_format_json_quote_64bit_integers",
    "output_format_json_quote_decimals",
    "output_format_json_quote_denormals",
    "output_format_parquet_string_as_string",
    "prefer_column_name_to_alias",
    "session_timezone",
    "transform_null_in",
    "union_default_mode",
    "use_skip_indexes",
    "use_skip_indexes_if_final",
];

/// Engines an owner may use: those that keep their rows here and reach neither files nor the network.
const OWNER_ENGINES: &[&str] = &[
    "MergeTree",
    "ReplacingMergeTree",
    "SummingMergeTree",
    "AggregatingMergeTree",
    "CollapsingMergeTree",
    "VersionedCollapsingMergeTree",
    "Null",
];

/// Loggers that write down failed queries with their texts, and exceptions that quote values. Whoever
/// sent the query gets the exception; the log must not have it.
const QUOTING_LOGGERS: &[&str] = &[
    "executeQuery",
    "DynamicQueryHandler",
    "PredefinedQueryHandler",
    "HTTPHandler",
];

/// Statements of the engine's own first session that count in its quota: START LISTEN and the one that waits for stdin.
const BOOT_QUERIES: u32 = 2;

/// The arguments of clickhouse-local that make it a server on a free port of loopback.
pub(super) fn command_line(data: &Path, conf: &Path) -> Vec<OsString> {
    // A plain SELECT would print nothing before the end, so the port goes to a file that is stdout. The last query ends
    // when the parent closes the pipe or dies.
    const BOOT: &str = "SYSTEM START LISTEN HTTP; \
        SELECT 'ready', getServerPort('http_port') INTO OUTFILE '/dev/stdout' APPEND FORMAT TSV; \
        SELECT * FROM file('/dev/stdin', 'LineAsString') FORMAT Null";
    let mut line: Vec<OsString> = vec!["clickhouse".into(), "--config-file".into()];
    line.push(conf.join("engine.xml").into());
    line.extend(["--log-level", "warning", "--path"].map(OsString::from));
    line.push(data.into());
    line.extend(
        [
            "--listen_host",
            "127.0.0.1",
            "--http_port",
            "0",
            "--tcp_port",
            "0",
            "-q",
            BOOT,
        ]
        .map(OsString::from),
    );
    line
}

/// Makes a folder that only this user may enter.
pub(super) fn private_folder(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| {
            Error::with_source(
                ErrorKind::Permanent,
                format!("make the folder {}", path.display()),
                error,
            )
        })
}

/// Writes `engine.xml` and `users.xml` for one start.
pub(super) fn write(
    conf: &Path,
    logs: &Path,
    max_memory_bytes: u64,
    admin: &Credentials,
    slots: u32,
) -> Result<()> {
    private_folder(conf)?;
    private_folder(logs)?;
    let users = conf.join("users.xml");
    private_file(
        &conf.join("engine.xml"),
        &engine_xml(&users, logs, max_memory_bytes),
    )?;
    private_file(&users, &users_xml(admin, slots))
}

fn private_file(path: &Path, text: &str) -> Result<()> {
    let failed = |error| {
        Error::with_source(
            ErrorKind::Permanent,
            format!("write {}", path.display()),
            error,
        )
    };
    // Written anew, so that an old file's mode does not survive.
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

fn engine_xml(users: &Path, logs: &Path, max_memory_bytes: u64) -> String {
    let users = escape(&users.to_string_lossy());
    let log = escape(&logs.join("engine.log").to_string_lossy());
    let errors = escape(&logs.join("engine.err.log").to_string_lossy());
    let silent: String = QUOTING_LOGGERS
        .iter()
        .map(|name| format!("<logger><name>{name}</name><level>none</level></logger>"))
        .collect();
    format!(
        r"<clickhouse>
  <users_config>{users}</users_config>
  <logger><log>{log}</log><errorlog>{errors}</errorlog><size>10M</size><count>3</count>
    <levels>{silent}</levels></logger>
  <timezone>UTC</timezone>
  <max_server_memory_usage>{max_memory_bytes}</max_server_memory_usage>
  <mark_cache_size>268435456</mark_cache_size>
  <background_pool_size>4</background_pool_size>
  <background_schedule_pool_size>8</background_schedule_pool_size>
  <merge_tree>
    <old_parts_lifetime>480</old_parts_lifetime>
    <min_rows_to_fsync_after_merge>1</min_rows_to_fsync_after_merge>
  </merge_tree>
  <access_control_improvements>
    <users_without_row_policies_can_read_rows>true</users_without_row_policies_can_read_rows>
    <select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
    <select_from_information_schema_requires_grant>true</select_from_information_schema_requires_grant>
    <table_engines_require_grant>true</table_engines_require_grant>
    <settings_constraints_replace_previous>true</settings_constraints_replace_previous>
  </access_control_improvements>
</clickhouse>
"
    )
}

fn users_xml(admin: &Credentials, slots: u32) -> String {
    let admin_hash = admin.password.sha256_hex();
    let admin_name = escape(&admin.user);
    let free: String = FREE_SETTINGS
        .iter()
        .map(|name| format!("<{name}><changeable_in_readonly/></{name}>"))
        .collect();
    let mut xml = format!(
        r"<clickhouse>
  <profiles>
    <default/>
    <reader>
      <max_execution_time>30</max_execution_time>
      <max_memory_usage>1000000000</max_memory_usage>
      <max_concurrent_queries_for_user>64</max_concurrent_queries_for_user>
      <constraints>{free}</constraints>
    </reader>
  </profiles>
  <quotas>
    <unlimited/>
    <boot><interval><duration>2147483647</duration><queries>{BOOT_QUERIES}</queries></interval></boot>
  </quotas>
  <users>
    <default>
      <no_password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>boot</quota>
      <grants>
        <query>GRANT SYSTEM LISTEN ON *.*</query>
        <query>GRANT READ ON FILE</query>
        <query>GRANT CREATE TEMPORARY TABLE ON *.*</query>
      </grants>
    </default>
    <{admin_name}>
      <password_sha256_hex>{admin_hash}</password_sha256_hex><networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile><quota>unlimited</quota><access_management>1</access_management>
    </{admin_name}>
"
    );
    for slot in 1..=slots {
        push_slot(&mut xml, Role::Owner, slot, admin);
        push_slot(&mut xml, Role::Reader, slot, admin);
    }
    xml.push_str("  </users>\n</clickhouse>\n");
    xml
}

fn push_slot(xml: &mut String, role: Role, slot: u32, admin: &Credentials) {
    let Credentials { user, password } = slot_user(role, slot, admin);
    let hash = password.sha256_hex();
    let (profile, grants) = match role {
        Role::Owner => {
            let engines = OWNER_ENGINES
                .iter()
                .map(|engine| format!("TABLE ENGINE ON {engine}"));
            let all = format!("ALL ON {DATABASE_PREFIX}{slot}.*");
            ("default", std::iter::once(all).chain(engines).collect())
        }
        Role::Reader => (
            "reader",
            vec![format!("SELECT ON {DATABASE_PREFIX}{slot}.*")],
        ),
    };
    let grants: String = grants
        .iter()
        .map(|grant| format!("<query>GRANT {grant}</query>"))
        .collect();
    // Writing to a String cannot fail.
    let _ = writeln!(
        xml,
        "    <{user}><password_sha256_hex>{hash}</password_sha256_hex><networks><ip>127.0.0.1</ip></networks>\
         <profile>{profile}</profile><quota>unlimited</quota>\
         <grants>{grants}</grants></{user}>"
    );
}

/// The engine's own administrator, with a password for one start.
pub(super) fn new_admin() -> Result<Credentials> {
    Ok(Credentials {
        user: "engine".to_owned(),
        password: Secret::random()?,
    })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_names_have_a_slot() {
        assert_eq!(slot_of("ws_1"), Some(1));
        assert_eq!(slot_of("ws_65"), Some(65));
        for other in [
            "ws_0",
            "ws_01",
            "ws_+1",
            "ws_",
            "ws_1x",
            "ws_99999999",
            "default",
            "system",
        ] {
            assert_eq!(slot_of(other), None, "{other}");
        }
        assert_eq!((slots_for(1), slots_for(64), slots_for(65)), (64, 64, 128));
    }
}
