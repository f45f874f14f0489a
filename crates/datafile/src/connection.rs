//! A `.connection` file.

use crate::arn::{RoleArn, is_region};
use crate::code::Code;
use crate::commands::{self, FileKind};
use crate::diagnostic::Report;
use crate::import::template;
use crate::lines::{self, Instruction};
use crate::model::{Connection, SourceFile, Spanned};
use crate::secret_ref::Template;
use crate::sharing;
use crate::suggest::{list, nearest};

/// Kinds of connections that exist elsewhere.
const OTHER_KINDS: [&str; 9] = [
    "kafka",
    "s3",
    "s3_iamrole",
    "gcs",
    "gcs_hmac",
    "gcs_service_account",
    "postgres",
    "bigquery",
    "snowflake",
];
const DYNAMODB: &str = "dynamodb";

/// Reads a connection; `None` if too little of it could be read to use it.
pub(crate) fn read(file: &SourceFile, name: &str, report: &mut Report<'_>) -> Option<Connection> {
    let mut instructions = lines::read(&file.text, FileKind::Connection, report);
    lines::drop_repeated(&mut instructions.list, &[], report);
    let given = |name: &str| instructions.list.iter().find(|found| found.name == name);
    let kind = read_kind(given("TYPE"), report);
    if kind == Kind::Other {
        return None;
    }
    for foreign in &instructions.foreign {
        let near = nearest(foreign, commands::names(FileKind::Connection));
        report.error(
            Code::UnknownInstruction,
            &foreign.span,
            format!(
                "`{}` is not an instruction of a dynamodb connection",
                foreign.value
            ),
            "belongs to another kind of connection",
            near.map_or("remove the line".to_owned(), |near| {
                format!("did you mean `{near}`?")
            }),
        );
    }
    let missing: Vec<&str> = ["DYNAMODB_ARN", "DYNAMODB_REGION"]
        .into_iter()
        .filter(|name| given(name).is_none())
        .collect();
    if !missing.is_empty() {
        let verb = if missing.len() == 1 { "is" } else { "are" };
        let lines: Vec<String> = missing
            .iter()
            .map(|name| format!("`{name} {}`", example(name)))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        report.error(
            match missing.as_slice() {
                ["DYNAMODB_REGION"] => Code::ConnectionRegionMissing,
                _ => Code::ConnectionRoleMissing,
            },
            &given("TYPE").map_or(0..0, |found| found.line_span.clone()),
            format!("{} {verb} missing", list(&missing)),
            "a dynamodb connection needs a role and a region",
            format!("add {}", list(&lines)),
        );
    }
    let role_arn = read_role(given("DYNAMODB_ARN"), report);
    let region = read_region(given("DYNAMODB_REGION"), report);
    let description =
        given("DESCRIPTION").and_then(|found| sharing::description(found, &file.text));
    let Kind::Dynamodb(kind) = kind else {
        return None;
    };
    Some(Connection {
        name: name.to_owned(),
        path: file.path.clone(),
        text: file.text.clone(),
        description,
        kind,
        role_arn: role_arn?,
        region: region?,
    })
}

fn example(instruction: &str) -> &'static str {
    match instruction {
        "DYNAMODB_ARN" => "{{ tb_secret(\"dynamodb_role_arn\") }}",
        _ => "us-east-1",
    }
}

/// What `TYPE` says.
#[derive(PartialEq)]
enum Kind {
    Dynamodb(Spanned<String>),
    /// Missing or misspelled: the rest of the file can be judged.
    Unknown,
    /// A kind that exists elsewhere, with instructions of its own.
    Other,
}

fn read_kind(instruction: Option<&Instruction<'_>>, report: &mut Report<'_>) -> Kind {
    let Some(instruction) = instruction else {
        report.error(
            Code::ConnectionTypeMissing,
            &(0..0),
            "TYPE is missing",
            "",
            "add `TYPE dynamodb`",
        );
        return Kind::Unknown;
    };
    let written = instruction.value();
    let lower = written.to_ascii_lowercase();
    if lower == DYNAMODB {
        return Kind::Dynamodb(Spanned::new(lower, written.span));
    }
    let shown: String = written.chars().take(60).collect();
    if OTHER_KINDS.contains(&lower.as_str()) {
        report.error(
            Code::ConnectionTypeNotSupported,
            &written.span,
            format!("connections of type {shown} are not supported; only dynamodb is"),
            "not supported",
            "write `TYPE dynamodb`, or leave the file out",
        );
        return Kind::Other;
    }
    let near = nearest(&lower, [DYNAMODB]);
    report.error(
        Code::ConnectionTypeUnknown,
        &written.span,
        match shown.as_str() {
            "" => "TYPE has no value".to_owned(),
            shown => format!("there is no connection type {shown}"),
        },
        "unknown type",
        near.map_or("write `TYPE dynamodb`".to_owned(), |near| {
            format!("did you mean `{near}`?")
        }),
    );
    Kind::Unknown
}

fn read_role(
    instruction: Option<&Instruction<'_>>,
    report: &mut Report<'_>,
) -> Option<Spanned<Template>> {
    let role = template(instruction?, report)?;
    if let Some(Err(error)) = role.literal().map(|text| RoleArn::parse(&text)) {
        report.error(
            Code::RoleArnInvalid,
            &role.span,
            "DYNAMODB_ARN is not the ARN of a role",
            error.reason,
            "write `arn:aws:iam::123456789012:role/name`, or `{{ tb_secret(\"name\") }}`",
        );
    }
    Some(role)
}

fn read_region(
    instruction: Option<&Instruction<'_>>,
    report: &mut Report<'_>,
) -> Option<Spanned<Template>> {
    let region = template(instruction?, report)?;
    if region.literal().is_some_and(|text| !is_region(&text)) {
        report.error(
            Code::RegionInvalid,
            &region.span,
            "DYNAMODB_REGION is not a region",
            "expected the code of a region",
            "write a code like `us-east-1`",
        );
    }
    Some(region)
}
