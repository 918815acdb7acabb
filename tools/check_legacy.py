#!/usr/bin/env python3
"""Rebuilds a network that record_legacy.py recorded and says where it is another one, if it is."""

from converters.cli.check_legacy import start

if __name__ == "__main__":
    start()
