//! `tb connection` on the command line.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

/// `tb connection`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConnectionCommand {
    /// Make a connection: policies, role, secret, files
    #[command(subcommand, arg_required_else_help = true)]
    Create(CreateCommand),
    /// List connections: type, region, role, data sources, environments
    #[command(
        after_help = "Examples:\n  tb connection ls\n  tb connection ls --output json\n\nA role that a secret holds is shown as the secret's name."
    )]
    Ls,
    /// Remove the file of a connection
    #[command(after_help = RM_EXAMPLES)]
    Rm {
        /// Connection
        name: String,
        /// Also remove the data sources that use it
        #[arg(long)]
        with_datasources: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Print the role's access policy and trust policy, as JSON or as something to run
    #[command(after_help = POLICY_EXAMPLES)]
    Policy(PolicyArgs),
    /// Try every permission of the role without changing anything, and name what is missing
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(DoctorArgs),
}

/// `tb connection create`.
#[derive(Debug, Subcommand)]
pub(crate) enum CreateCommand {
    /// Connect a DynamoDB table: asks for what is not given, prints the policies, validates, writes the files
    #[command(after_help = CREATE_EXAMPLES)]
    Dynamodb(CreateArgs),
}

/// Where a connection is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wanted {
    /// The Local server
    Local,
    /// The server of `tb login`, --host or TB_HOST
    Cloud,
    /// Both
    Both,
}

const CREATE_EXAMPLES: &str = "Examples:
  tb connection create dynamodb
  tb connection create dynamodb --name my_ddb        again, to add a table to that connection
  tb connection create dynamodb --yes --name my_ddb --bucket my-orders-exports --env both \\
    --table-arn arn:aws:dynamodb:us-east-1:123456789012:table/orders \\
    --role-arn arn:aws:iam::123456789012:role/mirror

Nothing is written before the last answer: Ctrl-C leaves everything as it was.
The role's ARN is stored as the secret dynamodb_role_arn_<name> in each environment.";

/// `tb connection create dynamodb`.
#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// Name of the connection; that of an existing one adds a table to it
    #[arg(long, visible_alias = "connection-name", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Table that the access policy is for; * for all tables
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: Option<String>,
    /// Bucket that exports are written to; * in the access policy for all buckets
    #[arg(long, value_name = "BUCKET")]
    pub(crate) bucket: Option<String>,
    /// Region of the table [default: the one in --table-arn]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Where the connection is used
    #[arg(long, value_enum, ignore_case = true, value_name = "ENVIRONMENT")]
    pub(crate) env: Option<Wanted>,
    /// Role that has the two policies
    #[arg(long, value_name = "ARN")]
    pub(crate) role_arn: Option<String>,
    /// Table to mirror
    #[arg(long, value_name = "ARN")]
    pub(crate) table_arn: Option<String>,
    /// Name of the data source [default: the table's]
    #[arg(long, value_name = "NAME")]
    pub(crate) datasource: Option<String>,
    /// Replace files that exist
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Do not ask anything
    #[arg(long, short)]
    pub(crate) yes: bool,
}

const RM_EXAMPLES: &str = "Examples:
  tb connection rm my_ddb
  tb connection rm my_ddb --with-datasources --yes

Only files of the project are removed. The next build or deployment takes the connection off the server;
the secret stays until `tb secret rm`, and the role until you remove it in AWS.";

const POLICY_EXAMPLES: &str = "Examples:
  tb connection policy my_ddb                        for all tables of a connection of the project
  tb connection policy my_ddb --table orders --bucket my-orders-exports --env both
  tb connection policy my_ddb --cli > make-role.sh
  tb connection policy my_ddb --terraform > role.tf
  tb connection policy my_ddb --cloudformation > role.json";

/// `tb connection policy`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("format").args(["cli", "terraform", "cloudformation"])))]
pub(crate) struct PolicyArgs {
    /// Connection, of the project or one to be made; the external ids depend on its name
    pub(crate) name: String,
    /// Also this table; * for all. May be given more than once
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: Vec<String>,
    /// Also this bucket; * for all. May be given more than once
    #[arg(long, value_name = "BUCKET")]
    pub(crate) bucket: Vec<String>,
    /// Region [default: the connection's]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Whose principals and external ids [default: every environment that answers]
    #[arg(long, value_enum, ignore_case = true, value_name = "ENVIRONMENT")]
    pub(crate) env: Option<Wanted>,
    /// Name of the role in what is to be run
    #[arg(long, value_name = "ROLE", default_value = "dynamirror")]
    pub(crate) role_name: String,
    /// As commands of the AWS command line
    #[arg(long)]
    pub(crate) cli: bool,
    /// As Terraform resources
    #[arg(long)]
    pub(crate) terraform: bool,
    /// As a CloudFormation template
    #[arg(long)]
    pub(crate) cloudformation: bool,
}

const DOCTOR_EXAMPLES: &str = "Examples:
  tb connection doctor my_ddb                        every table of the connection
  tb connection doctor my_ddb --table-arn arn:aws:dynamodb:us-east-1:123456789012:table/orders
  tb --cloud connection doctor my_ddb --output json

Each permission is tried with a call that cannot change anything: an export as of 1970, an index that
no table has, an upload that nobody began. What cannot be tried so is said.
Exits with 1 when something is missing.";

/// `tb connection doctor`.
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Connection
    pub(crate) name: String,
    /// Only this table, which need not be in the project
    #[arg(long, value_name = "ARN")]
    pub(crate) table_arn: Option<String>,
    /// Export bucket, if no data source of the connection names one
    #[arg(long, value_name = "BUCKET")]
    pub(crate) bucket: Option<String>,
}

/// `tb datasource create`.
#[derive(Args, Debug)]
pub(crate) struct DatasourceCreateArgs {
    /// Mirror a DynamoDB table
    #[arg(long, required = true)]
    pub(crate) dynamodb: bool,
    /// Name of the data source [default: the table's]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Connection of the project
    #[arg(long, value_name = "NAME")]
    pub(crate) connection_name: Option<String>,
    /// Table to mirror
    #[arg(long, visible_alias = "table-arn", value_name = "ARN")]
    pub(crate) dynamodb_table_arn: Option<String>,
    /// Bucket that exports are written to
    #[arg(long, visible_alias = "bucket", value_name = "BUCKET")]
    pub(crate) dynamodb_export_bucket: Option<String>,
    /// Replace a file that exists
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Do not ask anything
    #[arg(long, short)]
    pub(crate) yes: bool,
}
