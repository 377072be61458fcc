//! The greatest fencing token this instance ever saw, kept in a file: should the store lose all it
//! had and its clock be set back as well, tokens still only grow.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// The greatest token ever seen.
#[derive(Debug, Default)]
pub(crate) struct GreatestToken {
    greatest: AtomicU64,
    kept: AtomicU64,
    file: Option<PathBuf>,
}

impl GreatestToken {
    /// Starts with what the file says. A file that cannot be read is told of and counts as none.
    pub(crate) fn load(file: Option<PathBuf>) -> Self {
        let greatest = match file.as_ref().map(std::fs::read_to_string) {
            None => 0,
            Some(Ok(text)) => text.trim().parse().unwrap_or_else(|_| {
                tracing::warn!(?file, "the file of the greatest token is damaged and is begun anew");
                0
            }),
            Some(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Some(Err(error)) => {
                tracing::warn!(?file, %error, "the greatest token cannot be read");
                0
            }
        };
        Self { greatest: AtomicU64::new(greatest), kept: AtomicU64::new(greatest), file }
    }

    pub(crate) fn note(&self, token: u64) {
        self.greatest.fetch_max(token, Ordering::Relaxed);
    }

    pub(crate) fn greatest(&self) -> u64 {
        self.greatest.load(Ordering::Relaxed)
    }

    /// Writes it down if it has grown: beside the file and then in its place, so that a crash
    /// leaves one of both.
    pub(crate) async fn keep(&self) {
        let greatest = self.greatest();
        let Some(file) = self.file.clone().filter(|_| greatest > self.kept.load(Ordering::Relaxed)) else {
            return;
        };
        let written = tokio::task::spawn_blocking(move || {
            let beside = file.with_extension("new");
            std::fs::write(&beside, format!("{greatest}\n"))?;
            std::fs::rename(&beside, &file)
        });
        match written.await {
            Ok(Ok(())) => self.kept.store(greatest, Ordering::Relaxed),
            Ok(Err(error)) => tracing::warn!(%error, "the greatest token cannot be written down"),
            Err(error) => tracing::error!(%error, "writing the greatest token failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn it_only_grows_and_outlives_its_process() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let tokens = GreatestToken::load(Some(file.clone()));
        assert_eq!(tokens.greatest(), 0);
        tokens.note(7);
        tokens.note(5);
        tokens.keep().await;
        assert_eq!(GreatestToken::load(Some(file.clone())).greatest(), 7);
        std::fs::write(&file, "nonsense").unwrap();
        assert_eq!(GreatestToken::load(Some(file)).greatest(), 0);
    }
}
