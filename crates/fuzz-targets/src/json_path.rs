//! The json path of a column.

use datafile::JsonPath;

/// The input is the path, if it is UTF-8.
///
/// Promises: a path that is read is written so that it fits between backticks on one line of a file, and reads as
/// the same path; a mistake points into the text. Gives whether it was read.
pub fn check(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    match JsonPath::parse(text) {
        Ok(path) => {
            let written = path.to_string();
            assert_eq!(JsonPath::parse(&written).as_ref(), Ok(&path), "{written}");
            assert!(!written.contains(['`', '\n', '\r', '\u{2028}', '\u{2029}']));
            assert!(!written.chars().any(char::is_control));
            assert!(path.segments.iter().all(|segment| !segment.is_empty()));
            // `\u00xx` and `.['']` around it at most.
            assert!(written.len() <= 7 * text.len() + 1);
            true
        }
        Err(error) => {
            assert!(text.is_char_boundary(error.at), "{error}");
            assert!(!error.reason.is_empty());
            false
        }
    }
}
