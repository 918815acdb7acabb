"""A `Network` as a functional `keras.Model` of Keras's own layers and operations, NHWC in and out.

A `.keras` file of it loads in safe mode without this project. Layers bear the names of the graph's
operations, with "_" for "/"; `parameter_paths` says where each parameter lies. Sizes that the graph
computes stay dynamic wherever Keras can compute them.
"""

from converters.models.network_keras.building import build
from converters.models.network_keras.naming import Weight, parameter_paths

__all__ = ["Weight", "build", "parameter_paths"]
