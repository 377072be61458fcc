//! What there can be too much of at once.

use std::fmt;

/// A bound that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bound {
    /// Clients that wait for a grant.
    WaitingClients,
    /// Commands in work.
    Commands,
    /// Commands in work for one namespace, while the server is busy.
    CommandsOfNamespace,
    /// Messages that wait for one resource's actor.
    ResourceMailbox,
    /// Commands that one resource's actor has taken and not decided.
    ResourceInbox,
    /// Messages that wait for a coordinator.
    CoordinatorMailbox,
    /// Messages that wait for the event hub.
    HubMailbox,
    /// Event streams.
    EventStreams,
    /// Commits that wait for the store.
    Commits,
    /// Conflicts in a row on one resource.
    Conflicts,
    /// Confirmations of one answer.
    Confirmations,
    /// Releases that wait for the store to come back.
    PendingReleases,
    /// Releases that wait to be written down.
    UnwrittenReleases,
}

impl Bound {
    /// The setting that moves it, if there is one.
    #[must_use]
    pub const fn setting(self) -> Option<&'static str> {
        match self {
            Self::WaitingClients => Some("http.max-waiting"),
            Self::Commands | Self::CommandsOfNamespace => Some("actors.max-commands"),
            Self::ResourceMailbox | Self::CoordinatorMailbox | Self::HubMailbox => Some("actors.mailbox"),
            Self::EventStreams => Some("events.max-subscribers"),
            Self::PendingReleases => Some("journal.max-entries"),
            // Whose bound it is depends on the store.
            Self::Commits
            | Self::ResourceInbox
            | Self::Conflicts
            | Self::Confirmations
            | Self::UnwrittenReleases => None,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WaitingClients => "clients waiting for a grant",
            Self::Commands => "commands in work",
            Self::CommandsOfNamespace => "commands in work for one namespace while the server is busy",
            Self::ResourceMailbox => "messages waiting for one resource",
            Self::ResourceInbox => "commands waiting for one resource",
            Self::CoordinatorMailbox => "messages waiting for a coordinator",
            Self::HubMailbox => "messages waiting for the event hub",
            Self::EventStreams => "event streams",
            Self::Commits => "commits waiting for the store",
            Self::Conflicts => "conflicting commits of one resource",
            Self::Confirmations => "confirmations of one answer",
            Self::PendingReleases => "releases that wait for the store to come back",
            Self::UnwrittenReleases => "releases that wait to be written down",
        })
    }
}
