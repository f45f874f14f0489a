//! ClickHouse for the rivals: the same library, started and configured as our server does it, with one user who may
//! do everything.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};

use crate::process::Process;
use crate::stage::Programs;
use crate::{Result, http};

const USERS: &str = "<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users>
<default><no_password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
<access_management>1</access_management></default></users></clickhouse>";

/// A running engine.
#[derive(Debug)]
pub(crate) struct Engine {
    process: Process,
    /// It ends when this closes.
    stdin: Option<ChildStdin>,
    url: String,
}

impl Engine {
    /// Starts an engine on `data` with the settings in `engine_xml`, which our server wrote for its own.
    pub(crate) fn start(programs: &Programs, data: &Path, engine_xml: &Path) -> Result<Self> {
        let conf = Self::folder(data.with_extension("conf"))?;
        let logs = Self::folder(data.with_extension("logs"))?;
        Self::folder(data.to_owned())?;
        let users = conf.join("users.xml");
        fs::write(&users, USERS)?;
        let mut xml = fs::read_to_string(engine_xml)?;
        for (name, path) in [
            ("users_config", &users),
            ("log", &logs.join("engine.log")),
            ("errorlog", &logs.join("engine.err.log")),
        ] {
            xml = with_element(&xml, name, &path.display().to_string())
                .ok_or_else(|| format!("{} has no {name}", engine_xml.display()))?;
        }
        fs::write(conf.join("engine.xml"), xml)?;
        let mut command = programs.tb();
        command
            .arg("engine")
            .arg("--library")
            .arg(&programs.library)
            .arg("--data")
            .arg(data)
            .arg("--conf")
            .arg(&conf)
            .current_dir(data)
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process::start("engine", &mut command, &logs.join("stderr.log"))?;
        let stdin = process.child().stdin.take();
        let out = process.child().stdout.take().ok_or("no pipe")?;
        let mut port = None;
        for line in BufReader::new(out).lines() {
            if let Some(ready) = line?.strip_prefix("ready\t") {
                port = Some(ready.trim().to_owned());
                break;
            }
        }
        let port = port.ok_or_else(|| format!("the engine ended; see {}", logs.display()))?;
        Ok(Self {
            process,
            stdin,
            url: format!("http://127.0.0.1:{port}/"),
        })
    }

    fn folder(path: PathBuf) -> Result<PathBuf> {
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Runs a statement; its answer.
    pub(crate) fn sql(&self, sql: &str) -> Result<String> {
        let body = http::post(&self.url, sql.to_owned(), None)
            .map_err(|error| format!("{error}\nof: {sql}"))?;
        Ok(String::from_utf8(body)?.trim_end().to_owned())
    }

    /// Runs a query; its answer as bytes.
    pub(crate) fn bytes(&self, sql: &str) -> Result<Vec<u8>> {
        http::post(&self.url, sql.to_owned(), None)
    }

    /// The one number that a query answers.
    pub(crate) fn number(&self, sql: &str) -> Result<u64> {
        Ok(self.sql(sql)?.parse()?)
    }

    /// One insert of a body.
    pub(crate) fn insert(&self, statement: &str, body: Vec<u8>) -> Result<()> {
        let url = reqwest::Url::parse_with_params(
            &self.url,
            [("query", statement), ("optimize_on_insert", "0")],
        )?;
        http::post(url.as_str(), body, None).map(drop)
    }

    pub(crate) fn stop(mut self) -> Result<()> {
        drop(self.stdin.take());
        self.process.wait()
    }
}

/// `xml` with another text in its first element `name`.
fn with_element(xml: &str, name: &str, text: &str) -> Option<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let (before, rest) = xml.split_once(&open)?;
    let (_, after) = rest.split_once(&close)?;
    Some(format!("{before}{open}{text}{close}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_gets_another_text() {
        let xml = "<a><log>x</log><errorlog>y</errorlog></a>";
        assert_eq!(
            with_element(xml, "errorlog", "z").as_deref(),
            Some("<a><log>x</log><errorlog>z</errorlog></a>")
        );
        assert_eq!(with_element(xml, "logs", "z"), None);
    }
}
