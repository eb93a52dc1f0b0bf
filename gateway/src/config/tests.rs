use std::collections::BTreeSet;
use std::path::Path;

use super::settings::SETTINGS;
use super::values::Value;
use super::{Config, ConfigError, Share, example};

fn parse(text: &str) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    config.parse(Path::new("millrace.toml"), text)?;
    Ok(config)
}

#[test]
fn the_example_uncommented_is_the_default() {
    let live: String = example()
        .lines()
        .map(|line| if line.starts_with("# ") { "" } else { line.trim_start_matches('#') })
        .fold(String::new(), |text, line| text + line + "\n");
    assert_eq!(parse(&live).unwrap(), Config::default());
    assert_eq!(live.matches(" = ").count(), SETTINGS.len());
    assert_eq!(parse(&example()).unwrap(), Config::default());
}

#[test]
fn keys_are_taken_from_tables_and_lists() {
    let config = parse(
        "demo = false\n[http]\naddress = \"0.0.0.0:80\"\npublic_url = \"https://mill.example/kinesis/\"\n\
         [webrtc]\npublic_addresses = [\"192.0.2.1\", \"2001:db8::1\"]\n[limits]\nhandshake = \"1500ms\"\n",
    )
    .unwrap();
    assert_eq!(config.http.port(), 80);
    let url = config.http_public_url.unwrap();
    assert_eq!((url.as_str(), url.host()), ("https://mill.example/kinesis", "mill.example"));
    assert_eq!(config.webrtc_public_addresses.len(), 2);
    assert_eq!(config.limits.handshake.as_millis(), 1500);
}

#[test]
fn a_command_is_a_list_or_words() {
    let words = |text: &str| parse(text).unwrap().master_key_command;
    assert_eq!(words("master_key_command = [\"kms\", \"--key\", \"a, b\"]"), ["kms", "--key", "a, b"]);
    assert_eq!(words("master_key_command = \"kms --key  a\""), ["kms", "--key", "a"]);
    let both = parse("master_key_command = \"kms\"\nmaster_key_file = \"key\"").unwrap();
    assert!(both.check().unwrap_err().to_string().contains("exclude each other"));
}

#[test]
fn shares_of_a_disk_are_parts_or_bytes() {
    let floor =
        |text: &str| parse(&format!("[storage]\nfree_floor = {text}\n")).map(|config| config.free_floor);
    assert_eq!(floor("\"10%\"").unwrap().of(2000), 200);
    assert_eq!(floor("\"50GiB\"").unwrap().of(2000), 50 << 30);
    assert_eq!(floor("0").unwrap().of(2000), 0);
    for text in ["\"100%\"", "\"-1%\"", "\"5 parsecs\"", "\"99999999TiB\"", "\"\"", "true"] {
        assert!(floor(text).is_err(), "{text}");
    }
    for share in [Share::Percent(7), Share::Bytes(0), Share::Bytes(1536), Share::Bytes(3 << 40)] {
        let mut read = Share::Percent(1);
        read.set(&share.show()).unwrap();
        assert_eq!(read, share);
    }
}

#[test]
fn memory_is_in_bytes() {
    let ring =
        |text: &str| parse(&format!("[storage]\ntail_ring = {text}\n")).map(|config| config.tail_ring.0);
    assert_eq!(ring("\"64MiB\"").unwrap(), 64 << 20);
    assert_eq!(ring("0").unwrap(), 0);
    assert!(ring("\"5%\"").is_err() && ring("\"99999999TiB\"").is_err());
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_name() {
    let refused = |text: &str| parse(text).unwrap_err().to_string();
    assert_eq!(
        refused("[http]\nadress = \"x\""),
        "millrace.toml: there is no key http.adress: did you mean http.address?"
    );
    assert_eq!(refused("acount = \"1\""), "millrace.toml: there is no key acount: did you mean account?");
    assert!(refused("[iceberg]\ntables = 1").contains("config example"));
}

#[test]
fn a_wrong_value_is_named_with_its_place() {
    for (text, place) in [
        ("[http]\naddress = \"localhost\"", "http.address"),
        ("account = 12", "account"),
        ("region = \"US\"", "region"),
        ("device_retention = \"7\"", "device_retention"),
        ("demo = \"maybe\"", "demo"),
        ("[https]\npublic_url = \"mill.example\"", "https.public_url"),
        ("[log]\nformat = \"xml\"", "log.format"),
        ("http = 7", "http"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.starts_with("millrace.toml") && error.contains(place), "{error}");
    }
}

#[test]
fn names_are_unique() {
    let flags: BTreeSet<&str> = SETTINGS.iter().map(|setting| setting.flag).collect();
    let keys: BTreeSet<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
    assert_eq!((flags.len(), keys.len()), (SETTINGS.len(), SETTINGS.len()));
}

#[test]
fn webhooks_stand_in_tables_of_their_own() {
    let config = parse(
        "[outbound]\nallow = \"10.0.0.0/8\"\n[[webhooks]]\nurl = \"https://a.example/hunter2\"\nsecret = \"hunter2\"\n\
         streams = \"door-*\"\n[[webhooks]]\nurl = \"http://127.0.0.1:9000\"\n",
    )
    .unwrap();
    let globs: Vec<_> = config.webhooks.iter().map(|webhook| webhook.streams.as_str()).collect();
    assert_eq!((globs, config.outbound_allow.len()), (vec!["door-*", "*"], 1));
    assert!(!format!("{config:?}").contains("hunter2"));
    for (text, word) in [
        ("[[webhooks]]\nsecret = \"hunter2\"", "url"),
        ("[[webhooks]]\nurl = \"ftp://h/hunter2\"", "http"),
        ("[[webhooks]]\nurl = \"http://a:hunter2@h/\"", "user name"),
        ("[[webhooks]]\nurl = \"http://h/hunter2\"\nstreams = \"a b\"", "pattern"),
        ("[[webhooks]]\nurl = \"http://h/hunter2\"\nsecret = \"whsec_!\"", "secret"),
        ("[[webhooks]]\nurl = \"http://h/hunter2\"\nx = 1", "x"),
        ("webhooks = \"http://h/hunter2\"", "[[webhooks]]"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(word) && !error.contains("hunter2"), "{error}");
    }
    let many = "[[webhooks]]\nurl = \"http://h/\"\n".repeat(101);
    assert!(parse(&many).unwrap_err().to_string().contains("101"));
}

#[test]
fn sources_stand_in_tables_of_their_own() {
    let config = parse(
        "demo = false\n[pull]\nallow = \"10.0.0.0/8, fd00::/8\"\n[[sources]]\nstream = \"door\"\n\
         url = \"rtsp://a:hunter2@10.0.0.5/x\"\n[[sources]]\nstream = \"yard\"\nurl = \"rtsps://10.0.0.6/x\"\n\
         transport = \"tcp\"\ntimestamps = \"camera\"\n",
    )
    .unwrap();
    let names: Vec<_> = config.sources.keys().map(|name| name.as_str()).collect();
    assert_eq!((names, config.pull_allow.len()), (vec!["door", "yard"], 2));
    assert!(!format!("{config:?}").contains("hunter2"));
    for (text, word) in [
        ("[[sources]]\nstream = \"door\"", "url"),
        ("[[sources]]\nstream = \"do or\"\nurl = \"rtsp://h/x\"", "stream"),
        ("[[sources]]\nstream = \"a\"\nurl = \"rtsp://a:hunter2@:5/x\"", "no host"),
        ("[[sources]]\nstream = \"a\"\nurl = \"rtsp://h/hunter2\"\ntransport = \"x\"", "`auto`"),
        ("[[sources]]\nstream = \"a\"\nurl = \"rtsp://h/hunter2\"\nx = 1", "x"),
        ("sources = \"rtsp://h/hunter2\"", "[[sources]]"),
        ("[[sources]]\nurl = \"rtsp://h/hunter2", "line 2"),
        (
            "[[sources]]\nstream = \"a\"\nurl = \"rtsp://h/x\"\n[[sources]]\nstream = \"a\"\nurl = \"rtsp://h/x\"",
            "[[sources]] 2",
        ),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(word) && !error.contains("hunter2"), "{error}");
    }
}
