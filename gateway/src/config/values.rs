//! Values as text: how each kind is read, shown and written in TOML.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ingest::TimestampSource;
use outbound::Network;

/// A field of the configuration.
pub trait Value {
    /// Takes a value, or says what it has to be.
    fn set(&mut self, text: &str) -> Result<(), String>;
    /// Takes a TOML list, of which [`Self::set`] is told with commas between.
    fn set_list(&mut self, entries: Vec<String>) -> Result<(), String> {
        self.set(&entries.join(","))
    }
    /// The value as [`Self::set`] takes it; empty where there is none.
    fn show(&self) -> String;
    /// Whether TOML writes it without quotes.
    fn is_bare(&self) -> bool {
        false
    }
}

/// Reads with `FromStr` and shows with `Display`.
macro_rules! plain {
    ($kind:ty, $bare:literal, $what:literal) => {
        impl Value for $kind {
            fn set(&mut self, text: &str) -> Result<(), String> {
                *self = text.parse().map_err(|_| concat!("is not ", $what).to_owned())?;
                Ok(())
            }
            fn show(&self) -> String {
                self.to_string()
            }
            fn is_bare(&self) -> bool {
                $bare
            }
        }
    };
}

plain!(bool, true, "true or false");
plain!(usize, true, "a whole number");
plain!(String, false, "text");
plain!(SocketAddr, false, "an address and port, such as 127.0.0.1:4567 or [::]:4567");

impl Value for PathBuf {
    fn set(&mut self, text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Err("is not a path".into());
        }
        *self = text.into();
        Ok(())
    }
    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Value for Option<PathBuf> {
    fn set(&mut self, text: &str) -> Result<(), String> {
        *self = (!text.is_empty()).then(|| text.into());
        Ok(())
    }
    fn show(&self) -> String {
        self.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
    }
}

/// Reads and shows a list with commas between.
macro_rules! list {
    ($of:ty, $what:literal) => {
        impl Value for Vec<$of> {
            fn set(&mut self, text: &str) -> Result<(), String> {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                let refuse = |_| concat!("is not a list of ", $what, " with commas between").to_owned();
                *self = parts.map(|part| part.parse().map_err(refuse)).collect::<Result<_, String>>()?;
                Ok(())
            }
            fn show(&self) -> String {
                self.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
            }
        }
    };
}

list!(IpAddr, "IP addresses");
list!(Network, "networks, such as 192.168.0.0/16 or fd00::/8,");

/// A program and its arguments, as text with spaces between.
pub fn words(command: &str) -> Vec<String> {
    command.split_whitespace().map(str::to_owned).collect()
}

/// A program and its arguments. As text its words stand between spaces; a list takes any words.
impl Value for Vec<String> {
    fn set(&mut self, text: &str) -> Result<(), String> {
        *self = words(text);
        Ok(())
    }
    fn set_list(&mut self, entries: Vec<String>) -> Result<(), String> {
        *self = entries;
        Ok(())
    }
    fn show(&self) -> String {
        self.join(" ")
    }
}

/// Units of a duration, the largest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Value for Duration {
    fn set(&mut self, text: &str) -> Result<(), String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = text.split_at(digits);
        let unit = UNITS.iter().find(|(name, _)| *name == unit.trim());
        let millis = unit.and_then(|(_, millis)| count.parse::<u64>().ok()?.checked_mul(*millis));
        *self = millis
            .map(Duration::from_millis)
            .ok_or("is not a duration: a whole number and d, h, m, s or ms, such as 10s")?;
        Ok(())
    }
    fn show(&self) -> String {
        let millis = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        let (unit, size) =
            UNITS.iter().find(|(_, size)| millis % size == 0 && millis > 0).unwrap_or(&UNITS[3]);
        format!("{}{unit}", millis / size)
    }
}

/// A part of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Hundredths of it, at most 90.
    Percent(u8),
    /// So many bytes.
    Bytes(u64),
}

impl Share {
    /// In bytes, of a disk that has so many.
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Percent(percent) => total / 100 * u64::from(percent),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// Units of a size, the largest first.
const SIZES: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1)];

impl Value for Share {
    fn set(&mut self, text: &str) -> Result<(), String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = text.split_at(digits);
        let percent = || count.parse().ok().filter(|percent| *percent <= 90).map(Self::Percent);
        let share = match unit.trim() {
            "%" => percent(),
            _ => parse_bytes(text).map(Self::Bytes),
        };
        *self = share.ok_or(
            "is not a share of a disk: up to 90%, or bytes with KiB, MiB, GiB or TiB, such as 50GiB",
        )?;
        Ok(())
    }
    fn show(&self) -> String {
        match self {
            Self::Percent(percent) => format!("{percent}%"),
            Self::Bytes(bytes) => show_bytes(*bytes),
        }
    }
}

/// An amount of memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory(pub usize);

impl Value for Memory {
    fn set(&mut self, text: &str) -> Result<(), String> {
        let bytes = parse_bytes(text).and_then(|bytes| usize::try_from(bytes).ok());
        self.0 = bytes.ok_or("is not a size: bytes with KiB, MiB, GiB or TiB, such as 256MiB")?;
        Ok(())
    }
    fn show(&self) -> String {
        show_bytes(self.0 as u64)
    }
}

fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let (_, size) = SIZES.iter().find(|(name, _)| *name == unit.trim())?;
    count.parse::<u64>().ok()?.checked_mul(*size)
}

fn show_bytes(bytes: u64) -> String {
    let fits = |(_, size): &&(&str, u64)| bytes.is_multiple_of(*size) && bytes > 0;
    let (unit, size) = SIZES.iter().find(fits).unwrap_or(&SIZES[4]);
    format!("{}{unit}", bytes / size)
}

/// Twelve digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account(pub String);

impl Default for Account {
    fn default() -> Self {
        Self("000000000000".into())
    }
}

impl Value for Account {
    fn set(&mut self, text: &str) -> Result<(), String> {
        if text.len() != 12 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err("is not an account: twelve digits".into());
        }
        self.0 = text.into();
        Ok(())
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}

/// `us-east-1` and the like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region(pub String);

impl Default for Region {
    fn default() -> Self {
        Self("us-east-1".into())
    }
}

impl Value for Region {
    fn set(&mut self, text: &str) -> Result<(), String> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=40).contains(&text.len()) || !text.bytes().all(allowed) {
            return Err("is not a region: a-z, 0-9 and -, such as us-east-1".into());
        }
        self.0 = text.into();
        Ok(())
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}

/// `http://` or `https://`, a host, perhaps a port and a path; no slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// The URL, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its host, without brackets and port.
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or("");
        match authority.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or(""),
            None => authority.split(':').next().unwrap_or(""),
        }
    }
}

impl Value for Option<BaseUrl> {
    fn set(&mut self, text: &str) -> Result<(), String> {
        if text.is_empty() {
            *self = None;
            return Ok(());
        }
        let uri: http::Uri = text.parse().map_err(|_| "is not a URL".to_owned())?;
        let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        if !scheme || uri.host().is_none_or(str::is_empty) || uri.query().is_some() || text.contains('@') {
            return Err("is not a base URL: http:// or https://, a host, perhaps a port and a path".into());
        }
        *self = Some(BaseUrl(text.trim_end_matches('/').into()));
        Ok(())
    }
    fn show(&self) -> String {
        self.as_ref().map(|url| url.0.clone()).unwrap_or_default()
    }
}

/// Which parts of the family a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roles {
    /// All of them.
    All,
}

impl Value for Roles {
    fn set(&mut self, text: &str) -> Result<(), String> {
        match text {
            "all" => Ok(()),
            _ => Err("is not a role: use all".into()),
        }
    }
    fn show(&self) -> String {
        match self {
            Self::All => "all".into(),
        }
    }
}

impl Value for TimestampSource {
    fn set(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "auto" => Self::Auto,
            "camera" => Self::Camera,
            "server" => Self::Server,
            _ => return Err("is not a clock: use auto, camera or server".into()),
        };
        Ok(())
    }
    fn show(&self) -> String {
        match self {
            Self::Auto => "auto".into(),
            Self::Camera => "camera".into(),
            Self::Server => "server".into(),
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Value for LogFormat {
    fn set(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "text" => Self::Text,
            "json" => Self::Json,
            _ => return Err("is not a log format: use text or json".into()),
        };
        Ok(())
    }
    fn show(&self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Json => "json".into(),
        }
    }
}
