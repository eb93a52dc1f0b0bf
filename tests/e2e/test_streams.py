"""The Data Streams API as boto3 speaks it, and as the AWS SDKs for Java do, in CBOR."""

import hashlib
import json
import subprocess
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.eventstream import EventStreamBuffer
from botocore.exceptions import ClientError

import cbor
from media import SECONDS, clip, ffmpeg_push, finish
from server import REGION

ACCOUNT = "000000000000"
MIB = 1024 * 1024


def refused(call, **arguments) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    answer = error.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Message"]


def raw(server, operation: str, body: bytes, content_type: str = "application/x-amz-json-1.1", service="kinesis"):
    headers = {"x-amz-target": f"Kinesis_20131202.{operation}", "content-type": content_type}
    request = AWSRequest(method="POST", url=server.url() + "/", data=body, headers=headers)
    SigV4Auth(server.credentials(), service, REGION).add_auth(request)
    return server.request("POST", "/", body, sign=False, headers=dict(request.headers))


def iterator(kinesis, name, shard="shardId-000000000000", kind="TRIM_HORIZON", **more):
    return kinesis.get_shard_iterator(StreamName=name, ShardId=shard, ShardIteratorType=kind, **more)["ShardIterator"]


def drain(kinesis, name, **more) -> list[dict]:
    """Every record from there to the tip."""
    found, place = [], iterator(kinesis, name, **more)
    while True:
        answer = kinesis.get_records(ShardIterator=place)
        found += answer["Records"]
        place = answer["NextShardIterator"]
        if answer["MillisBehindLatest"] == 0:
            return found


@pytest.fixture(scope="module")
def kinesis(server):
    return server.client("kinesis")


def test_a_stream_is_created_described_listed_and_deleted(server, kinesis):
    kinesis.create_stream(StreamName="life", ShardCount=3, Tags={"team": "mill"})
    told = kinesis.describe_stream(StreamName="life")["StreamDescription"]
    arn = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/life"
    assert (told["StreamARN"], told["StreamStatus"], told["RetentionPeriodHours"]) == (arn, "ACTIVE", 24)
    assert told["StreamModeDetails"] == {"StreamMode": "PROVISIONED"} and told["EncryptionType"] == "NONE"
    assert abs(told["StreamCreationTimestamp"] - datetime.now(timezone.utc)) < timedelta(minutes=1)
    ranges = [(int(shard["HashKeyRange"]["StartingHashKey"]), int(shard["HashKeyRange"]["EndingHashKey"])) for shard in told["Shards"]]
    assert ranges[0][0] == 0 and ranges[-1][1] == 2**128 - 1 and all(a[1] + 1 == b[0] for a, b in zip(ranges, ranges[1:]))
    assert [start for start, _ in ranges] == [number * (2**128 // 3) for number in range(3)]
    summary = kinesis.describe_stream_summary(StreamARN=arn)["StreamDescriptionSummary"]
    assert (summary["OpenShardCount"], summary["ConsumerCount"], summary["MaxRecordSizeInKiB"]) == (3, 0, 1024)
    # With an id botocore asks AWS itself and not the endpoint that it was given.
    by_id = raw(server, "DescribeStreamSummary", json.dumps({"StreamId": summary["StreamId"]}).encode())
    assert by_id.json()["StreamDescriptionSummary"]["StreamARN"] == arn
    page = kinesis.describe_stream(StreamName="life", Limit=2)["StreamDescription"]
    assert len(page["Shards"]) == 2 and page["HasMoreShards"]
    rest = kinesis.describe_stream(StreamName="life", ExclusiveStartShardId=page["Shards"][-1]["ShardId"])
    assert [shard["ShardId"] for shard in rest["StreamDescription"]["Shards"]] == ["shardId-000000000002"]
    assert "life" in kinesis.list_streams()["StreamNames"]
    kinesis.get_waiter("stream_exists").wait(StreamName="life")
    assert refused(kinesis.create_stream, StreamName="life") == ("ResourceInUseException", 400, f"Stream life under account {ACCOUNT} already exists.")
    kinesis.delete_stream(StreamARN=arn)
    assert refused(kinesis.describe_stream, StreamName="life") == ("ResourceNotFoundException", 400, f"Stream life under account {ACCOUNT} not found.")
    kinesis.get_waiter("stream_not_exists").wait(StreamName="life")
    assert kinesis.describe_limits()["ShardLimit"] == 10_000


def test_lists_page(kinesis):
    for number in range(5):
        kinesis.create_stream(StreamName=f"page-{number}")
    page = kinesis.list_streams(ExclusiveStartStreamName="page-", Limit=2)
    names = page["StreamNames"]
    while page["HasMoreStreams"] and len(names) < 5:
        page = kinesis.list_streams(NextToken=page["NextToken"], Limit=2)
        names += page["StreamNames"]
    assert names[:5] == [f"page-{number}" for number in range(5)]
    assert refused(kinesis.list_streams, NextToken="bm90IG91cnM=")[0] == "InvalidArgumentException"
    kinesis.create_stream(StreamName="shards", ShardCount=5)
    page = kinesis.list_shards(StreamName="shards", MaxResults=3)
    rest = kinesis.list_shards(NextToken=page["NextToken"])
    ids = [shard["ShardId"] for shard in page["Shards"] + rest["Shards"]]
    assert ids == [f"shardId-{number:012}" for number in range(5)] and "NextToken" not in rest
    after = {"Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000003"}
    assert [shard["ShardId"] for shard in kinesis.list_shards(StreamName="shards", ShardFilter=after)["Shards"]] == ids[4:]
    for kind in ("AT_LATEST", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON"):
        assert len(kinesis.list_shards(StreamName="shards", ShardFilter={"Type": kind})["Shards"]) == 5
    assert refused(kinesis.list_shards, StreamName="shards", ShardFilter={"Type": "AT_TIMESTAMP"})[0] == "InvalidArgumentException"
    both = refused(kinesis.list_shards, StreamName="shards", NextToken=page["NextToken"])
    assert both[2] == "NextToken and StreamName cannot be provided together."


def test_records_come_back_in_order(kinesis):
    kinesis.create_stream(StreamName="orders", ShardCount=2)
    put = []
    for call in range(3):
        records = [{"Data": f"{call}-{number}".encode(), "PartitionKey": f"key-{number}"} for number in range(100)]
        answer = kinesis.put_records(StreamName="orders", Records=records)
        assert answer["FailedRecordCount"] == 0
        put += zip(records, answer["Records"])
    for shard in range(2):
        name = f"shardId-{shard:012}"
        wanted = [(told["SequenceNumber"], record["Data"], record["PartitionKey"]) for record, told in put if told["ShardId"] == name]
        found = [(r["SequenceNumber"], r["Data"], r["PartitionKey"]) for r in drain(kinesis, "orders", shard=name)]
        assert found == wanted and len(found) > 50
        numbers = [int(number) for number, _, _ in found]
        assert numbers == sorted(set(numbers)) and all(len(number) == 56 for number, _, _ in found)
    for record, told in put[:100]:
        hashed = int.from_bytes(hashlib.md5(record["PartitionKey"].encode()).digest(), "big")
        assert told["ShardId"] == f"shardId-{hashed >> 127:012}"
    single = kinesis.put_record(StreamName="orders", Data=b"last", PartitionKey="x", ExplicitHashKey=str(2**128 - 1))
    assert single["ShardId"] == "shardId-000000000001"
    after = kinesis.put_record(StreamName="orders", Data=b"", PartitionKey="x", ExplicitHashKey=str(2**128 - 1), SequenceNumberForOrdering=single["SequenceNumber"])
    assert int(after["SequenceNumber"]) > int(single["SequenceNumber"])
    assert drain(kinesis, "orders", shard="shardId-000000000001")[-1]["Data"] == b""


def test_iterators_begin_where_they_are_told(kinesis):
    kinesis.create_stream(StreamName="places")
    latest = iterator(kinesis, "places", kind="LATEST")
    numbers = [kinesis.put_record(StreamName="places", Data=bytes([n]), PartitionKey="k")["SequenceNumber"] for n in range(5)]
    first = drain(kinesis, "places")[0]["ApproximateArrivalTimestamp"]
    assert [r["Data"][0] for r in kinesis.get_records(ShardIterator=latest)["Records"]] == [0, 1, 2, 3, 4]
    at = lambda kind, number: [r["Data"][0] for r in drain(kinesis, "places", kind=kind, StartingSequenceNumber=number)]
    assert at("AT_SEQUENCE_NUMBER", numbers[2]) == [2, 3, 4] and at("AFTER_SEQUENCE_NUMBER", numbers[2]) == [3, 4]
    start = kinesis.list_shards(StreamName="places")["Shards"][0]["SequenceNumberRange"]["StartingSequenceNumber"]
    assert at("AT_SEQUENCE_NUMBER", start) == [0, 1, 2, 3, 4]
    assert len(drain(kinesis, "places", kind="AT_TIMESTAMP", Timestamp=first)) == 5
    page = kinesis.get_records(ShardIterator=iterator(kinesis, "places"), Limit=2)
    assert len(page["Records"]) == 2
    assert [r["Data"][0] for r in kinesis.get_records(ShardIterator=page["NextShardIterator"])["Records"]] == [2, 3, 4]


def test_bad_places_are_refused(kinesis):
    for name in ("here", "there"):
        kinesis.create_stream(StreamName=name, ShardCount=2)
    number = kinesis.put_record(StreamName="here", Data=b"x", PartitionKey="k", ExplicitHashKey="0")["SequenceNumber"]
    ask = lambda shard=0, **more: refused(kinesis.get_shard_iterator, **{"StreamName": "here", "ShardId": f"shardId-{shard:012}", **more})
    at = {"ShardIteratorType": "AT_SEQUENCE_NUMBER"}
    assert "It encodes shardId-000000000000, while it was used in a call to a shard with shardId-000000000001" in ask(1, **at, StartingSequenceNumber=number)[2]
    assert "is invalid" in ask(**at, StartingSequenceNumber=str(int(number) + (1 << 90)))[2]
    assert "is invalid" in ask(**at, StartingSequenceNumber="5")[2]
    assert ask(**at)[0] == "InvalidArgumentException"
    future = datetime.now(timezone.utc) + timedelta(hours=1)
    assert "cannot be greater than the currentTimestampInMillis" in ask(ShardIteratorType="AT_TIMESTAMP", Timestamp=future)[2]
    assert ask(7, ShardIteratorType="LATEST") == ("ResourceNotFoundException", 400, f"Shard shardId-000000000007 in stream here under account {ACCOUNT} does not exist")
    good = iterator(kinesis, "here")
    forged = good[:40] + ("A" if good[40] != "A" else "B") + good[41:]
    for bad in (forged, "AAAA", good[:-4]):
        assert refused(kinesis.get_records, ShardIterator=bad) == ("InvalidArgumentException", 400, "Invalid ShardIterator.")
    arn = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/there"
    assert refused(kinesis.get_records, ShardIterator=good, StreamARN=arn)[0] == "InvalidArgumentException"
    assert kinesis.get_records(ShardIterator=f'"{good}"')["Records"], "quotes of a shell are stepped over"
    kinesis.delete_stream(StreamName="here")
    kinesis.create_stream(StreamName="here")
    assert refused(kinesis.get_records, ShardIterator=good)[0] == "ResourceNotFoundException"


def test_limits_of_records_hold(kinesis):
    kinesis.create_stream(StreamName="large", MaxRecordSizeInKiB=10240)
    kinesis.create_stream(StreamName="small")
    put = lambda name, size: kinesis.put_record(StreamName=name, Data=b"x" * size, PartitionKey="k")
    put("large", 10 * MIB)
    put("small", MIB)
    too_large = refused(kinesis.put_record, StreamName="large", Data=b"x" * (10 * MIB + 1), PartitionKey="k")
    assert too_large[0] == "ValidationException" and "java.nio.HeapByteBuffer[pos=0 lim=10485761 cap=10485761]" in too_large[2]
    assert refused(kinesis.put_record, StreamName="small", Data=b"x" * (MIB + 1), PartitionKey="k")[0] == "InvalidArgumentException"
    records = [{"Data": b"x", "PartitionKey": "k"} for _ in range(500)]
    bad = records[:250] + [{"Data": b"x" * (MIB + 1), "PartitionKey": "k"}] + records[251:]
    assert refused(kinesis.put_records, StreamName="small", Records=bad)[0] == "InvalidArgumentException"
    assert refused(kinesis.put_records, StreamName="small", Records=records + records[:1])[0] == "ValidationException"
    huge = [{"Data": b"x" * MIB, "PartitionKey": "k"} for _ in range(11)]
    assert refused(kinesis.put_records, StreamName="small", Records=huge)[0] == "InvalidArgumentException"
    assert len(drain(kinesis, "small")) == 1, "of a refused call nothing is kept"
    found = drain(kinesis, "large")
    assert [len(record["Data"]) for record in found] == [10 * MIB]
    hashed = refused(kinesis.put_record, StreamName="small", Data=b"x", PartitionKey="k", ExplicitHashKey=str(2**128))
    assert hashed[0] == "InvalidArgumentException"
    assert refused(kinesis.create_stream, StreamName="million", ShardCount=1_000_000)[0] == "LimitExceededException"


def test_violations_are_told_in_aws_words(kinesis, server):
    code, status, text = refused(kinesis.create_stream, StreamName="", ShardCount=0, StreamModeDetails={"StreamMode": "MAGIC"})
    assert (code, status) == ("ValidationException", 400)
    assert text == (
        "4 validation errors detected: Value '' at 'streamName' failed to satisfy constraint: Member must have length "
        "greater than or equal to 1; Value '' at 'streamName' failed to satisfy constraint: Member must satisfy regular "
        "expression pattern: [a-zA-Z0-9_.-]+; Value '0' at 'shardCount' failed to satisfy constraint: Member must have "
        "value greater than or equal to 1; Value 'MAGIC' at 'streamModeDetails.streamMode' failed to satisfy constraint: "
        "Member must satisfy enum value set: [PROVISIONED, ON_DEMAND]"
    )
    nested = refused(kinesis.put_records, StreamName="x", Records=[{"Data": b"x", "PartitionKey": ""}])[2]
    assert "Value '' at 'records.1.member.partitionKey' failed to satisfy constraint" in nested
    kind = raw(server, "PutRecord", b'{"StreamName": 7}')
    assert kind.status == 400 and kind.json() == {"__type": "SerializationException", "Message": "class java.lang.Integer can not be converted to a String"}
    blob = raw(server, "PutRecord", b'{"Data": "abc", "StreamName": ""}').json()
    assert blob["Message"] == "Base64 encoded length is expected a multiple of 4 bytes but found: 3"
    assert raw(server, "PutRecord", b"{nonsense").json()["__type"] == "SerializationException"
    assert raw(server, "GrowWings", b"{}").json()["__type"] == "UnknownOperationException"
    wrong = raw(server, "ListStreams", b"{}", service="kinesisvideo")
    assert wrong.status == 400 and wrong.json()["__type"] == "InvalidSignatureException"
    good = raw(server, "ListStreams", b"{}")
    assert good.status == 200 and good.headers["content-type"] == "application/x-amz-json-1.1"
    assert good.headers["x-amzn-requestid"] and good.headers["x-amz-id-2"] and good.headers["date"]


def test_retention_changes_one_way_at_a_time(kinesis):
    kinesis.create_stream(StreamName="kept")
    kinesis.increase_stream_retention_period(StreamName="kept", RetentionPeriodHours=48)
    assert kinesis.describe_stream_summary(StreamName="kept")["StreamDescriptionSummary"]["RetentionPeriodHours"] == 48
    short = refused(kinesis.decrease_stream_retention_period, StreamName="kept", RetentionPeriodHours=23)
    assert short[2] == "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short."
    for call, hours in ((kinesis.increase_stream_retention_period, 24), (kinesis.decrease_stream_retention_period, 72), (kinesis.increase_stream_retention_period, 8761)):
        assert refused(call, StreamName="kept", RetentionPeriodHours=hours)[0] == "InvalidArgumentException"
    kinesis.decrease_stream_retention_period(StreamName="kept", RetentionPeriodHours=24)


def test_tags_of_streams_and_consumers(kinesis):
    kinesis.create_stream(StreamName="tagged")
    arn = kinesis.describe_stream_summary(StreamName="tagged")["StreamDescriptionSummary"]["StreamARN"]
    kinesis.add_tags_to_stream(StreamName="tagged", Tags={"a": "1", "b": "2", "c": ""})
    kinesis.remove_tags_from_stream(StreamName="tagged", TagKeys=["b", "absent"])
    page = kinesis.list_tags_for_stream(StreamName="tagged", Limit=1)
    assert page == {**page, "Tags": [{"Key": "a", "Value": "1"}], "HasMoreTags": True}
    kinesis.tag_resource(ResourceARN=arn, Tags={"d": "4"})
    kinesis.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert kinesis.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "c", "Value": ""}, {"Key": "d", "Value": "4"}]
    assert refused(kinesis.add_tags_to_stream, StreamName="tagged", Tags={"#": "x"})[0] == "InvalidArgumentException"
    many = {f"tag-{number}": "x" for number in range(51)}
    assert "cannot have more than 50 tags" in refused(kinesis.add_tags_to_stream, StreamName="tagged", Tags=many)[2]
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="app", Tags={"x": "1"})["Consumer"]["ConsumerARN"]
    kinesis.tag_resource(ResourceARN=consumer, Tags={"y": "2"})
    kinesis.untag_resource(ResourceARN=consumer, TagKeys=["x"])
    assert kinesis.list_tags_for_resource(ResourceARN=consumer)["Tags"] == [{"Key": "y", "Value": "2"}]


def test_consumers_are_registered_listed_and_deregistered(kinesis):
    kinesis.create_stream(StreamName="read")
    arn = kinesis.describe_stream_summary(StreamName="read")["StreamDescriptionSummary"]["StreamARN"]
    made = [kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=f"app-{n}")["Consumer"] for n in range(3)]
    assert made[0]["ConsumerStatus"] == "ACTIVE" and made[0]["ConsumerARN"].startswith(f"{arn}/consumer/app-0:")
    told = kinesis.describe_stream_consumer(ConsumerARN=made[1]["ConsumerARN"])["ConsumerDescription"]
    assert told == {**made[1], "StreamARN": arn}
    assert kinesis.describe_stream_consumer(StreamARN=arn, ConsumerName="app-1")["ConsumerDescription"] == told
    pages = kinesis.get_paginator("list_stream_consumers").paginate(StreamARN=arn, PaginationConfig={"PageSize": 2})
    assert [consumer["ConsumerName"] for page in pages for consumer in page["Consumers"]] == ["app-0", "app-1", "app-2"]
    assert refused(kinesis.register_stream_consumer, StreamARN=arn, ConsumerName="app-0")[0] == "ResourceInUseException"
    kinesis.deregister_stream_consumer(ConsumerARN=made[0]["ConsumerARN"])
    assert refused(kinesis.describe_stream_consumer, ConsumerARN=made[0]["ConsumerARN"])[0] == "ResourceNotFoundException"
    assert refused(kinesis.delete_stream, StreamName="read")[0] == "ResourceInUseException"
    for number in range(3, 21):
        kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=f"app-{number}")
    assert refused(kinesis.register_stream_consumer, StreamARN=arn, ConsumerName="more")[0] == "LimitExceededException"
    kinesis.delete_stream(StreamName="read", EnforceConsumerDeletion=True)


def subscribed(kinesis, stream, consumer="app", **position):
    arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    made = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=consumer)["Consumer"]["ConsumerARN"]
    position = position or {"Type": "TRIM_HORIZON"}
    subscribe = lambda start=position: kinesis.subscribe_to_shard(ConsumerARN=made, ShardId="shardId-000000000000", StartingPosition=start)
    return made, subscribe


def events(subscription):
    for event in subscription["EventStream"]:
        yield event["SubscribeToShardEvent"]


def test_a_subscription_pushes_records_as_they_come(kinesis):
    kinesis.create_stream(StreamName="pushed")
    kinesis.put_record(StreamName="pushed", Data=b"before", PartitionKey="k")
    _, subscribe = subscribed(kinesis, "pushed")
    told = events(subscribe())
    first = next(told)
    assert [record["Data"] for record in first["Records"]] == [b"before"] and first["MillisBehindLatest"] == 0
    sender = threading.Timer(0.2, lambda: kinesis.put_record(StreamName="pushed", Data=b"after", PartitionKey="k"))
    sender.start()
    began = time.monotonic()
    event = next(told)
    assert [record["Data"] for record in event["Records"]] == [b"after"], "comes before the empty event of every five seconds"
    assert event["ContinuationSequenceNumber"] == event["Records"][0]["SequenceNumber"]
    empty = next(told)
    assert empty["Records"] == [] and empty["ContinuationSequenceNumber"].startswith("49")
    sender.join()
    assert refused(subscribe)[0] == "ResourceInUseException" or time.monotonic() - began > 5
    again = {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": first["ContinuationSequenceNumber"]}
    time.sleep(max(0, 5.5 - (time.monotonic() - began)))
    assert [record["Data"] for record in next(events(subscribe(again)))["Records"]] == [b"after"]


@pytest.mark.parametrize("listener", ["http", "https"])
def test_a_subscription_over_http_2(server, kinesis, listener):
    name = f"http-2-{listener}"
    kinesis.create_stream(StreamName=name)
    kinesis.put_record(StreamName=name, Data=b"x", PartitionKey="k")
    made, _ = subscribed(kinesis, name)
    key = server.credentials()
    body = json.dumps({"ConsumerARN": made, "ShardId": "shardId-000000000000", "StartingPosition": {"Type": "TRIM_HORIZON"}})
    version = "--http2-prior-knowledge" if listener == "http" else "--http2"
    headers = ("x-amz-target: Kinesis_20131202.SubscribeToShard", "content-type: application/x-amz-json-1.1")
    command = ["curl", "-sN", version, "--cacert", str(server.data / "tls/ca.pem"), "--max-time", "2", "-w", "%{http_version}"]
    command += ["--aws-sigv4", f"aws:amz:{REGION}:kinesis", "--user", f"{key.access_key}:{key.secret_key}"]
    command += [part for header in headers for part in ("-H", header)] + ["-d", body, server.url(listener) + "/"]
    answer = subprocess.run(command, capture_output=True, timeout=20).stdout
    assert answer.endswith(b"2"), "curl tells the version that was spoken"
    buffer = EventStreamBuffer()
    buffer.add_data(answer[:-1])
    told = [message.to_response_dict() for message in buffer]
    assert [one["headers"][":event-type"] for one in told][:2] == ["initial-response", "SubscribeToShardEvent"]
    assert json.loads(told[1]["body"])["Records"][0]["Data"] == "eA=="


def test_a_subscription_ends_when_its_consumer_or_stream_goes(kinesis):
    kinesis.create_stream(StreamName="ending")
    made, subscribe = subscribed(kinesis, "ending")
    told = subscribe()
    kinesis.deregister_stream_consumer(ConsumerARN=made)
    with pytest.raises(Exception, match="ResourceNotFoundException"):
        list(told["EventStream"])
    _, subscribe = subscribed(kinesis, "ending", "other")
    told = subscribe()
    kinesis.delete_stream(StreamName="ending", EnforceConsumerDeletion=True)
    with pytest.raises(Exception, match="ResourceNotFoundException"):
        list(told["EventStream"])


@pytest.mark.parametrize("indefinite", [False, True])
def test_cbor_is_spoken_as_java_does(server, kinesis, indefinite):
    name = f"cbor-{indefinite}"
    content_type = "application/x-amz-cbor-1.1"

    def call(operation, **members):
        answer = raw(server, operation, cbor.encode(members, indefinite), content_type)
        assert answer.headers["content-type"] == content_type
        return answer.status, cbor.decode(answer.body) if answer.body else None

    assert call("CreateStream", StreamName=name, ShardCount=1) == (200, None)
    records = [{"Data": b"\x00\xff" + bytes([n]), "PartitionKey": "k"} for n in range(3)]
    status, put = call("PutRecords", StreamName=name, Records=records)
    assert status == 200 and put["FailedRecordCount"] == 0
    status, told = call("DescribeStreamSummary", StreamName=name)
    created = told["StreamDescriptionSummary"]["StreamCreationTimestamp"]
    assert isinstance(created, cbor.At) and abs(created / 1000 - time.time()) < 60
    place = {"StreamName": name, "ShardId": "shardId-000000000000"}
    status, at = call("GetShardIterator", **place, ShardIteratorType="AT_TIMESTAMP", Timestamp=cbor.At(created))
    status, found = call("GetRecords", ShardIterator=at["ShardIterator"])
    assert [record["Data"] for record in found["Records"]] == [record["Data"] for record in records]
    assert all(isinstance(record["ApproximateArrivalTimestamp"], cbor.At) for record in found["Records"])
    assert [record["Data"] for record in drain(kinesis, name)] == [record["Data"] for record in records]
    status, error = call("GetRecords", ShardIterator="AAAA")
    assert (status, error) == (400, {"__type": "InvalidArgumentException", "message": "Invalid ShardIterator."})
    status, error = call("GetRecords", ShardIterator=7)
    assert error == {"__type": "SerializationException", "Message": "class java.lang.Integer can not be converted to a String"}
    for broken in (b"\xbf", b"\xa1\x61", b"\x9f" * 5000, b"\xfb", b"\x5b" + b"\xff" * 8):
        assert raw(server, "PutRecords", broken, content_type).status == 400


def test_dry_runs_and_wrong_writes_are_told(kinesis):
    kinesis.create_stream(StreamName="dry")
    assert refused(kinesis.put_record, StreamName="dry", Data=b"x", PartitionKey="k", DryRun=True)[0] == "DryRunOperationException"
    assert drain(kinesis, "dry") == []
    assert "PartitionKey must be specified" in refused(kinesis.put_record, StreamName="dry", Data=b"x")[2]
    for bad in ("absent", "fragments.absent"):
        assert refused(kinesis.put_record, StreamName=bad, Data=b"x", PartitionKey="k")[0] == "ResourceNotFoundException"
    assert refused(kinesis.create_stream, StreamName="fragments.mine")[0] == "InvalidArgumentException"


def test_fragments_of_a_video_stream_are_a_data_stream(server, kinesis):
    device = server.device("watched")
    finish(ffmpeg_push(clip(), server.rtsp_url("watched", device)))
    fragments = server.wait_for_fragments("watched", SECONDS // 2)
    name = "fragments.watched"
    assert name not in kinesis.list_streams()["StreamNames"]
    assert name in kinesis.list_streams(ExclusiveStartStreamName="fragments.")["StreamNames"]
    assert len(kinesis.list_shards(StreamName=name)["Shards"]) == 1
    records = drain(kinesis, name)
    assert [json.loads(record["Data"]) for record in records] == fragments
    assert {record["PartitionKey"] for record in records} == {"watched"}
    numbers = [int(record["SequenceNumber"]) for record in records]
    assert numbers == sorted(set(numbers))
    assert len(drain(kinesis, name, kind="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=records[0]["SequenceNumber"])) == len(records) - 1
    assert refused(kinesis.put_record, StreamName=name, Data=b"x", PartitionKey="k")[0] == "InvalidArgumentException"
    assert refused(kinesis.delete_stream, StreamName=name)[0] == "InvalidArgumentException"
    _, subscribe = subscribed(kinesis, name)
    event = next(events(subscribe()))
    assert [json.loads(record["Data"]) for record in event["Records"]] == fragments[: len(event["Records"])]
