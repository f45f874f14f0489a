//! Lines of export files.

use mirror::transcode::{TranscodeErrorKind as Kind, Transcoder, export_line_item};

#[test]
fn the_item_of_a_line_is_found_whatever_stands_beside_it() {
    let item = r#"{"pk":{"S":"}}"}}"#;
    for line in [
        format!("{{\"Item\":{item}}}\n"),
        format!("{{\"Item\":{item}}}"),
        format!(" {{ \"Item\" : {item} }} \r\n"),
        format!("{{\"Item\":{item},\"Other\":{{\"a\":[1,true,null,-2.5e+3]}}}}\n"),
        format!("{{\"Other\":\"x\",\"Item\":{item}}}\n"),
        format!("{{\"\\u0049tem\":{item}}}\n"),
    ] {
        let span = export_line_item(line.as_bytes()).unwrap();
        assert_eq!(&line[span.clone()], item, "{line}");
        let mut transcoder = Transcoder::new();
        assert_eq!(transcoder.scan_export_line(line.as_bytes()), Ok(span));
        let mut out = Vec::new();
        transcoder.write_item(&mut out);
        assert_eq!(out, br#"{"pk":"}}"}"#);
    }
}

#[test]
fn broken_lines_are_refused_with_a_position_in_the_line() {
    for (line, kind, at) in [
        ("", Kind::Truncated, 0),
        ("{}", Kind::MissingItem, 0),
        (r#"{"Keys":{}}"#, Kind::MissingItem, 0),
        (r#"{"Item":{"a":{"S":"x"}}"#, Kind::Truncated, 23),
        (r#"{"Item":{"a":{"Q":"x"}}}"#, Kind::UnknownDescriptor, 14),
        (r#"{ "Item":{"a":{"Q":"x"}}}"#, Kind::UnknownDescriptor, 15),
        (r#"{"Item":{}}{"#, Kind::TrailingBytes, 11),
        (r#"{"Item":{},"Item":{}}"#, Kind::DuplicateName, 11),
    ] {
        let error = Transcoder::new()
            .scan_export_line(line.as_bytes())
            .unwrap_err();
        assert_eq!((error.kind, error.at), (kind, at), "{line}");
    }
}
