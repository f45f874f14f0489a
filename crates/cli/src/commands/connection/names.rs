//! What the answers of the wizard have to look like, and why not otherwise.

use datafile::{RoleArn, TableArn};

/// Longest name of a connection or a data source, characters: it becomes a file and, with a prefix, a secret.
const MAX_NAME: usize = 200;

/// `^[a-zA-Z][a-zA-Z0-9_]*$`
pub(crate) fn resource_name(answer: &str) -> Result<String, String> {
    let starts = answer.starts_with(|c: char| c.is_ascii_alphabetic());
    let named = answer
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !starts || !named || answer.len() > MAX_NAME {
        return Err(format!(
            "{answer:?} is not a name: it starts with a letter and has letters, digits and _ only"
        ));
    }
    Ok(answer.to_owned())
}

/// A table's name, or `*`.
pub(crate) fn table_or_all(answer: &str) -> Result<String, String> {
    if answer.starts_with("arn:") {
        return Err("this is an ARN; write the table's name alone, or * for all tables".to_owned());
    }
    let arn = format!("arn:aws:dynamodb:us-east-1:000000000000:table/{answer}");
    if answer != "*" && TableArn::parse(&arn).is_err() {
        return Err(format!(
            "{answer:?} is not the name of a table: it has 3 to 255 letters, digits, _, - and .; * stands for all tables"
        ));
    }
    Ok(answer.to_owned())
}

/// A bucket's name.
pub(crate) fn bucket(answer: &str) -> Result<String, String> {
    if let Some(rest) = answer.strip_prefix("s3://") {
        let name = rest.split('/').next().unwrap_or_default();
        return Err(format!(
            "write the bare name of the bucket, without s3:// and without a path: {name}"
        ));
    }
    if answer.starts_with("arn:") {
        return Err("this is an ARN; write the bare name of the bucket".to_owned());
    }
    if !datafile::is_bucket_name(answer) {
        return Err(format!(
            "{answer:?} is not the name of a bucket: it has 3 to 63 lower-case letters, digits, - and ."
        ));
    }
    Ok(answer.to_owned())
}

/// A bucket's name, or `*`.
pub(crate) fn bucket_or_all(answer: &str) -> Result<String, String> {
    if answer == "*" {
        return Ok(answer.to_owned());
    }
    bucket(answer).map_err(|why| {
        if why.contains("is not the name") {
            format!("{why}; * stands for all buckets")
        } else {
            why
        }
    })
}

/// A region.
pub(crate) fn region(answer: &str) -> Result<String, String> {
    if !datafile::is_region(answer) {
        return Err(format!(
            "{answer:?} is not an AWS region; it looks like us-east-1"
        ));
    }
    Ok(answer.to_owned())
}

/// The ARN of a role.
pub(crate) fn role(answer: &str) -> Result<String, String> {
    RoleArn::parse(answer).map_err(|why| {
        format!("{answer:?} is not the ARN of a role: {why}; it looks like arn:aws:iam::123456789012:role/name")
    })?;
    Ok(answer.to_owned())
}

/// The ARN of a table in `region` that the access policy is for.
pub(crate) fn table_arn(answer: &str, region: &str, table: &str) -> Result<TableArn, String> {
    let arn = TableArn::parse(answer).map_err(|why| {
        format!(
            "{answer:?} is not the ARN of a table: {why}; it looks like arn:aws:dynamodb:us-east-1:123456789012:table/name"
        )
    })?;
    if let Some(why) = mirror::checks::region_differs(region, answer) {
        return Err(why);
    }
    if table != "*" && arn.table != table {
        return Err(format!(
            "the access policy above is for the table {table}, and this is {}; name that table, or start again with {}",
            arn.table, arn.table
        ));
    }
    Ok(arn)
}

/// A name for the data source of a table.
pub(crate) fn for_table(table: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name: String = table
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name
    } else {
        format!("ds_{name}")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn answers_that_do_not_do_say_what_would() {
        let cases = [
            (resource_name("1x").unwrap_err(), "starts with a letter"),
            (resource_name("").unwrap_err(), "starts with a letter"),
            (resource_name("my-ddb").unwrap_err(), "digits and _ only"),
            (table_or_all("ab").unwrap_err(), "* stands for all tables"),
            (
                table_or_all("arn:aws:dynamodb:us-east-1:1:table/x").unwrap_err(),
                "name alone",
            ),
            (
                bucket("s3://my-bucket/exports").unwrap_err(),
                "path: my-bucket",
            ),
            (bucket_or_all("My_Bucket").unwrap_err(), "for all buckets"),
            (region("us-east").unwrap_err(), "us-east-1"),
            (role("arn:aws:iam::1:user/x").unwrap_err(), "twelve digits"),
        ];
        for (said, word) in cases {
            assert!(said.contains(word), "no «{word}» in: {said}");
        }
        assert_eq!(table_or_all("*").unwrap(), "*");
        assert_eq!(bucket_or_all("*").unwrap(), "*");
    }

    #[test]
    fn a_table_has_to_be_where_the_connection_is_and_in_the_policy() {
        let arn = "arn:aws:dynamodb:us-east-1:123456789012:table/orders";
        assert_eq!(table_arn(arn, "us-east-1", "*").unwrap().table, "orders");
        let why = table_arn(arn, "eu-west-1", "*").unwrap_err();
        assert!(why.contains("DYNAMODB_REGION us-east-1"), "{why}");
        let why = table_arn(arn, "us-east-1", "users").unwrap_err();
        assert!(why.contains("is for the table users"), "{why}");
    }

    #[test]
    fn a_data_source_is_named_after_its_table() {
        assert_eq!(for_table("orders"), "orders");
        assert_eq!(for_table("prod.orders-v2"), "prod_orders_v2");
        assert_eq!(for_table("2024"), "ds_2024");
    }
}
