//! The files of a project, as clients upload them.

use std::sync::Arc;

use axum::extract::{FromRequest, Multipart, Request};
use datafile::SourceFile;

use super::App;
use super::error::{ApiError, ApiResult};

const MAX_FILES: usize = 10_000;

/// An uploaded project.
pub(super) struct Upload {
    pub(super) files: Vec<SourceFile>,
    /// Files of other workspaces that came along and are left out.
    pub(super) vendored: usize,
}

impl FromRequest<Arc<App>> for Upload {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> ApiResult<Self> {
        let broken = |error: &dyn std::fmt::Display| {
            ApiError::bad_request(format!("the uploaded files cannot be read: {error}"))
                .into_failed_result()
        };
        let mut multipart = Multipart::from_request(request, app)
            .await
            .map_err(|error| broken(&error.body_text()))?;
        let mut upload = Self {
            files: Vec::new(),
            vendored: 0,
        };
        while let Some(field) = multipart
            .next_field()
            .await
            .map_err(|error| broken(&error.body_text()))?
        {
            let part = field.name().unwrap_or_default().to_owned();
            let path = field.file_name().map(str::to_owned);
            let bytes = field
                .bytes()
                .await
                .map_err(|error| broken(&error.body_text()))?;
            match part.as_str() {
                "data_project://" => {}
                "context://" => continue,
                "data_project_vendored://" => {
                    upload.vendored += 1;
                    continue;
                }
                // Left out in silence, its file would count as deleted.
                other => {
                    let unknown =
                        format!("the part {other:?} is unknown; files are sent as data_project://");
                    return Err(broken(&unknown));
                }
            }
            let path = path.ok_or_else(|| broken(&"a file has no name"))?;
            if path.is_empty() || path.len() > 1024 || path.chars().any(char::is_control) {
                return Err(broken(&"a file's name is empty, too long or not one line"));
            }
            let text = String::from_utf8(bytes.into())
                .map_err(|_| broken(&format!("{path} is not UTF-8 text")))?;
            if upload.files.len() == MAX_FILES {
                return Err(broken(&format!("there are more than {MAX_FILES} files")));
            }
            upload.files.push(SourceFile { path, text });
        }
        Ok(upload)
    }
}
