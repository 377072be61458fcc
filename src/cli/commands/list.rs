//! `list`: locks, page after page.

use super::super::client::{Call, Failure, Patience};
use super::super::context::{CommandResult, Context, code};
use super::super::options::Format;
use super::super::output::{line, locks_table, print};
use super::super::values::GoDuration;
use clap::Args;
use serde_json::{Value, json};

/// Locks in one page.
const PAGE_LOCKS: u32 = 1000;
/// Pages before a server is taken to repeat itself.
const PAGES_MAX: u32 = 100_000;

/// Flags of `list`.
#[derive(Args, Clone, Debug, Default)]
pub struct ListArgs {
    /// Only of this repository.
    #[arg(short = 'r', long, visible_alias = "repo", value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Only of this directory.
    #[arg(short = 'd', long, visible_alias = "dir")]
    pub path: Option<String>,

    /// Only of this workspace.
    #[arg(short, long)]
    pub workspace: Option<String>,

    /// Only of this owner.
    #[arg(long, value_name = "ID")]
    pub owner: Option<String>,

    /// Only of this pull request of --namespace.
    #[arg(long, value_name = "NUM", requires = "namespace")]
    pub pull: Option<u64>,

    /// Only with this priority.
    #[arg(long, value_parser = ["critical", "high", "normal", "low"])]
    pub priority: Option<String>,

    /// Only in this state: held or reserved.
    #[arg(long, value_parser = ["held", "reserved"])]
    pub state: Option<String>,

    /// Only those held longer than this.
    #[arg(long, value_name = "DURATION")]
    pub held_longer_than: Option<GoDuration>,

    /// Order.
    #[arg(long, value_parser = ["acquired_at", "-acquired_at", "key"], allow_hyphen_values = true)]
    pub sort: Option<String>,

    /// At most this many [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,

    /// Read the store instead of the server's view of it.
    #[arg(long)]
    pub consistent: bool,
}

pub(crate) async fn run(ctx: &Context, args: &ListArgs) -> CommandResult {
    let mut locks: Vec<Value> = Vec::new();
    let mut as_of = Value::Null;
    let mut cursor: Option<String> = None;
    let mut left = args.limit;
    for _ in 0..PAGES_MAX {
        let mut page =
            page(ctx, args, left.map_or(PAGE_LOCKS, |left| left.min(PAGE_LOCKS)), cursor.as_deref()).await?;
        as_of = page["as_of"].take();
        let next = page["next_cursor"].as_str().map(str::to_owned);
        let Value::Array(mut found) = page["locks"].take() else { break };
        if let Some(left) = &mut left {
            found.truncate(*left as usize);
            *left -= found.len() as u32;
        }
        if ctx.console.format() == Format::Jsonl {
            ctx.console.data(&found.iter().map(line).collect::<String>())?;
        } else {
            locks.append(&mut found);
        }
        if next.is_none() || next == cursor || left == Some(0) {
            break;
        }
        cursor = next;
    }
    if ctx.console.format() != Format::Jsonl {
        let ids: Vec<&str> = locks.iter().filter_map(|lock| lock["id"].as_str()).collect();
        let whole = json!({ "locks": locks, "as_of": as_of });
        print(&ctx.console, &whole, &ids, |wide| locks_table(&locks, wide))?;
        if locks.is_empty() && matches!(ctx.console.format(), Format::Table | Format::Wide) {
            ctx.console.say("no locks");
        }
    }
    Ok(code::DONE)
}

async fn page(ctx: &Context, args: &ListArgs, limit: u32, cursor: Option<&str>) -> Result<Value, Failure> {
    let call = Call::get(&["api", "v1", "locks"])
        .with_some("namespace", args.namespace.as_deref())
        .with_some("path", args.path.as_deref())
        .with_some("workspace", args.workspace.as_deref())
        .with_some("owner", args.owner.as_deref())
        .with_some("pull", args.pull.map(|num| num.to_string()))
        .with_some("priority", args.priority.as_deref())
        .with_some("state", args.state.as_deref())
        .with_some("held_longer_than", args.held_longer_than.as_ref().map(GoDuration::text))
        .with_some("sort", args.sort.as_deref())
        .with_some("consistent", args.consistent.then_some("true"))
        .with("limit", limit.to_string())
        .with_some("cursor", cursor);
    Ok(ctx.client.call(&call, Patience::Rounds).await?.body)
}
