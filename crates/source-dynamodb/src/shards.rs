//! DescribeStream, every page of it.

use aws_sdk_dynamodbstreams::types::Shard as SdkShard;
use mirror::error::{Error, ErrorKind, Result};
use mirror::sequence_number::SequenceNumber;
use mirror::source::{Shard, StreamDescription};

use crate::error::{Subject, quoted};
use crate::source::AwsSource;
use crate::table::view_type;

/// At 100 shards a page this is a stream of a million shards: more means that the listing runs in circles.
const MAX_PAGES: usize = 10_000;

impl AwsSource {
    pub(crate) async fn all_shards(&self, stream_arn: &str) -> Result<StreamDescription> {
        let context = || format!("describe stream {stream_arn}");
        let mut shards = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let send = || {
                let call = self
                    .clients
                    .streams
                    .describe_stream()
                    .stream_arn(stream_arn);
                call.set_exclusive_start_shard_id(after.clone()).send()
            };
            let page = self
                .call(Subject::Stream, context, send)
                .await?
                .stream_description;
            let Some(page) = page else {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    format!("{}: the answer has no stream", context()),
                ));
            };
            for found in page.shards() {
                shards.push(shard(found).ok_or_else(|| broken(stream_arn, found))?);
            }
            // A page with few shards or none can still have a successor; only this member tells.
            let next = page.last_evaluated_shard_id().filter(|id| !id.is_empty());
            let Some(next) = next else {
                return Ok(StreamDescription {
                    status: page
                        .stream_status()
                        .map_or("UNKNOWN", |status| status.as_str())
                        .to_owned(),
                    view_type: view_type(page.stream_view_type().map(|view| view.as_str()))?,
                    shards,
                });
            };
            if after.as_deref() == Some(next) {
                let context = format!(
                    "{}: page after {} points at itself",
                    context(),
                    quoted(next)
                );
                return Err(Error::new(ErrorKind::Corrupt, context));
            }
            after = Some(next.to_owned());
        }
        Err(Error::new(
            ErrorKind::Corrupt,
            format!("{}: more than {MAX_PAGES} pages of shards", context()),
        ))
    }
}

fn broken(stream_arn: &str, found: &SdkShard) -> Error {
    let id = quoted(found.shard_id().unwrap_or("without an id"));
    Error::new(
        ErrorKind::Corrupt,
        format!("describe stream {stream_arn}: shard {id} has no usable sequence number range"),
    )
}

fn shard(found: &SdkShard) -> Option<Shard> {
    let range = found.sequence_number_range();
    let number = |text: Option<&str>| match text.filter(|text| !text.is_empty()) {
        None => Some(None),
        Some(text) => SequenceNumber::parse(text).map(Some),
    };
    Some(Shard {
        id: found.shard_id().filter(|id| !id.is_empty())?.to_owned(),
        parent: found
            .parent_shard_id()
            .filter(|id| !id.is_empty())
            .map(str::to_owned),
        starting: number(range.and_then(|range| range.starting_sequence_number()))?,
        ending: number(range.and_then(|range| range.ending_sequence_number()))?,
    })
}
