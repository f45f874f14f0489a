//! The shards of a stream as the worker's port gives them.

use aws_sim::{ApiError, World};
use mirror::sequence_number::SequenceNumber;
use mirror::source::{Shard, StreamDescription};
use mirror::table::StreamViewType;

/// Page after page as DescribeStream gives them, without the JSON: nothing is asked for more often. And how many pages.
pub(super) fn all_shards(
    world: &World,
    stream_arn: &str,
) -> Result<(StreamDescription, usize), ApiError> {
    let Some(stream) = world
        .stream_states()
        .find(|stream| stream.arn == stream_arn)
    else {
        return Err(ApiError::new(
            "ResourceNotFoundException",
            "Requested resource not found: Stream",
        ));
    };
    let now_ms = world.now_ms();
    let mut shards: Vec<Shard> = Vec::new();
    loop {
        let after = shards
            .last()
            .map(|shard| shard.id.clone())
            .unwrap_or_default();
        let listed = stream
            .shards()
            .filter(|shard| shard.visible_ms <= now_ms && shard.id > after);
        let page: Vec<Shard> = listed.take(PAGE_SHARDS).map(shard).collect();
        let last = page.len() < PAGE_SHARDS;
        shards.extend(page);
        if last {
            let status = stream.status(now_ms).to_owned();
            let pages = shards.len() / PAGE_SHARDS + 1;
            let all = StreamDescription {
                status,
                view_type: StreamViewType::NewAndOldImages,
                shards,
            };
            return Ok((all, pages));
        }
    }
}

/// The most DescribeStream lists in one answer.
const PAGE_SHARDS: usize = 100;

fn shard(found: &aws_sim::shard::Shard) -> Shard {
    let number = |position| SequenceNumber::parse(&found.number(position));
    Shard {
        id: found.id.clone(),
        parent: found.parent.clone(),
        starting: number(found.first),
        ending: found.ending.and_then(number),
    }
}
