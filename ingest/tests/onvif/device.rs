//! A made-up ONVIF device: answers probes over UDP and calls over HTTP.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base::{Clock, SystemClock, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ingest::onvif::xml::Element;
use md5::{Digest, Md5};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

const PASSWORD: &str = "p<ss&w\"rd";

/// What a device does its own way.
#[derive(Clone, Copy, Default)]
pub struct Habits {
    /// How far its clock is ahead.
    pub ahead_secs: i64,
    /// It answers probes, and nobody listens at the address that it gives.
    pub deaf: bool,
    /// It sends what could hurt.
    pub hostile: bool,
    /// It has the second version of the media service only.
    pub second_media: bool,
    /// It believes HTTP Digest only.
    pub http_digest: bool,
    /// It speaks IPv6.
    pub ipv6: bool,
}

/// A running device; it ends with the test's runtime.
pub struct Device {
    /// Where it is probed.
    pub discovery: SocketAddr,
    heard: Arc<Mutex<String>>,
}

impl Device {
    pub async fn start(habits: Habits) -> Self {
        let at = if habits.ipv6 { "[::1]:0" } else { "127.0.0.1:0" };
        let udp = UdpSocket::bind(at).await.unwrap();
        let http = TcpListener::bind(at).await.unwrap();
        let (discovery, service) = (udp.local_addr().unwrap(), http.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(String::new()));
        tokio::spawn(answer_probes(udp, service, habits));
        if !habits.deaf {
            let heard = Arc::clone(&heard);
            tokio::spawn(async move {
                loop {
                    let stream = http.accept().await.unwrap().0;
                    serve(stream, habits, &heard).await;
                }
            });
        }
        Self { discovery, heard }
    }

    /// Everything that it was asked.
    pub fn heard(&self) -> String {
        self.heard.lock().unwrap().clone()
    }
}

async fn answer_probes(udp: UdpSocket, service: SocketAddr, habits: Habits) {
    let mut buffer = vec![0; 4096];
    loop {
        let (len, peer) = udp.recv_from(&mut buffer).await.unwrap();
        let probe = Element::parse(&buffer[..len]).unwrap();
        let id = probe.text_at(&["Header", "MessageID"]).unwrap();
        let port = service.port();
        // The host is another one, as of cameras behind NAT and of those that want to do harm.
        let one = format!(
            "<d:ProbeMatch><d:Scopes>onvif://www.onvif.org/name/Front%20Door onvif://www.onvif.org/hardware/C</d:Scopes>\
             <d:XAddrs>http://192.0.2.66:{port}/onvif/device_service</d:XAddrs></d:ProbeMatch>"
        );
        let all = if habits.hostile { one.repeat(20) } else { one };
        if habits.hostile {
            for junk in [&b"\xff\xff"[..], b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", &[b'<'; 9000]] {
                udp.send_to(junk, peer).await.unwrap();
            }
        }
        let answer = format!(
            "<s:Envelope xmlns:s=\"s\" xmlns:a=\"a\" xmlns:d=\"d\"><s:Header><a:RelatesTo>{id}</a:RelatesTo></s:Header>\
             <s:Body><d:ProbeMatches>{all}</d:ProbeMatches></s:Body></s:Envelope>"
        );
        udp.send_to(answer.as_bytes(), peer).await.unwrap();
    }
}

async fn serve(mut stream: TcpStream, habits: Habits, heard: &Mutex<String>) {
    let mut read = Vec::new();
    let (head, request) = loop {
        if stream.read_buf(&mut read).await.unwrap() == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() >= length.parse::<usize>().unwrap() {
            break (head.to_owned(), body.to_owned());
        }
    };
    heard.lock().unwrap().push_str(&request);
    let (status, body) = answer(&head, &Element::parse(request.as_bytes()).unwrap(), habits);
    let body = body.replace("PORT", &stream.local_addr().unwrap().port().to_string());
    let envelope = format!("<s:Envelope xmlns:s=\"s\"><s:Body>{body}</s:Body></s:Envelope>");
    let length = envelope.len();
    let challenge = if status == 401 { CHALLENGE } else { "" };
    let answer = format!("HTTP/1.1 {status} Told\r\n{challenge}content-length: {length}\r\n\r\n{envelope}");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

fn answer(head: &str, envelope: &Element, habits: Habits) -> (u16, String) {
    let call = &envelope.at(&["Body"]).unwrap().children[0];
    let now = Timestamp::from_millis(SystemClock.now().millis() + habits.ahead_secs * 1000);
    if call.name == "GetSystemDateAndTime" {
        let now = now.to_utc();
        let (date, time) = (now.date(), now.time());
        return (
            200,
            format!(
                "<GetSystemDateAndTimeResponse><SystemDateAndTime><UTCDateTime><Time><Hour>{}</Hour><Minute>{}</Minute>\
                 <Second>{}</Second></Time><Date><Year>{}</Year><Month>{}</Month><Day>{}</Day></Date></UTCDateTime>\
                 </SystemDateAndTime></GetSystemDateAndTimeResponse>",
                time.hour(),
                time.minute(),
                time.second(),
                date.year(),
                u8::from(date.month()),
                date.day()
            ),
        );
    }
    if habits.http_digest {
        assert!(
            !(head.contains("authorization: ") && envelope.at(&["Header", "Security"]).is_some()),
            "never both"
        );
        return if proved(head) { (200, told(call, habits)) } else { (401, String::new()) };
    }
    if !signed(envelope, now) {
        let fault = "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value>\
                     </s:Subcode></s:Code></s:Fault>";
        return (400, fault.to_owned());
    }
    (200, told(call, habits))
}

fn told(call: &Element, habits: Habits) -> String {
    match call.name.as_str() {
        "GetDeviceInformation" => "<GetDeviceInformationResponse><Manufacturer>Acme</Manufacturer>\
                                   <Model>C 1000</Model></GetDeviceInformationResponse>"
            .to_owned(),
        "GetCapabilities" if habits.second_media => "<s:Fault><s:Reason><s:Text>Not here</s:Text></s:Reason></s:Fault>".to_owned(),
        "GetServices" if habits.second_media => "<GetServicesResponse><Service><Namespace>http://www.onvif.org/ver10/device/wsdl\
             </Namespace><XAddr>http://192.0.2.66/onvif/device_service</XAddr></Service><Service><Namespace>\
             http://www.onvif.org/ver20/media/wsdl</Namespace><XAddr>http://192.0.2.66:PORT/onvif/media2</XAddr></Service>\
             </GetServicesResponse>"
            .to_owned(),
        "GetServices" => "<s:Fault><s:Reason><s:Text>Not here</s:Text></s:Reason></s:Fault>".to_owned(),
        "GetProfiles" if habits.second_media => {
            assert_eq!(call.text_at(&["Type"]), Some("VideoEncoder"));
            "<GetProfilesResponse><Profiles token=\"main\"><Name>Main</Name><Configurations><VideoEncoder>\
             <Encoding>H265</Encoding><Resolution><Width>3840</Width><Height>2160</Height></Resolution><RateControl>\
             <FrameRateLimit>30</FrameRateLimit></RateControl></VideoEncoder></Configurations></Profiles>\
             </GetProfilesResponse>"
                .to_owned()
        }
        "GetStreamUri" if habits.second_media => {
            assert_eq!(call.text_at(&["Protocol"]), Some("RTSP"));
            let token = call.text_at(&["ProfileToken"]).unwrap();
            format!("<GetStreamUriResponse><Uri>rtsp://192.0.2.66:8554/{token}</Uri></GetStreamUriResponse>")
        }
        "GetCapabilities" => "<GetCapabilitiesResponse><Capabilities><Media></Media></Capabilities>\
                              </GetCapabilitiesResponse>"
            .to_owned(),
        "GetProfiles" => {
            let profile = |token: &str, name: &str| {
                format!(
                    "<Profiles token=\"{token}\"><Name>{name}</Name><VideoEncoderConfiguration><Encoding>H264</Encoding>\
                     <Resolution><Width>1920</Width><Height>1080</Height></Resolution><RateControl>\
                     <FrameRateLimit>25</FrameRateLimit></RateControl></VideoEncoderConfiguration></Profiles>"
                )
            };
            let profiles = if habits.hostile {
                profile("main", &"n".repeat(5000)).repeat(20)
            } else {
                let silent = "<Profiles token=\"audio\"><Name>Sound</Name></Profiles>";
                [profile("main", "Main").as_str(), silent, &profile("sub", "Sub")].concat()
            };
            format!("<GetProfilesResponse>{profiles}</GetProfilesResponse>")
        }
        "GetStreamUri" => {
            let token = call.text_at(&["ProfileToken"]).unwrap();
            let scheme = if habits.hostile { "file" } else { "rtsp" };
            format!(
                "<GetStreamUriResponse><MediaUri><Uri>{scheme}://me:secret@192.0.2.66:8554/{token}?x=1&amp;y=2</Uri>\
                 </MediaUri></GetStreamUriResponse>"
            )
        }
        other => panic!("{other} is not asked for"),
    }
}

/// What a device says that believes HTTP Digest only; the password itself is asked for in vain.
const CHALLENGE: &str = "WWW-Authenticate: Basic realm=\"cam\"\r\n\
    WWW-Authenticate: Digest realm=\"cam\", nonce=\"abc\", qop=\"auth\"\r\n";

/// Whether the caller proves the password by HTTP (RFC 7616 §3.4.1).
fn proved(head: &str) -> bool {
    let Some(given) = head.lines().find_map(|line| line.strip_prefix("authorization: Digest ")) else {
        return false;
    };
    let value = |name: &str| {
        let rest = given.split(&format!("{name}=")).nth(1)?;
        Some(rest.split(',').next()?.trim().trim_matches('"').to_owned())
    };
    let (uri, count, client) = (value("uri").unwrap(), value("nc").unwrap(), value("cnonce").unwrap());
    let hex = |text: String| Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (secret, what) = (hex(format!("admin:cam:{PASSWORD}")), hex(format!("POST:{uri}")));
    value("response") == Some(hex(format!("{secret}:abc:{count}:{client}:auth:{what}")))
        && head.starts_with(&format!("POST {uri} "))
}

/// Whether the caller knows the password and what time it is here.
fn signed(envelope: &Element, now: Timestamp) -> bool {
    let Some(token) = envelope.at(&["Header", "Security", "UsernameToken"]) else { return false };
    let text = |name| token.text_at(&[name]).unwrap();
    let created = Timestamp::parse(text("Created")).unwrap();
    let off = (created.millis() - now.millis()).abs();
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(&STANDARD.decode(text("Nonce")).unwrap());
    context.update(text("Created").as_bytes());
    context.update(PASSWORD.as_bytes());
    text("Username") == "admin" && text("Password") == STANDARD.encode(context.finish()) && off < 60_000
}
