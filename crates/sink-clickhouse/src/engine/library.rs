//! Loads ClickHouse's library and runs it: what the child process does. The only file with unsafe code.
#![expect(unsafe_code, reason = "a C library can be called in no other way")]

use std::ffi::{CString, OsString, c_char, c_int, c_void};
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL, Symbol};

use super::config;

/// `struct local_result_v2 * query_stable_v2(int argc, char ** argv)` of `chdb.h`; it is
/// clickhouse-local's `main`.
type Main = unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut c_void;

/// Runs the engine until stdin ends. `arguments` are those of `tb engine`:
/// `--library FILE --data DIR --conf DIR`.
///
/// Prints `ready<TAB>port` on stdout once it can be called. Failures go to stderr.
pub fn run_engine(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match parse(arguments).and_then(|paths| run(&paths)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            // Nobody is left to tell if stderr is closed.
            let _ = writeln!(std::io::stderr(), "{problem}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Paths {
    library: PathBuf,
    data: PathBuf,
    conf: PathBuf,
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Paths, String> {
    let mut paths = Paths::default();
    let mut arguments = arguments.into_iter();
    while let Some(name) = arguments.next() {
        let target = match name.to_str() {
            Some("--library") => &mut paths.library,
            Some("--data") => &mut paths.data,
            Some("--conf") => &mut paths.conf,
            _ => {
                return Err(format!(
                    "the engine does not know the argument {}",
                    name.display()
                ));
            }
        };
        let value = arguments.next();
        *target = value
            .ok_or_else(|| format!("{} needs a value", name.display()))?
            .into();
    }
    for (name, path) in [
        ("library", &paths.library),
        ("data", &paths.data),
        ("conf", &paths.conf),
    ] {
        if path.as_os_str().is_empty() {
            return Err(format!("the engine needs --{name}"));
        }
    }
    Ok(paths)
}

fn run(paths: &Paths) -> Result<(), String> {
    let arguments = config::command_line(&paths.data, &paths.conf)
        .into_iter()
        .map(|argument| CString::new(argument.into_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| "a path of the engine holds a zero byte".to_owned())?;
    let count = c_int::try_from(arguments.len()).map_err(|error| error.to_string())?;
    let mut pointers: Vec<*mut c_char> = arguments
        .iter()
        .map(|argument| argument.as_ptr().cast_mut())
        .collect();
    pointers.push(std::ptr::null_mut());

    // SAFETY: loading runs the library's initialisers. It is ClickHouse as published, chosen by whoever
    // runs this process, and this is the only thread. RTLD_LOCAL keeps its allocator and its C++
    // runtime away from ours.
    let library = unsafe { Library::open(Some(&paths.library), RTLD_LAZY | RTLD_LOCAL) }.map_err(
        |error| {
            format!(
                "cannot load the engine {}: {error}",
                paths.library.display()
            )
        },
    )?;
    // SAFETY: the symbol has the type above in every libchdb since 1.0.
    let main: Symbol<Main> = unsafe { library.get(b"query_stable_v2\0") }
        .map_err(|error| format!("{} is not libchdb: {error}", paths.library.display()))?;
    // SAFETY: `pointers` holds `count` pointers to texts that end in zero and outlive the call, and a null
    // pointer after them, as C's main expects. ClickHouse does not write to them. The result is not
    // read: errors come on stderr, and the process ends now.
    let _ = unsafe { main(count, pointers.as_mut_ptr()) };
    // Unloading would run destructors under threads that still live.
    std::mem::forget(library);
    Ok(())
}
