//! What the role has to be allowed to do: one list for the policy that is printed and for the doctor that tries it.

/// One action of IAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// `dynamodb:Scan`
    Scan,
    /// `dynamodb:DescribeStream`
    DescribeStream,
    /// `dynamodb:DescribeExport`
    DescribeExport,
    /// `dynamodb:GetRecords`
    GetRecords,
    /// `dynamodb:GetShardIterator`
    GetShardIterator,
    /// `dynamodb:DescribeTable`
    DescribeTable,
    /// `dynamodb:DescribeContinuousBackups`
    DescribeContinuousBackups,
    /// `dynamodb:ExportTableToPointInTime`
    ExportTableToPointInTime,
    /// `dynamodb:UpdateTable`
    UpdateTable,
    /// `dynamodb:UpdateContinuousBackups`
    UpdateContinuousBackups,
    /// `s3:PutObject`
    PutObject,
    /// `s3:GetObject`
    GetObject,
    /// `s3:ListBucket`
    ListBucket,
    /// `s3:AbortMultipartUpload`
    AbortMultipartUpload,
    /// `s3:PutObjectAcl`
    PutObjectAcl,
}

/// The first statement of the access policy, in the order in which it is printed.
pub const DYNAMODB_ACTIONS: [Action; 10] = [
    Action::Scan,
    Action::DescribeStream,
    Action::DescribeExport,
    Action::GetRecords,
    Action::GetShardIterator,
    Action::DescribeTable,
    Action::DescribeContinuousBackups,
    Action::ExportTableToPointInTime,
    Action::UpdateTable,
    Action::UpdateContinuousBackups,
];

/// The second statement.
pub const BUCKET_ACTIONS: [Action; 3] = [Action::PutObject, Action::GetObject, Action::ListBucket];

/// In no statement of the access policy, though AWS's guide to exports lists them.
pub const GUIDE_ACTIONS: [Action; 2] = [Action::AbortMultipartUpload, Action::PutObjectAcl];

/// Which statement of the access policy has an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statement {
    /// The first, about table, streams and exports.
    Dynamodb,
    /// The second, about the bucket.
    Bucket,
    /// None: only AWS's guide has it.
    Guide,
}

/// What an action is allowed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The table.
    Table,
    /// Its streams.
    Streams,
    /// Its exports.
    Exports,
    /// The bucket.
    Bucket,
    /// What is in it.
    Objects,
}

impl Action {
    /// As a policy spells it, `dynamodb:Scan`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scan => "dynamodb:Scan",
            Self::DescribeStream => "dynamodb:DescribeStream",
            Self::DescribeExport => "dynamodb:DescribeExport",
            Self::GetRecords => "dynamodb:GetRecords",
            Self::GetShardIterator => "dynamodb:GetShardIterator",
            Self::DescribeTable => "dynamodb:DescribeTable",
            Self::DescribeContinuousBackups => "dynamodb:DescribeContinuousBackups",
            Self::ExportTableToPointInTime => "dynamodb:ExportTableToPointInTime",
            Self::UpdateTable => "dynamodb:UpdateTable",
            Self::UpdateContinuousBackups => "dynamodb:UpdateContinuousBackups",
            Self::PutObject => "s3:PutObject",
            Self::GetObject => "s3:GetObject",
            Self::ListBucket => "s3:ListBucket",
            Self::AbortMultipartUpload => "s3:AbortMultipartUpload",
            Self::PutObjectAcl => "s3:PutObjectAcl",
        }
    }

    /// What it is allowed on.
    pub fn target(self) -> Target {
        match self {
            Self::DescribeStream | Self::GetRecords | Self::GetShardIterator => Target::Streams,
            Self::DescribeExport => Target::Exports,
            Self::ListBucket => Target::Bucket,
            Self::PutObject | Self::GetObject | Self::AbortMultipartUpload | Self::PutObjectAcl => {
                Target::Objects
            }
            _ => Target::Table,
        }
    }

    /// The statement that has it.
    pub fn statement(self) -> Statement {
        if DYNAMODB_ACTIONS.contains(&self) {
            Statement::Dynamodb
        } else if BUCKET_ACTIONS.contains(&self) {
            Statement::Bucket
        } else {
            Statement::Guide
        }
    }
}

impl Target {
    /// The resource of a policy for a table and a bucket, both by name or `*`, in a region's partition.
    pub fn resource(self, partition: &str, table: &str, bucket: &str) -> String {
        let table = format!("arn:{partition}:dynamodb:*:*:table/{table}");
        let bucket = format!("arn:{partition}:s3:::{bucket}");
        match self {
            Self::Table => table,
            Self::Streams => format!("{table}/stream/*"),
            Self::Exports => format!("{table}/export/*"),
            Self::Bucket => bucket,
            Self::Objects => format!("{bucket}/*"),
        }
    }
}

/// What came of trying an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// AWS let the call pass.
    Allowed,
    /// AWS refused it; with its words.
    Denied(String),
    /// It could not be tried, or the answer says nothing; with the reason.
    Untried(String),
}

/// An action that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The action.
    pub action: Action,
    /// What came of it.
    pub trial: Trial,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_its_statement_and_its_resource() {
        for action in DYNAMODB_ACTIONS {
            assert_eq!(action.statement(), Statement::Dynamodb);
            let resource = action.target().resource("aws", "orders", "b");
            assert!(
                resource.starts_with("arn:aws:dynamodb:*:*:table/orders"),
                "{resource}"
            );
        }
        for action in BUCKET_ACTIONS {
            assert_eq!(action.statement(), Statement::Bucket);
        }
        for action in GUIDE_ACTIONS {
            assert_eq!(action.statement(), Statement::Guide);
            assert_eq!(
                action.target().resource("aws-cn", "t", "b"),
                "arn:aws-cn:s3:::b/*"
            );
        }
    }
}
