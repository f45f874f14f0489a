//! GetShardIterator and GetRecords: one shard, one page at a time.

use aws_sdk_dynamodbstreams::operation::get_records::{GetRecords, GetRecordsOutput};
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use aws_smithy_runtime_api::client::interceptors::context::Output;
use mirror::change::StreamPage;
use mirror::error::{Error, ErrorKind, Result};
use mirror::source::ShardPosition;

use crate::error::Subject;
use crate::raw::RawBodies;
use crate::records;
use crate::source::AwsSource;

/// The most AWS gives in one answer; a page also ends at 1 MB.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html>
const PAGE_RECORDS: i32 = 1000;

impl AwsSource {
    pub(crate) async fn iterator_at(
        &self,
        stream_arn: &str,
        shard_id: &str,
        position: &ShardPosition,
    ) -> Result<String> {
        let context = || format!("get an iterator for shard {shard_id}");
        let send = || {
            let call = self
                .clients
                .streams
                .get_shard_iterator()
                .stream_arn(stream_arn)
                .shard_id(shard_id);
            match position {
                ShardPosition::TrimHorizon => call
                    .shard_iterator_type(ShardIteratorType::TrimHorizon)
                    .send(),
                ShardPosition::After(number) => call
                    .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                    .sequence_number(number.as_str())
                    .send(),
            }
        };
        let answer = self.call(Subject::Stream, context, send).await?;
        let none = || {
            Error::new(
                ErrorKind::Unavailable,
                format!("{}: the answer has none", context()),
            )
        };
        answer.shard_iterator.ok_or_else(none)
    }

    pub(crate) async fn records_page(&self, iterator: &str) -> Result<StreamPage> {
        let raw = RawBodies::new(&GetRecords::new(), || {
            Output::erase(GetRecordsOutput::builder().build())
        });
        let send = || {
            self.clients
                .streams
                .get_records()
                .shard_iterator(iterator)
                .limit(PAGE_RECORDS)
                .customize()
                .interceptor(raw.clone())
                .send()
        };
        self.call(Subject::Stream, || "get records".to_owned(), send)
            .await?;
        records::page(raw.take_answer())
    }
}
