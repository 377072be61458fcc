//! The operations guide, read as far as the tests need it.

use super::read;

pub(super) const GUIDE: &str = "docs/operations.md";

/// The heading below which the cards stand, one for each heading of the next level.
const CARDS: &str = "Cards";

/// A heading and what stands below it, up to the next of its level or above.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) level: usize,
    pub(super) title: String,
    pub(super) text: String,
}

impl Section {
    /// As links lead to it.
    pub(super) fn anchor(&self) -> String {
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        self.title.chars().filter(kept).map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    }

    /// Its items that begin with this word, as in `- Log: …`, each in one line.
    pub(super) fn items(&self, word: &str) -> Vec<String> {
        let mut items: Vec<String> = Vec::new();
        let mut within = false;
        for line in self.text.lines() {
            if let Some(item) = line.strip_prefix("- ") {
                within = item.starts_with(&format!("{word}:"));
                if within {
                    items.push(item[word.len() + 1..].trim().to_owned());
                }
            } else if within && line.starts_with("  ") {
                let item = items.last_mut().expect("it was begun");
                item.push(' ');
                item.push_str(line.trim());
            } else {
                within = false;
            }
        }
        items
    }
}

/// All sections of the guide.
pub(super) fn sections() -> Vec<Section> {
    let text = read(GUIDE);
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines() {
        let level = line.bytes().take_while(|byte| *byte == b'#').count();
        if (1..=6).contains(&level) && line[level..].starts_with(' ') {
            sections.push(Section { level, title: line[level + 1..].to_owned(), text: String::new() });
        } else if let Some(last) = sections.last_mut() {
            last.text.push_str(line);
            last.text.push('\n');
        }
    }
    sections
}

/// The cards.
pub(super) fn cards() -> Vec<Section> {
    let mut sections = sections().into_iter().skip_while(|section| section.title != CARDS);
    let level = sections.next().expect("the guide has cards").level;
    sections.take_while(|section| section.level > level).collect()
}

/// What stands in backticks.
pub(super) fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
