//! What a device says of itself: ONVIF's device service, and its media service (Profile S) or, where it has only that,
//! the second one (Profile T).
//!
//! <https://www.onvif.org/ver10/device/wsdl/devicemgmt.wsdl>, <https://www.onvif.org/ver10/media/wsdl/media.wsdl>,
//! <https://www.onvif.org/ver20/media/wsdl/media.wsdl>

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
const DEVICE: &str = "http://www.onvif.org/ver10/device/wsdl";
const MEDIA: &str = "http://www.onvif.org/ver10/media/wsdl";
const MEDIA_2: &str = "http://www.onvif.org/ver20/media/wsdl";
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
    let media = find_media(dialogue, service, host, &now).await?;
    camera.profiles = profiles(&dialogue.call(media.url(), &media.ask_profiles(), now()).await?);
    for profile in &mut camera.profiles {
        let body = media.ask_url(&profile.token);
        let media = media.url();
        profile.url = stream_url(&dialogue.call(media, &body, now()).await?, host);
    }
    Ok(())
}

/// The media service of a device: the first version where there is one.
async fn find_media(
    dialogue: &Dialogue<'_>,
    service: &Url,
    host: IpAddr,
    now: impl Fn() -> Option<Timestamp>,
) -> Result<MediaService, DeviceError> {
    let body = format!(r#"<GetCapabilities xmlns="{DEVICE}"><Category>Media</Category></GetCapabilities>"#);
    let first = dialogue.call(service, &body, now()).await;
    if let Ok(answer) = &first
        && let Some(url) = media_service(answer, host)
    {
        return Ok(MediaService::First(url));
    }
    let body = format!(
        r#"<GetServices xmlns="{DEVICE}"><IncludeCapability>false</IncludeCapability></GetServices>"#
    );
    match dialogue.call(service, &body, now()).await.ok().and_then(|answer| listed_service(&answer, host)) {
        Some(found) => Ok(found),
        // Some name no address, and have it all at one.
        None => first.map(|_| MediaService::First(service.clone())),
    }
}

/// Where profiles are asked for, and in which version's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaService {
    /// `http://www.onvif.org/ver10/media/wsdl`.
    First(Url),
    /// `http://www.onvif.org/ver20/media/wsdl`.
    Second(Url),
}

impl MediaService {
    fn url(&self) -> &Url {
        match self {
            Self::First(url) | Self::Second(url) => url,
        }
    }

    fn ask_profiles(&self) -> String {
        match self {
            Self::First(_) => format!(r#"<GetProfiles xmlns="{MEDIA}"/>"#),
            Self::Second(_) => {
                format!(r#"<GetProfiles xmlns="{MEDIA_2}"><Type>VideoEncoder</Type></GetProfiles>"#)
            }
        }
    }

    fn ask_url(&self, token: &str) -> String {
        let token = escape(token);
        match self {
            Self::First(_) => format!(
                r#"<GetStreamUri xmlns="{MEDIA}"><StreamSetup><Stream xmlns="http://www.onvif.org/ver10/schema">RTP-Unicast</Stream><Transport xmlns="http://www.onvif.org/ver10/schema"><Protocol>RTSP</Protocol></Transport></StreamSetup><ProfileToken>{token}</ProfileToken></GetStreamUri>"#
            ),
            Self::Second(_) => format!(
                r#"<GetStreamUri xmlns="{MEDIA_2}"><Protocol>RTSP</Protocol><ProfileToken>{token}</ProfileToken></GetStreamUri>"#
            ),
        }
    }
}

/// The media service in an answer to GetServices, the first version before the second.
pub fn listed_service(body: &Element, host: IpAddr) -> Option<MediaService> {
    let response = body.at(&["GetServicesResponse"])?;
    let at = |namespace: &str| {
        let mut services = response.all("Service");
        let service = services.find(|service| service.text_at(&["Namespace"]) == Some(namespace))?;
        on_host(service.text_at(&["XAddr"])?, host)
    };
    at(MEDIA).map(MediaService::First).or_else(|| at(MEDIA_2).map(MediaService::Second))
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
        let video = profile.at(&["VideoEncoderConfiguration"]);
        let video = video.or_else(|| profile.at(&["Configurations", "VideoEncoder"]))?;
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
    let told = body.text_at(&["GetStreamUriResponse", "MediaUri", "Uri"]);
    let told = told.or_else(|| body.text_at(&["GetStreamUriResponse", "Uri"]))?;
    let url = rehosted(told, host, &["rtsp", "rtsps"])?;
    SourceUrl::parse(&url).ok().map(|_| url)
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS).collect()
}
