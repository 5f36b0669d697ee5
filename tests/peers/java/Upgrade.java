import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** `java Upgrade.java URL`: java.net.http offers HTTP/2 by `Upgrade: h2c`, and lives without it. */
public class Upgrade {
    public static void main(String[] arguments) throws Exception {
        URI uri = URI.create(arguments[0]);
        boolean good = true;
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_2).build();
        HttpResponse<String> got = client.send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString());
        good &= say("GET with an offer of h2c", got.statusCode() == 200 && got.version() == HttpClient.Version.HTTP_1_1,
                got.statusCode() + " " + got.version());
        HttpRequest post = HttpRequest.newBuilder(uri).POST(HttpRequest.BodyPublishers.ofByteArray(new byte[1 << 20])).build();
        got = client.send(post, HttpResponse.BodyHandlers.ofString());
        good &= say("POST of 1 MiB with an offer of h2c", got.statusCode() == 200, got.statusCode() + "");
        List<CompletableFuture<HttpResponse<String>>> all = new ArrayList<>();
        for (int number = 0; number < 50; number++) {
            all.add(client.sendAsync(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString()));
        }
        long answered = all.stream().filter(one -> one.join().statusCode() == 200).count();
        good &= say("50 requests at once", answered == 50, answered + " answered");
        System.exit(good ? 0 : 1);
    }

    private static boolean say(String what, boolean good, String seen) {
        System.out.println(good ? "ok\t" + what : "FAILED\t" + what + "\t" + seen);
        return good;
    }
}
