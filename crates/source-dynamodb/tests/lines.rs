//! Gzip files of every shape -> whole lines, or a refusal; never a panic, never a line lost.

use std::fs::File;
use std::io::{Seek, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use mirror::error::ErrorKind;
use mirror::source::{ExportFile, ExportFileReader};
use proptest::prelude::*;
use source_dynamodb::GzipLines;

pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn reader(bytes: &[u8], item_count: u64) -> GzipLines {
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    let manifest = ExportFile {
        key: "data/x.json.gz".to_owned(),
        item_count,
        md5: String::new(),
    };
    GzipLines::new(file, bytes.len() as u64, &manifest)
}

/// All blocks together, each checked for being whole.
fn read_all(reader: &mut GzipLines, target: usize) -> Result<Vec<u8>, ErrorKind> {
    let (mut all, mut block) = (Vec::new(), Vec::new());
    let mut ended_without_newline = false;
    while reader
        .next_lines(&mut block, target)
        .map_err(|error| error.kind)?
    {
        assert!(
            !ended_without_newline,
            "only the last block may end without a newline"
        );
        ended_without_newline = !block.ends_with(b"\n");
        all.extend_from_slice(&block);
    }
    assert!(block.is_empty());
    Ok(all)
}

fn sample(lines: usize) -> Vec<u8> {
    (0..lines)
        .flat_map(|n| format!("{{\"Item\":{{\"pk\":{{\"S\":\"{n}\"}}}}}}\n").into_bytes())
        .collect()
}

#[test]
fn one_member_is_read_in_blocks_of_whole_lines() {
    let plain = sample(10_000);
    let mut reader = reader(&gzip(&plain), 10_000);
    let mut block = Vec::new();
    assert!(reader.next_lines(&mut block, 5_000).unwrap());
    assert!(block.len() >= 5_000 && block.ends_with(b"\n"));
    assert_eq!(block, plain[..block.len()]);
    let rest = read_all(&mut reader, 1 << 20).unwrap();
    assert_eq!([block, rest].concat(), plain);
}

#[test]
fn several_members_are_one_file_even_when_a_line_spans_them() {
    let plain = sample(50);
    for cut in [0, 1, 17, plain.len() / 2, plain.len()] {
        let bytes = [gzip(&plain[..cut]), gzip(b""), gzip(&plain[cut..])].concat();
        assert_eq!(
            read_all(&mut reader(&bytes, 50), 100).unwrap(),
            plain,
            "cut at {cut}"
        );
    }
}

#[test]
fn nothing_is_an_empty_file_in_both_of_its_shapes() {
    assert_eq!(read_all(&mut reader(b"", 0), 100).unwrap(), b"");
    assert_eq!(read_all(&mut reader(&gzip(b""), 0), 100).unwrap(), b"");
    assert_eq!(read_all(&mut reader(b"", 3), 100), Err(ErrorKind::Corrupt));
    assert_eq!(
        read_all(&mut reader(&gzip(b""), 3), 100),
        Err(ErrorKind::Corrupt)
    );
}

#[test]
fn a_file_cut_anywhere_is_corrupt_and_stays_so() {
    let bytes = gzip(&sample(20));
    for end in 1..bytes.len() {
        let mut reader = reader(&bytes[..end], 20);
        assert_eq!(
            read_all(&mut reader, 100),
            Err(ErrorKind::Corrupt),
            "cut at {end}"
        );
        let mut block = b"left over".to_vec();
        assert!(reader.next_lines(&mut block, 100).is_err());
        assert!(block.is_empty());
    }
}

#[test]
fn trailing_garbage_and_plain_text_are_corrupt() {
    let good = gzip(&sample(3));
    for garbage in [&b"x"[..], b"garbage after the member", &[0; 64]] {
        let bytes = [good.as_slice(), garbage].concat();
        assert_eq!(
            read_all(&mut reader(&bytes, 3), 100),
            Err(ErrorKind::Corrupt)
        );
    }
    assert_eq!(
        read_all(&mut reader(&sample(3), 3), 100),
        Err(ErrorKind::Corrupt)
    );
}

#[test]
fn a_flipped_bit_is_corrupt_or_changes_nothing() {
    let plain = sample(30);
    let bytes = gzip(&plain);
    for position in (0..bytes.len()).step_by(3) {
        let mut broken = bytes.clone();
        broken[position] ^= 0x10;
        // Some bits of the header (time, system) carry nothing.
        match read_all(&mut reader(&broken, 30), 64) {
            Ok(read) => assert_eq!(read, plain),
            Err(kind) => assert_eq!(kind, ErrorKind::Corrupt),
        }
    }
}

#[test]
fn too_few_and_too_many_lines_name_both_numbers() {
    let text = |expected| {
        let mut reader = reader(&gzip(&sample(5)), expected);
        let mut block = Vec::new();
        loop {
            match reader.next_lines(&mut block, 10) {
                Ok(true) => {}
                Ok(false) => panic!("the count was not checked"),
                Err(error) => return error.report(),
            }
        }
    };
    assert!(
        text(6).contains("5 lines, the manifest says 6"),
        "{}",
        text(6)
    );
    assert!(
        text(4).contains("5 lines, the manifest says 4"),
        "{}",
        text(4)
    );
}

#[test]
fn a_long_line_grows_the_block_and_an_endless_one_is_corrupt() {
    let long = [vec![b'x'; 3_000_000], b"\nshort\n".to_vec()].concat();
    assert_eq!(read_all(&mut reader(&gzip(&long), 2), 1000).unwrap(), long);
    let endless = vec![b'x'; 33 * 1024 * 1024];
    assert_eq!(
        read_all(&mut reader(&gzip(&endless), 1), 1000),
        Err(ErrorKind::Corrupt)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_line_is_lost_split_or_repeated(
        lines in proptest::collection::vec("[a-z]{1,60}", 0..200),
        targets in proptest::collection::vec(0usize..4000, 1..5),
        members in proptest::collection::vec(0.0f64..1.0, 0..4),
        last_newline in any::<bool>(),
    ) {
        let mut plain = lines.join("\n").into_bytes();
        if last_newline && !lines.is_empty() {
            plain.push(b'\n');
        }
        let mut cuts: Vec<usize> = members.iter().map(|part| (part * plain.len() as f64) as usize).collect();
        cuts.extend([0, plain.len()]);
        cuts.sort_unstable();
        let bytes: Vec<u8> = cuts.windows(2).flat_map(|pair| gzip(&plain[pair[0]..pair[1]])).collect();
        let mut reader = reader(&bytes, lines.len() as u64);
        let (mut all, mut block) = (Vec::new(), b"left over from before".to_vec());
        let mut targets = targets.into_iter().cycle();
        loop {
            let target = targets.next().unwrap();
            if !reader.next_lines(&mut block, target).unwrap() {
                break;
            }
            let at_end = all.len() + block.len() == plain.len();
            prop_assert!(at_end || (block.len() >= target && block.ends_with(b"\n")));
            all.extend_from_slice(&block);
        }
        prop_assert!(block.is_empty());
        prop_assert_eq!(all, plain);
    }
}
