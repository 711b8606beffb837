#!/usr/bin/env python3
"""A producer that is not ours leaves a transaction open, until its standard input ends.

  open_transaction.py KAFKA TRANSACTIONAL_ID TOPIC PARTITION

It writes one record, says `open OFFSET`, and waits. Then it tries to commit and says `committed`, or `refused` and why.
"""
import sys

from confluent_kafka import KafkaException, Producer

kafka, transactional_id, topic, partition = sys.argv[1:]
producer = Producer({"bootstrap.servers": kafka, "transactional.id": transactional_id, "transaction.timeout.ms": 600000})
producer.init_transactions(30)
producer.begin_transaction()
offsets = []
producer.produce(topic, b"left open", partition=int(partition), on_delivery=lambda _, record: offsets.append(record.offset()))
producer.flush(30)
print("open", offsets[0], flush=True)
sys.stdin.read()
try:
    producer.commit_transaction(30)
    print("committed", flush=True)
except KafkaException as error:
    print("refused", error.args[0].name(), flush=True)
