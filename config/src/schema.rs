//! Which settings there are.

use crate::environment::PREFIX;
use crate::kind::Kind;
use crate::problem::Problem;
use crate::resolve::Candidates;
use crate::suggest;

/// One setting. Everything about it is said here and nowhere else.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name, with its section: `http.max-wait`.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// Its default, as it stands in the default file.
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
    /// Whether its value must not be shown. A secret can also come from a file, named by the sibling
    /// setting `<name>-file`.
    pub secret: bool,
    /// Whether a change takes effect only at the next start.
    pub restart: bool,
}

/// How a setting's name was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Its own name: the value itself.
    Value,
    /// The name with `-file`: where the value can be read.
    File,
}

/// A name that users look for and this version does not have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused {
    /// The name and everything below it; with a `*` at its end everything that begins so.
    pub(crate) name: &'static str,
    /// Why, and what to do, as the rest of a sentence about it.
    pub(crate) reason: &'static str,
}

/// A variable that switches something off. It wins over every other source: whoever reaches for it has no
/// time to look what else there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Switch {
    pub(crate) variable: &'static str,
    /// The yes-or-no setting that it makes false.
    pub(crate) setting: &'static str,
    /// What it says when it does.
    pub(crate) off: bool,
}

/// Settings, what they must not be called, and what must hold between them.
#[derive(Clone, Copy)]
pub(crate) struct Schema {
    pub(crate) settings: &'static [Setting],
    pub(crate) refused: &'static [Refused],
    /// Other names of settings, as (other name, setting): what the setting is called elsewhere.
    pub(crate) aliases: &'static [(&'static str, &'static str)],
    /// The default file.
    pub(crate) defaults: &'static str,
    /// Variables that people know from elsewhere, and that switch something off whatever else is given.
    pub(crate) switches: &'static [Switch],
    /// Variables with our prefix that others read.
    pub(crate) other_variables: &'static [&'static str],
    /// What must hold between settings.
    pub(crate) rules: &'static [&'static [Rule]],
    /// Once nothing is wrong: spreads a value that says several things over the settings of each, so that
    /// what is in force is said in one way.
    pub(crate) spread: fn(&mut Candidates),
}

/// What must hold between settings. It is asked with those that are valid for themselves; one that
/// misses any of its own says nothing.
#[derive(Clone, Copy)]
pub(crate) enum Rule {
    /// At most one thing can be wrong.
    One(fn(&Candidates) -> Option<Problem>),
    /// Several can.
    Many(fn(&Candidates) -> Vec<Problem>),
}

/// A setting found by a name that a user wrote.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) setting: &'static Setting,
    pub(crate) form: Form,
    /// The name as written: the setting's or an alias.
    pub(crate) name: &'static str,
}

impl Setting {
    /// The environment variable: `http.max-wait` is `LOCKKEEPER_HTTP__MAX_WAIT`.
    #[must_use]
    pub fn variable(&self) -> String {
        variable(self.name)
    }

    /// Whether its value may be shown neither in messages nor in the dump. A list of URLs can hold
    /// credentials, and while it cannot be read nobody knows where in it.
    pub(crate) fn masked(&self) -> bool {
        self.secret || matches!(self.kind, Kind::RedisUrls)
    }

    /// Where a secret's value can be read, instead of being given.
    pub(crate) fn file_name(&self) -> Option<String> {
        self.secret.then(|| format!("{}-file", self.name))
    }
}

pub(crate) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase().replace('.', "__").replace('-', "_"))
}

/// The name that a variable would be for; several names could be, this is the likely one.
pub(crate) fn name_of_variable(variable: &str) -> String {
    let name = variable.strip_prefix(PREFIX).unwrap_or(variable);
    name.to_ascii_lowercase().replace("__", ".").replace('_', "-")
}

impl Schema {
    pub(crate) fn find(&self, name: &str) -> Option<Found> {
        self.find_by(|known| known == name)
    }

    pub(crate) fn find_variable(&self, name: &str) -> Option<Found> {
        self.find_by(|known| variable(known) == name)
    }

    fn find_by(&self, is_meant: impl Fn(&str) -> bool) -> Option<Found> {
        let own = self.settings.iter().find_map(|setting| {
            let form = if is_meant(setting.name) {
                Form::Value
            } else if setting.file_name().is_some_and(|file| is_meant(&file)) {
                Form::File
            } else {
                return None;
            };
            Some(Found { setting, form, name: setting.name })
        });
        own.or_else(|| {
            let (alias, name) = self.aliases.iter().find(|(alias, _)| is_meant(alias))?;
            let setting = self.settings.iter().find(|setting| setting.name == *name)?;
            Some(Found { setting, form: Form::Value, name: alias })
        })
    }

    /// The other names of a setting.
    pub(crate) fn aliases_of(&self, name: &str) -> impl Iterator<Item = &'static str> {
        self.aliases.iter().filter(move |(_, meant)| *meant == name).map(|(alias, _)| *alias)
    }

    pub(crate) fn is_section(&self, name: &str) -> bool {
        let names = self.settings.iter().map(|setting| setting.name);
        names
            .chain(self.aliases.iter().map(|(alias, _)| *alias))
            .any(|known| known.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
    }

    /// Why a name is refused. Another name of a setting is not, even within a refused tree.
    pub(crate) fn refusal(&self, name: &str) -> Option<&'static str> {
        if self.aliases.iter().any(|(alias, _)| *alias == name) {
            return None;
        }
        let fits = |refused: &Refused| match refused.name.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => {
                name.strip_prefix(refused.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }
        };
        self.refused.iter().find(|refused| fits(refused)).map(|refused| refused.reason)
    }

    /// What to say of a name that does not exist; `spell` writes a setting's name as the user would.
    pub(crate) fn unknown(&self, name: &str, spell: impl Fn(&str) -> String) -> String {
        if let Some(reason) = self.refusal(name) {
            return reason.to_owned();
        }
        let sections =
            self.settings.iter().filter_map(|setting| setting.name.rsplit_once('.').map(|(s, _)| s));
        let names = self.settings.iter().map(|setting| setting.name);
        match suggest::nearest(name, names.chain(sections)) {
            Some(meant) => format!("there is no such setting; did you mean {}?", spell(meant)),
            None => "there is no such setting; docs/configuration.md lists them all".to_owned(),
        }
    }
}
