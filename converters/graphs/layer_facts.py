"""The facts of a graph by the layers of one network."""

from __future__ import annotations

from collections.abc import Iterator

from converters.files.errors import CheckpointError
from converters.graphs.facts import ConvFact, Facts, Link, PoolFact, Step, Window
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import Conv, Unit

ANOTHER = "the graph is of another network: give the one that belongs to the weights"
REMEDY = "no Arch has that: convert the network by its graph alone"
_KNOWN = (
    "convolutions, biases, batch norms, Relu, Relu6, LeakyRelu, Elu, Selu, Sigmoid, Tanh and swish"
)
_SUBSAMPLE = (1, 1)  # the kernel of the max pool with which slim takes every n-th pixel


class LayerFacts:
    """What a graph says of the layers of `like`, found by the variables that they read.

    Attributes:
        like: the network, as its weights tell it.
        prefix: its scope with its slash, "" where it has none.
        convs: scope of a layer -> its convolutions: its parts in another form, its copies in a
            graph that has the network several times.
        pools, norms, joins: of the whole graph, by their operations.
    """

    def __init__(self, graph: Facts, like: Arch, scope: str | None):
        self.graph = graph
        self.like = like
        self.prefix = self._prefix(scope)
        self.pools = {fact.op: fact for fact in graph.pools}
        self.norms = {fact.op: fact for fact in graph.norms}
        self.joins = {fact.op: fact for fact in graph.joins}
        self.convs: dict[str, list[ConvFact]] = {}
        layers = {self.prefix + variable.name: variable.whole for variable in like.variables}
        for fact in graph.convs:
            if fact.weights in layers:
                layer = layers[fact.weights].rpartition("/")[0]
                self.convs.setdefault(layer, []).append(fact)

    def _prefix(self, scope: str | None) -> str:
        if scope is not None:
            return f"{scope}/" if scope else ""
        first = f"{self.like.units[0].convs[0].scope}/weights"
        name = next(v.name for v in self.like.variables if v.whole == first)
        read = {fact.weights for fact in self.graph.convs}
        ends = (weights for weights in read if f"/{weights}".endswith(f"/{name}"))
        prefixes = sorted(weights.removesuffix(name) for weights in ends)
        if not prefixes:
            raise self.error(f"no convolution in its graph reads {name}; {ANOTHER}")
        if len(prefixes) > 1:
            listed = ", ".join(prefix.rstrip("/") for prefix in prefixes)
            raise self.error(f"its graph holds several networks; choose a scope of {listed}")
        return prefixes[0]

    def error(self, text: str) -> CheckpointError:
        return CheckpointError(f"{self.graph.path}: {text}.")

    def unknown(self, link: Link, op: str) -> CheckpointError:
        """The error for a `link` of `op` to something that no Arch has."""
        return self.error(
            f"{link.type} {link.op!r} lies before {op}: this reader knows {_KNOWN}; {REMEDY}"
        )

    def expect(self, link: Link, ops: set[str], op: str) -> None:
        """Raises CheckpointError unless the layer that `op` reads is one of `ops`."""
        if link.op in ops:
            return
        if link.kind == "other":
            raise self.unknown(link, op)
        expected = " or ".join(sorted(ops)[:2])
        raise self.error(
            f"{op} reads {link.type} {link.op!r}, where {expected} is expected; {REMEDY}"
        )

    def of(self, conv: Conv) -> list[ConvFact]:
        """What the graph says of a layer: its parts, and its copies, must slide alike."""
        facts = self.convs.get(conv.scope)
        if not facts:
            raise self.error(
                f"no convolution in its graph reads {self.prefix}{conv.scope}/weights; {ANOTHER}"
            )
        for fact in facts:
            if fact.window != facts[0].window:
                raise self.error(
                    f"{fact.op} has {fact.window}, but {facts[0].op} of the same layer "
                    f"{facts[0].window}; {ANOTHER}"
                )
        return facts

    def window(self, conv: Conv) -> Window:
        return self.of(conv)[0].window

    def ops(self, conv: Conv) -> set[str]:
        """The operations of a layer."""
        return {fact.op for fact in self.of(conv)}

    def inputs(self, unit: Unit) -> Iterator[tuple[str, Link]]:
        """(operation that reads it, where it comes from) of everything that reads a unit's input.

        The identity shortcut is not among them; before a projection there may be a pooling.
        """
        for fact in self.of(unit.convs[0]):
            yield fact.op, fact.source
        for fact in self.of(unit.projection) if unit.projection else ():
            pool = self.projection_pool(fact)
            yield (pool.op, pool.source) if pool else (fact.op, fact.source)

    def projection_pool(self, projection: ConvFact) -> PoolFact | None:
        """The average pooling of two rows and columns that a projection reads; None: none."""
        pool = self.pools.get(projection.source.op)
        is_average = pool is not None and (pool.kind, pool.window.kernel) == ("AvgPool", (2, 2))
        return pool if is_average and not projection.source.steps else None

    def origins(self, link: Link) -> list[tuple[Link, tuple[Step, ...]]]:
        """The layers behind a link, and what follows each: several behind joined branches."""
        if link.kind != "concat" and not self.is_of_branches(link.op):
            return [(link, link.steps)]
        return [
            (origin, (*steps, *link.steps))
            for member in self.joins[link.op].inputs
            for origin, steps in self.origins(member)
        ]

    def is_of_branches(self, op: str) -> bool:
        """Whether an operation sums the branches of a ResNeXt unit (form "branches")."""
        join = self.joins.get(op)
        if self.like.form != "branches" or join is None or join.kind != "sum":
            return False
        return len(join.inputs) == self.like.cardinality and all(
            "/branch_" in (member.weights or "") and not member.steps for member in join.inputs
        )

    def check(self, arch: Arch) -> None:
        """Raises CheckpointError unless every window is what `arch` has in its place."""
        for conv in _convolutions(arch):
            for fact in self.convs.get(conv.scope, ()):
                self._check_conv(arch, conv, fact)
        for pool in self.graph.pools:
            if pool.op.startswith(f"{self.prefix}block") and not _is_shortcut(pool, arch):
                raise self.error(f"{pool.op} is a {pool.kind} of {pool.window}, which no Arch has")

    def _check_conv(self, arch: Arch, conv: Conv, fact: ConvFact) -> None:
        window = fact.window
        sides = (conv.pads, conv.pads) if conv.pads else None
        groups = fact.groups if arch.form == "grouped" else None
        expected = ((conv.stride,) * 2, (conv.rate,) * 2, sides, conv.groups)
        have = (window.stride, window.rate, window.sides, groups or conv.groups)
        if have == expected and (sides or not any(map(any, window.pads))):
            return
        padding = f"padding {conv.pads[0]} on every side" if conv.pads else "SAME padding"
        raise self.error(
            f"{fact.op} has {window}, groups {fact.groups}, where an Arch has stride "
            f"{conv.stride}, rate {conv.rate}, {padding}, groups {conv.groups}"
        )


def _convolutions(arch: Arch) -> Iterator[Conv]:
    return (layer for layer in arch.layers if isinstance(layer, Conv))


def _is_shortcut(pool, arch: Arch) -> bool:
    """Whether a pooling in a unit is that of a shortcut."""
    if arch.shortcut in ("average_pad", "average_projection") and pool.kind == "AvgPool":
        return pool.window.kernel == (2, 2) and pool.window.padding == "SAME"
    return pool.kind == "MaxPool" and pool.window.kernel == _SUBSAMPLE
