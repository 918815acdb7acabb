"""Layers of every kind, what is fed to them, and how TensorFlow's own operations compute them."""

from __future__ import annotations

import arithmetic_layers  # noqa: F401
import map_layers  # noqa: F401
import weighted_layers  # noqa: F401
from layer_table import CASES, EVEN, ODD, network_of, raw, values

__all__ = ["CASES", "EVEN", "ODD", "network_of", "raw", "values"]
