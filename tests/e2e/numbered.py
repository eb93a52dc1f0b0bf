"""Producers of numbered records and fragments, each a thread: they go on until the server is gone, and keep what was
acknowledged and what was only sent. And a subscriber, that keeps what it is told."""

import threading
import time

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

import putmedia
from matroska import block, cluster, header

GONE = (BotoCoreError, ClientError, HTTPError, OSError)
START = 1_795_000_000.25


class Producer(threading.Thread):
    """Puts records, `NAME-NUMBER;` each, by a function that tells where it put them."""

    def __init__(self, name: str, put, counts: list[int], chance):
        super().__init__(daemon=True)
        self.name, self.put, self.counts, self.chance = name, put, counts, chance
        self.acknowledged, self.sent = {}, set()

    def run(self):
        number = 0
        while True:
            count = self.chance.choice(self.counts)
            items = [b"%s-%d;" % (self.name.encode(), number + place) for place in range(count)]
            number += count
            self.sent.update(items)
            try:
                self.acknowledged |= self.put(items)
            except GONE:
                return
            # Several are on their way at any time, and the machine has other things to do.
            time.sleep(self.chance.uniform(0, 0.02))


def by_put_record(kinesis, stream: str, chance):
    def put(items):
        (item,) = items
        told = kinesis.put_record(StreamName=stream, Data=item, PartitionKey=str(chance.random()))
        return {item: (told["ShardId"], told["SequenceNumber"])}

    return put


def by_put_records(kinesis, stream: str, chance):
    def put(items):
        records = [{"Data": item, "PartitionKey": str(chance.random())} for item in items]
        told = kinesis.put_records(StreamName=stream, Records=records)["Records"]
        return {item: (one["ShardId"], one["SequenceNumber"]) for item, one in zip(items, told) if "SequenceNumber" in one}

    return put


def by_direct_put(firehose, name: str):
    def put(items):
        if len(items) == 1:
            return {items[0]: firehose.put_record(DeliveryStreamName=name, Record={"Data": items[0]})["RecordId"]}
        told = firehose.put_record_batch(DeliveryStreamName=name, Records=[{"Data": item} for item in items])
        return {item: one["RecordId"] for item, one in zip(items, told["RequestResponses"]) if "RecordId" in one}

    return put


class MediaProducer(threading.Thread):
    """Sends fragments over one PutMedia connection, each with its timecode as its frame, after this one."""

    def __init__(self, server, stream: str, timecode: int):
        super().__init__(daemon=True)
        self.connection = putmedia.Producer(server, stream, start=START)
        self.timecode, self.sent = timecode, set()

    def run(self):
        try:
            self.connection.send(header())
            while True:
                self.timecode += 100
                self.sent.add(self.timecode)
                self.connection.send(cluster(self.timecode, block(b"%d " % self.timecode + b"x" * 200)))
                time.sleep(0.03)
        except OSError:
            pass

    @property
    def acknowledged(self) -> dict[int, str]:
        """The numbers of the fragments that are on disk, by timecode."""
        return {ack["FragmentTimecode"]: ack["FragmentNumber"] for ack in self.connection.of("PERSISTED")}


class Subscriber(threading.Thread):
    """Subscribes to a shard, after the last record that an earlier one was told of."""

    def __init__(self, kinesis, consumer: str, shard: str, records: list[tuple[str, bytes]]):
        super().__init__(daemon=True)
        self.kinesis, self.consumer, self.shard, self.records = kinesis, consumer, shard, records

    def run(self):
        start = {"Type": "TRIM_HORIZON"}
        if self.records:
            start = {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": self.records[-1][0]}
        try:
            answer = self.kinesis.subscribe_to_shard(ConsumerARN=self.consumer, ShardId=self.shard, StartingPosition=start)
            for event in answer["EventStream"]:
                for record in event["SubscribeToShardEvent"]["Records"]:
                    self.records.append((record["SequenceNumber"], record["Data"]))
        except GONE:
            pass
