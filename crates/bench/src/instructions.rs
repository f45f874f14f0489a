//! Instructions under callgrind: they do not depend on the machine's mood.

use std::process::Command;

use crate::Result;
use crate::plan::Bench;
use crate::results::Better::Lower;

/// Lines the transcoder reads under callgrind, which is about fifty times slower.
const LINES: &str = "2000";

pub(crate) fn run(bench: &mut Bench) -> Result<()> {
    let help = bench.programs.bin.join("tb").display().to_string();
    let mut programs = vec![("instructions_help", help, vec!["--help"])];
    let transcode = bench.options.transcode.as_ref();
    if let Some(transcode) = transcode.filter(|program| program.exists()) {
        let program = transcode.display().to_string();
        programs.push(("instructions_transcode", program, vec![LINES]));
    }
    for (key, program, arguments) in programs {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(&program)
            .args(&arguments)
            .output();
        let Ok(output) = output else {
            bench.results.miss(key, "valgrind is not installed");
            continue;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        match collected(&said) {
            Some(count) => {
                let name = program.rsplit('/').next().unwrap_or_default();
                let how = format!("callgrind: {name} {}", arguments.join(" "));
                bench
                    .results
                    .put(key, count / 1e6, "M instr", Lower, &how, &[count / 1e6]);
            }
            None => bench.results.miss(key, "callgrind said no number"),
        }
    }
    Ok(())
}

fn collected(said: &str) -> Option<f64> {
    let (_, rest) = said.rsplit_once("Collected :")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn callgrinds_number_is_found() {
        let said = "==1== Events    : Ir\n==1== Collected : 1234567\n==1== \n";
        assert_eq!(super::collected(said), Some(1_234_567.0));
        assert_eq!(super::collected("==1== out of memory"), None);
    }
}
