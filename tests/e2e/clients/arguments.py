"""The command line that all client programs share."""

import argparse


def parse():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)

    create = commands.add_parser("create")
    create.add_argument("--config", action="append", default=[])

    produce = commands.add_parser("produce")
    produce.add_argument("--name", required=True)
    produce.add_argument("--ledger", required=True)
    produce.add_argument("--codecs", default="none")
    produce.add_argument("--records", type=int, help="of each codec")
    produce.add_argument("--bytes", type=int, help="of each codec, about")
    produce.add_argument("--size-min", type=int, default=100)
    produce.add_argument("--size-max", type=int, default=1000)
    produce.add_argument("--seed", default="0")
    produce.add_argument("--start-ms", type=int, required=True)
    produce.add_argument("--step-ms", type=int, default=1000)
    produce.add_argument("--rate", type=int, help="a second, until standard input ends")
    produce.add_argument("--attempts", default="any", choices=["any", "one"])

    read = commands.add_parser("read")
    read.add_argument("--start", required=True)
    read.add_argument("--ends", required=True)
    read.add_argument("--out", required=True)

    for command in (create, produce, read):
        command.add_argument("--broker", required=True)
        command.add_argument("--topic", required=True)
        command.add_argument("--partitions", type=int, default=1)
    return parser.parse_args()
