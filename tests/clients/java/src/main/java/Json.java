import java.util.List;

/** As much of JSON as the client writes. */
final class Json {
    private Json() {}

    static String text(String text) {
        return "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"") + "\"";
    }

    static String list(List<String> values) {
        return "[" + String.join(",", values) + "]";
    }
}
