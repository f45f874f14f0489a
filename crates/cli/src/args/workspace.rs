//! Workspaces, branches, tokens, deployments and jobs on the command line.

use clap::{Args, Subcommand};

/// `tb workspace`.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkspaceCommand {
    /// List the workspaces of the server, and their branches
    #[command(after_help = "Examples:\n  tb workspace ls\n  tb --cloud workspace ls --output json")]
    Ls,
    /// Show the workspace that commands use
    #[command(after_help = "Examples:\n  tb workspace current\n  tb --cloud workspace current")]
    Current,
}

const BRANCH_CREATE_EXAMPLES: &str = "Examples:
  tb branch create feature_x
  tb --branch=feature_x build                       tables and endpoints, no rows
  tb --branch=feature_x datasource sample orders    some rows, by a Scan
  tb --branch=feature_x build --with-connections    all rows, by an export of its own

A branch has tables and tokens of its own, and the secrets of its workspace until it sets its own.";

/// `tb branch`.
#[derive(Debug, Subcommand)]
pub(crate) enum BranchCommand {
    /// Make an empty branch
    #[command(after_help = BRANCH_CREATE_EXAMPLES)]
    Create {
        /// Name: letters, digits and the characters _ - .
        name: String,
    },
    /// List branches
    #[command(after_help = "Examples:\n  tb branch ls")]
    Ls,
    /// Remove a branch with its tables; its mirrors stop
    #[command(after_help = "Examples:\n  tb branch rm feature_x\n  tb branch rm feature_x --yes")]
    Rm {
        /// Name
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

const TOKEN_CREATE_EXAMPLES: &str = "Examples:
  tb token create reports --scope DATASOURCES:READ:orders --scope PIPES:READ:top
  tb token create deploys --scope ADMIN
  tb token create everything --scope DATASOURCES:READ

Scopes: ADMIN, DATASOURCES:READ, DATASOURCES:APPEND, PIPES:READ; all but ADMIN may name one resource.
Tokens that the project needs are better asked for by TOKEN lines of its files.";

/// `tb token`.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// List tokens; their texts with --show-tokens
    #[command(after_help = "Examples:\n  tb token ls\n  tb token ls --show-tokens --output json")]
    Ls {
        /// Print the texts: whoever has one may use it
        #[arg(long)]
        show_tokens: bool,
    },
    /// Make a token and print it
    #[command(after_help = TOKEN_CREATE_EXAMPLES)]
    Create {
        /// Name
        name: String,
        /// What it may do; may be given several times
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
    },
    /// Remove a token: nobody can use it any more
    #[command(after_help = "Examples:\n  tb token rm reports\n  tb token rm reports --yes")]
    Rm {
        /// Name or id
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Give a token a new text and print it; the old one stops working
    #[command(
        after_help = "Examples:\n  tb token refresh reports --yes\n  tb --cloud token refresh 'workspace admin token'"
    )]
    Refresh {
        /// Name or id
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// `tb job`.
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// List jobs, the latest first; the server forgets them when it stops
    #[command(after_help = "Examples:\n  tb job ls\n  tb job ls --output json")]
    Ls,
    /// Show one job
    #[command(
        visible_alias = "details",
        after_help = "Examples:\n  tb job show 0b6f3c1e-0f0a-4a53-9f5e-3d3f7f0c5b1d"
    )]
    Show {
        /// Id
        id: String,
    },
    /// End a job that is under way
    #[command(after_help = "Examples:\n  tb job cancel 0b6f3c1e-0f0a-4a53-9f5e-3d3f7f0c5b1d")]
    Cancel {
        /// Id
        id: String,
    },
}

/// `tb logs`.
#[derive(Args, Debug)]
pub(crate) struct LogsOfWorkspaceArgs {
    /// How many of the last lines to print
    #[arg(long, short = 'n', value_name = "LINES", default_value_t = 100)]
    pub(crate) lines: usize,
}

const CREATE_EXAMPLES: &str = "Examples:
  tb --cloud deployment create       validated and kept; nothing changes yet
  tb --cloud deployment promote      make it live
  tb --cloud deployment discard      or not";

/// `tb deployment`.
#[derive(Debug, Subcommand)]
pub(crate) enum DeploymentCommand {
    /// List deployments
    #[command(
        after_help = "Examples:\n  tb --cloud deployment ls\n  tb deployment ls --include-deleted"
    )]
    Ls {
        /// Also those that were discarded or failed
        #[arg(long)]
        include_deleted: bool,
    },
    /// Validate the project and stage it: it is kept, and nothing changes yet
    #[command(after_help = CREATE_EXAMPLES)]
    Create {
        /// Allow changes that delete data
        #[arg(long)]
        allow_destructive_operations: bool,
    },
    /// Make a staged deployment live
    #[command(
        after_help = "Examples:\n  tb --cloud deployment promote\n  tb --cloud deployment promote 7"
    )]
    Promote {
        /// Its number; without it, the latest staged one
        id: Option<String>,
        #[command(flatten)]
        wait: super::WaitArgs,
    },
    /// Throw a staged deployment away
    #[command(
        after_help = "Examples:\n  tb --cloud deployment discard\n  tb --cloud deployment discard 7"
    )]
    Discard {
        /// Its number; without it, the latest staged one
        id: Option<String>,
    },
}
