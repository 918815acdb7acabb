#!/usr/bin/env python3
"""Accuracy of checkpoints and converted models on a dataset, to the image."""

from converters.cli.evaluate import start

if __name__ == "__main__":
    start()
