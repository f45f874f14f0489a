//! Failures on command, each for some calls or with a probability.

use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// What goes wrong. In JSON `"lost_answer"` or `{"server_error": {"status": 503}}`: an internal tag would not survive
/// numbers of arbitrary precision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A service error, such as ThrottlingException or InternalServerError; status 400, or 500 for InternalServerError.
    Error {
        code: String,
        #[serde(default)]
        message: Option<String>,
        #[serde(default)]
        status: Option<u16>,
    },
    /// An answer that is no service error: an HTML page with this status.
    ServerError { status: u16 },
    /// The connection breaks and the call has no effect.
    ConnectionReset,
    /// The call takes effect, its answer is lost.
    LostAnswer,
    /// The answer's body trickles with this pause between pieces.
    SlowBody { pause_ms: u64 },
    /// The answer's body ends after this share (0 to 1) of its bytes.
    CutBody { fraction: f64 },
    /// All records of the shard that is read are trimmed first.
    TrimShard,
    /// The iterator counts as expired.
    ExpireIterator,
    /// The export requested by this call ends FAILED.
    ExportFailed { code: String, message: String },
    /// One data file's md5Checksum in the manifest is wrong.
    WrongManifestMd5,
    /// One data file's itemCount in the manifest is wrong.
    WrongManifestItemCount,
    /// One data file ends in the middle of its gzip stream; its md5Checksum fits the broken object.
    TruncatedDataFile,
}

/// A fault and the calls it hits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub fault: FaultKind,
    /// Action such as `GetRecords`, `AssumeRole`, `GetObject`; `None` is every action.
    #[serde(default)]
    pub action: Option<String>,
    /// Text that the request must contain (body of a JSON call, `bucket/key` of S3).
    #[serde(default)]
    pub containing: Option<String>,
    /// Calls still to be hit; `None` is without end.
    #[serde(default)]
    pub times: Option<u32>,
    /// Matching calls to let pass first.
    #[serde(default)]
    pub skip: u32,
    /// Share of the matching calls that is hit.
    #[serde(default = "always")]
    pub probability: f64,
}

fn always() -> f64 {
    1.0
}

impl Fault {
    /// A fault for every call of an action.
    pub fn new(action: &str, fault: FaultKind) -> Self {
        let action = (action != "*").then(|| action.to_owned());
        Self {
            fault,
            action,
            containing: None,
            times: None,
            skip: 0,
            probability: 1.0,
        }
    }

    /// A service error for the next call of an action.
    pub fn error_once(action: &str, code: &str) -> Self {
        Self::new(
            action,
            FaultKind::Error {
                code: code.to_owned(),
                message: None,
                status: None,
            },
        )
        .times(1)
    }

    /// Limits the number of calls hit.
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Hits only some of the calls.
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    /// Hits only calls that contain a text.
    pub fn containing(mut self, text: &str) -> Self {
        self.containing = Some(text.to_owned());
        self
    }

    /// Lets some calls pass first.
    pub fn skip(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }
}

/// The faults in force.
#[derive(Debug, Clone, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a fault.
    pub fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Removes all faults.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The faults still in force.
    pub fn list(&self) -> &[Fault] {
        &self.0
    }

    /// The faults that hit a call, in the order they were added; uses them up.
    pub fn hit(&mut self, action: &str, text: &[u8], rng: &mut Rng) -> Vec<FaultKind> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut hits = Vec::new();
        for fault in &mut self.0 {
            let matches = fault
                .action
                .as_deref()
                .is_none_or(|wanted| wanted == action)
                && fault
                    .containing
                    .as_deref()
                    .is_none_or(|part| contains(text, part.as_bytes()));
            if !matches || fault.times == Some(0) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if rng.chance(fault.probability) {
                if let Some(times) = &mut fault.times {
                    *times -= 1;
                }
                hits.push(fault.fault.clone());
            }
        }
        self.0.retain(|fault| fault.times != Some(0));
        hits
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}
