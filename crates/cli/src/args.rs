//! What can be said on the command line. Nothing but clap structs; `dispatch` turns them into plain values.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::env_vars;
use crate::printer::Output;

pub(crate) use connection::{ConnectionCommand, CreateCommand, Wanted};
pub(crate) use datasource::{DatasourceCommand, QuarantineCommand};
pub(crate) use secret::SecretCommand;
pub(crate) use workspace::{
    BranchCommand, DeploymentCommand, JobCommand, LogsOfWorkspaceArgs, TokenCommand,
    WorkspaceCommand,
};

mod connection;
mod datasource;
mod secret;
mod workspace;

/// Mirror DynamoDB tables into ClickHouse and keep them in step.
#[derive(Debug, Parser)]
#[command(
    name = "tb",
    version,
    propagate_version = false,
    arg_required_else_help = true,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = "Start here:
  tb local start --use-aws-creds     start the Local server with your AWS credentials
  tb connection create dynamodb      connect a table: policies, role, secret, files
  tb build --with-connections        build the project and start its mirrors
  tb datasource ls                   watch them
  tb sql 'SELECT count() FROM orders FINAL'

`tb --help` lists environment variables and exit codes.",
    after_long_help = env_vars::HELP
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Format of the data on stdout: human, json or csv
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t,
        hide_possible_values = true
    )]
    pub(crate) output: Output,
    /// Use the server of `tb login`, or of --host and --token, instead of the Local one
    #[arg(long, global = true)]
    pub(crate) cloud: bool,
    /// Use the Local server (the default)
    #[arg(long, global = true, conflicts_with = "cloud")]
    pub(crate) local: bool,
    /// Use this branch of the Cloud workspace; see `tb branch`
    #[arg(long, global = true, value_name = "NAME", conflicts_with_all = ["cloud", "local"])]
    pub(crate) branch: Option<String>,
    /// Address of the server, as https://mirrors.example.com; implies --cloud [env: TB_HOST]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) host: Option<String>,
    /// Token of the workspace [env: TB_TOKEN, for --cloud]
    #[arg(long, global = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// Project folder, instead of the current one [env: TB_CWD]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) cwd: Option<PathBuf>,
    /// No colour [env: NO_COLOR]
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Say more
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start, stop and look after the Local server
    #[command(subcommand, arg_required_else_help = true)]
    Local(LocalCommand),
    /// Build the project: check it, upload it, apply it at once
    #[command(after_help = BUILD_EXAMPLES)]
    Build(BuildArgs),
    /// Deploy the project: validate it, stage it, make it live
    #[command(after_help = DEPLOY_EXAMPLES)]
    Deploy(DeployArgs),
    /// Say what a deployment would change, and what a new mirror costs on AWS
    #[command(after_help = PLAN_EXAMPLES)]
    Plan(PlanArgs),
    /// Stage, list, promote and discard deployments
    #[command(subcommand, arg_required_else_help = true)]
    Deployment(DeploymentCommand),
    /// Check the project's files without a server
    #[command(after_help = CHECK_EXAMPLES)]
    Check,
    /// Say what an error code or a state of a mirror means, and what to do
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain {
        /// A code, a state, or words of an error; without any, all codes are listed
        #[arg(value_name = "CODE")]
        code: Vec<String>,
    },
    /// Write the project's files in their canonical form
    #[command(after_help = FMT_EXAMPLES)]
    Fmt(FmtArgs),
    /// Run a query
    #[command(after_help = SQL_EXAMPLES)]
    Sql(SqlArgs),
    /// Make, list, check and remove connections to AWS
    #[command(subcommand, arg_required_else_help = true)]
    Connection(ConnectionCommand),
    /// Create, list, read, stop, start, verify, resync and repair data sources
    #[command(subcommand, arg_required_else_help = true)]
    Datasource(DatasourceCommand),
    /// Set, list and remove the secrets of the workspace
    #[command(subcommand, arg_required_else_help = true)]
    Secret(SecretCommand),
    /// List, make, change and remove the tokens of the workspace
    #[command(subcommand, arg_required_else_help = true)]
    Token(TokenCommand),
    /// List, show and cancel jobs: verifications, samples, branches
    #[command(subcommand, arg_required_else_help = true)]
    Job(JobCommand),
    /// Print what happened in the workspace: deployments, jobs, mirrors
    #[command(
        after_help = "Examples:\n  tb logs\n  tb logs -n 20 --output json\n\n`tb local logs` prints the log of the Local server."
    )]
    Logs(LogsOfWorkspaceArgs),
    /// Show workspaces
    #[command(subcommand, arg_required_else_help = true)]
    Workspace(WorkspaceCommand),
    /// Make, list and remove branches of the Cloud workspace
    #[command(subcommand, arg_required_else_help = true)]
    Branch(BranchCommand),
    /// Remember a server and a token in .tinyb
    #[command(after_help = LOGIN_EXAMPLES)]
    Login,
    /// Forget the server and the token of this project
    #[command(after_help = "Examples:\n  tb logout")]
    Logout,
    /// Print the address of the server, and open it in a browser if there is one
    #[command(after_help = "Examples:\n  tb open\n  tb --cloud open --no-browser")]
    Open {
        /// Only print it
        #[arg(long)]
        no_browser: bool,
    },
    /// Show the project, the server and the workspace that commands use
    #[command(after_help = "Examples:\n  tb info\n  tb --cloud info --output json")]
    Info,
    /// Print the completions of a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Run the server in the foreground, for a host that teams share
    #[command(after_help = SERVER_EXAMPLES)]
    Server(ServerArgs),
}

const BUILD_EXAMPLES: &str = "Examples:
  tb build                        tables, queries and endpoints; running mirrors stay as they are
  tb build --with-connections     also starts the mirrors of DynamoDB data sources
  tb build --with-connections --no-wait
  tb --branch=feature_x build --with-connections    in a branch of the Cloud workspace

The files are *.datasource, *.pipe and *.connection in the project folder and two levels below.
.env and .env.local are not uploaded: set secrets with `tb secret set`.
Ctrl-C while a backfill is followed leaves it running on the server.";

/// `tb build`.
#[derive(Args, Debug)]
pub(crate) struct BuildArgs {
    /// Also start, change and stop the mirrors of DynamoDB data sources
    #[arg(long)]
    pub(crate) with_connections: bool,
    /// Allow changes that delete data
    #[arg(long)]
    pub(crate) allow_destructive_operations: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

const DEPLOY_EXAMPLES: &str = "Examples:
  tb deploy --check               what would change, and whether it can be done
  tb deploy                       to the Local server
  tb --cloud deploy               to the server of `tb login`
  tb --cloud deploy --no-auto     staged: `tb --cloud deployment promote` makes it live
  tb --cloud deploy --no-wait --output json";

const PLAN_EXAMPLES: &str = "Examples:
  tb plan
  tb --cloud plan --output json

Changes nothing, and costs nothing. Prices are estimates: those of us-east-1 unless the
server's settings say others, see [prices] in `tb server --help`.";

/// `tb plan`.
#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    /// Also plan changes that delete data
    #[arg(long)]
    pub(crate) allow_destructive_operations: bool,
}

const FMT_EXAMPLES: &str = "Examples:
  tb fmt                          every file of the project
  tb fmt datasources/orders.datasource
  tb fmt --check                  changes nothing; exits with 1 if something would change

A file with comments is left as it is: the canonical form has no place for them.";

/// `tb fmt`.
#[derive(Args, Debug)]
pub(crate) struct FmtArgs {
    /// Files of the project; without any, all of them
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Only say which files would change, and how
    #[arg(long)]
    pub(crate) check: bool,
}

const LOGIN_EXAMPLES: &str = "Examples:
  tb login                                              asks for both
  tb login --host https://mirrors.example.com           asks for the token
  pass show tb-token | tb login --host https://mirrors.example.com
  tb login --host http://10.0.0.5:7181 --token p.ey...  others on this machine can see it

`tb token ls` on a machine that is logged in, or `tb token create`, prints tokens. The token is
tried before .tinyb is written, readable by you only; keep .tinyb out of version control.
--host and --token, then TB_HOST and TB_TOKEN, win over .tinyb.";

const COMPLETIONS_EXAMPLES: &str = "Examples:
  tb completions bash > ~/.local/share/bash-completion/completions/tb
  tb completions zsh > ~/.zfunc/_tb
  tb completions fish > ~/.config/fish/completions/tb.fish";

/// `tb deploy`.
#[derive(Args, Debug)]
pub(crate) struct DeployArgs {
    /// Only say what would change
    #[arg(long)]
    pub(crate) check: bool,
    /// Allow changes that delete data
    #[arg(long)]
    pub(crate) allow_destructive_operations: bool,
    /// Make it live once it is staged [default]
    #[arg(long, overrides_with = "no_auto")]
    pub(crate) auto: bool,
    /// Only stage it
    #[arg(long, overrides_with = "auto")]
    pub(crate) no_auto: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

/// `--wait` and `--no-wait`.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct WaitArgs {
    /// Wait until backfills are loaded [default on a terminal]
    #[arg(long, overrides_with = "no_wait")]
    pub(crate) wait: bool,
    /// Return as soon as the server has accepted the work
    #[arg(long, overrides_with = "wait")]
    pub(crate) no_wait: bool,
}

const CHECK_EXAMPLES: &str = "Examples:
  tb check
  tb check --output json
  tb check --cwd examples/orders";

const EXPLAIN_EXAMPLES: &str = "Examples:
  tb explain                          every code
  tb explain engine-not-supported     a mistake in a file
  tb explain pitr_disabled            why a table cannot be mirrored
  tb explain healing                  a state of `tb datasource ls`
  tb explain exit-4                   an exit code of `tb`
  tb explain 'PITR must be enabled'   words of an error

The same pages are in docs/errors. Needs no server.";

const SQL_EXAMPLES: &str = "Examples:
  tb sql 'SELECT count() FROM orders FINAL'
  tb sql --output csv 'SELECT * FROM orders FINAL' > orders.csv
  tb sql - < report.sql
  tb sql 'SELECT * FROM orders FORMAT JSONEachRow'     a FORMAT in the query is left alone";

/// `tb sql`.
#[derive(Args, Debug)]
pub(crate) struct SqlArgs {
    /// The query; `-` reads it from stdin
    #[arg(value_name = "QUERY")]
    pub(crate) query: String,
    /// At most this many rows; 0 for all of them
    #[arg(long, value_name = "ROWS", default_value_t = 100)]
    pub(crate) rows_limit: u64,
}

/// `tb local`.
#[derive(Debug, Subcommand)]
pub(crate) enum LocalCommand {
    /// Start the Local server in the background
    #[command(after_help = START_EXAMPLES)]
    Start(StartArgs),
    /// Stop the Local server; data stays
    #[command(after_help = "Examples:\n  tb local stop")]
    Stop,
    /// Stop the Local server and start it again
    #[command(after_help = "Examples:\n  tb local restart --use-aws-creds")]
    Restart(StartArgs),
    /// Say whether the Local server runs, and where
    #[command(
        after_help = "Examples:\n  tb local status\n  tb local status --output json\n\nExits with 3 when it does not run."
    )]
    Status,
    /// Stop the Local server and delete its data
    #[command(after_help = "Examples:\n  tb local remove\n  tb local remove --yes")]
    Remove {
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Print the log of the Local server
    #[command(after_help = "Examples:\n  tb local logs -n 200\n  tb local logs -f")]
    Logs(LogsArgs),
    /// Print the versions of `tb` and of the Local server
    #[command(after_help = "Examples:\n  tb local version")]
    Version,
}

const START_EXAMPLES: &str = "Examples:
  tb local start                                    no AWS: queries, pipes, checks
  tb local start --use-aws-creds                    with the credentials of this shell
  AWS_PROFILE=dev tb local start --use-aws-creds
  TB_LOCAL_PORT=0 TB_LOCAL_STATE=/tmp/tb tb local start     a second one, on a free port

Without --use-aws-creds the server sees no AWS variable, no ~/.aws and no instance role.
The data is in TB_LOCAL_STATE, or dynamirror/local in $XDG_DATA_HOME or ~/.local/share.";

/// `tb local start` and `restart`.
#[derive(Args, Clone, Debug)]
pub(crate) struct StartArgs {
    /// Give the server the AWS environment of this shell: variables, profiles, SSO sessions
    #[arg(long)]
    pub(crate) use_aws_creds: bool,
    /// Port to listen on; 0 takes a free one [env: TB_LOCAL_PORT] [default: 7181]
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
}

/// `tb local logs`.
#[derive(Args, Debug)]
pub(crate) struct LogsArgs {
    /// Keep printing as the log grows
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// How many of the last lines to print
    #[arg(long, short = 'n', value_name = "LINES", default_value_t = 100)]
    pub(crate) lines: usize,
}

const SERVER_EXAMPLES: &str = "Examples:
  tb server --config /etc/dynamirror/server.toml
  tb server --state-dir ./state --host 0.0.0.0 --port 7181
  CLICKHOUSE_URL=https://user:password@clickhouse.example.com:8443 tb server

server.toml, every key with its default:
  host = \"127.0.0.1\"
  port = 7181
  state_dir = \"...\"               # $XDG_DATA_HOME or ~/.local/share, then dynamirror/server
  [clickhouse]                    # absent: the embedded engine
  url = \"http://localhost:8123\"
  user = \"default\"
  password = \"\"                   # better in CLICKHOUSE_PASSWORD
  [engine]
  max_memory_mb = 4096            # absent: half of the machine's memory
  [limits]
  max_table_gb = 500              # 0 for no limit
  max_write_capacity_units = 250  # 0 for no limit
  query_seconds = 10
  query_memory_mb = 2048
  query_result_mb = 100
  [poll]                          # milliseconds
  export_ms = 10000
  discovery_ms = 30000
  stream_min_ms = 200
  stream_idle_max_ms = 30000
  stream_idle_calls_per_hour = 10000  # GetRecords calls on idle shards, by one mirror
  retry_max_ms = 30000            # longest pause after a failure
  export_retry_ms = 300000        # before a new export after a failed one
  load_parallelism = 2            # export files loaded at a time
  [prices]                        # dollars, for the estimates of `tb plan`; us-east-1, 2024-11-01
  export_per_gb = 0.10            # a full export, by the GB (2^30 bytes) of the table
  pitr_per_gb_month = 0.20        # point-in-time recovery
  stream_reads_per_million = 0.20 # GetRecords calls
  stream_reads_free_per_month = 2500000
  [log]
  format = \"text\"                 # or json
  level = \"info\"                  # error, warn, info, debug, trace";

/// `tb server`.
#[derive(Args, Debug)]
pub(crate) struct ServerArgs {
    /// Settings file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Be a Local server: hands its tokens to whoever reaches it, so it only listens on loopback
    #[arg(long)]
    pub(crate) local: bool,
    /// Folder of metadata, keys and the engine's data
    #[arg(long, value_name = "FOLDER")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) host: Option<String>,
    /// Port to listen on; 0 takes a free one [default: 7181]
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Never look for AWS credentials
    #[arg(long, hide = true)]
    pub(crate) no_aws: bool,
    /// Leave the terminal's session first
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
}
