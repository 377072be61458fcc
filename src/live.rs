//! The settings of a running server: what is in force, what waits for a restart, and the two ways to
//! change it: a request (`PATCH /api/v1/config`) and reading everything again (SIGHUP).
//!
//! A change is checked as a whole, written to the audit log, and only then in force; if anything is wrong
//! with it nothing changes. What a request changed lasts until the process ends or everything is read
//! again: files are never written. Only this instance is meant.

use crate::audit::Audit;
use lockkeeper_config::{
    Amended, Amendment, Change, ConfigFile, Environment, Inputs, Loaded, Problems, Source,
};
use lockkeeper_telemetry::{ConfigChange, metrics};
use parking_lot::{Mutex, RwLock};
use std::fmt;
use std::sync::Arc;

/// Reads file, environment and flags again.
///
/// # Errors
/// Everything that is wrong, a line each.
pub type Reread = Box<dyn Fn() -> Result<Loaded, Vec<String>> + Send + Sync>;

/// Says whether a log filter can be used, and with `true` uses it.
pub type LogLevel = Box<dyn Fn(&str, bool) -> Result<(), String> + Send + Sync>;

/// Whatever heeds settings while it runs.
pub trait Heeds {
    /// From now on these are in force. `off`: by what it is switched off, if it is.
    fn heed(&self, settings: &lockkeeper_config::Settings, off: Option<&str>);
    /// The instant for the audit log, as text.
    fn at(&self) -> String;
}

/// Who changes settings, and why.
#[derive(Clone, Debug)]
pub struct Note {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The request, if it was one.
    pub request_id: Option<String>,
}

/// Why nothing was changed.
#[derive(Debug)]
pub enum Unchanged {
    /// Something is wrong with it.
    Wrong(Problems),
    /// It could not be written to the audit log.
    NotAudited(std::io::Error),
}

/// The settings at one instant.
#[derive(Clone, Debug)]
pub struct InForce {
    /// Those that are in force.
    pub loaded: Arc<Loaded>,
    /// What would be different after a restart.
    pub pending: Arc<Vec<Change>>,
    /// By what this instance is switched off, if it is.
    pub off: Option<String>,
}

/// The settings of a running server.
pub struct LiveSettings {
    in_force: RwLock<InForce>,
    /// One change at a time.
    turn: Mutex<()>,
    reread: Option<Reread>,
    log_level: Option<LogLevel>,
}

impl LiveSettings {
    /// Begins with what the server was started with.
    #[must_use]
    pub fn new(loaded: Loaded, reread: Option<Reread>, log_level: Option<LogLevel>) -> Self {
        let off = switched_off(&loaded, None);
        let in_force = InForce { loaded: Arc::new(loaded), pending: Arc::default(), off };
        Self { in_force: RwLock::new(in_force), turn: Mutex::new(()), reread, log_level }
    }

    /// The settings as they are now.
    #[must_use]
    pub fn in_force(&self) -> InForce {
        self.in_force.read().clone()
    }

    /// Changes settings, all of them or none; says what is different now. Writes to disk: not for a thread
    /// that must not wait.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub fn change(
        &self,
        changes: &[(String, String)],
        note: &Note,
        server: &dyn Heeds,
        audit: &dyn Audit,
    ) -> Result<Vec<Change>, Unchanged> {
        let _turn = self.turn.lock();
        let amendments: Vec<_> =
            changes.iter().map(|(setting, value)| Amendment { setting, value }).collect();
        let before = self.in_force();
        let amended = before.loaded.amended(&amendments).map_err(|problems| {
            changes.iter().for_each(|_| metrics().config_change(ConfigChange::Refused));
            Unchanged::Wrong(problems)
        })?;
        self.carry_out(amended, Arc::clone(&before.pending), "config.set", note, server, audit)
    }

    /// Reads everything again and takes over what a running server can: what a request changed before is
    /// as file, environment and flags say again. What is wrong is logged, and then nothing changes. Writes
    /// to disk: not for a thread that must not wait.
    pub fn reload(&self, server: &dyn Heeds, audit: &dyn Audit) {
        let _turn = self.turn.lock();
        let Some(reread) = &self.reread else { return };
        let refuse = |problems: &[String]| {
            for problem in problems {
                tracing::error!("the settings were read again and refused, nothing changes: {problem}");
                metrics().config_change(ConfigChange::Refused);
            }
        };
        let newer = match reread() {
            Ok(newer) => newer,
            Err(problems) => return refuse(&problems),
        };
        let before = self.in_force();
        let amended = match before.loaded.adopting(&newer) {
            Ok(amended) => amended,
            Err(problems) => {
                let mut lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
                lines.push("without a restart, which the rest needs, these do not fit together".to_owned());
                return refuse(&lines);
            }
        };
        let pending = amended.loaded.pending(&newer);
        for Change { setting, before, after, source } in &pending {
            metrics().config_change(ConfigChange::NeedsRestart);
            tracing::warn!(setting, before, after, %source, "a setting changed that needs a restart");
        }
        let note =
            Note { actor: "SIGHUP".into(), reason: "the settings were read again".into(), request_id: None };
        match self.carry_out(amended, Arc::new(pending), "config.reload", &note, server, audit) {
            Ok(changes) if changes.is_empty() => tracing::info!("the settings were read again: none changed"),
            Ok(changes) => tracing::info!(changed = changes.len(), "the settings were read again"),
            Err(Unchanged::NotAudited(error)) => {
                refuse(&[format!("the audit log cannot be written: {error}")]);
            }
            // It was looked at before.
            Err(Unchanged::Wrong(problems)) => refuse(&[problems.to_string()]),
        }
    }

    fn carry_out(
        &self,
        amended: Amended,
        pending: Arc<Vec<Change>>,
        action: &str,
        note: &Note,
        server: &dyn Heeds,
        audit: &dyn Audit,
    ) -> Result<Vec<Change>, Unchanged> {
        let Amended { loaded, changes } = amended;
        let before = self.in_force();
        let log_level = changes.iter().any(|change| change.setting == "log-level");
        let set_level = |really| match &self.log_level {
            Some(set) if log_level => set(&loaded.settings.log_level, really),
            _ => Ok(()),
        };
        // The one check that the configuration crate cannot make.
        if let Err(error) = set_level(false) {
            tracing::error!(%error, "a log filter was taken for one that can be used");
            return Err(Unchanged::NotAudited(std::io::Error::other(format!("log-level: {error}"))));
        }
        if !changes.is_empty() {
            audit.record(&entry(action, &changes, note, server)).map_err(Unchanged::NotAudited)?;
        }
        let reason = (!note.reason.is_empty()).then_some(note.reason.as_str());
        let off = match (&before.off, switched_off(&loaded, reason)) {
            // Still for the reason for which it was.
            (Some(known), Some(_)) if changes.iter().all(|change| change.setting != "enabled") => {
                Some(known.clone())
            }
            (_, off) => off,
        };
        server.heed(&loaded.settings, off.as_deref());
        *self.in_force.write() = InForce { loaded: Arc::new(loaded.clone()), pending, off };
        for Change { setting, before, after, source } in &changes {
            metrics().config_change(ConfigChange::Applied);
            let (actor, reason) = (&note.actor, &note.reason);
            tracing::warn!(setting, before, after, %source, actor, reason, "a setting changed");
        }
        // Last, so that whatever was logged before what comes now says why.
        let _ = set_level(true);
        Ok(changes)
    }
}

/// By what this instance is switched off, as the rest of "this instance was …".
fn switched_off(loaded: &Loaded, reason: Option<&str>) -> Option<String> {
    let by = loaded.effective.source("enabled").filter(|_| !loaded.settings.enabled)?;
    Some(match (by, reason) {
        (Source::Runtime, Some(reason)) => format!("switched off while running: {reason}"),
        (Source::Runtime, None) => "switched off while running".to_owned(),
        (Source::File { .. }, _) => format!("switched off by `enabled` in {by}"),
        (by, _) => format!("switched off by {by}"),
    })
}

fn entry(action: &str, changes: &[Change], note: &Note, server: &dyn Heeds) -> String {
    let changes: Vec<_> = changes
        .iter()
        .map(|change| {
            serde_json::json!({
                "name": change.setting,
                "from": change.before,
                "to": change.after,
                "source": change.source.to_string(),
            })
        })
        .collect();
    serde_json::json!({
        "at": server.at(),
        "action": action,
        "actor": note.actor,
        "reason": note.reason,
        "changes": changes,
        "request_id": note.request_id,
    })
    .to_string()
}

impl Default for LiveSettings {
    /// Those of a server without file, variables and flags.
    fn default() -> Self {
        let nothing = Inputs {
            file: None::<ConfigFile<'_>>,
            environment: Environment::default(),
            flags: &[],
            read_secret: &|path| std::fs::read_to_string(path),
        };
        match lockkeeper_config::load(&nothing) {
            Ok(loaded) => Self::new(loaded, None, None),
            Err(problems) => unreachable!("the default settings are valid: {problems}"),
        }
    }
}

impl fmt::Debug for LiveSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveSettings").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Server {
        heeded: Mutex<Vec<(bool, Option<String>)>>,
        audited: Mutex<Vec<String>>,
        full: bool,
    }

    impl Heeds for Server {
        fn heed(&self, settings: &lockkeeper_config::Settings, off: Option<&str>) {
            // Never before it is written down.
            assert!(!self.audited.lock().is_empty());
            self.heeded.lock().push((settings.enabled, off.map(str::to_owned)));
        }

        fn at(&self) -> String {
            "2026-01-01T00:00:00.000Z".into()
        }
    }

    impl Audit for Server {
        fn record(&self, entry: &str) -> std::io::Result<()> {
            if self.full {
                return Err(std::io::Error::other("the disk is full"));
            }
            self.audited.lock().push(entry.to_owned());
            Ok(())
        }
    }

    fn note() -> Note {
        Note { actor: "anonymous".into(), reason: "too much".into(), request_id: Some("r1".into()) }
    }

    fn set(live: &LiveSettings, server: &Server, name: &str, value: &str) -> Result<Vec<Change>, Unchanged> {
        live.change(&[(name.to_owned(), value.to_owned())], &note(), server, server)
    }

    #[test]
    fn a_change_is_written_down_and_then_heeded() {
        let (live, server) = (LiveSettings::default(), Server::default());
        set(&live, &server, "enabled", "false").unwrap();
        let off = Some("switched off while running: too much".to_owned());
        assert_eq!(*server.heeded.lock(), [(false, off.clone())]);
        assert_eq!(live.in_force().off, off);
        assert_eq!(
            *server.audited.lock(),
            [concat!(
                r#"{"action":"config.set","actor":"anonymous","at":"2026-01-01T00:00:00.000Z","#,
                r#""changes":[{"from":"true","name":"enabled","source":"changed while running","to":"false"}],"#,
                r#""reason":"too much","request_id":"r1"}"#
            )]
        );
        // Another change is no reason to switch it off for another reason.
        set(&live, &server, "rate-limit.global", "5").unwrap();
        assert_eq!(live.in_force().off, off);
        set(&live, &server, "enabled", "true").unwrap();
        assert_eq!(live.in_force().off, None);
    }

    #[test]
    fn what_cannot_be_written_down_is_not_done() {
        let (live, server) = (LiveSettings::default(), Server { full: true, ..Server::default() });
        assert!(matches!(set(&live, &server, "enabled", "false"), Err(Unchanged::NotAudited(_))));
        assert!(live.in_force().loaded.settings.enabled && server.heeded.lock().is_empty());
    }

    #[test]
    fn what_is_wrong_changes_nothing() {
        let (live, server) = (LiveSettings::default(), Server::default());
        for (name, value) in [("enabled", "maybe"), ("listen", "127.0.0.1:1"), ("enabeld", "true")] {
            assert!(matches!(set(&live, &server, name, value), Err(Unchanged::Wrong(_))), "{name}");
        }
        assert!(server.heeded.lock().is_empty() && server.audited.lock().is_empty());
    }

    #[test]
    fn reading_again_takes_over_what_it_can_and_drops_what_was_changed() {
        let file = Arc::new(Mutex::new(String::new()));
        let text = Arc::clone(&file);
        let reread = move || {
            let text = text.lock().clone();
            lockkeeper_config::load(&Inputs {
                file: Some(ConfigFile { name: "f", bytes: text.as_bytes() }),
                environment: Environment::default(),
                flags: &[],
                read_secret: &|_| unreachable!(),
            })
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
        };
        let server = Server::default();
        let live = LiveSettings::new(reread().unwrap(), Some(Box::new(reread)), None);
        set(&live, &server, "rate-limit.global", "5").unwrap();
        *file.lock() = "enabled: false\nlisten: \"127.0.0.1:9\"\n".into();
        live.reload(&server, &server);
        let now = live.in_force();
        assert_eq!(now.off.as_deref(), Some("switched off by `enabled` in f:1:10"));
        assert_eq!((now.loaded.settings.rate_limit.global, now.loaded.settings.listen.port()), (None, 4142));
        assert_eq!(now.pending.iter().map(|change| change.setting).collect::<Vec<_>>(), ["listen"]);
        assert!(server.audited.lock().last().unwrap().contains("config.reload"));
        // A file that is torn, or wrong, changes nothing.
        let audited = server.audited.lock().len();
        for torn in
            ["enabled: tr", "enabled: [", "enabeld: true\n", "enabled: true\nrate-limit: {burst: 5}\n"]
        {
            *file.lock() = torn.into();
            live.reload(&server, &server);
            assert!(!live.in_force().loaded.settings.enabled, "{torn}");
        }
        assert_eq!(server.audited.lock().len(), audited);
    }
}
