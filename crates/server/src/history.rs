//! Writes down what happens to mirrors, for whoever asks the next morning: `tb logs`.
//!
//! A look at every mirror each second is compared with the look before. A state that passes within seconds is not
//! worth a line, and the server's own log has everything.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mirror::checkpoint::ExportPhase;
use mirror::clock::Clock;
use mirror::status::{MirrorState, StatusReport};
use mirror::store::{MirrorProgress, Store, progress_key};
use tokio_util::sync::CancellationToken;

use crate::store::{HistoryRow, MirrorName, SqliteStore, StoreError};
use crate::telemetry;
use crate::worker::Supervisor;

const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Longest message, characters: errors of AWS may quote a lot.
const MAX_MESSAGE: usize = 2_000;

/// Looks at mirrors until it is cancelled.
pub(crate) struct Historian {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) supervisor: Arc<Supervisor>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Historian {
    /// Runs until `shutdown`. What cannot be stored is lost: a history is no reason to stop.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut told = HashMap::new();
        let mut names: HashMap<String, MirrorName> = HashMap::new();
        if let Err(error) = self.server_started(&mut told, &mut names).await {
            telemetry::history_not_written(&error);
        }
        let mut ticks = tokio::time::interval(BETWEEN_LOOKS);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.look(&mut told, &mut names).await {
                telemetry::history_not_written(&error);
            }
        }
    }

    /// One line in each workspace that has mirrors: it explains the silence before it.
    async fn server_started(
        &self,
        told: &mut HashMap<String, Told>,
        names: &mut HashMap<String, MirrorName>,
    ) -> Result<(), StoreError> {
        for name in self.store.mirror_names().await? {
            let is_known = |known: &MirrorName| known.workspace_id == name.workspace_id;
            if !names.values().any(is_known) {
                let line = HistoryRow {
                    datasource: String::new(),
                    at_ms: self.clock.now_ms(),
                    level: "INFO".to_owned(),
                    message: "the server started".to_owned(),
                };
                self.store.add_history(&name.workspace_id, &[line]).await?;
            }
            match self.stored(&name.id).await {
                Ok(before) => _ = told.insert(name.id.clone(), before),
                Err(error) => telemetry::history_not_written(&error.report()),
            }
            names.insert(name.id.clone(), name);
        }
        Ok(())
    }

    /// What is stored of a mirror was told before the server started.
    async fn stored(&self, mirror: &str) -> Result<Told, mirror::error::Error> {
        let generations = self.store.generations(mirror).await?;
        let live = progress_key(mirror, generations.live);
        let live = self.store.load(&live).await?;
        let mut exports: Vec<String> = arn_of(&live).into_iter().collect();
        if let Some(shadow) = &generations.shadow {
            let shadow = progress_key(mirror, shadow.generation);
            exports.extend(arn_of(&self.store.load(&shadow).await?));
        }
        Ok(Told {
            state: None,
            coming: None,
            exports,
            loaded: live
                .export
                .is_some_and(|export| export.phase == ExportPhase::Loaded),
            resyncing: generations.shadow.is_some(),
            quarantined: live.quarantined,
        })
    }

    async fn look(
        &self,
        told: &mut HashMap<String, Told>,
        names: &mut HashMap<String, MirrorName>,
    ) -> Result<(), StoreError> {
        let now_ms = self.clock.now_ms();
        let mut lines: HashMap<String, Vec<HistoryRow>> = HashMap::new();
        for (id, status) in self.supervisor.statuses() {
            if !names.contains_key(&id) {
                let all = self.store.mirror_names().await?.into_iter();
                names.extend(all.map(|name| (name.id.clone(), name)));
            }
            // A mirror that was removed meanwhile has no name.
            let Some(name) = names.get(&id) else { continue };
            let told = told.entry(id).or_default();
            for (level, message) in told.news(&status, now_ms) {
                lines
                    .entry(name.workspace_id.clone())
                    .or_default()
                    .push(HistoryRow {
                        datasource: name.datasource.clone(),
                        at_ms: now_ms,
                        level: level.to_owned(),
                        message: message.chars().take(MAX_MESSAGE).collect(),
                    });
            }
        }
        for (workspace, lines) in lines {
            self.store.add_history(&workspace, &lines).await?;
        }
        Ok(())
    }
}

/// What was told of a mirror.
#[derive(Debug, Default)]
struct Told {
    state: Option<MirrorState>,
    /// A state that is not told yet, and since when it is seen.
    coming: Option<(MirrorState, i64)>,
    /// Exports that AWS was asked for, by ARN.
    exports: Vec<String>,
    loaded: bool,
    resyncing: bool,
    quarantined: u64,
}

fn arn_of(progress: &MirrorProgress) -> Option<String> {
    progress.export.as_ref()?.arn.clone()
}

impl Told {
    /// What is new, with its level.
    fn news(&mut self, status: &StatusReport, now_ms: i64) -> Vec<(&'static str, String)> {
        let mut news = Vec::new();
        match (&status.resync, self.resyncing) {
            (Some(resync), false) => {
                news.push(("WARNING", format!("a resync began: {}", resync.reason)));
            }
            (None, true) => news.push(("INFO", "the resync is complete".to_owned())),
            _ => {}
        }
        self.resyncing = status.resync.is_some();
        let backfill = &status.backfill;
        let of_resync = status.resync.as_ref().map(|resync| &resync.backfill);
        for export in [Some(backfill), of_resync].into_iter().flatten() {
            if let Some(arn) = export
                .export_arn
                .as_ref()
                .filter(|arn| !self.exports.contains(arn))
            {
                self.exports.push(arn.clone());
                news.push(("INFO", format!("asked AWS for an export: {arn}")));
            }
        }
        // A worker that has just started does not know yet what is stored.
        if backfill.phase != "waiting" {
            let loaded = backfill.phase == "loaded";
            if loaded && !self.loaded {
                let seconds = backfill.elapsed_ms.div_ceil(1000);
                let items = backfill.items.0;
                let message = format!("backfill loaded: {items} items in {seconds} s");
                news.push(("INFO", message));
            }
            self.loaded = loaded;
            if status.quarantined > self.quarantined {
                let more = status.quarantined - self.quarantined;
                news.push(("WARNING", format!("{more} records went to quarantine")));
            }
            self.quarantined = status.quarantined;
        }
        news.extend(self.state_news(status, now_ms));
        news
    }

    fn state_news(&mut self, status: &StatusReport, now_ms: i64) -> Option<(&'static str, String)> {
        let state = status.state;
        if self.state == Some(state) {
            self.coming = None;
            return None;
        }
        let since_ms = match self.coming {
            Some((coming, since_ms)) if coming == state => since_ms,
            _ => now_ms,
        };
        self.coming = Some((state, since_ms));
        if now_ms - since_ms < settles_after_ms(state) {
            return None;
        }
        self.state = Some(state);
        self.coming = None;
        let mut message = format!("is {}", state.name());
        if let Some(reason) = &status.reason {
            message.push_str(": ");
            message.push_str(reason);
        }
        if let Some(action) = status
            .next_action
            .as_ref()
            .filter(|_| level(state) == "ERROR")
        {
            message.push_str(". What to do: ");
            message.push_str(action);
        }
        Some((level(state), message))
    }
}

/// How long a state has to last to be told, milliseconds. AWS throttles and breaks connections all the time.
fn settles_after_ms(state: MirrorState) -> i64 {
    match state {
        MirrorState::Retrying => 10_000,
        MirrorState::Starting | MirrorState::CatchingUp => 3_000,
        _ => 0,
    }
}

fn level(state: MirrorState) -> &'static str {
    match state {
        MirrorState::Broken | MirrorState::Stalled | MirrorState::Gap => "ERROR",
        MirrorState::Retrying | MirrorState::CatchingUp | MirrorState::Healing => "WARNING",
        MirrorState::Starting
        | MirrorState::Backfilling
        | MirrorState::Live
        | MirrorState::Stopped => "INFO",
    }
}

#[cfg(test)]
mod tests {
    use mirror::status::ResyncStatus;

    use super::*;

    fn report(state: MirrorState) -> StatusReport {
        StatusReport {
            state,
            reason: None,
            reason_code: None,
            next_action: None,
            gap: false,
            stalled: None,
            healing: None,
            resync: None,
            backfill: mirror::status::BackfillStatus::default(),
            stream_rows: 0,
            quarantined: 0,
            watermark_ms: None,
            lag_seconds: None,
            headroom_seconds: None,
            shards: (0, 0),
            last_read_ms: None,
            last_insert_ms: None,
            last_error: None,
            warnings: Vec::new(),
        }
    }

    fn told(looks: &[(i64, StatusReport)]) -> Vec<String> {
        told_after(Told::default(), looks)
    }

    fn told_after(mut told: Told, looks: &[(i64, StatusReport)]) -> Vec<String> {
        looks
            .iter()
            .flat_map(|(at_s, status)| told.news(status, at_s * 1000))
            .map(|(level, message)| format!("{level} {message}"))
            .collect()
    }

    #[test]
    fn a_new_mirror_tells_its_whole_backfill() {
        let mut exporting = report(MirrorState::Backfilling);
        exporting.backfill.export_arn = Some("arn:1".to_owned());
        exporting.backfill.phase = "exporting".to_owned();
        let mut loaded = report(MirrorState::Live);
        loaded.backfill = exporting.backfill.clone();
        loaded.backfill.phase = "loaded".to_owned();
        loaded.backfill.items = (20, 20);
        loaded.backfill.elapsed_ms = 1_200;
        loaded.quarantined = 2;
        let looks = [
            (0, report(MirrorState::Starting)),
            (1, exporting.clone()),
            (2, exporting),
            (3, loaded.clone()),
            (4, loaded),
        ];
        assert_eq!(
            told(&looks),
            [
                "INFO asked AWS for an export: arn:1",
                "INFO is backfilling",
                "INFO backfill loaded: 20 items in 2 s",
                "WARNING 2 records went to quarantine",
                "INFO is live",
            ]
        );
    }

    #[test]
    fn after_a_start_only_the_state_is_told() {
        let mut live = report(MirrorState::Live);
        live.backfill.phase = "loaded".to_owned();
        live.backfill.export_arn = Some("arn:1".to_owned());
        live.quarantined = 7;
        let stored = Told {
            exports: vec!["arn:1".to_owned()],
            loaded: true,
            quarantined: 7,
            ..Told::default()
        };
        // A worker knows nothing before it has read what is stored.
        let mut blank = report(MirrorState::Starting);
        blank.backfill.phase = "waiting".to_owned();
        assert_eq!(
            told_after(stored, &[(0, blank), (1, live.clone()), (2, live)]),
            ["INFO is live"]
        );
    }

    #[test]
    fn what_passes_within_seconds_is_not_told_and_what_needs_a_person_at_once() {
        let live = report(MirrorState::Live);
        let retrying = report(MirrorState::Retrying);
        let mut broken = report(MirrorState::Broken);
        broken.reason = Some("AWS refuses the role".to_owned());
        broken.next_action = Some("check it".to_owned());
        let looks = [
            (0, live.clone()),
            (1, retrying.clone()),
            (9, retrying.clone()),
            (10, live.clone()),
            (20, retrying.clone()),
            (30, retrying),
            (31, broken),
            (32, live),
        ];
        assert_eq!(
            told(&looks),
            [
                "INFO is live",
                "WARNING is retrying",
                "ERROR is broken: AWS refuses the role. What to do: check it",
                "INFO is live",
            ]
        );
    }

    #[test]
    fn a_resync_has_a_beginning_and_an_end() {
        let live = report(MirrorState::Live);
        let mut live = live;
        live.backfill.phase = "loaded".to_owned();
        live.backfill.export_arn = Some("arn:1".to_owned());
        let mut resyncing = live.clone();
        let export = mirror::status::BackfillStatus {
            export_arn: Some("arn:2".to_owned()),
            ..Default::default()
        };
        resyncing.resync = Some(ResyncStatus {
            reason: "asked for".to_owned(),
            state: MirrorState::Starting,
            problem: None,
            backfill: export,
        });
        let mut exchanged = live.clone();
        exchanged.backfill.export_arn = Some("arn:2".to_owned());
        assert_eq!(
            told(&[
                (0, live),
                (1, resyncing.clone()),
                (2, resyncing),
                (3, exchanged)
            ]),
            [
                "INFO asked AWS for an export: arn:1",
                "INFO backfill loaded: 0 items in 0 s",
                "INFO is live",
                "WARNING a resync began: asked for",
                "INFO asked AWS for an export: arn:2",
                "INFO the resync is complete"
            ]
        );
    }
}
