//! `IMPORT_*`: which table a data source mirrors, through which connection and bucket.

use std::ops::Range;

use crate::arn::{TableArn, is_bucket_name};
use crate::code::Code;
use crate::diagnostic::Report;
use crate::lines::Instruction;
use crate::model::{Import, Spanned};
use crate::secret_ref::{Template, TemplatePart};
use crate::suggest::list;

/// The instructions that name the table; all or none.
pub(crate) const IMPORTS: [&str; 3] = [
    "IMPORT_CONNECTION_NAME",
    "IMPORT_TABLE_ARN",
    "IMPORT_EXPORT_BUCKET",
];

/// Reads a value that may hold secrets; a mistake in one is reported.
pub(crate) fn template(
    instruction: &Instruction<'_>,
    report: &mut Report<'_>,
) -> Option<Spanned<Template>> {
    let value = instruction.value();
    if value.value.is_empty() {
        report.error(
            Code::ValueMissing,
            &instruction.line_span,
            format!("{} has no value", instruction.name),
            "expected a value",
            "write a value after it",
        );
        return None;
    }
    match Template::parse(&value.value) {
        Ok(template) => Some(Spanned::new(template, value.span)),
        Err(error) => {
            let span = part_of(&value.span, &value.value, error.span);
            report.error(
                Code::SecretSyntax,
                &span,
                format!("{} has braces that are not a secret", instruction.name),
                error.label,
                "write `{{ tb_secret(\"name\") }}` or `{{ tb_secret(\"name\", \"default\") }}`",
            );
            None
        }
    }
}

/// A range of the value `text` as a range of the file; the whole value where spaces were joined.
fn part_of(value: &Range<usize>, text: &str, part: Range<usize>) -> Range<usize> {
    if value.len() == text.len() {
        value.start + part.start..value.start + part.end
    } else {
        value.clone()
    }
}

/// Reads the three IMPORT_ instructions; `None` if there are none or they are not usable.
pub(crate) fn read(instructions: &[Instruction<'_>], report: &mut Report<'_>) -> Option<Import> {
    let given = |name: &str| {
        instructions
            .iter()
            .find(|instruction| instruction.name == name)
    };
    let [connection, table_arn, export_bucket] = IMPORTS.map(given);
    let first = [connection, table_arn, export_bucket]
        .into_iter()
        .flatten()
        .next()?;
    let missing: Vec<&str> = IMPORTS
        .into_iter()
        .filter(|name| given(name).is_none())
        .collect();
    if !missing.is_empty() {
        let verb = if missing.len() == 1 { "is" } else { "are" };
        let lines: Vec<String> = missing
            .iter()
            .map(|name| format!("`{} {}`", name, example(name)))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        report.error(
            Code::ImportIncomplete,
            &first.name_span,
            format!("{} {verb} missing", list(&missing)),
            "the import starts here",
            format!("add {}", list(&lines)),
        );
    }
    let mut read = |instruction: Option<&Instruction<'_>>| template(instruction?, report);
    let (connection, table_arn, export_bucket) =
        (read(connection), read(table_arn), read(export_bucket));
    if let Some(table_arn) = &table_arn {
        check_table_arn(table_arn, report);
    }
    if let Some(bucket) = &export_bucket {
        check_bucket(bucket, report);
    }
    Some(Import {
        connection: connection?,
        table_arn: table_arn?,
        export_bucket: export_bucket?,
    })
}

fn example(instruction: &str) -> &'static str {
    match instruction {
        "IMPORT_CONNECTION_NAME" => "my_connection",
        "IMPORT_TABLE_ARN" => "arn:aws:dynamodb:us-east-1:123456789012:table/orders",
        _ => "my-exports-bucket",
    }
}

fn check_table_arn(arn: &Spanned<Template>, report: &mut Report<'_>) {
    let Some(text) = arn.literal() else { return };
    if let Err(error) = TableArn::parse(&text) {
        let help = match text.split_once(":table/") {
            Some((head, rest)) if rest.contains('/') && head.starts_with("arn:") => {
                format!(
                    "write `{head}:table/{}`",
                    rest.split('/').next().unwrap_or_default()
                )
            }
            _ => format!("write `{}`", example("IMPORT_TABLE_ARN")),
        };
        report.error(
            Code::TableArnInvalid,
            &arn.span,
            "IMPORT_TABLE_ARN is not the ARN of a table",
            error.reason,
            help,
        );
    }
}

fn check_bucket(bucket: &Spanned<Template>, report: &mut Report<'_>) {
    // What follows from a secret can only be seen when it is used.
    let starts_with_secret = matches!(bucket.parts.first(), Some(TemplatePart::Secret { .. }));
    let Some(text) = bucket.literal() else {
        let literal = bucket.parts.first().map(|part| match part {
            TemplatePart::Literal(text) => text.as_str(),
            TemplatePart::Secret { .. } => "",
        });
        if !starts_with_secret && literal.is_some_and(|text| text.starts_with("s3://")) {
            bucket_scheme(&(bucket.span.start..bucket.span.start + 5), "", report);
        }
        return;
    };
    let span = |part| part_of(&bucket.span, &text, part);
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme.len() + 3, rest),
        None => (0, text.as_str()),
    };
    let name = rest.split('/').next().unwrap_or_default();
    if scheme > 0 {
        bucket_scheme(&span(0..scheme), name, report);
    }
    if name.len() < rest.len() {
        report.error(
            Code::BucketHasPath,
            &span(scheme + name.len()..text.len()),
            "IMPORT_EXPORT_BUCKET is a bucket, not a path in one",
            "remove this",
            format!("write `IMPORT_EXPORT_BUCKET {name}`"),
        );
    }
    if !is_bucket_name(name) {
        report.error(
            Code::BucketNameInvalid,
            &span(scheme..scheme + name.len()),
            "IMPORT_EXPORT_BUCKET is not the name of a bucket",
            "not a bucket name",
            "write 3 to 63 lower case letters, digits, `-` and `.`, as S3 shows it",
        );
    }
}

fn bucket_scheme(span: &Range<usize>, name: &str, report: &mut Report<'_>) {
    let help = match name {
        "" => "write the bucket's name only".to_owned(),
        name => format!("write `IMPORT_EXPORT_BUCKET {name}`"),
    };
    report.error(
        Code::BucketHasScheme,
        span,
        "IMPORT_EXPORT_BUCKET is a name, not a URL",
        "remove this",
        help,
    );
}
