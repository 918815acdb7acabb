#!/usr/bin/env python3
"""Builds a slim graph on today's TensorFlow, prints what it is made of, writes it if asked to."""

from converters.cli.build_graph import start

if __name__ == "__main__":
    start()
