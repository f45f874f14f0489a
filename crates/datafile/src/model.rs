//! What a project says, once read: plain data, no behaviour.
//!
//! Every value a later check may want to point at carries the byte range it was read from. Two values
//! are equal when they say the same; where they stood in the file does not matter.

use std::ops::{Deref, Range};

use crate::json_path::JsonPath;
use crate::secret_ref::Template;

/// A value with the byte range of the file it was read from.
///
/// Equality looks at the value only.
#[derive(Clone, Debug, Default)]
pub struct Spanned<T> {
    /// What was read.
    pub value: T,
    /// Where it was read: bytes of the file's text, always on character boundaries.
    pub span: Range<usize>,
}

impl<T> Spanned<T> {
    /// A value read from `span`.
    pub fn new(value: T, span: Range<usize>) -> Self {
        Self { value, span }
    }

    /// A value that no file holds (yet), for resources made by a program.
    pub fn unplaced(value: T) -> Self {
        Self { value, span: 0..0 }
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

/// One file of a project, as the caller read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFile {
    /// Path relative to the project. The resource is named by the file stem, its kind by the extension.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// Everything a project declares, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Project {
    /// `.connection` files.
    pub connections: Vec<Connection>,
    /// `.datasource` files.
    pub datasources: Vec<Datasource>,
    /// `.pipe` files.
    pub pipes: Vec<Pipe>,
}

/// A `.connection` file: the role that reads the tables, and where they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// The file stem.
    pub name: String,
    /// Path relative to the project.
    pub path: String,
    /// The file as written.
    pub text: String,
    /// `DESCRIPTION`.
    pub description: Option<String>,
    /// `TYPE`, in lower case: `dynamodb`.
    pub kind: Spanned<String>,
    /// `DYNAMODB_ARN`.
    pub role_arn: Spanned<Template>,
    /// `DYNAMODB_REGION`.
    pub region: Spanned<Template>,
}

/// A `.datasource` file: one table, and where its rows come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Datasource {
    /// The file stem.
    pub name: String,
    /// Path relative to the project.
    pub path: String,
    /// The file as written.
    pub text: String,
    /// `DESCRIPTION`.
    pub description: Option<String>,
    /// The columns of `SCHEMA`, in order.
    pub columns: Vec<Spanned<Column>>,
    /// Where the columns stand in the file; empty without a `SCHEMA`.
    pub schema_span: Range<usize>,
    /// `ENGINE` and the `ENGINE_*` instructions.
    pub engine: Engine,
    /// The DynamoDB table it mirrors; `None` for a data source that is fed by other means.
    pub import: Option<Import>,
    /// `TOKEN` lines.
    pub tokens: Vec<TokenGrant>,
    /// `TAGS`: `k=v` is `(k, Some(v))`, a bare word is `(word, None)`.
    pub tags: Vec<(String, Option<String>)>,
    /// `INDEXES`.
    pub indexes: Vec<Index>,
    /// `FORWARD_QUERY`: how rows of the previous schema become rows of this one.
    pub forward_query: Option<String>,
    /// `SHARED_WITH`: names of other workspaces.
    pub shared_with: Vec<String>,
    /// `BACKFILL skip`: a new version of the table starts empty.
    pub skip_backfill: bool,
}

/// One column of a `SCHEMA`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// The name, without backticks.
    pub name: String,
    /// The ClickHouse type as written, with its spaces normalised.
    pub ty: String,
    /// Where in a record the value is found.
    pub json_path: Option<JsonPath>,
    /// The expression after `DEFAULT`.
    pub default: Option<String>,
    /// What stands inside `CODEC(...)`.
    pub codec: Option<String>,
}

/// The table engine and its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Engine {
    /// `ENGINE`, spelled as ClickHouse does; `MergeTree` when the file does not say.
    pub name: Spanned<String>,
    /// `ENGINE_SORTING_KEY`, as written.
    pub sorting_key: Option<Spanned<String>>,
    /// The columns the sorting key names, without backticks, each once. An expression counts with the
    /// columns it mentions; in a DynamoDB data source an expression over a column that the key does not
    /// also name by itself is an error.
    pub sorting_columns: Vec<String>,
    /// `ENGINE_PARTITION_KEY`.
    pub partition_key: Option<Spanned<String>>,
    /// `ENGINE_PRIMARY_KEY`.
    pub primary_key: Option<Spanned<String>>,
    /// `ENGINE_SAMPLING_KEY`.
    pub sampling_key: Option<Spanned<String>>,
    /// `ENGINE_TTL`.
    pub ttl: Option<Spanned<String>>,
    /// `ENGINE_SETTINGS`.
    pub settings: Option<Spanned<String>>,
    /// `ENGINE_VER`, without backticks.
    pub ver: Option<Spanned<String>>,
    /// `ENGINE_IS_DELETED`, without backticks.
    pub is_deleted: Option<Spanned<String>>,
    /// `ENGINE_SIGN`.
    pub sign: Option<Spanned<String>>,
    /// `ENGINE_VERSION`.
    pub version: Option<Spanned<String>>,
    /// `ENGINE_COLUMNS` or `ENGINE_SUMMING_COLUMNS`.
    pub columns: Option<Spanned<String>>,
}

/// The DynamoDB table behind a data source.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// `IMPORT_CONNECTION_NAME`.
    pub connection: Spanned<Template>,
    /// `IMPORT_TABLE_ARN`.
    pub table_arn: Spanned<Template>,
    /// `IMPORT_EXPORT_BUCKET`: a bucket name, no scheme and no path.
    pub export_bucket: Spanned<Template>,
}

/// `TOKEN "name" READ`: a token that may use this resource.
#[derive(Clone, Debug, Default)]
pub struct TokenGrant {
    /// The token's name.
    pub name: String,
    /// `READ` or `APPEND`.
    pub permission: String,
    /// Where the line stands.
    pub span: Range<usize>,
}

impl PartialEq for TokenGrant {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.permission == other.permission
    }
}

impl Eq for TokenGrant {}

/// A data skipping index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// The indexed expression.
    pub expr: String,
    /// The index type with its arguments, `bloom_filter(0.01)`.
    pub kind: String,
    /// `GRANULARITY`.
    pub granularity: Option<u64>,
}

/// A `.pipe` file: SQL in nodes, the last of which may be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipe {
    /// The file stem.
    pub name: String,
    /// Path relative to the project.
    pub path: String,
    /// The file as written.
    pub text: String,
    /// `DESCRIPTION` before the first node.
    pub description: Option<String>,
    /// The nodes, in order.
    pub nodes: Vec<PipeNode>,
    /// `TOKEN` lines.
    pub tokens: Vec<TokenGrant>,
    /// `TAGS`: `k=v` is `(k, Some(v))`, a bare word is `(word, None)`.
    pub tags: Vec<(String, Option<String>)>,
}

/// One step of a pipe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipeNode {
    /// `NODE`.
    pub name: String,
    /// The SQL without the indentation of its block and without the `%` that marks a template.
    pub sql: String,
    /// Whether the SQL started with `%`: it holds `{{ ... }}` and `{% ... %}`.
    pub is_template: bool,
    /// `TYPE`.
    pub kind: NodeKind,
    /// `DESCRIPTION` inside the node.
    pub description: Option<String>,
    /// Every other instruction of the node, `("COPY_SCHEDULE", "@on-demand")`, in order.
    pub options: Vec<(String, String)>,
}

/// What a node is published as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// Only used by other nodes.
    #[default]
    Standard,
    /// An HTTP endpoint.
    Endpoint,
    /// Feeds a data source as rows arrive.
    Materialized,
    /// Fills a data source on a schedule.
    Copy,
    /// Writes somewhere else on a schedule.
    Sink,
}

/// What [`parse_project`](crate::parse_project) could read, and everything that is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// Everything that could be read, in file order, also from files with mistakes in them.
    pub project: Project,
    /// All mistakes of all files, file by file and from top to bottom.
    pub diagnostics: Vec<crate::diagnostic::Diagnostic>,
}
