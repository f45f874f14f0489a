//! From a project folder to the workspace it is built in.
//!
//! A Cloud server's workspace is the one of the token. On the Local server every project has a workspace of
//! its own, made on first use and named as the official clients name it.

use std::fs;
use std::path::Path;

use reqwest::Url;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::client::{Client, segment};
use crate::failure::{Exit, Failure, Outcome};
use crate::files::TinybFile;
use crate::local_state::LocalState;
use crate::resolve::{LOCAL_PORT, Secret, Target};

/// What a command needs to know about where it runs.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// The server.
    pub(crate) target: Target,
    /// The project folder.
    pub(crate) folder: std::path::PathBuf,
    /// What `.tinyb` says.
    pub(crate) tinyb: TinybFile,
    /// The branch of the Cloud workspace to use instead of it.
    pub(crate) branch: Option<String>,
}

impl Session {
    /// A client without a token.
    pub(crate) fn client(&self) -> Outcome<Client> {
        match &self.target {
            Target::Cloud { url, .. } => Client::new(url.clone(), false),
            Target::Local {
                host, port, state, ..
            } => {
                let port = match port {
                    Some(port) => *port,
                    None => LocalState::new(state.clone()).port().unwrap_or(LOCAL_PORT),
                };
                // An IPv6 address needs brackets in a URL.
                let host = if host.contains(':') && !host.starts_with('[') {
                    format!("[{host}]")
                } else {
                    host.clone()
                };
                let url = Url::parse(&format!("http://{host}:{port}/")).map_err(|error| {
                    Failure::new(
                        Exit::Usage,
                        format!("TB_LOCAL_HOST is {host:?}, which is not a host"),
                    )
                    .because(&error)
                })?;
                Client::new(url, true)
            }
        }
    }

    /// A client with the token of the Cloud workspace, whatever branch is chosen.
    pub(crate) fn main_workspace(&self) -> Outcome<Client> {
        match &self.target {
            Target::Cloud { token, .. } => Ok(self.client()?.with_token(token.clone())),
            Target::Local { .. } => Err(Failure::new(
                Exit::Usage,
                "branches are made from a Cloud workspace; the Local server has one workspace for each project",
            )),
        }
    }

    /// A client that sees every workspace there is to see: on the Local server all, elsewhere those of the token.
    pub(crate) async fn all_workspaces(&self) -> Outcome<Client> {
        match &self.target {
            Target::Cloud { .. } => self.main_workspace(),
            Target::Local { .. } => {
                let client = self.client()?;
                let tokens = client.get("/tokens", &[]).await?;
                let token = tokens.get("admin_token").and_then(Value::as_str);
                Ok(client.with_token(Secret::new(token.unwrap_or_default())))
            }
        }
    }

    /// The token of a branch, asked for with that of its workspace.
    async fn branch(&self, client: &Client, name: &str) -> Outcome<Client> {
        let path = format!("/v0/environments/{}", segment(name));
        let request = client
            .request(reqwest::Method::GET, &path)
            .query(&[("with_token", "true")]);
        let Some(found) = client.found(request).await? else {
            let all = client.get("/v1/environments", &[]).await?;
            let list = all.get("environments").and_then(Value::as_array);
            let names: Vec<String> = list
                .into_iter()
                .flatten()
                .filter_map(|it| Some(it.get("name")?.as_str()?.to_owned()))
                .collect();
            return Err(crate::commands::branch::missing(name, &names));
        };
        let token = found.get("token").and_then(Value::as_str).ok_or_else(|| {
            Failure::new(
                Exit::Server,
                format!("the server gave no token for the branch {name}"),
            )
        })?;
        Ok(client.with_token(Secret::new(token)))
    }

    /// A client with the token of the project's workspace, or of the branch that was chosen; on the Local server the
    /// workspace is made if it is not there.
    pub(crate) async fn workspace(&self) -> Outcome<Client> {
        let client = self.client()?;
        if let Some(name) = &self.branch {
            return self.branch(&self.main_workspace()?, name).await;
        }
        match &self.target {
            Target::Cloud { token, .. }
            | Target::Local {
                token: Some(token), ..
            } => Ok(client.with_token(token.clone())),
            Target::Local { token: None, .. } => self.local_workspace(&client).await,
        }
    }

    async fn local_workspace(&self, client: &Client) -> Outcome<Client> {
        let tokens = client.get("/tokens", &[]).await?;
        let token = |name: &str| {
            let text = tokens.get(name).and_then(Value::as_str);
            text.map(Secret::new).ok_or_else(|| {
                Failure::new(
                    Exit::Unreachable,
                    format!("what answers at {} is not a Local server", client.address()),
                )
                .hint("use --cloud with TB_HOST and TB_TOKEN for a server that teams share")
            })
        };
        let (user, admin) = (
            client.with_token(token("user_token")?),
            client.with_token(token("admin_token")?),
        );
        let name = self.workspace_name();
        let list = admin
            .get("/v1/user/workspaces", &[("with_organization", "true")])
            .await?;
        let known = list
            .get("workspaces")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .find(|it| it.get("name").and_then(Value::as_str) == Some(name.as_str()));
        let found = match known {
            Some(workspace) => workspace.clone(),
            None => {
                let organization = list
                    .get("organization_id")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let query = [
                    ("name", name.as_str()),
                    ("assign_to_organization_id", organization),
                ];
                user.json(
                    user.request(reqwest::Method::POST, "/v1/workspaces")
                        .query(&query),
                )
                .await?
            }
        };
        let token = found.get("token").and_then(Value::as_str).ok_or_else(|| {
            Failure::new(
                Exit::Server,
                format!("the server gave no token for the workspace {name}"),
            )
            .hint("`tb local logs` may say why")
        })?;
        Ok(client.with_token(Secret::new(token)))
    }

    /// Name of the project's workspace on the Local server.
    pub(crate) fn workspace_name(&self) -> String {
        workspace_name(
            git_branch(&self.folder).as_deref(),
            self.tinyb.name.as_deref(),
            &self.folder,
        )
    }
}

/// The git branch if it is a branch of its own, else the name in `.tinyb`, else one made from the folder.
fn workspace_name(branch: Option<&str>, tinyb_name: Option<&str>, folder: &Path) -> String {
    if let Some(branch) = branch.and_then(sanitized) {
        return branch;
    }
    if let Some(name) = tinyb_name.filter(|name| !name.is_empty()) {
        return name.to_owned();
    }
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let hash = Sha256::digest(folder.as_os_str().as_encoded_bytes());
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("Tinybird_Local_Build_{hex}")
}

/// A branch name as the name of a workspace, as the official clients make it; none for the main branch.
fn sanitized(branch: &str) -> Option<String> {
    if matches!(branch, "main" | "master" | "HEAD" | "") {
        return None;
    }
    let mut name = String::with_capacity(branch.len());
    for c in branch.chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '_' };
        if !(c == '_' && name.ends_with('_')) {
            name.push(c);
        }
    }
    let name = name.strip_prefix('_').unwrap_or(&name);
    let name = name.strip_suffix('_').unwrap_or(name);
    if name.is_empty() {
        return None;
    }
    let reserved = name.starts_with(|c: char| c.is_ascii_digit()) || name.starts_with("d_");
    Some(if reserved {
        format!("branch_{name}")
    } else {
        name.to_owned()
    })
}

/// The branch that is checked out in the repository around `folder`, read without running git.
fn git_branch(folder: &Path) -> Option<String> {
    let folder = fs::canonicalize(folder).ok()?;
    let dot_git = folder
        .ancestors()
        .map(|folder| folder.join(".git"))
        .find(|path| path.exists())?;
    let git_dir = if dot_git.is_file() {
        // A worktree or a submodule: `gitdir: path`.
        let text = fs::read_to_string(&dot_git).ok()?;
        dot_git.parent()?.join(text.strip_prefix("gitdir:")?.trim())
    } else {
        dot_git
    };
    let head = fs::read_to_string(git_dir.join("HEAD")).ok()?;
    Some(head.trim().strip_prefix("ref: refs/heads/")?.to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_branch_of_its_own_names_the_workspace() {
        let name = |branch| workspace_name(Some(branch), Some("tinyb"), Path::new("/x"));
        assert_eq!(name("feature/new--orders"), "feature_new_orders");
        assert_eq!(name("_x_"), "x");
        assert_eq!(name("2024-report"), "branch_2024_report");
        assert_eq!(name("d_x"), "branch_d_x");
        assert_eq!(name("main"), "tinyb");
        assert_eq!(name("master"), "tinyb");
        assert_eq!(name("///"), "tinyb");
    }

    #[test]
    fn without_a_branch_and_a_name_the_folder_decides() {
        let one = workspace_name(None, None, Path::new("/does/not/exist"));
        // sha256 of the path's bytes, as the official clients compute it.
        assert_eq!(
            one,
            "Tinybird_Local_Build_c7fc017cc216714b223593af4b6e4c0a53973a2f064340fcc5a4ab279719db3c"
        );
        assert_ne!(
            one,
            workspace_name(None, None, Path::new("/does/not/exist/either"))
        );
    }

    #[test]
    fn the_branch_is_read_from_repositories_and_worktrees() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("repository/project");
        fs::create_dir_all(&project).unwrap();
        fs::create_dir_all(folder.path().join("repository/.git")).unwrap();
        fs::write(
            folder.path().join("repository/.git/HEAD"),
            "ref: refs/heads/feature/x\n",
        )
        .unwrap();
        assert_eq!(git_branch(&project).as_deref(), Some("feature/x"));
        fs::write(
            folder.path().join("repository/.git/HEAD"),
            "0123456789abcdef\n",
        )
        .unwrap();
        assert_eq!(git_branch(&project), None);
        let worktree = folder.path().join("worktree");
        fs::create_dir_all(&worktree).unwrap();
        fs::create_dir_all(folder.path().join("repository/.git/worktrees/w")).unwrap();
        fs::write(
            worktree.join(".git"),
            "gitdir: ../repository/.git/worktrees/w\n",
        )
        .unwrap();
        fs::write(
            folder.path().join("repository/.git/worktrees/w/HEAD"),
            "ref: refs/heads/w\n",
        )
        .unwrap();
        assert_eq!(git_branch(&worktree).as_deref(), Some("w"));
    }
}
