#!/usr/bin/env python3
"""Trains a network with tf-slim; the same command goes on where it was stopped or killed."""

from converters.cli.train import start

if __name__ == "__main__":
    start()
