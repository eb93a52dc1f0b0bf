//! The demo camera pushes like any other, and comes back when the server was away.

use std::sync::Arc;
use std::time::Duration;

use base::{StreamName, SystemClock, SystemEntropy};
use ingest::demo::{DemoCamera, run};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::hall::Hall;

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_camera_is_recorded_and_stops() {
    let hall = Hall::open().await;
    let device = hall.device("demo", "publish,create").await;
    let camera = DemoCamera {
        server: hall.rtsp,
        stream: StreamName::new("demo").unwrap(),
        username: device.username.clone(),
        password: device.password.clone(),
    };
    let (stop, shutdown) = watch::channel(false);
    let running = tokio::spawn(run(camera, Arc::new(SystemClock), Arc::new(SystemEntropy), shutdown));
    hall.live("demo").await;
    for _ in 0..300 {
        if hall.fragments("demo").len() >= 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(5), running).await.unwrap().unwrap();
    let health = hall.ended("demo").await;
    assert_eq!(health.last_end.map(|(_, why)| why), Some(ingest::Ended::Teardown));
    let fragments = hall.fragments("demo");
    assert!(fragments.len() >= 3, "{} fragments", fragments.len());
    for stored in &fragments {
        let codecs: Vec<_> = stored.meta.tracks.iter().map(|track| track.codec.as_str()).collect();
        assert_eq!(codecs, ["h264", "aac"]);
        assert!(stored.meta.starts_with_key);
    }
    assert_eq!(fragments[0].meta.tracks[0].frames % 60, 0, "cut at key frames");
    hall.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_camera_comes_back_again_and_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let camera = DemoCamera {
        server: listener.local_addr().unwrap(),
        stream: StreamName::new("demo").unwrap(),
        username: "user".into(),
        password: catalog::Secret::new("password"),
    };
    let (stop, shutdown) = watch::channel(false);
    let running = tokio::spawn(run(camera, Arc::new(SystemClock), Arc::new(SystemEntropy), shutdown));
    for _ in 0..3 {
        let accepted = tokio::time::timeout(Duration::from_secs(10), listener.accept()).await;
        drop(accepted.unwrap().unwrap());
    }
    drop(stop);
    tokio::time::timeout(Duration::from_secs(5), running).await.unwrap().unwrap();
}
