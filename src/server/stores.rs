//! Opening the configured store, and what belongs to it.

use super::control::Control;
use super::lifecycle::StartError;
use super::settings;
use lockkeeper_config::{Settings, StoreKind};
use lockkeeper_store::Store;
use lockkeeper_store::embedded::EmbeddedStore;
use lockkeeper_store::redis::{RedisStore, Unfit};
use std::sync::Arc;

/// The store that is served.
pub(super) enum Opened {
    /// Of this process alone, with its control socket.
    Embedded { store: Arc<EmbeddedStore>, _control: Control },
    /// Shared with other instances.
    Redis { store: Arc<RedisStore> },
}

impl Opened {
    /// Opens the embedded store, or looks whether Redis is fit to keep locks. A Redis that cannot be
    /// reached now does not stop the start: the server waits for it, unready.
    ///
    /// # Errors
    /// The store cannot be opened, or is set up so that it must not keep locks.
    pub(super) async fn open(settings: &Settings, instance: &str) -> Result<Self, StartError> {
        match settings.store {
            StoreKind::Embedded => {
                let store = EmbeddedStore::open(settings::store(settings))?;
                let control = Control::start(&settings.data_dir, Arc::clone(&store))
                    .map_err(|cause| StartError::System(format!("the control socket: {cause}")))?;
                Ok(Self::Embedded { store, _control: control })
            }
            StoreKind::Redis => {
                std::fs::create_dir_all(&settings.data_dir).map_err(|cause| {
                    StartError::System(format!("the data directory {}: {cause}", settings.data_dir.display()))
                })?;
                let store = RedisStore::new(settings::redis(settings, instance))
                    .map_err(|error| StartError::Redis(error.to_string()))?;
                match store.fit().await {
                    Ok(warnings) => {
                        for warning in warnings {
                            tracing::warn!(store = "redis", "{warning}");
                        }
                    }
                    Err(Unfit::Misfit(why)) => return Err(StartError::Redis(why)),
                    Err(Unfit::Unavailable(why)) => {
                        tracing::warn!(
                            store = "redis",
                            "not reached yet, and tried again until it is: {why}"
                        );
                    }
                }
                Ok(Self::Redis { store })
            }
        }
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded { store, .. } => Arc::clone(store) as Arc<dyn Store>,
            Self::Redis { store } => Arc::clone(store) as Arc<dyn Store>,
        }
    }

    /// Ends it in order: the embedded store closes its file, the others are told that this instance
    /// has left.
    pub(super) async fn close(self) {
        match self {
            Self::Embedded { store, .. } => store.close(),
            Self::Redis { store } => {
                if let Some(shared) = store.shared()
                    && let Err(error) = shared.leave().await
                {
                    tracing::debug!(%error, "the presence record stays until its lease ends");
                }
            }
        }
    }
}
