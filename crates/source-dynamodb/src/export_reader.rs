//! One data file of an export: downloaded, checked against the manifest, then gunzipped into blocks of lines.

use std::fs::File;
use std::io::{BufReader, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::bufread::MultiGzDecoder;
use mirror::error::{Error, ErrorKind, Result};
use mirror::source::{ExportFile, ExportFileReader};

use crate::download::download;
use crate::source::AwsSource;

/// An item of 400 KB is several MB as DynamoDB JSON: type tags around every element, base64, numbers of 126
/// digits. Nothing real comes near this.
const MAX_LINE_BYTES: usize = 32 * 1024 * 1024;

/// Compressed bytes read from disk at once.
const INPUT_BYTES: usize = 256 * 1024;

/// Room for plain bytes beyond the target of a block; what overshoots is carried into the next one.
const SLACK_BYTES: usize = 64 * 1024;

impl AwsSource {
    pub(crate) async fn verified_file(
        &self,
        file: &ExportFile,
    ) -> Result<Box<dyn ExportFileReader>> {
        let key = &file.key;
        let corrupt =
            |what: String| Error::new(ErrorKind::Corrupt, format!("read data file {key}: {what}"));
        let expected = decode_md5(&file.md5)
            .ok_or_else(|| corrupt("the manifest has no usable MD5 for it".to_owned()))?;
        let found = download(&self.bucket, &self.options, key, None).await?;
        let found = found.ok_or_else(|| {
            corrupt("the manifest names it but it is not in the bucket; was it deleted?".to_owned())
        })?;
        if found.md5 != expected {
            let actual = STANDARD.encode(found.md5);
            let what = format!(
                "its MD5 is {actual}, the manifest says {} ({} bytes read)",
                file.md5, found.bytes
            );
            return Err(corrupt(what));
        }
        Ok(Box::new(GzipLines::new(found.file, found.bytes, file)))
    }
}

/// Base64 of 16 bytes.
pub(crate) fn decode_md5(text: &str) -> Option<[u8; 16]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// Lines of one gzip file of any number of members, counted against what the manifest promised.
pub struct GzipLines {
    input: MultiGzDecoder<BufReader<File>>,
    key: String,
    compressed_bytes: u64,
    expected_lines: u64,
    lines: u64,
    /// Start of a line whose end lies in the next block.
    carry: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
    Failed,
}

impl GzipLines {
    /// Reads `file` from its current position; `manifest` names it in errors and says how many lines to expect.
    pub fn new(file: File, compressed_bytes: u64, manifest: &ExportFile) -> Self {
        Self {
            input: MultiGzDecoder::new(BufReader::with_capacity(INPUT_BYTES, file)),
            key: manifest.key.clone(),
            compressed_bytes,
            expected_lines: manifest.item_count,
            lines: 0,
            carry: Vec::new(),
            // An empty partition may be an object of no bytes at all, which is no gzip.
            state: if compressed_bytes == 0 {
                State::Ended
            } else {
                State::Reading
            },
        }
    }

    fn corrupt(&mut self, what: &str) -> Error {
        self.state = State::Failed;
        Error::new(
            ErrorKind::Corrupt,
            format!(
                "read data file {} after line {}: {what}",
                self.key, self.lines
            ),
        )
    }

    /// Reads into `block` until a line ends at or after `target` or the file ends. Returns how much of `block` is
    /// filled, and how much of that is whole lines.
    fn fill(&mut self, block: &mut Vec<u8>, target: usize) -> Result<(usize, usize)> {
        let mut filled = self.carry.len();
        // What an earlier call left in the block serves as room, so that only growth has to be zeroed.
        grow(block, filled.max(target) + SLACK_BYTES);
        block[..filled].copy_from_slice(&self.carry);
        self.carry.clear();
        let mut whole = 0;
        loop {
            if filled == block.len() {
                // One line is longer than the block.
                grow(block, filled + filled / 2);
            }
            let read = match self.input.read(&mut block[filled..]) {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    // flate2 gives gzip errors as InvalidInput or InvalidData, a cut as UnexpectedEof.
                    let mut failure = self.corrupt("broken or truncated gzip");
                    failure.source = Some(error.into());
                    return Err(failure);
                }
            };
            if read == 0 {
                self.state = State::Ended;
                return Ok((filled, filled));
            }
            if let Some(end) = memchr::memrchr(b'\n', &block[filled..filled + read]) {
                whole = filled + end + 1;
            }
            filled += read;
            if filled - whole > MAX_LINE_BYTES {
                return Err(self.corrupt("a line is longer than 32 MB"));
            }
            if whole >= target.max(1) {
                return Ok((filled, whole));
            }
        }
    }

    fn count(&mut self, block: &[u8]) -> Result<()> {
        let unfinished = u64::from(block.last().is_some_and(|byte| *byte != b'\n'));
        self.lines += memchr::memchr_iter(b'\n', block).count() as u64 + unfinished;
        let ended = self.state == State::Ended;
        if self.lines > self.expected_lines || (ended && self.lines < self.expected_lines) {
            let least = if ended { "" } else { "at least " };
            let what = format!(
                "it has {least}{} lines, the manifest says {}",
                self.lines, self.expected_lines
            );
            return Err(self.corrupt(&what));
        }
        Ok(())
    }
}

fn grow(block: &mut Vec<u8>, len: usize) {
    if block.len() < len {
        block.resize(len, 0);
    }
}

impl ExportFileReader for GzipLines {
    fn compressed_bytes(&self) -> u64 {
        self.compressed_bytes
    }

    fn next_lines(&mut self, block: &mut Vec<u8>, target_bytes: usize) -> Result<bool> {
        let outcome = match self.state {
            State::Failed => Err(self.corrupt("it failed before")),
            State::Ended => Ok((0, 0)),
            State::Reading => self.fill(block, target_bytes),
        };
        let (filled, whole) = outcome.inspect_err(|_| block.clear())?;
        self.carry.extend_from_slice(&block[whole..filled]);
        block.truncate(whole);
        self.count(block).inspect_err(|_| block.clear())?;
        Ok(!block.is_empty())
    }
}
