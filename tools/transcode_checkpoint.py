#!/usr/bin/env python3
"""Rewrites a checkpoint from one form of its ResNeXt units to another; needs no framework."""

from converters.cli.transcode_checkpoint import start

if __name__ == "__main__":
    start()
