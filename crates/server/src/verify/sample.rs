//! Candidates at random: items that DynamoDB has, and keys that the mirror has.

use std::collections::BTreeSet;

use mirror::error::{ErrorKind, Result};
use mirror::source::ScanRequest;

use super::keys;
use super::run::{Check, Outcome, failed};

/// Segments that a scan looks into, at most, while it finds too few items.
const MAX_SEGMENTS: u32 = 400;

/// A segment should have about this many items.
const ITEMS_PER_SEGMENT: u64 = 50;

impl Check<'_> {
    pub(super) async fn sample(
        &self,
        count: u32,
        outcome: &mut Outcome,
    ) -> Result<Vec<Vec<String>>> {
        let wanted = count as usize;
        let mut candidates: BTreeSet<Vec<String>> = BTreeSet::new();
        match self.scan(wanted).await {
            Ok(found) => candidates.extend(found),
            Err(error) if error.kind == ErrorKind::AccessDenied => outcome.notes.push(
                "the role may not dynamodb:Scan the table, so items that the mirror lacks were not looked for".to_owned(),
            ),
            Err(error) => return Err(error),
        }
        self.of.job.phase("picking keys of the mirror", 0);
        let live = self.of.verifier.sample_keys(self.plan(), wanted).await?;
        candidates.extend(live.into_iter().map(|key| key.keys));
        let candidates: Vec<_> = candidates.into_iter().collect();
        if let Some(first) = candidates.first() {
            self.may_read(first).await?;
        }
        outcome.checked = candidates.len() as u64;
        Ok(candidates)
    }

    async fn may_read(&self, texts: &[String]) -> Result<()> {
        let key = keys::to_json(self.plan(), texts);
        match self.source.read_items(&[key]).await {
            Err(error) if error.kind == ErrorKind::AccessDenied => Err(failed(&format!(
                "the role may not read single items: add dynamodb:BatchGetItem (and dynamodb:Scan) to its access policy, or verify by an export with --full ({})",
                error.report()
            ))),
            other => other.map(drop),
        }
    }

    /// Keys of items in random segments of the table.
    async fn scan(&self, wanted: usize) -> Result<Vec<Vec<String>>> {
        let table = self.source.describe_table().await?;
        let total = u32::try_from(table.item_count / ITEMS_PER_SEGMENT).unwrap_or(u32::MAX);
        let total_segments = total.clamp(1, 1_000_000);
        self.of
            .job
            .phase("scanning random parts of the table", wanted as u64);
        let mut found = Vec::new();
        for segment in random_numbers(total_segments, MAX_SEGMENTS) {
            let mut after = None;
            loop {
                let left = wanted.saturating_sub(found.len());
                let request = ScanRequest {
                    segment,
                    total_segments,
                    limit: u32::try_from(left.clamp(1, 100)).unwrap_or(100),
                    after: after.take(),
                };
                let page = self.source.scan(&request).await?;
                let items = page.items.iter();
                let keys = items.filter_map(|item| keys::of_item(self.plan(), item));
                let before = found.len();
                found.extend(keys);
                self.of.job.advance((found.len() - before) as u64);
                if found.len() >= wanted {
                    found.truncate(wanted);
                    return Ok(found);
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        Ok(found)
    }
}

/// Up to `count` different numbers below `below`, in random order.
fn random_numbers(below: u32, count: u32) -> Vec<u32> {
    let mut seen = BTreeSet::new();
    let mut numbers = Vec::new();
    // Few collisions, or few numbers: the bound is never met in practice.
    for _ in 0..u64::from(count) * 64 {
        let bytes = *uuid::Uuid::new_v4().as_bytes();
        let number = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) % below;
        if seen.insert(number) {
            numbers.push(number);
        }
        if numbers.len() as u32 >= count.min(below) {
            break;
        }
    }
    numbers
}
