"""The commands: `slim-resnet convert ...`, and what tools/*.py call."""
