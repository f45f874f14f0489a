//! How fast one core turns lines of an export into plain JSON and into the rows of a batch, beside JSON parsers
//! used in the obvious way.
//!
//! `cargo run --release -p mirror --example transcode_rate [-- --json]` measures every kind of data; `--quick` takes
//! less of it. The contenders take turns, and the median of nine rounds counts; time is CPU time of this thread.
//!
//! For a figure that does not depend on how busy the machine is, count instructions (`apt install valgrind`):
//!
//! ```text
//! cargo build --release -p mirror --example transcode_rate
//! valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*count_me*' \
//!     target/release/examples/transcode_rate --once typical
//! ```
//!
//! `--once` converts the kind's data once and prints how many bytes that was: `Collected`, divided by it, is
//! instructions per byte. `--once typical project` counts the rows of a batch instead of plain JSON.
#![expect(clippy::print_stdout, reason = "a program for people")]

mod data;
mod parsers;

use std::hint::black_box;

use mirror::batch::Batch;
use mirror::column_type::ColumnType;
use mirror::limits::BACKFILL_BATCH_BYTES;
use mirror::plan::{MirrorPlan, PlanColumn, RecordPath};
use mirror::projection::Projection;
use mirror::table::{KeyAttribute, KeyType};
use mirror::transcode::{Lines, Transcoder};

use data::Kind;
use parsers::convert;

const ROUNDS: usize = 9;

/// What is measured: ours twice, and what it is measured by.
const CONTENDERS: [&str; 6] = [
    "transcode",
    "project",
    "simd-json",
    "sonic-rs",
    "serde_json",
    "memcpy",
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if let Some(at) = arguments.iter().position(|argument| argument == "--once") {
        let wanted = arguments.get(at + 1).map_or("typical", String::as_str);
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == wanted) else {
            println!("no kind of data is called {wanted}");
            std::process::exit(2);
        };
        once(kind, has("project"));
        return;
    }
    let bytes = if has("--quick") { 4 << 20 } else { 32 << 20 };
    let mut reports = Vec::new();
    if !has("--json") {
        let names = CONTENDERS.map(|name| format!("{name:>10}")).join(" ");
        println!("GB/s of one core   {names}");
    }
    for kind in Kind::ALL {
        let blocks = kind.blocks(bytes);
        let rates = measure(&blocks);
        if has("--json") {
            reports.push(json(kind, &blocks, rates));
            continue;
        }
        println!(
            "{:8} {:6} B   {}   project / better parser {:.2}, {:.2} CPU s per million lines",
            kind.name(),
            bytes_in(&blocks) / lines_in(&blocks),
            rates.map(|rate| format!("{rate:>10.3}")).join(" "),
            rates[1] / rates[2].max(rates[3]),
            bytes_in(&blocks) as f64 / lines_in(&blocks) as f64 / 1e3 / rates[1],
        );
    }
    if has("--json") {
        println!("{{\"kinds\":[{}]}}", reports.join(","));
    }
}

fn bytes_in(blocks: &[Vec<u8>]) -> usize {
    blocks.iter().map(Vec::len).sum()
}

fn lines_in(blocks: &[Vec<u8>]) -> usize {
    let count = |block: &Vec<u8>| Lines::new(block).iter().count();
    blocks.iter().map(count).sum()
}

fn json(kind: Kind, blocks: &[Vec<u8>], rates: [f64; 6]) -> String {
    let parser = rates[2].max(rates[3]);
    let per_line = bytes_in(blocks) as f64 / lines_in(blocks) as f64;
    let mut figures: Vec<String> = CONTENDERS
        .iter()
        .zip(rates)
        .map(|(name, rate)| format!("\"{name}_gb_per_s\":{rate:.4}"))
        .collect();
    for (name, value) in [
        ("line_bytes", per_line),
        ("transcode_to_better_parser", rates[0] / parser),
        ("project_to_better_parser", rates[1] / parser),
        ("transcode_to_memcpy", rates[0] / rates[5]),
        ("project_to_memcpy", rates[1] / rates[5]),
        ("project_cpu_s_per_million_lines", per_line / 1e3 / rates[1]),
    ] {
        figures.push(format!("\"{name}\":{value:.4}"));
    }
    format!("{{\"kind\":\"{}\",{}}}", kind.name(), figures.join(","))
}

/// GB/s of each contender.
fn measure(blocks: &[Vec<u8>]) -> [f64; 6] {
    let plan = plan();
    let mut ours = Ours::new(&plan);
    ours.warm_up(blocks);
    let mut theirs = Theirs::default();
    let mut times = [const { Vec::new() }; 6];
    for _ in 0..ROUNDS {
        for (contender, times) in times.iter_mut().enumerate() {
            // The clock ticks in milliseconds, and a copy takes less.
            let repeats = if CONTENDERS[contender] == "memcpy" {
                50
            } else {
                1
            };
            let start = cpu_seconds();
            for block in (0..repeats).flat_map(|_| blocks) {
                match contender {
                    0 => ours.transcode(block),
                    1 => ours.project(block),
                    _ => theirs.convert(CONTENDERS[contender], block),
                }
            }
            times.push((cpu_seconds() - start) / f64::from(repeats));
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        bytes_in(blocks) as f64 / 1e9 / times[ROUNDS / 2]
    })
}

struct Ours {
    transcoder: Transcoder,
    out: Vec<u8>,
    projection: Projection,
    batch: Batch,
}

impl Ours {
    fn new(plan: &MirrorPlan) -> Self {
        Self {
            transcoder: Transcoder::new(),
            out: Vec::new(),
            projection: Projection::new(plan),
            batch: plan.new_batch(),
        }
    }

    /// Fills the buffers as far as they are filled later on: the product keeps them from file to file, so what the
    /// kernel takes for fresh memory is no part of the rate.
    fn warm_up(&mut self, blocks: &[Vec<u8>]) {
        for block in blocks.iter().cycle() {
            self.transcode(block);
            self.project(block);
            if self.batch.bytes() > BACKFILL_BATCH_BYTES {
                return;
            }
        }
    }

    fn transcode(&mut self, block: &[u8]) {
        self.out.clear();
        for line in Lines::new(block).iter() {
            let outcome = self.transcoder.scan_export_line(line);
            assert!(outcome.is_ok(), "{outcome:?}");
            self.transcoder.write_item(&mut self.out);
        }
        black_box(&self.out);
    }

    fn project(&mut self, block: &[u8]) {
        if self.batch.bytes() > BACKFILL_BATCH_BYTES {
            self.batch.clear();
        }
        for line in Lines::new(block).iter() {
            let (projection, batch) = (&mut self.projection, &mut self.batch);
            let outcome = projection.project_export_line(line, 1, "us-east-1", batch);
            assert!(outcome.is_ok(), "{outcome:?}");
        }
        black_box(&self.batch);
    }
}

#[derive(Default)]
struct Theirs {
    copy: Vec<u8>,
    out: Vec<u8>,
    keys: Vec<u8>,
}

impl Theirs {
    fn convert(&mut self, contender: &str, block: &[u8]) {
        self.out.clear();
        self.keys.clear();
        if contender == "memcpy" {
            self.out.extend_from_slice(block);
            black_box(&self.out);
            return;
        }
        for line in Lines::new(block).iter() {
            let line = line.bytes();
            let (out, keys) = (&mut self.out, &mut self.keys);
            let converted = match contender {
                "simd-json" => {
                    // It parses in place.
                    self.copy.clear();
                    self.copy.extend_from_slice(line);
                    simd_json::to_borrowed_value(&mut self.copy)
                        .is_ok_and(|tree| convert(&tree, out, keys))
                }
                "sonic-rs" => sonic_rs::from_slice::<sonic_rs::Value>(line)
                    .is_ok_and(|tree| convert(&tree, out, keys)),
                _ => serde_json::from_slice::<serde_json::Value>(line)
                    .is_ok_and(|tree| convert(&tree, out, keys)),
            };
            assert!(converted, "a parser could not read a line");
        }
        black_box((&self.out, &self.keys));
    }
}

fn once(kind: Kind, project: bool) {
    let blocks = kind.blocks(4 << 20);
    let plan = plan();
    let mut ours = Ours::new(&plan);
    count_me(&mut ours, &blocks, project);
    println!("{} bytes", bytes_in(&blocks));
}

/// What callgrind counts.
#[inline(never)]
fn count_me(ours: &mut Ours, blocks: &[Vec<u8>], project: bool) {
    for block in blocks {
        if project {
            ours.project(block);
        } else {
            ours.transcode(block);
        }
    }
}

/// CPU time of this thread in seconds, so that a busy machine does not count.
fn cpu_seconds() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// The table the connector's wizard makes.
fn plan() -> MirrorPlan {
    let item = |name: &str| RecordPath::Item(vec![name.to_owned()]);
    let columns = [
        ("pk", "String", item("pk")),
        ("sk", "String", item("sk")),
        ("_record", "String", RecordPath::NewImage(Vec::new())),
        (
            "_old_record",
            "Nullable(String)",
            RecordPath::OldImage(Vec::new()),
        ),
        ("_timestamp", "DateTime64(3)", RecordPath::Version),
        (
            "_event_name",
            "LowCardinality(String)",
            RecordPath::EventName,
        ),
        ("_is_deleted", "UInt8", RecordPath::IsDeleted),
    ];
    let columns = columns
        .into_iter()
        .map(|(name, declared, path)| PlanColumn {
            name: name.to_owned(),
            declared_type: declared.to_owned(),
            column_type: ColumnType::parse(declared).unwrap_or_else(|error| panic!("{error}")),
            is_key: matches!(path, RecordPath::Item(_)),
            path,
            default: None,
            codec: None,
        });
    let key = |name: &str| KeyAttribute {
        name: name.to_owned(),
        key_type: KeyType::S,
    };
    MirrorPlan {
        database: "default".to_owned(),
        table: "orders".to_owned(),
        columns: columns.collect(),
        sorting_key: "pk, sk".to_owned(),
        sorting_columns: vec![0, 1],
        version_column: "_timestamp".to_owned(),
        is_deleted_column: "_is_deleted".to_owned(),
        partition_key: None,
        primary_key: None,
        sampling_key: None,
        ttl: None,
        settings: None,
        indexes: Vec::new(),
        keys: vec![key("pk"), key("sk")],
    }
}
