//! What kind of trouble an error is: decides retry, exit code and advice.

/// The class of an error, whatever layer it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// May pass by itself: network, throttling, a dead browser.
    Transient,
    /// The site answered in a shape we do not know (drift).
    RemoteChanged,
    /// Only a person can go on: sign-in.
    NeedsHuman,
    /// Stored bytes or records are not what they must be.
    Damaged,
    /// The machine: disk full, no permission, missing program.
    Environment,
    /// The command line or configuration.
    Usage,
    /// Another shoebox holds the archive or the profile.
    Locked,
    /// Our own mistake.
    Bug,
}

impl ErrorClass {
    /// Whether trying again later may succeed without a person.
    pub fn retryable(self) -> bool {
        matches!(self, Self::Transient)
    }
}
