//! `/api/v1/config`: the settings in force, and changing them while the server runs.

use super::Door;
use super::acquire::ANONYMOUS;
use super::body::{self, Body, Field, Members, Shape, Text};
use super::fields;
use super::locks::{REASON_MAX_BYTES, no_query};
use super::middleware::request_id;
use super::problem::{self, Complaints, Problem};
use super::query::Query;
use super::views::ok;
use crate::live::{InForce, Note, Unchanged};
use actix_web::{HttpRequest, HttpResponse, web};
use lockkeeper_config::{Change, Kind, Problems, Setting};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Stands for the value of a secret.
const MASK: &str = "********";
/// Bytes that the name of a setting may have in a query.
const NAME_MAX_BYTES: usize = 128;
/// Settings that one request may change.
const CHANGES_MAX: usize = 100;
/// How long a change lasts, and where.
const SCOPE: &str =
    "this instance only, until its process ends or it reads its settings again (SIGHUP); no file was written";

#[derive(Serialize)]
struct SettingView {
    name: &'static str,
    value: Value,
    default: Value,
    /// Where the value comes from.
    source: String,
    /// Whether a change takes effect only at the next start.
    restart: bool,
    /// The value that waits for a restart.
    pending: Value,
    secret: bool,
    allowed: String,
    help: &'static str,
    variable: String,
}

#[derive(Serialize)]
struct Settings {
    settings: Vec<SettingView>,
}

impl Settings {
    fn of(now: &InForce, names: Option<&[&'static str]>) -> Self {
        let meant = |setting: &Setting| names.is_none_or(|names| names.contains(&setting.name));
        let shown = now.loaded.effective.iter().filter(|entry| meant(entry.setting));
        let view = |entry: lockkeeper_config::InForce<'_>| {
            let setting = entry.setting;
            let default = setting.kind.parse(setting.default).map(|value| value.to_string());
            let pending = now.pending.iter().find(|change| change.setting == setting.name);
            SettingView {
                name: setting.name,
                value: entry.value.map_or_else(|| MASK.into(), |value| typed(setting, &value.to_string())),
                default: typed(setting, default.as_deref().unwrap_or(setting.default)),
                source: entry.source.to_string(),
                restart: setting.restart,
                pending: pending.map_or(Value::Null, |change| typed(setting, &change.after)),
                secret: setting.secret,
                allowed: setting.kind.allowed(),
                help: setting.help,
                variable: setting.variable(),
            }
        };
        Self { settings: shown.map(view).collect() }
    }
}

/// A value as JSON has it: durations and sizes are texts.
fn typed(setting: &Setting, text: &str) -> Value {
    let plain = || Value::from(text);
    match setting.kind {
        Kind::Bool => text.parse::<bool>().map_or_else(|_| plain(), Value::from),
        Kind::Integer { .. } => text.parse::<u64>().map_or_else(|_| plain(), Value::from),
        Kind::RedisUrls | Kind::Networks => {
            text.split(',').filter(|item| !item.is_empty()).map(Value::from).collect()
        }
        _ => plain(),
    }
}

/// `GET /api/v1/config`.
pub(super) async fn show(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    let mut query = Query::read(req.query_string(), &["name"]);
    let name = query.text("name", NAME_MAX_BYTES);
    query.finish()?;
    let names = match &name {
        Some(name) => Some(
            lockkeeper_config::named(name)
                .map_err(|why| Problem::new(&problem::NOT_FOUND, format!("{name:?}: {why}")))?,
        ),
        None => None,
    };
    ok(&Settings::of(&door.params.live.in_force(), names.as_deref()))
}

/// The settings to change, as they were written.
#[derive(Debug, Default)]
struct Wishes(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Wishes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Members(Pairs(pairs)) = Members::deserialize(deserializer)?;
        Ok(Self(pairs))
    }
}

/// Members in their order; a name that comes twice is found by whoever knows all of its names.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> serde::de::Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ChangeBody<'a> {
    changes: Option<Wishes>,
    #[serde(borrow)]
    reason: Option<Text<'a>>,
}

impl<'a> Body<'a> for ChangeBody<'a> {
    const FIELDS: &'static [Field] = &[("changes", Shape::Members), ("reason", Shape::Text)];
}

#[derive(Serialize)]
struct ChangeView {
    name: &'static str,
    from: Value,
    to: Value,
}

#[derive(Serialize)]
struct Changed {
    changed: Vec<ChangeView>,
    scope: &'static str,
}

/// `PATCH /api/v1/config`.
pub(super) async fn change(
    req: HttpRequest,
    payload: web::Payload,
    door: web::Data<Door>,
) -> Result<HttpResponse, Problem> {
    let bytes = body::read(&req, payload).await?;
    no_query(&req)?;
    let (mut spare, mut complaints) = (Vec::new(), Complaints::default());
    let body: ChangeBody<'_> = body::decode(&bytes, &mut spare, &mut complaints)?;
    let reason = body.reason.as_deref().unwrap_or_default();
    fields::text(&mut complaints, "reason", reason, REASON_MAX_BYTES, true);
    let changes = texts(body.changes.unwrap_or_default().0, &mut complaints);
    complaints.check()?;
    let note =
        Note { actor: ANONYMOUS.into(), reason: reason.to_owned(), request_id: Some(request_id(&req)) };
    // It waits for the disk; and it goes on to its end even if the client goes away.
    let result = web::block(move || {
        let result = door.live().change(&changes, &note, &**door, &**door.audit());
        result.map_err(|unchanged| refused(unchanged, &changes))
    });
    let changes = result.await.map_err(|error| Problem::internal(error.to_string()))??;
    let view = |change: Change| {
        let typed = |text: &str| {
            let setting = lockkeeper_config::describe().iter().find(|setting| setting.name == change.setting);
            setting.map_or_else(|| text.into(), |setting| typed(setting, text))
        };
        ChangeView { name: change.setting, from: typed(&change.before), to: typed(&change.after) }
    };
    ok(&Changed { changed: changes.into_iter().map(view).collect(), scope: SCOPE })
}

/// The values as they would stand in a variable.
fn texts(wishes: Vec<(String, Value)>, complaints: &mut Complaints) -> Vec<(String, String)> {
    match wishes.len() {
        0 => complaints.add("changes", "is required: an object with a value for each setting to change"),
        1..=CHANGES_MAX => {}
        _ => complaints.add("changes", format!("has more than {CHANGES_MAX} members")),
    }
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    let mut texts = Vec::new();
    for (name, value) in wishes {
        let whole = match &value {
            Value::Array(items) => {
                items.iter().map(text).collect::<Option<Vec<_>>>().map(|items| items.join(","))
            }
            one => text(one),
        };
        match whole {
            Some(text) => texts.push((name, text)),
            None => complaints.add(
                format!("changes.{name}"),
                "must be a string, a number, true or false, or a list of them",
            ),
        }
    }
    texts
}

fn refused(unchanged: Unchanged, changes: &[(String, String)]) -> Problem {
    match unchanged {
        Unchanged::Wrong(problems) => wrong(&problems, changes),
        Unchanged::NotAudited(error) => {
            let detail = format!("the audit log cannot be written, so nothing was changed: {error}");
            Problem::new(&problem::BACKEND_UNAVAILABLE, detail)
        }
    }
}

fn wrong(problems: &Problems, changes: &[(String, String)]) -> Problem {
    let mut complaints = Complaints::default();
    for problem in problems {
        let name = problem.setting.clone().unwrap_or_default();
        let message = match &problem.value {
            Some(value) => format!("{value:?} {}", problem.message),
            None => problem.message.clone(),
        };
        // What contradicts a change may be a setting that was not to be changed.
        let asked = changes.iter().any(|(asked, _)| *asked == name);
        complaints.add(if asked { format!("changes.{name}") } else { name }, message);
    }
    complaints.check().err().unwrap_or_else(|| Problem::internal("a change was refused without a reason"))
}
