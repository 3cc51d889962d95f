//! A library with downloads of another kind: it lists and describes as the fake library does, and fetches as a test says.

use std::collections::HashMap;
use std::sync::Mutex;

use shoebox::model::{ItemDetails, MediaKey, RemoteAlbum, RemoteItem};
use shoebox::remote::{
    AlbumListing, AlbumPage, Cursor, Download, ListPage, Offer, RemoteError, RemoteLibrary, Through,
    TimelineCounts,
};
use shoebox::sim::fake::FakeLibrary;

/// How files are fetched.
pub trait Downloads: Send + Sync + 'static {
    /// Fetches a file of an item.
    fn fetch(
        &self,
        library: &FakeLibrary,
        key: &MediaKey,
        offer: &Offer,
    ) -> impl Future<Output = Result<Download, RemoteError>> + Send;

    /// What the archiver is told of a listing.
    fn told(&self, page: ListPage) -> ListPage {
        page
    }
}

/// The library.
pub struct OtherDownloads<D> {
    pub library: FakeLibrary,
    pub downloads: D,
    /// Whose each address is.
    owners: Mutex<HashMap<String, MediaKey>>,
}

impl<D> OtherDownloads<D> {
    pub fn new(library: FakeLibrary, downloads: D) -> Self {
        Self { library, downloads, owners: Mutex::default() }
    }
}

impl<D: Downloads> RemoteLibrary for OtherDownloads<D> {
    fn account(&self) -> String {
        self.library.account()
    }

    async fn list(&self, from: Option<&Cursor>) -> Result<ListPage, RemoteError> {
        Ok(self.downloads.told(self.library.list(from).await?))
    }

    async fn list_before(&self, ms: i64) -> Result<ListPage, RemoteError> {
        Ok(self.downloads.told(self.library.list_before(ms).await?))
    }

    async fn recent(&self, from: Option<&Cursor>) -> Result<ListPage, RemoteError> {
        Ok(self.downloads.told(self.library.recent(from).await?))
    }

    async fn trash(&self, from: Option<&Cursor>) -> Result<ListPage, RemoteError> {
        Ok(self.downloads.told(self.library.trash(from).await?))
    }

    async fn look_up(&self, key: &MediaKey) -> Result<RemoteItem, RemoteError> {
        self.library.look_up(key).await
    }

    async fn describe(&self, keys: &[MediaKey]) -> Result<Vec<ItemDetails>, RemoteError> {
        self.library.describe(keys).await
    }

    async fn counts(&self) -> Result<Option<TimelineCounts>, RemoteError> {
        self.library.counts().await
    }

    async fn albums(&self, shared: bool, from: Option<&Cursor>) -> Result<AlbumListing, RemoteError> {
        self.library.albums(shared, from).await
    }

    async fn album_items(
        &self,
        album: &RemoteAlbum,
        from: Option<&Cursor>,
    ) -> Result<AlbumPage, RemoteError> {
        self.library.album_items(album, from).await
    }

    async fn offers(&self, key: &MediaKey, through: Option<&Through>) -> Result<Vec<Offer>, RemoteError> {
        let offers = self.library.offers(key, through).await?;
        let mut owners = self.owners.lock().unwrap();
        offers.iter().for_each(|offer| drop(owners.insert(offer.url.clone(), key.clone())));
        Ok(offers)
    }

    async fn fetch(&self, offer: &Offer) -> Result<Download, RemoteError> {
        let key = self.owners.lock().unwrap()[&offer.url].clone();
        self.downloads.fetch(&self.library, &key, offer).await
    }
}
