//! A small disk that can be full.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Waits for the end of its standard input, which comes when the test's process is gone, and
/// unmounts then.
const WATCH: &str = r#"read -r _; umount -l "$1" 2>/dev/null"#;
/// Takes what large pieces leave.
const PIECES: [usize; 5] = [1024 * 1024, 64 * 1024, 4096, 512, 1];

/// A small file system of its own, unmounted at the end, however the test ends.
pub(crate) struct SmallDisk {
    path: PathBuf,
    watch: Child,
}

impl SmallDisk {
    /// At this path, which is made. `None` when this process may not mount.
    pub(crate) fn mount(path: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir(path).unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(path)
            .stderr(Stdio::null())
            .status();
        if !status.is_ok_and(|status| status.success()) {
            return None;
        }
        let watch = Command::new("sh")
            .args(["-c", WATCH, "watch"])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Some(Self { path: path.to_path_buf(), watch: watch.unwrap() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all the space that is left.
    pub(crate) fn fill(&self) {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(self.filler()).unwrap();
        for size in PIECES {
            let piece = vec![0; size];
            while file.write_all(&piece).is_ok() {}
        }
    }

    /// Gives back what [`Self::fill`] took.
    pub(crate) fn clear(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
        let _ = self.watch.kill();
        let _ = self.watch.wait();
    }
}
