//! Follows the backfill of mirrors until their rows are loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::failure::{Exit, Failure, Outcome};
use crate::mirrors::{self, Mirror};
use crate::printer::Printer;
use crate::progress::{Line, Progress};
use crate::text;

/// Between two looks at the server.
const INTERVAL: Duration = Duration::from_secs(1);
/// The server may be restarted meanwhile; it is asked this many times in a row before we give up.
const PATIENCE: u32 = 30;

/// How items were counted at some moment, for the rate.
#[derive(Debug)]
struct Mark {
    at: Instant,
    items: u64,
    per_second: f64,
}

/// Where one mirror's line is.
#[derive(Debug)]
struct Followed {
    line: Line,
    phase: String,
    mark: Option<Mark>,
}

/// Waits until the backfills of `started` and those that run already are loaded; Ctrl-C stops the waiting
/// and nothing else.
pub(crate) async fn backfills(client: &Client, started: Vec<String>, printer: &Printer) -> Outcome {
    let running = mirrors::list(client).await?.into_iter();
    let running = running
        .filter(|mirror| ending(mirror).is_none())
        .map(|mirror| mirror.datasource);
    // A name twice would be waited for twice.
    let names: BTreeSet<String> = started.into_iter().chain(running).collect();
    if names.is_empty() {
        return Ok(());
    }
    tokio::select! {
        biased;
        signal = tokio::signal::ctrl_c() => {
            signal.map_err(|error| Failure::new(Exit::Failed, "cannot listen for Ctrl-C").because(&error))?;
            printer.note("\nThe backfill goes on on the server. Watch it with: tb datasource ls");
            Err(Failure::told(Exit::Interrupted))
        }
        result = until_loaded(client, &names, printer) => result,
    }
}

/// Waits until the resync of `name` has put its table in place; Ctrl-C stops the waiting and nothing else.
pub(crate) async fn resync(client: &Client, name: &str, printer: &Printer) -> Outcome {
    tokio::select! {
        biased;
        signal = tokio::signal::ctrl_c() => {
            signal.map_err(|error| Failure::new(Exit::Failed, "cannot listen for Ctrl-C").because(&error))?;
            printer.note("\nThe resync goes on on the server. Watch it with: tb datasource ls");
            Err(Failure::told(Exit::Interrupted))
        }
        result = until_resynced(client, name, printer) => result,
    }
}

/// All mirrors; a server that is being restarted is waited for.
async fn patiently(client: &Client) -> Result<Vec<Mirror>, Failure> {
    let mut failures = 0;
    loop {
        match mirrors::list(client).await {
            Err(failure) if failure.exit == Exit::Unreachable && failures < PATIENCE => {
                failures += 1;
                tokio::time::sleep(INTERVAL).await;
            }
            answer => return answer,
        }
    }
}

async fn until_resynced(client: &Client, name: &str, printer: &Printer) -> Outcome {
    let progress = Progress::new(printer);
    let mut it = Followed {
        line: progress.line(printer),
        phase: String::new(),
        mark: None,
    };
    loop {
        let mirrors = patiently(client).await?;
        let mirror = mirrors.into_iter().find(|mirror| mirror.datasource == name);
        let Some(mirror) = mirror.filter(|mirror| mirror.state != "stopped") else {
            it.line.clear();
            let problem = format!("the mirror of {name} does not run any more");
            return Err(Failure::new(Exit::Failed, problem).hint(format!(
                "the resync goes on after: tb datasource start {name}"
            )));
        };
        let Some(resync) = mirror.resync else {
            it.line.clear();
            return Ok(());
        };
        let shown = Mirror {
            datasource: name.to_owned(),
            state: match &resync.problem {
                Some(_) => "retrying".to_owned(),
                None => resync.state,
            },
            reason: resync.problem,
            backfill: resync.backfill,
            ..Mirror::default()
        };
        if shown.backfill.phase == "loaded" && shown.state != "retrying" {
            it.line.say(&format!("{name}: the new table catches up"));
        } else {
            show(&mut it, &shown);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn until_loaded(client: &Client, names: &BTreeSet<String>, printer: &Printer) -> Outcome {
    let progress = Progress::new(printer);
    let mut followed: BTreeMap<String, Followed> = BTreeMap::new();
    for name in names {
        let line = progress.line(printer);
        followed.insert(
            name.clone(),
            Followed {
                line,
                phase: String::new(),
                mark: None,
            },
        );
    }
    let mut broken = None;
    while !followed.is_empty() {
        let mirrors = patiently(client).await?;
        // A mirror that somebody deleted meanwhile has nothing left to wait for.
        followed.retain(|name, _| mirrors.iter().any(|mirror| mirror.datasource == *name));
        for mirror in mirrors {
            let Some(mut it) = followed.remove(&mirror.datasource) else {
                continue;
            };
            match ending(&mirror) {
                None => {
                    show(&mut it, &mirror);
                    followed.insert(mirror.datasource.clone(), it);
                }
                Some(end) => {
                    it.line.clear();
                    progress.suspend(|| end.tell(&mirror, printer));
                    if matches!(end, End::Broken) {
                        broken = Some(Failure::told(Exit::Failed));
                    }
                }
            }
        }
        if !followed.is_empty() {
            tokio::time::sleep(INTERVAL).await;
        }
    }
    broken.map_or(Ok(()), Err)
}

/// How the wait for a mirror ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Loaded,
    Stopped,
    Broken,
}

fn ending(mirror: &Mirror) -> Option<End> {
    match (mirror.state.as_str(), mirror.backfill.phase.as_str()) {
        (_, "loaded") | ("live", _) => Some(End::Loaded),
        ("stopped", _) => Some(End::Stopped),
        ("broken", _) | (_, "failed") => Some(End::Broken),
        _ => None,
    }
}

impl End {
    fn tell(self, mirror: &Mirror, printer: &Printer) {
        let name = &mirror.datasource;
        match self {
            Self::Loaded => {
                printer.success(format_args!(
                    "{name}: backfill loaded, {}",
                    text::plural(mirror.backfill.items_total, "item")
                ));
                if mirror.quarantined > 0 {
                    printer.warning(format_args!(
                        "{name}: {} in {name}_quarantine",
                        text::plural(mirror.quarantined, "record")
                    ));
                }
            }
            Self::Stopped => printer.warning(format_args!(
                "{name} is stopped; go on with: tb datasource start {name}"
            )),
            Self::Broken => {
                let reason = mirror.reason.as_deref().or(mirror.last_error.as_deref());
                printer.error(format_args!(
                    "{name}: {}",
                    reason.unwrap_or("the backfill failed")
                ));
                if let Some(next) = &mirror.next_action {
                    printer.hint(next);
                }
            }
        }
    }
}

fn show(it: &mut Followed, mirror: &Mirror) {
    let name = &mirror.datasource;
    let backfill = &mirror.backfill;
    if it.phase != backfill.phase {
        it.phase.clone_from(&backfill.phase);
        it.mark = None;
    }
    let since = text::whole_seconds(backfill.elapsed_seconds as u64);
    if mirror.state == "retrying" {
        let reason = mirror
            .reason
            .as_deref()
            .unwrap_or("something is in the way");
        it.line.say(&format!(
            "{name}: {} (tried again by itself)",
            text::printable(reason)
        ));
    } else if backfill.phase == "loading" {
        let rate = rate(&mut it.mark, backfill.items_loaded);
        let (done, total) = if backfill.items_total > 0 {
            (backfill.items_loaded, backfill.items_total)
        } else {
            (backfill.files_loaded, backfill.files_total)
        };
        it.line
            .fill(done, total.max(1), &loading(name, mirror, rate));
    } else if backfill.phase == "exporting" {
        it.line.say(&format!(
            "{name}: AWS exports the table, {since} so far; small tables take a few minutes"
        ));
    } else {
        it.line.say(&format!(
            "{name}: {}",
            if mirror.state.is_empty() {
                "starting"
            } else {
                &mirror.state
            }
        ));
    }
}

fn loading(name: &str, mirror: &Mirror, rate: Option<f64>) -> String {
    let backfill = &mirror.backfill;
    let mut out = format!(
        "{name}: {} of {}, {} of {}, {}",
        text::count(backfill.files_loaded),
        text::plural(backfill.files_total, "file"),
        text::count(backfill.items_loaded),
        text::plural(backfill.items_total, "item"),
        text::bytes(backfill.bytes),
    );
    if let Some(rate) = rate {
        out.push_str(&format!(", {} items/s", text::count(rate as u64)));
    }
    if let Some(left) = backfill.seconds_left {
        out.push_str(&format!(", {} left", text::whole_seconds(left)));
    }
    out
}

/// Items per second, averaged over looks so that it does not jump.
fn rate(mark: &mut Option<Mark>, items: u64) -> Option<f64> {
    let now = Instant::now();
    let Some(last) = mark else {
        *mark = Some(Mark {
            at: now,
            items,
            per_second: 0.0,
        });
        return None;
    };
    let seconds = now.duration_since(last.at).as_secs_f64();
    if seconds <= 0.0 {
        return None;
    }
    let present = items.saturating_sub(last.items) as f64 / seconds;
    let smooth = if last.per_second > 0.0 {
        last.per_second * 0.7 + present * 0.3
    } else {
        present
    };
    *mark = Some(Mark {
        at: now,
        items,
        per_second: smooth,
    });
    (smooth >= 1.0).then_some(smooth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirrors::Backfill;

    fn mirror(state: &str, phase: &str) -> Mirror {
        Mirror {
            datasource: "orders".into(),
            state: state.into(),
            backfill: Backfill {
                phase: phase.into(),
                files_loaded: 2,
                files_total: 4,
                items_loaded: 12_000,
                items_total: 30_000,
                bytes: 1_500_000,
                seconds_left: Some(65),
                ..Backfill::default()
            },
            ..Mirror::default()
        }
    }

    #[test]
    fn the_wait_ends_when_rows_are_loaded_or_somebody_has_to_act() {
        assert_eq!(ending(&mirror("backfilling", "exporting")), None);
        assert_eq!(ending(&mirror("retrying", "loading")), None);
        assert_eq!(ending(&mirror("backfilling", "loaded")), Some(End::Loaded));
        assert_eq!(ending(&mirror("stopped", "loading")), Some(End::Stopped));
        assert_eq!(ending(&mirror("broken", "waiting")), Some(End::Broken));
        assert_eq!(ending(&mirror("backfilling", "failed")), Some(End::Broken));
    }

    #[test]
    fn the_line_says_how_far_and_how_long() {
        assert_eq!(
            loading("orders", &mirror("backfilling", "loading"), Some(4000.0)),
            "orders: 2 of 4 files, 12,000 of 30,000 items, 1.5 MB, 4,000 items/s, 1 min 5 s left"
        );
    }
}
