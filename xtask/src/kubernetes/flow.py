"""A producer and a consumer that go on through whatever happens to the broker, and what they saw.

run    produces numbered records and reads them beside, until standard input ends; then everything that was
       acked has to have been read, in order, each once. The ledger keeps what was acked, over several runs.
check  reads the topic from its beginning and compares it with the ledger.
crowd  sends unfinished requests until the broker closes the connections, so that their memory is taken.
"""

import argparse
import json
import select
import socket
import struct
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

SIZE = 1000


def value(partition, number):
    return f"{partition}:{number}:".encode().ljust(SIZE, b"*")


class Ledger:
    """Of each partition the values that were acked, in the order of their offsets."""

    def __init__(self, path, partitions):
        self.path = path
        try:
            with open(path) as file:
                self.acked = {int(partition): dict(map(tuple, pairs)) for partition, pairs in json.load(file).items()}
        except FileNotFoundError:
            self.acked = {partition: {} for partition in range(partitions)}

    def save(self):
        with open(self.path, "w") as file:
            json.dump({partition: sorted(pairs.items()) for partition, pairs in self.acked.items()}, file)

    def count(self):
        return sum(len(pairs) for pairs in self.acked.values())


class Reader:
    """Reads all partitions from given offsets, and holds each offset to come once, in order."""

    def __init__(self, options, starts):
        self.seen = {}
        self.next = dict(starts)
        self.consumer = Consumer(
            {
                "bootstrap.servers": options.broker,
                "group.id": "flow",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "reconnect.backoff.max.ms": 1000,
            }
        )
        self.consumer.assign([TopicPartition(options.topic, p, start) for p, start in starts.items()])

    def poll(self, seconds):
        for message in self.consumer.consume(1000, seconds):
            if message.error():
                raise KafkaException(message.error())
            partition, offset = message.partition(), message.offset()
            if offset != self.next[partition]:
                sys.exit(f"partition {partition}: offset {offset} came, {self.next[partition]} was next")
            self.next[partition] += 1
            self.seen[partition, offset] = int(message.value().split(b":")[1])


def compare(ledger, reader, starts):
    """What was acked and not read as it was written."""
    wrong = [
        (partition, offset)
        for partition, pairs in ledger.acked.items()
        for offset, number in pairs.items()
        if offset >= starts[partition] and reader.seen.get((partition, offset)) != number
    ]
    if wrong:
        sys.exit(f"{len(wrong)} acked records were not read as they were written: {wrong[:5]}")
    numbers = {}
    for (partition, _), number in sorted(reader.seen.items()):
        if number <= numbers.get(partition, -1):
            sys.exit(f"partition {partition}: record {number} came after {numbers[partition]}")
        numbers[partition] = number


def run(options):
    ledger = Ledger(options.ledger, options.partitions)
    producer = Producer(
        {
            "bootstrap.servers": options.broker,
            "enable.idempotence": True,
            "linger.ms": 5,
            "message.timeout.ms": 0,
            "reconnect.backoff.max.ms": 1000,
        }
    )
    starts = {p: max(pairs, default=-1) + 1 for p, pairs in ledger.acked.items()}
    numbers = {p: max(pairs.values(), default=-1) + 1 for p, pairs in ledger.acked.items()}
    reader, before, failed = Reader(options, starts), ledger.count(), []

    def acked(partition, number):
        def delivered(error, message):
            if error is None:
                ledger.acked[partition][message.offset()] = number
            else:
                failed.append(error)

        return delivered

    while not select.select([sys.stdin], [], [], 0)[0]:
        # While the broker is away nothing is added: what waits is enough.
        if len(producer) < options.rate:
            for partition in range(options.partitions):
                number = numbers[partition]
                numbers[partition] += 1
                producer.produce(
                    options.topic, value(partition, number), partition=partition, on_delivery=acked(partition, number)
                )
        producer.poll(0)
        reader.poll(options.partitions / options.rate)
    until = time.monotonic() + options.patience
    while producer.flush(1) > 0 or any(reader.next[p] <= max(q, default=-1) for p, q in ledger.acked.items()):
        reader.poll(0.2)
        if time.monotonic() > until:
            sys.exit(f"not everything was acked and read in time: {len(producer)} wait, next are {reader.next}")
    if failed:
        sys.exit(f"{len(failed)} records were refused: {failed[0]}")
    compare(ledger, reader, starts)
    ledger.save()
    print(f"{ledger.count() - before} records acked and read, each once and in order")


def check(options):
    ledger = Ledger(options.ledger, options.partitions)
    reader = Reader(options, {p: 0 for p in ledger.acked})
    until = time.monotonic() + options.patience
    while any(reader.next[p] <= max(pairs, default=-1) for p, pairs in ledger.acked.items()):
        reader.poll(0.5)
        if time.monotonic() > until:
            sys.exit(f"not everything was read in time: next are {reader.next}")
    compare(ledger, reader, {p: 0 for p in ledger.acked})
    print(f"{ledger.count()} acked records read back from the beginning")


def crowd(options):
    """A frame is kept in memory until it is whole."""
    host, port = options.broker.rsplit(":", 1)
    length = 95 << 20
    connections = []
    try:
        for _ in range(options.connections):
            connection = socket.create_connection((host, int(port)), timeout=options.patience)
            connections.append(connection)
            connection.sendall(struct.pack(">i", length) + bytes(length - 1))
        connections[0].recv(1)
    except OSError as error:
        print(f"the broker went away: {error}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["run", "check", "crowd"])
    parser.add_argument("--broker", required=True)
    parser.add_argument("--topic", default="flow")
    parser.add_argument("--partitions", type=int, default=3)
    parser.add_argument("--ledger")
    parser.add_argument("--rate", type=int, default=600, help="records a second, about")
    parser.add_argument("--connections", type=int, default=2)
    parser.add_argument("--patience", type=float, default=120)
    options = parser.parse_args()
    {"run": run, "check": check, "crowd": crowd}[options.what](options)
