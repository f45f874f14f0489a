//! The results as a part of the documentation.

use std::fs;
use std::path::Path;

use crate::Result;
use crate::results::{Results, shown};

const BEGIN: &str = "<!-- results: written by make bench-pictures -->\n";
const END: &str = "<!-- end of results -->";

/// Puts the table of the results between the page's marks.
pub(crate) fn write(results: &Path, page: &Path) -> Result<()> {
    let text = fs::read_to_string(page)?;
    let marks = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = marks.ok_or_else(|| format!("{} has no marks", page.display()))?;
    let table = table(&Results::read(results)?);
    fs::write(page, format!("{before}{BEGIN}{table}{END}{after}"))?;
    println!("{}", page.display());
    Ok(())
}

fn table(results: &Results) -> String {
    let of = |name: &str| results.machine.get(name).map_or("?", String::as_str);
    let commit = results.versions.get("commit").map_or("?", String::as_str);
    let command = if results.mode == "quick" {
        "make bench-quick"
    } else {
        "make bench"
    };
    let mut text = format!(
        "`{command}` on {}, commit {commit}: {}, {} cores, {} of memory, Linux {}, {}.\n\n| key | value | unit | samples |\n| --- | ---: | --- | --- |\n",
        results.date.split('T').next().unwrap_or_default(),
        of("cpu"),
        of("cores"),
        of("memory"),
        of("kernel"),
        of("file_system"),
    );
    for (key, figure) in &results.figures {
        let value = shown(figure.value);
        let count = figure.samples.len().max(1);
        text.push_str(&format!(
            "| `{key}` | {value} | {} | {count} |\n",
            figure.unit
        ));
    }
    for (key, why) in &results.missing {
        let why = why.lines().next().unwrap_or_default().replace('|', " ");
        text.push_str(&format!("| `{key}` | | not measured: {why} | |\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Better;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (file, page) = (folder.path().join("r.json"), folder.path().join("p.md"));
        let mut results = Results::default();
        results.add("a_b", "rows/s", Better::Higher, "", &[1234.0]);
        results.write(&file).unwrap();
        fs::write(&page, "no marks").unwrap();
        assert!(write(&file, &page).is_err());
        fs::write(&page, format!("before\n{BEGIN}old\n{END}\nafter\n")).unwrap();
        for _ in 0..2 {
            write(&file, &page).unwrap();
            let text = fs::read_to_string(&page).unwrap();
            assert!(text.starts_with("before\n") && text.ends_with("\nafter\n"));
            assert!(text.contains("| `a_b` | 1,234 | rows/s | 1 |\n"), "{text}");
            assert!(!text.contains("old"));
        }
    }
}
