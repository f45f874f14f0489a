//! ClickHouse elsewhere, ClickHouse out of reach, ClickHouse without space.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sim::Attr;

use super::flow::{churn, fill, key};
use super::oracle::equal;
use super::stage::{Stage, library};

/// A ClickHouse of somebody else: the same engine, with a user of its own.
pub(crate) struct External {
    process: Child,
    pub(crate) port: u16,
}

impl External {
    pub(crate) fn start(folder: &Path) -> Self {
        let path = |name: &str| folder.join(name);
        fs::create_dir_all(path("data")).unwrap();
        let users = path("users.xml");
        let engine = format!(
            "<clickhouse><users_config>{}</users_config></clickhouse>",
            users.display()
        );
        fs::write(path("engine.xml"), engine).unwrap();
        fs::write(
            users,
            "<clickhouse><profiles><default/></profiles><quotas><q/></quotas><users>\
             <default><no_password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>q</quota></default>\
             <operator><password>secret</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>\
             <quota>q</quota><access_management>1</access_management></operator></users></clickhouse>",
        )
        .unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_tb"))
            .args(["engine", "--library"])
            .arg(library())
            .arg("--data")
            .arg(path("data"))
            .arg("--conf")
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("ready\t").unwrap();
        Self {
            process,
            port: port.parse().unwrap(),
        }
    }
}

impl Drop for External {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A wire to a port that can be cut: new connections are closed at once, old ones break.
struct Wire {
    port: u16,
    cut: Arc<AtomicBool>,
}

impl Wire {
    fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicBool::new(false));
        let is_cut = Arc::clone(&cut);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let is_cut = Arc::clone(&is_cut);
                    std::thread::spawn(move || carry(from, to, &is_cut));
                }
            }
        });
        Self { port, cut }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut buffer = [0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if is_cut.load(Ordering::SeqCst) || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}

#[test]
fn an_external_clickhouse_that_is_out_of_reach_for_a_while_misses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let external = External::start(folder.path());
    let wire = Wire::to(external.port);
    let mut stage = Stage::new();
    let url = format!("http://operator:secret@127.0.0.1:{}", wire.port);
    stage.server_env.push(("CLICKHOUSE_URL".to_owned(), url));
    fill(&stage, 100);
    stage.set_up();
    assert!(stage.engine_pid().is_none(), "no engine of its own");
    assert_eq!(equal(&stage), 100);

    wire.cut.store(true, Ordering::SeqCst);
    churn(&stage, 1, 200);
    let retrying = stage.wait_for_state(&["retrying"]);
    assert!(
        retrying["reason"]
            .as_str()
            .is_some_and(|reason| !reason.is_empty())
    );
    stage.kill();
    stage.start();
    churn(&stage, 2, 200);
    stage.wait_for_state(&["retrying"]);
    wire.cut.store(false, Ordering::SeqCst);
    stage.wait_for_state(&["live"]);
    equal(&stage);
}

/// A small file system; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` if this environment does not let us mount.
    fn at(path: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        mount(&path, options).then_some(Self(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(path: &Path, options: &str) -> bool {
    let mut command = Command::new("mount");
    command
        .args(["-t", "tmpfs", "-o", options, "tmpfs"])
        .arg(path);
    command.output().is_ok_and(|output| output.status.success())
}

#[test]
fn a_full_disk_is_said_so_and_the_mirror_goes_on_once_there_is_space() {
    let mut stage = Stage::new();
    let data = stage.state().join("engine/data");
    let Some(disk) = SmallDisk::at(data, "size=48m") else {
        eprintln!("NOT RUN: a full disk needs root and mount");
        return;
    };
    fill(&stage, 20);
    stage.set_up();
    equal(&stage);
    // Noise does not compress: 120 items of 300 KB, 400 KB as base64, do not fit.
    let mut noise = 0x9E37_79B9_7F4A_7C15_u64;
    for number in 0..120 {
        let bytes = (0..300_000).map(|_| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise as u8
        });
        let mut item = key(number);
        item.insert("blob".to_owned(), Attr::B(bytes.collect()));
        stage.put(&item);
    }
    churn(&stage, 1, 400);
    let full = stage.wait_for_state(&["retrying"]);
    let action = full["next_action"].as_str().unwrap_or_default();
    assert!(action.contains("disk space"), "{full}");
    let listed = stage.tb(&["datasource", "ls"]).success().all();
    assert!(listed.contains("disk space"), "{listed}");
    assert!(mount(&disk.0, "remount,size=900m"));
    stage.wait_for_state(&["live"]);
    equal(&stage);
    stage.kill();
}
