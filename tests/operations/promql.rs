//! What a PromQL expression speaks of. Whether it is one at all, promtool says.

use lockkeeper_telemetry::table::METRICS;
use lockkeeper_telemetry::{Kind, Metric};

/// Labels that Prometheus itself gives to every series.
const OF_PROMETHEUS: [&str; 2] = ["job", "instance"];

/// Series that Prometheus itself makes, with their labels.
const MADE_BY_PROMETHEUS: [(&str, &[&str]); 2] =
    [("up", &[]), ("ALERTS", &["alertname", "alertstate", "severity"])];

/// Words that stand between expressions.
const WORDS: [&str; 6] = ["and", "or", "unless", "offset", "bool", "atan2"];

/// Words before a list of labels.
const BEFORE_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// A matcher: label, operator, value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Matcher {
    pub(super) label: String,
    pub(super) operator: String,
    pub(super) value: String,
}

/// A series selected somewhere in an expression.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) name: String,
    pub(super) matchers: Vec<Matcher>,
    /// The function or aggregation whose argument it is.
    within: String,
}

/// What an expression speaks of.
#[derive(Debug, Default)]
pub(super) struct Expression {
    pub(super) selections: Vec<Selection>,
    /// Labels that it groups and joins by.
    pub(super) labels: Vec<String>,
}

impl Expression {
    /// Reads it.
    pub(super) fn read(text: &str) -> Self {
        let mut expression = Self::default();
        let mut rest = text;
        // The word before each open parenthesis.
        let mut open: Vec<String> = Vec::new();
        let mut word = String::new();
        while let Some(next) = rest.chars().next() {
            if next.is_ascii_alphabetic() || next == '_' {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                rest = after.trim_start();
                word = name.to_owned();
                if BEFORE_LABELS.contains(&name) {
                    let end = rest.find(')').expect("a list of labels");
                    let labels = rest[..end].trim_start_matches('(').split(',').map(str::trim);
                    expression.labels.extend(labels.filter(|l| !l.is_empty()).map(ToOwned::to_owned));
                    rest = &rest[end + 1..];
                } else if !is_called(rest) && !WORDS.contains(&name) {
                    let mut matchers = Vec::new();
                    if rest.starts_with('{') {
                        let end = rest.find('}').expect("a closing brace");
                        matchers = read_matchers(&rest[1..end]);
                        rest = &rest[end + 1..];
                    }
                    let within = open.last().cloned().unwrap_or_default();
                    expression.selections.push(Selection { name: word.clone(), matchers, within });
                }
                continue;
            }
            let skipped = match next {
                '(' => {
                    open.push(std::mem::take(&mut word));
                    1
                }
                ')' => {
                    open.pop();
                    1
                }
                '[' => rest.find(']').expect("a closing bracket") + 1,
                // A number may have a unit or an exponent, which is no name.
                '0'..='9' => {
                    rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(rest.len())
                }
                other => other.len_utf8(),
            };
            rest = &rest[skipped..];
        }
        expression
    }

    /// What in it does not exist.
    pub(super) fn complaints(&self) -> Vec<String> {
        let mut wrong: Vec<String> = self.selections.iter().flat_map(Selection::complaints).collect();
        for label in &self.labels {
            let exists = self.selections.iter().any(|selection| selection.has_label(label));
            if !exists {
                wrong.push(format!("nothing selected has the label {label}"));
            }
        }
        wrong
    }
}

/// Does this stand behind a function's or aggregation's name?
fn is_called(rest: &str) -> bool {
    let mut words = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    rest.starts_with('(') || words.next().is_some_and(|word| ["by", "without"].contains(&word))
}

fn read_matchers(text: &str) -> Vec<Matcher> {
    let mut matchers = Vec::new();
    let mut rest = text.trim();
    while let Some(at) = rest.find(['=', '!']) {
        let label = rest[..at].trim().to_owned();
        let quote = rest[at..].find('"').expect("a quoted value") + at;
        let operator = rest[at..quote].trim().to_owned();
        let end = rest[quote + 1..].find('"').expect("the end of a value") + quote + 1;
        matchers.push(Matcher { label, operator, value: rest[quote + 1..end].to_owned() });
        rest = rest[end + 1..].trim_start_matches([',', ' ']);
    }
    matchers
}

impl Selection {
    /// The declaration of its metric, and the suffix of a histogram's series.
    pub(super) fn metric(&self) -> Option<(&'static Metric, &str)> {
        METRICS.iter().find_map(|metric| {
            let suffix = self.name.strip_prefix(metric.name)?;
            let right = match metric.kind {
                Kind::Histogram(_) => ["_bucket", "_sum", "_count"].contains(&suffix),
                Kind::Counter | Kind::Gauge => suffix.is_empty(),
            };
            right.then_some((metric, suffix))
        })
    }

    fn has_label(&self, label: &str) -> bool {
        let prometheus = MADE_BY_PROMETHEUS.iter().find(|(name, _)| *name == self.name);
        OF_PROMETHEUS.contains(&label)
            || prometheus.is_some_and(|(_, labels)| labels.contains(&label))
            || self.metric().is_some_and(|(metric, suffix)| {
                metric.labels.iter().any(|known| known.name == label)
                    || (suffix == "_bucket" && label == "le")
            })
    }

    fn complaints(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let name = &self.name;
        for Matcher { label, .. } in self.matchers.iter().filter(|matcher| !self.has_label(&matcher.label)) {
            wrong.push(format!("{name} has no label {label}"));
        }
        let Some((metric, suffix)) = self.metric() else {
            if !MADE_BY_PROMETHEUS.iter().any(|(made, _)| made == name) {
                wrong.push(format!("no metric is called {name}"));
            }
            return wrong;
        };
        let rated = matches!(&*self.within, "rate" | "increase" | "irate");
        if rated && metric.kind == Kind::Gauge {
            wrong.push(format!("{name} goes up and down: it has no rate"));
        }
        if suffix == "_bucket" && !rated {
            wrong.push(format!("{name} counts since the start: a quantile of it says nothing of now"));
        }
        for matcher in &self.matchers {
            let known = metric.labels.iter().find(|label| label.name == matcher.label);
            let Some(label) = known.filter(|label| !label.values.is_empty()) else { continue };
            for value in matcher.value.split('|').filter(|value| !label.values.contains(value)) {
                wrong.push(format!("{} of {name} is never {value}", matcher.label));
            }
        }
        wrong
    }
}

#[test]
fn what_does_not_exist_is_found() {
    let wrong = |text: &str| Expression::read(text).complaints();
    const P: &str = "atlantis_enhanced_locking";
    assert_eq!(wrong(&format!("max by (job) ({P}_ready{{job=\"x\"}}) == 0 or absent({P}_ready)")), [""; 0]);
    assert_eq!(wrong(&format!("rate({P}_releases_total{{reason=~\"expired|forced\"}}[5m]) > 2e3")), [""; 0]);
    assert_eq!(wrong("up{instance!=\"b\"} == 0"), [""; 0]);
    assert_eq!(wrong(&format!("{P}_redy == 1")), [format!("no metric is called {P}_redy")]);
    assert_eq!(wrong(&format!("{P}_ready{{phase=\"x\"}}")), [format!("{P}_ready has no label phase")]);
    assert_eq!(wrong(&format!("sum by (phase) ({P}_ready)")), ["nothing selected has the label phase"]);
    assert_eq!(wrong(&format!("rate({P}_ready[5m])")).len(), 1);
    assert_eq!(
        wrong(&format!("{P}_phase{{phase=\"hold-only\"}}")),
        [format!("phase of {P}_phase is never hold-only")]
    );
    let duration = format!("{P}_acquisition_duration_seconds");
    assert_eq!(wrong(&format!("histogram_quantile(0.9, sum by (le) ({duration}_bucket))")).len(), 1);
    assert_eq!(wrong(&format!("sum by (le) (rate({duration}_bucket[5m]))")), [""; 0]);
    assert_eq!(wrong(&format!("rate({duration}[5m])")), [format!("no metric is called {duration}")]);
}
