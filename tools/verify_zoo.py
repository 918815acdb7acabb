#!/usr/bin/env python3
"""Builds, converts and verifies every architecture of the registry, with weights drawn by name."""

from converters.cli.verify_zoo import start

if __name__ == "__main__":
    start()
