"""How a file of weights carries the network that they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from converters.files import CheckpointError
from converters.files.metadata_keys import MODULES_KEY, NETWORK_KEY
from converters.graphs.network import Network


@dataclass(frozen=True)
class Recorded:
    """What a file says of its network.

    Attributes:
        network: its parameters name the variables of the graph that they were made of; their
            `compute` reads them by their own names.
        renamed: of `naming.parameter_names`.
    """

    network: Network
    renamed: Mapping[str, str] = field(default_factory=dict)


def metadata(network: Network, renamed: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a file must carry so that `module.load` can make the module of it.

    Args:
        network: of the weights in the file.
        renamed: of `naming.parameter_names`.
    """
    found = {NETWORK_KEY: network.to_json()}
    if renamed:
        found[MODULES_KEY] = json.dumps(dict(renamed), separators=(",", ":"))
    return found


def recorded_network(path: str, found: Mapping[str, str]) -> Recorded | None:
    """The network in a file's metadata, None where there is none.

    Args:
        path: the file, for errors.
        found: what it says of itself.

    Raises:
        CheckpointError: the description is broken.
    """
    if NETWORK_KEY not in found:
        return None
    try:
        network = _with_variables(Network.from_json(found[NETWORK_KEY], path), found[NETWORK_KEY])
        renamed = json.loads(found.get(MODULES_KEY, "{}"))
        if not isinstance(renamed, dict) or not all(isinstance(v, str) for v in renamed.values()):
            raise ValueError(f"{MODULES_KEY} is no table of names")
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: its network ({NETWORK_KEY}) cannot be used: {error}: convert it again"
        ) from error
    return Recorded(network, renamed)


def _with_variables(network: Network, text: str) -> Network:
    """With the variables that each parameter was made of, which names are taken from."""
    parameters = {
        name: replace(network.parameters[name], variables=tuple(variables))
        for name, _, _, variables in json.loads(text)["parameters"]
    }
    return network.replace(parameters=parameters)
