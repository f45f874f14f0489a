//! Memory does not grow with the table.

use std::fs;

use aws_sim::Attr;

use super::flow::{key, order};
use super::stage::Stage;

/// What the server may take at most, KB: at any size of the table and of its items. That is 150 MB less the 25 MB of the
/// program itself; a development build's is larger, so it is left out of what is measured.
const MOST_KB: u64 = 125 * 1024;

/// Items of almost 400 KB, which is as large as they get.
const BIG: u32 = 500;

const SMALL: u32 = 50_000;

#[test]
fn the_server_stays_small_while_it_loads_200_mb_with_items_of_400_kb() {
    let mut stage = Stage::new();
    for number in 0..SMALL {
        stage.put(&order(number, 1));
    }
    for number in 0..BIG {
        let mut item = key(1_000_000 + number);
        let noise = |n: usize| char::from(b'!' + ((n * 7919 + number as usize * 31) % 90) as u8);
        let text: String = (0..390_000).map(noise).collect();
        item.insert("text".to_owned(), Attr::S(text));
        stage.put(&item);
    }
    stage.set_up();
    let rows = stage.rows("SELECT count() AS n, max(length(_record)) AS longest FROM orders FINAL");
    assert_eq!(
        rows[0]["n"].as_u64(),
        Some(u64::from(SMALL + BIG)),
        "{rows:?}"
    );
    let pid = stage.server_pid().unwrap();
    let (peak_kb, program_kb) = (status_kb(pid, "VmHWM:"), status_kb(pid, "RssFile:"));
    println!("the server took {peak_kb} KB at most, {program_kb} KB of it the program");
    assert!(peak_kb - program_kb < MOST_KB, "{peak_kb} KB");
}

/// A figure of `/proc/PID/status`, KB.
fn status_kb(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
