#!/usr/bin/env python3
"""The official clients, as published, against our server: the life of a DynamoDB connection, step by step.

`make clients` installs them and runs this. Everything is on this machine: nothing is asked of AWS or of Tinybird.
The last line says how many steps there were and how many failed.
"""

import argparse
import pathlib
import sys
import time

import command_line
import sdks
from stage import ROOT, Stage

LIVES = {"cli": command_line.run, "typescript": sdks.typescript, "python": sdks.python}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "target" / "demo", help="folder of tb and aws-sim")
    parser.add_argument("--clients", type=pathlib.Path, default=ROOT / "target" / "clients", help="where install.sh put the clients")
    parser.add_argument("--only", choices=LIVES, help="one of the clients, instead of all")
    options = parser.parse_args()
    clients = options.clients.resolve()
    stage = Stage(options.bin.resolve(), clients, clients / "run")
    began = time.monotonic()
    try:
        stage.start()
        for name, life in LIVES.items():
            if options.only in (None, name):
                life(stage)
    finally:
        stage.stop()
        print(f"clients: took {time.monotonic() - began:.0f} s", file=sys.stderr)
    print(f"clients: {stage.steps} steps, {stage.failed} failed")
    return 1 if stage.failed or not stage.steps else 0


if __name__ == "__main__":
    sys.exit(main())
