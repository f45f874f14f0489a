//! Everything that is wrong with the files of a project, found without touching anything.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use datafile::{
    Code, Connection, Datasource, Diagnostic, Import, Project, RoleArn, Severity, SourceFile,
    Spanned, TableArn, Template,
};
use mirror::plan::{SHADOW_SUFFIX, VERIFY_SUFFIX};
use mirror::source::SourceSpec;

use crate::secrets::{Keyring, Secret};
use crate::store::ResourceRow;

/// Names that servers give to their own tokens.
pub(crate) const RESERVED_TOKENS: [&str; 3] =
    ["user token", "admin token", "workspace admin token"];

/// How the names of tables end that the server makes beside those of data sources.
const RESERVED_SUFFIXES: [(&str, &str); 2] = [
    (SHADOW_SUFFIX, "a resync"),
    (VERIFY_SUFFIX, "a verification"),
];

/// A project that can be applied as far as its files go.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// The uploaded files, and connections taken over from the live project.
    pub(super) files: Vec<SourceFile>,
    /// What they say.
    pub(super) project: Project,
    /// Data sources that mirror a table: connection name and how to reach the table.
    pub(super) imports: BTreeMap<String, WantedImport>,
}

/// Where a data source's rows come from, secrets filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WantedImport {
    /// Connection.
    pub(super) connection: String,
    /// Table, role, bucket.
    pub(super) source: SourceSpec,
}

/// What validation looks at besides the files.
pub(super) struct Surroundings<'a> {
    pub(super) live: &'a [ResourceRow],
    pub(super) secrets: &'a HashMap<String, Secret>,
    pub(super) keys: &'a Keyring,
    /// There is nothing to assume a role with, and nobody asked for it: a role that is not set is only remarked.
    pub(super) skip_roles: bool,
}

/// Reads the files and resolves their secrets. The diagnostics are all mistakes and warnings, file by file.
pub(super) fn validate(
    mut files: Vec<SourceFile>,
    around: &Surroundings<'_>,
) -> (Wanted, Vec<Diagnostic>) {
    take_over_connections(&mut files, around.live);
    let parsed = datafile::parse_project(&files);
    let mut diagnostics = parsed.diagnostics;
    let project = parsed.project;
    let mut imports = BTreeMap::new();
    for connection in &project.connections {
        // Also those that no data source uses yet: the wizard makes the connection first.
        resolve_role(connection, around, &mut diagnostics);
        resolve(
            &connection.path,
            &connection.region,
            around,
            &mut diagnostics,
        );
    }
    for datasource in &project.datasources {
        check_names(datasource, &project, &mut diagnostics);
        if let Some(import) = resolve_import(datasource, &project, around, &mut diagnostics) {
            imports.insert(datasource.name.clone(), import);
        }
    }
    for pipe in &project.pipes {
        check_tokens(&pipe.path, &pipe.tokens, &mut diagnostics);
    }
    diagnostics.sort_by(|a, b| (&a.path, a.span.start).cmp(&(&b.path, b.span.start)));
    diagnostics.dedup();
    let wanted = Wanted {
        files,
        project,
        imports,
    };
    (wanted, diagnostics)
}

/// `line:column: what is wrong; help: what to write`, without the file's name.
pub(super) fn describe(diagnostic: &Diagnostic, files: &[SourceFile]) -> String {
    let text = files
        .iter()
        .find(|file| file.path == diagnostic.path)
        .map_or("", |file| file.text.as_str());
    let line = diagnostic.one_line(text);
    match line.strip_prefix(&format!("{}:", diagnostic.path)) {
        Some(rest) => rest.to_owned(),
        None => line,
    }
}

/// Some clients leave connections out of their uploads; those that are still used stay.
fn take_over_connections(files: &mut Vec<SourceFile>, live: &[ResourceRow]) {
    let project = datafile::parse_project(files).project;
    for datasource in &project.datasources {
        let named = datasource
            .import
            .as_ref()
            .and_then(|import| import.connection.literal());
        let Some(name) = named else { continue };
        let uploaded = project.connections.iter().any(|c| c.name == name)
            || files.iter().any(|file| is_connection(&file.path, &name));
        if uploaded {
            continue;
        }
        let known = live
            .iter()
            .find(|row| row.kind == "connection" && row.name == name);
        if let Some(row) = known {
            files.push(SourceFile {
                path: row.path.clone(),
                text: row.text.clone(),
            });
        }
    }
}

fn is_connection(path: &str, name: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.strip_suffix(".connection") == Some(name)
}

fn check_names(datasource: &Datasource, project: &Project, diagnostics: &mut Vec<Diagnostic>) {
    check_tokens(&datasource.path, &datasource.tokens, diagnostics);
    for (suffix, what) in RESERVED_SUFFIXES {
        if let Some(stem) = datasource.name.strip_suffix(suffix) {
            diagnostics.push(error(
                Code::NameTaken,
                &datasource.path,
                0..0,
                format!(
                    "{} is what the server calls the table that {what} of {stem} fills",
                    datasource.name
                ),
                format!("rename this file so that its name does not end in {suffix}"),
            ));
        }
    }
    let Some(stem) = datasource.name.strip_suffix("_quarantine") else {
        return;
    };
    if project.datasources.iter().any(|other| other.name == stem) {
        diagnostics.push(error(
            Code::NameTaken,
            &datasource.path,
            0..0,
            format!(
                "{} is the name of the table that keeps the records of {stem} that could not be converted",
                datasource.name
            ),
            "rename this file".to_owned(),
        ));
    }
}

fn check_tokens(path: &str, tokens: &[datafile::TokenGrant], diagnostics: &mut Vec<Diagnostic>) {
    for token in tokens {
        if RESERVED_TOKENS.contains(&token.name.as_str()) {
            diagnostics.push(error(
                Code::NameTaken,
                path,
                token.span.clone(),
                format!(
                    "{:?} is the name of one of the server's own tokens",
                    token.name
                ),
                "choose another name for this token".to_owned(),
            ));
        }
    }
}

fn resolve_import(
    datasource: &Datasource,
    project: &Project,
    around: &Surroundings<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<WantedImport> {
    let import = datasource.import.as_ref()?;
    let path = &datasource.path;
    let connection = resolve(path, &import.connection, around, diagnostics);
    let table_arn = resolve(path, &import.table_arn, around, diagnostics);
    let bucket = resolve(path, &import.export_bucket, around, diagnostics);
    let connection = connection?;
    let found = project.connections.iter().find(|c| c.name == connection);
    let Some(found) = found else {
        // A name written out is checked by the parser; one that a secret holds is checked here.
        if import.connection.literal().is_none() {
            diagnostics.push(error(
                Code::ConnectionNotFound,
                path,
                import.connection.span.clone(),
                format!("there is no connection {connection}"),
                format!("add {connection}.connection to the project"),
            ));
        }
        return None;
    };
    let role_arn = resolve_role(found, around, diagnostics);
    let region = resolve(&found.path, &found.region, around, diagnostics);
    let (table_arn, export_bucket) = (table_arn?, bucket?);
    let (role_arn, region) = (role_arn?, region?);
    let source = SourceSpec {
        role_arn,
        external_id: around.keys.external_id(&connection),
        region,
        table_arn,
        export_bucket,
    };
    check_values(
        datasource,
        import,
        found,
        &source,
        around.skip_roles,
        diagnostics,
    );
    Some(WantedImport { connection, source })
}

/// Checks what secrets hold; what stands in a file itself has been checked by the parser.
fn check_values(
    datasource: &Datasource,
    import: &Import,
    connection: &Connection,
    source: &SourceSpec,
    skip_roles: bool,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let (table_file, role_file) = (&datasource.path, &connection.path);
    let mut check = |path: &str, field: &Spanned<Template>, problem: Option<String>, help: &str| {
        if let (None, Some(message)) = (field.literal(), problem) {
            let span = field.span.clone();
            diagnostics.push(error(Code::BadSecret, path, span, message, help.to_owned()));
        }
    };
    let problem = RoleArn::parse(&source.role_arn)
        .err()
        .map(|e| format!("the secret's value is not the ARN of a role: {e}"));
    let problem = problem.filter(|_| !(skip_roles && source.role_arn.is_empty()));
    let help = "it looks like arn:aws:iam::123456789012:role/name";
    check(role_file, &connection.role_arn, problem, help);

    let table = TableArn::parse(&source.table_arn);
    let problem = table
        .as_ref()
        .err()
        .map(|e| format!("the secret's value is not the ARN of a table: {e}"));
    let help = "it looks like arn:aws:dynamodb:us-east-1:123456789012:table/name";
    check(table_file, &import.table_arn, problem, help);

    let region = &source.region;
    let problem = match table {
        _ if !datafile::is_region(region) => Some("the secret's value is not an AWS region"),
        Ok(table) if table.region != *region => Some("this is not the region of the table"),
        _ => None,
    };
    let problem = problem.map(str::to_owned);
    let help = "write the region that is in IMPORT_TABLE_ARN, as in us-east-1";
    if import.table_arn.literal().is_some() {
        check(role_file, &connection.region, problem, help);
    } else {
        check(table_file, &import.table_arn, problem, help);
    }

    let problem = (!datafile::is_bucket_name(&source.export_bucket))
        .then(|| "the secret's value is not the name of a bucket".to_owned());
    let help = "write the bare name, without s3:// and without a path";
    check(table_file, &import.export_bucket, problem, help);
}

fn resolve(
    path: &str,
    template: &Spanned<Template>,
    around: &Surroundings<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<String> {
    let lookup = |name: &str| {
        around
            .secrets
            .get(name)
            .map(|value| value.expose().to_owned())
    };
    match template.resolve(&lookup) {
        Ok(value) => Some(unquoted(value.trim()).to_owned()),
        Err(missing) => {
            let name = missing.name;
            diagnostics.push(error(
                Code::SecretNotSet,
                path,
                template.span.clone(),
                format!("the secret {name} is not set"),
                format!("run: tb secret set {name} <value>"),
            ));
            None
        }
    }
}

/// The role of a connection. Where it is not set and not needed either, it is empty, and a warning says so.
fn resolve_role(
    connection: &Connection,
    around: &Surroundings<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<String> {
    let known = diagnostics.len();
    let role = resolve(&connection.path, &connection.role_arn, around, diagnostics);
    if role.is_some() || !around.skip_roles {
        return role;
    }
    for diagnostic in &mut diagnostics[known..] {
        diagnostic.severity = Severity::Warning;
        diagnostic.message = format!(
            "{}; this server has no AWS credentials, so connection {} is skipped here",
            diagnostic.message, connection.name
        );
    }
    Some(String::new())
}

/// Clients hand over values of `.env.local` with their quotes.
pub(crate) fn unquoted(value: &str) -> &str {
    for quote in ['\'', '"'] {
        let inner = value
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner {
            return inner;
        }
    }
    value
}

fn error(code: Code, path: &str, span: Range<usize>, message: String, help: String) -> Diagnostic {
    Diagnostic {
        code,
        severity: Severity::Error,
        path: path.to_owned(),
        span,
        message,
        label: String::new(),
        help: Some(help),
    }
}
