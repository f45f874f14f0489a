//! Words for what stands between a table and its mirror.

use datafile::named_enum;

use crate::error::ErrorKind;

named_enum! {
    /// Why a table cannot be mirrored, at set-up or while its mirror runs, or why a question about one has no
    /// answer. Those that the API of the connector knows have its words.
    pub enum Reason {
        TableNotFound = "table_not_found",
        PitrDisabled = "pitr_disabled",
        StreamDisabled = "stream_disabled",
        StreamViewInvalid = "stream_view_invalid",
        TableTooLarge = "table_too_large",
        TableWcuExceedsLimit = "table_wcu_exceeds_limit",
        UnableToAssumeRole = "unable_to_assume_role",
        MissingCredentials = "missing_credentials",
        RegionDiffers = "region_differs",
        ExportBucket = "export_bucket",
        TableNotDescribed = "table_not_described",
        InvalidJsonBody = "invalid_json_body",
        TableArnAndRegionRequired = "table_arn_and_region_required",
        RoleArnRequired = "role_arn_required",
        Throttled = "throttled",
        Unavailable = "unavailable",
        AccessDenied = "access_denied",
        PitrNotReady = "pitr_not_ready",
        StreamPositionLost = "stream_position_lost",
        ExportFailed = "export_failed",
        ExportConflict = "export_conflict",
        ExportTime = "export_time",
        CorruptData = "corrupt_data",
        DiskFull = "disk_full",
        ClickhouseRefused = "clickhouse_refused",
        OtherFailure = "other_failure",
    }
}

impl Reason {
    /// Whether a build switches on what is missing, if the role may.
    pub fn can_be_switched_on(self) -> bool {
        matches!(self, Self::PitrDisabled | Self::StreamDisabled)
    }
}

impl From<&ErrorKind> for Reason {
    fn from(kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::Throttled => Self::Throttled,
            ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::RoleRefused => Self::UnableToAssumeRole,
            ErrorKind::CredentialsMissing => Self::MissingCredentials,
            ErrorKind::AccessDenied => Self::AccessDenied,
            ErrorKind::TableNotFound => Self::TableNotFound,
            ErrorKind::Bucket => Self::ExportBucket,
            ErrorKind::PitrUnavailable => Self::PitrNotReady,
            ErrorKind::IteratorExpired | ErrorKind::TrimmedData | ErrorKind::ShardNotFound => {
                Self::StreamPositionLost
            }
            ErrorKind::ExportFailed { .. } => Self::ExportFailed,
            ErrorKind::ExportConflict => Self::ExportConflict,
            ErrorKind::ExportTime => Self::ExportTime,
            ErrorKind::Corrupt => Self::CorruptData,
            ErrorKind::DiskFull => Self::DiskFull,
            ErrorKind::Rejected { .. } => Self::ClickhouseRefused,
            ErrorKind::Permanent => Self::OtherFailure,
        }
    }
}
