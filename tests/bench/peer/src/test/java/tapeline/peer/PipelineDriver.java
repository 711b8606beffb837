package tapeline.peer;

import java.nio.file.Path;
import java.util.List;
import java.util.function.Function;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.avro.specific.SpecificRecordBase;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TestOutputTopic;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.test.TestRecord;
import tapeline.Account;
import tapeline.AccountStatus;
import tapeline.Command;
import tapeline.CommandKind;
import tapeline.Execution;
import tapeline.Instrument;
import tapeline.Rejection;
import tapeline.Settlement;
import tapeline.Tick;
import tapeline.ValidatedCommand;
import tapeline.peer.wire.AvroSerde;
import tapeline.peer.wire.RecordReaders;
import tapeline.peer.wire.Topics;

/**
 * The whole topology with its production settings in Streams' test driver, one partition a topic. What a stage writes
 * is read by the next from its topic, and feedback goes back to the first, before a command's {@code pipeInput}
 * returns.
 */
final class PipelineDriver implements AutoCloseable {
    final TestInputTopic<String, Command> orders;
    final TestInputTopic<String, Instrument> instruments;
    final TestInputTopic<String, Account> accounts;
    final TestInputTopic<String, Tick> clock;
    final TestOutputTopic<String, ValidatedCommand> validated;
    final TestOutputTopic<String, Rejection> rejected;
    final TestOutputTopic<String, Execution> executed;
    final TestOutputTopic<String, Settlement> settled;

    private final TopologyTestDriver driver;

    PipelineDriver(StoreKind stores, Path stateDir) {
        Options options = new Options("unused:1", "http://unused", stores, 100, 1, stateDir, "peer-test");
        Topology topology = PeerTopology.build(PipelineDriver::schemaId, stores, 1);
        driver = new TopologyTestDriver(topology, StreamsSettings.of(options));
        orders = input(Topics.ORDERS, Command.class);
        instruments = input(Topics.INSTRUMENTS, Instrument.class);
        accounts = input(Topics.ACCOUNTS, Account.class);
        clock = input(Topics.CLOCK, Tick.class);
        validated = output(Topics.VALIDATED, RecordReaders::validated);
        SpecificDatumReader<Rejection> rejections = new SpecificDatumReader<>(Rejection.class);
        rejected = output(Topics.REJECTED, in -> rejections.read(null, in));
        executed = output(Topics.EXECUTED, RecordReaders::execution);
        settled = output(Topics.SETTLED, RecordReaders::settlement);
    }

    private static int schemaId(String topic) {
        return 1 + Topics.ALL.indexOf(topic);
    }

    private <T extends SpecificRecordBase> TestInputTopic<String, T> input(String topic, Class<T> type) {
        return driver.createInputTopic(topic, new StringSerializer(), AvroSerde.<T>frameSerializer(schemaId(topic)));
    }

    private <T extends SpecificRecordBase> TestOutputTopic<String, T> output(String topic, AvroSerde.Reader<T> reader) {
        AvroSerde<T> serde = AvroSerde.framed(schemaId(topic), reader);
        return driver.createOutputTopic(topic, new StringDeserializer(), serde.deserializer());
    }

    void list(Instrument instrument) {
        instruments.pipeInput(instrument.getSymbol(), instrument);
    }

    void open(String account, long maxOpenOrders) {
        accounts.pipeInput(account, new Account(account, AccountStatus.ACTIVE, maxOpenOrders));
    }

    void deposit(String account, String asset, long amount) {
        Command command = command(account, "deposit-" + asset, CommandKind.DEPOSIT);
        command.setAsset(asset);
        command.setAmount(amount);
        send(command, 0);
    }

    void send(Command command, long atMs) {
        orders.pipeInput(command.getAccount(), command, atMs);
    }

    static Command command(String account, String clientOrderId, CommandKind kind) {
        Command command = new Command();
        command.setAccount(account);
        command.setClientOrderId(clientOrderId);
        command.setKind(kind);
        return command;
    }

    /** Records of a topic since the last call, as text: key, then what {@code words} says of the value. */
    static <T> List<String> lines(TestOutputTopic<String, T> topic, Function<T, String> words) {
        return topic.readRecordsToList().stream()
                .map((TestRecord<String, T> record) -> record.key() + " " + words.apply(record.value()))
                .toList();
    }

    @Override
    public void close() {
        driver.close();
    }
}
