//! What shoebox promises, row by row: each module is named after its row of the table in README.md.

#![allow(clippy::unwrap_used)]

mod crash_disk;
mod failing_steps;
mod format;
mod r01_kills;
mod r03_crash_states;
mod r04_power_cuts;
mod r08_bit_rot;
mod r14_no_deletion;
mod r15_rebuild;
mod r22_idempotent;
mod r23_converges;
mod sabotage;
pub mod volume;
mod worker;

/// The seed of a random test: `SEED`, or a new one. Prints the command that replays the test.
fn seed(test: &str) -> u64 {
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("replay with: SEED={seed} cargo nextest run --features sim {test} --no-capture");
    seed
}

/// How often something is tried: `COUNT`, or one number for every change and another where `TIER` is `long`.
fn count(usual: usize, long: usize) -> usize {
    let tier = if std::env::var("TIER").is_ok_and(|tier| tier == "long") { long } else { usual };
    std::env::var("COUNT").ok().and_then(|text| text.parse().ok()).unwrap_or(tier)
}
