//! The `shoebox` program: parse, run, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    shoebox::cli::main()
}
