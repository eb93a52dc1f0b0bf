import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.IntStream;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.GetShardIteratorRequest;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;

/**
 * The AWS SDK for Java v2 against a server: the client that tests/e2e/test_clients.py describes. It speaks CBOR, and
 * subscribes through Netty over HTTP/2.
 */
public final class Client {
    static final int RECORDS = 300;
    static final String FIRST = "shardId-000000000000";

    private final KinesisClient kinesis;
    private final String stream;

    private Client(KinesisClient kinesis, String stream) {
        this.kinesis = kinesis;
        this.stream = stream;
    }

    public static void main(String[] arguments) {
        String key = System.getenv("AWS_ACCESS_KEY_ID");
        String secret = System.getenv("AWS_SECRET_ACCESS_KEY");
        try (KinesisClient kinesis = connect(key, secret)) {
            System.out.println(new Client(kinesis, arguments[0]).found(key, secret));
        }
    }

    /** A client with these credentials; where the server is it finds in the environment. */
    static KinesisClient connect(String key, String secret) {
        return KinesisClient.builder()
                .httpClientBuilder(UrlConnectionHttpClient.builder())
                .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create(key, secret)))
                .build();
    }

    private String found(String key, String secret) {
        kinesis.createStream(request -> request.streamName(stream).shardCount(2));
        var summary = kinesis.describeStreamSummary(request -> request.streamName(stream)).streamDescriptionSummary();
        String placed = put();
        List<String> read = new ArrayList<>();
        for (var shard : kinesis.listShards(request -> request.streamName(stream)).shards()) {
            var records = fromStart(shard.shardId()).stream().map(Client::told).toList();
            read.add(Json.text(shard.shardId()) + ":" + Json.list(records));
        }
        int since = since(fromStart(FIRST).get(0).approximateArrivalTimestamp());
        Subscription subscription = new Subscription(kinesis, stream, summary.streamARN());
        String errors = new Errors(kinesis, stream).all(key, secret);
        return "{\"created\":" + summary.streamCreationTimestamp().toEpochMilli() + ",\"put\":" + placed
                + ",\"read\":{" + String.join(",", read) + "},\"since\":" + since
                + "," + subscription.told() + ",\"errors\":" + errors + "}";
    }

    /** A record's data: its number, and bytes that are not text. */
    static SdkBytes data(int number) {
        byte[] text = String.valueOf(number).getBytes();
        byte[] data = Arrays.copyOf(text, text.length + 2);
        data[text.length + 1] = (byte) 0xff;
        return SdkBytes.fromByteArray(data);
    }

    static String hex(SdkBytes data) {
        return Json.text(HexFormat.of().formatHex(data.asByteArray()));
    }

    /** Data, sequence number and arrival in epoch milliseconds. */
    private static String told(Record record) {
        long arrived = record.approximateArrivalTimestamp().toEpochMilli();
        return Json.list(List.of(hex(record.data()), Json.text(record.sequenceNumber()), String.valueOf(arrived)));
    }

    private String put() {
        var entries = IntStream.range(0, RECORDS)
                .mapToObj(number -> PutRecordsRequestEntry.builder()
                        .data(data(number))
                        .partitionKey("key-" + number)
                        .build())
                .toList();
        var answer = kinesis.putRecords(request -> request.streamName(stream).records(entries));
        return Json.list(answer.records().stream()
                .map(placed -> Json.list(List.of(Json.text(placed.shardId()), Json.text(placed.sequenceNumber()))))
                .toList());
    }

    private String iterator(String shard, ShardIteratorType type, Instant time) {
        var request = GetShardIteratorRequest.builder().streamName(stream).shardId(shard);
        return kinesis.getShardIterator(request.shardIteratorType(type).timestamp(time).build()).shardIterator();
    }

    private List<Record> fromStart(String shard) {
        List<Record> found = new ArrayList<>();
        String place = iterator(shard, ShardIteratorType.TRIM_HORIZON, null);
        while (true) {
            String from = place;
            // In pieces, so that iterators are followed.
            var answer = kinesis.getRecords(request -> request.shardIterator(from).limit(100));
            found.addAll(answer.records());
            place = answer.nextShardIterator();
            if (answer.millisBehindLatest() == 0) {
                return found;
            }
        }
    }

    /** How many records of the first shard came at this time or later. */
    private int since(Instant time) {
        String place = iterator(FIRST, ShardIteratorType.AT_TIMESTAMP, time);
        return kinesis.getRecords(request -> request.shardIterator(place)).records().size();
    }
}
