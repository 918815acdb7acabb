"""All the facts of a graph, and what they make of an `Arch`."""

from __future__ import annotations

from dataclasses import dataclass

from converters.files.errors import CheckpointError
from converters.graphs.arch_geometry import geometry
from converters.graphs.arch_layers import layers
from converters.graphs.facts import Facts
from converters.graphs.layer_facts import ANOTHER, LayerFacts
from slim_resnet.arch.architecture import Arch


@dataclass(frozen=True)
class GraphFacts(Facts):
    """The facts of a graph, which make of what weights tell an `Arch` that is the graph's."""

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
