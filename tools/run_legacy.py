#!/usr/bin/env python3
"""Runs a TensorFlow 1.x script as it is, on today's TensorFlow."""

from converters.cli.run_legacy import start

if __name__ == "__main__":
    start()
