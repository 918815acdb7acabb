"""`--to torch-source`: a folder with a network as Python that a person can read and train."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from converters.formats.format import Format, Options
from converters.formats.safetensors_file import write_safetensors
from converters.graphs.network import Input, Network
from converters.models.network_torch.lowering import host_constants, lower
from converters.models.network_torch.naming import Names, name_parameters, state_arrays
from converters.models.network_torch.plan import Plan
from converters.models.targets import blamed
from converters.recognise.recognised import Recognised
from slim_resnet.files import atomic_new_folder
from slim_resnet.frameworks import require

# Sizes of images that the check tries, where the graph takes any: some networks need multiples.
_SIZES = (97, 96, 128, 224, 299, 320, 512)
_BATCH = 2


def write_source(
    network: Network,
    arrays: Mapping[str, np.ndarray],
    folder: str | os.PathLike,
    readme: str,
    check: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Writes `model.py`, its weights, a check, and a README; whole or not at all.

    `model.py` needs torch alone. Its state dict has the names of `naming.parameter_names`.

    Args:
        network: what it computes.
        arrays: name of each parameter -> its value: `network.arrays(variables)`.
        folder: the folder to make.
        readme: the text of README.md.
        check: name of each input -> an array of TensorFlow's layout that the check feeds; None:
            random values of the graph's sizes, or of a size that the network takes.

    Raises:
        ValueError: a layer has no place in a torch module.
        OSError: `folder` is there already, or its parent is not.
    """
    names = name_parameters(network)
    text, used = source_text(network, arrays, names)
    state = {n: a for n, a in state_arrays(network, arrays).items() if n in used}
    checks = _checks(network, arrays, check)
    with atomic_new_folder(folder) as temporary:
        temporary.mkdir()
        write_safetensors(state, temporary / "weights.safetensors", {"format": "pt"})
        write_safetensors(checks, temporary / "check.safetensors", {"format": "pt"})
        (temporary / "model.py").write_text(text, encoding="utf-8")
        (temporary / "README.md").write_text(readme, encoding="utf-8")


def source_text(
    network: Network, arrays: Mapping[str, np.ndarray], names: Names | None = None
) -> tuple[str, set[str]]:
    """The text of `model.py`, and the names of the parameters that it has.

    Args:
        network: what it computes.
        arrays: name of each parameter -> its value.
        names: of its parameters, if they are known.
    """
    from converters.models.network_torch.source.emitting import module_text
    from converters.models.network_torch.source.flow import Flow

    names = names or name_parameters(network)
    constants = {name: arrays[name] for name in host_constants(network)}
    plan = lower(network, names, constants)
    flow = Flow.of(network, names, plan, arrays)
    title = f"The network of {os.path.basename(network.path)}, in PyTorch."
    return module_text(_classes(flow), title), _used(flow, names, plan)


def _classes(flow) -> list:
    """The classes of a flow; scopes that are called twice for different things become none."""
    from converters.models.network_torch.source.classes import (
        DifferentInstancesError,
        find_classes,
    )
    from converters.models.network_torch.source.regions import find_regions

    banned: frozenset[str] = frozenset()
    while True:
        try:
            return find_classes(flow, find_regions(flow, banned))
        except DifferentInstancesError as error:
            banned |= {error.path}


def _used(flow, names: Names, plan: Plan) -> set[str]:
    """The parameters that the source has: constants of one number are written in it."""
    called = {plan.steps[i].args[0] for i in flow.lines if plan.steps[i].target == "module"}
    read = {path for line in flow.lines for path in flow.attributes[line]}
    owners = called | {path.rpartition(".")[0] for path in read} & set(names.modules)
    return {
        state
        for state, _ in names.states.values()
        if state in read or state.rpartition(".")[0] in owners
    }


def _checks(
    network: Network, arrays: Mapping[str, np.ndarray], check: Mapping[str, np.ndarray] | None
) -> dict[str, np.ndarray]:
    """Inputs and the network's outputs for them, as the check has them."""
    from converters.models.network_torch import module

    net = module.build(network, arrays)
    if check is not None:
        return _run(net, network, check)
    for size in _SIZES:
        try:
            return _run(net, network, _random_inputs(network, size))
        except RuntimeError as error:  # sizes that do not fit
            reason = error
    raise ValueError(f"no size of image is known that the network takes: {reason}; give a check")


def _random_inputs(network: Network, size: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {each.name: _values(each, random, size) for each in network.inputs}


def _values(each: Input, random: np.random.Generator, size: int) -> np.ndarray:
    shape = [n or size for n in each.shape]
    if each.shape and each.shape[0] is None:
        shape[0] = _BATCH
    if np.dtype(each.dtype).kind in "iub":
        return random.integers(0, 256, shape).astype(each.dtype)
    return random.standard_normal(shape).astype(each.dtype)


def _run(net, network: Network, fed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    torch = require("torch")
    given = {name: torch.from_numpy(_torch_layout(x)) for name, x in fed.items()}
    with torch.inference_mode():
        found = net(given)
    found = found if isinstance(found, dict) else {network.outputs[0]: found}
    stored = {f"in:{name}": x for name, x in given.items()}
    stored |= {f"out:{name}": y for name, y in found.items()}
    return {name: _storable(np.ascontiguousarray(x.numpy())) for name, x in stored.items()}


def _torch_layout(array: np.ndarray) -> np.ndarray:
    """An input as torch takes it: images channels-first."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 1) if array.ndim in (4, 5) else array)


def _storable(array: np.ndarray) -> np.ndarray:
    return array.astype(np.uint8) if array.dtype == bool else array


_README = """# The network of {graph}

`model.py` is the whole network of `{source}` as plain PyTorch; it needs nothing but torch.
`python model.py` runs it on the input in `check.safetensors` and compares what comes out with the
outputs there.

    import model
    net = model.load()        # the weights of weights.safetensors, in eval mode
    net(images)               # images [batch, channels, height, width]

Inputs: {inputs}. Outputs: {outputs}.

This folder got its name after a proof: every operation of the graph, run by TensorFlow in float64,
was compared with the PyTorch module (1e-12 of the largest value), and the outputs of this folder's
`model.py` in float32 (2e-5).
"""


def _check(ckpt: Recognised, options: Options) -> None:
    if ckpt.network is None:
        raise ValueError(
            f"{ckpt.path}: source is written of a graph, and there is none: put its .meta beside "
            "the checkpoint, or use --to torch"
        )


def _write(ckpt: Recognised, folder: str, options: Options) -> None:
    network = ckpt.network
    readme = _README.format(
        graph=os.path.basename(network.path),
        source=os.path.basename(ckpt.path),
        inputs=", ".join(f"`{each.name}`" for each in network.inputs),
        outputs=", ".join(f"`{name}`" for name in network.outputs),
    )
    arrays = ckpt.parameters()
    with blamed(ckpt):
        write_source(network, arrays, folder, readme)


FORMATS = (
    Format(
        "torch-source",
        "",
        _write,
        hidden=atomic_new_folder,
        runner="torch-source",
        check=_check,
        whole_graph=True,
        named="a folder",
    ),
)
