//! The alert rules, read as far as the tests need it: the file is ours, and written in one way.

use super::read;

/// Where the rules are.
pub(super) const RULES: &str = "deploy/prometheus/lockkeeper-alerts.yaml";

/// One alert.
#[derive(Debug, Default)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) expression: String,
    pub(super) severity: String,
    pub(super) runbook: String,
    pub(super) summary: String,
    pub(super) description: String,
}

/// All of them.
pub(super) fn rules() -> Vec<Rule> {
    let text = read(RULES);
    let mut rules: Vec<Rule> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((key, value)) = line.trim_start().trim_start_matches("- ").split_once(':') else { continue };
        let value = value.trim();
        if key == "alert" {
            rules.push(Rule { name: value.to_owned(), ..Rule::default() });
        }
        let Some(rule) = rules.last_mut() else { continue };
        match key {
            "expr" if value == "|" => {
                let depth = indent(line);
                while let Some(more) = lines.next_if(|more| indent(more) > depth) {
                    rule.expression.push_str(more.trim());
                    rule.expression.push('\n');
                }
            }
            "expr" => rule.expression = value.to_owned(),
            "severity" => rule.severity = value.to_owned(),
            "runbook" => rule.runbook = value.to_owned(),
            "summary" => rule.summary = value.to_owned(),
            "description" => rule.description = value.to_owned(),
            _ => {}
        }
    }
    rules
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}
