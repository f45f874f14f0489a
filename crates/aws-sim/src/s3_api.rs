//! S3's REST interface, path style.

mod listing;
mod upload;

use bytes::Bytes;
use md5::{Digest, Md5};

use crate::api::{ApiError, ApiResponse, S3Request};
use crate::export_files::hex;
use crate::http::xml::{elements, escape};
use crate::iam::Caller;
use crate::s3::Object;
use crate::timestamp;
use crate::world::World;

const SPACE: &str = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// The action's name, as IAM and faults know it without `s3:`.
pub fn action(request: &S3Request) -> &'static str {
    let has = |name: &str| request.param(name).is_some();
    match (
        request.method.as_str(),
        request.bucket.is_empty(),
        request.key.is_empty(),
    ) {
        ("GET", true, _) => "ListBuckets",
        ("GET", _, true) if has("location") => "GetBucketLocation",
        ("GET", _, true) => "ListObjectsV2",
        ("HEAD", _, true) => "HeadBucket",
        ("PUT", _, true) => "CreateBucket",
        ("DELETE", _, true) => "DeleteBucket",
        ("POST", _, true) if has("delete") => "DeleteObjects",
        ("GET", ..) => "GetObject",
        ("HEAD", ..) => "HeadObject",
        ("PUT", ..) if has("acl") => "PutObjectAcl",
        ("PUT", ..) if has("uploadId") => "UploadPart",
        ("PUT", ..) => "PutObject",
        ("POST", ..) if has("uploads") => "CreateMultipartUpload",
        ("POST", ..) if has("uploadId") => "CompleteMultipartUpload",
        ("DELETE", ..) if has("uploadId") => "AbortMultipartUpload",
        ("DELETE", ..) => "DeleteObject",
        _ => "Unknown",
    }
}

fn permission(action: &str) -> &str {
    match action {
        "ListBuckets" => "ListAllMyBuckets",
        "ListObjectsV2" | "HeadBucket" => "ListBucket",
        "HeadObject" => "GetObject",
        "UploadPart" | "CreateMultipartUpload" | "CompleteMultipartUpload" => "PutObject",
        "DeleteObjects" => "DeleteObject",
        other => other,
    }
}

impl World {
    pub(crate) fn s3_action(
        &mut self,
        caller: &Caller,
        region: Option<&str>,
        request: &S3Request,
    ) -> Result<ApiResponse, ApiError> {
        let action = action(request);
        if action == "CreateBucket" {
            return self.create_bucket(request, region);
        }
        if !request.bucket.is_empty() {
            self.check_bucket(request, region)?;
        }
        let object_level = !request.key.is_empty() || action == "DeleteObjects";
        let resource = match (request.bucket.is_empty(), object_level) {
            (true, _) => "*".to_owned(),
            (_, true) => format!("arn:aws:s3:::{}/{}", request.bucket, request.key),
            _ => format!("arn:aws:s3:::{}", request.bucket),
        };
        self.permit(caller, permission(action), &resource)
            .map_err(|mut error| {
                // HeadBucket names the region even to callers it refuses.
                if let Some(bucket) = self.s3.buckets.get(&request.bucket) {
                    error
                        .headers
                        .push(("x-amz-bucket-region", bucket.region.clone()));
                }
                error
            })?;
        match action {
            "ListBuckets" => Ok(self.list_buckets()),
            "GetBucketLocation" => Ok(self.bucket_location(request)),
            "ListObjectsV2" => self.list_objects(request),
            "HeadBucket" => Ok(ApiResponse::new(200, "application/xml", "")),
            "DeleteBucket" => self.delete_bucket(request),
            "GetObject" | "HeadObject" => self.get_object(caller, request),
            "PutObject" => self.put_object(request),
            "UploadPart" => self.upload_part(request),
            "CreateMultipartUpload" => Ok(self.create_upload(request)),
            "CompleteMultipartUpload" => self.complete_upload(request),
            "AbortMultipartUpload" => self.abort_upload(request),
            "PutObjectAcl" => self.set_acl(caller, request),
            "DeleteObject" => {
                self.remove(&request.bucket, &request.key);
                Ok(ApiResponse::new(204, "application/xml", ""))
            }
            "DeleteObjects" => Ok(self.delete_objects(request)),
            _ => Err(ApiError::with_status(
                "MethodNotAllowed",
                405,
                "The specified method is not allowed against this resource.",
            )),
        }
        .map(|mut response| {
            if let Some(bucket) = self.s3.buckets.get(&request.bucket)
                && action == "HeadBucket"
            {
                response
                    .headers
                    .push(("x-amz-bucket-region", bucket.region.clone()));
            }
            response
        })
    }

    fn permit(&self, caller: &Caller, action: &str, resource: &str) -> Result<(), ApiError> {
        if self.iam.allowed(caller, &format!("s3:{action}"), resource) {
            return Ok(());
        }
        Err(ApiError::with_status(
            "AccessDenied",
            403,
            format!(
                "User: {} is not authorized to perform: s3:{action} on resource: \"{resource}\" because no identity-based policy allows the s3:{action} action",
                caller.arn
            ),
        ))
    }

    /// The bucket must exist and be in the region the caller signed for.
    fn check_bucket(&self, request: &S3Request, region: Option<&str>) -> Result<(), ApiError> {
        let Some(bucket) = self.s3.buckets.get(&request.bucket) else {
            return Err(ApiError::with_status(
                "NoSuchBucket",
                404,
                "The specified bucket does not exist",
            ));
        };
        if region.is_some_and(|region| region != bucket.region) {
            let mut error = ApiError::with_status(
                "PermanentRedirect",
                301,
                "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.",
            );
            error
                .headers
                .push(("x-amz-bucket-region", bucket.region.clone()));
            return Err(error);
        }
        Ok(())
    }

    fn create_bucket(
        &mut self,
        request: &S3Request,
        region: Option<&str>,
    ) -> Result<ApiResponse, ApiError> {
        let xml = String::from_utf8_lossy(&request.body);
        let wanted = elements(&xml, "LocationConstraint").pop();
        let region = wanted
            .or_else(|| region.map(str::to_owned))
            .unwrap_or_else(|| self.config.region.clone());
        if let Some(bucket) = self.s3.buckets.get(&request.bucket)
            && bucket.region != "us-east-1"
        {
            return Err(ApiError::with_status(
                "BucketAlreadyOwnedByYou",
                409,
                "Your previous request to create the named bucket succeeded and you already own it.",
            ));
        }
        self.s3.create_bucket(&request.bucket, &region);
        let now_ms = self.now_ms;
        if let Some(bucket) = self.s3.buckets.get_mut(&request.bucket) {
            bucket.created_ms = now_ms;
        }
        let mut response = ApiResponse::new(200, "application/xml", "");
        response
            .headers
            .push(("location", format!("/{}", request.bucket)));
        Ok(response)
    }

    fn delete_bucket(&mut self, request: &S3Request) -> Result<ApiResponse, ApiError> {
        if self
            .s3
            .buckets
            .get(&request.bucket)
            .is_some_and(|bucket| !bucket.objects.is_empty())
        {
            return Err(ApiError::with_status(
                "BucketNotEmpty",
                409,
                "The bucket you tried to delete is not empty",
            ));
        }
        self.s3.delete_bucket(&request.bucket);
        Ok(ApiResponse::new(204, "application/xml", ""))
    }

    fn list_buckets(&self) -> ApiResponse {
        let owner = &self.config.account;
        let mut body = format!(
            "{HEAD}<ListAllMyBucketsResult {SPACE}><Owner><ID>{owner}</ID></Owner><Buckets>"
        );
        for (name, bucket) in &self.s3.buckets {
            body.push_str(&format!(
                "<Bucket><Name>{}</Name><CreationDate>{}</CreationDate><BucketRegion>{}</BucketRegion></Bucket>",
                escape(name),
                timestamp::iso(bucket.created_ms),
                bucket.region
            ));
        }
        body.push_str("</Buckets></ListAllMyBucketsResult>");
        ApiResponse::new(200, "application/xml", body)
    }

    fn bucket_location(&self, request: &S3Request) -> ApiResponse {
        let region = self
            .s3
            .buckets
            .get(&request.bucket)
            .map_or("", |bucket| bucket.region.as_str());
        let region = if region == "us-east-1" { "" } else { region };
        ApiResponse::new(
            200,
            "application/xml",
            format!("{HEAD}<LocationConstraint {SPACE}>{region}</LocationConstraint>"),
        )
    }

    fn get_object(&self, caller: &Caller, request: &S3Request) -> Result<ApiResponse, ApiError> {
        let object = self
            .s3
            .buckets
            .get(&request.bucket)
            .and_then(|bucket| bucket.objects.get(&request.key));
        let Some(object) = object else {
            return Err(self.no_such_key(caller, request));
        };
        let size = object.body.len();
        if request
            .header("if-match")
            .is_some_and(|etag| etag.trim_matches('"') != object.etag)
        {
            return Err(ApiError::with_status(
                "PreconditionFailed",
                412,
                "At least one of the pre-conditions you specified did not hold",
            ));
        }
        let range = request
            .header("range")
            .and_then(|range| parse_range(range, size));
        let (status, body) = match range {
            None => (200, object.body.clone()),
            Some(Err(())) => {
                return Err(ApiError::with_status(
                    "InvalidRange",
                    416,
                    "The requested range is not satisfiable",
                ));
            }
            Some(Ok((from, to))) => (206, object.body.slice(from..to)),
        };
        let mut response = ApiResponse::new(status, &object.content_type, body);
        if let Some(Ok((from, to))) = range {
            response
                .headers
                .push(("content-range", format!("bytes {from}-{}/{size}", to - 1)));
        }
        response
            .headers
            .push(("etag", format!("\"{}\"", object.etag)));
        response
            .headers
            .push(("last-modified", timestamp::http_date(object.modified_ms)));
        response.headers.push(("accept-ranges", "bytes".to_owned()));
        response
            .extra_headers
            .extend(object.headers.iter().cloned());
        Ok(response)
    }

    /// Without s3:ListBucket, AWS does not admit that a key is absent.
    fn no_such_key(&self, caller: &Caller, request: &S3Request) -> ApiError {
        let bucket = format!("arn:aws:s3:::{}", request.bucket);
        match self.permit(caller, "ListBucket", &bucket) {
            Err(error) => error,
            Ok(()) => ApiError::with_status("NoSuchKey", 404, "The specified key does not exist."),
        }
    }

    /// Whose an object is changes nothing here.
    fn set_acl(&self, caller: &Caller, request: &S3Request) -> Result<ApiResponse, ApiError> {
        let bucket = self.s3.buckets.get(&request.bucket);
        if bucket.is_none_or(|bucket| !bucket.objects.contains_key(&request.key)) {
            return Err(self.no_such_key(caller, request));
        }
        Ok(ApiResponse::new(200, "application/xml", ""))
    }

    fn put_object(&mut self, request: &S3Request) -> Result<ApiResponse, ApiError> {
        let body = match request.header("x-amz-copy-source") {
            None => request.body.clone(),
            Some(source) => {
                let source = percent_encoding::percent_decode_str(source.trim_start_matches('/'))
                    .decode_utf8_lossy();
                let copied = source
                    .split_once('/')
                    .and_then(|(bucket, key)| self.s3.body(bucket, key));
                copied.ok_or_else(|| {
                    ApiError::with_status("NoSuchKey", 404, "The specified key does not exist.")
                })?
            }
        };
        let etag = hex(&Md5::digest(&body).into());
        self.keep(&request.bucket, &request.key, body, etag.clone(), request);
        if request.header("x-amz-copy-source").is_some() {
            let xml = format!(
                "{HEAD}<CopyObjectResult {SPACE}><LastModified>{}</LastModified><ETag>&quot;{etag}&quot;</ETag></CopyObjectResult>",
                timestamp::iso(self.now_ms)
            );
            return Ok(ApiResponse::new(200, "application/xml", xml));
        }
        let mut response = ApiResponse::new(200, "application/xml", "");
        response.headers.push(("etag", format!("\"{etag}\"")));
        Ok(response)
    }

    fn keep(&mut self, bucket: &str, key: &str, body: Bytes, etag: String, request: &S3Request) {
        let kept = request.headers.iter().filter(|(name, _)| {
            name.starts_with("x-amz-meta-")
                || name == "cache-control"
                || name == "content-disposition"
        });
        let object = Object {
            body,
            etag,
            modified_ms: self.now_ms,
            content_type: request
                .header("content-type")
                .unwrap_or("binary/octet-stream")
                .to_owned(),
            headers: kept.cloned().collect(),
        };
        self.s3.put(bucket, key, object);
    }

    fn remove(&mut self, bucket: &str, key: &str) {
        if let Some(bucket) = self.s3.buckets.get_mut(bucket) {
            bucket.objects.remove(key);
        }
    }

    fn delete_objects(&mut self, request: &S3Request) -> ApiResponse {
        let xml = String::from_utf8_lossy(&request.body);
        let mut body = format!("{HEAD}<DeleteResult {SPACE}>");
        for key in elements(&xml, "Key") {
            self.remove(&request.bucket, &key);
            body.push_str(&format!("<Deleted><Key>{}</Key></Deleted>", escape(&key)));
        }
        body.push_str("</DeleteResult>");
        ApiResponse::new(200, "application/xml", body)
    }
}

/// The XML of a refusal; HEAD has no body.
pub(crate) fn failure(error: &ApiError, request: &S3Request) -> ApiResponse {
    let body = if request.method == "HEAD" {
        String::new()
    } else {
        format!(
            "{HEAD}<Error><Code>{}</Code><Message>{}</Message><BucketName>{}</BucketName><Key>{}</Key><RequestId>SIM</RequestId></Error>",
            escape(&error.code),
            escape(&error.message),
            escape(&request.bucket),
            escape(&request.key)
        )
    };
    let mut response = ApiResponse::new(error.status, "application/xml", body);
    response.headers.extend(error.headers.iter().cloned());
    response
}

/// S3's names for bad credentials.
pub(crate) fn token_error(error: ApiError) -> ApiError {
    match error.code.as_str() {
        "ExpiredTokenException" => ApiError::new("ExpiredToken", "The provided token has expired."),
        "UnrecognizedClientException" => ApiError::with_status(
            "InvalidAccessKeyId",
            403,
            "The AWS Access Key Id you provided does not exist in our records.",
        ),
        _ => ApiError::with_status("AccessDenied", 403, "Access Denied"),
    }
}

/// `bytes=a-b`, `bytes=a-`, `bytes=-n` as a half-open range; `None` if it is to be ignored.
fn parse_range(text: &str, size: usize) -> Option<Result<(usize, usize), ()>> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (from, to) = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), Ok(to)) if to >= from => (from, size.min(to.saturating_add(1))),
        (Ok(from), Err(_)) if to.is_empty() => (from, size),
        (Err(_), Ok(count)) if from.is_empty() => (size.saturating_sub(count), size),
        _ => return None,
    };
    Some(if from >= size {
        Err(())
    } else {
        Ok((from, to))
    })
}
