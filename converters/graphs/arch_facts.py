"""All the facts of a graph, and what they make of an `Arch`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from converters.files.errors import CheckpointError
from converters.graphs.facts import ConvFact, DecayFact, NormFact, PoolFact, Window
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import CONVENTIONS, Conv, Unit, unit_strides

_ROOT_POOLS = {
    "slim": Window((3, 3), (2, 2), padding="SAME"),
    "torchvision": Window((3, 3), (2, 2), pads=((1, 1), (1, 1))),
}
_SUBSAMPLE = (1, 1)  # the kernel of the max pool with which slim takes every n-th pixel
_ANOTHER = "the graph is of another network: give the one that belongs to the weights"


@dataclass(frozen=True)
class GraphFacts:
    """Every convolution, pooling and batch norm of a graph, in its order; `path` is its file.

    `decays` are those of weights, `averages` those of batch norms' moving statistics.
    """

    path: str
    convs: tuple[ConvFact, ...]
    pools: tuple[PoolFact, ...]
    norms: tuple[NormFact, ...]
    decays: tuple[DecayFact, ...] = ()
    averages: tuple[DecayFact, ...] = ()

    def renamed(self, name: Callable[[str], str]) -> GraphFacts:
        """The same facts of variables under other names; operations keep theirs."""
        replace = dataclasses.replace
        return replace(
            self,
            convs=tuple(replace(fact, weights=name(fact.weights)) for fact in self.convs),
            pools=tuple(replace(p, after=p.after and name(p.after)) for p in self.pools),
            norms=tuple(replace(n, variables=tuple(map(name, n.variables))) for n in self.norms),
            decays=tuple(replace(fact, variable=name(fact.variable)) for fact in self.decays),
            averages=tuple(replace(fact, variable=name(fact.variable)) for fact in self.averages),
        )

    def weight_decays(self, scope: str) -> tuple[float, ...]:
        """The different weight decays below a scope; () where the graph has no l2 loss."""
        return _values(self.decays, scope)

    def moving_average_decays(self, scope: str) -> tuple[float, ...]:
        """The different decays of batch norms below a scope; () unless it is a training graph."""
        return _values(self.averages, scope)

    def apply(self, arch: Arch, scope: str | None = None) -> Arch:
        """The architecture with what only the graph knows: strides, convention, rates, epsilon.

        Args:
            arch: found from the weights; its convention holds where the graph fits both.
            scope: the network's variable scope; None: the only one in the graph.

        Returns:
            `arch` with the graph's `convention`, `stages`, `output_stride`, `batch_norm_epsilon`,
            and `batch_norm_decay` where it is a training graph with one of them.

        Raises:
            CheckpointError: the graph computes what no `Arch` does; the operation is named.
        """
        return _Fit(self, arch, scope).arch()


def _values(facts: tuple[DecayFact, ...], scope: str) -> tuple[float, ...]:
    prefix = f"{scope}/" if scope else ""
    return tuple(sorted({fact.value for fact in facts if fact.variable.startswith(prefix)}))


class _Fit:
    """The facts of one network by the layers of `like`, and the `Arch` that has them all."""

    def __init__(self, facts: GraphFacts, like: Arch, scope: str | None):
        self.facts = facts
        self.like = like
        self.prefix = self._prefix(scope)
        self.convs: dict[str, list[ConvFact]] = {}
        layers = {self.prefix + variable.name: variable.whole for variable in like.variables}
        for fact in facts.convs:
            if fact.weights in layers:
                scope = layers[fact.weights].rpartition("/")[0]
                self.convs.setdefault(scope, []).append(fact)

    def arch(self) -> Arch:
        rates = [self._rate(unit) for unit in self.like.units]
        strides = self._strides(rates)
        convention = self._convention(strides)
        stages = []
        for block, stage in enumerate(self.like.stages, start=1):
            within = [s for u, s in zip(self.like.units, strides, strict=True) if u.block == block]
            stages.append(dataclasses.replace(stage, stride=max(within)))
        try:
            made = self.like.replace(
                convention=convention,
                stages=tuple(stages),
                output_stride=self._output_stride() if max(rates) > 1 else None,
                batch_norm_epsilon=self._epsilon(),
                batch_norm_decay=self._decay(),
            )
            self._check(made)
        except CheckpointError:
            raise
        except ValueError as error:  # what `Arch` says of fields that do not go together
            raise self._error(f"{error}; {_ANOTHER}") from error
        return made

    def _prefix(self, scope: str | None) -> str:
        """The network's scope with its slash, "" where it has none."""
        if scope is not None:
            return f"{scope}/" if scope else ""
        first = f"{self.like.units[0].convs[0].scope}/weights"
        name = next(v.name for v in self.like.variables if v.whole == first)
        read = {fact.weights for fact in self.facts.convs}
        ends = (weights for weights in read if f"/{weights}".endswith(f"/{name}"))
        prefixes = sorted(weights.removesuffix(name) for weights in ends)
        if not prefixes:
            raise self._error(f"no convolution in its graph reads {name}; {_ANOTHER}")
        if len(prefixes) > 1:
            listed = ", ".join(prefix.rstrip("/") for prefix in prefixes)
            raise self._error(f"its graph holds several networks; choose a scope of {listed}")
        return prefixes[0]

    def _fact(self, conv: Conv) -> ConvFact:
        """What the graph says of a layer: its parts, and its copies, must agree."""
        facts = self.convs.get(conv.scope)
        if not facts:
            raise self._error(
                f"no convolution in its graph reads {self.prefix}{conv.scope}/weights; {_ANOTHER}"
            )
        for fact in facts:
            if fact.window != facts[0].window:
                raise self._error(
                    f"{fact.op} has {fact.window}, but {facts[0].op} of the same layer "
                    f"{facts[0].window}; {_ANOTHER}"
                )
        return facts[0]

    def _rate(self, unit: Unit) -> int:
        """The rate of a unit: that of its convolutions with a kernel above 1."""
        return max(self._fact(conv).window.rate[0] for conv in unit.convs if conv.kernel > 1)

    def _strided(self, unit: Unit) -> ConvFact:
        """The convolution that carries a unit's stride."""
        name = self.like.kind.strided
        return self._fact(next(c for c in unit.convs if c.scope == f"{unit.scope}/{name}"))

    def _strides(self, rates: list[int]) -> list[int]:
        """The nominal stride of every unit: its own, or the growth of the rate after it."""
        strides = []
        for unit, rate, following in zip(
            self.like.units, rates, [*rates[1:], rates[-1]], strict=True
        ):
            fact = self._strided(unit)
            if following % rate:
                raise self._error(
                    f"after {fact.op} the rate of atrous convolution goes from {rate} to "
                    f"{following}, which no output_stride does"
                )
            strides.append(fact.window.stride[0] * (following // rate))
        return strides

    def _convention(self, strides: list[int]) -> str:
        """The convention that the root pool and the strides fit; the Arch's own if both do."""
        fitting = self._fit_pool()
        for convention in fitting:
            if self._misplaced(strides, convention) is None:
                return convention
        unit = self._misplaced(strides, fitting[0])
        raise self._error(
            f"{self._strided(unit).op} has its stride where the convention {fitting[0]!r}, which "
            f"the rest of the graph follows, has none, or none where it has one"
        )

    def _misplaced(self, strides: list[int], convention: str) -> Unit | None:
        """The first unit whose stride is not where `convention` puts it."""
        position = 0
        for stage in self.like.stages:
            within = strides[position : position + stage.num_units]
            expected = unit_strides(stage.num_units, max(within), convention)
            for index, (have, want) in enumerate(zip(within, expected, strict=True)):
                if have != want:
                    return self.like.units[position + index]
            position += stage.num_units
        return None

    def _fit_pool(self) -> list[str]:
        """The conventions that the pooling after the root allows, the Arch's own first."""
        root = f"{self.prefix}{self.like.root.scope}/weights"
        pools = [p for p in self.facts.pools if p.after == root and p.window.kernel != _SUBSAMPLE]
        if not self.like.has_root_pool:
            if pools:
                raise self._error(f"{pools[0].op} pools after the root, which a CIFAR net does not")
            return sorted(CONVENTIONS, key=lambda c: c != self.like.convention)
        if not pools:
            raise self._error(f"no pooling in its graph follows {root}; {_ANOTHER}")
        for pool in pools:
            fitting = [c for c, window in _ROOT_POOLS.items() if pool.window == window]
            if pool.kind != "MaxPool" or not fitting:
                raise self._error(
                    f"the root's pooling {pool.op} is a {pool.kind} of {pool.window}, which is "
                    f"neither slim's nor torchvision's"
                )
        return fitting

    def _output_stride(self) -> int:
        total = 4 if self.like.has_root_pool else 1
        for unit in self.like.units:
            total *= self._strided(unit).window.stride[0]
        return total

    def _epsilon(self) -> float:
        """The epsilon of all batch norms, which must be there and agree."""
        norms = [
            norm
            for norm in self.facts.norms
            if any(name.startswith(self.prefix) for name in norm.variables)
        ]
        known = {name for norm in norms for name in norm.variables}
        for variable in self.like.variables:
            if variable.name.endswith("/gamma") and self.prefix + variable.name not in known:
                raise self._error(
                    f"no batch norm in its graph reads {self.prefix}{variable.name}: it is folded "
                    "away or in a function; give the graph that was trained, or frozen only"
                )
        epsilons = {norm.nominal_epsilon(self.like.batch_norm_epsilon): norm for norm in norms}
        if len(epsilons) > 1:
            told = " and ".join(f"{norm.op} {epsilon}" for epsilon, norm in epsilons.items())
            raise self._error(f"its batch norms have several epsilons: {told}")
        return next(iter(epsilons), self.like.batch_norm_epsilon)

    def _decay(self) -> float:
        """The decay of all batch norms; the Arch's own where the graph has none, or several."""
        decays = self.facts.moving_average_decays(self.prefix.rstrip("/"))
        return decays[0] if len(decays) == 1 else self.like.batch_norm_decay

    def _check(self, arch: Arch) -> None:
        """Every convolution and pooling must be what `arch` has in its place."""
        for conv in _convolutions(arch):
            for fact in self.convs.get(conv.scope, ()):
                window = fact.window
                grouped = arch.form == "grouped" and fact.groups is not None
                expected = (conv.stride, conv.rate, conv.padding, conv.groups)
                have = (
                    window.stride[0] if window.stride[0] == window.stride[1] else window.stride,
                    window.rate[0] if window.rate[0] == window.rate[1] else window.rate,
                    window.padding_per_side,
                    fact.groups if grouped else conv.groups,
                )
                if have != expected:
                    raise self._error(
                        f"{fact.op} has {window}, groups {fact.groups}, where an Arch has stride "
                        "{}, rate {}, padding {} on every side, groups {}".format(*expected)
                    )
        for pool in self.facts.pools:
            if pool.op.startswith(f"{self.prefix}block") and not _subsamples(pool, arch):
                raise self._error(f"{pool.op} is a {pool.kind} of {pool.window}, which no Arch has")

    def _error(self, text: str) -> CheckpointError:
        return CheckpointError(f"{self.facts.path}: {text}.")


def _convolutions(arch: Arch) -> Iterator[Conv]:
    yield arch.root
    for unit in arch.units:
        yield from (conv for conv in (unit.projection, *unit.convs) if conv)
    if arch.logits:
        yield arch.logits


def _subsamples(pool: PoolFact, arch: Arch) -> bool:
    """Whether a pooling in a unit is that of a shortcut without parameters."""
    if arch.shortcut == "average_pad" and pool.kind == "AvgPool":
        return pool.window.kernel == (2, 2) and pool.window.padding == "SAME"
    return pool.kind == "MaxPool" and pool.window.kernel == _SUBSAMPLE
