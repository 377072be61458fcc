//! The flags of `serve`. They only carry texts: the configuration crate knows what is allowed.

use super::values::key_value;
use clap::Args;
use std::path::PathBuf;

/// Flags of `serve`.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeArgs {
    /// Configuration file (YAML).
    #[arg(long, value_name = "FILE", env = "LOCKKEEPER_CONFIG")]
    pub config: Option<PathBuf>,

    /// Address to listen on [default: 127.0.0.1:4142].
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,

    /// Directory for everything durable [default: ./data].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,

    /// Where locks are kept: embedded or redis [default: embedded].
    #[arg(long, value_name = "NAME")]
    pub store: Option<String>,

    /// Redis address (redis:// or rediss://); repeat it for a Cluster, or for Sentinels.
    #[arg(long, value_name = "URL")]
    pub redis_url: Vec<String>,

    /// Name of the master that Sentinels watch; --redis-url then names the Sentinels.
    #[arg(long, value_name = "NAME")]
    pub redis_sentinel: Option<String>,

    /// This instance's name.
    #[arg(long, value_name = "ID")]
    pub instance_id: Option<String>,

    /// Log format: text or json.
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,

    /// What is logged, like info or lockkeeper=debug.
    #[arg(long, value_name = "FILTER")]
    pub log_level: Option<String>,

    /// How long a stop may take [default: 10s].
    #[arg(long, value_name = "DURATION")]
    pub drain_timeout: Option<String>,

    /// How long serving goes on after a stop was announced to load balancers [default: 0s].
    #[arg(long, value_name = "DURATION")]
    pub drain_delay: Option<String>,

    /// VCS host of resources that name none.
    #[arg(long, value_name = "HOST")]
    pub default_host: Option<String>,

    /// Allow a public address without tokens.
    #[arg(long)]
    pub insecure: bool,

    /// Serve the fault endpoints, for tests.
    #[arg(long)]
    pub chaos: bool,

    /// File with the callers' tokens (YAML); refused by name until there are tokens.
    #[arg(long, value_name = "FILE", hide = true)]
    pub tokens_file: Option<String>,

    /// Any setting by its name; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,

    /// Check the configuration and exit.
    #[arg(long)]
    pub check: bool,

    /// Stop before anything is opened.
    #[arg(long)]
    pub dry_run: bool,

    /// Print the effective settings, secrets masked.
    #[arg(long)]
    pub config_dump: bool,
}

/// One setting that was given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagSetting {
    /// The setting's name. A name that comes several times is a list.
    pub name: String,
    /// Its value, unchecked.
    pub value: String,
    /// The flag as the caller wrote it, for messages.
    pub flag: String,
}

impl ServeArgs {
    /// Every setting that was given: named flags first, then `--set` in order. A setting that is
    /// given in both ways comes twice, and is refused where the settings are read.
    #[must_use]
    pub fn settings(&self) -> Vec<FlagSetting> {
        let mut given = Vec::new();
        let mut put = |name: &str, value: &str| {
            // A setting within a section has a flag with a dash: --redis-url.
            let flag = format!("--{}", name.replace('.', "-"));
            given.push(FlagSetting { flag, name: name.to_owned(), value: value.to_owned() });
        };
        let single = [
            ("listen", &self.listen),
            ("data-dir", &self.data_dir),
            ("store", &self.store),
            ("redis.sentinel", &self.redis_sentinel),
            ("instance-id", &self.instance_id),
            ("log-format", &self.log_format),
            ("log-level", &self.log_level),
            ("drain-timeout", &self.drain_timeout),
            ("drain-delay", &self.drain_delay),
            ("default-host", &self.default_host),
            ("tokens-file", &self.tokens_file),
        ];
        for (name, value) in single {
            if let Some(value) = value {
                put(name, value);
            }
        }
        for url in &self.redis_url {
            put("redis.url", url);
        }
        for (name, on) in [("insecure", self.insecure), ("chaos", self.chaos)] {
            if on {
                put(name, "true");
            }
        }
        given.extend(self.set.iter().map(|(name, value)| FlagSetting {
            name: name.clone(),
            value: value.clone(),
            flag: format!("--set {name}"),
        }));
        given
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command};
    use clap::Parser;

    #[test]
    fn flags_become_settings_with_their_spelling() {
        let line = "lockkeeper serve --listen 127.0.0.1:0 --redis-url redis://a --redis-url redis://b \
                    --redis-sentinel main --insecure --set queue.size=5 --config x.yaml --check";
        let Command::Serve(args) = Cli::try_parse_from(line.split_whitespace()).unwrap().command else {
            panic!("not serve");
        };
        let settings = args.settings();
        let seen: Vec<_> =
            settings.iter().map(|s| (s.name.as_str(), s.value.as_str(), s.flag.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("listen", "127.0.0.1:0", "--listen"),
                ("redis.sentinel", "main", "--redis-sentinel"),
                ("redis.url", "redis://a", "--redis-url"),
                ("redis.url", "redis://b", "--redis-url"),
                ("insecure", "true", "--insecure"),
                ("queue.size", "5", "--set queue.size"),
            ]
        );
        assert!(args.check && args.config.is_some());
    }
}
