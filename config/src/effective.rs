//! The settings in force, each with its source.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;

use lockkeeper_core::Span;

use crate::expand::escape;
use crate::network::Network;
use crate::problem::{MASK, plain};
use crate::redis_url::RedisUrl;
use crate::schema::Setting;
use crate::source::Source;
use crate::value::Value;

/// One setting in force.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) setting: &'static Setting,
    /// Its name as it was written.
    pub(crate) name: &'static str,
    pub(crate) value: Value,
    pub(crate) source: Source,
    /// The file its value was read from, for a secret given so.
    pub(crate) file: Option<PathBuf>,
}

impl Entry {
    /// Whether someone gave it, and something else than what holds anyway.
    pub(crate) fn differs_from_default(&self) -> bool {
        self.source != Source::Default
            && self.setting.kind.parse(self.setting.default).as_ref() != Ok(&self.value)
    }
}

impl fmt::Debug for Entry {
    /// Secrets are not even shown here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value: &dyn fmt::Debug = if self.setting.secret { &MASK } else { &self.value };
        f.debug_struct("Entry")
            .field("name", &self.name)
            .field("value", value)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// One setting in force, for whoever shows it.
#[derive(Clone, Copy, Debug)]
pub struct InForce<'a> {
    /// The setting.
    pub setting: &'static Setting,
    /// Its value; none for a secret, which is shown to nobody.
    pub value: Option<&'a Value>,
    /// Where it came from.
    pub source: &'a Source,
}

/// Every setting in force, in the order of the documentation.
#[derive(Clone, Debug)]
pub struct Effective {
    entries: Vec<Entry>,
}

impl Effective {
    /// Every setting has an entry, since the default file has every setting (a test sees to it).
    pub(crate) fn new(settings: &'static [Setting], mut found: HashMap<&'static str, Entry>) -> Self {
        Self { entries: settings.iter().filter_map(|setting| found.remove(setting.name)).collect() }
    }

    /// Every setting with its value and where that came from, in the order of the documentation.
    pub fn iter(&self) -> impl Iterator<Item = InForce<'_>> {
        self.entries.iter().map(|entry| InForce {
            setting: entry.setting,
            value: (!entry.setting.secret || !entry.differs_from_default()).then_some(&entry.value),
            source: &entry.source,
        })
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Where a setting's value came from.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.entries.iter().find(|entry| entry.setting.name == name).map(|entry| &entry.source)
    }

    /// All settings as YAML that loads again, each with its source as a comment. A secret is left out:
    /// a masked value would load as the secret. One that came from a file keeps the file's name.
    #[must_use]
    pub fn dump(&self) -> String {
        let mut out = String::from("# The effective settings, each with where its value comes from.\n");
        let mut section = "";
        for entry in &self.entries {
            let (own, name) = entry.setting.name.rsplit_once('.').unwrap_or(("", entry.setting.name));
            if own != section {
                open_section(&mut out, section, own);
                section = own;
            }
            let indent = "  ".repeat(depth(section));
            let source = plain(&entry.source.to_string());
            let _ = match (&entry.file, entry.setting.secret && entry.differs_from_default()) {
                (Some(file), _) => {
                    writeln!(out, "{indent}{name}-file: {}  # {source}", quoted(&file.to_string_lossy()))
                }
                (None, true) => writeln!(out, "{indent}# {name}: \"{MASK}\"  # {source}"),
                (None, false) => writeln!(out, "{indent}{name}: {}  # {source}", yaml(&entry.value)),
            };
        }
        out
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.entries.iter().find(|entry| entry.setting.name == name).map(|entry| &entry.value)
    }
}

/// A typed getter. A setting that is missing or of another kind is a mistake in the schema, which the
/// first load of any test shows: every getter runs at every load.
macro_rules! getter {
    ($name:ident, $variant:ident($value:ident) -> $type:ty = $result:expr) => {
        impl Effective {
            pub(crate) fn $name(&self, name: &str) -> $type {
                match self.value(name) {
                    Some(Value::$variant($value)) => $result,
                    other => unreachable!("the schema has {name} as {other:?}"),
                }
            }
        }
    };
}

getter!(bool, Bool(on) -> bool = *on);
getter!(integer, Integer(number) -> u64 = *number);
getter!(span, Duration(span) -> Span = *span);
getter!(size, Size(bytes) -> u64 = *bytes);
getter!(address, Address(address) -> SocketAddr = *address);
getter!(word, Word(word) -> &'static str = word);
getter!(text, Text(text) -> String = text.clone());
getter!(networks, Networks(networks) -> Vec<Network> = networks.clone());
getter!(redis_urls, RedisUrls(urls) -> Vec<RedisUrl> = urls.clone());

fn depth(section: &str) -> usize {
    section.split('.').filter(|part| !part.is_empty()).count()
}

/// Writes the names of those sections that the one before was not in.
fn open_section(out: &mut String, before: &str, section: &str) {
    let mut path = String::new();
    for part in section.split('.') {
        let indent = "  ".repeat(depth(&path));
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(part);
        let open =
            before.strip_prefix(path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if !open {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{indent}{part}:");
        }
    }
}

fn yaml(value: &Value) -> String {
    match value {
        Value::Text(text) => quoted(text),
        // `[::1]:4142` would be a list.
        Value::Address(address) => quoted(&address.to_string()),
        Value::RedisUrls(urls) => {
            let urls: Vec<_> = urls.iter().map(|url| quoted(&url.to_string())).collect();
            format!("[{}]", urls.join(", "))
        }
        Value::Networks(networks) => {
            let networks: Vec<_> = networks.iter().map(|network| quoted(&network.to_string())).collect();
            format!("[{}]", networks.join(", "))
        }
        plain => plain.to_string(),
    }
}

/// A YAML text in double quotes that stands for exactly `text`.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in escape(text).chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            // Also the separators that YAML takes for line breaks.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
