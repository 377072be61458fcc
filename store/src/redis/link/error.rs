//! How a call can fail, told apart by what it means for whoever must not do a thing twice.

use redis::{RedisError, ServerError};

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// It was never sent: no connection, a refused one, no master known. Nothing happened.
    #[error("{0}")]
    NotSent(String),
    /// It was sent, or may have been: a timeout, a broken connection. It may have happened.
    #[error("{0}")]
    Unknown(String),
    /// The server refused it, or (`NOAUTH`, `WRONGPASS`) us.
    #[error("{code}: {message}")]
    Refused {
        /// The first word of the server's error: `READONLY`, `OOM`, `LOADING`, `NOPERM`, ...
        code: String,
        /// The rest of it.
        message: String,
    },
}

impl CallError {
    pub(crate) fn refused(error: &ServerError) -> Self {
        Self::Refused {
            code: error.code().to_owned(),
            message: error.details().unwrap_or_default().to_owned(),
        }
    }

    /// An error of an attempt to connect: no command of a caller was sent yet.
    pub(crate) fn connecting(address: &impl std::fmt::Display, error: &RedisError) -> Self {
        match Self::answered(error) {
            Some(refused) => refused,
            None => Self::NotSent(format!("cannot connect to {address}: {error}")),
        }
    }

    /// An error of a command that was handed to a connection.
    pub(crate) fn sent(address: &impl std::fmt::Display, error: &RedisError) -> Self {
        match Self::answered(error) {
            Some(refused) => refused,
            None => Self::Unknown(format!("no answer from {address}: {error}")),
        }
    }

    /// The code of the server's error.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::NotSent(_) | Self::Unknown(_) => None,
        }
    }

    /// True if the server answered in a way that another one should be looked for.
    pub(crate) fn is_of_a_wrong_server(&self) -> bool {
        matches!(self.code(), Some("READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "UNBLOCKED"))
    }

    fn answered(error: &RedisError) -> Option<Self> {
        let code = match (error.code(), error.kind()) {
            (Some(code), _) => code.to_owned(),
            (None, redis::ErrorKind::AuthenticationFailed) => "WRONGPASS".to_owned(),
            (None, redis::ErrorKind::RESP3NotSupported) => "NOPROTO".to_owned(),
            (None, _) => return None,
        };
        let message = error.detail().map_or_else(|| error.to_string(), str::to_owned);
        Some(Self::Refused { code, message })
    }
}
