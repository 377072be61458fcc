//! Actors in columns, and the resources that are refused for a while.

use super::Table;
use super::human::{ago, field};
use serde_json::Value;

/// The actors, one per row; behind them the resources whose own actor died too often, if there are.
pub(crate) fn actors_table(answer: &Value, wide: bool) -> String {
    let list = |name: &str| answer[name].as_array().map_or(&[][..], Vec::as_slice);
    let mut header = vec!["ACTOR", "STATE", "RESTARTS", "LAST DEATH"];
    if wide {
        header.push("KIND");
    }
    let mut table = Table::new(&header);
    for actor in list("actors") {
        let state = match (actor["alive"] == true, actor["unstable"] == true) {
            (true, false) => "alive",
            (true, true) => "alive, unstable",
            (false, false) => "dead",
            (false, true) => "dead, unstable",
        };
        let mut cells =
            vec![field(actor, "/name"), state.into(), field(actor, "/restarts"), ago(&actor["last_death"])];
        if wide {
            cells.push(field(actor, "/kind"));
        }
        table.row(cells);
    }
    let mut text = table.render();
    let quarantined = list("quarantined");
    if !quarantined.is_empty() {
        let mut table = Table::new(&["REFUSED", "KEY", "UNTIL", "DEATHS"]);
        for resource in quarantined {
            let ends = ago(&resource["until"]);
            table.row(vec![
                field(resource, "/resource"),
                field(resource, "/key"),
                ends,
                field(resource, "/deaths"),
            ]);
        }
        text.push('\n');
        text.push_str(&table.render());
    }
    text
}
