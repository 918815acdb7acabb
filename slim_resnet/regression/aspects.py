"""What a rebuilt network is, against the record: graph, variables, losses and collections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from slim_resnet.compat import tf
from slim_resnet.regression import static_shapes
from slim_resnet.regression.canonical import VARIABLES, canonicalize, dependencies, op_type
from slim_resnet.regression.graph_diff import WHERE, compare
from slim_resnet.regression.rebuilt import AFTER, Net, graph_def, is_imported
from slim_resnet.regression.record import Record

# Collections that say how a graph was saved, run or watched, not what it is.
IGNORED_COLLECTIONS = {
    "cond_context": "control flow of one TensorFlow version",
    "while_context": "control flow of one TensorFlow version",
    "savers": "made by the Saver that wrote a MetaGraph",
    "saveable_objects": "made by the Saver that wrote a MetaGraph",
    "init_op": "made by Supervisor or MonitoredSession",
    "local_init_op": "made by Supervisor or MonitoredSession",
    "ready_op": "made by Supervisor or MonitoredSession",
    "ready_for_local_init_op": "made by Supervisor or MonitoredSession",
    "summary_op": "made by Supervisor or MonitoredSession",
    "summaries": "shown in TensorBoard, computes nothing of the network",
    "train_op": "added by the training loop",
}


@dataclass(frozen=True)
class Aspect:
    """One thing that was compared.

    Attributes:
        name: what it is.
        detail: what was compared, or why nothing was.
        differences: first things first.
        decides: False: there is no verdict, `detail` is all there is to say.
    """

    name: str
    detail: str
    differences: tuple[str, ...] = ()
    decides: bool = True

    @property
    def verdict(self) -> str:
        if self.differences:
            return "DIFFERS"
        return "same" if self.decides else "-"


def structure(record: Record, net: Net, old) -> list[Aspect]:
    """Everything but the numbers, the graph first: it names the node.

    Args:
        record: the record.
        net: the network, rebuilt in float32.
        old: the recorded graph, a `tf.Graph`.
    """
    static = _static(record, net)
    aspects = [_graph(record, net, old, static)]
    if record.info["mode"] == "frozen":
        names = ("regularization losses", "variables", "collections")
        return aspects + [Aspect(n, "a frozen graph has none", decides=False) for n in names]
    return [
        *aspects,
        _losses(record, net, old, static),
        _variables(record, net),
        _collections(record, net),
    ]


class Static(NamedTuple):
    """What follows from the shape of the input alone, in the rebuilt and in the recorded graph."""

    now: Mapping[str, list]
    then: Mapping[str, list]


def _static(record: Record, net: Net) -> Static:
    """Found for the image sizes of the record, each in a batch of its size and in a larger one."""
    fixed = net.images.shape.as_list()
    sizes = [tuple(map(int, size.split("x"))) for size in record.info["images_crc32"]]
    batches = (record.info["batch_size"], record.info["batch_size"] + 1)
    wanted = [(batch, *size, record.info["channels"]) for batch in batches for size in sizes]
    shapes = [[known or free for known, free in zip(fixed, w, strict=True)] for w in wanted]
    return Static(
        static_shapes.values(net.graph.as_graph_def(), net.images.op.name, shapes),
        static_shapes.values(graph_def(record), record.info["input"], shapes),
    )


def _graph(record: Record, net: Net, old, static: Static) -> Aspect:
    """The end points and the updates of the moving statistics, and all that they depend on."""
    entries = [e for e in record.info["end_points"] if not e["name"].startswith(AFTER)]
    then = {e["name"]: old.get_tensor_by_name(e["tensor"]) for e in entries}
    now = {name: net.find(found) for name, found in net.counterparts(record).items()}
    if not is_imported(record):  # those of an imported graph are chosen by its recorder
        now |= net.end_points
    then |= _updates(old.get_operation_by_name(name) for name in record.info["update_ops"])
    now |= _updates(_members(net, tf.GraphKeys.UPDATE_OPS))
    nodes, count = _node_differences(record, net, old, static, now, then)
    labels = _order_differences("", list(now), list(then))
    return Aspect(
        "graph", f"{count} nodes behind {len(then)} end points and updates", (*nodes, *labels)
    )


def _losses(record: Record, net: Net, old, static: Static) -> Aspect:
    """The regularization losses, each named by the variables that it depends on."""
    recorded = map(old.get_operation_by_name, record.info["regularization_losses"])
    then = _labelled("loss of", recorded)
    now = _labelled("loss of", _members(net, tf.GraphKeys.REGULARIZATION_LOSSES))
    labels = _order_differences("regularization ", list(now), list(then))
    nodes, _ = _node_differences(record, net, old, static, now, then)
    return Aspect("regularization losses", f"{len(then)} losses", (*labels, *nodes))


def _variables(record: Record, net: Net) -> Aspect:
    then = {v["name"]: v for v in record.info["variables"]}
    now = {name: _describe(net, name) for name in net.variables}
    found = _order_differences("variable ", list(now), list(then))
    for name in (name for name in then if name in now):
        for key, value in now[name].items():
            recorded = _kept(then[name][key]) if key == "collections" else then[name][key]
            if value != recorded:
                found.append(f"variable {name}: {key} {value} {WHERE} {recorded}")
    return Aspect("variables", f"{len(then)} variables in order", tuple(found))


def _describe(net: Net, name: str) -> dict[str, Any]:
    """A variable as the record describes one."""
    variable = net.variables[name]
    keys = [
        key
        for key in net.graph.get_all_collection_keys()
        if any(item is variable for item in net.graph.get_collection(key))
    ]
    return {
        "shape": variable.shape.as_list(),
        "dtype": variable.dtype.base_dtype.name,
        "trainable": tf.GraphKeys.TRAINABLE_VARIABLES in keys,
        "collections": _kept(keys),
    }


def _collections(record: Record, net: Net) -> Aspect:
    """Names and sizes. An empty collection is none: a MetaGraph does not save it."""
    keys = net.graph.get_all_collection_keys()
    now = _sizes({key: len(net.graph.get_collection(key)) for key in keys})
    then = _sizes(record.info["collections"])
    found = [
        f"collection {key}: {now.get(key, 0)} members {WHERE} {then.get(key, 0)}"
        for key in sorted(now | then)
        if now.get(key) != then.get(key)
    ]
    return Aspect("collections", f"{len(then)} collections", tuple(found))


def _sizes(collections: Mapping[str, int]) -> dict[str, int]:
    # Some versions of slim write NET_end_points, others NET/_end_points.
    return {
        key.replace("/_end_points", "_end_points"): collections[key]
        for key in _kept(collections)
        if collections[key]
    }


def _kept(keys: Iterable[Any]) -> list[str]:
    """The names of collections that are compared; TensorFlow's own keys may be tuples."""
    return sorted(key for key in keys if isinstance(key, str) and key not in IGNORED_COLLECTIONS)


def _members(net: Net, key: str) -> list:
    """The ops in a collection of the rebuilt network, which may hold tensors, too."""
    return [getattr(item, "op", item) for item in net.graph.get_collection(key)]


def _updates(ops: Iterable) -> dict[str, Any]:
    """Label -> the op that assigns, of what the collection of updates holds.

    With resource variables that is a read which runs after the assignment.
    """

    def assignment(op):
        candidates = (op, *op.control_inputs)
        return next((c for c in candidates if op_type(c).startswith("Assign")), op)

    return _labelled("update of", map(assignment, ops))


def _labelled(prefix: str, ops: Iterable) -> dict[str, Any]:
    """Ops by the variables that they depend on most closely; names of such ops may differ."""
    found: dict[str, Any] = {}
    for op in ops:
        if op_type(op).startswith("Assign"):
            variables = [op.inputs[0].op.name]
        else:
            variables = sorted(o.name for o in dependencies([op]) if o.type in VARIABLES)
        label = f"{prefix} {', '.join(variables)}"
        same = sum(known.partition(" #")[0] == label for known in found)
        found[f"{label} #{same + 1}" if same else label] = op
    return found


def _node_differences(
    record: Record,
    net: Net,
    old,
    static: Static,
    now: Mapping[str, Any],
    then: Mapping[str, Any],
) -> tuple[list[str], int]:
    """The differences behind the labels that both sides have, and the number of nodes."""
    common = [label for label in then if label in now]
    recorded = canonicalize(
        old,
        {label: then[label] for label in common},
        weights=net.variables if record.info["mode"] == "frozen" else (),
        checksums={entry["name"]: entry["crc32"] for entry in record.info["constants"]},
        static=static.then,
    )
    rebuilt = canonicalize(net.graph, {label: now[label] for label in common}, static=static.now)
    return [str(d) for d in compare(rebuilt, recorded)], len(recorded.nodes)


def _order_differences(kind: str, now: Sequence[str], then: Sequence[str]) -> list[str]:
    """What is missing, what is new, and if it is neither, the first thing out of order."""
    known, recorded = set(now), set(then)
    found = [
        f"{kind}{name}: is missing from the rebuilt network" for name in then if name not in known
    ]
    found += [f"{kind}{name}: is not in the record" for name in now if name not in recorded]
    if not found:
        moved = ((a, b) for a, b in zip(now, then, strict=True) if a != b)
        found += [f"{kind}{a}: comes {WHERE} {b}" for a, b in moved][:1]
    return found
