//! Large files over bad lines.

use std::time::Duration;

use futures_util::StreamExt;
use shoebox::model::digest::digests_of;
use shoebox::remote::{Body, RemoteError, direct, net};
use shoebox::sim::{Fault, FaultRule, FileBytes, RequestClass, Sim, SimConfig, When};

const SIZE: u64 = 5_000_000;

/// Longer than a busy machine leaves a sound line silent: what is counted here are the faults alone.
const STALL: Duration = Duration::from_secs(8);

/// Fetches the first item directly; its bytes, and how often it was asked for from the middle on.
async fn fetched(ranges: bool, fault: Fault, when: When) -> (Result<Vec<u8>, RemoteError>, u64, String) {
    let config = SimConfig {
        items: 1,
        ranges,
        fife_share: 0.0,
        file_bytes: FileBytes::Fixed(SIZE),
        ..SimConfig::default()
    };
    let sim = Sim::start(config).await.unwrap();
    sim.faults().set(FaultRule::new(RequestClass::Download, fault, when));
    let rules = [format!("*={}", sim.address()).parse().unwrap()];
    let client = net::http_client(&rules, Some(&sim.ca_file().to_owned()), STALL).unwrap();
    let address = sim.addresses().pop().unwrap();
    let download = direct::fetch(&client, &address).await.unwrap();
    let Body::Stream(mut stream) = download.body else { panic!("a stream") };
    let mut bytes = Vec::new();
    let truth = sim.ledger().items[0].parts[0].sha256.clone();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(e) => return (Err(e), sim.counters().continued, truth),
        }
    }
    (Ok(bytes), sim.counters().continued, truth)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_or_stalled_transfer_goes_on_where_it_was() {
    for fault in [Fault::Truncate(2_000_000), Fault::Stall(2_000_000)] {
        let (bytes, continued, truth) = fetched(true, fault, When::FirstPerItem(2)).await;
        assert_eq!(digests_of(&bytes.unwrap()).sha256.hex(), truth);
        assert_eq!(continued, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_given_up_where_the_server_cannot_or_the_line_never_holds() {
    let (bytes, continued, _) = fetched(false, Fault::Truncate(2_000_000), When::FirstPerItem(1)).await;
    assert!(matches!(bytes, Err(RemoteError::Transient(_))));
    assert_eq!(continued, 0);
    let (bytes, continued, _) = fetched(true, Fault::Truncate(1000), When::Always).await;
    assert!(matches!(bytes, Err(RemoteError::Transient(_))));
    assert!((2..10).contains(&continued), "{continued}");
}
