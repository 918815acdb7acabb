"""The families of networks, a module each: importing it registers the family and its networks."""

from __future__ import annotations

import importlib

MODULES = ("resnet", "resnext", "cifar_resnet", "cifar_resnext", "cifar_script")  # in this order

for _module in MODULES:
    importlib.import_module(f"{__name__}.{_module}")
