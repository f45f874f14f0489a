//! Every target over its saved corpus and seeded mutations of it. Longer runs are libFuzzer's: `docs/fuzzing.md`.
//!
//! `FUZZ_SEED=7 FUZZ_CASES=1000000 cargo test -p fuzz-targets line` tries other mutations, and more of them.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod mutations;
mod oracles;

use mutations::{Choices, corpus, folder, mutate, words};

const CASES: usize = 10_000;

/// Says which input it was when a target panics.
struct Attempt<'a> {
    target: &'a str,
    what: String,
    input: &'a [u8],
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let shown = self.input.escape_ascii();
            eprintln!("{}, {}: b\"{shown}\"", self.target, self.what);
        }
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

fn attempt(target: &str, what: String, input: &[u8], check: fn(&[u8]) -> bool) -> bool {
    let _attempt = Attempt {
        target,
        what,
        input,
    };
    check(input)
}

fn run(target: &str, check: fn(&[u8]) -> bool) {
    let corpus = corpus(target);
    let taken = corpus
        .iter()
        .filter(|(name, input)| attempt(target, format!("corpus file {name}"), input, check))
        .count();
    // Otherwise the promises about good input would be about nothing.
    assert!(
        taken > 0 && taken < corpus.len(),
        "{taken} of {}",
        corpus.len()
    );
    let words = words(target);
    let seed = number("FUZZ_SEED", 1);
    let cases = number("FUZZ_CASES", CASES as u64);
    let mut taken = 0;
    for case in 0..cases {
        let mut choices = Choices::new(seed.wrapping_mul(1 << 32).wrapping_add(case));
        let (name, input) = &corpus[choices.below(corpus.len())];
        let input = mutate(input, &corpus, &words, &mut choices);
        let what = format!("FUZZ_SEED={seed}, case {case}, from {name}");
        taken += u64::from(attempt(target, what, &input, check));
    }
    assert!(
        taken > cases / 1000,
        "only {taken} of {cases} mutations were taken"
    );
}

#[test]
fn line() {
    run("line", fuzz_targets::line::check);
}

#[test]
fn record() {
    run("record", fuzz_targets::record::check);
}

#[cfg(feature = "manifests")]
#[test]
fn manifest_summary() {
    run("manifest_summary", fuzz_targets::manifest_summary::check);
}

#[cfg(feature = "manifests")]
#[test]
fn manifest_files() {
    run("manifest_files", fuzz_targets::manifest_files::check);
}

#[test]
fn datafile() {
    run("datafile", fuzz_targets::datafile::check);
}

#[test]
fn json_path() {
    run("json_path", fuzz_targets::json_path::check);
}

/// A corpus is for reading as well: small inputs, and not many.
#[test]
fn the_saved_corpus_stays_small() {
    let mut total = 0;
    for target in std::fs::read_dir(folder().join("corpus")).unwrap() {
        let name = target.unwrap().file_name().into_string().unwrap();
        total += corpus(&name)
            .iter()
            .map(|(_, input)| input.len())
            .sum::<usize>();
    }
    assert!(total < 400 * 1024, "{total} bytes");
}
