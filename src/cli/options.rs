//! Options that every client command understands.

use super::values::GoDuration;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Which server to ask, as whom, and how to show the answer.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Client options")]
pub struct ClientOptions {
    /// Server to ask; repeat it for several: the next is tried when one is away or answers 503.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "LOCKKEEPER_SERVER",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:4142"
    )]
    pub server: Vec<String>,

    /// File with the bearer token.
    #[arg(long, global = true, value_name = "FILE", env = "LOCKKEEPER_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,

    /// PEM file with the authorities to trust for https, instead of the system's.
    #[arg(long, global = true, value_name = "FILE", env = "LOCKKEEPER_CA_FILE")]
    pub ca_file: Option<PathBuf>,

    /// How long connecting to a server may take.
    #[arg(long, global = true, value_name = "DURATION", default_value = "5s")]
    pub timeout: GoDuration,

    /// How to print the answer.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// How answers are printed on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON document per line.
    Jsonl,
    /// More columns.
    Wide,
    /// Only ids, one per line.
    Name,
}
