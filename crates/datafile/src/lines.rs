//! Text to instructions: lines, tokens, comments, quotes and indented blocks.
//!
//! Knows which instructions exist and whether they take a line or a block; not what they mean.

use std::ops::Range;

use crate::code::Code;
use crate::commands::{self, FileKind, Meaning, Shape};
use crate::diagnostic::Report;
use crate::model::Spanned;
use crate::suggest::nearest;
use crate::tokens::{dedent, split_lines, tokenise, unquote};

/// One instruction of a file.
#[derive(Clone, Debug)]
pub(crate) struct Instruction<'t> {
    /// Its name in upper case, an older spelling replaced by today's.
    pub(crate) name: &'static str,
    /// Where the name stands.
    pub(crate) name_span: Range<usize>,
    /// From the name to the end of the line's last token.
    pub(crate) line_span: Range<usize>,
    pub(crate) body: Body<'t>,
    /// It was misspelled and reported; it is read as what was most likely meant.
    pub(crate) guessed: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Body<'t> {
    /// The tokens after the name, with their quotes.
    Line(Vec<Spanned<&'t str>>),
    /// The lines after `NAME >`, as a range of the file.
    Block(Range<usize>),
}

/// What a file's instructions are, besides those that were read.
#[derive(Debug)]
pub(crate) struct Instructions<'t> {
    pub(crate) list: Vec<Instruction<'t>>,
    /// Instructions of other kinds of connections: `KAFKA_TOPIC`.
    pub(crate) foreign: Vec<Spanned<String>>,
}

impl<'t> Instruction<'t> {
    /// The value on the line: tokens joined by single spaces, the quotes around the whole removed.
    pub(crate) fn value(&self) -> Spanned<String> {
        let Body::Line(tokens) = &self.body else {
            return Spanned::new(String::new(), self.name_span.clone());
        };
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else {
            return Spanned::new(String::new(), self.name_span.clone());
        };
        let mut joined = String::new();
        let mut end = first.span.start;
        for token in tokens {
            if token.span.start > end {
                joined.push(' ');
            }
            joined.push_str(token.value);
            end = token.span.end;
        }
        let span = first.span.start..last.span.end;
        match unquote(&joined) {
            Some(inner) => Spanned::new(inner.to_owned(), span.start + 1..span.end - 1),
            None => Spanned::new(joined, span),
        }
    }

    /// The tokens on the line, each without its quotes.
    pub(crate) fn arguments(&self) -> Vec<Spanned<&'t str>> {
        let Body::Line(tokens) = &self.body else {
            return Vec::new();
        };
        let strip = |token: &Spanned<&'t str>| match unquote(token.value) {
            Some(inner) => Spanned::new(inner, token.span.start + 1..token.span.end - 1),
            None => token.clone(),
        };
        tokens.iter().map(strip).collect()
    }

    /// The value as text, whether it stands on the line or in a block.
    pub(crate) fn text(&self, file: &str) -> String {
        match &self.body {
            Body::Line(_) => self.value().value,
            Body::Block(range) => dedent(&file[range.clone()]),
        }
    }
}

/// Splits a file into its instructions.
pub(crate) fn read<'t>(text: &'t str, kind: FileKind, report: &mut Report<'_>) -> Instructions<'t> {
    let lines = split_lines(text);
    let mut reader = Reader {
        text,
        kind,
        lines,
        at: 0,
        report,
    };
    let mut found = Instructions {
        list: Vec::new(),
        foreign: Vec::new(),
    };
    let mut after_unknown = false;
    while let Some(line) = reader.next_line() {
        if reader.report.is_full() {
            break;
        }
        let tokens = reader.tokens(&line);
        let Some((word, arguments)) = tokens.split_first() else {
            continue;
        };
        let indented = text[line.clone()].starts_with([' ', '\t']);
        let meaning = commands::lookup(kind, word.value);
        if meaning.is_none() && indented && after_unknown {
            continue;
        }
        after_unknown = meaning.is_none();
        reader.instruction(word, arguments, meaning, &mut found);
    }
    found
}

/// Removes instructions that stand in the list twice, except the repeatable ones, and reports them.
pub(crate) fn drop_repeated(
    list: &mut Vec<Instruction<'_>>,
    repeatable: &[&str],
    report: &mut Report<'_>,
) {
    let spelled: Vec<&str> = list
        .iter()
        .filter(|found| !found.guessed)
        .map(|found| found.name)
        .collect();
    list.retain(|found| !found.guessed || !spelled.contains(&found.name));
    let mut seen: Vec<&str> = Vec::new();
    list.retain(|instruction| {
        let name = instruction.name;
        let repeated = seen.contains(&name) && !repeatable.contains(&name);
        if repeated {
            report.error(
                Code::DuplicateInstruction,
                &instruction.name_span,
                format!("{name} is given twice"),
                "the first one counts",
                format!("keep one {name}"),
            );
        } else {
            seen.push(name);
        }
        !repeated
    });
}

struct Reader<'t, 'r, 'p> {
    text: &'t str,
    kind: FileKind,
    lines: Vec<Range<usize>>,
    at: usize,
    report: &'r mut Report<'p>,
}

impl<'t> Reader<'t, '_, '_> {
    fn next_line(&mut self) -> Option<Range<usize>> {
        let line = self.lines.get(self.at)?.clone();
        self.at += 1;
        Some(line)
    }

    fn tokens(&mut self, line: &Range<usize>) -> Vec<Spanned<&'t str>> {
        let (tokens, unclosed) = tokenise(&self.text[line.clone()], line.start);
        if let Some(at) = unclosed {
            self.report.error(
                Code::QuoteNotClosed,
                &(at..at + 1),
                "a quote is not closed",
                "opened here",
                "close it on the same line, or remove it",
            );
        }
        tokens
    }

    fn instruction(
        &mut self,
        word: &Spanned<&'t str>,
        arguments: &[Spanned<&'t str>],
        meaning: Option<Meaning>,
        found: &mut Instructions<'t>,
    ) {
        let block = arguments.first().is_some_and(|token| token.value == ">");
        let line_end = arguments
            .last()
            .map_or(word.span.end, |token| token.span.end);
        match meaning {
            Some(Meaning::Use(name, shape)) => {
                let body = self.body(name, &word.span, shape, arguments, block);
                let line_span = word.span.start..line_end;
                let name_span = word.span.clone();
                found.list.push(Instruction {
                    guessed: false,
                    name,
                    name_span,
                    line_span,
                    body,
                });
                return;
            }
            Some(Meaning::Foreign) => {
                found
                    .foreign
                    .push(Spanned::new(word.to_ascii_uppercase(), word.span.clone()));
            }
            Some(Meaning::Ignored) => self.report.warning(
                Code::InstructionIgnored,
                &word.span,
                format!("{} has no effect", word.to_ascii_uppercase()),
                "ignored",
                "remove the line",
            ),
            Some(Meaning::Refused(help)) => self.report.error(
                Code::InstructionNotSupported,
                &word.span,
                format!("{} is not supported", word.to_ascii_uppercase()),
                "",
                help,
            ),
            None => {
                let meant = unknown_instruction(self.kind, word, self.report);
                let meaning = meant.and_then(|name| commands::lookup(self.kind, name));
                if meaning.is_some() {
                    self.instruction(word, arguments, meaning, found);
                    if let Some(last) = found.list.last_mut() {
                        last.guessed = true;
                    }
                    return;
                }
            }
        }
        if block {
            self.block();
        }
    }

    /// The lines up to the next instruction that starts at the beginning of a line.
    fn block(&mut self) -> Range<usize> {
        let start = self
            .lines
            .get(self.at)
            .map_or(self.text.len(), |line| line.start);
        let mut end = start;
        while let Some(line) = self.lines.get(self.at) {
            if starts_instruction(&self.text[line.clone()], self.kind) {
                break;
            }
            end = line.end;
            self.at += 1;
        }
        start..end
    }

    fn body(
        &mut self,
        name: &'static str,
        name_span: &Range<usize>,
        shape: Shape,
        arguments: &[Spanned<&'t str>],
        block: bool,
    ) -> Body<'t> {
        if block {
            return self.block_body(name, shape, arguments);
        }
        let continued =
            arguments.is_empty() && shape != Shape::Line && self.indented_line_follows();
        if shape == Shape::Block || continued {
            let marked = arguments.first().zip(arguments.last());
            let span = marked.map(|(first, last)| first.span.start..last.span.end);
            if continued || span.is_some() {
                self.report.error(
                    Code::BlockExpected,
                    span.as_ref().unwrap_or(name_span),
                    format!("{name} needs its text in an indented block"),
                    "",
                    format!("write `{name} >` and put the text on the following lines, indented"),
                );
            }
            return match span {
                Some(span) => Body::Block(span),
                None if continued => Body::Block(self.block()),
                None => Body::Block(name_span.end..name_span.end),
            };
        }
        Body::Line(arguments.to_vec())
    }

    fn block_body(
        &mut self,
        name: &'static str,
        shape: Shape,
        arguments: &[Spanned<&'t str>],
    ) -> Body<'t> {
        let marker = arguments[0].span.clone();
        if let Some((first, last)) = arguments.get(1).zip(arguments.last()) {
            self.report.error(
                Code::TextAfterBlockMarker,
                &(first.span.start..last.span.end),
                format!("text follows `{name} >` on the same line"),
                "not part of the block",
                "move it to the next line and indent it",
            );
        }
        let block = self.block();
        if shape != Shape::Line {
            return Body::Block(block);
        }
        self.report.error(
            Code::BlockNotAllowed,
            &marker,
            format!("{name} takes its value on the same line"),
            "starts a block",
            format!("write `{name}` and the value on one line"),
        );
        let mut tokens = Vec::new();
        for line in split_lines(&self.text[block.clone()]) {
            let line = block.start + line.start..block.start + line.end;
            tokens.extend(tokenise(&self.text[line.clone()], line.start).0);
        }
        Body::Line(tokens)
    }

    fn indented_line_follows(&self) -> bool {
        let rest = self.lines.get(self.at..).unwrap_or_default();
        let mut texts = rest.iter().map(|line| &self.text[line.clone()]);
        let next = texts.find(|line| !line.trim().is_empty());
        next.is_some_and(|line| line.starts_with([' ', '\t']))
    }
}

/// Reports a word that is no instruction; gives the one that was most likely meant.
pub(crate) fn unknown_instruction(
    kind: FileKind,
    word: &Spanned<&str>,
    report: &mut Report<'_>,
) -> Option<&'static str> {
    let shown: String = word.chars().take(60).collect();
    let suggestion = nearest(word, commands::names(kind));
    let help = match suggestion {
        Some(name) => format!("did you mean `{name}`?"),
        None => "see the list of instructions, or indent the line if it belongs to the block above"
            .to_owned(),
    };
    report.error(
        Code::UnknownInstruction,
        &word.span,
        format!(
            "`{shown}` is not an instruction of a .{} file",
            kind.extension()
        ),
        "unknown instruction",
        help,
    );
    suggestion
}

/// Whether a line ends a block: not indented, and its first word is an instruction.
fn starts_instruction(line: &str, kind: FileKind) -> bool {
    if line.starts_with([' ', '\t']) {
        return false;
    }
    let word = line.split([' ', '\t', '#']).next().unwrap_or_default();
    commands::lookup(kind, word).is_some()
}
