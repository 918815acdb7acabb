"""All the facts of a graph, and what they make of an `Arch`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from converters.files.errors import CheckpointError
from converters.graphs.arch_geometry import geometry
from converters.graphs.arch_layers import layers
from converters.graphs.facts import ConvFact, DecayFact, JoinFact, Link, NormFact, PoolFact
from converters.graphs.layer_facts import ANOTHER, LayerFacts
from slim_resnet.arch.architecture import Arch


@dataclass(frozen=True)
class GraphFacts:
    """Every convolution, pooling and batch norm of a graph, in its order; `path` is its file.

    `joins` are what lies between them; `decays` are those of weights, `averages` those of batch
    norms' moving statistics.
    """

    path: str
    convs: tuple[ConvFact, ...]
    pools: tuple[PoolFact, ...]
    norms: tuple[NormFact, ...]
    decays: tuple[DecayFact, ...] = ()
    averages: tuple[DecayFact, ...] = ()
    joins: tuple[JoinFact, ...] = ()

    def renamed(self, name: Callable[[str], str]) -> GraphFacts:
        """The same facts of variables under other names; operations keep theirs."""
        replace = dataclasses.replace

        def link(old: Link) -> Link:
            return replace(old, weights=old.weights and name(old.weights))

        return replace(
            self,
            convs=tuple(
                replace(fact, weights=name(fact.weights), source=link(fact.source))
                for fact in self.convs
            ),
            pools=tuple(replace(fact, source=link(fact.source)) for fact in self.pools),
            norms=tuple(replace(n, variables=tuple(map(name, n.variables))) for n in self.norms),
            joins=tuple(
                replace(
                    fact,
                    inputs=tuple(map(link, fact.inputs)),
                    weights=fact.weights and name(fact.weights),
                )
                for fact in self.joins
            ),
            decays=tuple(replace(fact, variable=name(fact.variable)) for fact in self.decays),
            averages=tuple(replace(fact, variable=name(fact.variable)) for fact in self.averages),
        )

    def weight_decays(self, scope: str) -> tuple[float, ...]:
        """The different weight decays below a scope; () where the graph has no l2 loss."""
        return _values(self.decays, scope)

    def moving_average_decays(self, scope: str) -> tuple[float, ...]:
        """The different decays of batch norms below a scope; () where the graph tells none."""
        return _values(self.averages, scope)

    def apply(self, arch: Arch, scope: str | None = None) -> Arch:
        """The architecture with what only the graph knows.

        Args:
            arch: found from the weights; what the graph leaves open is as there.
            scope: the network's variable scope; None: the only one in the graph.

        Returns:
            `arch` with the graph's strides, paddings, rates, root, activations, epsilon and so on;
            with `batch_norm_decay` where it is a training graph with one of them.

        Raises:
            CheckpointError: the graph computes what no `Arch` does; the operation is named.
        """
        facts = LayerFacts(self, arch, scope)
        try:
            made = arch.replace(**geometry(facts), **layers(facts), **self._norm_fields(facts))
            facts.check(made)
        except CheckpointError:
            raise
        except ValueError as error:  # what `Arch` says of fields that do not go together
            raise facts.error(f"{error}; {ANOTHER}") from error
        return made

    def _norm_fields(self, facts: LayerFacts) -> dict[str, object]:
        """The epsilon of all batch norms, which must agree, and their decay."""
        like = facts.like
        norms = [
            norm
            for norm in self.norms
            if any(name.startswith(facts.prefix) for name in norm.variables)
        ]
        epsilons = {norm.epsilon: norm for norm in norms}
        if len(epsilons) > 1:
            told = " and ".join(f"{norm.op} {epsilon}" for epsilon, norm in epsilons.items())
            raise facts.error(f"its batch norms have several epsilons: {told}")
        decays = self.moving_average_decays(facts.prefix.rstrip("/"))
        return {
            "batch_norm_epsilon": next(iter(epsilons), like.batch_norm_epsilon),
            "batch_norm_decay": decays[0] if len(decays) == 1 else like.batch_norm_decay,
        }


def _values(facts: tuple[DecayFact, ...], scope: str) -> tuple[float, ...]:
    prefix = f"{scope}/" if scope else ""
    return tuple(sorted({fact.value for fact in facts if fact.variable.startswith(prefix)}))
