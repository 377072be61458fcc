//! Figures, printed as a table: `cargo bench`. Names given as arguments choose sections:
//! `cargo bench -- core http redis handoff memory startup idle_polls actor_kill instance_kill outage`.
//!
//! What depends on the machine is given as a ratio to `redis-benchmark` on the same machine in the
//! same run. Servers are started and stopped by process id, on free ports, in temporary directories.

mod client;
mod core_ops;
mod handoff;
mod http_load;
mod idle_polls;
mod kills;
mod memory;
mod redis;
mod server;
mod shared;
mod soak;
mod startup;
mod table;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|choice| choice == name);
    if wanted("core") {
        core_ops::run();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if wanted("http") {
        runtime.block_on(http_load::run());
    }
    if wanted("redis") {
        runtime.block_on(shared::run());
    }
    if wanted("handoff") {
        runtime.block_on(handoff::run());
    }
    if wanted("memory") {
        runtime.block_on(memory::run());
    }
    if wanted("startup") {
        runtime.block_on(startup::run());
    }
    if wanted("idle_polls") {
        runtime.block_on(idle_polls::run());
    }
    if wanted("actor_kill") {
        runtime.block_on(kills::actor());
    }
    if wanted("instance_kill") {
        runtime.block_on(kills::instance());
    }
    if wanted("outage") {
        runtime.block_on(kills::outage());
    }
    if chosen.iter().any(|choice| choice == "soak") {
        runtime.block_on(soak::run());
    }
}
