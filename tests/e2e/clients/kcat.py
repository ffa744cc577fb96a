"""kcat, run record by record to write and once for each partition to read.

It tells neither the offset nor the time of what it wrote: the ledger says "unknown" there.
"""

import subprocess
import sys

import arguments
import records


def kcat(options, *more, stdin=b""):
    command = ["kcat", "-q", "-b", options.broker, "-t", options.topic, *more]
    done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f"{command}: exit code {done.returncode}")
    return done.stdout


def produce(options):
    ledger = records.Ledger(options.ledger)
    for codec in options.codecs.split(","):
        source = records.records(
            f"{options.name}-{codec}",
            options.partitions,
            options.seed,
            options.size_min,
            options.size_max,
            options.start_ms,
            options.step_ms,
            text=True,
        )
        for record in source:
            if record.number == options.records:
                break
            more = ["-P", "-z", codec, "-p", str(record.partition), "-X", "enable.idempotence=true"]
            # The record ends at a byte that none holds; with -Z an empty value is sent as null.
            more += ["-D", "\x01", "-Z"]
            # A header without "=" is one without a value.
            for name, content in record.headers:
                more += ["-H", name if content is None else f"{name}={content.decode()}"]
            if record.value is None:
                # An input that is empty but for its key: without one nothing would be sent.
                kcat(options, *more, "-K", "\x02", stdin=record.key + b"\x02")
            else:
                more += [] if record.key is None else ["-k", record.key.decode()]
                kcat(options, *more, stdin=record.value)
            ledger.acked(record, records.UNKNOWN, records.UNKNOWN)


def headers_of(text):
    if not text:
        return []
    pairs = (pair.split("=", 1) for pair in text.split(","))
    return [(name, None if value == "NULL" else value.encode()) for name, value in pairs]


def parse(output):
    """Records of the format that `read` asks for."""
    at = 0
    while at < len(output):
        line_end = output.index(b"\n", at)
        offset, timestamp, key_size, size, headers = output[at:line_end].decode().split("\t")
        at = line_end + 1
        parts = []
        for length in (int(key_size), int(size)):
            parts.append(None if length < 0 else output[at : at + length])
            at += max(0, length)
        if output[at : at + 1] != b"\n":
            sys.exit(f"kcat's output is out of step at byte {at}")
        at += 1
        yield int(offset), int(timestamp), parts[0], parts[1], headers_of(headers)


def read(options):
    ends = records.numbers(options.ends)
    transcripts = records.Transcripts(options.out, ends)
    kind, given = records.start_of(options.start)
    found = []
    for partition, end in enumerate(ends):
        start = {"beginning": "beginning", "time": f"s@{given[0] if given else 0}"}.get(kind)
        more = ["-C", "-e", "-p", str(partition), "-o", start or str(given[partition])]
        more += ["-X", "check.crcs=true", "-f", "%o\t%T\t%K\t%S\t%h\n%k%s\n"]
        first = None
        for offset, *rest in parse(kcat(options, *more)):
            first = offset if first is None else first
            transcripts.read(partition, offset, *rest)
        found.append(end if first is None else first)
    if transcripts.open:
        sys.exit(f"kcat ended before the end of partitions {transcripts.open}")
    if kind == "time":
        records.write_found(options.out, found)
    transcripts.close()


if __name__ == "__main__":
    options = arguments.parse()
    {"produce": produce, "read": read}[options.command](options)
