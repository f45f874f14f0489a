//! Multipart uploads.

use bytes::BytesMut;
use md5::{Digest, Md5};

use super::{HEAD, SPACE};
use crate::api::{ApiError, ApiResponse, S3Request};
use crate::export_files::hex;
use crate::http::xml::escape;
use crate::s3::Upload;
use crate::world::World;

impl World {
    pub(super) fn create_upload(&mut self, request: &S3Request) -> ApiResponse {
        let id = self.rng.hex(32);
        let upload = Upload {
            bucket: request.bucket.clone(),
            key: request.key.clone(),
            content_type: request
                .header("content-type")
                .unwrap_or("binary/octet-stream")
                .to_owned(),
            parts: std::collections::BTreeMap::new(),
        };
        self.s3.uploads.insert(id.clone(), upload);
        let body = format!(
            "{HEAD}<InitiateMultipartUploadResult {SPACE}><Bucket>{}</Bucket><Key>{}</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>",
            escape(&request.bucket),
            escape(&request.key)
        );
        ApiResponse::new(200, "application/xml", body)
    }

    pub(super) fn upload_part(&mut self, request: &S3Request) -> Result<ApiResponse, ApiError> {
        let number = request
            .param("partNumber")
            .and_then(|number| number.parse().ok())
            .unwrap_or(1);
        let upload = self
            .s3
            .uploads
            .get_mut(request.param("uploadId").unwrap_or_default())
            .ok_or_else(no_upload)?;
        upload.parts.insert(number, request.body.clone());
        let mut response = ApiResponse::new(200, "application/xml", "");
        response.headers.push((
            "etag",
            format!("\"{}\"", hex(&Md5::digest(&request.body).into())),
        ));
        Ok(response)
    }

    pub(super) fn abort_upload(&mut self, request: &S3Request) -> Result<ApiResponse, ApiError> {
        let id = request.param("uploadId").unwrap_or_default();
        self.s3.uploads.remove(id).ok_or_else(no_upload)?;
        Ok(ApiResponse::new(204, "application/xml", ""))
    }

    pub(super) fn complete_upload(&mut self, request: &S3Request) -> Result<ApiResponse, ApiError> {
        let upload = self
            .s3
            .uploads
            .remove(request.param("uploadId").unwrap_or_default())
            .ok_or_else(no_upload)?;
        let mut body = BytesMut::new();
        let mut digests = Vec::new();
        for part in upload.parts.values() {
            body.extend_from_slice(part);
            digests.extend_from_slice(&Md5::digest(part));
        }
        let etag = format!(
            "{}-{}",
            hex(&Md5::digest(&digests).into()),
            upload.parts.len()
        );
        let mut like = S3Request::default();
        like.headers
            .push(("content-type".to_owned(), upload.content_type.clone()));
        self.keep(
            &upload.bucket,
            &upload.key,
            body.freeze(),
            etag.clone(),
            &like,
        );
        let xml = format!(
            "{HEAD}<CompleteMultipartUploadResult {SPACE}><Bucket>{}</Bucket><Key>{}</Key><ETag>&quot;{etag}&quot;</ETag></CompleteMultipartUploadResult>",
            escape(&upload.bucket),
            escape(&upload.key)
        );
        Ok(ApiResponse::new(200, "application/xml", xml))
    }
}

fn no_upload() -> ApiError {
    ApiError::with_status(
        "NoSuchUpload",
        404,
        "The specified multipart upload does not exist.",
    )
}
