//! What the API takes, refuses and tells, over a data folder of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::native::tests::policy::become_holder;
use crate::native::tests::world::World;

const ROLE: &str = "arn:aws:iam::000000000000:role/delivery";

fn bucket() -> Value {
    json!({ "RoleARN": ROLE, "BucketARN": "arn:aws:s3:::lake" })
}

fn extended(more: Value) -> Value {
    let mut configuration = bucket();
    for (name, value) in more.as_object().unwrap() {
        configuration[name] = value.clone();
    }
    json!({ "DeliveryStreamName": "orders", "ExtendedS3DestinationConfiguration": configuration })
}

fn endpoint(more: Value) -> Value {
    let mut configuration = json!({
        "EndpointConfiguration": { "Url": "http://127.0.0.1:9/in", "AccessKey": "canary" },
        "S3Configuration": bucket(),
    });
    for (name, value) in more.as_object().unwrap() {
        configuration[name] = value.clone();
    }
    json!({ "DeliveryStreamName": "orders", "HttpEndpointDestinationConfiguration": configuration })
}

async fn ok(world: &World, operation: &str, input: Value) -> Value {
    let answer = world.firehose(operation, &input).await;
    assert_eq!(answer.status, 200, "{operation}: {}", answer.text());
    answer.json()
}

async fn refused(world: &World, operation: &str, input: Value) -> (String, String) {
    let answer = world.firehose(operation, &input).await;
    assert_eq!(answer.status, 400, "{operation}: {}", answer.text());
    let told = answer.json();
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    (text("__type"), text("message"))
}

async fn described(world: &World) -> Value {
    let told = ok(world, "DescribeDeliveryStream", json!({ "DeliveryStreamName": "orders" })).await;
    told["DeliveryStreamDescription"].clone()
}

#[tokio::test]
async fn a_delivery_stream_is_made_described_listed_and_deleted() {
    let world = World::with(0).await;
    let wanted = extended(json!({
        "Prefix": "p/", "CompressionFormat": "GZIP", "FileExtension": ".json.gz", "CustomTimeZone": "UTC",
        "S3BackupMode": "Enabled", "S3BackupConfiguration": bucket(), "DynamicPartitioningConfiguration": { "Enabled": false },
    }));
    let made = ok(&world, "CreateDeliveryStream", wanted.clone()).await;
    assert_eq!(made["DeliveryStreamARN"], "arn:aws:firehose:us-east-1:000000000000:deliverystream/orders");
    let told = described(&world).await;
    assert_eq!((&told["DeliveryStreamStatus"], &told["VersionId"]), (&json!("ACTIVE"), &json!("1")));
    let destination = &told["Destinations"][0];
    assert_eq!(destination["DestinationId"], "destinationId-000000000001");
    let bucket = &destination["ExtendedS3DestinationDescription"];
    assert_eq!(bucket["BufferingHints"], json!({ "SizeInMBs": 5, "IntervalInSeconds": 300 }));
    assert_eq!((&bucket["S3BackupMode"], &bucket["FileExtension"]), (&json!("Enabled"), &json!(".json.gz")));
    assert_eq!(bucket["EncryptionConfiguration"], json!({ "NoEncryptionConfig": "NoEncryption" }));
    assert_eq!(destination["S3DestinationDescription"]["Prefix"], "p/");
    let (code, text) = refused(&world, "CreateDeliveryStream", wanted).await;
    assert_eq!(code, "ResourceInUseException");
    assert_eq!(text, "Firehose orders under accountId 000000000000 already exists");
    let list = ok(&world, "ListDeliveryStreams", json!({ "DeliveryStreamType": "DirectPut" })).await;
    assert_eq!(list, json!({ "DeliveryStreamNames": ["orders"], "HasMoreDeliveryStreams": false }));
    let list =
        ok(&world, "ListDeliveryStreams", json!({ "DeliveryStreamType": "KinesisStreamAsSource" })).await;
    assert_eq!(list["DeliveryStreamNames"], json!([]));
    let shown = world.get("/v1/deliveries").await.json();
    assert_eq!(shown["deliveries"][0]["outlets"][1]["kind"], "backup");
    ok(&world, "DeleteDeliveryStream", json!({ "DeliveryStreamName": "orders" })).await;
    let (code, text) =
        refused(&world, "DescribeDeliveryStream", json!({ "DeliveryStreamName": "orders" })).await;
    assert_eq!(code, "ResourceNotFoundException");
    assert_eq!(text, "Firehose orders under account 000000000000 not found.");
}

#[tokio::test]
async fn an_endpoint_is_described_without_its_access_key() {
    let world = World::with(0).await;
    let attributes = json!([{ "AttributeName": "team", "AttributeValue": "mill" }]);
    let more = json!({
        "RequestConfiguration": { "ContentEncoding": "GZIP", "CommonAttributes": attributes },
        "RetryOptions": { "DurationInSeconds": 0 }, "S3BackupMode": "AllData",
        "BufferingHints": { "SizeInMBs": 1, "IntervalInSeconds": 0 },
        "CloudWatchLoggingOptions": { "Enabled": true, "LogGroupName": "g", "LogStreamName": "s" },
    });
    ok(&world, "CreateDeliveryStream", endpoint(more)).await;
    let told = described(&world).await;
    assert!(!told.to_string().contains("canary"), "{told}");
    let endpoint = &told["Destinations"][0]["HttpEndpointDestinationDescription"];
    assert_eq!(endpoint["EndpointConfiguration"], json!({ "Url": "http://127.0.0.1:9/in" }));
    assert_eq!(endpoint["RequestConfiguration"]["CommonAttributes"], attributes);
    assert_eq!(endpoint["RetryOptions"]["DurationInSeconds"], 0);
    assert_eq!(endpoint["CloudWatchLoggingOptions"]["LogGroupName"], "g");
    let shown = world.get("/v1/deliveries").await.json();
    assert_eq!(shown["deliveries"][0]["outlets"][0]["to"], "127.0.0.1");
}

#[tokio::test]
async fn what_is_not_served_is_refused_and_never_ignored() {
    let world = World::with(0).await;
    let processors = json!([{ "Type": "Lambda", "Parameters": [] }]);
    let stream =
        json!({ "KinesisStreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/none", "RoleARN": ROLE });
    let with = |name: &str, value: Value| {
        let mut input = extended(json!({}));
        input[name] = value;
        input
    };
    for (input, part) in [
        (extended(json!({ "CompressionFormat": "Snappy" })), "CompressionFormat"),
        (extended(json!({ "CustomTimeZone": "Europe/Berlin" })), "CustomTimeZone"),
        (
            extended(json!({ "ProcessingConfiguration": { "Enabled": true, "Processors": processors } })),
            "Processing",
        ),
        (extended(json!({ "ProcessingConfiguration": { "Processors": processors } })), "Processing"),
        (extended(json!({ "DataFormatConversionConfiguration": { "Enabled": true } })), "DataFormat"),
        (extended(json!({ "DynamicPartitioningConfiguration": { "Enabled": true } })), "DynamicPartitioning"),
        (extended(json!({ "S3BackupMode": "Enabled" })), "S3BackupConfiguration"),
        (extended(json!({ "Prefix": "!{timestamp:yyyy}/" })), "ErrorOutputPrefix"),
        (extended(json!({ "Prefix": "!{timestamp:w}/", "ErrorOutputPrefix": "e/" })), "letter w"),
        (extended(json!({ "ErrorOutputPrefix": "e/!{timestamp:yyyy}/" })), "error-output-type"),
        (endpoint(json!({ "SecretsManagerConfiguration": { "Enabled": true } })), "SecretsManager"),
        (
            endpoint(json!({ "EndpointConfiguration": { "Url": "http://169.254.169.254/x" } })),
            "outbound.allow",
        ),
        (endpoint(json!({ "EndpointConfiguration": { "Url": "https://" } })), "URL"),
        (
            with("RedshiftDestinationConfiguration", json!({})),
            "RedshiftDestinationConfiguration is not offered.",
        ),
        (with("SplunkDestinationConfiguration", json!({})), "SplunkDestinationConfiguration is not offered."),
        (with("S3DestinationConfiguration", bucket()), "Exactly one"),
        (json!({ "DeliveryStreamName": "orders" }), "Exactly one"),
        (with("DeliveryStreamType", json!("MSKAsSource")), "MSKAsSource is not offered"),
        (with("DeliveryStreamType", json!("KinesisStreamAsSource")), "KinesisStreamSourceConfiguration"),
        (with("KinesisStreamSourceConfiguration", stream), "does not belong"),
        (
            with("DeliveryStreamEncryptionConfigurationInput", json!({ "KeyType": "CUSTOMER_MANAGED_CMK" })),
            "AWS_OWNED_CMK",
        ),
    ] {
        let (code, text) = refused(&world, "CreateDeliveryStream", input.clone()).await;
        assert_eq!(code, "InvalidArgumentException", "{input}: {text}");
        assert!(text.contains(part), "{input}: {text}");
    }
    let (code, text) =
        refused(&world, "CreateDeliveryStream", extended(json!({ "RoleARN": "me", "Prefix": 7 }))).await;
    assert_eq!((code.as_str(), text.as_str()), ("SerializationException", ""));
    let (code, text) = refused(&world, "CreateDeliveryStream", extended(json!({ "RoleARN": "me" }))).await;
    assert_eq!(code, "ValidationException");
    assert_eq!(
        text,
        "1 validation error detected: Value 'me' at 'extendedS3DestinationConfiguration.roleARN' failed to satisfy \
         constraint: Member must satisfy regular expression pattern: arn:.*:iam::\\d{12}:role/[a-zA-Z_0-9+=,.@\\-_/]+"
    );
    assert_eq!(ok(&world, "ListDeliveryStreams", json!({})).await["DeliveryStreamNames"], json!([]));
}

#[tokio::test]
async fn records_are_put_to_streams_that_take_them() {
    let world = World::with(0).await;
    let encryption = json!({ "KeyType": "AWS_OWNED_CMK" });
    let mut wanted = extended(json!({}));
    wanted["DeliveryStreamEncryptionConfigurationInput"] = encryption;
    ok(&world, "CreateDeliveryStream", wanted).await;
    let put =
        |data: &str| json!({ "DeliveryStreamName": "orders", "Record": { "Data": STANDARD.encode(data) } });
    let first = ok(&world, "PutRecord", put("one")).await;
    assert_eq!(first["Encrypted"], true);
    let records = json!([{ "Data": STANDARD.encode("two") }, { "Data": "" }]);
    let batch =
        ok(&world, "PutRecordBatch", json!({ "DeliveryStreamName": "orders", "Records": records })).await;
    assert_eq!(
        (&batch["FailedPutCount"], batch["RequestResponses"].as_array().unwrap().len()),
        (&json!(0), 2)
    );
    assert!(batch["RequestResponses"][1]["RecordId"].as_str() > first["RecordId"].as_str());

    let many = json!({ "DeliveryStreamName": "orders", "Records": vec![json!({ "Data": "" }); 501] });
    let (code, text) = refused(&world, "PutRecordBatch", many).await;
    assert_eq!(code, "ValidationException", "{text}");
    let large = STANDARD.encode(vec![0; 1_024_000]);
    let much = json!({ "DeliveryStreamName": "orders", "Records": vec![json!({ "Data": large }); 5] });
    let (code, text) = refused(&world, "PutRecordBatch", much).await;
    assert_eq!((code.as_str(), &text[..20]), ("InvalidArgumentException", "Records size exceeds"));
    let more = STANDARD.encode(vec![0; 1_024_001]);
    let (code, text) =
        refused(&world, "PutRecord", json!({ "DeliveryStreamName": "orders", "Record": { "Data": more } }))
            .await;
    assert!(code == "ValidationException" && text.contains("'record.data'"), "{code}: {text}");
    let (code, _) =
        refused(&world, "PutRecord", json!({ "DeliveryStreamName": "none", "Record": { "Data": "" } })).await;
    assert_eq!(code, "ResourceNotFoundException");
}

#[tokio::test]
async fn a_stream_as_source_takes_no_records_and_must_exist() {
    let world = World::with(1).await;
    let wanted = |name: &str| {
        let arn = format!("arn:aws:kinesis:us-east-1:000000000000:stream/{name}");
        let mut input = extended(json!({}));
        input["DeliveryStreamType"] = json!("KinesisStreamAsSource");
        input["KinesisStreamSourceConfiguration"] = json!({ "KinesisStreamARN": arn, "RoleARN": ROLE });
        input
    };
    let (code, text) = refused(&world, "CreateDeliveryStream", wanted("none")).await;
    assert_eq!(code, "InvalidArgumentException", "{text}");
    ok(&world, "CreateDeliveryStream", wanted("fragments.door")).await;
    let told = described(&world).await;
    let source = &told["Source"]["KinesisStreamSourceDescription"];
    assert_eq!(source["KinesisStreamARN"], "arn:aws:kinesis:us-east-1:000000000000:stream/fragments.door");
    let put = json!({ "DeliveryStreamName": "orders", "Record": { "Data": "" } });
    let (code, text) = refused(&world, "PutRecord", put).await;
    assert_eq!(code, "InvalidSourceException");
    assert_eq!(text, "This operation is not permitted on KinesisStreamAsSource delivery stream type.");
}

/// A policy that lets a key make delivery streams does not let it read every stream.
#[tokio::test]
async fn a_source_takes_the_right_to_read_it() {
    let mut world = World::with(0).await;
    for name in ["clicks", "secrets"] {
        let made = world.kinesis("CreateStream", &json!({ "StreamName": name, "ShardCount": 1 })).await;
        assert_eq!(made.status, 200, "{}", made.text());
    }
    let statements = json!([
        { "Effect": "Allow", "Action": "firehose:*", "Resource": "arn:aws:firehose:*:*:deliverystream/orders" },
        { "Effect": "Allow", "Action": "kinesis:GetRecords", "Resource": "arn:aws:kinesis:*:*:stream/clicks" },
    ]);
    become_holder(&mut world, statements).await;
    let wanted = |delivery: &str, stream: &str| {
        let arn = format!("arn:aws:kinesis:us-east-1:000000000000:stream/{stream}");
        let mut input = extended(json!({}));
        input["DeliveryStreamName"] = json!(delivery);
        input["DeliveryStreamType"] = json!("KinesisStreamAsSource");
        input["KinesisStreamSourceConfiguration"] = json!({ "KinesisStreamARN": arn, "RoleARN": ROLE });
        input
    };
    for (input, part) in [
        (wanted("orders", "secrets"), "kinesis:GetRecords on resource"),
        (wanted("others", "clicks"), "firehose:CreateDeliveryStream on resource"),
    ] {
        let (code, text) = refused(&world, "CreateDeliveryStream", input).await;
        assert!(code == "AccessDeniedException" && text.contains(part), "{code}: {text}");
    }
    ok(&world, "CreateDeliveryStream", wanted("orders", "clicks")).await;
    assert_eq!(ok(&world, "ListDeliveryStreams", json!({})).await["DeliveryStreamNames"], json!(["orders"]));
}

fn update(version: &str, more: Value) -> Value {
    let mut input = json!({
        "DeliveryStreamName": "orders", "CurrentDeliveryStreamVersionId": version,
        "DestinationId": "destinationId-000000000001",
    });
    for (name, value) in more.as_object().unwrap() {
        input[name] = value.clone();
    }
    input
}

#[tokio::test]
async fn a_destination_is_changed_member_by_member_and_version_by_version() {
    let world = World::with(0).await;
    let made = extended(json!({ "Prefix": "p/", "CompressionFormat": "GZIP", "FileExtension": ".x" }));
    ok(&world, "CreateDeliveryStream", made).await;
    assert_eq!(described(&world).await["LastUpdateTimestamp"], Value::Null);
    let change = json!({ "BufferingHints": { "SizeInMBs": 7 }, "Prefix": "q/", "S3BackupMode": "Enabled",
        "S3BackupUpdate": bucket() });
    let input = update("1", json!({ "ExtendedS3DestinationUpdate": change }));
    ok(&world, "UpdateDestination", input.clone()).await;
    let told = described(&world).await;
    assert_eq!(told["VersionId"], "2");
    assert!(told["LastUpdateTimestamp"].is_number());
    let bucket_now = &told["Destinations"][0]["ExtendedS3DestinationDescription"];
    assert_eq!(bucket_now["BufferingHints"], json!({ "SizeInMBs": 7, "IntervalInSeconds": 300 }));
    assert_eq!((&bucket_now["Prefix"], &bucket_now["CompressionFormat"]), (&json!("q/"), &json!("GZIP")));
    assert_eq!(
        (&bucket_now["FileExtension"], &bucket_now["S3BackupMode"]),
        (&json!(".x"), &json!("Enabled"))
    );
    let (code, text) = refused(&world, "UpdateDestination", input).await;
    assert_eq!(code, "ConcurrentModificationException");
    assert!(text.contains("version 2"), "{text}");
    for (more, hint) in [
        (json!({ "ExtendedS3DestinationUpdate": { "S3BackupMode": "Disabled" } }), "cannot be changed"),
        (json!({ "S3DestinationUpdate": { "Prefix": "!{timestamp:yyyy}" } }), "ErrorOutputPrefix"),
        (
            json!({ "HttpEndpointDestinationUpdate": { "RetryOptions": { "DurationInSeconds": 1 } } }),
            "RoleARN",
        ),
        (json!({ "HttpEndpointDestinationUpdate": { "S3Update": bucket() } }), "EndpointConfiguration"),
        (
            json!({ "HttpEndpointDestinationUpdate": { "S3Update": bucket(),
            "EndpointConfiguration": { "Url": "http://169.254.169.254/" } } }),
            "outbound.allow",
        ),
        (json!({ "SplunkDestinationUpdate": {} }), "SplunkDestinationUpdate is not offered"),
        (json!({}), "Exactly one destination update"),
        (json!({ "DestinationId": "destinationId-000000000002", "S3DestinationUpdate": {} }), "not found"),
    ] {
        let (code, text) = refused(&world, "UpdateDestination", update("2", more)).await;
        assert!(code == "InvalidArgumentException" && text.contains(hint), "{code}: {text}");
    }
    let (code, _) = refused(&world, "UpdateDestination", update("two", json!({}))).await;
    assert_eq!(code, "ValidationException");
    assert_eq!(described(&world).await["VersionId"], "2", "what is refused changes nothing");
}

#[tokio::test]
async fn an_endpoint_takes_the_place_of_a_bucket_and_keeps_its_key_from_the_next() {
    let world = World::with(0).await;
    ok(&world, "CreateDeliveryStream", extended(json!({}))).await;
    let to = |url: &str, key: Option<&str>| {
        json!({ "HttpEndpointDestinationUpdate": {
            "EndpointConfiguration": { "Url": url, "AccessKey": key }, "S3Update": bucket() } })
    };
    let first = update("1", to("http://127.0.0.1:9/a", Some("canary")));
    ok(&world, "UpdateDestination", first).await;
    let told = described(&world).await;
    let endpoint = &told["Destinations"][0]["HttpEndpointDestinationDescription"];
    assert_eq!(endpoint["EndpointConfiguration"]["Url"], "http://127.0.0.1:9/a");
    assert_eq!(endpoint["RetryOptions"]["DurationInSeconds"], 300);
    assert_eq!(told["Destinations"][0]["ExtendedS3DestinationDescription"], Value::Null);
    let key = || {
        let made = world.app.catalog.delivery(&base::StreamName::new("orders").unwrap()).unwrap();
        let catalog::Destination::Http(target) = &made.configuration.destination else {
            panic!("no endpoint")
        };
        target.access_key.as_ref().map(|key| key.expose().to_owned())
    };
    let retry = json!({ "HttpEndpointDestinationUpdate": { "RetryOptions": { "DurationInSeconds": 5 } } });
    ok(&world, "UpdateDestination", update("2", retry)).await;
    assert_eq!(key().as_deref(), Some("canary"));
    ok(&world, "UpdateDestination", update("3", to("http://127.0.0.1:9/b", None))).await;
    assert_eq!(key(), None);
}

#[tokio::test]
async fn tags_and_the_word_of_encryption_come_and_go() {
    let world = World::with(0).await;
    ok(&world, "CreateDeliveryStream", extended(json!({}))).await;
    let named = |more: Value| {
        let mut input = json!({ "DeliveryStreamName": "orders" });
        for (name, value) in more.as_object().unwrap() {
            input[name] = value.clone();
        }
        input
    };
    let tag = |n: usize| json!({ "Key": format!("k{n:02}"), "Value": "v" });
    let tags = json!((0..50).map(tag).collect::<Vec<_>>());
    ok(&world, "TagDeliveryStream", named(json!({ "Tags": tags }))).await;
    let (code, _) = refused(&world, "TagDeliveryStream", named(json!({ "Tags": [tag(50)] }))).await;
    assert_eq!(code, "LimitExceededException");
    let keys = json!((2..50).map(|n| format!("k{n:02}")).collect::<Vec<_>>());
    ok(&world, "UntagDeliveryStream", named(json!({ "TagKeys": keys }))).await;
    let list = ok(&world, "ListTagsForDeliveryStream", named(json!({ "Limit": 1 }))).await;
    assert_eq!(list, json!({ "Tags": [tag(0)], "HasMoreTags": true }));
    let rest = named(json!({ "ExclusiveStartTagKey": "k00" }));
    let list = ok(&world, "ListTagsForDeliveryStream", rest).await;
    assert_eq!(list, json!({ "Tags": [tag(1)], "HasMoreTags": false }));

    let status = async || {
        let told = described(&world).await;
        told["DeliveryStreamEncryptionConfiguration"]["Status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status().await, "DISABLED");
    ok(&world, "StartDeliveryStreamEncryption", named(json!({}))).await;
    assert_eq!(status().await, "ENABLED");
    let managed =
        json!({ "DeliveryStreamEncryptionConfigurationInput": { "KeyType": "CUSTOMER_MANAGED_CMK" } });
    let (code, _) = refused(&world, "StartDeliveryStreamEncryption", named(managed)).await;
    assert_eq!(code, "InvalidArgumentException");
    ok(&world, "StopDeliveryStreamEncryption", named(json!({}))).await;
    assert_eq!(status().await, "DISABLED");
    assert_eq!(described(&world).await["VersionId"], "1", "the destination is the same");
}
