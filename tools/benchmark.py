#!/usr/bin/env python3
"""Times a network's forward pass, and forward + backward, on several engines side by side."""

from converters.cli.benchmark import start

if __name__ == "__main__":
    start()
