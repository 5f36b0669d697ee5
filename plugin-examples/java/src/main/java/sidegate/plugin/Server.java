package sidegate.plugin;

import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollEventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.unix.DomainSocketAddress;
import io.grpc.protobuf.services.HealthStatusManager;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/** What a plugin does beside answering: the handshake, health, and its end. Copy this file and plugin.proto. */
public final class Server {
    public static final int DENY = -1;

    private Server() {}

    /** What stands after {@code name} among the arguments, or null. */
    public static String argument(String[] args, String name) {
        int at = Arrays.asList(args).indexOf(name);
        return at < 0 || at + 1 == args.length ? null : args[at + 1];
    }

    /**
     * Answers calls, from several threads, until SIGTERM.
     *
     * @param listen unix:/path or a loopback address; if null the plugin makes a Unix socket of its own
     */
    public static void serve(Function<Request, Response> call, String listen)
            throws IOException, InterruptedException {
        if (listen == null && !"ON".equals(System.getenv("MOSN_PLUGIN"))) {
            System.err.println("this is a plugin: name it in a configuration of Sidegate, or say where to --listen");
            System.exit(1);
        }
        // A folder of mode 0700: nobody else can connect, whatever the umask.
        Path temporary = Path.of(System.getenv().getOrDefault("TMPDIR", "/tmp"));
        Path folder = listen == null ? Files.createTempDirectory(temporary, "plugin-") : null;
        String address = listen == null ? "unix:" + folder.resolve("socket") : listen;

        HealthStatusManager health = new HealthStatusManager();
        health.setStatus("plugin", ServingStatus.SERVING);
        io.grpc.Server server = builder(address)
                // Bodies may be larger than the 4 MiB that gRPC has as a bound; the listener bounds them.
                .maxInboundMessageSize(Integer.MAX_VALUE)
                .addService(new Service(call))
                .addService(health.getHealthService())
                .build()
                .start();
        String handshake = address.startsWith("unix:")
                ? "1|1|unix|" + address.substring("unix:".length()) + "|grpc"
                : "1|1|tcp|" + address.substring(0, address.lastIndexOf(':')) + ":" + server.getPort() + "|grpc";
        System.out.println(handshake);

        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                // Who still has a call after a second has lost it.
                server.shutdown().awaitTermination(1, TimeUnit.SECONDS);
                if (folder != null) {
                    Files.deleteIfExists(folder.resolve("socket"));
                    Files.deleteIfExists(folder);
                }
            } catch (IOException | InterruptedException error) {
                System.err.println("[WARN] " + error);
            }
        }));
        server.awaitTermination();
    }

    private static NettyServerBuilder builder(String address) {
        if (!address.startsWith("unix:")) {
            int colon = address.lastIndexOf(':');
            String host = address.substring(0, colon).replaceAll("[\\[\\]]", "");
            return NettyServerBuilder.forAddress(
                    new InetSocketAddress(host, Integer.parseInt(address.substring(colon + 1))));
        }
        return NettyServerBuilder.forAddress(new DomainSocketAddress(address.substring("unix:".length())))
                .channelType(EpollServerDomainSocketChannel.class)
                .bossEventLoopGroup(new EpollEventLoopGroup(1))
                .workerEventLoopGroup(new EpollEventLoopGroup());
    }

    private static final class Service extends PluginGrpc.PluginImplBase {
        private final Function<Request, Response> call;

        Service(Function<Request, Response> call) {
            this.call = call;
        }

        @Override
        public void call(Request request, StreamObserver<Response> answer) {
            answer.onNext(call.apply(request));
            answer.onCompleted();
        }
    }
}
