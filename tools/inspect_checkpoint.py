#!/usr/bin/env python3
"""Shows what a TF1 checkpoint holds and which network it was recognised as; needs no framework."""

from converters.cli.inspect_checkpoint import start

if __name__ == "__main__":
    start()
