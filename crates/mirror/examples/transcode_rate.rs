//! How fast one core turns lines of an export into plain JSON, and into the rows of a batch.
//!
//! `cargo run --release -p mirror --example transcode_rate [lines]`. The data is made here: orders of about
//! 700 bytes with attributes in varying order, some escapes, maps, lists, sets and binaries.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::fmt::Write;
use std::time::Instant;

use mirror::column_type::ColumnType;
use mirror::plan::{MirrorPlan, PlanColumn, RecordPath};
use mirror::projection::Projection;
use mirror::table::{KeyAttribute, KeyType};
use mirror::transcode::Transcoder;

/// Repeatable pseudo-random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

const WORDS: [&str; 12] = [
    "amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "jetty",
    "koala", "zephyr",
];
const CITIES: [&str; 5] = ["Zaragoza", "Málaga", "Osaka", "São Paulo", "Kraków"];

fn main() {
    let lines: u64 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(200_000);
    let mut random = Random(1);
    let lines_text: Vec<String> = (0..lines).map(|n| line(&mut random, n)).collect();
    let bytes: usize = lines_text.iter().map(String::len).sum();
    println!(
        "{lines} lines, {} bytes each",
        bytes / lines_text.len().max(1)
    );
    let count = lines_text.len();
    // Blocks of whole lines, as an export file is read.
    let blocks: Vec<Vec<u8>> = lines_text
        .chunks(1_500)
        .map(|chunk| chunk.concat().into_bytes())
        .collect();
    drop(lines_text);

    let mut transcoder = Transcoder::new();
    let mut out = Vec::new();
    measure("transcode", bytes, count, || {
        for block in &blocks {
            out.clear();
            for line in lines_of(block) {
                if transcoder.scan_export_line(line).is_ok() {
                    transcoder.write_item(&mut out);
                }
            }
        }
    });

    let plan = plan();
    let mut projection = Projection::new(&plan);
    let mut batch = plan.new_batch();
    measure("project", bytes, count, || {
        for block in &blocks {
            if batch.rows > 20_000 {
                batch.clear();
            }
            for line in lines_of(block) {
                let outcome = projection.project_export_line(line, 1, "us-east-1", &mut batch);
                assert!(outcome.is_ok(), "{outcome:?}");
            }
        }
    });
}

/// The lines of a block, each with its newline.
fn lines_of(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', block).map(move |end| {
        let line = &block[start..=end];
        start = end + 1;
        line
    })
}

/// Runs `work` a few times and reports the best run.
fn measure(what: &str, bytes: usize, lines: usize, mut work: impl FnMut()) {
    let mut best = f64::INFINITY;
    let wall = Instant::now();
    for _ in 0..7 {
        let start = cpu_seconds().unwrap_or_else(|| wall.elapsed().as_secs_f64());
        work();
        let end = cpu_seconds().unwrap_or_else(|| wall.elapsed().as_secs_f64());
        best = best.min(end - start);
    }
    println!(
        "{what}: {:.0} MB/s per core, {:.2} CPU s per million lines",
        bytes as f64 / 1e6 / best,
        best / lines as f64 * 1e6
    );
}

/// CPU time of this thread, so that a busy machine does not count; `None` where Linux does not tell.
fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanos / 1e9)
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

fn line(random: &mut Random, n: u64) -> String {
    let mut attributes = vec![
        format!(
            r#""pk":{{"S":"CUSTOMER#{:016x}"}}"#,
            n / 10 * 0x9E37_79B9_7F4A
        ),
        format!(
            r#""sk":{{"S":"ORDER#{:06}#2026-03-{:02}"}}"#,
            n % 10,
            1 + n % 28
        ),
        format!(
            r#""amount":{{"N":"{}.{:02}"}}"#,
            random.below(9000),
            random.below(100)
        ),
        format!(
            r#""status":{{"S":"{}"}}"#,
            random.pick(&["PENDING", "PAID", "SHIPPED"])
        ),
        format!(
            r#""createdAt":{{"S":"2026-05-04T03:02:01.{:03}Z"}}"#,
            random.below(1000)
        ),
        format!(
            r#""email":{{"S":"{}{}@example.com"}}"#,
            random.pick(&WORDS),
            random.below(10_000)
        ),
        format!(r#""priority":{{"BOOL":{}}}"#, random.below(5) == 0),
        if random.below(10) < 7 {
            r#""coupon":{"NULL":true}"#.to_owned()
        } else {
            format!(r#""coupon":{{"S":"X-{}"}}"#, random.below(1000))
        },
        format!(
            r#""tags":{{"SS":["{}","{}{}"]}}"#,
            random.pick(&WORDS),
            random.pick(&WORDS),
            random.below(10)
        ),
        format!(
            r#""address":{{"M":{{"city":{{"S":"{}"}},"zip":{{"S":"{:05}"}},"geo":{{"M":{{"lat":{{"N":"{}.{:06}"}},"lon":{{"N":"-{}.{:06}"}}}}}}}}}}"#,
            random.pick(&CITIES),
            random.below(100_000),
            random.below(90),
            random.below(1_000_000),
            random.below(180),
            random.below(1_000_000)
        ),
        order_lines(random),
        format!(
            r#""channel":{{"S":"{}"}}"#,
            random.pick(&["web", "ios", "store"])
        ),
        format!(
            r#""ttl":{{"N":"{}"}}"#,
            1_790_000_000 + random.below(30_000_000)
        ),
        note(random),
    ];
    if random.below(10) < 3 {
        attributes.push(r#""sig":{"B":"q83vEjRWeJCrze8SNFZ4kKvN"}"#.to_owned());
    }
    let first = random.below(attributes.len() as u64) as usize;
    attributes.rotate_left(first);
    format!("{{\"Item\":{{{}}}}}\n", attributes.join(","))
}

fn order_lines(random: &mut Random) -> String {
    let mut lines = Vec::new();
    for _ in 0..=random.below(3) {
        lines.push(format!(
            r#"{{"M":{{"sku":{{"S":"{}-{:05}"}},"qty":{{"N":"{}"}},"price":{{"N":"{}.{:02}"}}}}}}"#,
            random.pick(&WORDS),
            random.below(100_000),
            1 + random.below(5),
            random.below(500),
            random.below(100)
        ));
    }
    format!(r#""lines":{{"L":[{}]}}"#, lines.join(","))
}

fn note(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..random.below(14) {
        let _ = write!(text, "{} ", random.pick(&WORDS));
    }
    if random.below(20) == 0 {
        text.push_str(r#"\"quoted\" \u00e9\n"#);
    }
    format!(r#""note":{{"S":"{text}"}}"#)
}
