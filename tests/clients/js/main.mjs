// The AWS SDK for JavaScript against a server: the client that tests/e2e/test_clients.py describes. Its handler is the
// SDK's own for this service: HTTP/2, with prior knowledge where there is no TLS.

import {
  CreateStreamCommand,
  DeregisterStreamConsumerCommand,
  DescribeStreamSummaryCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
  ListShardsCommand,
  PutRecordCommand,
  PutRecordsCommand,
  RegisterStreamConsumerCommand,
  SubscribeToShardCommand,
} from "@aws-sdk/client-kinesis";

const RECORDS = 300;
const FIRST = "shardId-000000000000";
const stream = process.argv[2];
const kinesis = new KinesisClient({});
const hex = (data) => Buffer.from(data).toString("hex");
const data = (number) => Buffer.concat([Buffer.from(String(number)), Buffer.from([0, 0xff])]);

async function put() {
  const Records = Array.from({ length: RECORDS }, (_, number) => ({ Data: data(number), PartitionKey: `key-${number}` }));
  const answer = await kinesis.send(new PutRecordsCommand({ StreamName: stream, Records }));
  return answer.Records.map((placed) => [placed.ShardId, placed.SequenceNumber]);
}

async function iterator(ShardId, place) {
  const answer = await kinesis.send(new GetShardIteratorCommand({ StreamName: stream, ShardId, ...place }));
  return answer.ShardIterator;
}

async function fromStart(shard) {
  const found = [];
  let place = await iterator(shard, { ShardIteratorType: "TRIM_HORIZON" });
  for (;;) {
    // In pieces, so that iterators are followed.
    const answer = await kinesis.send(new GetRecordsCommand({ ShardIterator: place, Limit: 100 }));
    found.push(...answer.Records);
    place = answer.NextShardIterator;
    if (answer.MillisBehindLatest === 0) return found;
  }
}

/** How many records of the first shard came at this time or later. */
async function since(Timestamp) {
  const place = await iterator(FIRST, { ShardIteratorType: "AT_TIMESTAMP", Timestamp });
  return (await kinesis.send(new GetRecordsCommand({ ShardIterator: place }))).Records.length;
}

/** What a subscription pushes, with a record that comes while it is open, and the exception that ends it. */
async function subscribed(StreamARN) {
  const made = await kinesis.send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: "app" }));
  const { ConsumerARN } = made.Consumer;
  const start = { ConsumerARN, ShardId: FIRST, StartingPosition: { Type: "TRIM_HORIZON" } };
  const { EventStream } = await kinesis.send(new SubscribeToShardCommand(start));
  const pushed = [];
  const last = hex(data(RECORDS));
  let sent = false;
  try {
    for await (const { SubscribeToShardEvent: event } of EventStream) {
      pushed.push(...event.Records.map((record) => hex(record.Data)));
      if (!sent) {
        sent = true;
        const late = { StreamName: stream, Data: data(RECORDS), PartitionKey: "k", ExplicitHashKey: "0" };
        await kinesis.send(new PutRecordCommand(late));
      }
      if (event.Records.some((record) => hex(record.Data) === last)) {
        await kinesis.send(new DeregisterStreamConsumerCommand({ ConsumerARN }));
      }
    }
    return { pushed, ended: "nothing" };
  } catch (error) {
    return { pushed, ended: error.name };
  }
}

async function refused(client, command) {
  try {
    await client.send(command);
    return null;
  } catch (error) {
    return [error.name, error.$metadata?.httpStatusCode, error.message];
  }
}

async function errors() {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, OTHER_ACCESS_KEY_ID, OTHER_SECRET_ACCESS_KEY } = process.env;
  const as = (accessKeyId, secretAccessKey) => new KinesisClient({ credentials: { accessKeyId, secretAccessKey } });
  const forged = as(AWS_ACCESS_KEY_ID, [...AWS_SECRET_ACCESS_KEY].reverse().join(""));
  const other = as(OTHER_ACCESS_KEY_ID, OTHER_SECRET_ACCESS_KEY);
  const describe = (StreamName) => new DescribeStreamSummaryCommand({ StreamName });
  const create = (StreamName, ShardCount) => new CreateStreamCommand({ StreamName, ShardCount });
  const told = {
    absent: await refused(kinesis, describe("absent")),
    again: await refused(kinesis, create(stream, 1)),
    iterator: await refused(kinesis, new GetRecordsCommand({ ShardIterator: "AAAA" })),
    million: await refused(kinesis, create("million", 1_000_000)),
    none: await refused(kinesis, create("none", 0)),
    forged: await refused(forged, describe(stream)),
    denied: await refused(other, describe(stream)),
  };
  forged.destroy();
  other.destroy();
  return told;
}

await kinesis.send(new CreateStreamCommand({ StreamName: stream, ShardCount: 2 }));
const summary = (await kinesis.send(new DescribeStreamSummaryCommand({ StreamName: stream }))).StreamDescriptionSummary;
const placed = await put();
const shards = (await kinesis.send(new ListShardsCommand({ StreamName: stream }))).Shards;
const read = {};
for (const { ShardId } of shards) {
  const told = (record) => [hex(record.Data), record.SequenceNumber, record.ApproximateArrivalTimestamp.getTime()];
  read[ShardId] = (await fromStart(ShardId)).map(told);
}
const found = {
  created: summary.StreamCreationTimestamp.getTime(),
  put: placed,
  read,
  since: await since(new Date(read[FIRST][0][2])),
  ...(await subscribed(summary.StreamARN)),
  errors: await errors(),
};
console.log(JSON.stringify(found));
kinesis.destroy();
