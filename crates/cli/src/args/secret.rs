//! `tb secret` on the command line.

use clap::Subcommand;

/// `tb secret`.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Set a secret; asks for the value, or reads it from stdin, when it is not given
    #[command(after_help = SECRET_SET_EXAMPLES)]
    Set {
        /// Name, as in {{ tb_secret("name") }}
        name: String,
        /// Value; other users of this machine can see it while the command runs
        #[arg(allow_hyphen_values = true)]
        value: Option<String>,
    },
    /// List the names of secrets; values are never shown
    #[command(after_help = "Examples:\n  tb secret ls")]
    Ls,
    /// Remove a secret
    #[command(after_help = "Examples:\n  tb secret rm dynamodb_role_arn_my_ddb")]
    Rm {
        /// Name
        name: String,
    },
}

const SECRET_SET_EXAMPLES: &str = "Examples:
  tb secret set dynamodb_role_arn_my_ddb                 asks, shows nothing
  pass show role-arn | tb secret set dynamodb_role_arn_my_ddb
  tb secret set dynamodb_role_arn_my_ddb arn:aws:iam::123456789012:role/mirror

.env and .env.local of the project are not read: set each secret once per workspace.";
