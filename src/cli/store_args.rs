//! The flags of the commands that work on a data directory, without a server.

use clap::Args;
use std::path::PathBuf;

/// Flags of `backup`.
#[derive(Args, Clone, Debug)]
pub struct BackupArgs {
    /// File to write.
    pub file: PathBuf,
    /// The data directory [default: as `serve` finds it].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Flags of `restore`.
#[derive(Args, Clone, Debug)]
pub struct RestoreArgs {
    /// A file that `backup` wrote.
    pub file: PathBuf,
    /// The data directory [default: as `serve` finds it].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Replace what the data directory holds.
    #[arg(long)]
    pub force: bool,
}

/// Flags of `compact`.
#[derive(Args, Clone, Debug)]
pub struct CompactArgs {
    /// The data directory [default: as `serve` finds it].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}
