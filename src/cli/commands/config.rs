//! `config`: the settings of a running server, shown and changed.

use super::super::client::{Call, Patience};
use super::super::context::{CommandError, CommandResult, Context, code};
use super::super::output::{changes_table, print, settings_table};
use super::super::values::key_value;
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

/// Flags of `config`.
#[derive(Args, Clone, Debug)]
pub struct ConfigArgs {
    /// What to do with the settings.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What can be done with the settings of a running server.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show the settings in force, where they come from, and what waits for a restart.
    Get(ConfigGetArgs),
    /// Change settings of this one instance until its process ends, or reads them again (SIGHUP).
    Set(ConfigSetArgs),
}

/// Flags of `config get`.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigGetArgs {
    /// One setting, or a section like rate-limit.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Flags of `config set`.
#[derive(Args, Clone, Debug)]
pub struct ConfigSetArgs {
    /// A setting and its value; all of them are changed, or none.
    #[arg(value_name = "NAME=VALUE", required = true, value_parser = key_value)]
    pub settings: Vec<(String, String)>,

    /// Why; it is kept in the audit log.
    #[arg(long)]
    pub reason: String,
}

pub(crate) async fn run(ctx: &Context, args: &ConfigArgs) -> CommandResult {
    // Settings are an instance's own: with several addresses it would be chance which one is meant.
    if ctx.client.servers().count() > 1 {
        let text = "settings are those of one instance: name it with a single --server";
        return Err(CommandError::Usage(text.to_owned()));
    }
    match &args.command {
        ConfigCommand::Get(args) => get(ctx, args).await,
        ConfigCommand::Set(args) => set(ctx, args).await,
    }
}

async fn get(ctx: &Context, args: &ConfigGetArgs) -> CommandResult {
    let call = Call::get(&["api", "v1", "config"]).with_some("name", args.name.as_deref());
    let answer = ctx.client.call(&call, Patience::Rounds).await?.body;
    let settings = answer["settings"].as_array().map_or(&[][..], Vec::as_slice);
    let names: Vec<&str> = settings.iter().filter_map(|setting| setting["name"].as_str()).collect();
    print(&ctx.console, &answer, &names, |wide| settings_table(settings, wide))?;
    Ok(code::DONE)
}

async fn set(ctx: &Context, args: &ConfigSetArgs) -> CommandResult {
    let mut changes = Map::new();
    for (name, value) in &args.settings {
        if changes.insert(name.clone(), Value::from(value.as_str())).is_some() {
            return Err(CommandError::Usage(format!("{name} is given a second time")));
        }
    }
    let body = serde_json::json!({ "changes": changes, "reason": args.reason });
    // The same change once more changes nothing.
    let call = Call::patch(&["api", "v1", "config"], body);
    let answer = ctx.client.call(&call, Patience::Rounds).await?.body;
    let changed = answer["changed"].as_array().map_or(&[][..], Vec::as_slice);
    let names: Vec<&str> = changed.iter().filter_map(|change| change["name"].as_str()).collect();
    print(&ctx.console, &answer, &names, |_| changes_table(changed))?;
    if changed.is_empty() {
        ctx.console.say("nothing changed: the values were in force already");
    } else {
        ctx.console.say(format_args!("in force: {}", answer["scope"].as_str().unwrap_or_default()));
    }
    Ok(code::DONE)
}
