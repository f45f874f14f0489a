//! `tb explain`: what a code means. The pages are those of `docs/errors`, so that they are there without a network.

use serde_json::json;

use crate::failure::{Exit, Failure, Outcome};
use crate::printer::{Output, Paint, Printer};
use crate::table::Table;
use crate::text;

/// The pages: path in the repository, and text.
const PAGES: [(&str, &str); 9] = [
    (
        "docs/errors/mirror-states.md",
        include_str!("../../../../docs/errors/mirror-states.md"),
    ),
    (
        "docs/errors/tables.md",
        include_str!("../../../../docs/errors/tables.md"),
    ),
    (
        "docs/errors/files.md",
        include_str!("../../../../docs/errors/files.md"),
    ),
    (
        "docs/errors/connections.md",
        include_str!("../../../../docs/errors/connections.md"),
    ),
    (
        "docs/errors/schemas.md",
        include_str!("../../../../docs/errors/schemas.md"),
    ),
    (
        "docs/errors/engines.md",
        include_str!("../../../../docs/errors/engines.md"),
    ),
    (
        "docs/errors/imports.md",
        include_str!("../../../../docs/errors/imports.md"),
    ),
    (
        "docs/errors/pipes.md",
        include_str!("../../../../docs/errors/pipes.md"),
    ),
    (
        "docs/errors/exit-codes.md",
        include_str!("../../../../docs/errors/exit-codes.md"),
    ),
];

/// What a page says about one code.
#[derive(Clone, Copy, Debug)]
struct Section {
    page: &'static str,
    code: &'static str,
    /// Everything below the heading.
    text: &'static str,
}

impl Section {
    /// The words of the error, which stand first.
    fn says(&self) -> String {
        let quoted = self.text.lines().take_while(|line| line.starts_with('>'));
        let lines: Vec<&str> = quoted
            .map(|line| line.trim_start_matches('>').trim())
            .collect();
        lines.join(" ")
    }
}

/// All sections, page by page.
fn sections() -> Vec<Section> {
    let of_page = |(page, text): &(&'static str, &'static str)| {
        let (page, text): (&'static str, &'static str) = (page, text);
        text.split("\n## ").skip(1).filter_map(move |section| {
            let (code, text) = section.split_once('\n')?;
            let (code, text) = (code.trim(), text.trim());
            Some(Section { page, code, text })
        })
    };
    PAGES.iter().flat_map(of_page).collect()
}

/// Explains one code, or lists them all.
pub(crate) fn run(words: &[String], printer: &Printer) -> Outcome {
    let all = sections();
    let wanted = words.join(" ");
    let wanted = wanted.trim();
    if wanted.is_empty() {
        list(&all, printer);
        return Ok(());
    }
    let found = find(&all, wanted);
    if found.is_empty() {
        let near = text::closest(wanted, all.iter().map(|section| section.code));
        let failure = Failure::new(Exit::Failed, format!("there is no page about {wanted}"));
        return Err(failure.hint(match near {
            Some(near) => format!("did you mean `tb explain {near}`?"),
            None => "`tb explain` lists every code".to_owned(),
        }));
    }
    if let [section] = found.as_slice() {
        show(section, printer);
    } else {
        list(&found, printer);
    }
    Ok(())
}

/// The section of a code however it is spelled, or those whose error has the words.
fn find(all: &[Section], wanted: &str) -> Vec<Section> {
    let spelled = |text: &str| text.to_lowercase().replace(['_', ' '], "-");
    let exact = all
        .iter()
        .find(|section| spelled(section.code) == spelled(wanted));
    if let Some(section) = exact {
        return vec![*section];
    }
    let wanted = wanted.to_lowercase();
    let has_words = |section: &&Section| section.says().to_lowercase().contains(&wanted);
    all.iter().filter(has_words).copied().collect()
}

fn show(section: &Section, printer: &Printer) {
    if printer.output == Output::Human {
        let code = printer.paint(Paint::Bold, section.code);
        printer.data(format_args!(
            "{code}\n\n{}\n\n({})",
            section.text, section.page
        ));
        return;
    }
    let page = format!("{}#{}", section.page, section.code.replace(' ', "-"));
    if printer.output == Output::Json {
        printer.json(&json!({
            "code": section.code,
            "says": section.says(),
            "page": page,
            "text": section.text,
        }));
        return;
    }
    let mut table = Table::new(["code", "says", "page", "text"]);
    table.push(vec![
        section.code.into(),
        section.says().into(),
        page.into(),
        section.text.into(),
    ]);
    printer.table(&table);
}

fn list(sections: &[Section], printer: &Printer) {
    let mut table = Table::new(match printer.output {
        Output::Human => ["CODE", "SAYS"],
        _ => ["code", "says"],
    });
    for section in sections {
        table.push(vec![section.code.into(), section.says().into()]);
    }
    printer.table(&table);
}

#[cfg(test)]
#[path = "explain/tests.rs"]
mod tests;
