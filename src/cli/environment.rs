//! The process environment as a value, so that tests can give another one.

use std::collections::BTreeMap;

/// Names of the variables that `run` gives to its command.
pub(crate) const OWNER: &str = "LOCKKEEPER_OWNER";
/// See [`OWNER`].
pub(crate) const FENCING_TOKEN: &str = "LOCKKEEPER_FENCING_TOKEN";
/// See [`OWNER`].
pub(crate) const LOCK_ID: &str = "LOCKKEEPER_LOCK_ID";

/// Every variable that the command line reads itself. They share the prefix of the server's settings
/// without being any: whoever reads settings from the environment must leave them out.
pub const CLIENT_VARIABLES: [&str; 7] = [
    "LOCKKEEPER_SERVER",
    "LOCKKEEPER_TOKEN_FILE",
    "LOCKKEEPER_CA_FILE",
    "LOCKKEEPER_CONFIG",
    OWNER,
    FENCING_TOKEN,
    LOCK_ID,
];

/// Environment variables and the machine's name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
    host: String,
}

impl Environment {
    /// What this process was given.
    pub(crate) fn of_process() -> Self {
        let variables = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect();
        Self { variables, host: rustix::system::uname().nodename().to_string_lossy().into_owned() }
    }

    /// For tests.
    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        let variables = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Self { variables, host: "host".into() }
    }

    /// The variable's value, if it is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// `user@host`, the owner of whoever names none.
    pub(crate) fn user_at_host(&self) -> String {
        let user = self.user();
        let host = if self.host.is_empty() { "localhost" } else { &self.host };
        format!("{user}@{host}")
    }

    /// The login name, or the numeric user where there is none (containers).
    pub(crate) fn user(&self) -> String {
        match self.get("USER").or_else(|| self.get("LOGNAME")) {
            Some(user) => user.to_owned(),
            None => format!("uid{}", rustix::process::getuid().as_raw()),
        }
    }
}
