"""Records to produce, and the files by which the tests compare what was written and read.

A ledger holds one entry for each acked record, written at the ack; a transcript one entry for each
record read, in the order of reading. Both name a record's content by a digest, so the files of
any client can be compared byte by byte.
"""

import hashlib
import math
import os
import random
import struct

LEDGER_ENTRY = struct.Struct(">iqqq16s")  # partition, offset, timestamp, number, digest
TRANSCRIPT_ENTRY = struct.Struct(">qq16s")  # offset, timestamp, digest
UNKNOWN = -1


def sized(data):
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def digest(key, value, headers):
    """Of all that a record says but its place and time; the Java programs do the same."""
    parts = [sized(key), sized(value), struct.pack(">i", len(headers))]
    for name, content in headers:
        parts += [sized(name.encode()), sized(content)]
    return hashlib.sha256(b"".join(parts)).digest()[:16]


class Record:
    def __init__(self, number, partition, timestamp, key, value, headers):
        self.number = number
        self.partition = partition
        self.timestamp = timestamp
        self.key = key
        self.value = value
        self.headers = headers
        self.digest = digest(key, value, headers)

    def size(self):
        return len(self.key or b"") + len(self.value or b"")


def content(choice, tag, size):
    """Half of it compresses."""
    half = max(0, size - len(tag)) // 2
    return tag + choice.randbytes(half) + b"snow" * (half // 4 + 1)


def records(name, partitions, seed, size_min, size_max, start_ms, step_ms, text=False, null_headers=True):
    """Endless; no two of them alike, whoever else produces under another name."""
    choice = random.Random(f"{seed} {name}")
    number = 0
    while True:
        size = int(math.exp(choice.uniform(math.log(size_min), math.log(size_max))))
        tag = f"{name}:{number}:".encode()
        value = tag + b"x" * size if text else content(choice, tag, size)
        key = None if choice.random() < 0.2 else f"{name}/{number}".encode()
        if key is not None and choice.random() < 0.05:
            value = None
        headers = [("writer", name.encode()), ("number", str(number).encode()), ("none", None if null_headers else b"")]
        headers = headers[: choice.randrange(4)]
        partition = choice.randrange(partitions)
        yield Record(number, partition, start_ms + number * step_ms, key, value, headers)
        number += 1


class Ledger:
    """Unbuffered: what was acked when a process is killed stands in the file."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def acked(self, record, offset, timestamp):
        entry = (record.partition, offset, timestamp, record.number, record.digest)
        os.write(self.file, LEDGER_ENTRY.pack(*entry))


class Transcripts:
    """One file for each partition, and when it is done with: after the offset before its end."""

    def __init__(self, folder, ends):
        os.makedirs(folder, exist_ok=True)
        self.files = [open(os.path.join(folder, str(p)), "wb") for p in range(len(ends))]
        self.ends = ends
        self.open = {partition for partition, end in enumerate(ends) if end > 0}

    def read(self, partition, offset, timestamp, key, value, headers):
        if partition in self.open and offset < self.ends[partition]:
            entry = (offset, timestamp, digest(key, value, headers))
            self.files[partition].write(TRANSCRIPT_ENTRY.pack(*entry))
        self.reached(partition, offset + 1)

    def reached(self, partition, position):
        if position >= self.ends[partition]:
            self.open.discard(partition)

    def close(self):
        for file in self.files:
            file.close()


def numbers(text):
    return [int(number) for number in text.split(",")]


def start_of(text):
    """Where to read from: `beginning`, `offsets:1,2,3` or `time:MS`."""
    kind, _, rest = text.partition(":")
    return kind, numbers(rest) if rest else []


def write_found(folder, offsets):
    """What the look-up of a time gave for each partition."""
    with open(os.path.join(folder, "found"), "w") as file:
        file.write("\n".join(str(offset) for offset in offsets))
