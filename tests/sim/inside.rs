//! Clients that stop at a name.

use shoebox::sim::SimConfig;

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
