//! `millrace tail`: the records of a data stream, as they arrive, from the server that runs on the data folder.

mod line;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::process::ExitCode;
use std::time::Duration;

use base::{StreamName, SystemEntropy, backoff};
use clap::Args;

use super::Place;
use super::client::{Client, Lines};
use super::error::CliError;
use crate::auth::sigv4::encode;
use crate::config::Config;
use line::{Line, Record};

/// Between two attempts to reach a server that went away.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(5);

pub(super) const EXAMPLES: &str = "\
Examples:
  millrace tail orders                                    new records, until Ctrl-C
  millrace tail orders --from 5m                          and those of the last five minutes
  millrace tail orders --from 2026-01-31T14:05:00Z --shard 3
  millrace tail orders --from TRIM_HORIZON --no-follow --json > orders.jsonl
  millrace tail orders --json | jq -r 'select(.partition_key == \"7\") | .data'
  millrace tail fragments.front-door --limit 1            the next fragment of a camera

A line is time, shard, partition key and data. Data that is no text is shown in hex; control
characters are written out. With --json a line is an object: shard_id, sequence_number, arrived,
partition_key, encoding (text or base64), data, size_bytes.

When the server goes away, it is tried again until it is back; nothing is missed or told twice.
Ctrl-C and a reader that went away (head) end it with 0.";

/// What to print.
#[derive(Args)]
pub(super) struct Options {
    /// The data stream; fragments.NAME for the fragments of a video stream
    #[arg(value_name = "STREAM", value_parser = StreamName::new)]
    stream: StreamName,
    /// Where to begin: TRIM_HORIZON, LATEST, a time (ISO 8601, epoch seconds or ms), or how long ago: 90s, 5m, 2h,
    /// 1d [default: LATEST; with --no-follow TRIM_HORIZON]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
    /// One shard only, by its id or number
    #[arg(long, value_name = "ID")]
    shard: Option<String>,
    /// End after so many records
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    limit: Option<u64>,
    /// End with the records that are there now
    #[arg(long)]
    no_follow: bool,
    #[command(flatten)]
    place: Place,
}

/// Prints until the end, Ctrl-C, or until nobody reads any more.
pub(super) fn run(options: Options) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tail = Tail::new(options)?;
    let outcome = runtime.block_on(async {
        // On a thread of its own: a terminal or a pipe that takes nothing must not hold up Ctrl-C.
        let printing = tokio::task::spawn_blocking(move || tail.run());
        tokio::select! {
            printed = printing => printed.unwrap_or_else(|panic| Err(io::Error::other(panic).into())),
            interrupted = tokio::signal::ctrl_c() => interrupted.map_err(CliError::from),
        }
    });
    runtime.shutdown_background();
    outcome.map(|()| ExitCode::SUCCESS)
}

struct Tail {
    options: Options,
    config: Config,
    /// Where another connection goes on.
    cursor: Option<String>,
    /// By shard: the number of the last record that was printed. A cursor is told once a second, so that a new
    /// connection tells some records again.
    printed: HashMap<String, String>,
    /// Records that are still wanted.
    left: Option<u64>,
    colour: bool,
    out: BufWriter<Stdout>,
}

/// Why a connection is not read any more before it has come to its end.
enum Broken {
    /// It is tried again.
    Lost(String),
    /// It is of no use to try again.
    For(CliError),
    /// All that is wanted is printed, or nobody reads it.
    Over,
}

impl From<CliError> for Broken {
    fn from(error: CliError) -> Self {
        match error {
            CliError::Refused(_) => Self::For(error),
            // Also where the server's files are missing: it is about to start.
            other => Self::Lost(other.to_string()),
        }
    }
}

impl Tail {
    fn new(mut options: Options) -> Result<Self, CliError> {
        let place = Place { config: options.place.config.take(), data: options.place.data.take() };
        let config = place.config()?;
        let stdout = io::stdout();
        let colour = stdout.is_terminal()
            && !options.json
            && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        let (left, out) = (options.limit, BufWriter::new(stdout));
        Ok(Self { options, config, cursor: None, printed: HashMap::new(), left, colour, out })
    }

    fn run(mut self) -> Result<(), CliError> {
        let mut failures = None;
        loop {
            let why = match self.connection(&mut failures) {
                Ok(()) | Err(Broken::Over) => return Ok(()),
                Err(Broken::For(error)) => return Err(error),
                Err(Broken::Lost(why)) => why,
            };
            let Some(before) = failures else {
                return Err(CliError::NotRunning { data: self.config.data, cause: why });
            };
            if before == 0 {
                notice(&format!("{why}: trying again until the server is back"));
            }
            std::thread::sleep(backoff(FIRST_PAUSE, LAST_PAUSE, before, &SystemEntropy));
            failures = Some(before.saturating_add(1));
        }
    }

    /// One connection to its end. `failures` counts attempts since the last good one; there was none at first.
    fn connection(&mut self, failures: &mut Option<u32>) -> Result<(), Broken> {
        let mut lines = Client::new(&self.config)?.lines(&self.path())?;
        if failures.replace(0).is_some() {
            notice("connected again");
        }
        let ended = self.print(&mut lines);
        self.out.flush().map_err(unread)?;
        ended
    }

    fn print(&mut self, lines: &mut Lines) -> Result<(), Broken> {
        loop {
            if !lines.is_ready() {
                self.out.flush().map_err(unread)?;
            }
            let lost = |why: &str| Broken::Lost(why.to_owned());
            let text = lines.next().map_err(|error| lost(&format!("the connection broke: {error}")))?;
            let text = text.ok_or_else(|| lost("the connection ended"))?;
            match Line::read(&text).ok_or_else(|| lost("the answer is not this version's"))? {
                Line::Record(record) => self.record(&record, &text)?,
                Line::Cursor { cursor, end } => {
                    self.cursor = Some(cursor);
                    match end.as_deref() {
                        None => {}
                        Some("stopping") => return Err(lost("the server stops")),
                        Some(_) => return Ok(()),
                    }
                }
                Line::Error { error } if matches!(&*error.code, "internal" | "unavailable") => {
                    return Err(Broken::Lost(error.message));
                }
                Line::Error { error } => return Err(Broken::For(CliError::Refused(error.message))),
            }
        }
    }

    fn record(&mut self, record: &Record, text: &str) -> Result<(), Broken> {
        let last = self.printed.entry(record.shard_id.clone()).or_default();
        if by_number(last, &record.sequence_number) != Ordering::Less {
            return Ok(());
        }
        last.clone_from(&record.sequence_number);
        let line = if self.options.json { line::json(text) } else { record.human(self.colour) };
        self.out.write_all(line.as_bytes()).and_then(|()| self.out.write_all(b"\n")).map_err(unread)?;
        self.left = self.left.map(|left| left.saturating_sub(1));
        if self.left == Some(0) {
            self.out.flush().map_err(unread)?;
            return Err(Broken::Over);
        }
        Ok(())
    }

    fn path(&self) -> String {
        let Options { stream, from, shard, no_follow, .. } = &self.options;
        let mut path = format!("/v1/data-streams/{stream}/records?follow={}", !no_follow);
        let from = from.as_ref().filter(|_| self.cursor.is_none());
        for (name, value) in [("from", from), ("shard", shard.as_ref()), ("cursor", self.cursor.as_ref())] {
            if let Some(value) = value {
                path += &format!("&{name}={}", encode(value.as_bytes(), false));
            }
        }
        path
    }
}

/// Numbers in decimal digits, in their order.
fn by_number(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// Why nothing can be printed.
fn unread(error: io::Error) -> Broken {
    if error.kind() == io::ErrorKind::BrokenPipe { Broken::Over } else { Broken::For(error.into()) }
}

fn notice(text: &str) {
    let _ = writeln!(io::stderr(), "millrace: {text}");
}
