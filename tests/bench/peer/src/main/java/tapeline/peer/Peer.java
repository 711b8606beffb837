package tapeline.peer;

import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import tapeline.peer.wire.SchemaRegistry;
import tapeline.peer.wire.Topics;

/**
 * The program: reads the command line, asks broker and registry what they have, runs the topology until SIGTERM or a
 * failure. Exit codes: 0 after SIGTERM or SIGINT, 1 after a failure, 2 for a wrong command line.
 */
public final class Peer {
    private static final int FAILED = 1;
    private static final int USAGE = 2;
    private static final int ASK_PATIENCE_MS = 30_000;
    private static final Duration CLOSE_PATIENCE = Duration.ofSeconds(30);

    private Peer() {}

    /** Entry point. */
    public static void main(String[] arguments) throws InterruptedException {
        Options options;
        try {
            options = Options.parse(arguments);
        } catch (Options.Wrong wrong) {
            System.err.println("peer: " + wrong.getMessage());
            System.err.println(Options.USAGE);
            System.exit(USAGE);
            return;
        }
        try {
            int orderPartitions = checkTopics(options.kafka());
            Map<String, Integer> schemaIds = schemaIds(options.registry());
            run(options, schemaIds, orderPartitions);
        } catch (IOException | IllegalArgumentException | KafkaException error) {
            System.err.println("peer: " + error.getMessage());
            System.exit(FAILED);
        }
    }

    private static void run(Options options, Map<String, Integer> schemaIds, int orderPartitions)
            throws InterruptedException {
        Properties settings = StreamsSettings.of(options);
        KafkaStreams streams =
                new KafkaStreams(PeerTopology.build(schemaIds::get, options.stores(), orderPartitions), settings);
        AtomicInteger exitCode = new AtomicInteger();
        AtomicBoolean isReady = new AtomicBoolean();
        CountDownLatch failure = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING && isReady.compareAndSet(false, true)) {
                System.out.println("ready");
                System.out.flush();
            } else if (now == KafkaStreams.State.ERROR) {
                exitCode.set(FAILED);
                failure.countDown();
            }
        });
        streams.setUncaughtExceptionHandler(error -> {
            System.err.println("peer: stops on " + causes(error));
            exitCode.set(FAILED);
            failure.countDown();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(leaving());
            // Otherwise the JVM would report a signal (143), which a caller takes for a kill.
            Runtime.getRuntime().halt(exitCode.get());
        }));
        streams.start();
        failure.await();
        System.exit(FAILED);
    }

    /** Leaves the group, so that a later run with fewer threads does not wait for the old members' sessions to end. */
    private static CloseOptions leaving() {
        return CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP)
                .withTimeout(CLOSE_PATIENCE);
    }

    private static String causes(Throwable error) {
        StringBuilder text = new StringBuilder(error.toString());
        for (Throwable cause = error.getCause(); cause != null; cause = cause.getCause()) {
            text.append(", because of ").append(cause);
        }
        return text.toString();
    }

    private static Map<String, Integer> schemaIds(String url) throws IOException, InterruptedException {
        SchemaRegistry registry = new SchemaRegistry(url);
        Map<String, Integer> ids = new HashMap<>();
        for (String topic : Topics.ALL) {
            ids.put(topic, registry.idOf(topic));
        }
        return ids;
    }

    /** All topics are there, and those that meet in one task have equally many partitions. Returns how many orders has. */
    private static int checkTopics(String bootstrap) throws IOException, InterruptedException {
        Map<String, Object> settings = Map.of(
                AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap,
                AdminClientConfig.REQUEST_TIMEOUT_MS_CONFIG, ASK_PATIENCE_MS,
                AdminClientConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, ASK_PATIENCE_MS);
        try (Admin admin = Admin.create(settings)) {
            Map<String, TopicDescription> found =
                    admin.describeTopics(Topics.ALL).allTopicNames().get();
            for (List<String> together : List.of(
                    List.of(Topics.ORDERS, Topics.SETTLED, Topics.ACCOUNTS),
                    List.of(Topics.VALIDATED, Topics.CLOCK))) {
                long counts = together.stream().map(topic -> found.get(topic).partitions().size()).distinct().count();
                if (counts != 1) {
                    throw new IOException("these topics must have equally many partitions: " + together);
                }
            }
            return found.get(Topics.ORDERS).partitions().size();
        } catch (ExecutionException error) {
            String advice = error.getCause() instanceof UnknownTopicOrPartitionException
                    ? " (a topic is missing: run `tapeline apply`)"
                    : "";
            throw new IOException("the broker at " + bootstrap + ": " + error.getCause().getMessage() + advice, error);
        }
    }
}
