//! `tb completions`: what a shell needs to complete our command line.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::Outcome;
use crate::printer::Printer;

/// Prints the script of a shell.
pub(crate) fn run(shell: Shell, printer: &Printer) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tb", &mut script);
    printer.bytes(&script);
    Ok(())
}
