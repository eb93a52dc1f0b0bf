import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEvent;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardResponseHandler;

/**
 * What a subscription to the first shard pushes, with a record that comes while it is open; and the exception that ends
 * it when its consumer goes.
 */
final class Subscription {
    private final KinesisClient kinesis;
    private final String stream;
    private final String consumer;
    private final List<String> pushed = new ArrayList<>();
    private final String ended;
    private boolean sent;

    Subscription(KinesisClient kinesis, String stream, String arn) {
        this.kinesis = kinesis;
        this.stream = stream;
        var made = kinesis.registerStreamConsumer(request -> request.streamARN(arn).consumerName("app"));
        this.consumer = made.consumer().consumerARN();
        this.ended = end();
    }

    private String end() {
        var handler = SubscribeToShardResponseHandler.builder()
                .subscriber(event -> take((SubscribeToShardEvent) event))
                .build();
        try (KinesisAsyncClient async = KinesisAsyncClient.create()) {
            var open = async.subscribeToShard(
                    request -> request.consumerARN(consumer)
                            .shardId(Client.FIRST)
                            .startingPosition(at -> at.type(ShardIteratorType.TRIM_HORIZON)),
                    handler);
            open.get(30, TimeUnit.SECONDS);
            return "nothing";
        } catch (ExecutionException error) {
            if (error.getCause() instanceof AwsServiceException told) {
                return told.awsErrorDetails().errorCode();
            }
            throw new IllegalStateException(error);
        } catch (InterruptedException | TimeoutException error) {
            throw new IllegalStateException(error);
        }
    }

    private void take(SubscribeToShardEvent event) {
        var data = event.records().stream().map(record -> Client.hex(record.data())).toList();
        pushed.addAll(data);
        if (!sent) {
            sent = true;
            kinesis.putRecord(request -> request.streamName(stream)
                    .data(Client.data(Client.RECORDS))
                    .partitionKey("k")
                    .explicitHashKey("0"));
        }
        if (data.contains(Client.hex(Client.data(Client.RECORDS)))) {
            kinesis.deregisterStreamConsumer(request -> request.consumerARN(consumer));
        }
    }

    String told() {
        return "\"pushed\":" + Json.list(pushed) + ",\"ended\":" + Json.text(ended);
    }
}
