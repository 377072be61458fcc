//! YAML text to a tree of settings with positions: the part of YAML that a settings file needs.
//!
//! Aliases and tags are refused rather than followed (an alias can make a small file huge, a tag can
//! change what a value is), as are repeated keys, of which most readers silently take the last.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput};

use crate::problem::shown;
use crate::source::Position;

/// A longer settings file is a mistake.
pub(crate) const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Settings nest two levels; a little more leaves room for a good message.
const DEPTH_MAX: usize = 8;

/// A value with the place where it begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) shape: Shape,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Nothing, `~` or `null`.
    Null,
    /// A single value, quoted or not.
    Scalar(String),
    /// Names and values.
    Mapping(Vec<Entry>),
    /// A list.
    Sequence(Vec<Node>),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Position,
    pub(crate) value: Node,
}

/// Something wrong with the text itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) at: Option<Position>,
    pub(crate) message: String,
}

impl Mistake {
    fn at(at: Position, message: impl Into<String>) -> Self {
        Self { at: Some(at), message: message.into() }
    }
}

/// What could be read.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) entries: Vec<Entry>,
    /// What is wrong; after a mistake in the syntax, what follows it was not read.
    pub(crate) mistakes: Vec<Mistake>,
}

/// Reads a settings file.
pub(crate) fn read(bytes: &[u8]) -> Read {
    let mut reader = match text_of(bytes) {
        Ok(text) => Reader { text, parser: Parser::new_from_str(text), mistakes: Vec::new() },
        Err(mistake) => return Read { entries: Vec::new(), mistakes: vec![mistake] },
    };
    let entries = reader.document().unwrap_or_else(|mistake| {
        reader.mistakes.push(mistake);
        Vec::new()
    });
    Read { entries, mistakes: reader.mistakes }
}

fn text_of(bytes: &[u8]) -> Result<&str, Mistake> {
    if bytes.len() > FILE_BYTES_MAX {
        let message = format!("is larger than {} MiB; this is not a settings file", FILE_BYTES_MAX >> 20);
        return Err(Mistake { at: None, message });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
        Mistake::at(end_of(&valid), "is not UTF-8 text")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // The parser takes NUL for the end of the file; nothing else of the kind belongs in one either.
    if let Some(index) = text.find(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Mistake::at(end_of(text.get(..index).unwrap_or_default()), "has a control character"));
    }
    Ok(text)
}

/// The position behind a text.
fn end_of(text: &str) -> Position {
    let last = text.rsplit('\n').next().unwrap_or_default();
    Position { line: text.matches('\n').count() + 1, column: last.chars().count() + 1 }
}

/// The commonest mistake, which the parser notices late and describes badly. Only asked once it has
/// noticed one, since a tab may stand in a block of text.
fn tab_in_indentation(text: &str) -> Option<Mistake> {
    let indented_by_tab = |line: &str| {
        let indentation = line.len() - line.trim_start_matches([' ', '\t']).len();
        line.get(..indentation).and_then(|spaces| spaces.find('\t'))
    };
    let (index, column) =
        text.lines().enumerate().find_map(|(index, line)| indented_by_tab(line).map(|at| (index, at)))?;
    let at = Position { line: index + 1, column: column + 1 };
    Some(Mistake::at(at, "is not valid YAML: the line is indented with a tab; use spaces"))
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

struct Reader<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    /// Mistakes after which reading can go on.
    mistakes: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Mistake> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(tab_in_indentation(self.text).unwrap_or_else(|| {
                Mistake::at(position(error.marker()), format!("is not valid YAML: {}", error.info()))
            })),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Result<Vec<Entry>, Mistake> {
        let mut entries = Vec::new();
        let mut documents = 0;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(entries),
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(_) if documents > 0 => {
                    let message = "has a second YAML document (\"---\"); write all settings in one";
                    return Err(Mistake::at(position(&span.start), message));
                }
                Event::DocumentStart(_) => documents += 1,
                other => {
                    let node = self.node(other, span, 0)?;
                    match node.shape {
                        Shape::Mapping(found) => entries = found,
                        // A file with nothing but comments leaves everything at its default.
                        Shape::Null => {}
                        Shape::Scalar(_) | Shape::Sequence(_) => {
                            let message = "must hold settings, one \"name: value\" per line";
                            self.mistakes.push(Mistake::at(node.at, message));
                        }
                    }
                }
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Mistake> {
        let at = position(&span.start);
        if depth > DEPTH_MAX {
            return Err(Mistake::at(at, "is nested too deeply"));
        }
        let shape = match event {
            Event::Scalar(text, style, _, tag) => {
                if tag.is_some() {
                    self.refuse_tag(at);
                }
                let null =
                    style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                if null { Shape::Null } else { Shape::Scalar(text.into_owned()) }
            }
            Event::MappingStart(_, tag) => {
                if tag.is_some() {
                    self.refuse_tag(at);
                }
                Shape::Mapping(self.mapping(depth)?)
            }
            Event::SequenceStart(_, _) => {
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if event == Event::SequenceEnd {
                        break;
                    }
                    items.push(self.node(event, span, depth + 1)?);
                }
                Shape::Sequence(items)
            }
            Event::Alias(_) => {
                return Err(Mistake::at(
                    at,
                    "uses an alias (\"*name\"), which settings files may not; repeat the value",
                ));
            }
            // The parser ends what it began; this is for a parser that does not.
            _ => return Err(Mistake::at(at, "is not valid YAML")),
        };
        Ok(Node { at, shape })
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<Entry>, Mistake> {
        let mut entries = Vec::new();
        let mut seen = HashMap::<String, Position>::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(entries);
            }
            let at = position(&span.start);
            let key = match self.node(event, span, depth + 1)?.shape {
                Shape::Scalar(key) => key,
                Shape::Null => return Err(Mistake::at(at, "has a value without a name")),
                Shape::Mapping(_) | Shape::Sequence(_) => {
                    return Err(Mistake::at(at, "has a name that is not a plain word"));
                }
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            match seen.get(&key) {
                Some(first) => {
                    let message =
                        format!("has {:?} a second time; the first is in line {}", shown(&key), first.line);
                    self.mistakes.push(Mistake::at(at, message));
                }
                None => {
                    seen.insert(key.clone(), at);
                    entries.push(Entry { key, at, value });
                }
            }
        }
    }

    fn refuse_tag(&mut self, at: Position) {
        self.mistakes
            .push(Mistake::at(at, "uses a tag (\"!name\"), which settings files may not; leave it out"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mistake(text: impl AsRef<[u8]>) -> String {
        let read = read(text.as_ref());
        let first = read.mistakes.first().unwrap_or_else(|| panic!("no mistake in {:?}", read.entries));
        let at = first.at.map_or_else(String::new, |at| format!("{}:{} ", at.line, at.column));
        format!("{at}{}", first.message)
    }

    #[test]
    fn reads_nested_values_with_their_places() {
        let read = read(b"# comment\nlisten: a\nhttp:\n  max-wait: \"5s\" # why\nempty:\n");
        assert_eq!(read.mistakes, []);
        let places: Vec<_> = read.entries.iter().map(|e| (e.key.as_str(), e.at.line)).collect();
        assert_eq!(places, [("listen", 2), ("http", 3), ("empty", 5)]);
        let Shape::Mapping(http) = &read.entries[1].value.shape else { panic!() };
        assert_eq!(http[0].value.at, Position { line: 4, column: 13 });
        assert_eq!(http[0].value.shape, Shape::Scalar("5s".to_owned()));
        assert_eq!(read.entries[2].value.shape, Shape::Null);
    }

    #[test]
    fn nothing_and_comments_are_no_mistake() {
        for text in
            ["", "\n\n", "# only a comment\n", "---\n", "--- # x\n...\n", "\u{feff}", "\u{feff}# x", "~"]
        {
            let read = read(text.as_bytes());
            assert_eq!((read.mistakes, read.entries), (vec![], vec![]), "{text:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_and_dos_lines_change_nothing() {
        let read = read("\u{feff}listen: a\r\nstore: b\r\n".as_bytes());
        assert_eq!(read.mistakes, []);
        assert_eq!(read.entries[1].value.shape, Shape::Scalar("b".to_owned()));
        assert_eq!(read.entries[1].at.line, 2);
    }

    #[test]
    fn says_where_a_mistake_is() {
        for (text, said) in [
            ("a: 1\n\tb: 2\n", "2:1 is not valid YAML: the line is indented with a tab"),
            ("http:\n  a: 1\n \tmax-wait: 5s\n", "3:2 is not valid YAML: the line is indented with a tab"),
            ("a: \"open\nb: 2\n", "not valid YAML"),
            ("a: 1\n b: 2\n", "2:"),
            ("a: [1, 2\n", "not valid YAML"),
            ("a: 1\nb: 2\na: 3\n", "3:1 has \"a\" a second time; the first is in line 1"),
            ("h:\n  a: 1\nh:\n  b: 1\n", "3:1 has \"h\" a second time; the first is in line 1"),
            ("a: &x 1\nb: *x\n", "2:4 uses an alias"),
            ("a: !!int 1\n", "uses a tag"),
            ("a: 1\n---\nb: 2\n", "2:1 has a second YAML document"),
            ("- a\n- b\n", "1:1 must hold settings"),
            ("just text\n", "1:1 must hold settings"),
            ("42\n", "1:1 must hold settings"),
            ("? [a]\n: 1\n", "1:3 has a name that is not a plain word"),
            (": 1\n", "has a value without a name"),
            ("a: 1\nb\u{0}: 2\n", "2:2 has a control character"),
            ("a: {b: {c: {d: {e: {f: {g: {h: {i: {j: 1}}}}}}}}}\n", "is nested too deeply"),
        ] {
            let mistake = mistake(text);
            println!("{text:?}: {mistake}");
            assert!(mistake.contains(said), "{text:?}: {mistake}");
        }
        assert!(mistake(b"a: 1\nb: \xff\n").contains("2:4 is not UTF-8 text"));
        assert!(mistake(vec![b'#'; FILE_BYTES_MAX + 1]).contains("is larger than 1 MiB"));
    }

    #[test]
    fn hostile_files_end_soon() {
        let start = std::time::Instant::now();
        for part in [
            "[", "{", "- ", "? ", "a: ", "&a ", "!t ", "'", "\"", "|\n", "a:\n", "%", "---\n", "{a: ", "  ",
            "\\", "a\n",
        ] {
            let text = part.repeat(FILE_BYTES_MAX / part.len());
            let _ = read(text.as_bytes());
            let text: String = (0..1000).map(|n| format!("{}{part}\n", " ".repeat(n))).collect();
            let _ = read(text.as_bytes());
        }
        let bomb = "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\n";
        assert!(mistake(bomb).contains("alias"));
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-a-c:?&*!|>'\"%@`{}\\[\\], #\n\t\r~<=0-9.$\u{85}\u{2028}é]{0,60}") {
            let _ = read(text.as_bytes());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(&bytes);
        }
    }
}
