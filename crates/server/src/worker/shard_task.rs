//! Reads one shard, page after page, and hands the pages over. Keeps no progress that matters: whatever it
//! has read and the follower has not made durable is read again after a restart.

use std::collections::VecDeque;
use std::sync::Arc;

use mirror::change::StreamPage;
use mirror::checkpoint::ShardCheckpoint;
use mirror::clock::Clock;
use mirror::error::{Error, ErrorKind};
use mirror::sequence_number::SequenceNumber;
use mirror::source::{ShardPosition, Source};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::backoff::Backoff;
use super::poll_plan::{Found, PollPlan, Seat};
use super::settings::WorkerSettings;

/// A page with this many records or bytes was cut by AWS's limits (1,000 records, 1 MB): more is waiting, so
/// ask again at once.
const FULL_PAGE_RECORDS: usize = 900;
const FULL_PAGE_BYTES: usize = 700 * 1024;

/// This many empty pages in a row mean that the first of them was asked for at the tip of the shard. AWS sends empty
/// pages in front of records, too; it does not say how many.
const EMPTY_PAGES_AT_TIP: usize = 3;

/// What a reader tells the follower.
pub(crate) enum ShardEvent {
    /// A page. The permit frees the page's memory budget.
    Page {
        shard_id: String,
        page: StreamPage,
        /// Whether it has a record that was not read before.
        has_news: bool,
        /// Set on the last page of a closed shard.
        end: bool,
        /// Every change of the shard before this time is in this page or in one before it, AWS's milliseconds.
        tip_ms: Option<i64>,
        /// The next page is asked for in this many milliseconds.
        next_in_ms: u64,
        permit: OwnedSemaphorePermit,
    },
    /// The shard is about to be read from its oldest record.
    AtHorizon { shard_id: String },
    /// The position had left the stream; the reader went on from the oldest record still there.
    Trimmed { shard_id: String },
    /// The shard is no longer there; the reader has ended.
    Gone { shard_id: String },
    /// A call failed; it is tried again after a pause.
    Failed { error: Error },
    /// A call worked after one had failed.
    Recovered,
}

/// A reader of one shard.
pub(crate) struct ShardTask {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: WorkerSettings,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) stream_arn: String,
    pub(crate) shard: ShardCheckpoint,
    pub(crate) pages: Arc<Semaphore>,
    pub(crate) events: mpsc::Sender<ShardEvent>,
    /// When this shard and the others of the stream are read.
    pub(crate) plan: Arc<PollPlan>,
    /// See [`super::retry::Retry`].
    pub(crate) hurry: watch::Receiver<bool>,
}

/// The follower has gone away: there is nobody to read for.
struct Unheard;

impl ShardTask {
    /// Reads until the shard ends, is gone, or nobody listens.
    pub(crate) async fn run(self) {
        let _ = self.read().await;
    }

    async fn read(self) -> Result<(), Unheard> {
        let id = &self.shard.shard_id;
        let mut backoff = Backoff::new(self.settings.retry_min_ms, self.settings.retry_max_ms, id);
        let seat = self.plan.enter(id, self.shard.parent.as_deref());
        let mut position = self.shard.position.clone();
        let mut from_horizon = position.is_none();
        let mut iterator: Option<String> = None;
        let mut failing = false;
        // The last page with records was full: more lies behind it, in front of which AWS may send empty pages.
        let mut more_behind = false;
        let mut empty_since = VecDeque::with_capacity(EMPTY_PAGES_AT_TIP);
        loop {
            if iterator.is_none() && from_horizon {
                self.tell(ShardEvent::AtHorizon {
                    shard_id: id.clone(),
                })
                .await?;
            }
            let Ok(permit) = Arc::clone(&self.pages).acquire_owned().await else {
                return Ok(());
            };
            let asked_at_ms = self.clock.now_ms() + self.source.clock_ahead_ms();
            let answer = self
                .next_page(&mut iterator, from_horizon, position.as_ref())
                .await;
            let page = match answer {
                Ok(page) => page,
                Err(error) => {
                    drop(permit);
                    // The answer that was lost may have been the one with the records.
                    empty_since.clear();
                    // AWS has looked: what it says of the shard is no failure, and this reader may end with it.
                    let answered = matches!(
                        error.kind,
                        ErrorKind::IteratorExpired
                            | ErrorKind::TrimmedData
                            | ErrorKind::ShardNotFound
                    );
                    if answered && failing {
                        failing = false;
                        backoff.reset();
                        self.tell(ShardEvent::Recovered).await?;
                    }
                    match error.kind {
                        // A new iterator from where we are; never loop on the dead one.
                        ErrorKind::IteratorExpired => {
                            iterator = None;
                            self.clock.sleep_ms(self.settings.poll_min_ms).await;
                        }
                        ErrorKind::TrimmedData => {
                            iterator = None;
                            from_horizon = true;
                            self.tell(ShardEvent::Trimmed {
                                shard_id: id.clone(),
                            })
                            .await?;
                        }
                        ErrorKind::ShardNotFound => {
                            return self
                                .tell(ShardEvent::Gone {
                                    shard_id: id.clone(),
                                })
                                .await;
                        }
                        // The iterator stays good for its 15 minutes: a new one might point before the horizon.
                        _ => {
                            let pause = if error.kind.passes() {
                                backoff.next_ms()
                            } else {
                                backoff.slowest_ms()
                            };
                            failing = true;
                            self.tell(ShardEvent::Failed { error }).await?;
                            self.clock.sleep_ms(pause).await;
                        }
                    }
                    continue;
                }
            };
            if failing {
                failing = false;
                backoff.reset();
                self.tell(ShardEvent::Recovered).await?;
            }
            let full =
                page.records.len() >= FULL_PAGE_RECORDS || page.buffer.len() >= FULL_PAGE_BYTES;
            // A page may repeat what was read before: that is no news, and no reason to ask more often.
            let newest = page.records.last().map(|last| &last.sequence_number);
            let news = newest
                .filter(|newest| position.as_ref().is_none_or(|read| *newest > read))
                .cloned();
            let has_news = news.is_some();
            if has_news {
                position = news;
                from_horizon = false;
            }
            if page.records.is_empty() {
                empty_since.push_back(asked_at_ms);
            } else {
                empty_since.clear();
                more_behind = full;
            }
            let at_tip = empty_since.len() >= EMPTY_PAGES_AT_TIP;
            let tip_ms = empty_since.front().copied().filter(|_| at_tip);
            if at_tip {
                empty_since.pop_front();
            }
            iterator.clone_from(&page.next_iterator);
            let end = iterator.is_none();
            let hurry = *self.hurry.borrow();
            let found = match (has_news, at_tip) {
                (true, _) if full => Found::FullPage,
                (true, _) => Found::News,
                (false, true) => Found::AtTip,
                (false, false) => Found::NothingYet,
            };
            let next_in_ms = match found {
                // Whatever this page was, more is waiting behind it.
                Found::NothingYet if more_behind => 0,
                _ => seat.next_ms(found, hurry, self.clock.now_ms()),
            };
            self.tell(ShardEvent::Page {
                shard_id: id.clone(),
                page,
                has_news,
                end,
                tip_ms,
                next_in_ms,
                permit,
            })
            .await?;
            if end {
                return Ok(());
            }
            self.rest(&seat, next_in_ms).await;
        }
    }

    /// Waits until the shard is to be read again; the pause of an idle one may end early.
    async fn rest(&self, seat: &Seat, pause_ms: u64) {
        if !seat.is_long(pause_ms) {
            if pause_ms > 0 {
                self.clock.sleep_ms(pause_ms).await;
            }
            return;
        }
        let mut hurry = self.hurry.clone();
        loop {
            // Listened to before looking: nothing that happens from here on is missed.
            let woken = seat.woken();
            let left_ms = seat.left_ms(self.clock.now_ms());
            if left_ms == 0 {
                return;
            }
            tokio::select! {
                () = self.clock.sleep_ms(left_ms) => {}
                () = woken => {}
                Ok(_) = hurry.wait_for(|hurry| *hurry) => return,
            }
        }
    }

    async fn next_page(
        &self,
        iterator: &mut Option<String>,
        from_horizon: bool,
        position: Option<&SequenceNumber>,
    ) -> mirror::error::Result<StreamPage> {
        let known = match iterator.take() {
            Some(known) => known,
            None => {
                let from = match position {
                    Some(position) if !from_horizon => ShardPosition::After(position.clone()),
                    _ => ShardPosition::TrimHorizon,
                };
                self.source
                    .shard_iterator(&self.stream_arn, &self.shard.shard_id, &from)
                    .await?
            }
        };
        self.source.get_records(iterator.insert(known)).await
    }

    async fn tell(&self, event: ShardEvent) -> Result<(), Unheard> {
        self.events.send(event).await.map_err(|_| Unheard)
    }
}
