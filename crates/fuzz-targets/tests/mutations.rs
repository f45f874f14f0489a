//! Inputs made of saved ones: the same seed makes the same input on every machine.

use std::fs;
use std::path::{Path, PathBuf};

/// Repeatable choices (SplitMix64).
pub(crate) struct Choices(u64);

impl Choices {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn pick<'a>(&mut self, from: &'a [Vec<u8>]) -> &'a [u8] {
        from.get(self.below(from.len())).map_or(b"", Vec::as_slice)
    }

    /// A place in `bytes`, and how many bytes from there on are meant: mostly few.
    fn range(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(bytes.len() + 1);
        let most = if self.below(4) == 0 { bytes.len() } else { 8 };
        start..(start + self.below(most + 1)).min(bytes.len())
    }
}

/// The folder of the saved inputs and dictionaries.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// Saved inputs of a target, by name; sorted, so that a seed means the same everywhere.
pub(crate) fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = folder().join("corpus").join(target);
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// The words of a target's libFuzzer dictionary: `"text\x0a"`, one a line.
pub(crate) fn words(target: &str) -> Vec<Vec<u8>> {
    let path = folder().join(format!("dictionaries/{target}.dict"));
    let text = fs::read_to_string(path).unwrap();
    let inside = text
        .lines()
        .map(|line| line.strip_prefix('"').unwrap().strip_suffix('"').unwrap());
    inside.map(word).collect()
}

fn word(escaped: &str) -> Vec<u8> {
    let mut parts = escaped.split("\\x");
    let mut out = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        out.push(u8::from_str_radix(&part[..2], 16).unwrap());
        out.extend_from_slice(&part.as_bytes()[2..]);
    }
    out
}

/// Changes `bytes` in one to six places.
pub(crate) fn mutate(
    bytes: &[u8],
    others: &[(String, Vec<u8>)],
    words: &[Vec<u8>],
    choices: &mut Choices,
) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=choices.below(6) {
        let range = choices.range(&bytes);
        match choices.below(10) {
            0 if !range.is_empty() => bytes[range.start] ^= 1 << choices.below(8),
            1 if !range.is_empty() => bytes[range.start] = choices.below(256) as u8,
            2 => drop(bytes.splice(range, [])),
            3 | 4 => {
                let word = choices.pick(words).to_vec();
                bytes.splice(range.start..range.start, word);
            }
            5 => {
                let word = choices.pick(words).to_vec();
                bytes.splice(range, word);
            }
            6 => {
                let copy = bytes[range].to_vec();
                let to = choices.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            7 => {
                let (_, other) = &others[choices.below(others.len())];
                let part = other[choices.range(other)].to_vec();
                bytes.splice(range, part);
            }
            8 => {
                // Digits are where limits are.
                let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
                let wanted = choices.below(digits);
                let new = b'0' + choices.below(10) as u8;
                let mut all = bytes.iter_mut().filter(|byte| byte.is_ascii_digit());
                if let Some(digit) = all.nth(wanted) {
                    *digit = new;
                }
            }
            _ => bytes.truncate(choices.below(bytes.len() + 1)),
        }
        bytes.truncate(64 * 1024);
    }
    bytes
}
