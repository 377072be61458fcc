//! A real HAProxy with the shipped configuration, in which only addresses are replaced.

use crate::support::{Client, eventually, fixed_address};
use std::process::{Child, Command, Stdio};

/// The configuration as it is shipped.
pub(super) const SHIPPED: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/haproxy/haproxy.cfg"));

/// The addresses that stand in it.
const ITS_OWN: &str = "127.0.0.1:4140";
const INSTANCES: [&str; 3] = ["10.0.0.11:4142", "10.0.0.12:4142", "10.0.0.13:4142"];

/// A running HAProxy; killed when it is dropped.
pub(super) struct Balancer {
    child: Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl Balancer {
    /// One in front of these instances, which serves.
    pub(super) async fn start(instances: &[String; 3]) -> Self {
        let address = fixed_address();
        let mut config = replace(SHIPPED, ITS_OWN, &address);
        for (shipped, real) in INSTANCES.iter().zip(instances) {
            config = replace(&config, shipped, real);
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("haproxy.cfg");
        std::fs::write(&file, config).unwrap();
        // In the foreground: the process that was started is the one that serves.
        let mut command = Command::new(program());
        let log = dir.path().join("log");
        command.arg("-db").arg("-f").arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(std::fs::File::create(&log).unwrap());
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{error}: ./scripts/test installs haproxy"));
        let mut balancer = Self { child, address, _dir: dir };
        eventually("the load balancer serves", async || {
            assert!(
                balancer.child.try_wait().unwrap().is_none(),
                "{}",
                std::fs::read_to_string(&log).unwrap()
            );
            let reply = balancer.client().try_send("GET", "/version", None).await.ok()?;
            (reply.status == 200).then_some(())
        })
        .await;
        balancer
    }

    /// `host:port`
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// A client with connections of its own.
    pub(super) fn client(&self) -> Client {
        Client::new(&format!("http://{}", self.address))
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn replace(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from} in the configuration");
    text.replace(from, to)
}

/// Not every user has `/usr/sbin` in the path.
fn program() -> &'static str {
    let installed = "/usr/sbin/haproxy";
    if std::path::Path::new(installed).exists() { installed } else { "haproxy" }
}
