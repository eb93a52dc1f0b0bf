//! Sources of edge configurations: pulled while their schedule says so, from where their secret says.

use base::StreamName;
use catalog::{EdgeSchedule, NewEdge, Secret};
use fixtures::rtsp::{Habits, RtspCamera};

use crate::pull::Pulling;

/// A time that has been, and one that always is.
const NEVER: &str = "0 0 0 1 1 ? 2020";
const ALWAYS: &str = "* * * ? * *";

async fn set(pulling: &Pulling, secret_arn: &str, expression: &str) {
    let catalog = &pulling.hall.catalog;
    let stream = catalog.stream_to_pull(&StreamName::new("door").unwrap()).await.unwrap();
    let edge = NewEdge {
        hub_device_arn: "arn:aws:iot:us-east-1:000000000000:thing/hub".into(),
        secret_arn: secret_arn.into(),
        schedule: Some(EdgeSchedule { expression: expression.into(), duration_secs: 60 }),
        retention_hours: None,
        delete_after_upload: None,
    };
    catalog.set_edge(stream.id, edge).await.unwrap();
}

#[tokio::test]
async fn a_camera_is_recorded_while_its_schedule_says_so() {
    let (pulling, camera) = (Pulling::start().await, RtspCamera::start(Habits::default()).await);
    let secret = |url| pulling.hall.catalog.set_media_secret("door".into(), Secret::new(url));
    let arn = secret(camera.url("")).await.unwrap().arn.clone();
    set(&pulling, &arn, NEVER).await;
    assert!(pulling.health().is_none());
    set(&pulling, &arn, ALWAYS).await;
    pulling.until("fragments", |pulling| pulling.fragments() >= 1).await;
    assert_eq!(camera.count("DESCRIBE"), 1, "nothing was asked for before it was time");
    set(&pulling, &arn, NEVER).await;
    pulling.until("the end", |pulling| pulling.health().is_none() && camera.count("TEARDOWN") == 1).await;

    let other = RtspCamera::start(Habits::default()).await;
    set(&pulling, &arn, ALWAYS).await;
    pulling.until("the camera again", |_| camera.count("PLAY") == 2).await;
    secret(other.url("")).await.unwrap();
    pulling.until("the camera that the secret names now", |_| other.count("PLAY") == 1).await;
    pulling.close().await;
}
