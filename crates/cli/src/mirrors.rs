//! What `GET /v0/mirrors` says about each mirror.

use serde::Deserialize;

use crate::client::Client;
use crate::failure::{Exit, Failure, Outcome};

/// One mirror.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Mirror {
    /// Its data source.
    pub(crate) datasource: String,
    /// `starting`, `backfilling`, `live`, `retrying`, `broken`, `stalled`, `healing`, `gap`, `stopped`.
    pub(crate) state: String,
    /// Why, when the state is not a good one.
    pub(crate) reason: Option<String>,
    /// A word for it, which `tb explain` knows.
    pub(crate) reason_code: Option<String>,
    /// What to do about it.
    pub(crate) next_action: Option<String>,
    /// What has not moved although it should have.
    pub(crate) stalled: Option<String>,
    /// Changes were lost and are not back yet.
    pub(crate) gap: bool,
    /// The healing of a gap under way.
    pub(crate) healing: Option<Healing>,
    /// The new backfill beside the table.
    pub(crate) resync: Option<Resync>,
    /// The initial load.
    pub(crate) backfill: Backfill,
    /// Rows written from the stream.
    pub(crate) stream_rows: Option<u64>,
    /// Records that could not be converted.
    pub(crate) quarantined: u64,
    /// Every change before this time is in ClickHouse.
    pub(crate) watermark: Option<String>,
    /// Seconds behind the table.
    pub(crate) lag_seconds: Option<f64>,
    /// Seconds until an unread change is lost.
    pub(crate) headroom_seconds: Option<f64>,
    /// Shards that are read.
    pub(crate) active_shards: u64,
    /// Shards that wait for their parents.
    pub(crate) waiting_shards: u64,
    /// The last successful read of the stream.
    pub(crate) last_read_at: Option<String>,
    /// The last failure, even if it passed since.
    pub(crate) last_error: Option<String>,
    /// Things worth knowing that stop nothing.
    pub(crate) warnings: Vec<String>,
}

/// A gap that incremental exports close.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Healing {
    /// What was lost.
    pub(crate) what: String,
    /// Windows healed.
    pub(crate) windows_healed: u64,
    /// Windows in all.
    pub(crate) windows_total: u64,
}

/// A new backfill that will take the table's place.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Resync {
    /// Why.
    pub(crate) reason: String,
    /// State of the new table's mirror.
    pub(crate) state: String,
    /// What is in its way.
    pub(crate) problem: Option<String>,
    /// Its load.
    pub(crate) backfill: Backfill,
}

/// Progress of an initial load.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Backfill {
    /// `waiting`, `exporting`, `loading`, `loaded`, `failed`.
    pub(crate) phase: String,
    /// The export.
    pub(crate) export_arn: Option<String>,
    /// Files loaded.
    pub(crate) files_loaded: u64,
    /// Files in all, 0 until it is known.
    pub(crate) files_total: u64,
    /// Items loaded.
    pub(crate) items_loaded: u64,
    /// Items in all, 0 until it is known.
    pub(crate) items_total: u64,
    /// Compressed bytes read.
    pub(crate) bytes: u64,
    /// Seconds since the phase began.
    pub(crate) elapsed_seconds: f64,
    /// Seconds left, if there is something to go by.
    pub(crate) seconds_left: Option<u64>,
}

#[derive(Deserialize)]
struct List {
    mirrors: Vec<Mirror>,
}

/// All mirrors of the workspace.
pub(crate) async fn list(client: &Client) -> Outcome<Vec<Mirror>> {
    let answer = client.get("/v0/mirrors", &[]).await?;
    serde_json::from_value::<List>(answer)
        .map(|list| list.mirrors)
        .map_err(|error| {
            Failure::new(
                Exit::Server,
                "the server describes its mirrors in a way this `tb` does not understand",
            )
            .because(&error)
            .hint("use the same version on both sides; `tb local version` shows them")
        })
}
