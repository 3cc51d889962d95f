//! What shoebox promises, row by row: each module is named after its row of the table in README.md, which is made from
//! what the modules say of themselves.

#![allow(clippy::unwrap_used)]

mod chaos;
mod crash_disk;
mod failing_steps;
mod format;
mod lazy_disk;
mod lazy_fs;
mod other_downloads;
mod proxy;
mod r01_kills;
mod r03_crash_states;
mod r04_power_cuts;
mod r05_torn_writes;
mod r06_full_disk;
mod r08_bit_rot;
mod r09_deadline;
mod r10_bad_downloads;
mod r11_browser_dies;
mod r12_network;
mod r13_session;
mod r14_no_deletion;
mod r15_rebuild;
mod r18_view_truth;
mod r19_view_read_only;
mod r20_hostile_names;
mod r21_hostile_bytes;
mod r22_idempotent;
mod r23_converges;
mod r24_one_writer;
mod r25_wrong_volume;
mod r26_time;
mod r27_stop;
mod r28_upgrade;
mod r29_alarms;
mod r30_scale;
mod r31_secrets;
mod r32_saboteurs;
mod sabotage;
mod spoilt_downloads;
mod table;
pub mod volume;
mod worker;

/// The seed of a random test: `SEED`, or a new one. Prints the command that replays the test.
pub fn seed(test: &str) -> u64 {
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("replay with: SEED={seed} cargo nextest run --features sim {test} --no-capture");
    seed
}

/// A row of the table of promises: what is tried, and how often.
pub struct Row {
    /// Its number: tests of it are named `rNN_…`.
    pub number: u8,
    /// What is tried; or, where the row cannot be done here, why not.
    pub tried: &'static str,
    /// How often, each; nothing where all that there is gets tried.
    pub counts: &'static [Count],
}

/// How often something is tried: for every change, in the long tier, before a release (`TIER=long`, `TIER=release`).
pub struct Count(pub usize, pub usize, pub usize);

impl Count {
    /// The number for this run; `COUNT` overrides it.
    fn get(&self) -> usize {
        let tier = match std::env::var("TIER").as_deref() {
            Ok("long") => self.1,
            Ok("release") => self.2,
            _ => self.0,
        };
        std::env::var("COUNT").ok().and_then(|text| text.parse().ok()).unwrap_or(tier)
    }
}
