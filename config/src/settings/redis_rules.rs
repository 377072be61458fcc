//! What must hold between the settings of the Redis store.

use lockkeeper_core::Span;

use super::redis::{RedisTopology, topology};
use super::table;
use crate::effective::Entry;
use crate::problem::Problem;
use crate::redis_url::RedisUrl;
use crate::resolve::Candidates;
use crate::schema::Rule;
use crate::value::{Value, short};

/// All but the first speak only when the store is Redis.
pub(super) const RULES: &[Rule] = &[
    Rule::Many(of_the_other_store),
    Rule::One(url_given),
    Rule::One(sentinel_or_cluster),
    Rule::One(one_server_or_cluster),
    Rule::Many(sentinel_credentials),
    Rule::One(credentials_in_sentinel_url),
    Rule::Many(credentials_once),
    Rule::Many(users_have_passwords),
    Rule::One(database_in_sentinel_url),
    Rule::One(database_once),
    Rule::One(database_of_cluster),
    Rule::Many(tls_files),
    Rule::One(replicas_in_time),
    Rule::One(settle_window),
    Rule::One(settle_max),
    Rule::One(presence_lease),
];

/// Top-level settings that only the Redis store heeds.
const SHARED: &[&str] =
    &["lease-grace", "settle-window", "settle-max", "presence-lease", "advertise-address"];

/// The settings, when the store is Redis.
#[derive(Clone, Copy)]
struct Redis<'a>(&'a Candidates);

impl<'a> Redis<'a> {
    fn of(settings: &'a Candidates) -> Option<Self> {
        (settings.get("store")?.value == Value::Word("redis")).then_some(Self(settings))
    }

    fn entry(self, name: &str) -> Option<&'a Entry> {
        self.0.get(name)
    }

    /// A text that is given.
    fn text(self, name: &str) -> Option<(&'a Entry, &'a str)> {
        let entry = self.0.get(name)?;
        match &entry.value {
            Value::Text(text) if !text.is_empty() => Some((entry, text)),
            _ => None,
        }
    }

    fn span(self, name: &str) -> Option<(&'a Entry, Span)> {
        let entry = self.0.get(name)?;
        match entry.value {
            Value::Duration(span) => Some((entry, span)),
            _ => None,
        }
    }

    fn number(self, name: &str) -> Option<(&'a Entry, u64)> {
        let entry = self.0.get(name)?;
        match entry.value {
            Value::Integer(number) => Some((entry, number)),
            _ => None,
        }
    }

    fn urls(self) -> Option<(&'a Entry, &'a [RedisUrl])> {
        let entry = self.0.get("redis.url")?;
        match &entry.value {
            Value::RedisUrls(urls) => Some((entry, urls)),
            _ => None,
        }
    }

    fn has_sentinel(self) -> bool {
        self.text("redis.sentinel").is_some()
    }

    fn cluster_mode(self) -> Option<(&'a Entry, &'static str)> {
        let entry = self.0.get("redis.cluster-mode")?;
        match entry.value {
            Value::Word(word) => Some((entry, word)),
            _ => None,
        }
    }
}

fn of_the_other_store(settings: &Candidates) -> Vec<Problem> {
    let Some(store) = settings.get("store") else { return Vec::new() };
    let given = table::SETTINGS.iter().filter_map(|setting| settings.get(setting.name));
    let foreign = given.filter(|entry| entry.differs_from_default()).filter_map(|entry| {
        // The name as written: an alias belongs where it says.
        let owner = if entry.name.starts_with("redis.") || SHARED.contains(&entry.name) {
            "redis"
        } else if entry.name.starts_with("embedded.") {
            "embedded"
        } else {
            return None;
        };
        (store.value != Value::Word(owner)).then(|| {
            let message = format!(
                "is only for the store {owner:?}, but store is {:?} ({}); leave it out, or set store to {owner:?}",
                store.value.to_string(),
                store.source,
            );
            Problem::new(entry.name, &entry.source, message)
        })
    });
    foreign.collect()
}

fn url_given(settings: &Candidates) -> Option<Problem> {
    let redis = Redis::of(settings)?;
    let ((_, urls), store) = (redis.urls()?, redis.entry("store")?);
    urls.is_empty().then(|| {
        let message =
            "needs the servers' addresses; give redis.url (--redis-url), like redis://10.0.0.5:6379";
        Problem::new("store", &store.source, message).with_value("redis", false)
    })
}

fn sentinel_or_cluster(settings: &Candidates) -> Option<Problem> {
    let redis = Redis::of(settings)?;
    let ((sentinel, master), (mode, word)) = (redis.text("redis.sentinel")?, redis.cluster_mode()?);
    (word == "true").then(|| {
        let message = format!(
            "is for Sentinels, but redis.cluster-mode is true ({}); a Cluster has no Sentinels, give only one",
            mode.source
        );
        Problem::new(sentinel.name, &sentinel.source, message).with_value(master, false)
    })
}

fn one_server_or_cluster(settings: &Candidates) -> Option<Problem> {
    let redis = Redis::of(settings)?;
    let ((url, urls), (mode, word)) = (redis.urls()?, redis.cluster_mode()?);
    (word == "false" && urls.len() > 1 && !redis.has_sentinel()).then(|| {
        let message = format!(
            "contradicts the {} URLs of {} ({}): several servers are a Cluster, or Sentinels with redis.sentinel; keep one URL, or leave redis.cluster-mode out",
            urls.len(),
            url.name,
            url.source
        );
        Problem::new(mode.name, &mode.source, message).with_value(word, false)
    })
}

fn sentinel_credentials(settings: &Candidates) -> Vec<Problem> {
    let Some(redis) = Redis::of(settings) else { return Vec::new() };
    // A name that is wrong in itself is one mistake and not two.
    if redis.entry("redis.sentinel").is_none() || redis.has_sentinel() {
        return Vec::new();
    }
    let given = ["redis.sentinel-username", "redis.sentinel-password"]
        .into_iter()
        .filter_map(|name| redis.text(name));
    let message = "is for Sentinels, but redis.sentinel is not given; name the master there, or use redis.username and redis.password for the servers";
    given.map(|(entry, _)| Problem::new(entry.name, &entry.source, message)).collect()
}

fn credentials_in_sentinel_url(settings: &Candidates) -> Option<Problem> {
    let redis = Redis::of(settings)?;
    let (url, urls) = redis.urls()?;
    let first = urls.first()?;
    (redis.has_sentinel() && (first.username.is_some() || first.password.is_some())).then(|| {
        let message = "has credentials, and it cannot be seen whether they are the Sentinels' or the servers'; give redis.sentinel-username and redis.sentinel-password, or redis.username and redis.password";
        Problem::new(url.name, &url.source, message)
    })
}

fn credentials_once(settings: &Candidates) -> Vec<Problem> {
    let Some(redis) = Redis::of(settings).filter(|redis| !redis.has_sentinel()) else { return Vec::new() };
    let Some((url, [first, ..])) = redis.urls() else { return Vec::new() };
    let in_url = [
        ("redis.username", "user", first.username.is_some()),
        ("redis.password", "password", first.password.is_some()),
    ];
    in_url
        .into_iter()
        .filter(|(_, _, given)| *given)
        .filter_map(|(name, what, _)| {
            let (entry, _) = redis.text(name)?;
            let message =
                format!("is given although {} has a {what} ({}); give only one", url.name, url.source);
            Some(Problem::new(entry.name, &entry.source, message))
        })
        .collect()
}

/// A user is only told to the server together with a password.
fn users_have_passwords(settings: &Candidates) -> Vec<Problem> {
    let Some(redis) = Redis::of(settings) else { return Vec::new() };
    let Some((url, urls)) = redis.urls() else { return Vec::new() };
    let first = urls.first();
    let mut problems = Vec::new();
    for (user, password) in
        [("redis.username", "redis.password"), ("redis.sentinel-username", "redis.sentinel-password")]
    {
        let of_servers = user == "redis.username" && !redis.has_sentinel();
        let in_url = first.filter(|_| of_servers);
        let given = redis.text(user).map(|(entry, _)| entry);
        let Some(user) = given.or_else(|| in_url.filter(|url| url.username.is_some()).map(|_| url)) else {
            continue;
        };
        // One that is wrong in itself is one mistake and not two.
        let missing = redis.entry(password).is_some() && redis.text(password).is_none();
        if missing && in_url.is_none_or(|url| url.password.is_none()) {
            let message = format!("names a user without a password; give {password} or {password}-file");
            problems.push(Problem::new(user.name, &user.source, message));
        }
    }
    problems
}

fn database_in_sentinel_url(settings: &Candidates) -> Option<Problem> {
    let redis = Redis::of(settings)?;
    let (url, urls) = redis.urls()?;
    (redis.has_sentinel() && urls.first()?.database.is_some()).then(|| {
        let message = "names a database, which Sentinels do not have; give that of the servers as redis.db";
        Problem::new(url.name, &url.source, message).with_value(&url.value.to_string(), false)
    })
}

fn database_once(settings: &Candidates) -> Option<Problem> {
    let redis = Redis::of(settings)?;
    let ((url, urls), (db, number)) = (redis.urls()?, redis.number("redis.db")?);
    let in_url = urls.first()?.database?;
    let given = db.source != crate::source::Source::Default;
    (given && !redis.has_sentinel() && number != u64::from(in_url)).then(|| {
        let message = format!("is not the {in_url} that {} says ({}); give only one", url.name, url.source);
        Problem::new(db.name, &db.source, message).with_value(&number.to_string(), false)
    })
}

fn database_of_cluster(settings: &Candidates) -> Option<Problem> {
    let redis = Redis::of(settings)?;
    let ((url, urls), (db, number), (_, mode)) =
        (redis.urls()?, redis.number("redis.db")?, redis.cluster_mode()?);
    let sentinel = redis.entry("redis.sentinel").map(|_| redis.text("redis.sentinel"))?;
    let sentinel = sentinel.map(|(_, master)| master.to_owned());
    if topology(urls.len(), sentinel, mode) != RedisTopology::Cluster {
        return None;
    }
    let message = "is not 0, the only database of a Cluster; to keep several deployments apart give each its redis.key-prefix";
    match urls.first()?.database {
        Some(0) => None,
        Some(_) => Some(Problem::new(url.name, &url.source, format!("names a database that {message}"))),
        None if number == 0 => None,
        None => Some(Problem::new(db.name, &db.source, message).with_value(&number.to_string(), false)),
    }
}

fn tls_files(settings: &Candidates) -> Vec<Problem> {
    let Some(redis) = Redis::of(settings) else { return Vec::new() };
    let [ca, cert, key] =
        ["redis.tls.ca-file", "redis.tls.cert-file", "redis.tls.key-file"].map(|name| redis.text(name));
    let mut problems = Vec::new();
    if let Some((url, [first, ..])) = redis.urls()
        && !first.tls
    {
        for (entry, path) in [ca, cert, key].into_iter().flatten() {
            let message = format!(
                "has no use without TLS; write rediss:// in {} ({}), or leave it out",
                url.name, url.source
            );
            problems.push(Problem::new(entry.name, &entry.source, message).with_value(path, false));
        }
    }
    let half = match (cert, key) {
        (Some(given), None) => Some((given, "redis.tls.key-file")),
        (None, Some(given)) => Some((given, "redis.tls.cert-file")),
        _ => None,
    };
    if let Some(((entry, path), other)) = half {
        // Unless the other is given, and wrong in itself.
        if redis.entry(other).is_some() {
            let message = format!("needs {other} beside it: a certificate and its key are used together");
            problems.push(Problem::new(entry.name, &entry.source, message).with_value(path, false));
        }
    }
    problems
}

fn replicas_in_time(settings: &Candidates) -> Option<Problem> {
    let redis = Redis::of(settings)?;
    let (_, replicas) = redis.number("redis.min-replicas")?;
    let ((wait, span), (call, timeout)) =
        (redis.span("redis.wait-timeout")?, redis.span("store-call-timeout")?);
    (replicas > 0 && span >= timeout).then(|| {
        let message = format!(
            "is not less than {}, which is {} ({}): the call would be given up before the replicas have answered; lower redis.wait-timeout or raise {}",
            call.name, call.value, call.source, call.name
        );
        Problem::new(wait.name, &wait.source, message).with_value(&wait.value.to_string(), false)
    })
}

fn settle_window(settings: &Candidates) -> Option<Problem> {
    let why = "an instance that has nothing to do notices a loss that late, and then must still write back what it knows";
    longer_than_silence(settings, "settle-window", why)
}

fn presence_lease(settings: &Candidates) -> Option<Problem> {
    let why = "an instance that is well may not be heard of for that long";
    longer_than_silence(settings, "presence-lease", why)
}

/// What waits for other instances must be longer than they may be silent.
fn longer_than_silence(settings: &Candidates, name: &str, why: &str) -> Option<Problem> {
    let redis = Redis::of(settings)?;
    let (given, span) = redis.span(name)?;
    let ((probe, interval), (call, timeout)) =
        (redis.span("health.interval")?, redis.span("store-call-timeout")?);
    let silence = interval + timeout;
    (span <= silence).then(|| {
        let message = format!(
            "is not more than {}: health.interval, {} ({}), and {}, {} ({}), together; {why}",
            short(silence),
            probe.value,
            probe.source,
            call.name,
            call.value,
            call.source
        );
        Problem::new(given.name, &given.source, message).with_value(&given.value.to_string(), false)
    })
}

fn settle_max(settings: &Candidates) -> Option<Problem> {
    let redis = Redis::of(settings)?;
    let ((max, longest), (window, shortest)) = (redis.span("settle-max")?, redis.span("settle-window")?);
    (longest < shortest).then(|| {
        let message = format!(
            "is less than settle-window, which is {} ({}); raise settle-max or lower settle-window",
            window.value, window.source
        );
        Problem::new(max.name, &max.source, message).with_value(&max.value.to_string(), false)
    })
}
