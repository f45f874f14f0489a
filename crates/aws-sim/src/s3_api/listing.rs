//! ListObjectsV2 (and its predecessor's paging).

use super::{HEAD, SPACE};
use crate::api::{ApiError, ApiResponse, S3Request};
use crate::http::xml::escape;
use crate::s3::Bucket;
use crate::timestamp;
use crate::world::World;

const KEY_CHARS: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// One page of a bucket's keys.
struct Page {
    contents: String,
    groups: Vec<String>,
    count: usize,
    /// The last key or group shown, if there are more.
    next: Option<String>,
}

impl World {
    pub(super) fn list_objects(&self, request: &S3Request) -> Result<ApiResponse, ApiError> {
        let Some(bucket) = self.s3.buckets.get(&request.bucket) else {
            return Err(ApiError::with_status(
                "NoSuchBucket",
                404,
                "The specified bucket does not exist",
            ));
        };
        let max = request
            .param("max-keys")
            .and_then(|max| max.parse().ok())
            .unwrap_or(1000)
            .min(1000);
        let page = page(bucket, request, max);
        let mut body = format!(
            "{HEAD}<ListBucketResult {SPACE}><Name>{}</Name><Prefix>{}</Prefix><KeyCount>{}</KeyCount><MaxKeys>{max}</MaxKeys><IsTruncated>{}</IsTruncated>{}",
            escape(&request.bucket),
            encode(request, request.param("prefix").unwrap_or_default()),
            page.count,
            page.next.is_some(),
            page.contents
        );
        if request.param("encoding-type") == Some("url") {
            body.push_str("<EncodingType>url</EncodingType>");
        }
        for group in page.groups {
            let group = encode(request, &group);
            body.push_str(&format!(
                "<CommonPrefixes><Prefix>{group}</Prefix></CommonPrefixes>"
            ));
        }
        if let Some(next) = page.next {
            let name = if request.param("list-type").is_some() {
                "NextContinuationToken"
            } else {
                "NextMarker"
            };
            body.push_str(&format!("<{name}>{}</{name}>", escape(&next)));
        }
        body.push_str("</ListBucketResult>");
        Ok(ApiResponse::new(200, "application/xml", body))
    }
}

fn encode(request: &S3Request, text: &str) -> String {
    if request.param("encoding-type") == Some("url") {
        percent_encoding::utf8_percent_encode(text, KEY_CHARS).to_string()
    } else {
        escape(text)
    }
}

fn page(bucket: &Bucket, request: &S3Request, max: usize) -> Page {
    let prefix = request.param("prefix").unwrap_or_default();
    let delimiter = request.param("delimiter").unwrap_or_default();
    let after = request
        .param("continuation-token")
        .or(request.param("start-after"))
        .or(request.param("marker"))
        .unwrap_or_default();
    let mut page = Page {
        contents: String::new(),
        groups: Vec::new(),
        count: 0,
        next: None,
    };
    let mut last = String::new();
    for (key, object) in bucket
        .objects
        .range(prefix.to_owned()..)
        .take_while(|(key, _)| key.starts_with(prefix))
    {
        let group = (!delimiter.is_empty())
            .then(|| key[prefix.len()..].find(delimiter))
            .flatten()
            .map(|at| key[..prefix.len() + at + delimiter.len()].to_owned());
        let shown = group.as_deref().unwrap_or(key);
        if shown <= after || page.groups.last().is_some_and(|seen| seen == shown) {
            continue;
        }
        if page.count == max {
            page.next = Some(last);
            break;
        }
        page.count += 1;
        last = shown.to_owned();
        match group {
            Some(group) => page.groups.push(group),
            None => page.contents.push_str(&format!(
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>&quot;{}&quot;</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                encode(request, key),
                timestamp::iso(object.modified_ms),
                object.etag,
                object.body.len()
            )),
        }
    }
    page
}
