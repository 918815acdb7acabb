"""What a graph says of what follows the layers of a network: activations, clipping, pooling."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from itertools import pairwise

from converters.files.errors import CheckpointError
from converters.graphs.arch_branches import projection_kind, without_gate
from converters.graphs.facts import Link, Step
from converters.graphs.layer_facts import ANOTHER, REMEDY, LayerFacts
from slim_resnet.arch.parts import RESIDUAL_BOUND, Activation, Conv, Unit

# What may follow the features on their way to the logits.
_OF_TAIL = ("reshape", "dropout")


def layers(facts: LayerFacts) -> dict[str, object]:
    """The fields of an Arch that the way through the graph tells.

    Every unit is followed from its input to its sum: nothing may lie between its layers that no
    Arch has.

    Raises:
        CheckpointError: something does; the operation is named.
    """
    return _Way(facts).fields()


class _Way:
    """The way through a network, and what was met on it."""

    def __init__(self, facts: LayerFacts):
        self.facts = facts
        # Where an activation stands -> the activations there, each with an operation.
        self.activations: dict[str, dict[Activation | None, str]] = {}
        self.bounds: dict[float | None, str] = {}
        self.shortcuts: dict[str, str] = {}  # kind -> an operation of it
        self.sums = self._sums()

    def fields(self) -> dict[str, object]:
        like = self.facts.like
        here = self._root()
        for unit in like.units:
            here = self._unit(unit, here)
        found = {"global_pool": self._tail(here)}
        inner = self._only("conv", "convolutions", like.conv_activation)
        outer = self._only("unit", "units", like.unit_options.activation)
        found["activation"] = inner.name if inner else "none"
        found["unit_activation"] = outer.name if outer else "none"
        slopes = {each.slope for each in (inner, outer) if each and each.name == "leaky_relu"}
        if len(slopes) > 1:
            raise self.facts.error(f"its leaky ReLUs have several slopes: {inner}, {outer}")
        found["activation_slope"] = slopes.pop() if slopes else like.activation_slope
        found["use_bounded_activations"] = self._is_bounded(outer)
        if self.shortcuts:
            found["shortcut"] = self._shortcut()
        return found

    # -- what was met ------------------------------------------------------------------------------

    def _only(self, role: str, what: str, unmet: Activation | None = None) -> Activation | None:
        """The activation that all of a role have; `unmet` where nothing reads one."""
        met = self.activations.get(role, {unmet: ""})
        if len(met) > 1:
            told = " and ".join(f"{each or 'none'} ({op})" for each, op in met.items())
            raise self.facts.error(f"its {what} have several activations: {told}; {REMEDY}")
        return next(iter(met), None)

    def _is_bounded(self, outer: Activation | None) -> bool:
        """Whether residuals are clipped, as the model garden's `use_bounded_activations` does."""
        told = self._only("projection", "projections")
        if set(self.bounds) == {None} and told is None:
            return False
        is_relu6 = outer is not None and outer.name == "relu6"
        if set(self.bounds) == {RESIDUAL_BOUND} and is_relu6 and told in (None, outer):
            return True
        op = next((op for bound, op in self.bounds.items() if bound), None)
        op = op or next(iter(self.activations["projection"].values()))
        raise self.facts.error(f"{op} is no part of slim's use_bounded_activations; {REMEDY}")

    def _shortcut(self) -> str:
        """The kind of shortcut that all units have which tell it."""
        if len(self.shortcuts) > 1:
            told = " and ".join(f"{kind} ({op})" for kind, op in self.shortcuts.items())
            raise self.facts.error(f"its shortcuts are of several kinds: {told}; {REMEDY}")
        (kind,) = self.shortcuts
        return kind

    def _met(self, role: str, steps: Iterable[Step], op: str) -> None:
        step = next((step for step in steps if step.kind == "activation"), None)
        found = self.activations.setdefault(role, {})
        found.setdefault(step.value if step else None, step.op if step else op)

    # -- the way -----------------------------------------------------------------------------------

    def _sums(self) -> dict[str, set[str]]:
        """Operation of a convolution -> the sums that it goes into."""
        found: dict[str, set[str]] = {}
        for join in self.facts.joins.values():
            for link in join.inputs if join.kind == "sum" else ():
                for origin, _ in self.facts.origins(link):
                    found.setdefault(origin.op, set()).add(join.op)
        return found

    def _root(self) -> set[str]:
        """The operations that the first unit reads; their activation is met on the way."""
        facts, root = self.facts, self.facts.like.root
        if root is None:
            return self._fed()
        for conv, following in pairwise(facts.like.root_convs):
            self._follows(following, conv)
        ops = facts.ops(root)
        pools = {op: pool for op, pool in facts.pools.items() if pool.source.op in ops}
        for op, pool in pools.items():
            if pool.window.kernel != (1, 1):
                self._layer(root, pool.source.steps, "conv", op)
        read = {link.op for _, link in facts.inputs(facts.like.units[0])}
        return read & (ops | set(pools))

    def _fed(self) -> set[str]:
        """What the first unit reads where there is no root: nothing that a layer computes."""
        found = {}
        for op, link in self.facts.inputs(self.facts.like.units[0]):
            if link.kind != "other":
                raise self.facts.error(
                    f"{link.type} {link.op!r} lies before {op}, in the first unit: "
                    f"the network has a root of another kind than slim's; {REMEDY}"
                )
            found[link.op] = None
        return set(found)

    def _unit(self, unit: Unit, here: set[str]) -> set[str]:
        """Follows a unit from what it reads; the operations of its sum."""
        facts = self.facts
        for op, link in facts.inputs(unit):
            self._input(unit, op, link, here)
        told = projection_kind(facts, unit)
        if told:
            self.shortcuts.setdefault(*told)
        for conv, following in pairwise(unit.convs):
            self._follows(following, conv)
        last = facts.ops(unit.convs[-1])
        sums = {op for name in last for op in self.sums.get(name, ())}
        sums = {op for op in sums if not facts.is_of_branches(op)}
        if not sums:
            raise self._no_sum(unit, min(last), here)
        for op in sums:
            self._sum(unit, op, last, here)
        return sums

    def _follows(self, conv: Conv, before: Conv) -> None:
        """A convolution reads the one before it."""
        for fact in self.facts.of(conv):
            for origin, steps in self.facts.origins(fact.source):
                self.facts.expect(origin, self.facts.ops(before), fact.op)
                self._layer(before, steps, "conv", fact.op)

    def _no_sum(self, unit: Unit, last: str, here: set[str]) -> CheckpointError:
        """What is wrong where a unit's last convolution goes into no sum."""
        shortcut = self.facts.ops(unit.projection) if unit.projection else here
        sums = (join for join in self.facts.joins.values() if join.kind == "sum")
        for join in sums:
            others = [link for link in join.inputs if link.op not in shortcut]
            if len(others) == 1 and len(join.inputs) == 2 and others[0].kind == "other":
                return self.facts.unknown(others[0], join.op)
        units = self.facts.like.units
        for following in units[units.index(unit) + 1 :][:1]:
            for op, link in self.facts.inputs(following):
                if link.kind == "other":
                    return self.facts.unknown(link, op)
        return self.facts.error(
            f"no sum in its graph reads {last}, with which a residual unit ends; {ANOTHER}"
        )

    def _input(self, unit: Unit, op: str, link: Link, here: set[str]) -> None:
        """What a unit's first convolution, or its projection, reads."""
        for origin, steps in self.facts.origins(link):
            self.facts.expect(origin, here, op)
            if unit.preact:
                self._norms(f"{unit.scope}/preact", steps, op, has_norm=True)
                self._met("unit", steps, op)
            else:
                self._read(unit, steps, op)

    def _read(self, unit: Unit, steps: tuple[Step, ...], op: str) -> None:
        """What follows the input of a unit without pre-activation."""
        like = self.facts.like
        if unit is not like.units[0]:
            self._only_steps(steps, op, ("activation",))
            self._met("unit", steps, op)
        elif like.root and not self._has_pool():
            self._layer(like.root, steps, "conv", op)
        elif like.root:
            self._only_steps(steps, op, ())

    def _has_pool(self) -> bool:
        root = self.facts.like.root
        links = (link for _, link in self.facts.inputs(self.facts.like.units[0]))
        ops = self.facts.ops(root)
        return not any(origin.op in ops for link in links for origin, _ in self.facts.origins(link))

    def _sum(self, unit: Unit, op: str, last: set[str], here: set[str]) -> None:
        """The sum that ends a unit: its residual, and its shortcut."""
        residual = None
        for link in self.facts.joins[op].inputs:
            (origin, steps), *others = self.facts.origins(link)
            if origin.op in last and residual is None:
                residual = origin
                self._residual(unit, [steps, *(s for _, s in others)], op)
            elif unit.projection:
                self.facts.expect(origin, self.facts.ops(unit.projection), op)
                self._layer(unit.projection, steps, "projection", op)
            else:
                self._identity(unit, origin, steps, op, here)

    def _residual(self, unit: Unit, ways: list[tuple[Step, ...]], op: str) -> None:
        conv = unit.convs[-1]
        for steps in ways:
            steps = without_gate(self.facts, unit, steps, op)
            self._norms(conv.scope, steps, op, conv.norm, conv.bias, more=("bound",))
            bound = next((step for step in steps if step.kind == "bound"), None)
            self.bounds.setdefault(bound.value if bound else None, bound.op if bound else op)

    def _identity(
        self, unit: Unit, origin: Link, steps: tuple[Step, ...], op: str, here: set[str]
    ) -> None:
        """A shortcut without parameters: the input, made smaller, with zero channels."""
        if any(step.kind == "pad" for step in steps):
            if unit.shortcut is None:
                raise self.facts.error(f"{op} pads its shortcut, where {unit.scope} has none")
            steps = tuple(step for step in steps if step.kind != "pad")
            pool = self.facts.pools.get(origin.op)
            kind = "average_pad" if pool and pool.kind == "AvgPool" else "pad"
            self.shortcuts.setdefault(kind, op)
        pool = self.facts.pools.get(origin.op) if origin.op not in here else None
        if pool:
            self._only_steps(steps, op, ())
            (origin, steps), *_ = self.facts.origins(pool.source)
        self.facts.expect(origin, here, op)
        if unit.preact:
            self._only_steps(steps, op, ())
        else:
            self._read(unit, steps, op)

    def _tail(self, here: set[str]) -> bool:
        """Whether the features are averaged over all positions before the end."""
        facts, like = self.facts, self.facts.like
        pooled = set()
        for join in facts.joins.values():
            if join.kind == "mean" and join.inputs[0].op in here:
                pooled.add(join.op)
                self._features(join.inputs[0], join.op)
        if like.logits is None:
            return bool(pooled)
        answers = {link.op in pooled: op for op, link in self._logits(here | pooled)}
        for op, link in self._logits(here | pooled):
            if link.op in here:
                self._features(link, op)
        if len(answers) > 1:
            raise facts.error(f"its copies of the logits differ in their pooling; {ANOTHER}")
        return next(iter(answers))

    def _logits(self, known: set[str]) -> Iterator[tuple[str, Link]]:
        """What reads the logits' weights, and what it reads."""
        facts, scope = self.facts, self.facts.like.logits.scope
        found = [(fact.op, fact.source) for fact in facts.convs.get(scope, ())]
        for join in facts.joins.values():  # a fully connected layer; gradients read weights, too
            is_logits = join.kind == "dense" and self.wholes.get(join.weights) == f"{scope}/weights"
            if is_logits and join.inputs[0].op in known:
                found.append((join.op, join.inputs[0]))
        if not found:
            raise facts.error(
                f"no layer in its graph reads {facts.prefix}{scope}/weights; {ANOTHER}"
            )
        for op, link in found:
            facts.expect(link, known, op)
            yield op, link

    def _features(self, link: Link, op: str) -> None:
        """What follows the last unit."""
        steps = tuple(step for step in link.steps if step.kind not in _OF_TAIL)
        if self.facts.like.postnorm:
            self._norms("postnorm", steps, op, has_norm=True)
        else:
            self._only_steps(steps, op, ("activation",))
        self._met("unit", steps, op)

    # -- checks ------------------------------------------------------------------------------------

    def _layer(self, conv: Conv, steps: tuple[Step, ...], role: str, op: str) -> None:
        """What follows a convolution: biases, a batch norm, an activation."""
        self._norms(conv.scope, steps, op, conv.norm, conv.bias)
        if conv is self.facts.like.root and self.facts.like.kind.preact:
            self._only_steps(steps, op, ("bias",))
        else:
            self._met(role, steps, op)

    def _norms(
        self,
        scope: str,
        steps: tuple[Step, ...],
        op: str,
        has_norm: bool,
        has_bias: bool = False,
        more: tuple[str, ...] = (),
    ) -> None:
        """Biases and batch norm are what the weights say there are, in this order."""
        expected = [kind for kind, has in (("bias", has_bias), ("norm", has_norm)) if has]
        found = [step for step in steps if step.kind in ("bias", "norm")]
        if [step.kind for step in found] != expected:
            self._refuse_norms(scope, found, expected, op)
        self._only_steps(steps, op, ("bias", "norm", *(more or ("activation",))))
        layer = scope if scope.endswith(("preact", "postnorm")) else f"{scope}/BatchNorm"
        for step in found:
            read = self.facts.norms[step.op].variables if step.kind == "norm" else ()
            own = [name for name in read if self._is_of(name, layer)]
            if read and not own:
                raise self.facts.error(f"the batch norm {step.op} reads {read[0]}; {ANOTHER}")

    def _is_of(self, variable: str, layer: str) -> bool:
        """Whether a variable of the graph belongs to a batch norm, or to a part of it."""
        whole = self.wholes.get(variable)
        return whole is not None and whole.rpartition("/")[0] == layer

    @functools.cached_property
    def wholes(self) -> dict[str, str]:
        """Full name of a variable -> the variable of the grouped form that it is of."""
        prefix = self.facts.prefix
        return {prefix + variable.name: variable.whole for variable in self.facts.like.variables}

    def _refuse_norms(self, scope: str, found: list[Step], expected: list[str], op: str) -> None:
        if "norm" in expected and not any(step.kind == "norm" for step in found):
            raise self.facts.error(
                f"no batch norm in its graph lies between {self.facts.prefix}{scope} and {op}: it "
                "is folded away or in a function; give the graph that was trained, or frozen only"
            )
        have = ", ".join(f"{step.kind} {step.op}" for step in found) or "nothing"
        want = " and ".join(expected) or "neither biases nor a batch norm"
        raise self.facts.error(
            f"{self.facts.prefix}{scope} is followed by {have}, but its weights say {want}; "
            f"{ANOTHER}"
        )

    def _only_steps(self, steps: tuple[Step, ...], op: str, kinds: tuple[str, ...]) -> None:
        for step in steps:
            if step.kind not in kinds:
                raise self.facts.error(
                    f"{step.op} ({step.kind}) lies before {op}, where this reader knows "
                    f"{' or '.join(kinds) or 'nothing'}; {REMEDY}"
                )
        if sum(step.kind == "activation" for step in steps) > 1:
            raise self.facts.error(f"two activations lie before {op}: {steps[-1].op}; {REMEDY}")
