#!/usr/bin/env python3
"""Rebuilds live books from outside and checks each message; nothing here looks at Tapeline's code.

  depth.py --gateways URL,URL... --instruments A,B...   the WebSocket channel `depth`: docs/market-data.md
  depth.py --topic KAFKA,REGISTRY --instruments A,B...  the topic `book.depth`: docs/publishing.md, "Rebuilding a book"

Over WebSocket each instrument is followed as a whole, with 50 and with 10 levels. Instruments are spread over as many connections
as there are gateways. With `--drop-every S` a connection is cut at random, on average after S seconds, and goes on at the
next gateway. `--shown FILE` gets a line for each message of a whole book: instrument, sequence, best bid and its
quantity, best ask and its quantity, empty where there is none.

It ends after `--seconds S`, or at a line on standard input. If that is a JSON object from instrument to sequence, it goes
on until its books are so far, and then each gateway's own books, asked for anew, must be equal to its own. Then it prints one
JSON object. At a gap, a wrong checksum, or a window that is not the head of the whole book, it says so and exits with 1.
Prices and quantities are in units of 10^-8.
"""
import argparse
import asyncio
import json
import os
import random
import struct
import sys
import threading
import time
import zlib
from bisect import bisect_left
from collections import Counter
from decimal import Decimal

SIDES = (b"B", b"S")
WINDOWS = (10, 50)
LEVELS = ("full", 50, 10)
# How many sequences of each book are remembered, to compare windows and other gateways with.
REMEMBERED = 20_000
# How long it may take until gateways answer and books are as far as they must be.
PATIENCE_S = 120
# Pause between two looks at something that is waited for, and between two tries to connect.
LOOK_S, RETRY_S = 0.05, 0.2
# How far back the topic is read: each book is there as a whole once a minute.
BACK_MS = 150_000


class Wrong(Exception):
    """What must not be."""


def units(text):
    return int(Decimal(text) * 10**8)


def level_checksum(side, price, quantity):
    return zlib.crc32(struct.pack(">cqq", side, price, quantity))


class Book:
    def __init__(self):
        self.sequence = None
        self.clear()

    def clear(self):
        self.checksum = 0
        self.prices = {side: [] for side in SIDES}
        self.levels = {side: {} for side in SIDES}

    def set(self, side, price, quantity):
        prices, levels = self.prices[side], self.levels[side]
        before = levels.pop(price, None)
        if before is not None:
            self.checksum = (self.checksum - before[1]) % 2**32
        if quantity:
            checksum = level_checksum(side, price, quantity)
            levels[price] = (quantity, checksum)
            self.checksum = (self.checksum + checksum) % 2**32
            if before is None:
                prices.insert(bisect_left(prices, price), price)
        elif before is not None:
            del prices[bisect_left(prices, price)]

    def head(self, count):
        """Checksum over the best levels of each side."""
        bids, asks = self.levels[b"B"], self.levels[b"S"]
        total = sum(bids[price][1] for price in self.prices[b"B"][-count:])
        return (total + sum(asks[price][1] for price in self.prices[b"S"][:count])) % 2**32

    def best(self):
        best = []
        for side, place in ((b"B", -1), (b"S", 0)):
            price = self.prices[side][place] if self.prices[side] else None
            best += ["", ""] if price is None else [price, self.levels[side][price][0]]
        return best

    def pairs(self, side):
        """Price and quantity, best first."""
        pairs = [[price, self.levels[side][price][0]] for price in self.prices[side]]
        return pairs[::-1] if side == b"B" else pairs

    def report(self):
        """The whole book; its checksum is computed anew from all levels."""
        checksum = sum(level_checksum(side, *pair) for side in SIDES for pair in self.pairs(side)) % 2**32
        if checksum != self.checksum:
            raise Wrong(f"this client's own sum is {self.checksum}, its levels have {checksum}")
        return {"sequence": self.sequence, "checksum": checksum, "bids": self.pairs(b"B"), "asks": self.pairs(b"S")}


class Heads:
    """What is known of a book at each sequence, whoever told it: checksums of the whole and of its windows."""

    def __init__(self):
        self.known = {}
        self.waiting = {}

    def whole(self, name, book, counts):
        sums = (book.checksum, *(book.head(count) for count in WINDOWS))
        before = self.known.setdefault(book.sequence, sums)
        if before != sums:
            raise Wrong(f"{name}: two different books with sequence {book.sequence}: {before} and {sums}")
        for count in WINDOWS:
            told = self.waiting.pop((book.sequence, count), None)
            if told is not None:
                self.compare(name, count, book.sequence, told, counts)
        if len(self.known) > REMEMBERED:
            del self.known[next(iter(self.known))]

    def window(self, name, count, sequence, told, counts):
        if sequence in self.known:
            self.compare(name, count, sequence, told, counts)
        else:
            self.waiting[sequence, count] = told
            if len(self.waiting) > REMEMBERED:
                del self.waiting[next(iter(self.waiting))]

    def compare(self, name, count, sequence, told, counts):
        head = self.known[sequence][1 + WINDOWS.index(count)]
        if head != told:
            raise Wrong(f"{name}: at {sequence} the best {count} levels have {told}, the head of the book {head}")
        counts["windows_compared"] += 1


class Follower:
    """A share of the instruments on one connection at a time."""

    def __init__(self, urls, instruments, run, drop_every=None):
        self.urls, self.instruments, self.run, self.drop_every = urls, instruments, run, drop_every
        self.books = {(name, levels): Book() for name in instruments for levels in LEVELS}
        self.dropped = False

    async def follow(self):
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed

        number, answered_at = 0, time.monotonic()
        while True:
            url = self.urls[number % len(self.urls)]
            try:
                async with connect(url, subprotocols=["tapeline.v1"], compression=None, max_size=None, max_queue=1024) as socket:
                    await self.listen(socket)
            except (ConnectionClosed, OSError, TimeoutError) as error:
                now = time.monotonic()
                if isinstance(error, ConnectionClosed):
                    self.run.counts["disconnects" if self.dropped else "closed_by_gateway"] += 1
                    answered_at = now
                if not self.dropped:
                    print(f"{url}: {error!r}", file=sys.stderr)
                if now - answered_at > PATIENCE_S:
                    raise Wrong(f"no gateway answered for {PATIENCE_S} s: {error}") from error
                if not self.dropped:
                    await asyncio.sleep(RETRY_S)
            number += 1

    async def listen(self, socket):
        self.dropped = False
        if self.drop_every:
            delay = self.run.dice.expovariate(1 / self.drop_every)
            asyncio.get_running_loop().call_later(delay, self.drop, socket)
        for book in self.books.values():
            book.sequence = None
        keys = list(self.books)
        for number, key in enumerate(keys):
            await self.subscribe(socket, number, key)
        async for text in socket:
            message = json.loads(text)
            kind = message["type"]
            if kind == "depth":
                self.take(message)
            elif kind == "error" and message["problem"]["code"] == "unknown_instrument":
                # It may be listed a moment later.
                self.run.in_patience(f"{keys[message['id']][0]} is not known")
                await asyncio.sleep(RETRY_S)
                await self.subscribe(socket, message["id"], keys[message["id"]])
            elif kind != "ack":
                raise Wrong(f"a message that is not expected: {text}")

    def drop(self, socket):
        """Ends the TCP connection without a word."""
        self.dropped = True
        socket.transport.abort()

    async def subscribe(self, socket, number, key):
        name, levels = key
        wish = {"op": "subscribe", "id": number, "channel": "depth", "instrument": name, "levels": levels}
        await socket.send(json.dumps(wish))

    def take(self, message):
        counts, name, levels = self.run.counts, message["instrument"], message["levels"]
        book = self.books[name, levels]
        counts["messages"] += 1
        sequence = message["sequence"]
        if message["kind"] == "snapshot":
            counts["snapshots"] += 1
            if book.sequence is not None:
                counts["snapshots_between"] += 1
                if sequence < book.sequence:
                    raise Wrong(f"{name}, {levels}: a snapshot goes back from {book.sequence} to {sequence}")
            book.clear()
        else:
            counts["deltas"] += 1
            follows = message["previous"] == book.sequence and sequence > message["previous"]
            if not follows or (levels == "full" and sequence != book.sequence + 1):
                raise Wrong(f"{name}, {levels}: a gap: {book.sequence}, then {message['previous']} to {sequence}")
        for side, changes in ((b"B", message["bids"]), (b"S", message["asks"])):
            for price, quantity in changes:
                book.set(side, units(price), units(quantity))
        book.sequence = sequence
        if book.checksum != message["checksum"]:
            raise Wrong(f"{name}, {levels}: at {sequence} the checksum is {book.checksum}, stated is {message['checksum']}")
        counts["checksums_verified"] += 1
        heads = self.run.heads[name]
        if levels == "full":
            heads.whole(name, book, counts)
            if self.run.shown:
                print(name, sequence, *book.best(), sep=",", file=self.run.shown)
        else:
            if any(len(book.prices[side]) > levels for side in SIDES):
                raise Wrong(f"{name}: at {sequence} a window of {levels} has more levels")
            heads.window(name, levels, sequence, book.checksum, counts)

    def are_at(self, targets):
        """Whether the whole books are as far as `targets` say, and the windows are their heads."""
        for name in self.instruments:
            whole = self.books[name, "full"]
            if whole.sequence is None or whole.sequence < targets[name]:
                return False
            if whole.sequence > targets[name]:
                raise Wrong(f"{name}: the book is at {whole.sequence}, the last that there can be is {targets[name]}")
            for count in WINDOWS:
                window = self.books[name, count]
                if window.sequence is None or window.checksum != whole.head(count):
                    return False
        return True

    def places(self):
        return {f"{name}/{levels}": book.sequence for (name, levels), book in self.books.items()}


class Run:
    """What all connections share."""

    def __init__(self, options):
        self.options = options
        self.counts = Counter()
        self.heads = {name: Heads() for name in options.instruments}
        self.dice = random.Random(options.seed)
        self.shown = open(options.shown, "w", encoding="utf-8") if options.shown else None
        self.began = time.monotonic()

    def in_patience(self, what, since=None):
        if time.monotonic() - (since or self.began) > PATIENCE_S:
            raise Wrong(f"after {PATIENCE_S} s {what}")

    async def follow(self):
        """Follows until the end, and gives the whole books."""
        gateways, names = self.options.gateways, self.options.instruments
        shares = [names[index::len(gateways)] for index in range(len(gateways))]
        urls = [gateways[index:] + gateways[:index] for index in range(len(gateways))]
        followers = [
            Follower(urls, share, self, self.options.drop_every) for urls, share in zip(urls, shares) if share
        ]
        async with Watched(followers) as watched:
            targets = await watched.until(asyncio.ensure_future(end(self.options.seconds)))
            if targets:
                await watched.until(asyncio.ensure_future(self.reach(followers, targets)))
        if targets:
            await self.ask_anew(targets, followers)
        return {name: follower.books[name, "full"] for follower in followers for name in follower.instruments}

    async def reach(self, followers, targets):
        since = time.monotonic()
        for follower in followers:
            # A cut now would only delay the end.
            follower.drop_every = None
        while not all(follower.are_at(targets) for follower in followers):
            places = {name: place for follower in followers for name, place in follower.places().items()}
            self.in_patience(f"books are not at {targets} but at {places}", since)
            await asyncio.sleep(LOOK_S)

    async def ask_anew(self, targets, followers):
        """Each gateway's books, begun anew, must be what this client made of changes."""
        made = {key: book for follower in followers for key, book in follower.books.items()}
        for url in self.options.gateways:
            anew = Follower([url], self.options.instruments, self)
            async with Watched([anew]) as watched:
                await watched.until(asyncio.ensure_future(self.reach([anew], targets)))
            for key, book in anew.books.items():
                if any(book.pairs(side) != made[key].pairs(side) for side in SIDES):
                    raise Wrong(f"{url} has another book of {key} than this client: {book.report()}, {made[key].report()}")
                self.counts["books_asked_anew"] += 1


class Watched:
    """Tasks of followers, whose first error ends what is waited for."""

    def __init__(self, followers):
        self.followers = followers

    async def __aenter__(self):
        self.tasks = [asyncio.ensure_future(follower.follow()) for follower in self.followers]
        return self

    async def __aexit__(self, *_):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def until(self, task):
        await asyncio.wait([task, *self.tasks], return_when=asyncio.FIRST_COMPLETED)
        for failed in self.tasks:
            if failed.done():
                task.cancel()
                failed.result()
        return task.result()


def read_end():
    """The line on standard input: how far books must be, or None."""
    line = b""
    # Not by sys.stdin: a thread that waits in it would hold up the end of the program.
    while not line.endswith(b"\n") and (more := os.read(sys.stdin.fileno(), 65536)):
        line += more
    return json.loads(line) if line.strip() else None


async def end(seconds):
    if seconds is not None:
        await asyncio.sleep(seconds)
        return None
    loop, read = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def wait():
        try:
            line = read_end()
            loop.call_soon_threadsafe(read.set_result, line)
        except Exception as error:
            loop.call_soon_threadsafe(read.set_exception, error)

    threading.Thread(target=wait, daemon=True).start()
    return await read


class TopicBook(Book):
    """A book as `book.depth` tells it."""

    def __init__(self):
        super().__init__()
        self.parts = []

    def take(self, record, counts):
        counts["messages"] += 1
        if record["kind"] == "SNAPSHOT":
            self.gather(record, counts)
        elif record["kind"] == "DELTA":
            self.change(record, counts)

    def change(self, record, counts):
        sequence = record["sequence"]
        if self.sequence is None and sequence != 1:
            counts["before_the_first_snapshot"] += 1
            return
        if self.sequence is not None and sequence <= self.sequence:
            counts["known_already"] += 1
            return
        if sequence != (self.sequence or 0) + 1:
            raise Wrong(f"{record['instrument']}: a gap: {self.sequence}, then {sequence}")
        counts["deltas"] += 1
        self.apply([record], counts)

    def gather(self, record, counts):
        if record["part"] == 0:
            self.parts = []
        if len(self.parts) != record["part"]:
            return
        self.parts.append(record)
        if record["part"] + 1 < record["parts"]:
            return
        if self.sequence is not None and (self.sequence, self.checksum) != (record["sequence"], record["checksum"]):
            raise Wrong(f"{record['instrument']}: the snapshot at {record['sequence']} is not what the changes made")
        counts["snapshots"] += 1
        self.clear()
        self.apply(self.parts, counts)
        self.parts = []

    def apply(self, records, counts):
        for record in records:
            for side, levels in ((b"B", record["bids"]), (b"S", record["asks"])):
                for level in levels:
                    self.set(side, level["price"], level["quantity"])
        self.sequence = records[-1]["sequence"]
        stated = records[-1]["checksum"]
        if self.checksum != stated:
            raise Wrong(f"{records[-1]['instrument']}: at {self.sequence} the checksum is {self.checksum}, stated is {stated}")
        counts["checksums_verified"] += 1


def follow_topic(options, counts):
    from confluent_kafka import Consumer, TopicPartition
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroDeserializer
    from confluent_kafka.serialization import MessageField, SerializationContext

    kafka, registry = options.topic.split(",")
    topic = "book.depth"
    context = SerializationContext(topic, MessageField.VALUE)
    deserializer = AvroDeserializer(SchemaRegistryClient({"url": registry}))
    consumer = Consumer({
        "bootstrap.servers": kafka, "group.id": "depth.py", "isolation.level": "read_committed",
        "enable.auto.commit": False, "auto.offset.reset": "earliest",
    })
    partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
    since = int(time.time() * 1000) - BACK_MS
    places = consumer.offsets_for_times([TopicPartition(topic, partition, since) for partition in partitions], 20)
    # Where nothing is newer than that, the last records are all there is: then from the beginning.
    consumer.assign([TopicPartition(topic, place.partition, place.offset if place.offset >= 0 else 0) for place in places])
    books = {name: TopicBook() for name in options.instruments}
    ending = []
    if options.seconds is None:
        threading.Thread(target=lambda: ending.append(read_end()), daemon=True).start()
    began, ended = time.monotonic(), None
    while True:
        for message in consumer.consume(500, 0.2):
            if message.error():
                raise Wrong(str(message.error()))
            book = books.get(message.key().decode())
            if book is not None:
                book.take(deserializer(message.value(), context), counts)
        now = time.monotonic()
        if options.seconds is not None and now - began >= options.seconds:
            break
        if ending:
            ended = ended or now
            targets = ending[0] or {}
            if all(name in books and (books[name].sequence or 0) >= least for name, least in targets.items()):
                break
            if now - ended > PATIENCE_S:
                places = {name: book.sequence for name, book in books.items()}
                raise Wrong(f"after {PATIENCE_S} s books are not at {targets} but at {places}")
    consumer.close()
    return books


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: text.split(",")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--gateways", type=names, help="ws://HOST:PORT/v1/ws, several with commas")
    source.add_argument("--topic", help="KAFKA,REGISTRY_URL")
    parser.add_argument("--instruments", type=names, required=True)
    parser.add_argument("--seed", type=int, default=1, help="of the cuts")
    parser.add_argument("--drop-every", type=float, help="seconds from cut to cut of a connection, on average")
    parser.add_argument("--shown", help="file for the best quotes after each message")
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args()
    print(f"seed {options.seed}", file=sys.stderr)
    counts = Counter()
    try:
        if options.topic:
            books = follow_topic(options, counts)
        else:
            run = Run(options)
            counts = run.counts
            books = asyncio.run(run.follow())
            if run.shown:
                run.shown.close()
        books = {name: book.report() for name, book in books.items()}
    except Wrong as wrong:
        print(f"depth.py: {wrong}", flush=True)
        sys.exit(1)
    print(json.dumps({"seed": options.seed, **counts, "books": books}))


if __name__ == "__main__":
    main()
