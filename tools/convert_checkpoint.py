#!/usr/bin/env python3
"""Converts TF1-slim checkpoints to a modern format, or weights back, with proof that they match."""

from converters.cli.convert_checkpoint import start

if __name__ == "__main__":
    start()
