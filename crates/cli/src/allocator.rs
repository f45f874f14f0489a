//! How the server's memory goes back to the system.
//!
//! mimalloc keeps what is freed for a while, which after the load of an export is twice what the server needs. It reads
//! its settings once, before `main`, and only from the environment, so the server starts itself again with them.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Give memory back when it is freed, and take only what is used: 87 MB at most while 300,000 items are loaded, 245 MB
/// without (`make bench-quick`, `server_peak_rss_mb.typical`).
const SETTINGS: [(&str, &str); 2] = [
    ("MIMALLOC_PURGE_DELAY", "0"),
    ("MIMALLOC_ARENA_EAGER_COMMIT", "0"),
];

/// Becomes the same command with the allocator's settings, once: whoever has set one of them has chosen. Returns if it
/// cannot be done, which costs memory and nothing else.
pub(crate) fn settle() {
    if SETTINGS
        .iter()
        .any(|(name, _)| std::env::var_os(name).is_some())
    {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut arguments = std::env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // Same process id, same open files: only the memory is new.
    let _ = command.args(arguments).envs(SETTINGS).exec();
}
