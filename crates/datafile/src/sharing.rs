//! Who may use a resource and how it is found: `TOKEN`, `TAGS`, `SHARED_WITH`.

use crate::code::Code;
use crate::commands::FileKind;
use crate::diagnostic::Report;
use crate::lines::Instruction;
use crate::model::TokenGrant;

/// `TOKEN "name" READ`.
pub(crate) fn token(
    instruction: &Instruction<'_>,
    kind: FileKind,
    report: &mut Report<'_>,
) -> Option<TokenGrant> {
    let arguments = instruction.arguments();
    let [name, permission] = arguments.as_slice() else {
        report.error(
            Code::TokenSyntax,
            &instruction.line_span,
            "TOKEN takes a name and a permission",
            format!("{} given, 2 expected", arguments.len()),
            "write `TOKEN \"name\" READ`",
        );
        return None;
    };
    let allowed: &[&str] = if kind == FileKind::Pipe {
        &["READ"]
    } else {
        &["READ", "APPEND"]
    };
    let written = permission.to_ascii_uppercase();
    if name.value.is_empty() || !allowed.contains(&written.as_str()) {
        let span = if name.value.is_empty() {
            &instruction.line_span
        } else {
            &permission.span
        };
        report.error(
            Code::TokenPermission,
            span,
            format!(
                "TOKEN of a .{} file gives {}",
                kind.extension(),
                allowed.join(" or ")
            ),
            "not a permission of this kind of file",
            format!("write `TOKEN \"{}\" READ`", name.value),
        );
        return None;
    }
    Some(TokenGrant {
        name: name.value.to_owned(),
        permission: written,
        span: instruction.line_span.clone(),
    })
}

/// `TAGS "k=v,word"`.
pub(crate) fn tags(instruction: &Instruction<'_>) -> Vec<(String, Option<String>)> {
    let value = instruction.value();
    let entries = value
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty());
    entries
        .map(|entry| match entry.split_once('=') {
            Some((key, value)) => (key.trim().to_owned(), Some(value.trim().to_owned())),
            None => (entry.to_owned(), None),
        })
        .collect()
}

/// `SHARED_WITH`: names between commas and line ends.
pub(crate) fn shared_with(instruction: &Instruction<'_>, file: &str) -> Vec<String> {
    let text = instruction.text(file);
    let names = text
        .split([',', '\n'])
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// `DESCRIPTION`; an empty one is none.
pub(crate) fn description(instruction: &Instruction<'_>, file: &str) -> Option<String> {
    Some(instruction.text(file)).filter(|text| !text.is_empty())
}
