//! The demo camera, as a device like any other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use base::StreamName;
use catalog::{Allow, StreamGlob};
use ingest::demo::{self, DemoCamera};
use tokio::sync::watch;

use super::{Addresses, ServerError};
use crate::app::App;

const STREAM: &str = "demo";

/// The camera's task, with a credential of its own that outlives a restart.
pub(super) async fn camera(
    app: &Arc<App>,
    addresses: &Addresses,
    stopped: watch::Receiver<bool>,
) -> Result<impl Future<Output = ()> + use<>, ServerError> {
    let stream = StreamName::new(STREAM).expect("the demo stream's name is a stream name");
    let glob = StreamGlob::new(STREAM)?;
    let allow = Allow { publish: true, play: false, create: true };
    let known = app
        .catalog
        .devices()
        .into_iter()
        .find(|device| device.revoked.is_none() && device.streams == glob && device.allow == allow);
    let (username, password) = match known {
        Some(device) => (device.username.clone(), device.password.clone()),
        None => {
            let made = app.catalog.create_device(glob, allow).await?;
            (made.username, made.password)
        }
    };
    let camera = DemoCamera { server: reachable(addresses.rtsp), stream, username, password };
    Ok(demo::run(camera, Arc::clone(&app.clock), Arc::clone(&app.entropy), stopped))
}

/// A wildcard address is reached over loopback.
fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}
