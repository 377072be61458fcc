//! What options say, what they refuse, and what they never show.

use super::*;

fn refused(options: &RedisOptions) -> String {
    options.check().unwrap_err().to_string()
}

fn with_urls(urls: &[&str], topology: Topology) -> RedisOptions {
    let urls = urls.iter().map(|url| RedisUrl::from(*url)).collect();
    RedisOptions { urls, topology, ..RedisOptions::new("") }
}

fn sentinel() -> Topology {
    Topology::Sentinel { master: "m".into() }
}

#[test]
fn urls_say_where_and_who() {
    let targets = RedisOptions::new("redis://alice:s%40cret@h:7000/3").targets().unwrap();
    assert_eq!(targets.seeds, [Address { host: "h".into(), port: 7000 }]);
    assert_eq!(targets.login.username.as_deref(), Some("alice"));
    assert_eq!(targets.login.password, Some(Secret::from("s@cret")));
    assert_eq!((targets.database, targets.tls), (3, false));
    let targets = RedisOptions::new("rediss://[::1]").targets().unwrap();
    assert_eq!(targets.seeds[0].to_string(), "[::1]:6379");
    assert_eq!((targets.database, targets.tls, targets.login), (0, true, Login::default()));
    let targets = RedisOptions::new("redis://:only@h").targets().unwrap();
    assert_eq!((targets.login.username, targets.login.password), (None, Some(Secret::from("only"))));
}

#[test]
fn wrong_urls_are_refused_without_their_passwords() {
    for url in [
        "",
        "h:6379",
        "http://u:secret@h",
        "unix:///run/redis.sock",
        "redis://u:secret@",
        "redis://u:secret@h:port",
        "redis://u:secret@h/x",
        "rediss://u:secret@h/#insecure",
        "redis://u:secret@h?protocol=resp2",
        "redis://user@h",
        "redis://u:secret@h/-1",
        "u:secret@h",
    ] {
        let error = refused(&RedisOptions::new(url));
        assert!(error.starts_with("redis.urls: "), "{url}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
    assert!(refused(&with_urls(&[], Topology::Single)).contains("at least one"));
    assert!(refused(&with_urls(&["redis://a", "redis://b"], Topology::Single)).contains("several"));
    assert!(refused(&with_urls(&["redis://a", "rediss://b"], Topology::Cluster)).contains("mixes"));
}

#[test]
fn credentials_are_given_once() {
    let password = Some(Secret::from("x"));
    let twice = RedisOptions { password: password.clone(), ..RedisOptions::new("redis://:y@h") };
    assert!(refused(&twice).contains("give them once"));
    let different = with_urls(&["redis://:x@a", "redis://:y@b"], Topology::Cluster);
    assert!(refused(&different).contains("different credentials"));
    assert_eq!(with_urls(&["redis://:x@a", "redis://b"], Topology::Cluster).check(), Ok(()));
    assert!(refused(&with_urls(&["redis://:x@a"], sentinel())).contains("sentinel-password"));
    let nameless = RedisOptions { username: Some("u".into()), ..RedisOptions::new("redis://h") };
    assert!(refused(&nameless).starts_with("redis.username: "));
    let none = RedisOptions { sentinel_password: password.clone(), ..RedisOptions::new("redis://h") };
    assert!(refused(&none).starts_with("redis.sentinel-password: "));
    let both = RedisOptions {
        password: password.clone(),
        sentinel_password: password,
        ..with_urls(&["redis://a", "redis://b"], sentinel())
    };
    assert_eq!(both.check(), Ok(()));
    assert!(
        refused(&with_urls(&["redis://a"], Topology::Sentinel { master: String::new() }))
            .starts_with("redis.sentinel-master: ")
    );
}

#[test]
fn a_cluster_has_one_database() {
    assert!(refused(&with_urls(&["redis://h/2"], Topology::Cluster)).starts_with("redis.database: "));
    let named = RedisOptions { database: 2, ..with_urls(&["redis://h"], Topology::Cluster) };
    assert!(refused(&named).starts_with("redis.database: "));
    let twice = RedisOptions { database: 2, ..RedisOptions::new("redis://h/3") };
    assert!(refused(&twice).contains("name it once"));
    assert_eq!(RedisOptions { database: 2, ..RedisOptions::new("redis://h/2") }.check(), Ok(()));
}

#[test]
fn tls_files_belong_together() {
    let with = |url: &str, tls: TlsFiles| RedisOptions { tls, ..RedisOptions::new(url) };
    let file = |name: &str| Some(PathBuf::from(name));
    let cert = TlsFiles { cert_file: file("c"), ..TlsFiles::default() };
    assert!(refused(&with("rediss://h", cert)).contains("needs its key"));
    let key = TlsFiles { key_file: file("k"), ..TlsFiles::default() };
    assert!(refused(&with("rediss://h", key)).contains("needs its key"));
    let ca = TlsFiles { ca_file: file("ca"), ..TlsFiles::default() };
    assert!(refused(&with("redis://h", ca.clone())).contains("not rediss://"));
    assert_eq!(with("rediss://h", ca).check(), Ok(()));
}

#[test]
fn key_prefixes() {
    let with = |prefix: &str| RedisOptions { key_prefix: prefix.into(), ..RedisOptions::new("redis://h") };
    for prefix in ["", "a b", "a{b", "a}", "a\n", "a\u{a0}b", "pr", "pr/x", "project", &"x".repeat(65)] {
        assert!(refused(&with(prefix)).starts_with("redis.key-prefix: "), "{prefix:?}");
    }
    for prefix in ["lk", "team-a:locks", "p", "ärger"] {
        assert_eq!(with(prefix).check(), Ok(()), "{prefix:?}");
    }
}

#[test]
fn no_time_is_zero_and_no_number_out_of_bounds() {
    let good = RedisOptions::new("redis://h");
    let zero = Duration::ZERO;
    assert!(refused(&RedisOptions { timeout: zero, ..good.clone() }).starts_with("redis.timeout: "));
    let connect = RedisOptions { connect_timeout: zero, ..good.clone() };
    assert!(refused(&connect).starts_with("redis.connect-timeout: "));
    let wait = RedisOptions { wait_timeout: Duration::from_micros(10), ..good.clone() };
    assert!(refused(&wait).starts_with("redis.wait-timeout: "));
    for connections in [0, CONNECTIONS_MAX + 1] {
        assert!(refused(&RedisOptions { connections, ..good.clone() }).starts_with("redis.connections: "));
    }
}

#[test]
fn nothing_secret_is_printed() {
    let options = RedisOptions {
        password: Some(Secret::from("secret-1")),
        sentinel_password: Some(Secret::from("secret-2")),
        urls: vec!["redis://u:secret-3@h:1/2".into(), "redis://u:sec@ret-4@h".into(), "secret-5".into()],
        ..RedisOptions::new("")
    };
    let printed = format!("{options:?}");
    for number in 1..=5 {
        assert!(!printed.contains(&format!("ret-{number}")), "{printed}");
    }
    assert!(printed.contains("redis://***@h:1/2"), "{printed}");
}
