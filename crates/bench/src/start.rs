//! How long people wait: for help, for the server, for a build.

use std::fs;
use std::process::Stdio;
use std::time::Instant;

use crate::Result;
use crate::plan::Bench;
use crate::results::Better::Lower;
use crate::stage::{Aws, Server};

const HELPS: usize = 30;
const DATASOURCES: usize = 50;

pub(crate) fn run(bench: &mut Bench) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..HELPS {
        let mut command = bench.programs.tb();
        let begun = Instant::now();
        let status = command.arg("--help").stdout(Stdio::null()).status()?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        if !status.success() {
            return Err(format!("tb --help: {status}").into());
        }
    }
    let how = "`tb --help`, from the start of the process to its end";
    bench.results.add("help_ms", "ms", Lower, how, &times);

    let names: Vec<String> = (0..DATASOURCES)
        .map(|number| format!("orders_{number:02}"))
        .collect();
    let (mut ready, mut built) = (Vec::new(), Vec::new());
    for _ in 0..bench.repeats() {
        let folder = bench.folder("start")?;
        let aws = Aws::start(&bench.programs, &folder, 4)?;
        for name in &names {
            aws.create_table(name)?;
        }
        aws.come_to_the_present()?;
        let mut server = Server::prepare(&bench.programs, &folder, &aws, &names)?;
        server.set_up_without_build()?;
        let begun = Instant::now();
        server.build()?;
        built.push(begun.elapsed().as_secs_f64());
        for name in &names {
            server.loaded(name)?;
        }
        server.stop()?;
        // The second start is what people have every day.
        let begun = Instant::now();
        server.tb(&["local", "start", "--use-aws-creds"])?;
        ready.push(begun.elapsed().as_secs_f64());
        server.tb(&["local", "stop"])?;
        aws.stop()?;
        fs::remove_dir_all(folder)?;
    }
    let how = "`tb local start` of a server with 50 mirrors that was stopped before, until the command returns; page cache warm";
    bench
        .results
        .add("local_start_ready_s", "s", Lower, how, &ready);
    let how = "first `tb build --with-connections --no-wait` of a project of 50 data sources with a table each, until the command returns";
    bench
        .results
        .add("build_50_datasources_s", "s", Lower, how, &built);
    Ok(())
}
