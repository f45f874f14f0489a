//! Processes that a measurement starts, and what the kernel says of them.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Result;

/// How long a process may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process of ours: ended with us, whatever happens.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts `command` with its messages appended to `log`.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let child = command
            .stderr(Stdio::from(log))
            .spawn()
            .map_err(|error| format!("start {name}: {error}"))?;
        Ok(Self {
            child,
            name: name.to_owned(),
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Fails if the process has ended by itself.
    pub(crate) fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("{} ended early: {status}", self.name).into()),
        }
    }

    /// SIGTERM, and waits.
    pub(crate) fn stop(&mut self) -> Result<()> {
        if let Some(pid) = Pid::from_raw(i32::try_from(self.id())?) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        self.wait()
    }

    /// Waits for the end; kills what does not end.
    pub(crate) fn wait(&mut self) -> Result<()> {
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begun.elapsed() > PATIENCE {
                self.child.kill()?;
                self.child.wait()?;
                return Err(format!("{} did not end and was killed", self.name).into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// CPU time of a process so far, user and system, seconds.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    // Fields 14 and 15 of proc(5) stat; the name before them ends with a bracket.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: f64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    ticks / rustix::param::clock_ticks_per_second() as f64
}

/// CPU time of this process so far, seconds: finer than `cpu_seconds`.
pub(crate) fn own_cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Most memory a process ever held, resident, megabytes of 1,000,000 bytes; `None` if it is gone.
pub(crate) fn peak_mb(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024.0 / 1e6)
}

/// A child of `parent`, if it has one.
pub(crate) fn child_of(parent: u32) -> Option<u32> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).ok()?;
    tasks.flatten().find_map(|task| {
        let children = fs::read_to_string(task.path().join("children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    })
}

/// Polls every `pause` until `done` answers something.
pub(crate) fn wait_for<T>(
    what: &str,
    patience: Duration,
    pause: Duration,
    mut done: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = done()? {
            return Ok(found);
        }
        if begun.elapsed() > patience {
            return Err(format!("waited {} s for {what}", patience.as_secs()).into());
        }
        std::thread::sleep(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_time_and_memory_of_this_process() {
        let (before, own) = (cpu_seconds(std::process::id()), own_cpu_seconds());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(100) {
            std::hint::black_box(own_cpu_seconds());
        }
        assert!(cpu_seconds(std::process::id()) > before);
        assert!(own_cpu_seconds() > own + 0.02);
        assert!(peak_mb(std::process::id()).is_some_and(|peak| peak > 1.0));
        assert_eq!(peak_mb(u32::MAX), None);
    }

    #[test]
    fn a_process_ends_when_told_to_and_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let start = || Process::start("sleep", Command::new("sleep").arg("600"), &log).unwrap();
        let mut process = start();
        process.must_run().unwrap();
        process.stop().unwrap();
        assert!(process.must_run().is_err());
        let pid = start().id();
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
