//! `millrace verify`: reads every stored byte, tells what is damaged, and mends what can be mended.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, StreamId, StreamName, SystemClock, SystemEntropy};
use clap::Args;
use fragment_log::{Damage, Finding, MasterKey, Progress, Summary, Verify};
use serde_json::{Value, json};

use super::Folder;
use super::error::CliError;
use crate::config::Config;
use crate::server::{index_dir, master_key};

/// The progress line is written this often.
const EVERY: Duration = Duration::from_secs(1);

/// What exits with 2: the check could not run.
const COULD_NOT_RUN: u8 = 2;

#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    folder: Folder,
    /// Check checksums only, without the master key
    #[arg(long)]
    no_keys: bool,
    /// No progress on standard error
    #[arg(long)]
    quiet: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// On a stopped data folder: rebuild what other bytes tell, copy the rest to .damaged files
    #[arg(long)]
    repair: bool,
}

/// Exits with 0 where all is whole, 1 where something is damaged, 2 where the check could not run.
pub(super) fn run(options: Options) -> Result<ExitCode, CliError> {
    check(options).or_else(|error| {
        let _ = writeln!(std::io::stderr(), "millrace: {error}");
        Ok(ExitCode::from(COULD_NOT_RUN))
    })
}

fn check(options: Options) -> Result<ExitCode, CliError> {
    let Options { folder, no_keys, quiet, json, repair } = options;
    let config = folder.existing()?;
    let master = if no_keys { None } else { found_key(&config) };
    let verify = Verify::new(&config.data, master);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut teller = Teller {
        out: std::io::stdout(),
        json,
        progress: (!quiet && std::io::stderr().is_terminal()).then(|| Meter::new(clock)),
        names: HashMap::new(),
    };
    let mut each = |finding: Finding<'_>| teller.tell(finding);
    let summary = if repair { verify.repair(&mut each) } else { verify.run(&mut each) }?;
    teller.end_progress();
    let views = indexer::damaged_views(&index_dir(&config));
    for (file, what) in &views {
        let file = file.display();
        teller.line(
            &format!("{file}: damaged: {what}; `millrace reindex` rebuilds it"),
            &json!({ "damaged_index": file.to_string(), "what": what }),
        );
    }
    teller
        .line(&closing(&summary, views.len()), &closing_json(&summary, views.len(), verify.master.is_some()));
    let whole = summary.damages == 0 && views.is_empty();
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The master key, where there is one and a table that it could open.
fn found_key(config: &Config) -> Option<MasterKey> {
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let tables = ["keys/table.0", "keys/table.1"].map(|name| config.data.join(name));
    let key = if tables.iter().any(|table| table.exists()) {
        master_key(config, &entropy).map_err(|error| error.to_string())
    } else {
        Err("there is no key table".to_owned())
    };
    key.inspect_err(|why| {
        let _ = writeln!(std::io::stderr(), "millrace: no key, so checksums only: {why}");
    })
    .ok()
}

fn closing(summary: &Summary, views: usize) -> String {
    let Summary { segments, frames, bytes, shredded, freed, damages, torn_tails, set_aside } = summary;
    let views = if views > 0 { format!(", {views} damaged indexes") } else { String::new() };
    format!(
        "{segments} segments, {frames} frames, {bytes} bytes checked: {damages} damaged places{views}; \
         {shredded} frames of deleted streams, {freed} given back, {torn_tails} unfinished ends, {set_aside} set aside"
    )
}

fn closing_json(summary: &Summary, views: usize, keys: bool) -> Value {
    let Summary { segments, frames, bytes, shredded, freed, damages, torn_tails, set_aside } = summary;
    json!({ "summary": {
        "segments": segments, "frames": frames, "bytes": bytes, "damaged_places": damages,
        "damaged_indexes": views, "frames_of_deleted_streams": shredded, "frames_given_back": freed,
        "unfinished_ends": torn_tails, "set_aside": set_aside, "with_keys": keys,
    } })
}

/// Tells what is found, line by line.
struct Teller {
    out: std::io::Stdout,
    json: bool,
    progress: Option<Meter>,
    /// Of the streams that the control lane has told so far: it is read first.
    names: HashMap<StreamId, StreamName>,
}

impl Teller {
    fn tell(&mut self, finding: Finding<'_>) {
        match finding {
            Finding::Progress(progress) => {
                if let Some(meter) = &mut self.progress {
                    meter.show(progress);
                }
            }
            Finding::Command(command) => self.names.extend(catalog::stream_name(command)),
            Finding::Damage(damage) => self.line(&self.text(&damage), &self.value(&damage)),
            Finding::Quarantined { damage, copy } => {
                let (text, mut value) = (self.text(&damage), self.value(&damage));
                value["copy"] = json!(copy.display().to_string());
                self.line(&format!("{text}; copied to {}", copy.display()), &value);
            }
            Finding::Rebuilt(file) => {
                let file = file.display().to_string();
                self.line(&format!("{file}: rebuilt"), &json!({ "rebuilt": file }));
            }
            Finding::SetAside(file) => {
                let file = file.display().to_string();
                self.line(&format!("{file}: an unfinished end, set aside"), &json!({ "set_aside": file }));
            }
        }
    }

    /// A reader that went away is told by the exit code.
    fn line(&mut self, text: &str, value: &Value) {
        self.end_progress();
        let _ = if self.json { writeln!(self.out, "{value}") } else { writeln!(self.out, "{text}") };
    }

    fn end_progress(&mut self) {
        if let Some(meter) = &mut self.progress {
            meter.clear();
        }
    }

    fn text(&self, damage: &Damage) -> String {
        let Damage { file, offset, bytes, stream, time, what } = damage;
        let stream = stream.map(|stream| format!(", stream {}", self.name(stream))).unwrap_or_default();
        let time = time.map(|time| format!(", {time}")).unwrap_or_default();
        format!("{}: damaged at byte {offset} ({bytes} bytes): {what}{stream}{time}", file.display())
    }

    fn value(&self, damage: &Damage) -> Value {
        let Damage { file, offset, bytes, stream, time, what } = damage;
        json!({
            "damaged": file.display().to_string(), "offset": offset, "bytes": bytes, "what": what,
            "stream": stream.map(|stream| self.name(stream)),
            "time": time.map(|time| time.to_string()),
        })
    }

    fn name(&self, stream: StreamId) -> String {
        self.names.get(&stream).map_or_else(|| stream.to_string(), ToString::to_string)
    }
}

/// A line on the terminal that is written over.
struct Meter {
    clock: Arc<dyn Clock>,
    begun: Duration,
    shown: Option<Duration>,
}

impl Meter {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self { begun: clock.monotonic(), clock, shown: None }
    }

    fn show(&mut self, progress: Progress) {
        let now = self.clock.monotonic();
        if now.saturating_sub(self.shown.unwrap_or(self.begun)) < EVERY {
            return;
        }
        self.shown = Some(now);
        let _ = write!(std::io::stderr(), "\r\x1b[K{}", progress_line(progress, now - self.begun));
    }

    fn clear(&mut self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// How far, of how much, how fast.
fn progress_line(progress: Progress, took: Duration) -> String {
    const MB: f64 = 1e6;
    let Progress { segments, of_segments, bytes, of_bytes } = progress;
    let rate = bytes as f64 / MB / took.as_secs_f64().max(0.001);
    let (bytes, of_bytes) = (bytes as f64 / MB, of_bytes as f64 / MB);
    format!("{segments} of {of_segments} segments, {bytes:.0} of {of_bytes:.0} MB, {rate:.0} MB/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_how_far_and_how_fast() {
        let progress = Progress { segments: 3, of_segments: 40, bytes: 600_000_000, of_bytes: 9_000_000_000 };
        let line = progress_line(progress, Duration::from_secs(2));
        assert_eq!(line, "3 of 40 segments, 600 of 9000 MB, 300 MB/s");
    }
}
