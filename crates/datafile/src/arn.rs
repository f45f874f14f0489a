//! The names AWS gives to tables and roles, and what a region and a bucket name look like.

use std::fmt;

/// `arn:aws:dynamodb:us-east-1:123456789012:table/orders`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableArn {
    /// `us-east-1`.
    pub region: String,
    /// The twelve digits.
    pub account: String,
    /// `orders`.
    pub table: String,
}

/// `arn:aws:iam::123456789012:role/reader`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoleArn {
    /// The twelve digits.
    pub account: String,
    /// The role with its path, if it has one: `service/reader`.
    pub role: String,
}

/// Why a text is not the ARN it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArnError {
    /// What is wrong, as a fragment: `this is the ARN of a stream`.
    pub reason: &'static str,
}

impl fmt::Display for ArnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason)
    }
}

impl std::error::Error for ArnError {}

fn fail<T>(reason: &'static str) -> Result<T, ArnError> {
    Err(ArnError { reason })
}

/// Splits `arn:partition:service:region:account:resource` and checks partition and service.
fn split<'a>(text: &'a str, service: &str) -> Result<(&'a str, &'a str, &'a str), ArnError> {
    let mut fields = text.splitn(6, ':');
    let mut next = || fields.next().unwrap_or_default();
    if next() != "arn" {
        return fail("an ARN starts with `arn:`");
    }
    if !matches!(next(), "aws" | "aws-cn" | "aws-us-gov") {
        return fail("the partition is not `aws`, `aws-cn` or `aws-us-gov`");
    }
    if next() != service {
        return fail(match service {
            "dynamodb" => "this is not the ARN of a DynamoDB table",
            _ => "this is not the ARN of an IAM role",
        });
    }
    Ok((next(), next(), next()))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

impl TableArn {
    /// Reads the ARN of a table; ARNs of its streams, exports, backups and indexes are refused.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        let (region, account, resource) = split(text, "dynamodb")?;
        if !is_region(region) {
            return fail("the region in it is not a region");
        }
        if !is_account(account) {
            return fail("the account in it is not twelve digits");
        }
        let Some(table) = resource.strip_prefix("table/") else {
            return fail("this is not the ARN of a DynamoDB table");
        };
        if let Some((_, rest)) = table.split_once('/') {
            return fail(match rest.split('/').next() {
                Some("stream") => "this is the ARN of a stream",
                Some("export") => "this is the ARN of an export",
                Some("index") => "this is the ARN of an index",
                Some("backup") => "this is the ARN of a backup",
                _ => "something follows the table's name",
            });
        }
        // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
        let named = table
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if !named || !(3..=255).contains(&table.len()) {
            return fail("a table's name has 3 to 255 letters, digits, `_`, `-` and `.`");
        }
        Ok(Self {
            region: region.to_owned(),
            account: account.to_owned(),
            table: table.to_owned(),
        })
    }

    /// `aws`, `aws-cn` or `aws-us-gov`, which the region decides.
    pub fn partition(&self) -> &'static str {
        if self.region.starts_with("cn-") {
            "aws-cn"
        } else if self.region.starts_with("us-gov-") {
            "aws-us-gov"
        } else {
            "aws"
        }
    }
}

impl fmt::Display for TableArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            region,
            account,
            table,
        } = self;
        write!(
            f,
            "arn:{}:dynamodb:{region}:{account}:table/{table}",
            self.partition()
        )
    }
}

impl RoleArn {
    /// Reads the ARN of a role.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        let (region, account, resource) = split(text, "iam")?;
        if !region.is_empty() {
            return fail("the ARN of a role has no region");
        }
        if !is_account(account) {
            return fail("the account in it is not twelve digits");
        }
        let Some(role) = resource.strip_prefix("role/") else {
            return fail("this is not the ARN of an IAM role");
        };
        let named = |b: u8| b.is_ascii_graphic();
        if role.is_empty() || role.ends_with('/') || !role.bytes().all(named) {
            return fail("the role's name is missing or has characters IAM does not allow");
        }
        Ok(Self {
            account: account.to_owned(),
            role: role.to_owned(),
        })
    }
}

/// Whether a text looks like a region: `us-east-1`, `us-gov-west-1`.
pub fn is_region(text: &str) -> bool {
    let fields: Vec<&str> = text.split('-').collect();
    let [first, middle @ .., last] = fields.as_slice() else {
        return false;
    };
    let word = |field: &str| !field.is_empty() && field.bytes().all(|b| b.is_ascii_lowercase());
    first.len() == 2
        && word(first)
        && (1..=2).contains(&middle.len())
        && middle.iter().all(|field| word(field))
        && (1..=2).contains(&last.len())
        && last.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a text follows the naming rules of S3 buckets.
///
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
pub fn is_bucket_name(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    let bytes = text.as_bytes();
    (3..=63).contains(&bytes.len())
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| inner(*b))
        && !text.contains("..")
        && text.parse::<std::net::Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_arns_of_every_partition_are_read() {
        for text in [
            "arn:aws:dynamodb:us-east-1:123456789012:table/orders",
            "arn:aws-cn:dynamodb:cn-north-1:123456789012:table/a.b-c_d",
            "arn:aws-us-gov:dynamodb:us-gov-west-1:123456789012:table/orders",
        ] {
            assert_eq!(TableArn::parse(text).expect("valid").to_string(), text);
        }
    }

    #[test]
    fn other_arns_are_refused_with_the_reason() {
        for (text, reason) in [
            ("orders", "an ARN starts with `arn:`"),
            (
                "arn:aws:s3:::bucket",
                "this is not the ARN of a DynamoDB table",
            ),
            (
                "arn:aws:dynamodb:us-east-1:1:table/orders",
                "the account in it is not twelve digits",
            ),
            (
                "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2024-01-01T00:00:00.000",
                "this is the ARN of a stream",
            ),
            (
                "arn:aws:dynamodb:us-east-1:123456789012:table/orders/export/01",
                "this is the ARN of an export",
            ),
            (
                "arn:aws:dynamodb:us-east-1:123456789012:table/orders/index/by_date",
                "this is the ARN of an index",
            ),
        ] {
            assert_eq!(TableArn::parse(text).expect_err("invalid").reason, reason);
        }
    }

    #[test]
    fn role_arns_keep_their_path() {
        let arn = RoleArn::parse("arn:aws:iam::123456789012:role/team/reader").expect("valid");
        assert_eq!(
            (arn.account.as_str(), arn.role.as_str()),
            ("123456789012", "team/reader")
        );
        assert!(RoleArn::parse("arn:aws:iam::123456789012:user/me").is_err());
        assert!(RoleArn::parse("arn:aws:iam::123456789012:role/").is_err());
    }

    #[test]
    fn regions_and_buckets_have_a_shape() {
        for region in ["us-east-1", "ap-southeast-2", "us-gov-west-1", "cn-north-1"] {
            assert!(is_region(region), "{region}");
        }
        for region in [
            "",
            "us-east",
            "us east 1",
            "US-EAST-1",
            "useast1",
            "us-east-1a",
        ] {
            assert!(!is_region(region), "{region}");
        }
        assert!(is_bucket_name("my-orders.exports"));
        for bucket in [
            "",
            "ab",
            "My-bucket",
            "a_b_c",
            "-abc",
            "a..b",
            "192.168.1.1",
        ] {
            assert!(!is_bucket_name(bucket), "{bucket}");
        }
    }
}
