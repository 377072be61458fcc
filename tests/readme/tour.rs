//! Finding the steps of the tour in the README.

/// Commands with what they print.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The README's line on which its block begins, for messages.
    pub(super) line: usize,
    pub(super) commands: String,
    /// What the README says they print, if it says so.
    pub(super) output: Option<String>,
}

/// A fenced block.
struct Block<'a> {
    line: usize,
    language: &'a str,
    text: String,
}

/// The steps below a heading, up to the next heading of its level.
pub(super) fn steps(readme: &str, heading: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    // A text block belongs to the sh block right before it, not to one further up.
    let mut follows = false;
    for block in blocks(readme, heading) {
        match (block.language, steps.last_mut()) {
            ("sh", _) => steps.push(Step { line: block.line, commands: block.text, output: None }),
            ("text", Some(step)) if follows => step.output = Some(block.text),
            _ => {}
        }
        follows = block.language == "sh";
    }
    steps
}

fn blocks<'a>(readme: &'a str, heading: &str) -> Vec<Block<'a>> {
    let mut blocks = Vec::new();
    let mut open: Option<Block<'_>> = None;
    let mut inside = false;
    for (number, line) in readme.lines().enumerate() {
        if let Some(block) = &mut open {
            if line.trim_end() == "```" {
                blocks.extend(open.take().filter(|_| inside));
            } else {
                block.text.push_str(line);
                block.text.push('\n');
            }
        } else if let Some(language) = line.strip_prefix("```") {
            open = Some(Block { line: number + 1, language: language.trim(), text: String::new() });
        } else if line.starts_with("## ") {
            inside = line.trim_end() == heading;
        }
    }
    assert!(open.is_none(), "a block of the README is not closed");
    blocks
}

#[test]
fn steps_are_the_sh_blocks_of_the_section_with_their_outputs() {
    let readme = "# X\n```sh\nbefore\n```\n## Tour\nWords.\n```sh\none\n\ntwo\n```\nSays:\n\n```text\nout\n```\n\
                  ```text\nnot an output\n```\n### Part\n```sh\n## no heading\n```\n```json\n{}\n```\n\
                  ```text\nneither\n```\n## Next\n```sh\nafter\n```\n";
    let step = |line, commands: &str, output: Option<&str>| Step {
        line,
        commands: commands.into(),
        output: output.map(Into::into),
    };
    assert_eq!(
        steps(readme, "## Tour"),
        [step(7, "one\n\ntwo\n", Some("out\n")), step(21, "## no heading\n", None)]
    );
    assert_eq!(steps(readme, "## Elsewhere"), []);
}
