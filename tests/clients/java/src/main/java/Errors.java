import java.util.List;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.AccessDeniedException;
import software.amazon.awssdk.services.kinesis.model.InvalidArgumentException;
import software.amazon.awssdk.services.kinesis.model.KinesisException;
import software.amazon.awssdk.services.kinesis.model.LimitExceededException;
import software.amazon.awssdk.services.kinesis.model.ResourceInUseException;
import software.amazon.awssdk.services.kinesis.model.ResourceNotFoundException;
import software.amazon.awssdk.services.kinesis.model.ValidationException;

/** What is refused, as the SDK tells it: errors are CBOR too, and have classes of their own. */
final class Errors {
    private final KinesisClient kinesis;
    private final String stream;

    Errors(KinesisClient kinesis, String stream) {
        this.kinesis = kinesis;
        this.stream = stream;
    }

    /** Code, HTTP status and message of each refusal. */
    String all(String key, String secret) {
        String reversed = new StringBuilder(secret).reverse().toString();
        try (KinesisClient forged = Client.connect(key, reversed);
                KinesisClient other = Client.connect(
                        System.getenv("OTHER_ACCESS_KEY_ID"), System.getenv("OTHER_SECRET_ACCESS_KEY"))) {
            return "{" + String.join(",",
                    refused("absent", ResourceNotFoundException.class, () -> describe(kinesis, "absent")),
                    refused("again", ResourceInUseException.class, () -> create(stream, 1)),
                    refused("iterator", InvalidArgumentException.class,
                            () -> kinesis.getRecords(request -> request.shardIterator("AAAA"))),
                    refused("million", LimitExceededException.class, () -> create("million", 1_000_000)),
                    refused("none", ValidationException.class, () -> create("none", 0)),
                    refused("forged", KinesisException.class, () -> describe(forged, stream)),
                    refused("denied", AccessDeniedException.class, () -> describe(other, stream))) + "}";
        }
    }

    private static void describe(KinesisClient client, String name) {
        client.describeStreamSummary(request -> request.streamName(name));
    }

    private void create(String name, int shards) {
        kinesis.createStream(request -> request.streamName(name).shardCount(shards));
    }

    private static String refused(String what, Class<? extends KinesisException> type, Runnable call) {
        try {
            call.run();
            return Json.text(what) + ":null";
        } catch (KinesisException error) {
            type.cast(error);
            var details = error.awsErrorDetails();
            var told = List.of(
                    Json.text(details.errorCode()), String.valueOf(error.statusCode()), Json.text(details.errorMessage()));
            return Json.text(what) + ":" + Json.list(told);
        }
    }
}
