#!/usr/bin/env python3
"""Fine-tunes a converted PyTorch model, or a slim checkpoint as one, on slim's recipe."""

from converters.cli.finetune_torch import start

if __name__ == "__main__":
    start()
