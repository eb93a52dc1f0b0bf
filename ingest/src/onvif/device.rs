//! What a device says of itself: ONVIF's device and media services (Profile S).
//!
//! <https://www.onvif.org/ver10/device/wsdl/devicemgmt.wsdl>, <https://www.onvif.org/ver10/media/wsdl/media.wsdl>

use std::net::IpAddr;
use std::time::Duration;

use base::{Clock, Timestamp};
use outbound::Url;
use quick_xml::escape::escape;
use serde::Serialize;
use tokio::time::timeout;

use super::discovery::{Match, on_host, rehosted};
use super::soap::{DeviceError, Dialogue};
use super::xml::Element;
use crate::pull::SourceUrl;

/// Profiles of one device that are asked for.
const PROFILES: usize = 16;
/// Characters of a name, a token or a model.
const TEXT_CHARS: usize = 100;
/// For everything that one device is asked.
const PATIENCE: Duration = Duration::from_secs(15);

/// A camera that was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Camera {
    /// The address that it answered from.
    pub address: String,
    /// What it calls itself.
    pub name: Option<String>,
    /// Who made it.
    pub manufacturer: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// Where it is, as somebody told it.
    pub location: Option<String>,
    /// What it can send.
    pub profiles: Vec<Profile>,
    /// Whether it tells more to who signs in, with other credentials than were given.
    pub credentials_wanted: bool,
    /// Why it did not tell everything.
    pub trouble: Option<String>,
}

/// One way in which a camera sends.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// The profile's name.
    pub name: String,
    /// How the device knows it.
    pub token: String,
    /// `H264`, `H265`, `JPEG`, …
    pub encoding: Option<String>,
    /// Picture width in pixels.
    pub width: Option<u32>,
    /// Picture height in pixels.
    pub height: Option<u32>,
    /// Pictures per second, at most.
    pub frame_rate: Option<f64>,
    /// Where it is sent from: `rtsp` or `rtsps`, on the camera's own address, without user and password.
    pub url: Option<String>,
}

/// Asks a device that answered for all there is to know.
pub(super) async fn describe(dialogue: &Dialogue<'_>, clock: &dyn Clock, found: Match) -> Camera {
    let Match { service, name, hardware, location } = found;
    let mut camera =
        Camera { address: service.host().to_owned(), name, model: hardware, location, ..Camera::default() };
    let asked = timeout(PATIENCE, ask(dialogue, clock, &service, &mut camera)).await;
    if let Err(error) = asked.unwrap_or(Err(DeviceError::TooLong(PATIENCE))) {
        camera.credentials_wanted = matches!(error, DeviceError::Anonymous | DeviceError::Refused);
        camera.trouble = Some(error.to_string());
    }
    camera
}

async fn ask(
    dialogue: &Dialogue<'_>,
    clock: &dyn Clock,
    service: &Url,
    camera: &mut Camera,
) -> Result<(), DeviceError> {
    const DEVICE: &str = "http://www.onvif.org/ver10/device/wsdl";
    const MEDIA: &str = "http://www.onvif.org/ver10/media/wsdl";
    let host: IpAddr = service.host().parse().map_err(|_| DeviceError::Missing("address"))?;
    let body = format!(r#"<GetSystemDateAndTime xmlns="{DEVICE}"/>"#);
    let ahead = match dialogue.call(service, &body, None).await {
        Ok(answer) => device_time(&answer).map_or(0, |time| time.millis() - clock.now().millis()),
        // Nobody there; all else may be told to who signs in.
        Err(error @ DeviceError::Send(_)) => return Err(error),
        Err(_) => 0,
    };
    // Devices refuse digests of another time than their own.
    let now = || Some(Timestamp::from_millis(clock.now().millis().saturating_add(ahead)));

    let body = format!(r#"<GetDeviceInformation xmlns="{DEVICE}"/>"#);
    if let Ok(answer) = dialogue.call(service, &body, now()).await {
        let text = |name| answer.text_at(&["GetDeviceInformationResponse", name]).map(short);
        camera.manufacturer = text("Manufacturer");
        camera.model = text("Model").or(camera.model.take());
    }
    let body = format!(r#"<GetCapabilities xmlns="{DEVICE}"><Category>Media</Category></GetCapabilities>"#);
    let answer = dialogue.call(service, &body, now()).await?;
    let media = media_service(&answer, host).unwrap_or_else(|| service.clone());
    let body = format!(r#"<GetProfiles xmlns="{MEDIA}"/>"#);
    camera.profiles = profiles(&dialogue.call(&media, &body, now()).await?);
    for profile in &mut camera.profiles {
        let token = escape(&profile.token);
        let body = format!(
            r#"<GetStreamUri xmlns="{MEDIA}"><StreamSetup><Stream xmlns="http://www.onvif.org/ver10/schema">RTP-Unicast</Stream><Transport xmlns="http://www.onvif.org/ver10/schema"><Protocol>RTSP</Protocol></Transport></StreamSetup><ProfileToken>{token}</ProfileToken></GetStreamUri>"#
        );
        profile.url = stream_url(&dialogue.call(&media, &body, now()).await?, host);
    }
    Ok(())
}

/// The device's clock, in an answer to GetSystemDateAndTime.
pub fn device_time(body: &Element) -> Option<Timestamp> {
    let utc = body.at(&["GetSystemDateAndTimeResponse", "SystemDateAndTime", "UTCDateTime"])?;
    let part = |path: &[&str], most: u32| utc.number_at::<u32>(path).filter(|value| *value <= most);
    let (year, month, day) =
        (part(&["Date", "Year"], 9999)?, part(&["Date", "Month"], 12)?, part(&["Date", "Day"], 31)?);
    let (hour, minute, second) =
        (part(&["Time", "Hour"], 23)?, part(&["Time", "Minute"], 59)?, part(&["Time", "Second"], 60)?);
    let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second.min(59));
    Timestamp::parse(&text).ok()
}

/// Where the media service is, in an answer to GetCapabilities.
pub fn media_service(body: &Element, host: IpAddr) -> Option<Url> {
    on_host(body.text_at(&["GetCapabilitiesResponse", "Capabilities", "Media", "XAddr"])?, host)
}

/// The profiles with video in an answer to GetProfiles, without their URLs.
pub fn profiles(body: &Element) -> Vec<Profile> {
    let Some(response) = body.at(&["GetProfilesResponse"]) else { return Vec::new() };
    let profile = |profile: &Element| {
        let token =
            profile.token.as_deref().filter(|token| !token.is_empty() && token.len() <= TEXT_CHARS)?;
        let video = profile.at(&["VideoEncoderConfiguration"])?;
        let rate = video.number_at::<f64>(&["RateControl", "FrameRateLimit"]);
        Some(Profile {
            name: profile.text_at(&["Name"]).map_or_else(|| token.to_owned(), short),
            token: token.to_owned(),
            encoding: video.text_at(&["Encoding"]).map(short),
            width: video.number_at(&["Resolution", "Width"]),
            height: video.number_at(&["Resolution", "Height"]),
            frame_rate: rate.filter(|rate| rate.is_finite() && *rate > 0.0),
            url: None,
        })
    };
    response.all("Profiles").filter_map(profile).take(PROFILES).collect()
}

/// The URL in an answer to GetStreamUri, on the camera's host; `None` for none that could be pulled from.
pub fn stream_url(body: &Element, host: IpAddr) -> Option<String> {
    let told = body.text_at(&["GetStreamUriResponse", "MediaUri", "Uri"])?;
    let url = rehosted(told, host, &["rtsp", "rtsps"])?;
    SourceUrl::parse(&url).ok().map(|_| url)
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS).collect()
}
