//! The README's tour is run as it stands there, and prints what it says.
//!
//! Between the heading below and the next one of its level, every `sh` block is run, in order, in
//! one shell. If the next block after it is a `text` block, that is what the commands must have
//! printed (stdout and stderr together), up to ids, tokens, times and durations. A line with
//! nothing but `…` stands for any lines.

mod likeness;
mod tour;

use crate::support::{DEADLINE, TestServer};
use likeness::{differs, plain};
use std::path::Path;
use tour::Step;

const HEADING: &str = "## A five-minute tour";

/// The address that the README shows.
const SHOWN_ADDRESS: &str = "127.0.0.1:4142";

/// Stands between the outputs of two steps; no command prints it.
const SEPARATOR: &str = "\u{1e}";

#[tokio::test]
async fn the_tour_does_what_the_readme_says() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let steps = tour::steps(&readme, HEADING);
    assert!(!steps.is_empty(), "the README has no tour: no sh block below {HEADING:?}");
    assert!(steps.iter().any(|step| step.output.is_some()), "the tour shows no output");
    let server = TestServer::start(&[]);
    let outputs = run(&steps, &server).await;
    assert_eq!(outputs.len(), steps.len(), "the shell ended early: {outputs:#?}");
    let mut wrong = Vec::new();
    for (step, output) in steps.iter().zip(&outputs) {
        if let Some(shown) = &step.output
            && let Some(difference) = differs(shown, output)
        {
            wrong.push(format!(
                "line {} of the README:\n{}\n{difference}\nreal output:\n{output}",
                step.line, step.commands
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Runs all steps in one shell; what each printed.
async fn run(steps: &[Step], server: &TestServer) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let (script, printed) = (directory.path().join("tour.sh"), directory.path().join("printed"));
    let home = directory.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let commands: Vec<&str> = steps.iter().map(|step| step.commands.as_str()).collect();
    let text = commands.join(&format!("\nprintf '{SEPARATOR}'\n")).replace(SHOWN_ADDRESS, server.address());
    std::fs::write(&script, text).unwrap();

    // Not a pipe: what a step leaves in the background would keep it open.
    let out = std::fs::File::create(&printed).unwrap();
    let binaries = Path::new(env!("CARGO_BIN_EXE_lockkeeper")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = tokio::process::Command::new("bash")
        .arg(&script)
        .current_dir(&home)
        .env("HOME", &home)
        .env("PATH", path)
        .env("LOCKKEEPER_SERVER", server.url())
        .stdin(std::process::Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let group = shell.id().and_then(|id| rustix::process::Pid::from_raw(id as i32)).unwrap();
    let ended = tokio::time::timeout(DEADLINE, shell.wait()).await;
    // Whatever still runs in the background was the tour's.
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    let printed = std::fs::read_to_string(&printed).unwrap();
    assert!(ended.is_ok(), "the tour does not end:\n{printed}");
    let printed = printed.replace(server.address(), SHOWN_ADDRESS);
    printed.split(SEPARATOR).map(str::to_owned).collect()
}

#[test]
fn a_difference_is_shown() {
    let shown =
        "ID                          OWNER\n01ARZ3NDEKTSV4RRFFQ69G5FAV  me  just now  in 29m\n…\nend\n";
    let real = "ID       OWNER\n01BX5ZZKBKACTAV9WEVGEMMVRZ  me  3s ago  in 30m\nmore\nand more\nend\n";
    assert_eq!(differs(shown, real), None);
    assert!(differs(shown, &real.replace("me", "you")).is_some_and(|difference| difference.contains("you")));
    assert!(differs("a\nb", "a").is_some() && differs("a", "a\nb").is_some());
    assert_eq!(plain("x  y"), "x y");
}
