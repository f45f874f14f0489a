//! `tb fmt`: the project's files in their canonical form.

use std::fs;
use std::path::{Path, PathBuf};

use datafile::{NotFormatted, SourceFile, format_file};
use serde_json::Value;

use crate::failure::{Exit, Failure, Outcome};
use crate::files::{self, TinybFile};
use crate::printer::{Output, Printer};
use crate::table::Table;
use crate::text;

/// Formats the files; with `check` it only says what it would do.
pub(crate) fn run(
    folder: &Path,
    tinyb: &TinybFile,
    named: &[PathBuf],
    check: bool,
    printer: &Printer,
) -> Outcome {
    let project = files::read_some_project(folder, tinyb)?;
    let chosen = chosen(&project.files, &project.root, folder, named)?;
    let mut table = Table::new(["file", "result", "line"]);
    let (mut changed, mut left) = (0_u64, 0_u64);
    for file in &chosen {
        let mut line = Value::Null;
        let result = match format_file(file) {
            Ok(text) if text == file.text => "unchanged",
            Ok(text) => {
                changed += 1;
                if check {
                    if printer.output == Output::Human {
                        printer.data(super::plan::diff(
                            &file.path,
                            Some(&file.text),
                            Some(&text),
                            printer,
                        ));
                    }
                    "would change"
                } else {
                    write(&project.root.join(&file.path), &text)?;
                    "formatted"
                }
            }
            Err(why) => {
                left += 1;
                line = tell(file, &why, printer);
                "left as it is"
            }
        };
        table.push(vec![file.path.clone().into(), result.into(), line]);
    }
    if printer.output != Output::Human {
        printer.table(&table);
    }
    let files = |count: u64| text::plural(count, "file");
    if check && changed > 0 {
        printer.note(format!("{} would change; run: tb fmt", files(changed)));
        return Err(Failure::told(Exit::Failed));
    }
    if left > 0 {
        return Err(Failure::new(
            Exit::Failed,
            format!("{} left as they are", files(left)),
        ));
    }
    printer.success(format_args!(
        "{} in canonical form, {changed} changed",
        files(chosen.len() as u64)
    ));
    Ok(())
}

/// Says why a file stays, and gives the line.
fn tell(file: &SourceFile, why: &NotFormatted, printer: &Printer) -> Value {
    let path = &file.path;
    match why {
        NotFormatted::Comment { line } => {
            printer.warning(format!(
                "{path}:{line}: the file has a comment, which its canonical form would lose; move it into a DESCRIPTION, or leave the file out"
            ));
            (*line).into()
        }
        NotFormatted::Mistakes => {
            printer.warning(format!("{path} has mistakes; see them with: tb check"));
            Value::Null
        }
        NotFormatted::Differs => {
            printer.warning(format!(
                "{path} cannot be written in another way without changing what it says; please report this file"
            ));
            Value::Null
        }
    }
}

/// The files that were named, or all.
fn chosen(
    all: &[SourceFile],
    root: &Path,
    folder: &Path,
    named: &[PathBuf],
) -> Outcome<Vec<SourceFile>> {
    if named.is_empty() {
        return Ok(all.to_vec());
    }
    let mut chosen = Vec::new();
    for name in named {
        let wanted = fs::canonicalize(folder.join(name));
        let found = all.iter().find(|file| {
            let path = fs::canonicalize(root.join(&file.path));
            matches!((&wanted, path), (Ok(wanted), Ok(path)) if *wanted == path)
        });
        let Some(file) = found else {
            return Err(Failure::new(
                Exit::Usage,
                format!("{} is not a file of the project", name.display()),
            )
            .hint(
                "`tb check` reads the same files; those are *.datasource, *.pipe and *.connection",
            ));
        };
        chosen.push(file.clone());
    }
    Ok(chosen)
}

/// Beside and renamed: whoever dies here leaves the whole old file or the whole new one.
fn write(path: &Path, text: &str) -> Outcome {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let written = fs::write(&draft, text)
        .and_then(|()| fs::metadata(path))
        .and_then(|known| fs::set_permissions(&draft, known.permissions()))
        .and_then(|()| fs::rename(&draft, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&draft);
        Failure::new(Exit::Failed, format!("cannot write {}", path.display())).because(&error)
    })
}
