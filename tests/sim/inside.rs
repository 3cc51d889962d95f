//! Clients inside the page, that call what the page calls and read the answers at fixed places.

use std::collections::BTreeSet;

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};
use shoebox::sim::SimConfig;
use shoebox::sim::library::LedgerItem;

use super::support::{HOME, Rig, is_plain, sha256};

/// One call as the known toolkit makes it: the first line that holds an answer, its payload or its error.
async fn call(rig: &Rig, rpcid: &str, args: Value) -> Value {
    let script = format!(
        "(async () => {{
            const w = WIZ_global_data;
            const call = JSON.stringify([[['{rpcid}', JSON.stringify({args}), null, 'generic']]]);
            const query = new URLSearchParams({{
                rpcids: '{rpcid}', 'source-path': location.pathname, 'f.sid': w.FdrFJe, bl: w.cfb2h,
                pageId: 'none', rt: 'c', ...(w.Dbw5Ud ? {{ rapt: w.Dbw5Ud }} : {{}}),
            }});
            const answer = await fetch(`https://photos.google.com${{w.eptZe}}data/batchexecute?${{query}}`, {{
                method: 'POST', headers: {{ 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' }},
                body: `f.req=${{encodeURIComponent(call)}}&at=${{encodeURIComponent(w.SNlM0e)}}&`,
            }});
            const row = JSON.parse((await answer.text()).split('\\n').find(l => l.includes('wrb.fr')))[0];
            return row[2] ? JSON.parse(row[2]) : {{ error: row[5] }};
        }})()"
    );
    rig.js(&script).await
}

/// The sparse fields at the end of a message.
fn tail(message: &Value) -> &Value {
    message.as_array().unwrap().last().unwrap()
}

fn keys(rows: &Value) -> BTreeSet<String> {
    rows.as_array().unwrap().iter().map(|row| row[0].as_str().unwrap().to_owned()).collect()
}

fn keys_of<'a>(items: impl IntoIterator<Item = &'a LedgerItem>) -> BTreeSet<String> {
    items.into_iter().map(|item| item.key.clone()).collect()
}

fn has(item: &LedgerItem, role: &str) -> bool {
    item.parts.iter().any(|part| part.role == role)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_single_items_is_answered_in_full() {
    let config = SimConfig { items: 300, unsavable_names: false, ..SimConfig::default() };
    let rig = Rig::signed_in(config).await;
    rig.open(HOME).await;
    let items = rig.sim.ledger().items;
    // All at once, as many as there are.
    let mut mask = vec![Value::Null; 36];
    (mask[24], mask[35]) = (json!([]), json!([]));
    let all: Vec<_> = items.iter().map(|item| json!([item.key])).collect();
    let bulk = call(&rig, "EWgK9e", json!([[[all], [mask]]])).await;
    assert_eq!(keys(&bulk[0][1]), keys_of(&items));
    for item in items.iter().filter(|item| is_plain(item) || has(item, "edited")).take(24) {
        let info = call(&rig, "VrseUb", json!([item.key, null, null, null, null])).await;
        let slots = &info[0];
        assert_eq!(slots[13], json!(item.archived));
        assert_eq!(slots[15]["163238866"], json!([item.favourite]));
        assert_eq!(slots[15]["318563170"][0][2] == 2, !item.storage_saver);
        assert_eq!(info[7].is_string(), has(item, "edited"));
        assert_eq!(info[3][11][0], "Demo Person");
        let answer = call(&rig, "fDcn4b", json!([item.key, 1, null, null, 1])).await;
        let more = &answer[0];
        assert_eq!((&more[2], &more[5]), (&json!(item.name), &json!(item.parts[0].size)));
        assert!(more[6].is_u64() && more[7].is_u64());
        // Nothing says that it is not in the library.
        let capabilities = more[12].as_array().unwrap();
        assert!(!capabilities.is_empty() && capabilities.iter().all(|c| c[0] != 20));
        let albums = more[19].as_array().unwrap().iter();
        let albums: Vec<_> = albums.map(|a| tail(a)["72930366"][1].as_str().unwrap_or_default()).collect();
        assert_eq!(albums, item.albums);
        assert_eq!(more[28][0], info[3][0]);
    }
    // By hash: only what is there, with the hash as it was given.
    let hash = |item: &LedgerItem| BASE64.encode(&HEXLOWER.decode(item.parts[0].sha1.as_bytes()).unwrap());
    let plain: Vec<_> = items.iter().filter(|item| is_plain(item) && !item.storage_saver).take(9).collect();
    let mut hashes: Vec<_> = plain.iter().map(|item| hash(item)).collect();
    hashes.push(BASE64.encode(&[0; 20]));
    let found = call(&rig, "swbisb", json!([hashes, null, 3, 0])).await;
    assert_eq!(found[0].as_array().unwrap().len(), plain.len());
    for row in found[0].as_array().unwrap() {
        let item = items.iter().find(|item| row[1][0] == item.key).unwrap();
        assert_eq!(row[0], hash(item));
    }
    assert_eq!(call(&rig, "swbisb", json!([[hashes.last()], null, 3, 0])).await, json!([[]]));
    // An address for each of several.
    let addresses = call(&rig, "pLFTfd", json!([[plain[0].key, plain[1].key], null, null])).await;
    let address = addresses[0][1][1].as_str().unwrap().to_owned();
    let (_, file) = rig
        .download(async { drop(rig.js::<Value>(&format!("(location.assign('{address}'), 1)")).await) })
        .await;
    assert_eq!(sha256(&file), plain[1].parts[0].sha256);
    rig.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn albums_links_searches_and_the_locked_folder_are_listed() {
    let config = SimConfig { items: 60, shared: 9, unsavable_names: false, ..SimConfig::default() };
    let rig = Rig::signed_in(config).await;
    rig.open(HOME).await;
    let items = rig.sim.ledger().items;
    let own: Vec<_> = items.iter().filter(|item| item.shared.is_none()).collect();
    let albums = call(&rig, "Z5xsfc", json!([null, null, null, null, 1, null, null, 100, [2], 5])).await;
    let mut seen = 0;
    for entry in albums[0].as_array().unwrap() {
        let listed = &tail(entry)["72930366"];
        if listed[0] != 1 {
            continue;
        }
        let page = call(&rig, "snAcKc", json!([entry[0], null, null, null])).await;
        let about = &page[3];
        assert_eq!((&about[0], &about[1]), (&entry[0], &listed[1]));
        // First and last photo with their zones, what was done last, how many.
        assert_eq!((&about[2], &about[21]), (&listed[2], &listed[3]));
        assert!((5..7).all(|n| about[2][n][0].is_i64()) && (7..10).all(|n| about[2][n].is_i64()));
        assert_eq!(about[5][11][0], "Demo Person");
        assert!(about[9].as_array().unwrap().iter().all(|member| member[11][0].is_string()));
        let title = listed[1].as_str().unwrap_or_default();
        let wanted = items.iter().filter(|item| item.albums.iter().any(|album| album == title));
        assert_eq!(keys(&page[1]), keys_of(wanted));
        seen += 1;
    }
    assert_eq!(seen, 5);
    // A link is its own permission; the album's key in the sharing list is not.
    let links = call(&rig, "F2A0H", json!([null, null, 2, null, 3])).await;
    assert_eq!(links[0].as_array().unwrap().len(), 2);
    for entry in links[0].as_array().unwrap() {
        let page = call(&rig, "snAcKc", json!([entry[17], null, null, null])).await;
        assert_eq!(page[1].as_array().unwrap().len() as u64, entry[3].as_u64().unwrap());
        assert_eq!(call(&rig, "snAcKc", json!([entry[6], null, null, null])).await["error"], json!([7]));
    }
    // What words are about.
    let found = call(&rig, "EzkLib", json!(["bergen", null, null])).await;
    assert!(!keys(&found[0]).is_empty());
    let found = call(&rig, "EzkLib", json!(["note ", null, null])).await;
    let wanted = own.iter().copied().filter(|item| item.description.is_some());
    assert_eq!(keys(&found[0]), keys_of(wanted));
    assert_eq!(call(&rig, "EzkLib", json!(["no such thing", null, null])).await[0], json!([]));
    // The locked folder opens to its own page only.
    assert_eq!(call(&rig, "nMFwOc", json!([null])).await["error"], json!([7]));
    rig.open("https://photos.google.com/lockedfolder").await;
    assert!(rig.js::<bool>("document.querySelector('.c9yG5b') !== null").await);
    assert_eq!(call(&rig, "nMFwOc", json!([null])).await, json!([null, []]));
    assert_eq!(rig.sim.counters().mutating, 0);
    rig.close().await;
}

/// Clients that save under the name of a photo, or read it from a page, stop there.
#[tokio::test]
async fn names_under_which_nothing_can_be_saved_can_be_left_out() {
    use shoebox::sim::fake::FakeLibrary;
    for unsavable_names in [true, false] {
        let library = FakeLibrary::new(SimConfig { items: 60, unsavable_names, ..SimConfig::default() });
        let bad = |name: &str| {
            name == ".." || name.starts_with("../") || name.len() > 240 || name.contains('\u{fffd}')
        };
        let items = library.ledger().items;
        assert_eq!(items.iter().filter(|item| bad(&item.name)).count(), if unsavable_names { 4 } else { 0 });
        assert!(items.iter().any(|item| item.name == "100%2e.jpg"), "the others stay");
    }
}
