//! Videos that cannot be downloaded now, and how their page says so (contract 3.5).

/// How a video is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processing {
    /// A dialog appears instead of the download.
    Dialog,
    /// A toast appears instead of the download.
    Toast,
    /// "Your video will be ready soon", and nothing else.
    ReadySoon,
}

impl Processing {
    /// The state of a video: the same for the same seed, for about `share` of all videos.
    pub(crate) fn of(seed: u64, serial: u64, share: f64) -> Option<Self> {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(0x51ed_2701).wrapping_add(serial));
        let struck = random.f64() < share;
        struck.then(|| [Self::Dialog, Self::Toast, Self::ReadySoon][random.usize(..3)])
    }

    /// For the page.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Dialog => "dialog",
            Self::Toast => "toast",
            Self::ReadySoon => "ready-soon",
        }
    }
}
