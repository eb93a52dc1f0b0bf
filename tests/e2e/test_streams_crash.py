"""kill -9 under producers of records: what was acknowledged is read, in order, and nothing else is."""

import os
import random
import threading
import time
from collections import defaultdict

from botocore.exceptions import BotoCoreError, ClientError

CYCLES = int(os.environ.get("MILLRACE_CRASH_CYCLES", "20"))
PRODUCERS = 4
SHARDS = 2
STREAM = "checked"


class Producer(threading.Thread):
    """Puts numbered records until it fails; keeps what was acknowledged and what was only sent."""

    def __init__(self, kinesis, name: str, chance: random.Random):
        super().__init__()
        self.kinesis, self.name, self.chance = kinesis, name, chance
        self.acknowledged, self.sent = {}, set()

    def run(self):
        number = 0
        while True:
            count = self.chance.choice([1, 3, 50])
            data = [f"{self.name}-{number + place}".encode() for place in range(count)]
            number += count
            self.sent |= set(data)
            records = [{"Data": one, "PartitionKey": str(self.chance.random())} for one in data]
            try:
                told = self.kinesis.put_records(StreamName=STREAM, Records=records)["Records"]
            except (BotoCoreError, ClientError):
                return
            for one, place in zip(data, told):
                if "SequenceNumber" in place:
                    self.acknowledged[one] = (place["ShardId"], int(place["SequenceNumber"]))


def read_all(kinesis) -> dict[bytes, tuple[str, int]]:
    """Where each record is; each shard's numbers must rise, and no record may come twice."""
    found = {}
    for shard in range(SHARDS):
        name, last = f"shardId-{shard:012}", 0
        place = kinesis.get_shard_iterator(StreamName=STREAM, ShardId=name, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while True:
            answer = kinesis.get_records(ShardIterator=place)
            for record in answer["Records"]:
                number = int(record["SequenceNumber"])
                assert number > last and record["Data"] not in found
                last = number
                found[record["Data"]] = (name, number)
            place = answer["NextShardIterator"]
            if answer["MillisBehindLatest"] == 0:
                break
    return found


def test_acknowledged_records_survive_kill_9(fresh):
    server = fresh()
    server.client("kinesis").create_stream(StreamName=STREAM, ShardCount=SHARDS)
    chance = random.Random(11)
    acknowledged, sent, known = {}, set(), {}
    for cycle in range(CYCLES):
        producers = [Producer(server.client("kinesis"), f"{cycle}-{n}", random.Random(100 * cycle + n)) for n in range(PRODUCERS)]
        for producer in producers:
            producer.start()
        time.sleep(chance.uniform(0.3, 0.8))
        server.kill()
        for producer in producers:
            producer.join()
            acknowledged |= producer.acknowledged
            sent |= producer.sent
        server.start()
        found = read_all(server.client("kinesis"))
        lost = [one for one, place in acknowledged.items() if found.get(one) != place]
        assert not lost, f"cycle {cycle}: {len(lost)} of {len(acknowledged)} are gone or elsewhere: {lost[:5]}"
        assert found.keys() <= sent, "records that nobody has sent"
        assert all(found.get(one) == place for one, place in known.items()), "what was read once is read again"
        known = found
    owners = defaultdict(set)
    for one, (shard, number) in known.items():
        owners[shard, number].add(one)
    assert all(len(ones) == 1 for ones in owners.values())
    assert len(acknowledged) > CYCLES
    assert server.cli("verify", "--data", str(server.data)).returncode == 0
