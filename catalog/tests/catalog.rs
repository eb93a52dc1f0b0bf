//! What callers see: rules, limits, races, and that nothing secret reaches a file.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use base::{Limits, Tags, TimestampSource};
use catalog::{
    Action, Allow, CatalogError, NewSource, NewStream, Principal, Secret, SourceTransport, StreamGlob,
    StreamUpdate,
};
use harness::{DEVICE_RETENTION, Installation, files, name};

const HOUR: Duration = Duration::from_hours(1);

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|&(name, value)| (name.into(), value.into())).collect()
}

#[tokio::test]
async fn a_stream_from_creation_to_deletion() {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    let made = catalog.create_stream(NewStream::new(name("door"), HOUR)).await.unwrap();
    assert_eq!(catalog.stream(&made.name), Some(Arc::clone(&made)));
    assert_eq!(catalog.stream_by_id(made.id), Some(Arc::clone(&made)));
    assert_eq!(catalog.stream_by_arn(&made.arn), Some(Arc::clone(&made)));
    assert!(made.version.len() == 20 && made.version.bytes().all(|b| b.is_ascii_alphanumeric()));

    let longer = StreamUpdate::Retention(HOUR * 2);
    let changed = catalog.update_stream(made.id, Some(&made.version), longer.clone()).await.unwrap();
    assert_eq!(changed.retention, HOUR * 2);
    assert_ne!(changed.version, made.version);
    let stale = catalog.update_stream(made.id, Some(&made.version), longer).await;
    assert!(matches!(stale, Err(CatalogError::VersionMismatch(_))), "{stale:?}");
    let stale = catalog.delete_stream(made.id, Some(&made.version)).await;
    assert!(matches!(stale, Err(CatalogError::VersionMismatch(_))), "{stale:?}");

    catalog.delete_stream(made.id, Some(&changed.version)).await.unwrap();
    assert_eq!(catalog.stream(&made.name), None);
    assert!(!running.log.keys().has_stream_key(made.id));
    let gone = catalog.delete_stream(made.id, None).await;
    assert!(matches!(gone, Err(CatalogError::NoSuchStream(_))), "{gone:?}");

    let again = catalog.create_stream(NewStream::new(name("door"), HOUR)).await.unwrap();
    assert!(again.id > made.id);
    assert_eq!(catalog.stream_by_id(made.id), None);
}

#[tokio::test]
async fn limits_hold() {
    let mut installation = Installation::new();
    installation.limits = Limits { streams: 2, credentials: 2, ..Limits::default() };
    let running = installation.start();
    let catalog = &running.catalog;
    let stream = catalog.create_stream(NewStream::new(name("a"), HOUR)).await.unwrap();
    catalog.create_stream(NewStream::new(name("b"), HOUR)).await.unwrap();
    let more = catalog.create_stream(NewStream::new(name("c"), HOUR)).await;
    assert!(matches!(more, Err(CatalogError::TooManyStreams(2))), "{more:?}");

    let fifty: Tags = (0..50).map(|n| (n.to_string(), String::new())).collect();
    catalog.update_stream(stream.id, None, StreamUpdate::AddTags(fifty)).await.unwrap();
    let more = catalog.update_stream(stream.id, None, StreamUpdate::AddTags(tags(&[("50", "")]))).await;
    assert!(matches!(more, Err(CatalogError::TooManyTags { limit: 50, .. })), "{more:?}");

    let key = catalog.create_access_key(None, None).await.unwrap();
    catalog.create_device(StreamGlob::all(), Allow::default()).await.unwrap();
    let more = catalog.create_access_key(None, None).await;
    assert!(matches!(more, Err(CatalogError::TooManyCredentials(2))), "{more:?}");
    catalog.revoke_access_key(&key.id).await.unwrap();
    catalog.create_device(StreamGlob::all(), Allow::default()).await.unwrap();
}

#[tokio::test]
async fn lists_and_pages() {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    for text in ["Zoo", "cam-1", "cam-10", "cam-2", "door"] {
        catalog.create_stream(NewStream::new(name(text), HOUR)).await.unwrap();
    }
    let names = |streams: &[Arc<catalog::Stream>]| -> Vec<String> {
        streams.iter().map(|stream| stream.name.to_string()).collect()
    };
    assert_eq!(names(&catalog.streams_matching(&StreamGlob::new("cam-?").unwrap())), ["cam-1", "cam-2"]);

    let first = catalog.list_streams("cam-", None, 2);
    assert_eq!(
        (names(&first.items), first.next.as_deref()),
        (vec!["cam-1".into(), "cam-10".into()], Some("cam-10"))
    );
    let second = catalog.list_streams("cam-", Some(&name("cam-10")), 2);
    assert_eq!((names(&second.items), second.next), (vec!["cam-2".into()], None));
    assert_eq!(catalog.list_streams("", None, 10).items.len(), 5);
    assert_eq!(names(&catalog.list_streams("cam-", Some(&name("A")), 9).items).len(), 3);
    assert!(catalog.list_streams("x", None, 10).items.is_empty());
}

#[tokio::test]
async fn credentials_are_found_until_they_are_revoked() {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    let chosen = Some(("AKIDEXAMPLE".to_owned(), Secret::new("chosen-by-someone")));
    let key = catalog.create_access_key(chosen.clone(), None).await.unwrap();
    assert_eq!(catalog.access_key("AKIDEXAMPLE"), Some(Arc::clone(&key)));
    let twice = catalog.create_access_key(chosen.clone(), None).await;
    assert!(matches!(twice, Err(CatalogError::AccessKeyExists(_))), "{twice:?}");

    let allow = Allow { publish: true, play: false, create: false };
    let told = catalog.create_device(StreamGlob::new("cam-*").unwrap(), allow).await.unwrap();
    let device = catalog.device_by_username(&told.username).unwrap();
    assert_eq!(catalog.device_by_token(told.token.expose()), Some(Arc::clone(&device)));
    assert!(device.password.matches(told.password.expose()));
    assert_eq!(catalog.device_by_token("no such token"), None);
    assert_eq!(catalog.device_by_token(told.password.expose()), None);

    let holders = [Principal::AccessKey(key), Principal::Device(device)];
    assert!(holders.iter().all(|holder| catalog.stands(holder)));
    catalog.revoke_access_key("AKIDEXAMPLE").await.unwrap();
    catalog.revoke_device(&told.username).await.unwrap();
    assert!(!holders.iter().any(|holder| catalog.stands(holder)));
    assert_eq!(catalog.access_key("AKIDEXAMPLE"), None);
    assert_eq!(catalog.device_by_username(&told.username), None);
    assert_eq!(catalog.device_by_token(told.token.expose()), None);
    assert!(catalog.access_keys()[0].revoked.is_some() && catalog.devices()[0].revoked.is_some());
    let twice = catalog.revoke_device(&told.username).await;
    assert!(matches!(twice, Err(CatalogError::NoSuchCredential(_))), "{twice:?}");
    let reused = catalog.create_access_key(chosen, None).await;
    assert!(matches!(reused, Err(CatalogError::AccessKeyExists(_))), "{reused:?}");
}

#[tokio::test]
async fn the_root_key_is_in_its_file() {
    let installation = Installation::new();
    let path = installation.data().join("credentials");
    let running = installation.start();
    running.catalog.ensure_root_credentials(&path).await.unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let key = running.catalog.access_keys().remove(0);
    assert!(key.root && text.contains(&key.id) && text.contains(key.secret.expose()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    running.stop();

    fs::remove_file(&path).unwrap();
    let running = installation.start();
    running.catalog.ensure_root_credentials(&path).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), text, "a lost file comes back");

    running.catalog.revoke_access_key(&key.id).await.unwrap();
    running.catalog.ensure_root_credentials(&path).await.unwrap();
    let replaced = fs::read_to_string(&path).unwrap();
    assert!(!replaced.contains(&key.id), "a revoked root key is replaced");
    assert_eq!(running.catalog.access_keys().len(), 2);
}

#[tokio::test]
async fn a_first_push_makes_the_stream_where_that_is_allowed() {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    let device = |allow| {
        let catalog = Arc::clone(catalog);
        async move {
            let told = catalog.create_device(StreamGlob::new("cam-*").unwrap(), allow).await.unwrap();
            Principal::Device(catalog.device_by_username(&told.username).unwrap())
        }
    };
    let maker = device(Allow { publish: true, play: false, create: true }).await;
    let pusher = device(Allow { publish: true, play: false, create: false }).await;
    let player = device(Allow { publish: false, play: true, create: false }).await;

    let absent = catalog.stream_to_publish(&name("cam-1"), &pusher).await;
    assert!(matches!(absent, Err(CatalogError::NoSuchStream(_))), "{absent:?}");
    let made = catalog.stream_to_publish(&name("cam-1"), &maker).await.unwrap();
    assert_eq!(made.retention, DEVICE_RETENTION);
    assert_eq!(catalog.stream_to_publish(&name("cam-1"), &pusher).await.unwrap(), made);
    for (who, stream) in [(&player, "cam-1"), (&maker, "door")] {
        let refused = catalog.stream_to_publish(&name(stream), who).await;
        assert!(matches!(refused, Err(CatalogError::NotAllowed { .. })), "{refused:?}");
    }
    assert!(player.may(Action::Play, &name("cam-1")) && !player.may(Action::Manage, &name("cam-1")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_want_a_name_one_gets_it() {
    let installation = Installation::new();
    let running = installation.start();
    for round in 0..5 {
        let wanted = name(&format!("cam-{round}"));
        let attempts: Vec<_> = (0..16)
            .map(|_| {
                let (catalog, wanted) = (Arc::clone(&running.catalog), wanted.clone());
                tokio::spawn(async move {
                    let made = catalog.create_stream(NewStream::new(wanted.clone(), HOUR)).await;
                    assert!(catalog.stream(&wanted).is_some(), "answered, so it can be read");
                    made
                })
            })
            .collect();
        let mut made = 0;
        for attempt in attempts {
            match attempt.await.unwrap() {
                Ok(_) => made += 1,
                Err(CatalogError::StreamExists(taken)) => assert_eq!(taken, wanted),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(made, 1);
    }
    let streams = running.catalog.streams();
    let ids: BTreeSet<_> = streams.values().map(|stream| stream.id).collect();
    assert_eq!((streams.len(), ids.len()), (5, 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_whole_changes_while_others_write() {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    let stream = catalog.create_stream(NewStream::new(name("cam"), HOUR)).await.unwrap();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (catalog, id) = (Arc::clone(catalog), stream.id);
            tokio::spawn(async move {
                for round in 0..10 {
                    let text = format!("{writer}-{round}");
                    let labels = tags(&[("a", &text), ("b", &text)]);
                    catalog.set_labels(id, labels).await.unwrap();
                }
            })
        })
        .collect();
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        let seen = catalog.stream(&stream.name).unwrap();
        assert_eq!(seen.labels.get("a"), seen.labels.get("b"));
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn nothing_secret_is_in_a_file() {
    let installation = Installation::new();
    let running = installation.start();
    let catalog = &running.catalog;
    let mut new = NewStream::new(name("cam"), HOUR);
    new.tags = tags(&[("canary-tag-name", "canary-tag-value")]);
    new.device_name = Some("canary-device-name".into());
    let stream = catalog.create_stream(new).await.unwrap();
    catalog.set_labels(stream.id, tags(&[("canary-label-name", "canary-label-value")])).await.unwrap();
    let url = Secret::new("rtsp://canary-user:canary-word@192.0.2.1/canary-path");
    let source = NewSource { url, transport: SourceTransport::Auto, timestamps: TimestampSource::Auto };
    catalog.set_source(stream.id, source).await.unwrap();
    let key = catalog.create_access_key(None, None).await.unwrap();
    let chosen = Some(("AKIDEXAMPLE".to_owned(), Secret::new("canary-chosen-secret")));
    catalog.create_access_key(chosen, None).await.unwrap();
    let told = catalog.create_device(StreamGlob::all(), Allow::default()).await.unwrap();
    let path = installation.data().join("credentials");
    catalog.ensure_root_credentials(&path).await.unwrap();
    let root = catalog.access_keys().into_iter().find(|key| key.root).unwrap();
    let secrets =
        [&key.secret, &root.secret, &told.password, &told.token].map(|secret| secret.expose().to_owned());
    let search = || {
        // `log/reserve` holds nothing but zeros.
        let reserve = installation.data().join("log/reserve");
        for file in files(&installation.data()).into_iter().filter(|file| *file != path && *file != reserve) {
            let bytes = fs::read(&file).unwrap();
            for needle in ["canary"].into_iter().chain(secrets.iter().map(String::as_str)) {
                let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
                assert!(!found, "{needle} stands in {}", file.display());
            }
        }
    };
    // The view's write-ahead file is there while it runs.
    tokio::time::sleep(Duration::from_millis(300)).await;
    search();
    running.stop();
    let view = rusqlite::Connection::open(installation.view()).unwrap();
    let rows: u32 = view.query_row("SELECT count(*) FROM row", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 7, "progress, a stream, its source, three access keys, a device");
    drop(view);
    search();
}
