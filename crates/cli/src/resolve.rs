//! Where a setting comes from: flag, then environment, then file, then default.
//!
//! Pure functions over an [`Environment`], so that tests need no process-wide variables.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use reqwest::Url;

use crate::env_vars;
use crate::failure::{Exit, Failure, Outcome};
use crate::files::TinybFile;

/// Port of the Local server, hard-coded in the clients of the API.
pub(crate) const LOCAL_PORT: u16 = 7181;

/// The variables of the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// What the process was started with.
    pub(crate) fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// A variable that is set, not empty and valid text.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(std::ffi::OsStr::new(name))?
            .to_str()
            .filter(|value| !value.is_empty())
    }

    /// A variable that names a path.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.0
            .get(std::ffi::OsStr::new(name))
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.0.iter()
    }
}

#[cfg(test)]
impl Environment {
    /// These variables and no others.
    pub(crate) fn of_pairs(pairs: &[(&str, &str)]) -> Self {
        Self(
            pairs
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self::of_pairs(&pairs)
    }
}

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the place that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<redacted>")
    }
}

/// What the global flags say about the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct TargetFlags {
    pub(crate) cloud: bool,
    pub(crate) local: bool,
    pub(crate) branch: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) token: Option<String>,
}

/// The server that a command talks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The Local server.
    Local {
        /// Host to connect to.
        host: String,
        /// Port, when it was named; otherwise the state folder says.
        port: Option<u16>,
        /// The state folder.
        state: PathBuf,
        /// A token instead of the one of the project's workspace.
        token: Option<Secret>,
    },
    /// A server that somebody else runs.
    Cloud {
        /// Its address: scheme, host, port.
        url: Url,
        /// The workspace's token.
        token: Secret,
    },
}

/// Resolves the server. `--host` alone means that host; `TB_HOST` alone does not, it waits for `--cloud`.
pub(crate) fn target(flags: &TargetFlags, env: &Environment, tinyb: &TinybFile) -> Outcome<Target> {
    let cloud = flags.cloud || flags.branch.is_some();
    if !(cloud || flags.host.is_some() && !flags.local) {
        return Ok(Target::Local {
            host: env
                .get(env_vars::TB_LOCAL_HOST)
                .unwrap_or("127.0.0.1")
                .to_owned(),
            port: local_port(None, env)?.filter(|port| *port != 0),
            state: local_state(env)?,
            token: flags.token.clone().map(Secret::new),
        });
    }
    let url = cloud_url(flags, env, tinyb)?.ok_or_else(|| {
        let selector = if flags.branch.is_some() {
            "--branch"
        } else {
            "--cloud"
        };
        Failure::new(
            Exit::Usage,
            format!("{selector} needs the address of a server"),
        )
        .hint("run `tb login`, set TB_HOST, or give --host https://mirrors.example.com")
    })?;
    let token = cloud_token(flags, env)
        .or_else(|| remembered_token(&url, tinyb))
        .ok_or_else(|| {
            Failure::new(Exit::Refused, format!("no token for {}", url.authority()))
                .hint("run `tb login`, set TB_TOKEN, or give --token, to a token of the workspace")
        })?;
    Ok(Target::Cloud { url, token })
}

/// The server that flag, variable or file name, in this order.
pub(crate) fn cloud_url(
    flags: &TargetFlags,
    env: &Environment,
    tinyb: &TinybFile,
) -> Outcome<Option<Url>> {
    flags
        .host
        .as_deref()
        .or(env.get(env_vars::TB_HOST))
        .or(tinyb.host.as_deref())
        .map(server_url)
        .transpose()
}

/// The token that flag or variable give.
pub(crate) fn cloud_token(flags: &TargetFlags, env: &Environment) -> Option<Secret> {
    flags
        .token
        .as_deref()
        .or(env.get(env_vars::TB_TOKEN))
        .map(Secret::new)
}

/// The token that `.tinyb` has for this server. One that was given for another server is not sent to it.
fn remembered_token(url: &Url, tinyb: &TinybFile) -> Option<Secret> {
    let is_this = |host: &str| server_url(host).is_ok_and(|other| other == *url);
    let of_host = tinyb.tokens.iter().find(|(host, _)| is_this(host));
    let named = of_host.map(|(_, token)| token);
    let own = tinyb
        .token
        .as_ref()
        .filter(|_| tinyb.host.as_deref().is_none_or(is_this));
    own.or(named)
        .filter(|token| !token.is_empty())
        .map(Secret::new)
}

/// `host`, `host:port` or a URL, reduced to scheme, host and port.
pub(crate) fn server_url(text: &str) -> Outcome<Url> {
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let refused = |why: &str| {
        Failure::new(
            Exit::Usage,
            format!("{text:?} is not the address of a server: {why}"),
        )
        .hint("write it as https://mirrors.example.com or http://10.0.0.5:7181")
    };
    let mut url = Url::parse(&with_scheme).map_err(|error| refused(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("the scheme must be http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused(
            "it may not hold a user or a password; tokens go into --token or TB_TOKEN",
        ));
    }
    url.set_path("/");
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// The port of the Local server as flag or variable name it.
pub(crate) fn local_port(flag: Option<u16>, env: &Environment) -> Outcome<Option<u16>> {
    if flag.is_some() {
        return Ok(flag);
    }
    env.get(env_vars::TB_LOCAL_PORT)
        .map(|text| {
            text.trim().parse().map_err(|_| {
                Failure::new(
                    Exit::Usage,
                    format!("TB_LOCAL_PORT is {text:?}, which is not a port"),
                )
                .hint("use a number from 0 to 65535; 0 takes a free port")
            })
        })
        .transpose()
}

/// Folder of the Local server.
pub(crate) fn local_state(env: &Environment) -> Outcome<PathBuf> {
    match env.path(env_vars::TB_LOCAL_STATE) {
        Some(path) => Ok(absolute(&path)),
        None => Ok(data_home(env)?.join("dynamirror/local")),
    }
}

/// Folder of a shared server that was not told where to keep its state.
pub(crate) fn server_state(env: &Environment) -> Outcome<PathBuf> {
    Ok(data_home(env)?.join("dynamirror/server"))
}

fn data_home(env: &Environment) -> Outcome<PathBuf> {
    // The XDG specification says to ignore a relative path.
    let xdg = env
        .path(env_vars::XDG_DATA_HOME)
        .filter(|path| path.is_absolute());
    xdg.or_else(|| {
        env.path(env_vars::HOME)
            .map(|home| home.join(".local/share"))
    })
    .ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            "there is no home folder to keep data in: HOME is not set",
        )
        .hint("set TB_LOCAL_STATE, or give --state-dir to `tb server`")
    })
}

/// `path` from the current folder, so that a child with another one finds it.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Whether colour may be used at all.
pub(crate) fn colour(no_color: bool, env: &Environment) -> bool {
    !no_color && env.get(env_vars::NO_COLOR).is_none() && env.get(env_vars::TERM) != Some("dumb")
}

/// The environment of a Local server started from `env`.
///
/// Without `use_aws_creds` it must not find credentials of the caller anywhere: not in variables, not in
/// `~/.aws`, not at an instance's metadata address.
pub(crate) fn local_server_environment(
    env: &Environment,
    use_aws_creds: bool,
) -> Vec<(OsString, OsString)> {
    let is_aws = |name: &OsString| name.as_encoded_bytes().starts_with(b"AWS_");
    let mut child: Vec<(OsString, OsString)> = env
        .iter()
        .filter(|(name, _)| use_aws_creds || !is_aws(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if !use_aws_creds {
        let blind = [
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ];
        child.extend(blind.map(|(name, value)| (name.into(), value.into())));
    }
    child
}

#[cfg(test)]
mod tests;
