"""The aws CLI, unmodified, against every service: it is told by its environment where the server is."""

import json
import subprocess
import sys
from pathlib import Path


def aws(server, service: str, operation: str, *words: str) -> dict:
    """One command of the aws CLI; what it prints."""
    command = [str(Path(sys.executable).with_name("aws")), service, operation, *words, "--output", "json"]
    done = subprocess.run(command, env=server.environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return json.loads(done.stdout or "{}")


def test_the_cli_speaks_to_every_service(server):
    aws(server, "kinesis", "create-stream", "--stream-name", "cli", "--shard-count", "1")
    (shard,) = aws(server, "kinesis", "list-shards", "--stream-name", "cli")["Shards"]
    place = ("--stream-name", "cli", "--shard-id", shard["ShardId"])
    one = aws(server, "kinesis", "put-record", "--stream-name", "cli", "--partition-key", "k", "--data", "one")
    records = json.dumps([{"Data": "two", "PartitionKey": "k"}, {"Data": "ü", "PartitionKey": "k"}])
    put = aws(server, "kinesis", "put-records", "--stream-name", "cli", "--records", records)
    iterator = aws(server, "kinesis", "get-shard-iterator", *place, "--shard-iterator-type", "TRIM_HORIZON")["ShardIterator"]
    found = aws(server, "kinesis", "get-records", "--shard-iterator", iterator)["Records"]
    assert [record["Data"] for record in found] == ["b25l", "dHdv", "w7w="]
    assert [record["SequenceNumber"] for record in found] == [told["SequenceNumber"] for told in [one, *put["Records"]]]
    made = aws(server, "kinesisvideo", "create-stream", "--stream-name", "cli", "--data-retention-in-hours", "1")
    assert [told["StreamARN"] for told in aws(server, "kinesisvideo", "list-streams")["StreamInfoList"]] == [made["StreamARN"]]
    asked = ("--stream-name", "cli", "--api-name", "LIST_FRAGMENTS")
    endpoint = aws(server, "kinesisvideo", "get-data-endpoint", *asked)["DataEndpoint"]
    assert endpoint == server.url()
    # A delivery: nothing takes it, and it is kept.
    bucket = {"RoleARN": "arn:aws:iam::000000000000:role/delivery", "BucketARN": "arn:aws:s3:::lake"}
    configuration = ("--delivery-stream-name", "cli", "--s3-destination-configuration", json.dumps(bucket))
    arn = aws(server, "firehose", "create-delivery-stream", *configuration)["DeliveryStreamARN"]
    record = json.dumps({"Data": "one"})
    assert aws(server, "firehose", "put-record", "--delivery-stream-name", "cli", "--record", record)["RecordId"]
    told = aws(server, "firehose", "describe-delivery-stream", "--delivery-stream-name", "cli")["DeliveryStreamDescription"]
    assert (told["DeliveryStreamARN"], told["DeliveryStreamStatus"]) == (arn, "ACTIVE")
