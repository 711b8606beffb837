package tapeline.peer;

import java.util.function.ToIntFunction;
import org.apache.kafka.streams.Topology;
import tapeline.peer.matching.Executor;
import tapeline.peer.risk.Validator;
import tapeline.peer.settlement.Settler;

/**
 * The three stages as one topology. Each reads what the one before has written from its topic, so they are three
 * sub-topologies with tasks of their own, as Tapeline's three processors are; there is no repartition topic.
 */
public final class PeerTopology {
    private PeerTopology() {}

    /**
     * Builds it.
     *
     * @param schemaIds the registry's id of a topic's schema
     * @param orderPartitions number of partitions of {@code orders}
     */
    public static Topology build(ToIntFunction<String> schemaIds, StoreKind stores, int orderPartitions) {
        Topology topology = new Topology();
        Validator.addTo(topology, schemaIds, stores, orderPartitions);
        Executor.addTo(topology, schemaIds, stores);
        Settler.addTo(topology, schemaIds);
        return topology;
    }
}
