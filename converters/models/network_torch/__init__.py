"""A `Network` in PyTorch: a module to run and train, its names, and its source.

`naming`, `metadata` and `lowering` need no torch; `module`, `ops` and `layers` do.
"""

from converters.models.network_torch.naming import parameter_names, state_arrays
from converters.models.network_torch.recorded import NETWORK_KEY, metadata, recorded_network

__all__ = ["NETWORK_KEY", "metadata", "parameter_names", "recorded_network", "state_arrays"]
