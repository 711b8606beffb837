package tapeline.peer.risk;

import java.time.Duration;
import java.util.Set;
import java.util.function.ToIntFunction;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import tapeline.Account;
import tapeline.Command;
import tapeline.Instrument;
import tapeline.Settlement;
import tapeline.peer.Positions;
import tapeline.peer.StoreKind;
import tapeline.peer.wire.AvroSerde;
import tapeline.peer.wire.RecordReaders;
import tapeline.peer.wire.Topics;

/**
 * The first stage: {@code orders} in, {@code orders.validated} or {@code orders.rejected} out. Settlements and
 * reference data of accounts come into the same task, for they share its stores; instruments are a global store.
 */
public final class Validator {
    private static final String COMMANDS_SOURCE = "orders-source";
    private static final String SETTLEMENTS_SOURCE = "settled-source";
    private static final String ACCOUNTS_SOURCE = "accounts-source";
    private static final String INSTRUMENTS_SOURCE = "instruments-source";
    private static final String VALIDATE = "validate-commands";
    private static final String FOLLOW_SETTLEMENTS = "follow-settlements";
    private static final String KEEP_ACCOUNTS = "keep-accounts";
    private static final String KEEP_INSTRUMENTS = "keep-instruments";
    private static final String VALIDATED_SINK = "validated-sink";
    private static final String REJECTED_SINK = "rejected-sink";

    /** How often forgotten client order ids are deleted; they count as forgotten before that. */
    private static final Duration PURGE_INTERVAL = Duration.ofHours(1);

    private Validator() {}

    /** Adds the stage; {@code partitions} is the number of partitions of {@code orders}. */
    public static void addTo(Topology topology, ToIntFunction<String> schemaIds, StoreKind stores, int partitions) {
        StringDeserializer keys = new StringDeserializer();
        AvroSerde<Account> accounts =
                AvroSerde.framed(schemaIds.applyAsInt(Topics.ACCOUNTS), RecordReaders::account);
        addInstruments(topology, schemaIds.applyAsInt(Topics.INSTRUMENTS));
        topology.addSource(
                COMMANDS_SOURCE,
                keys,
                AvroSerde.framed(schemaIds.applyAsInt(Topics.ORDERS), RecordReaders::command).deserializer(),
                Topics.ORDERS);
        topology.addSource(
                SETTLEMENTS_SOURCE,
                keys,
                AvroSerde.framed(schemaIds.applyAsInt(Topics.SETTLED), RecordReaders::settlement).deserializer(),
                Topics.SETTLED);
        topology.addSource(ACCOUNTS_SOURCE, keys, accounts.deserializer(), Topics.ACCOUNTS);
        topology.addProcessor(VALIDATE, () -> new ValidateCommands(partitions), COMMANDS_SOURCE);
        topology.addProcessor(FOLLOW_SETTLEMENTS, FollowSettlements::new, SETTLEMENTS_SOURCE);
        topology.addProcessor(KEEP_ACCOUNTS, KeepAccounts::new, ACCOUNTS_SOURCE);
        String[] processors = {VALIDATE, FOLLOW_SETTLEMENTS, KEEP_ACCOUNTS};
        topology.addStateStore(stores.changing(RiskState.ACCOUNTS, Serdes.String(), accounts), processors);
        topology.addStateStore(stores.changing(RiskState.FUNDS, Serdes.String(), Funds.SERDE), processors);
        topology.addStateStore(stores.changing(RiskState.OPEN_ORDERS, Serdes.Long(), OpenOrder.SERDE), processors);
        topology.addStateStore(
                stores.writtenOnce(RiskState.VERDICTS, Serdes.String(), FirstVerdict.SERDE), processors);
        topology.addSink(
                VALIDATED_SINK,
                Topics.VALIDATED,
                new StringSerializer(),
                AvroSerde.frameSerializer(schemaIds.applyAsInt(Topics.VALIDATED)),
                VALIDATE);
        topology.addSink(
                REJECTED_SINK,
                Topics.REJECTED,
                new StringSerializer(),
                AvroSerde.frameSerializer(schemaIds.applyAsInt(Topics.REJECTED)),
                VALIDATE);
    }

    /** In memory whatever the other stores are: a handful of entries that each command looks at. */
    private static void addInstruments(Topology topology, int schemaId) {
        AvroSerde<Instrument> instruments = AvroSerde.framed(schemaId, RecordReaders::instrument);
        StoreBuilder<KeyValueStore<String, Instrument>> store = Stores.keyValueStoreBuilder(
                        Stores.inMemoryKeyValueStore(RiskState.INSTRUMENTS), Serdes.String(), instruments)
                .withLoggingDisabled();
        topology.addGlobalStore(
                store,
                INSTRUMENTS_SOURCE,
                new StringDeserializer(),
                instruments.deserializer(),
                Topics.INSTRUMENTS,
                KEEP_INSTRUMENTS,
                (ProcessorSupplier<String, Instrument, Void, Void>) KeepInstruments::new);
    }

    private static RiskState state(ProcessorContext<?, ?> context) {
        return new RiskState(
                context.getStateStore(RiskState.INSTRUMENTS),
                context.getStateStore(RiskState.ACCOUNTS),
                context.getStateStore(RiskState.FUNDS),
                context.getStateStore(RiskState.OPEN_ORDERS),
                context.getStateStore(RiskState.VERDICTS));
    }

    private static final class ValidateCommands implements Processor<String, Command, String, Object> {
        private final int partitions;
        private ProcessorContext<String, Object> context;
        private Risk risk;

        ValidateCommands(int partitions) {
            this.partitions = partitions;
        }

        @Override
        public void init(ProcessorContext<String, Object> context) {
            this.context = context;
            RiskState state = state(context);
            risk = new Risk(state);
            context.schedule(PURGE_INTERVAL, PunctuationType.STREAM_TIME, state::purgeVerdicts);
        }

        @Override
        public void process(Record<String, Command> record) {
            Command command = record.value();
            RecordMetadata position = context.recordMetadata().orElseThrow();
            int home = Utils.toPositive(Utils.murmur2(Utils.utf8(command.getAccount()))) % partitions;
            CommandAt at = new CommandAt(
                    Positions.identity(position.partition(), position.offset()),
                    record.timestamp(),
                    home == position.partition());
            Risk.Decision decision = risk.decide(at, command);
            if (decision.rejected() != null) {
                context.forward(new Record<>(command.getAccount(), decision.rejected(), record.timestamp()), REJECTED_SINK);
                return;
            }
            String instrument = decision.accepted().getInstrument();
            String key = instrument == null ? command.getAccount() : instrument;
            context.forward(new Record<>(key, decision.accepted(), record.timestamp()), VALIDATED_SINK);
        }
    }

    private static final class FollowSettlements implements Processor<String, Settlement, Void, Void> {
        private Risk risk;

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            risk = new Risk(state(context));
        }

        @Override
        public void process(Record<String, Settlement> record) {
            risk.settle(record.value());
        }
    }

    /** Keeps the newest version of each account's reference data; balances and orders stay when it is taken back. */
    private static final class KeepAccounts implements Processor<String, Account, Void, Void> {
        private KeyValueStore<String, Account> accounts;

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            accounts = context.getStateStore(RiskState.ACCOUNTS);
        }

        @Override
        public void process(Record<String, Account> record) {
            accounts.put(record.key(), record.value());
        }
    }

    private static final class KeepInstruments implements Processor<String, Instrument, Void, Void> {
        private KeyValueStore<String, Instrument> instruments;

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            instruments = context.getStateStore(RiskState.INSTRUMENTS);
        }

        @Override
        public void process(Record<String, Instrument> record) {
            instruments.put(record.key(), record.value());
        }
    }
}
