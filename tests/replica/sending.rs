//! What is sent, in which order, over bad lines, by a program that is killed.

use std::collections::BTreeSet;
use std::time::Duration;

use hyper::Method;

use super::line::Line;
use super::server::Server;
use super::support::*;
use crate::appliance::support::{run, succeed, text};
use crate::store::support::seed;

const TARGET: &str = "s3://photos/my archive/copy";

#[tokio::test(flavor = "multi_thread")]
async fn over_a_bad_line_everything_arrives_and_can_be_restored() {
    let server = Server::start().await;
    let line = Line::new(&server.endpoint(), 5, seed()).await;
    let stage = Stage::new(120);
    // In parts, the last one full and short.
    stage.add(120..121, 20 << 20);
    stage.add(121..122, 16 << 20);
    let told = succeed(stage.at(&line.endpoint(), &["replicate", TARGET])).await;
    assert!(told.contains("everything that is archived is there"), "{told}");
    // Through another door, byte for byte.
    let truth_here = truth(&stage.data());
    for (file, bytes) in &truth_here {
        let there = server.bytes(&format!("my archive/copy/{file}")).await;
        assert!(there.as_ref() == Some(bytes), "{file}");
    }
    // Everything again, hashed, and nothing is lacking.
    let told = succeed(stage.at(&server.endpoint(), &["verify", "--replica", TARGET])).await;
    assert!(told.contains("all as they were sent"), "{told}");
    let told = succeed(stage.at(&line.endpoint(), &["verify", "--replica", TARGET])).await;
    assert!(told.contains("all as they were sent"), "{told}");
    let told = succeed(stage.at(&line.endpoint(), &["drill", TARGET, "--sample", "40"])).await;
    for part in ["122 items", "says the same", "40 of 122", "This replica can be restored"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(crate::store::support::files_below(&stage.data().join("cache")).is_empty());
    let restored = stage.path("restored");
    let mut restore = stage.at(&line.endpoint(), &["restore", TARGET]);
    restore.env("SHOEBOX_DATA", &restored);
    let told = succeed(restore).await;
    assert!(told.contains("The archive is whole: 122 items"), "{told}");
    assert!(truth(&restored) == truth_here, "the restored archive is another");
    let mut verify = stage.command(&["verify"]);
    verify.env("SHOEBOX_DATA", &restored);
    succeed(verify).await;
    let spoilt: BTreeSet<_> = line.spoilt().into_iter().collect();
    println!("{} requests of {} were spoilt: {spoilt:?}", line.spoilt().len(), line.asked().len());
    assert!(line.spoilt().len() > 40 && spoilt.len() >= 6, "{spoilt:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_come_before_their_records_only_news_are_sent_and_nothing_is_deleted() {
    let server = Server::start().await;
    let line = Line::new(&server.endpoint(), 0, 1).await;
    let stage = Stage::new(30);
    let replicate = || stage.at(&line.endpoint(), &["replicate", TARGET, "--json"]);
    let report = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let first = report(&succeed(replicate()).await);
    assert_eq!((first["sent"].as_u64(), first["there"].as_u64()), (Some(61), Some(0)), "{first}");
    let asked = line.asked();
    // Every record that the server took, and before it the blobs of which it speaks.
    let mut taken = BTreeSet::new();
    let mut records = 0;
    for ask in asked.iter().filter(|ask| ask.method == Method::PUT) {
        assert!(ask.status.unwrap().is_success(), "{ask:?}");
        let name = ask.path.rsplit('/').next().unwrap().to_owned();
        if ask.path.contains("/records/") {
            let here = std::fs::read(
                stage.data().join(format!("records/{}/{name}", ask.path.rsplit('/').nth(1).unwrap())),
            );
            let record: serde_json::Value = serde_json::from_slice(&here.unwrap()).unwrap();
            let blob = record["parts"][0]["sha256"].as_str().unwrap();
            assert!(taken.contains(blob), "{name} came before its blob");
            records += 1;
        }
        taken.insert(name);
    }
    assert_eq!(records, 30);
    // Again: nothing to do, and little asked.
    let before = line.asked().len();
    let again = report(&succeed(replicate()).await);
    assert_eq!((again["sent"].as_u64(), again["there"].as_u64()), (Some(0), Some(61)), "{again}");
    assert!(line.asked()[before..].iter().all(|ask| ask.method == Method::GET), "something was written");
    stage.add(30..33, 4000);
    let more = report(&succeed(replicate()).await);
    assert_eq!((more["sent"].as_u64(), more["there"].as_u64()), (Some(6), Some(61)), "{more}");
    assert!(line.asked().iter().all(|ask| ask.method != Method::DELETE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replication_that_is_killed_goes_on() {
    let seed = seed();
    let mut rng = fastrand::Rng::with_seed(seed);
    let stage = Stage::new(150);
    let mut kills = 0;
    // Anew where one was quicker than its end.
    for round in 0.. {
        let target = stage.path(&format!("disk-{round}"));
        let replicate = || stage.command(&["replicate", target.to_str().unwrap()]);
        for _ in 0..5 {
            let mut child = replicate().spawn().unwrap();
            tokio::time::sleep(Duration::from_millis(rng.u64(15..110))).await;
            kills += u32::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
        }
        succeed(replicate()).await;
        let there =
            truth(&target).into_iter().filter(|(name, _)| !name.contains(['#']) && !name.ends_with(".part"));
        assert!(there.collect::<std::collections::BTreeMap<_, _>>() == truth(&stage.data()));
        succeed(stage.command(&["verify", "--replica", target.to_str().unwrap()])).await;
        if kills >= 5 {
            break;
        }
    }
    println!("{kills} kills in the middle");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_here_does_not_get_there_and_what_is_damaged_there_is_found_and_sent_again() {
    let server = Server::start().await;
    let stage = Stage::new(20);
    let at = |args: &[&str]| stage.at(&server.endpoint(), args);
    // Here: the blob stays, and so does the record that speaks of it.
    let files: Vec<_> = truth(&stage.data()).into_keys().filter(|file| file.starts_with("blobs")).collect();
    let sound = std::fs::read(stage.data().join(&files[3])).unwrap();
    spoil(&stage.data().join(&files[3]));
    let partial = run(at(&["replicate", TARGET])).await;
    let told = text(&partial.stdout);
    assert_eq!(partial.status.code(), Some(2), "{told}");
    assert!(
        told.contains(&files[3]) && told.contains("damaged here") && told.contains("1 records wait"),
        "{told}"
    );
    assert_eq!(server.bytes(&format!("my archive/copy/{}", files[3])).await, None);
    std::fs::write(stage.data().join(&files[3]), sound).unwrap();
    succeed(at(&["replicate", TARGET])).await;
    // Gone before it was ever sent: its record must not go either.
    let gone = Stage::new(3);
    let blob = truth(&gone.data()).into_keys().find(|file| file.starts_with("blobs")).unwrap();
    std::fs::remove_file(gone.data().join(&blob)).unwrap();
    let disk = gone.path("disk");
    let partial = run(gone.command(&["replicate", disk.to_str().unwrap()])).await;
    assert_eq!(partial.status.code(), Some(2), "{}", text(&partial.stdout));
    assert!(text(&partial.stdout).contains(&blob), "{}", text(&partial.stdout));
    assert_eq!(truth(&disk).keys().filter(|file| file.starts_with("records")).count(), 2);
    // There: altered, cut, gone.
    let object = |file: &str| format!("my archive/copy/{file}");
    let mut altered = server.bytes(&object(&files[5])).await.unwrap();
    altered[100] ^= 1;
    server.replace(&object(&files[5]), altered).await;
    let cut = server.bytes(&object(&files[6])).await.unwrap()[..50].to_vec();
    server.replace(&object(&files[6]), cut).await;
    server.remove(&object(&files[7])).await;
    let quick = run(at(&["verify", "--replica", TARGET, "--quick"])).await;
    let told = text(&quick.stdout);
    assert_eq!(quick.status.code(), Some(1), "{told}");
    assert!(told.contains(&files[6]) && told.contains(&files[7]) && !told.contains(&files[5]), "{told}");
    let whole = run(at(&["verify", "--replica", TARGET])).await;
    let told = text(&whole.stdout);
    assert_eq!(whole.status.code(), Some(1), "{told}");
    assert!(told.contains("2 damaged, 1 not there yet") && told.contains(&files[5]), "{told}");
    // A drill that draws everything fails over it, and says so.
    let drill = run(at(&["drill", TARGET])).await;
    assert_eq!(drill.status.code(), Some(1), "{}", text(&drill.stdout));
    assert!(text(&drill.stdout).contains("3 files could NOT be restored"), "{}", text(&drill.stdout));
    let mended = succeed(at(&["verify", "--replica", TARGET, "--resend"])).await;
    assert!(mended.contains("3 files") && mended.contains("2 of them in place of damaged ones"), "{mended}");
    succeed(at(&["verify", "--replica", TARGET])).await;
    // And the other way round.
    spoil(&stage.data().join(&files[9]));
    std::fs::remove_file(stage.data().join(&files[10])).unwrap();
    let record = truth(&stage.data()).into_keys().find(|file| file.starts_with("records")).unwrap();
    std::fs::remove_file(stage.data().join(&record)).unwrap();
    let found = run(at(&["verify", "--afresh", "--repair-from", TARGET])).await;
    assert_eq!(found.status.code(), Some(0), "{}", text(&found.stdout));
    assert_eq!(text(&found.stdout).matches("mended: ").count(), 3, "{}", text(&found.stdout));
    succeed(at(&["verify", "--replica", TARGET])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_conditional_writes_and_checksums_is_served() {
    let server = Server::start().await;
    let line = Line::to_one_without_conditions(&server.endpoint()).await;
    let stage = Stage::new(8);
    stage.add(8..9, 9 << 20);
    succeed(stage.at(&line.endpoint(), &["replicate", TARGET])).await;
    succeed(stage.at(&server.endpoint(), &["verify", "--replica", TARGET])).await;
    let puts = |asked: Vec<super::line::Asked>| -> Vec<_> {
        let is_upload = |ask: &super::line::Asked| ask.method == Method::PUT && ask.status.is_some();
        asked.into_iter().filter(is_upload).collect()
    };
    let with = puts(line.asked());
    assert!(with.len() > 19 && with.iter().all(|ask| ask.has_checksum), "{with:?}");
    // Refused once, and then not asked for again and again.
    let refused = line.asked().iter().filter(|ask| ask.status.is_none()).count();
    assert!(refused > 0 && refused < 15, "{refused} were refused");
    stage.add(9..11, 4000);
    let mut without = stage.at(&line.endpoint(), &["replicate", TARGET]);
    without.env("SHOEBOX_S3_NO_CHECKSUM", "true");
    succeed(without).await;
    let all = puts(line.asked());
    assert!(all.len() > with.len() && all[with.len()..].iter().all(|ask| !ask.has_checksum));
    succeed(stage.at(&server.endpoint(), &["verify", "--replica", TARGET])).await;
}
