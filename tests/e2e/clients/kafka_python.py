"""kafka-python: produces (it refuses headers without a value) and reads."""

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

import arguments
import records


def produce(options):
    ledger = records.Ledger(options.ledger)
    for codec in options.codecs.split(","):
        producer = KafkaProducer(
            bootstrap_servers=options.broker,
            acks="all",
            compression_type=None if codec == "none" else codec,
        )
        source = records.records(
            f"{options.name}-{codec}",
            options.partitions,
            options.seed,
            options.size_min,
            options.size_max,
            options.start_ms,
            options.step_ms,
            null_headers=False,
        )
        for record in source:
            if record.number == options.records:
                break
            sent = producer.send(
                options.topic,
                value=record.value,
                key=record.key,
                headers=record.headers,
                partition=record.partition,
                timestamp_ms=record.timestamp,
            )
            ack = sent.get(60)
            ledger.acked(record, ack.offset, ack.timestamp)
        producer.close()


def starts(consumer, partitions, options):
    kind, given = records.start_of(options.start)
    if kind == "beginning":
        found = consumer.beginning_offsets(partitions)
        return [found[partition] for partition in partitions]
    if kind == "offsets":
        return given
    found = consumer.offsets_for_times({partition: given[0] for partition in partitions})
    offsets = [found[partition].offset for partition in partitions]
    records.write_found(options.out, offsets)
    return offsets


def read(options):
    ends = records.numbers(options.ends)
    transcripts = records.Transcripts(options.out, ends)
    consumer = KafkaConsumer(
        bootstrap_servers=options.broker,
        enable_auto_commit=False,
        auto_offset_reset="none",
        check_crcs=True,
        max_partition_fetch_bytes=4194304,
    )
    partitions = [TopicPartition(options.topic, number) for number in range(options.partitions)]
    consumer.assign(partitions)
    for partition, offset in zip(partitions, starts(consumer, partitions, options)):
        consumer.seek(partition, offset)
        transcripts.reached(partition.partition, offset)
    while transcripts.open:
        for batch in consumer.poll(timeout_ms=1000).values():
            for record in batch:
                transcripts.read(
                    record.partition,
                    record.offset,
                    record.timestamp,
                    record.key,
                    record.value,
                    list(record.headers),
                )
    transcripts.close()
    consumer.close(autocommit=False)


if __name__ == "__main__":
    options = arguments.parse()
    {"produce": produce, "read": read}[options.command](options)
