//! Buckets and objects.

use std::collections::BTreeMap;

use bytes::Bytes;

/// An object. Times are epoch milliseconds.
#[derive(Debug, Clone)]
pub struct Object {
    pub body: Bytes,
    /// Without quotes.
    pub etag: String,
    pub modified_ms: i64,
    pub content_type: String,
    /// `x-amz-meta-…` and other headers given back as they came.
    pub headers: Vec<(String, String)>,
}

/// A bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    pub region: String,
    pub created_ms: i64,
    pub objects: BTreeMap<String, Object>,
}

/// A multipart upload in progress.
#[derive(Debug, Clone)]
pub struct Upload {
    pub bucket: String,
    pub key: String,
    pub content_type: String,
    pub parts: BTreeMap<u32, Bytes>,
}

/// All of S3.
#[derive(Debug, Clone, Default)]
pub struct Storage {
    pub buckets: BTreeMap<String, Bucket>,
    pub uploads: BTreeMap<String, Upload>,
}

impl Storage {
    /// Creates a bucket in a region; an existing one is kept.
    pub fn create_bucket(&mut self, name: &str, region: &str) {
        self.buckets
            .entry(name.to_owned())
            .or_insert_with(|| Bucket {
                region: region.to_owned(),
                created_ms: 0,
                objects: BTreeMap::new(),
            });
    }

    /// Removes a bucket with all it holds.
    pub fn delete_bucket(&mut self, name: &str) {
        self.buckets.remove(name);
    }

    /// Stores an object if the bucket exists.
    pub fn put(&mut self, bucket: &str, key: &str, object: Object) -> bool {
        match self.buckets.get_mut(bucket) {
            Some(bucket) => {
                bucket.objects.insert(key.to_owned(), object);
                true
            }
            None => false,
        }
    }

    /// An object's bytes.
    pub fn body(&self, bucket: &str, key: &str) -> Option<Bytes> {
        Some(self.buckets.get(bucket)?.objects.get(key)?.body.clone())
    }

    /// Keys of a bucket that start with `prefix`, in order.
    pub fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let Some(bucket) = self.buckets.get(bucket) else {
            return Vec::new();
        };
        let from = bucket.objects.range(prefix.to_owned()..);
        from.map(|(key, _)| key)
            .take_while(|key| key.starts_with(prefix))
            .cloned()
            .collect()
    }
}
