"""librdkafka by confluent-kafka: creates topics, produces, reads."""

import select
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import arguments
import records


def create(options):
    settings = dict(setting.split("=", 1) for setting in options.config)
    admin = AdminClient({"bootstrap.servers": options.broker})
    topic = NewTopic(options.topic, options.partitions, 1, config=settings)
    for made in admin.create_topics([topic]).values():
        made.result(30)


class Writer:
    def __init__(self, options, codec):
        self.options = options
        self.once = options.attempts == "one"
        self.ledger = records.Ledger(options.ledger)
        self.failed = None
        self.producer = Producer(
            {
                "bootstrap.servers": options.broker,
                "acks": "all",
                "compression.type": codec,
                "enable.idempotence": not self.once,
                "linger.ms": 5,
                # Several batches in a segment, and several entries in its indexes.
                "batch.size": 65536,
                "message.max.bytes": 1000000,
                "queue.buffering.max.kbytes": 32768,
                "reconnect.backoff.max.ms": 500,
                # For ever: a broker that is down for a while loses nothing.
                "message.timeout.ms": 5000 if self.once else 0,
                "retries": 0 if self.once else 2147483647,
            }
        )

    def send(self, record):
        def delivered(error, message):
            if error is None:
                self.ledger.acked(record, message.offset(), message.timestamp()[1])
            else:
                self.failed = self.failed or error

        message = {
            "value": record.value,
            "key": record.key,
            "headers": record.headers,
            "partition": record.partition,
            "timestamp": record.timestamp,
            "on_delivery": delivered,
        }
        while True:
            try:
                self.producer.produce(self.options.topic, **message)
                break
            except BufferError:
                self.producer.poll(0.1)
        self.producer.poll(0)

    def finish(self):
        while self.producer.flush(1) > 0:
            pass
        if self.failed and not self.once:
            sys.exit(f"a record was not delivered: {self.failed}")


def told_to_end():
    return bool(select.select([sys.stdin], [], [], 0)[0])


def produce_at_rate(writer, source, rate):
    """Until standard input ends, or, sending once, until a record fails."""
    begun, sent = time.monotonic(), 0
    while not told_to_end() and not writer.failed:
        due = int((time.monotonic() - begun) * rate)
        while sent < due and len(writer.producer) < rate:
            writer.send(next(source))
            sent += 1
        writer.producer.poll(0.005)
        if len(writer.producer) >= rate:
            # The broker is down: the records of that time are not made up for.
            begun, sent = time.monotonic(), 0


def produce(options):
    for codec in options.codecs.split(","):
        source = records.records(
            f"{options.name}-{codec}",
            options.partitions,
            options.seed,
            options.size_min,
            options.size_max,
            options.start_ms,
            options.step_ms,
        )
        writer = Writer(options, codec)
        if options.rate:
            produce_at_rate(writer, source, options.rate)
        else:
            sent = 0
            for record in source:
                if record.number == options.records or (options.bytes and sent >= options.bytes):
                    break
                writer.send(record)
                sent += record.size()
        writer.finish()


def starts(consumer, options):
    kind, given = records.start_of(options.start)
    partitions = range(options.partitions)
    if kind == "beginning":
        return [consumer.get_watermark_offsets(TopicPartition(options.topic, p), 30)[0] for p in partitions]
    if kind == "offsets":
        return given
    wanted = [TopicPartition(options.topic, p, given[0]) for p in partitions]
    found = sorted(consumer.offsets_for_times(wanted, 60), key=lambda place: place.partition)
    offsets = [place.offset for place in found]
    records.write_found(options.out, offsets)
    return offsets


def read(options):
    ends = records.numbers(options.ends)
    transcripts = records.Transcripts(options.out, ends)
    consumer = Consumer(
        {
            "bootstrap.servers": options.broker,
            "group.id": "none",
            "enable.auto.commit": False,
            "check.crcs": True,
            "auto.offset.reset": "error",
            "fetch.message.max.bytes": 4194304,
        }
    )
    offsets = starts(consumer, options)
    for partition, offset in enumerate(offsets):
        transcripts.reached(partition, offset)
    consumer.assign([TopicPartition(options.topic, p, offset) for p, offset in enumerate(offsets)])
    while transcripts.open:
        for message in consumer.consume(1000, 1.0):
            if message.error():
                raise KafkaException(message.error())
            transcripts.read(
                message.partition(),
                message.offset(),
                message.timestamp()[1],
                message.key(),
                message.value(),
                message.headers() or [],
            )
    transcripts.close()
    consumer.close()


if __name__ == "__main__":
    options = arguments.parse()
    {"create": create, "produce": produce, "read": read}[options.command](options)
