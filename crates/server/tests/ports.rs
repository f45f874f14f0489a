//! The outside world in memory.

pub(crate) mod dynamo;
pub(crate) mod warehouse;
