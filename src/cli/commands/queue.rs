//! `queue`: who waits, everywhere or for one resource.

use super::super::ask_arg::Subject;
use super::super::client::{Call, Patience};
use super::super::context::{CommandError, CommandResult, Context, code};
use super::super::options::Format;
use super::super::output::{line, print, queue_detail, queues_table};
use super::super::resource_arg::{ResourceArgs, ResourceFields};
use clap::Args;
use serde_json::{Value, json};

/// Pages before a server is taken to repeat itself.
const PAGES_MAX: u32 = 100_000;

/// Flags of `queue`.
#[derive(Args, Clone, Debug, Default)]
pub struct QueueArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub resource: ResourceArgs,

    /// All queues of this repository.
    #[arg(long, conflicts_with_all = ["resource", "repo", "from_atlantis_env"])]
    pub namespace: Option<String>,
}

pub(crate) async fn run(ctx: &Context, args: &QueueArgs) -> CommandResult {
    if args.resource.is_none() {
        return all(ctx, args.namespace.as_deref()).await;
    }
    let subject = Subject::read(&args.resource, &ctx.env)?;
    match of_resource(ctx, &subject.resource).await? {
        Some(queue) => print_one(ctx, &queue)?,
        None => {
            ctx.console.say(format_args!("nobody holds {} or waits for it", subject.resource));
            print(&ctx.console, &json!({ "queues": [] }), &[], |_| String::new())?;
        }
    }
    Ok(code::DONE)
}

/// One resource's queue, or nothing when nobody holds it or waits.
pub(crate) async fn of_resource(
    ctx: &Context,
    resource: &ResourceFields,
) -> Result<Option<Value>, CommandError> {
    let mut call = Call::get(&["api", "v1", "queues"]);
    for (name, value) in resource.to_query() {
        call = call.with(name, value);
    }
    match ctx.client.call(&call, Patience::Rounds).await {
        Ok(answer) => Ok(only(answer.body)),
        Err(failure) if failure.status() == 404 && failure.code() == "not_found" => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

/// The queue in an answer. It is there itself (beside a list that shows less of it), or, from an
/// older server or with others at the same place, in a list.
fn only(mut answer: Value) -> Option<Value> {
    if answer["resource"].is_null()
        && let Some(queues) = answer.get_mut("queues")
    {
        return queues.get_mut(0).map(Value::take);
    }
    if let Value::Object(members) = &mut answer {
        for of_list in ["queues", "next_cursor", "as_of"] {
            members.remove(of_list);
        }
    }
    Some(answer)
}

/// Prints one queue with its holders and tickets.
pub(crate) fn print_one(ctx: &Context, queue: &Value) -> std::io::Result<()> {
    let entries =
        ["holders", "tickets"].into_iter().flat_map(|name| queue[name].as_array().into_iter().flatten());
    let ids: Vec<&str> = entries.filter_map(|entry| entry["id"].as_str()).collect();
    print(&ctx.console, queue, &ids, |wide| queue_detail(queue, wide))
}

async fn all(ctx: &Context, namespace: Option<&str>) -> CommandResult {
    let mut queues: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let call = Call::get(&["api", "v1", "queues"])
            .with_some("namespace", namespace)
            .with_some("cursor", cursor.as_deref());
        let mut page = ctx.client.call(&call, Patience::Rounds).await?.body;
        if let Value::Array(found) = page["queues"].take() {
            queues.extend(found);
        }
        let next = page["next_cursor"].as_str().map(str::to_owned);
        if next.is_none() || next == cursor {
            break;
        }
        cursor = next;
    }
    if ctx.console.format() == Format::Jsonl {
        ctx.console.data(&queues.iter().map(line).collect::<String>())?;
        return Ok(code::DONE);
    }
    let ids: Vec<&str> = queues.iter().filter_map(|queue| queue["resource"]["id"].as_str()).collect();
    print(&ctx.console, &json!({ "queues": queues }), &ids, |wide| queues_table(&queues, wide))?;
    if queues.is_empty() && matches!(ctx.console.format(), Format::Table | Format::Wide) {
        ctx.console.say("no queues");
    }
    Ok(code::DONE)
}
