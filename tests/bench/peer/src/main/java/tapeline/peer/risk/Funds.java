package tapeline.peer.risk;

import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.serialization.Serde;
import tapeline.peer.wire.AvroSerde;

/** An account's balances, and how many orders it has open: what nearly every command and settlement of it changes. */
final class Funds {
    /** A balance in one asset. */
    static final class Balance {
        final String asset;
        long available;
        long reserved;

        Balance(String asset, long available, long reserved) {
            this.asset = asset;
            this.available = available;
            this.reserved = reserved;
        }
    }

    static final Serde<Funds> SERDE = AvroSerde.bare(
            (funds, out) -> {
                out.writeLong(funds.openOrders);
                out.writeInt(funds.balances.size());
                for (Balance balance : funds.balances) {
                    out.writeString(balance.asset);
                    out.writeLong(balance.available);
                    out.writeLong(balance.reserved);
                }
            },
            in -> {
                Funds funds = new Funds();
                funds.openOrders = in.readLong();
                for (int count = in.readInt(); count > 0; count--) {
                    funds.balances.add(new Balance(in.readString(), in.readLong(), in.readLong()));
                }
                return funds;
            });

    long openOrders;
    /** Few assets an account: a short list is faster than a map. */
    final List<Balance> balances = new ArrayList<>(4);

    /** The balance in an asset; null if the account never had any. */
    Balance find(String asset) {
        for (Balance balance : balances) {
            if (balance.asset.equals(asset)) {
                return balance;
            }
        }
        return null;
    }

    long available(String asset) {
        Balance balance = find(asset);
        return balance == null ? 0 : balance.available;
    }

    /** The balance in an asset, to be changed. */
    Balance balance(String asset) {
        Balance balance = find(asset);
        if (balance == null) {
            balance = new Balance(asset, 0, 0);
            balances.add(balance);
        }
        return balance;
    }

    /** Moves what the ladder has found available to reserved. */
    void reserve(String asset, long amount) {
        Balance balance = balance(asset);
        balance.available -= amount;
        balance.reserved += amount;
    }
}
