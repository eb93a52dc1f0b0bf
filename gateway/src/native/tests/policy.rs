//! Access keys whose policy says what they may: on the native API and on AWS's.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::world::World;
use crate::auth::sigv4::signer::Credentials;

/// Goes on as the holder of a new key with this policy; gives the key that was held before.
pub(super) async fn become_holder(world: &mut World, statements: Value) -> Credentials {
    let policy = json!({ "policy": { "Version": "2012-10-17", "Statement": statements } });
    let made = world.signed(Method::POST, "/v1/keys", &policy.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let text = |name: &str| made.json()[name].as_str().unwrap().to_owned();
    let key = Credentials { access_key_id: text("access_key_id"), secret: text("secret_access_key") };
    std::mem::replace(&mut world.root, key)
}

async fn create_data_stream(world: &World, name: &str) -> super::world::Answer {
    world.kinesis("CreateStream", &json!({ "StreamName": name, "ShardCount": 1 })).await
}

#[tokio::test]
async fn the_native_api_does_what_the_policy_allows() {
    let mut world = World::with(2).await;
    world.signed(Method::PUT, "/v1/streams/yard", "{}").await;
    let root = become_holder(
        &mut world,
        json!([
            { "Effect": "Allow", "Action": "kinesisvideo:*", "Resource": "arn:aws:kinesisvideo:*:*:stream/door/*" },
            { "Effect": "Allow", "Action": "millrace:*", "Resource": "arn:aws:kinesisvideo:*:*:stream/door/*" },
            { "Effect": "Deny", "Action": "kinesisvideo:Delete*", "Resource": "*" },
        ]),
    )
    .await;
    for path in ["/v1/streams/door", "/v1/fragments?stream=door", "/v1/streams/door/labels"] {
        assert_eq!(world.get(path).await.status, StatusCode::OK, "{path}");
    }
    let refused = |method: Method, path: &'static str, body: &'static str, word: &'static str| {
        let world = &world;
        async move {
            let answer = world.signed(method, path, body).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: {}", answer.text());
            assert!(answer.refusal().contains(word), "{path}: {}", answer.refusal());
        }
    };
    refused(Method::GET, "/v1/streams/yard", "", "kinesisvideo:DescribeStream").await;
    refused(Method::GET, "/v1/fragments", "", "name one").await;
    refused(Method::DELETE, "/v1/streams/door", "", "explicit deny").await;
    refused(Method::PUT, "/v1/streams/gate", "{}", "stream/gate/*").await;
    refused(Method::GET, "/v1/keys", "", "millrace:ListKeys").await;
    refused(Method::GET, "/metrics", "", "millrace:GetMetrics").await;
    let listed = world.get("/v1/streams").await.json();
    assert_eq!(listed["streams"].as_array().unwrap().len(), 1, "{listed}");
    // Whoever may do everything sees both, and the policy of the key.
    let holder = std::mem::replace(&mut world.root, root);
    assert_eq!(world.get("/v1/streams").await.json()["streams"].as_array().unwrap().len(), 2);
    let keys = world.get("/v1/keys").await.json();
    let keys = keys["access_keys"].as_array().unwrap();
    let shown = keys.iter().find(|key| key["access_key_id"] == *holder.access_key_id).unwrap();
    assert_eq!(shown["policy"]["Statement"][2]["Effect"], "Deny");
}

#[tokio::test]
async fn a_signed_url_is_good_as_long_as_its_maker_may_watch() {
    let mut world = World::with(2).await;
    let door = "arn:aws:kinesisvideo:*:*:stream/door/*";
    let url = json!({ "Effect": "Allow", "Action": "millrace:CreateUrl", "Resource": door });
    let watch = json!({ "Effect": "Allow", "Action": "kinesisvideo:GetClip", "Resource": door });
    let root = become_holder(&mut world, json!([url, watch])).await;
    let body = r#"{"format": "clip", "start": 0, "end": 4102444800, "expires_in": 600}"#;
    let good = world.url(body).await;
    assert_eq!(world.plain(Method::GET, &good, &[]).await.status, StatusCode::OK);
    world.root = root;
    become_holder(&mut world, json!([url])).await;
    let useless = world.url(body).await;
    assert_eq!(world.plain(Method::GET, &useless, &[]).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn aws_operations_do_what_the_policy_allows() {
    let mut world = World::with(1).await;
    let root = become_holder(
        &mut world,
        json!([{ "Effect": "Allow", "Action": "kinesis:*Stream", "Resource": "arn:aws:kinesis:*:*:stream/o*" }]),
    )
    .await;
    assert_eq!(create_data_stream(&world, "orders").await.status, StatusCode::OK);
    let refused = create_data_stream(&world, "bills").await;
    let text = refused.text();
    assert_eq!(refused.json()["__type"], "AccessDeniedException", "{text}");
    assert!(text.contains("arn:aws:kinesis:us-east-1:000000000000:stream/bills"), "{text}");
    assert!(text.contains("arn:aws:iam::000000000000:user/"), "{text}");
    let put = json!({ "StreamName": "orders", "Data": "eA==", "PartitionKey": "a" });
    let refused = world.kinesis("PutRecord", &put).await;
    assert!(refused.text().contains("kinesis:PutRecord on resource: *"), "{}", refused.text());
    let deleted = world.signed(Method::POST, "/deleteStream", r#"{"StreamARN": "x"}"#).await;
    assert_eq!(deleted.status, StatusCode::FORBIDDEN, "{}", deleted.text());
    world.root = root;
    assert_eq!(world.kinesis("PutRecord", &put).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_policy_that_is_none_makes_no_key() {
    let world = World::with(0).await;
    let body = r#"{"policy": {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {}}]}}"#;
    let answer = world.signed(Method::POST, "/v1/keys", body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
    assert!(answer.refusal().contains("Condition is not served"), "{}", answer.refusal());
}
