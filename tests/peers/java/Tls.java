import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsExchange;
import com.sun.net.httpserver.HttpsParameters;
import com.sun.net.httpserver.HttpsServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSession;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/** `java Tls.java server CERTS`, `java Tls.java client OPEN MUTUAL CERTS`: javax.net.ssl on either side. */
public class Tls {
    private static final char[] NO_SECRET = "peers".toCharArray();
    private static final Set<Long> BORN = ConcurrentHashMap.newKeySet();
    private static boolean good = true;

    public static void main(String[] arguments) throws Exception {
        // The certificates are for a name and for 127.0.0.1.
        if (arguments[0].equals("server")) {
            serve(Path.of(arguments[1]));
        } else {
            check(Integer.parseInt(arguments[1]), Integer.parseInt(arguments[2]), Path.of(arguments[3]));
            System.exit(good ? 0 : 1);
        }
    }

    private static SSLContext context(Path certs, String who) throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        KeyStore roots = KeyStore.getInstance("PKCS12");
        roots.load(null, null);
        try (InputStream in = Files.newInputStream(certs.resolve("ca.pem"))) {
            roots.setCertificateEntry("ca", factory.generateCertificate(in));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(roots);
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        KeyStore own = KeyStore.getInstance("PKCS12");
        own.load(null, null);
        if (who != null) {
            try (InputStream in = Files.newInputStream(certs.resolve(who + ".pem"))) {
                Certificate[] chain = factory.generateCertificates(in).toArray(new Certificate[0]);
                own.setKeyEntry("own", key(certs.resolve(who + ".key")), NO_SECRET, chain);
            }
        }
        keys.init(own, NO_SECRET);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }

    private static PrivateKey key(Path file) throws Exception {
        String text = Files.readString(file).replaceAll("-----[A-Z ]+-----|\\s", "");
        return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(text)));
    }

    /** Asks for certificates and says what was agreed on; `/echo` answers with the body, `/bye` closes afterwards. */
    private static void serve(Path certs) throws Exception {
        HttpsServer server = HttpsServer.create(new InetSocketAddress("127.0.0.1", 0), 128);
        SSLContext context = context(certs, "server");
        server.setHttpsConfigurator(new HttpsConfigurator(context) {
            @Override
            public void configure(HttpsParameters parameters) {
                SSLParameters defaults = context.getDefaultSSLParameters();
                defaults.setNeedClientAuth(true);
                parameters.setSSLParameters(defaults);
            }
        });
        server.createContext("/", Tls::answer);
        server.setExecutor(Executors.newCachedThreadPool());
        server.start();
        System.out.println("{\"port\":" + server.getAddress().getPort() + "}");
        System.in.readAllBytes();
        System.exit(0);
    }

    private static void answer(HttpExchange exchange) throws IOException {
        SSLSession session = ((HttpsExchange) exchange).getSSLSession();
        byte[] body = exchange.getRequestBody().readAllBytes();
        if (!exchange.getRequestMethod().equals("POST")) {
            String name = ((X509Certificate) session.getPeerCertificates()[0]).getSubjectX500Principal().getName();
            // A session is as old as its first handshake.
            boolean resumed = exchange.getRequestURI().getPath().equals("/bye") && !BORN.add(session.getCreationTime());
            body = ("client=" + name.replace("CN=", "") + " version=" + session.getProtocol() + " resumed=" + resumed + "\n")
                    .getBytes();
        }
        if (exchange.getRequestURI().getPath().equals("/bye")) {
            exchange.getResponseHeaders().set("Connection", "close");
        }
        exchange.sendResponseHeaders(200, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    private static void check(int open, int mutual, Path certs) throws Exception {
        SSLContext plain = context(certs, null);
        HttpClient client = HttpClient.newBuilder().sslContext(plain).version(HttpClient.Version.HTTP_2).build();
        URI uri = URI.create("https://127.0.0.1:" + open + "/");
        var got = client.send(HttpRequest.newBuilder(uri).build(), BodyHandlers.ofString());
        say("HTTP/2", got.statusCode() == 200 && got.version() == HttpClient.Version.HTTP_2, got + " " + got.version());
        say("TLS 1.3", got.sslSession().get().getProtocol().equals("TLSv1.3"), got.sslSession().get().getProtocol());
        var post = HttpRequest.newBuilder(uri).POST(HttpRequest.BodyPublishers.ofByteArray(new byte[1 << 20])).build();
        say("POST of 1 MiB", client.send(post, BodyHandlers.ofString()).statusCode() == 200, "");
        List<CompletableFuture<Integer>> all = new ArrayList<>();
        for (int number = 0; number < 50; number++) {
            all.add(client.sendAsync(HttpRequest.newBuilder(uri).build(), BodyHandlers.ofString()).thenApply(one -> one.statusCode()));
        }
        long answered = 0;
        for (var one : all) {
            answered += one.get(20, TimeUnit.SECONDS) == 200 ? 1 : 0;
        }
        say("50 requests at once", answered == 50, answered + " answered");
        for (String version : new String[] {"TLSv1.3", "TLSv1.2"}) {
            SSLContext fresh = context(certs, null);
            long first = dial(fresh, open, version).getCreationTime();
            Thread.sleep(50);
            long second = dial(fresh, open, version).getCreationTime();
            say("resumption, " + version, first == second, first + " " + second);
        }
        HttpClient known = HttpClient.newBuilder().sslContext(context(certs, "client")).build();
        URI inner = URI.create("https://127.0.0.1:" + mutual + "/");
        got = known.send(HttpRequest.newBuilder(inner).build(), BodyHandlers.ofString());
        say("a certificate", got.headers().firstValue("x-client").orElse("").equals("CN=client.peers.test"), got.headers() + "");
        String refused = "it went well";
        try {
            client.send(HttpRequest.newBuilder(inner).build(), BodyHandlers.ofString());
        } catch (IOException error) {
            refused = String.valueOf(error.getMessage());
        }
        say("no certificate", !refused.equals("it went well"), refused);
    }

    /** A connection with one request, to its end; the session that it had. */
    private static SSLSession dial(SSLContext context, int port, String version) throws Exception {
        try (SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket("127.0.0.1", port)) {
            socket.setEnabledProtocols(new String[] {version});
            socket.setSoTimeout(20_000);
            socket.getOutputStream().write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".getBytes());
            socket.getInputStream().readAllBytes();
            return socket.getSession();
        }
    }

    private static void say(String what, boolean right, String seen) {
        good &= right;
        System.out.println(right ? "ok\t" + what : "FAILED\t" + what + "\t" + seen);
    }
}
