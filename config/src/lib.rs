//! Settings: the commented default file, loading, validation.
//!
//! [`load`] is one pure function from the settings file's bytes, the environment and the flags to
//! [`Settings`], or to everything that is wrong with them. Each setting is declared once, in the table
//! that [`describe`] returns: its name gives the environment variable, its kind the check and the words
//! for what is allowed. The shipped `lockkeeper.yaml` is compiled in and is the lowest layer, so what it
//! says is what happens.
//!
//! Later layers win: default file, settings file, environment, flags.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod docs;
mod effective;
mod environment;
mod expand;
mod file;
mod kind;
mod layer;
mod live;
mod network;
mod problem;
mod redis_url;
mod resolve;
mod schema;
mod secret;
mod settings;
mod size;
mod source;
mod suggest;
mod value;
mod yaml;

pub use docs::markdown_table;
pub use effective::{Effective, InForce};
pub use environment::Environment;
pub use file::ConfigFile;
pub use kind::Kind;
pub use live::{Amended, Amendment, Change};
pub use network::Network;
pub use problem::{Problem, Problems};
pub use redis_url::RedisUrl;
pub use resolve::{Flag, Inputs};
pub use schema::Setting;
pub use secret::Secret;
pub use settings::{
    ActorSettings, CircuitBreakerSettings, EmbeddedSettings, EventSettings, HealthSettings, HttpSettings,
    LogFormat, QueueSettings, RateLimitSettings, RedisSettings, RedisTls, RedisTopology, Settings, StoreKind,
    SupervisionSettings,
};
pub use source::{Position, Source};
pub use value::Value;

/// The settings in force.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// As types.
    pub settings: Settings,
    /// With their sources, for people.
    pub effective: Effective,
}

/// Makes the settings.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(inputs: &Inputs<'_>) -> Result<Loaded, Problems> {
    let effective = resolve::resolve(&settings::SCHEMA, inputs)?;
    Ok(Loaded { settings: Settings::from_effective(&effective), effective })
}

/// Every setting, in the order of the documentation.
#[must_use]
pub fn describe() -> &'static [Setting] {
    settings::SCHEMA.settings
}

/// The settings that a name means: one, or those of a section; other names of settings are taken too.
///
/// # Errors
/// Says why there is none, as the rest of a sentence about the name.
pub fn named(name: &str) -> Result<Vec<&'static str>, String> {
    let schema = &settings::SCHEMA;
    if let Some(found) = schema.find(name) {
        return Ok(vec![found.setting.name]);
    }
    let within = |known: &str| known.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    let own = schema.settings.iter().map(|setting| (setting.name, setting.name));
    let mut names: Vec<_> = own
        .chain(schema.aliases.iter().copied())
        .filter(|(known, _)| within(known))
        .map(|(_, setting)| setting)
        .collect();
    names.dedup();
    if names.is_empty() { Err(schema.unknown(name, |meant| format!("{meant:?}"))) } else { Ok(names) }
}

/// The default file, commented: a settings file to begin with.
#[must_use]
pub fn default_file() -> &'static str {
    settings::SCHEMA.defaults
}

#[cfg(test)]
mod tests;
