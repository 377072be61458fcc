//! `status`: can locks be granted, and how much goes on. Every server that was named is asked.

use super::super::client::Call;
use super::super::context::{CommandResult, Context, code};
use super::super::options::Format;
use super::super::output::{Table, ago, field, instances_table, line, pretty};
use clap::Args;
use reqwest::Url;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Flags of `status`.
#[derive(Args, Clone, Debug, Default)]
pub struct StatusArgs {}

pub(crate) async fn run(ctx: &Context, _args: &StatusArgs) -> CommandResult {
    let mut servers = Vec::new();
    for server in ctx.client.servers() {
        let mut entry = Map::new();
        entry.insert("server".into(), server.as_str().trim_end_matches('/').into());
        let questions: [(&str, &[&str]); 3] = [
            ("ready", &["readyz"]),
            ("version", &["version"]),
            ("queues", &["api", "locks", "queue-status"]),
        ];
        for (name, path) in questions {
            match ctx.client.ask(server, &Call::get(path)).await {
                Ok((_, body)) => {
                    entry.insert(name.into(), body);
                }
                Err(failure) => {
                    ctx.console.say(&failure);
                    entry.insert("error".into(), failure.to_string().into());
                    if name == "ready" {
                        break;
                    }
                }
            }
        }
        hear_more(ctx, server, &mut entry).await;
        servers.push(Value::Object(entry));
    }
    let text = match ctx.console.format() {
        Format::Json => pretty(&json!({ "servers": servers })),
        Format::Jsonl => servers.iter().map(line).collect(),
        Format::Name => servers.iter().map(|server| format!("{}\n", field(server, "/server"))).collect(),
        Format::Table | Format::Wide => draw(&servers),
    };
    ctx.console.data(&text)?;
    // One server that can grant serves everybody.
    let can_grant = servers.iter().any(|server| server["ready"]["can_grant"] == true);
    Ok(if can_grant { code::DONE } else { code::ERROR })
}

/// Asks for what older servers do not tell.
async fn hear_more(ctx: &Context, server: &Url, entry: &mut Map<String, Value>) {
    let features = entry.get("version").and_then(|version| version["features"].as_array());
    let has = |name: &str| features.is_some_and(|features| features.iter().any(|feature| feature == name));
    let (instances, warnings) = (has("instances"), has("store-warnings"));
    if instances && let Ok((_, answer)) = ctx.client.ask(server, &super::instances::question()).await {
        entry.insert("instances".into(), answer["instances"].clone());
    }
    if warnings && let Ok((_, health)) = ctx.client.ask(server, &Call::get(&["api", "locks", "health"])).await
    {
        entry.insert("warnings".into(), health["warnings"].clone());
        // Servers of before there was a breaker do not tell these.
        for name in ["state", "circuit_state", "reasons"] {
            if let Some(told) = health.get(name) {
                entry.insert(name.into(), told.clone());
            }
        }
    }
}

/// The texts under this name of all servers, each once.
fn all_of(servers: &[Value], name: &str) -> BTreeSet<String> {
    let texts = |server: &Value| server[name].as_array().cloned().unwrap_or_default();
    servers.iter().flat_map(texts).map(|text| field(&text, "")).collect()
}

fn draw(servers: &[Value]) -> String {
    let mut table =
        Table::new(&["SERVER", "PHASE", "CAN GRANT", "SINCE", "STORE", "BREAKER", "VERSION", "REASON"]);
    for server in servers {
        let ready = &server["ready"];
        let can_grant = match ready["can_grant"].as_bool() {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        let mut reason = field(ready, "/reason");
        let action = field(ready, "/action");
        if !action.is_empty() {
            reason = if reason.is_empty() { action } else { format!("{reason}; {action}") };
        }
        let phase = if ready.is_null() { "unreachable".into() } else { field(ready, "/phase") };
        table.row(vec![
            field(server, "/server"),
            phase,
            can_grant.into(),
            ago(&ready["since"]),
            field(server, "/state"),
            field(server, "/circuit_state").replace('_', "-"),
            field(server, "/version/version"),
            reason,
        ]);
    }
    let mut text = table.render();
    // Why a store is not healthy; what its servers warn of is most often part of that.
    let mut warnings = all_of(servers, "reasons");
    warnings.extend(all_of(servers, "warnings"));
    if !warnings.is_empty() {
        let mut table = Table::new(&["WARNING"]);
        warnings.into_iter().for_each(|warning| table.row(vec![warning]));
        text.push('\n');
        text.push_str(&table.render());
    }
    // One that is alone is in the first table.
    let known = servers.iter().filter_map(|server| server["instances"].as_array());
    if let Some(instances) = known.max_by_key(|instances| instances.len()).filter(|all| all.len() > 1) {
        text.push('\n');
        text.push_str(&instances_table(instances, false));
    }
    // All servers show the same store; the first answer will do.
    if let Some(queues) = servers.iter().find_map(|server| server["queues"].as_object()) {
        let totals = queues.get("totals").and_then(Value::as_object).unwrap_or(queues);
        let mut counts = Table::new(&["COUNT", "VALUE"]);
        for (name, value) in totals.iter().filter(|(_, value)| !value.is_array() && !value.is_object()) {
            counts.row(vec![name.replace('_', " "), field(value, "")]);
        }
        let counts = counts.render();
        if !counts.is_empty() {
            text.push('\n');
            text.push_str(&counts);
        }
    }
    text
}
