#!/usr/bin/env python3
"""An exchange that is not ours: a plain confluent-kafka client with the Avro serializers of its own.

  exchange.py ENDPOINTS fund HOMES         publishes deposits; HOMES gets the partition of each account
  exchange.py ENDPOINTS trade HOMES FILE   publishes 1,000 orders with mistakes among them; FILE gets what must come of them
  exchange.py ENDPOINTS read FILE          reads trades.settled and orders.rejected to their ends; FILE gets what is there
  exchange.py ENDPOINTS query FILE         reads the analysts' views over clickhouse-connect

ENDPOINTS is KAFKA,REGISTRY_URL,CLICKHOUSE_URL. What is expected follows from how the orders are made; nothing here
looks at Tapeline's code.
"""
import json
import random
import struct
import sys
from collections import Counter
from urllib.parse import urlparse

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

SEED = 20191011
ONE = 100_000_000
INSTRUMENT = "PYT-USD"
SELLERS = [f"py-seller-{number:02}" for number in range(20)]
BUYERS = [f"py-buyer-{number:02}" for number in range(20)]
POOR = "py-poor"
PRICE, QUANTITY = 100 * ONE, 10 * ONE

# What is published, and what becomes of it: a dead letter, a reason code, or SETTLED.
PLAN = [
    ("good", 800, "SETTLED"),
    ("bad tick", 40, "INVALID_TICK"),
    ("unknown instrument", 30, "UNKNOWN_INSTRUMENT"),
    ("duplicate id", 30, "DUPLICATE_CLIENT_ORDER_ID"),
    ("no funds", 30, "INSUFFICIENT_FUNDS"),
    ("wrong partition", 10, "WRONG_PARTITION"),
    ("null key", 15, "bad_key"),
    ("another's key", 15, "bad_key"),
    ("garbage", 10, "undecodable"),
    ("no value", 5, "undecodable"),
    ("cut off", 5, "undecodable"),
    ("unknown schema", 10, "unknown_schema"),
]


class Exchange:
    def __init__(self, kafka, registry):
        self.kafka = kafka
        self.registry = SchemaRegistryClient({"url": registry})
        settings = {"auto.register.schemas": False, "use.latest.version": True}
        self.serializer = AvroSerializer(self.registry, conf=settings)
        self.producer = Producer({
            "bootstrap.servers": kafka, "partitioner": "murmur2_random", "enable.idempotence": True,
        })
        self.partitions = len(self.producer.list_topics("orders", timeout=20).topics["orders"].partitions)

    def encode(self, command):
        return self.serializer(command, SerializationContext("orders", MessageField.VALUE))

    def publish(self, key, value, partition=None, headers=None):
        """Publishes and returns (partition, offset) once the broker has it."""
        where = []

        def delivered(error, message):
            if error is not None:
                raise RuntimeError(f"not delivered: {error}")
            where.append((message.partition(), message.offset()))

        place = {} if partition is None else {"partition": partition}
        self.producer.produce("orders", key=key, value=value, headers=headers or [], on_delivery=delivered, **place)
        return where

    def flush(self):
        left = self.producer.flush(60)
        if left:
            raise RuntimeError(f"{left} records were not delivered")


def command(account, client_order_id, **fields):
    blank = dict.fromkeys([
        "instrument", "side", "order_type", "time_in_force", "quantity", "price", "stop_price", "display_quantity",
        "expires_at_ms", "self_trade_prevention", "target_client_order_id", "asset", "amount",
    ])
    return {"account": account, "client_order_id": client_order_id, "kind": "PLACE", "post_only": False, **blank, **fields}


def order(account, client_order_id, side, **fields):
    terms = {"instrument": INSTRUMENT, "side": side, "order_type": "LIMIT", "time_in_force": "GTC",
             "quantity": QUANTITY, "price": PRICE}
    return command(account, client_order_id, **{**terms, **fields})


def fund(exchange, path):
    deposits = [(name, "PYT", 1_000_000) for name in SELLERS] + [(name, "USD", 10_000_000) for name in BUYERS]
    places = {}
    for account, asset, amount in deposits:
        deposit = command(account, f"fund-{asset}", kind="DEPOSIT", asset=asset, amount=amount * ONE)
        places[account] = exchange.publish(account, exchange.encode(deposit))
    exchange.flush()
    write(path, {account: place[0][0] for account, place in places.items()})


def trade(exchange, homes, path):
    with open(homes, encoding="utf-8") as file:
        homes = json.load(file)
    dice = random.Random(SEED)
    print(f"seed {SEED}")
    kinds = [(kind, fate) for kind, count, fate in PLAN for _ in range(count)]
    dice.shuffle(kinds)
    # A duplicate needs an earlier good order: the first record is one.
    first = next(index for index, (kind, _) in enumerate(kinds) if kind == "good")
    kinds[0], kinds[first] = kinds[first], kinds[0]
    fates, letters, good = [], [], []
    for number, (kind, fate) in enumerate(kinds):
        side = "SELL" if len(good) % 2 == 0 else "BUY"
        account = dice.choice(SELLERS if side == "SELL" else BUYERS)
        record = order(account, f"py-{number:04}", side)
        key, partition, headers = account, None, [("sender", f"python-{number}".encode())]
        if kind == "good":
            good.append(record)
        elif kind == "bad tick":
            record["price"] += 1
        elif kind == "unknown instrument":
            record["instrument"] = "NONE-USD"
        elif kind == "duplicate id":
            record = dict(dice.choice(good), price=PRICE + ONE)
            key = record["account"]
        elif kind == "no funds":
            key = record["account"] = POOR
        elif kind == "null key":
            # Without a key the partition is any.
            key = None
        elif kind == "another's key":
            key = dice.choice(BUYERS if side == "SELL" else SELLERS)
        value = exchange.encode(record)
        if kind == "wrong partition":
            partition = (homes[account] + 1) % exchange.partitions
        elif kind == "garbage":
            value = dice.randbytes(dice.randint(0, 40))
            if value[:1] == b"\0":
                value = b"\1" + value[1:]
        elif kind == "no value":
            value = None
        elif kind == "cut off":
            value = value[:-9]
        elif kind == "unknown schema":
            value = struct.pack(">bI", 0, 990_000 + number) + value[5:]
        where = exchange.publish(key, value, partition, headers)
        if fate.isupper():
            fates.append((record["account"], record["client_order_id"], fate))
        else:
            letters.append((where, key, value, headers, fate))
    exchange.flush()
    write(path, {
        "orders": len(kinds),
        "rejected": sorted([account, name, fate] for account, name, fate in fates if fate != "SETTLED"),
        "settled": sorted([account, name] for account, name, fate in fates if fate == "SETTLED"),
        "dead_letters": sorted([
            {"partition": where[0][0], "offset": where[0][1], "key": None if key is None else key.encode().hex(),
             "value": None if value is None else value.hex(),
             "headers": [[name, text.hex()] for name, text in headers], "reason": fate}
            for where, key, value, headers, fate in letters
        ], key=lambda letter: (letter["partition"], letter["offset"])),
    })


def read(exchange, path):
    rejected = [[value["account"], value["client_order_id"], value["reason"]] for _, value in records(exchange, "orders.rejected")]
    settled = [(key, value) for key, value in records(exchange, "trades.settled")]
    trades = [value for _, value in settled if value["kind"] == "TRADE"]
    for key, value in settled:
        assert key == value["account"], f"key {key} of {value}"
        sums = Counter()
        for line in value["postings"]:
            sums[line["asset"]] += line["amount"]
        assert not any(sums.values()), f"unbalanced: {value}"
    write(path, {
        "rejected": sorted(rejected),
        "settled_kinds": dict(Counter(value["kind"] for _, value in settled)),
        "trades": len({value["trade_id"] for value in trades}),
        "trade_sides": sorted([value["account"], value["side"], value["price"], value["quantity"]] for value in trades),
        "orders_done": sum(1 for value in trades if value["order"]["done"]),
    })


def records(exchange, topic):
    deserializer = AvroDeserializer(exchange.registry)
    consumer = Consumer({
        "bootstrap.servers": exchange.kafka, "group.id": "python-reader", "isolation.level": "read_committed",
        "enable.partition.eof": True, "enable.auto.commit": False, "auto.offset.reset": "earliest",
    })
    partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    left = set(partitions)
    while left:
        message = consumer.poll(30)
        if message is None:
            raise RuntimeError(f"{topic}: no answer for 30 s")
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                raise RuntimeError(str(message.error()))
            left.discard(message.partition())
            continue
        value = deserializer(message.value(), SerializationContext(topic, MessageField.VALUE))
        yield message.key().decode(), value
    consumer.close()


def query(clickhouse, path):
    import clickhouse_connect

    url = urlparse(clickhouse)
    client = clickhouse_connect.get_client(host=url.hostname, port=url.port, database="tapeline")
    rows = lambda sql: [[str(cell) for cell in row] for row in client.query(sql).result_rows]
    write(path, {
        "trades": rows("SELECT count(), toString(sum(quantity)), toString(sum(notional)) FROM trades"),
        "reasons": rows("SELECT reason, count() FROM verdicts WHERE NOT accepted GROUP BY reason ORDER BY reason"),
        "rejects_by_reason": rows("SELECT count() FROM rejects_by_reason"),
        "volume_by_minute": rows(f"SELECT toString(sum(volume)) FROM volume_by_minute WHERE instrument = '{INSTRUMENT}'"),
    })


def write(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)


def main():
    endpoints, verb, *rest = sys.argv[1:]
    kafka, registry, clickhouse = endpoints.split(",")
    if verb == "query":
        query(clickhouse, *rest)
        return
    exchange = Exchange(kafka, registry)
    {"fund": fund, "trade": trade, "read": read}[verb](exchange, *rest)


if __name__ == "__main__":
    main()
