package sidegate.plugin;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import com.google.protobuf.ByteString;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;

/** Lets requests pass whose fields have the values that a file names; see README.md. */
public final class Auth {
    private final Map<String, String> expected;

    private Auth(Map<String, String> expected) {
        this.expected = expected;
    }

    public static void main(String[] args) throws Exception {
        String config = Server.argument(args, "-c");
        if (config == null) {
            throw new IllegalArgumentException("-c names a file such as {\"User\": \"admin\"}");
        }
        Map<String, String> read =
                new Gson().fromJson(Files.readString(Path.of(config)), new TypeToken<Map<String, String>>() {});
        Server.serve(new Auth(read)::decide, Server.argument(args, "--listen"));
    }

    private Response decide(Request request) {
        Response.Builder answer = Response.newBuilder().putHeader("X-Checked-By", "java");
        if (request.getType().equals("response")) {
            return answer.build();
        }
        Map<String, String> fields = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
        fields.putAll(request.getHeaderMap());
        // Fields of one name come joined by commas, so that a second one is no match.
        for (Map.Entry<String, String> field : expected.entrySet()) {
            if (!field.getValue().equals(fields.get(field.getKey()))) {
                return Response.newBuilder().setStatus(Server.DENY).build();
            }
        }
        // A field that clients must not set is removed by an empty value.
        answer.putHeader("X-Internal", "");
        // Latin-1 has a character for each byte, so that all others stay what they are.
        String before = request.getBody().toString(ISO_8859_1);
        String after = before;
        for (String value : expected.values()) {
            if (!value.isEmpty()) {
                after = after.replace(new String(value.getBytes(UTF_8), ISO_8859_1), "***");
            }
        }
        if (!after.equals(before)) {
            answer.setBody(ByteString.copyFrom(after, ISO_8859_1));
        }
        return answer.build();
    }
}
