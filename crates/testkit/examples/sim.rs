//! `make sim`: runs seeds of the simulation, shows how far it is, and tells of every divergence.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a terminal"
)]

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use testkit::run_seeds::{self, Plan, Ran};
use testkit::scenario::{Act, MINUTE, SECOND, Scenario};
use testkit::week;
use tokio::runtime::{Builder, Runtime};

const USAGE: &str = "sim [--from n] [--seeds n] [--seed n] [--until-divergence] [--except n,n] \
     [--threads n] [--longest-s n] [--week-hours n [--every-s n]]";

/// One thread, and time that passes only when nobody has anything to do.
fn paused() -> Runtime {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap_or_else(|error| panic!("no runtime: {error}"))
}

struct Asked {
    plan: Plan,
    /// One seed, and its story.
    story: bool,
    /// Long lives of so many hours instead.
    week_hours: Option<u64>,
    /// Seconds between two looks at one.
    every_s: u64,
}

fn asked(args: impl Iterator<Item = String>) -> Option<Asked> {
    let mut plan = Plan::new(1, 2000);
    let (mut story, mut week_hours, mut every_s) = (false, None, 30);
    let mut args = args;
    while let Some(name) = args.next() {
        if name == "--until-divergence" {
            plan.until_divergence = true;
            continue;
        }
        let value = args.next()?;
        if name == "--except" {
            let seeds = value.split(',').filter(|seed| !seed.is_empty());
            plan.except = seeds.map(|seed| seed.parse().ok()).collect::<Option<_>>()?;
            continue;
        }
        let number: u64 = value.parse().ok()?;
        match name.as_str() {
            "--from" => plan.first = number,
            "--seeds" => plan.count = number,
            "--seed" => {
                (plan.first, plan.count) = (number, 1);
                story = true;
            }
            "--threads" => plan.threads = usize::try_from(number).ok()?,
            "--week-hours" => week_hours = Some(number).filter(|hours| *hours > 0),
            "--every-s" => every_s = number.max(1),
            "--longest-s" => plan.longest = Duration::from_secs(number),
            _ => return None,
        }
    }
    Some(Asked {
        plan,
        story,
        week_hours,
        every_s,
    })
}

fn main() -> ExitCode {
    let Some(asked) = asked(std::env::args().skip(1)) else {
        eprintln!("usage: {USAGE}");
        return ExitCode::from(2);
    };
    if let Some(hours) = asked.week_hours {
        return weeks(&asked, hours);
    }
    let Asked { plan, story, .. } = asked;
    if story {
        foretell(&Scenario::from_seed(plan.first));
    }
    let terminal = std::io::stderr().is_terminal();
    let (mut ran, mut divergences) = (0, 0);
    let summary = run_seeds::run(&plan, paused, |one| {
        ran += 1;
        if let Err(report) = &one.outcome {
            divergences += 1;
            println!(
                "seed {} diverges: {report}\nreplay: make sim SEED={}\n",
                one.seed, one.seed
            );
        }
        if story {
            tell(one);
        }
        if terminal {
            eprint!("\r{ran} of {} seeds, {divergences} divergences", plan.count);
        }
    });
    if terminal {
        eprintln!();
    }
    for line in summary.lines() {
        println!("{line}");
    }
    if !summary.divergences.is_empty() {
        println!("diverging seeds: {:?}", summary.divergences.keys());
    }
    println!(
        "sim: {} seeds, {} divergences, {} s",
        summary.seeds,
        summary.divergences.len(),
        summary.took.as_secs()
    );
    match summary.divergences.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// `make sim-week`: long lives, as people see them.
fn weeks(asked: &Asked, hours: u64) -> ExitCode {
    let plan = week::Plan {
        first: asked.plan.first,
        seeds: asked.plan.count,
        hours: hours as i64,
        every_ms: asked.every_s as i64 * SECOND,
        threads: asked.plan.threads,
    };
    let mut summary = week::run(&plan, paused, |seed, lived| match lived {
        Ok(figures) => println!("seed {seed}\n  {}", figures.lines().join("\n  ")),
        Err(report) => println!("seed {seed} diverges: {report}\n"),
    });
    println!("all seeds\n  {}", summary.all.lines().join("\n  "));
    let took_s = summary.took.as_secs_f64();
    println!(
        "{:.0} hours of virtual time a second",
        summary.all.virtual_ms as f64 / 3_600_000.0 / took_s
    );
    println!(
        "sim-week: {} seeds, {hours} h each, lag {}, headroom min {} h, {} divergences, {took_s:.0} s",
        plan.seeds,
        summary.all.ages.line(),
        summary.all.headroom_hours(),
        summary.divergences.len(),
    );
    match summary.divergences.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// What a seed has in store, in order of time. Writes that follow each other are one line.
fn foretell(scenario: &Scenario) {
    println!(
        "seed {}: {:#?}\n{:#?}",
        scenario.seed, scenario.settings, scenario.config
    );
    println!("faults: {}", run_seeds::faults(scenario).join(", "));
    println!("odds: {:?}", scenario.odds);
    for window in &scenario.windows {
        let from_ms = window.from_ms - scenario.config.start_ms;
        let to_ms = window.to_ms - scenario.config.start_ms;
        println!(
            "{:>9.1} min  until {:.1} min {:?} at {:?}",
            minutes(from_ms),
            minutes(to_ms),
            window.error,
            window.calls
        );
    }
    for (life, crash) in scenario.crashes.iter().enumerate() {
        println!("life {} ends with {crash:?}", life + 1);
    }
    println!(
        "{:>9.1} min  the worker starts",
        minutes(scenario.starts_ms)
    );
    let mut steps = scenario.steps.clone();
    steps.sort_by_key(|step| step.at_ms);
    let mut writes = 0;
    for step in steps {
        match step.act {
            Act::Put { .. } | Act::Same { .. } | Act::Delete { .. } | Act::Expire { .. } => {
                writes += 1
            }
            act => {
                println!(
                    "{:>9.1} min  {act:?}, after {writes} writes",
                    minutes(step.at_ms)
                );
                writes = 0;
            }
        }
    }
    println!(
        "{:>9.1} min  good weather, after {writes} writes",
        minutes(scenario.ends_ms)
    );
}

fn minutes(ms: i64) -> f64 {
    ms as f64 / MINUTE as f64
}

fn tell(ran: &Ran) {
    if let Ok(outcome) = &ran.outcome {
        println!(
            "{} lives, {} changes, {} shards, {} rows, {} exports, {} healed, {} resyncs, {} calls, {:.0} min, {:.1?}",
            outcome.lives,
            outcome.changes,
            outcome.shards,
            outcome.rows,
            outcome.exports,
            outcome.healed,
            outcome.resyncs,
            outcome.calls,
            minutes(outcome.virtual_ms),
            ran.took
        );
    }
}
