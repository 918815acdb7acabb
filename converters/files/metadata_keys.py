"""The keys under which files of this project say what they hold."""

from __future__ import annotations

# Of the architecture, in any format with metadata.
ARCH_KEY = "slim_resnet.arch"
# Of a network read off a graph, and of those of its modules that are not named by scopes.
NETWORK_KEY = "slim_resnet.network"
MODULES_KEY = "slim_resnet.network.modules"
# The member of a `.keras` file with our metadata, JSON.
KERAS_METADATA = "slim_resnet.json"
KERAS_CONFIG_KEY = "model_config"  # of a Keras model, as its .keras has it
