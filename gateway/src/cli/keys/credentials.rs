//! Access keys for API clients, device credentials for cameras and players.

use std::fmt::Write as _;
use std::path::PathBuf;

use catalog::{Allow, Policy, Secret, StreamGlob};
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::{CliError, Folder, Keys};

#[derive(Args)]
pub(in crate::cli) struct Create {
    #[command(flatten)]
    pub(super) folder: Folder,
    /// Make a device credential for the streams that match: * and ? are wildcards
    #[arg(long, value_name = "GLOB", requires = "allow")]
    stream: Option<String>,
    /// What the device may: a list of publish, play, create (the first push makes the stream)
    #[arg(long, value_name = "RIGHTS", requires = "stream")]
    allow: Option<String>,
    /// A file with an IAM policy that says what the access key may; everything, without one
    #[arg(long, value_name = "FILE", conflicts_with = "stream")]
    policy: Option<PathBuf>,
    /// A chosen access key id
    #[arg(long, value_name = "ID", requires = "secret_file", conflicts_with = "stream")]
    access_key_id: Option<String>,
    /// A file that holds the chosen secret
    #[arg(long, value_name = "FILE", requires = "access_key_id")]
    secret_file: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// A credential to be made.
pub(super) enum Wanted {
    AccessKey(Option<(String, Secret)>, Option<Policy>),
    Device(StreamGlob, Allow),
}

impl Create {
    pub(super) fn wanted(&self) -> Result<Wanted, CliError> {
        if let (Some(glob), Some(allow)) = (&self.stream, &self.allow) {
            return Ok(Wanted::Device(glob.parse()?, allow.parse()?));
        }
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path).map_err(|source| CliError::File { path: path.clone(), source })
        };
        let policy = self.policy.as_ref().map(read).transpose()?;
        let policy = policy.map(|json| Policy::parse(&json)).transpose()?;
        let chosen = self.access_key_id.as_ref().zip(self.secret_file.as_ref());
        let chosen =
            chosen.map(|(id, path)| Ok::<_, CliError>((id.clone(), Secret::new(read(path)?.trim()))));
        Ok(Wanted::AccessKey(chosen.transpose()?, policy))
    }
}

impl Keys {
    pub(super) fn create(&self, wanted: Wanted) -> Result<Value, CliError> {
        match (self, wanted) {
            (Self::Running(client), Wanted::AccessKey(chosen, policy)) => {
                let mut body = json!({});
                if let Some((id, secret)) = chosen {
                    body = json!({ "access_key_id": id, "secret_access_key": secret.expose() });
                }
                if let Some(policy) = policy {
                    body["policy"] = json!(policy);
                }
                client.call(Method::POST, "/v1/keys", Some(&body))
            }
            (Self::Running(client), Wanted::Device(glob, allow)) => {
                let allow: Vec<String> = allow.to_string().split(',').map(str::to_owned).collect();
                client.call(
                    Method::POST,
                    "/v1/devices",
                    Some(&json!({ "stream": glob.as_str(), "allow": allow })),
                )
            }
            (Self::Stopped { catalog, runtime, .. }, Wanted::AccessKey(chosen, policy)) => {
                let key = runtime.block_on(catalog.create_access_key(chosen, policy))?;
                Ok(json!({ "access_key_id": key.id, "secret_access_key": key.secret.expose() }))
            }
            (Self::Stopped { catalog, runtime, .. }, Wanted::Device(glob, allow)) => {
                let made = runtime.block_on(catalog.create_device(glob, allow))?;
                Ok(json!({
                    "username": made.username,
                    "password": made.password.expose(),
                    "token": made.token.expose(),
                }))
            }
        }
    }

    pub(super) fn list(&self) -> Result<Value, CliError> {
        match self {
            Self::Running(client) => client.call(Method::GET, "/v1/keys", None),
            Self::Stopped { catalog, .. } => Ok(crate::native::credentials(catalog)),
        }
    }

    pub(super) fn revoke(&self, id: &str) -> Result<(), CliError> {
        match self {
            Self::Running(client) => client.call(Method::DELETE, &format!("/v1/keys/{id}"), None).map(drop),
            Self::Stopped { catalog, runtime, .. } if catalog.device_by_username(id).is_some() => {
                Ok(runtime.block_on(catalog.revoke_device(id))?)
            }
            Self::Stopped { catalog, runtime, .. } => Ok(runtime.block_on(catalog.revoke_access_key(id))?),
        }
    }
}

/// `name: value` of each member.
pub(super) fn lines(made: &Value) -> String {
    made.as_object().into_iter().flatten().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name}: {}", value.as_str().unwrap_or_default());
        text
    })
}

/// One line for each credential that stands or stood.
pub(super) fn table(found: &Value) -> String {
    let entries = |name: &str| found[name].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let state = |entry: &Value| if entry["revoked"].is_null() { "" } else { "  revoked" };
    let mut out = String::new();
    for key in entries("access_keys") {
        let root = if key["root"] == true { "  root" } else { "" };
        let policy = if key["policy"].is_null() { "" } else { "  policy" };
        let _ = writeln!(out, "{}  access key{root}{policy}{}", text(&key["access_key_id"]), state(&key));
    }
    for device in entries("devices") {
        let allow: Vec<String> = device["allow"].as_array().into_iter().flatten().map(text).collect();
        let (name, glob) = (text(&device["username"]), text(&device["stream"]));
        let _ = writeln!(out, "{name}  device  {glob}  {}{}", allow.join(","), state(&device));
    }
    out
}
