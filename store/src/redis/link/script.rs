//! A script as the servers know it.

use std::sync::OnceLock;

/// The text of a script and its digest. Servers are asked to run the digest; one that does not
/// know it (a new one, a flushed one) is sent the text.
#[derive(Debug)]
pub(crate) struct ScriptText {
    text: &'static str,
    digest: OnceLock<String>,
}

impl ScriptText {
    /// For a `static`.
    pub(crate) const fn new(text: &'static str) -> Self {
        Self { text, digest: OnceLock::new() }
    }

    /// The text.
    pub(crate) const fn text(&self) -> &'static str {
        self.text
    }

    /// Its SHA-1 in hexadecimal digits.
    pub(crate) fn digest(&self) -> &str {
        self.digest.get_or_init(|| redis::Script::new(self.text).get_hash().to_owned())
    }
}
