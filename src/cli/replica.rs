//! The options of second copies.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use super::{Data, duration};
use crate::app::Command;
use crate::app::replica::{Far, KeepReplica, ReplicateSettings};
use crate::replica::{Recipient, S3Settings, Target};

/// How a server of object storage is reached.
#[derive(Args, Debug)]
pub struct S3Args {
    /// Address of the server, for example `https://s3.eu-central-003.backblazeb2.com`; left out, Amazon's own.
    #[arg(long, env = "SHOEBOX_S3_ENDPOINT", value_name = "URL")]
    s3_endpoint: Option<String>,
    /// Its region; us-east-1 if left out.
    #[arg(long, env = "SHOEBOX_S3_REGION", value_name = "REGION")]
    s3_region: Option<String>,
    /// Name of the access key.
    #[arg(long, env = "SHOEBOX_S3_KEY", value_name = "KEY", hide_env_values = true)]
    s3_key: Option<String>,
    /// Its secret: better in the environment, or in a file that SHOEBOX_S3_SECRET_FILE names.
    #[arg(long, env = "SHOEBOX_S3_SECRET", value_name = "SECRET", hide_env_values = true)]
    s3_secret: Option<String>,
    /// Send no checksum beside the signature, which has one, too: for servers that refuse the header
    /// `x-amz-checksum-sha256`.
    #[arg(long, env = "SHOEBOX_S3_NO_CHECKSUM")]
    s3_no_checksum: bool,
}

impl S3Args {
    fn at(self, target: Target, ca: Option<PathBuf>) -> Target {
        target.with(self.settings(ca))
    }

    fn settings(self, ca: Option<PathBuf>) -> S3Settings {
        S3Settings {
            endpoint: self.s3_endpoint,
            region: self.s3_region,
            key: self.s3_key,
            secret: self.s3_secret,
            ca,
            no_checksum: self.s3_no_checksum,
        }
    }
}

/// What is needed to read a replica.
#[derive(Args, Debug)]
pub struct FarArgs {
    /// The file of a key that opens an encrypted replica.
    #[arg(long, env = "SHOEBOX_IDENTITY", value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Files that are read or sent at the same time.
    #[arg(long, env = "SHOEBOX_REPLICATE_WORKERS", default_value_t = 4, value_name = "N")]
    workers: usize,
    #[command(flatten)]
    s3: S3Args,
    /// A file of certificate authorities to trust beside the system's.
    #[arg(long, env = "SHOEBOX_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl FarArgs {
    /// The replica at this place.
    pub fn at(self, target: Target) -> Far {
        Far { target: self.s3.at(target, self.ca), identity: self.identity, workers: self.workers }
    }
}

/// What is sent, and how.
#[derive(Args, Debug)]
pub struct ReplicateArgs {
    #[command(flatten)]
    data: Data,
    /// `s3://BUCKET/PREFIX`, or a directory on another disk.
    #[arg(env = "SHOEBOX_REPLICATE", value_name = "TARGET")]
    target: Target,
    #[command(flatten)]
    how: HowArgs,
    /// There was a replica at this place, and there is none any more: begin a new one.
    #[arg(long, env = "SHOEBOX_BEGIN_ANEW")]
    begin_anew: bool,
    /// Print the report as JSON.
    #[arg(long, env = "SHOEBOX_JSON")]
    json: bool,
    #[command(flatten)]
    far: FarArgs,
}

/// How files are sent, by hand and on schedule.
#[derive(Args, Debug)]
struct HowArgs {
    /// Encrypt everything to this public key (age1…) before it leaves; more than one may be given. `shoebox new-key`
    /// makes one.
    #[arg(long, env = "SHOEBOX_ENCRYPT_TO", value_parser = Recipient::parse, value_delimiter = ';', value_name = "KEY")]
    encrypt_to: Vec<Recipient>,
    /// Most bytes per second that are sent, in the long run, for example `2MB`.
    #[arg(long, env = "SHOEBOX_REPLICATE_BANDWIDTH", value_name = "SIZE")]
    replicate_bandwidth: Option<ByteSize>,
}

impl ReplicateArgs {
    /// The command that these say.
    pub fn command(self) -> Command {
        let far = self.far.at(self.target);
        let settings = ReplicateSettings {
            far,
            recipients: self.how.encrypt_to,
            bandwidth: self.how.replicate_bandwidth.map(|size| size.as_u64()),
        };
        Command::Replicate {
            data: self.data.dir,
            settings: Box::new(settings),
            begin_anew: self.begin_anew,
            json: self.json,
        }
    }
}

/// The replica that `run` keeps.
#[derive(Args, Debug)]
#[command(next_help_heading = "A second copy")]
pub struct KeepArgs {
    /// Keep a replica of the archive there: `s3://BUCKET/PREFIX`, or a directory on another disk. What is new is sent
    /// after each run; damage is mended from it at once.
    #[arg(long, env = "SHOEBOX_REPLICATE", value_name = "TARGET")]
    replicate: Option<Target>,
    #[command(flatten)]
    how: HowArgs,
    /// The file of a key that opens an encrypted replica: for mending from it, and for drills.
    #[arg(long, env = "SHOEBOX_IDENTITY", value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Files that are sent at the same time.
    #[arg(long, env = "SHOEBOX_REPLICATE_WORKERS", default_value_t = 4, value_name = "N")]
    replicate_workers: usize,
    /// How often a drill shows that the replica can be restored.
    #[arg(long, env = "SHOEBOX_DRILL_EVERY", default_value = "30d", value_parser = duration, value_name = "TIME")]
    drill_every: Duration,
    /// Another copy of the archive, made with any program that copies files, or a replica: damage is mended from it at
    /// once. It is only read, and may be absent now and then.
    #[arg(long, env = "SHOEBOX_REPLICA", value_name = "TARGET")]
    replica: Option<Target>,
    #[command(flatten)]
    s3: S3Args,
}

impl KeepArgs {
    /// As settings: the replica that is kept, and the copies from which damage is mended.
    pub fn settings(self, ca: Option<PathBuf>) -> (Option<KeepReplica>, Vec<Far>) {
        let s3 = self.s3.settings(ca);
        let (identity, workers) = (self.identity, self.replicate_workers);
        let far =
            |target: Target| Far { target: target.with(s3.clone()), identity: identity.clone(), workers };
        let keep = self.replicate.map(far);
        let copies = keep.iter().cloned().chain(self.replica.map(far)).collect();
        let keep = keep.map(|far| KeepReplica {
            replicate: ReplicateSettings {
                far,
                recipients: self.how.encrypt_to,
                bandwidth: self.how.replicate_bandwidth.map(|size| size.as_u64()),
            },
            drill_every: self.drill_every,
        });
        (keep, copies)
    }
}

/// What is verified.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    #[command(flatten)]
    data: Data,
    /// Begin at the beginning, whatever an earlier verification did.
    #[arg(long, env = "SHOEBOX_VERIFY_AFRESH")]
    afresh: bool,
    /// Mend what is damaged or gone from another copy of the archive: a replica, or a directory that any copying program
    /// made. What it replaces is kept in quarantine. Not while `shoebox run` writes: that has `--replica`.
    #[arg(long, env = "SHOEBOX_REPAIR_FROM", value_name = "TARGET")]
    repair_from: Option<Target>,
    /// Verify this replica instead: is everything there, and does it hash to its name?
    #[arg(long, env = "SHOEBOX_VERIFY_REPLICA", value_name = "TARGET", conflicts_with_all = ["repair_from", "afresh"])]
    replica: Option<Target>,
    /// Of a replica, compare names and sizes only, and read nothing.
    #[arg(long, env = "SHOEBOX_QUICK", requires = "replica")]
    quick: bool,
    /// Send again what is damaged in the replica.
    #[arg(long, env = "SHOEBOX_RESEND", requires = "replica")]
    resend: bool,
    /// Print JSON.
    #[arg(long, env = "SHOEBOX_JSON")]
    json: bool,
    #[command(flatten)]
    far: FarArgs,
}

impl VerifyArgs {
    /// The command that these say.
    pub fn command(self) -> Command {
        let (data, json) = (self.data.dir, self.json);
        match (self.replica, self.repair_from) {
            (Some(replica), _) => Command::VerifyReplica {
                data,
                far: Box::new(self.far.at(replica)),
                quick: self.quick,
                resend: self.resend,
                json,
            },
            (None, from) => {
                let repair_from = from.map(|target| Box::new(self.far.at(target)));
                Command::Verify { data, afresh: self.afresh, repair_from, json }
            }
        }
    }
}

/// What is restored, and where.
#[derive(Args, Debug)]
pub struct RestoreArgs {
    #[command(flatten)]
    data: Data,
    /// The replica, or any other copy.
    #[arg(env = "SHOEBOX_REPLICATE", value_name = "TARGET")]
    target: Target,
    /// Print the report as JSON.
    #[arg(long, env = "SHOEBOX_JSON")]
    json: bool,
    #[command(flatten)]
    far: FarArgs,
}

impl RestoreArgs {
    /// The command that these say.
    pub fn command(self) -> Command {
        Command::Restore { data: self.data.dir, far: Box::new(self.far.at(self.target)), json: self.json }
    }
}

/// What is drilled.
#[derive(Args, Debug)]
pub struct DrillArgs {
    #[command(flatten)]
    data: Data,
    /// The replica.
    #[arg(env = "SHOEBOX_REPLICATE", value_name = "TARGET")]
    target: Target,
    /// Files that are drawn at random and restored.
    #[arg(long, env = "SHOEBOX_DRILL_SAMPLE", default_value_t = 100, value_name = "N")]
    sample: usize,
    /// Where it is restored, and removed again; `cache` in the archive's directory if left out.
    #[arg(long, env = "SHOEBOX_DRILL_IN", value_name = "DIR")]
    within: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long, env = "SHOEBOX_JSON")]
    json: bool,
    #[command(flatten)]
    far: FarArgs,
}

impl DrillArgs {
    /// The command that these say.
    pub fn command(self) -> Command {
        Command::Drill {
            data: self.data.dir,
            far: Box::new(self.far.at(self.target)),
            sample: self.sample,
            within: self.within,
            json: self.json,
        }
    }
}
