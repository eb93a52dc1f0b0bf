//! Secrets through the native API, and the edge configurations of the AWS API that name them.

use base::{StreamName, TimestampSource};
use catalog::{NewSource, Secret, SourceTransport};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::policy::become_holder;
use super::world::{Answer, World};

const HUB: &str = "arn:aws:iot:us-east-1:000000000000:thing/hub";

/// Puts a secret, and answers with its ARN.
async fn put(world: &World, name: &str, url: &str) -> String {
    let body = json!({ "MediaURI": url }).to_string();
    let put = world.signed(Method::PUT, &format!("/v1/secrets/{name}"), &body).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text());
    assert!(!put.text().contains("hunter2"));
    put.json()["arn"].as_str().unwrap().to_owned()
}

fn config(secret: &str) -> Value {
    let media = json!({ "MediaUriSecretArn": secret, "MediaUriType": "RTSP_URI" });
    json!({
        "HubDeviceArn": HUB,
        "RecorderConfig": {
            "MediaSourceConfig": media,
            "ScheduleConfig": { "ScheduleExpression": "0 0 8-18 ? * MON-FRI", "DurationInSeconds": 3600 },
        },
        "DeletionConfig": { "EdgeRetentionInHours": 24, "DeleteAfterUpload": true },
    })
}

async fn call(world: &World, operation: &str, input: &Value) -> Answer {
    world.signed(Method::POST, &format!("/{operation}"), &input.to_string()).await
}

async fn start(world: &World, stream: &str, config: Value) -> Answer {
    let input = json!({ "StreamName": stream, "EdgeConfig": config });
    call(world, "startEdgeConfigurationUpdate", &input).await
}

fn refused(answer: &Answer, status: u16, name: &str, word: &str) {
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["x-amzn-errortype"]),
        (status, &name.parse().unwrap())
    );
    assert!(answer.text().contains(word) && !answer.text().contains("hunter2"), "{}", answer.text());
}

#[tokio::test]
async fn an_edge_configuration_drives_the_streams_source() {
    let world = World::with(0).await;
    let door = json!({ "StreamName": "door" });
    let missing = call(&world, "describeEdgeConfiguration", &door).await;
    refused(&missing, 404, "StreamEdgeConfigurationNotFoundException", "door");
    let arn = put(&world, "door", "rtsp://admin:hunter2@192.0.2.7/ch1").await;
    let started = start(&world, "door", config(&arn)).await;
    assert_eq!(started.status, StatusCode::OK, "{}", started.text());
    assert_eq!(
        (&started.json()["SyncStatus"], &started.json()["EdgeConfig"]),
        (&"IN_SYNC".into(), &config(&arn))
    );
    let described = call(&world, "describeEdgeConfiguration", &door).await.json();
    assert_eq!(described, started.json());

    let source = world.get("/v1/streams/door/source").await;
    assert_eq!(source.json()["owner"], "edge");
    assert_eq!(source.json()["url"], "rtsp://***@192.0.2.7/ch1");
    let edge = json!({ "secret_arn": arn, "schedule": "0 0 8-18 ? * MON-FRI", "duration_seconds": 3600 });
    assert_eq!(source.json()["edge"], edge);
    put(&world, "door", "rtsp://admin:hunter2@192.0.2.8/ch1").await;
    assert_eq!(world.get("/v1/streams/door/source").await.json()["url"], "rtsp://***@192.0.2.8/ch1");
    let listed = world.get("/v1/secrets").await;
    assert_eq!(listed.json()["secrets"][0]["arn"], arn);
    assert!(!listed.text().contains("hunter2") && !listed.text().contains("192.0.2"));

    let in_use = world.signed(Method::DELETE, "/v1/secrets/door", "").await;
    assert_eq!(in_use.status, StatusCode::CONFLICT);
    assert!(in_use.refusal().contains("door"), "{}", in_use.refusal());
    assert_eq!(call(&world, "deleteEdgeConfiguration", &door).await.status, StatusCode::OK);
    assert_eq!(world.get("/v1/streams/door/source").await.status, StatusCode::NOT_FOUND);
    let again = call(&world, "deleteEdgeConfiguration", &door).await;
    refused(&again, 404, "StreamEdgeConfigurationNotFoundException", "door");
    assert_eq!(world.signed(Method::DELETE, "/v1/secrets/door", "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.signed(Method::DELETE, "/v1/secrets/door", "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_not_served_or_not_there_is_refused() {
    let world = World::with(0).await;
    let arn = put(&world, "door", "rtsp://admin:hunter2@192.0.2.7/ch1").await;
    let other = arn.replace("door-", "yard-");
    refused(
        &start(&world, "door", config(&other)).await,
        404,
        "ResourceNotFoundException",
        "MediaUriSecretArn",
    );
    refused(&start(&world, "none", config(&arn)).await, 404, "ResourceNotFoundException", "stream");
    let mut odd = config(&arn);
    odd["RecorderConfig"]["ScheduleConfig"]["ScheduleExpression"] = "0 0 12 L * ? *".into();
    refused(&start(&world, "door", odd).await, 400, "InvalidArgumentException", "ScheduleExpression");
    let short = r#"{"retention_hours": 0}"#;
    assert_eq!(world.signed(Method::PUT, "/v1/streams/brief", short).await.status, StatusCode::CREATED);
    refused(&start(&world, "brief", config(&arn)).await, 400, "NoDataRetentionException", "retention");

    let (transport, timestamps) = (SourceTransport::Tcp, TimestampSource::Server);
    let url = Secret::new("rtsp://a:hunter2@192.0.2.9/x");
    let of_file = [(StreamName::new("door").unwrap(), NewSource { url, transport, timestamps })];
    assert_eq!(start(&world, "door", config(&arn)).await.status, StatusCode::OK);
    world.app.pullers.configure(of_file.into());
    refused(&start(&world, "door", config(&arn)).await, 400, "ResourceInUseException", "configuration file");
    let described = call(&world, "describeEdgeConfiguration", &json!({ "StreamName": "door" })).await;
    assert_eq!(described.json()["SyncStatus"], "SYNC_FAILED", "{}", described.text());

    for (body, word) in [
        (r#"{"MediaURI": "rtsp://a:hunter2@:5/x"}"#, "no host"),
        (r#"{"MediaURI": "rtsp://169.254.169.254/x"}"#, "link-local"),
        (r#"{"url": "rtsp://192.0.2.7/x"}"#, "MediaURI"),
    ] {
        let bad = world.signed(Method::PUT, "/v1/secrets/bad", body).await;
        assert_eq!(bad.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(bad.refusal().contains(word) && !bad.refusal().contains("hunter2"), "{}", bad.refusal());
    }
    let bad = world.signed(Method::PUT, "/v1/secrets/b@d", r#"{"MediaURI": "rtsp://192.0.2.7/x"}"#).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert_eq!(world.plain(Method::GET, "/v1/secrets", &[]).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn configurations_of_a_device_are_listed_a_page_at_a_time() {
    let world = World::with(0).await;
    let arn = put(&world, "all", "rtsp://192.0.2.7/ch1").await;
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        let body = r#"{"retention_hours": 24}"#;
        assert_eq!(world.signed(Method::PUT, &format!("/v1/streams/{name}"), body).await.status, 201);
        let mut config = config(&arn);
        if name == "c" {
            config["HubDeviceArn"] = HUB.replace("hub", "other").into();
        }
        assert_eq!(start(&world, name, config).await.status, StatusCode::OK);
    }
    let (mut found, mut token) = (Vec::new(), Value::Null);
    for _ in 0..2 {
        let input = json!({ "HubDeviceArn": HUB, "MaxResults": 2, "NextToken": token });
        let page = call(&world, "listEdgeAgentConfigurations", &input).await.json();
        let entries = page["EdgeConfigs"].as_array().unwrap();
        found.extend(entries.iter().map(|entry| entry["StreamName"].as_str().unwrap().to_owned()));
        token = page["NextToken"].clone();
    }
    assert_eq!((found, token), (vec!["a".into(), "b".into(), "d".into(), "e".to_owned()], Value::Null));
    let first = json!({ "HubDeviceArn": HUB, "MaxResults": 1 });
    let token = call(&world, "listEdgeAgentConfigurations", &first).await.json()["NextToken"].clone();
    let other = json!({ "HubDeviceArn": HUB.replace("hub", "other"), "NextToken": token });
    refused(
        &call(&world, "listEdgeAgentConfigurations", &other).await,
        400,
        "InvalidArgumentException",
        "NextToken",
    );
}

#[tokio::test]
async fn a_policy_decides_for_which_streams() {
    let mut world = World::with(0).await;
    let arn = put(&world, "all", "rtsp://192.0.2.7/ch1").await;
    for name in ["a", "b"] {
        let made = world.signed(Method::PUT, &format!("/v1/streams/{name}"), "{}").await;
        assert_eq!(made.status, StatusCode::CREATED);
        assert_eq!(start(&world, name, config(&arn)).await.status, StatusCode::OK);
    }
    let only_a = json!([
        { "Effect": "Allow", "Action": "kinesisvideo:*", "Resource": "arn:aws:kinesisvideo:*:*:stream/a/*" },
    ]);
    become_holder(&mut world, only_a).await;
    assert_eq!(start(&world, "a", config(&arn)).await.status, StatusCode::OK);
    refused(
        &start(&world, "b", config(&arn)).await,
        401,
        "AccessDeniedException",
        "StartEdgeConfigurationUpdate",
    );
    let listed = call(&world, "listEdgeAgentConfigurations", &json!({ "HubDeviceArn": HUB })).await.json();
    let names: Vec<_> =
        listed["EdgeConfigs"].as_array().unwrap().iter().map(|one| &one["StreamName"]).collect();
    assert_eq!(names, ["a"]);
    assert_eq!(world.get("/v1/secrets").await.status, StatusCode::FORBIDDEN);
    let search = world.signed(Method::POST, "/v1/discover", "{}").await;
    assert_eq!(search.status, StatusCode::FORBIDDEN);
}
