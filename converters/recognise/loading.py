"""From a path to what was recognised in it: names, rules, metadata and the graph have their say."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping, Sequence

from converters.files import CheckpointError, WeightsFile, open_weights
from converters.files.graphdef import Graph
from converters.graphs import GraphFacts, graph_facts, read_network
from converters.graphs.layer_facts import REMEDY
from converters.graphs.network import Network
from converters.recognise import schemes
from converters.recognise.detection import AmbiguousError, Detected, detect
from converters.recognise.matching import Match
from converters.recognise.patience import limited
from converters.recognise.reading import readings
from converters.recognise.recognised import Recognised
from converters.recognise.recorded import recorded_arch
from converters.recognise.rules import apply_rules
from converters.recognise.rules_file import read_scheme
from converters.recognise.scheme import Scheme
from converters.recognise.unmoved import NEVER_MOVED, never_moved, were_never_moved
from converters.recognise.unread_variables import unread
from slim_resnet.arch import Arch, assumptions, with_facts
from slim_resnet.arch.facts import TOLD
from slim_resnet.arch.parts import CUSTOM, nominal_epsilon

_UNUSED = "the graph was not used, as you said what it computes"
# Formats that hold weights under another library's names.
_FOREIGN = {
    "torch": "torch or torchvision",
    "safetensors": "torch or torchvision",
    "keras": "keras",
}


def load_checkpoint(
    path: str | os.PathLike,
    *,
    arch: str | Arch | None = None,
    scope: str | None = None,
    convention: str | None = None,
    step: int | None = None,
    weights: str = "model",
    rules: str | os.PathLike | None = None,
    scheme: str | None = None,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    ignore: str | None = None,
    facts: Mapping[str, object] | None = None,
    whole_graph: bool = False,
) -> Recognised:
    """Opens weights and recognises their network; needs no framework.

    Where the graph is at hand (a `.meta` beside the checkpoint, a frozen graph, a SavedModel) it
    says what the network is: a residual network with its strides, padding, activations and so on,
    or, where it computes anything else, the whole of it as a `Network`. Without a graph it is a
    slim ResNet or ResNeXt by the names of its variables, and what those do not tell is what the
    file says of itself (HDF5 of this project's), or assumed as slim has it.

    Args:
        path: a TensorFlow 1.x checkpoint: its prefix (`model.ckpt-60`), one of its files, or a
            folder that holds `checkpoint`; or a frozen graph (`.pb`, `.pbtxt`), a SavedModel, or a
            dump of slim's variables (`.npz`, HDF5). With `rules`, any file that holds weights.
        arch: the network it must hold, a name of the registry or an `Arch`; None: found from the
            variables, whatever their widths. `NAME:FORM` or `NAME:UNIT` chooses where several fit.
            A graph that computes more is refused then, unless it is asked for (`outputs`,
            `whole_graph`).
        scope: the network's variable scope; None: found.
        convention: "slim" or "torchvision"; None: the graph's, or slim's where there is no graph,
            as weights do not tell. What is given here goes before the graph, with a note.
        step: which checkpoint of a folder; None: its latest.
        weights: "model", or "ema" for the moving averages that training kept of them.
        rules: a file that makes slim's names of the checkpoint's own; see docs/rules.md.
        scheme: a scheme of this package, NAME or NAME:VARIANT (`schemes.shipped`), instead of
            rules; None: recognised by the names of the variables.
        inputs: operations of the graph that are fed; (): the graph's own.
        outputs: operations of the graph that are wanted, in their order; (): the graph's own.
        ignore: a regular expression of variables inside the network that do not matter. The
            network is then slim's without them, whatever the graph says.
        whole_graph: take the network of the graph also where that is slim's.
        facts: what else variables do not tell, as `slim_resnet.arch.with_facts` takes it. It goes
            before the graph, with a note.

    Returns:
        A mapping from variable names to arrays, with `arch`, `network`, `scope`, `num_classes`,
        `global_step`, `notes` and `assumed` for the user.

    Raises:
        CheckpointError: it is missing, broken, or of no network that is known, or of several; a
            variable of the network is not read by it; or its graph has an operation that no layer
            does.
        ValueError: `arch`, `convention`, `weights`, `ignore`, a fact or the file of rules makes no
            sense.
    """
    source = open_weights(path, step=step)
    given, file, unfit = _by_scheme(source, rules, scheme)
    if given is None and file.format in _FOREIGN:
        raise CheckpointError(
            f"{file.path}: its weights have another library's names: say --from "
            f"{_FOREIGN[file.format]} (converters.library_files.load_weights), or write --rules "
            "for names of your own"
        )
    told = ({} if convention is None else {"convention": convention}) | dict(facts or {})
    pattern = _pattern(ignore)
    asked = bool(told) or isinstance(arch, Arch) or ignore is not None
    expected = _recorded(file) if arch is None else arch
    graph, damage = _graph(source, asked)
    found, reason = _detected(file, expected, scope, given, told)
    if graph is None or (found and asked and not outputs and not inputs):
        if given is not None:
            given.check_bare(source, found and found.arch, told)
        if found is None:
            raise unfit or reason
        return _remarked(_by_names(file, found, weights, pattern, graph, damage, given))
    network = read_network(graph, inputs=inputs, outputs=outputs)
    if never_moved(source, graph, network):
        graph = graph.without_updates()
        network = read_network(graph, inputs=inputs, outputs=outputs)
    if found is None and arch is not None:
        raise CheckpointError(f"{reason}; without --arch the whole graph is taken") from reason
    if found is None:
        if facts:
            raise ValueError(
                f"{source.path}: you said {', '.join(facts)} of a residual network, and none was "
                "found in it: leave that out, the graph tells all"
            )
        return _remarked(_whole_graph(source, None, network, graph, weights, []))
    exact = _by_graph(
        source, file, found, network, graph, weights, explicit=bool(outputs), whole=whole_graph
    )
    exact.scheme = given
    exact.notes += _other_facts(given, exact, found.arch)
    if arch is not None and exact.beyond and not outputs and not whole_graph:
        raise CheckpointError(
            f"{source.path}: it is not {found.arch.name} alone, as you said: {exact.beyond}; leave "
            "--arch out, and the whole graph is taken"
        )
    return _remarked(exact)


def _by_scheme(
    source: WeightsFile, rules: str | os.PathLike | None, scheme: str | None
) -> tuple[Scheme | None, WeightsFile, CheckpointError | None]:
    """What names go by where they are not slim's own, and the file under slim's names.

    Where a scheme that was only recognised does not fit in the end, it is dropped, and the reason
    returned: a graph may do without.
    """
    if rules is not None and scheme is not None:
        raise ValueError("--rules and --scheme both say what the names mean: give one of them")
    if rules is None and scheme is None:
        given = None if source.format in _FOREIGN else schemes.recognised(source)
    else:
        given = read_scheme(rules) if scheme is None else schemes.named(scheme)
    if given is None:
        return None, source, None
    try:
        return given, apply_rules(source, given.rules, quiet=bool(given.name)), None
    except CheckpointError as error:
        if rules or scheme:
            raise
        return None, source, error


def _remarked(found: Recognised) -> Recognised:
    """With a note on moving statistics that TensorFlow 1 never moved."""
    if found.file.format not in _FOREIGN and were_never_moved(found):
        found.notes.append(NEVER_MOVED)
    return found


def _graph(file: WeightsFile, asked: bool) -> tuple[Graph | None, tuple[str, ...]]:
    """The graph of a file; one that is damaged is a note to who says what the network is."""
    try:
        return file.graph(), ()
    except CheckpointError as error:
        if not asked:
            raise
        return None, (f"{_UNUSED}: {error}",)


def _recorded(file: WeightsFile) -> Arch | None:
    """The architecture that an HDF5 file says it holds, None where there is none."""
    if file.format != "hdf5" or file.origins:
        return None
    return recorded_arch(file.path, file.metadata, len(file))


def _detected(
    file: WeightsFile,
    arch: str | Arch | None,
    scope: str | None,
    scheme: Scheme | None,
    told: Mapping[str, object],
) -> tuple[Detected | None, CheckpointError | None]:
    """The residual network by the names of the variables, or why there is none.

    What the user says of it goes before what the scheme says.

    Raises:
        AmbiguousError: there are several.
    """
    shapes = {name: file.shape(name) for name in file}
    try:
        found = detect(shapes, file.path, arch=arch, scope=scope)
    except AmbiguousError:
        raise
    except CheckpointError as error:
        return None, CheckpointError("; ".join([str(error), *file.notes]))
    facts = {**(scheme.facts(found.arch) if scheme else {}), **told}
    return dataclasses.replace(found, arch=with_facts(found.arch, facts)), None


def _by_names(
    file: WeightsFile,
    found: Detected,
    weights: str,
    ignore: re.Pattern[str] | None,
    graph: Graph | None,
    remarks: tuple[str, ...],
    scheme: Scheme | None,
) -> Recognised:
    """The residual network as names and the user say; a graph only gives rise to notes."""
    notes = [*file.notes, *found.notes, *remarks]
    facts, unused = None, bool(remarks)
    if graph is not None:
        try:
            facts = _facts(file, graph)
            exact = facts.apply(found.arch, scope=found.scope)
            notes += _contradictions(facts.path, exact, found.arch)
        except CheckpointError as error:
            notes.append(f"{_UNUSED}: {error}")
            unused = True
    made = Recognised(
        file,
        found.arch,
        found.scope,
        weights,
        facts=facts,
        notes=notes,
        assumed=[*_called(scheme), *(words for _, words in assumptions(found.arch))],
        ignored=_fitting(ignore, file),
        graph_unused=unused,
        scheme=scheme,
    )
    _check_unread(made)
    return made


def _other_facts(scheme: Scheme | None, found: Recognised, told: Arch) -> list[str]:
    """What a scheme says of the network and its graph does not, as notes."""
    if scheme is None or found.arch is None:
        return []
    facts = [name for name in scheme.facts(told) if hasattr(told, name)]
    pairs = {name: (getattr(found.arch, name), getattr(told, name)) for name in facts}
    return [
        f"{found.graph.path}: the graph has {name} {theirs}, which is taken, where "
        f"{scheme.rules.path} says {ours}"
        for name, (theirs, ours) in pairs.items()
        if theirs != ours
    ]


def _called(scheme: Scheme | None) -> list[str]:
    return [f"the scheme {scheme.title}"] if scheme and scheme.name else []


def _by_graph(
    source: WeightsFile,
    file: WeightsFile,
    found: Detected,
    network: Network,
    graph: Graph,
    weights: str,
    *,
    explicit: bool,
    whole: bool,
) -> Recognised:
    """The residual network where it is all that the graph computes, else the whole graph.

    `explicit`: the user asked for certain outputs; `whole`: for the whole graph anyway.
    """
    notes = list(found.notes)
    facts, exact, lacking = None, None, ""
    try:
        facts = _facts(file, graph)
        exact = facts.apply(found.arch, scope=found.scope)
    except CheckpointError as error:
        lacking = str(error).removesuffix(".").removesuffix(f"; {REMEDY}")
    if exact is not None:
        names = {origin: name for name, origin in file.origins.items()}
        match = Match(exact, network, found.scope, names)
        lacking = match.lacking()
        if explicit and not lacking:
            others = [value for value in network.outputs if not match.is_output(value)]
            lacking = f"you asked for {', '.join(others)}" if others else ""
        if not lacking and whole:
            lacking = "as was asked for"
        if not lacking:
            return Recognised(
                file, exact, found.scope, weights, graph=graph, facts=facts, match=match,
                notes=[*file.notes, *notes], source=source,
            )  # fmt: skip
    notes.append(f"the whole graph is taken, not {found.arch.name} alone: {lacking}")
    return _whole_graph(source, exact, network, graph, weights, notes, found.scope, facts, lacking)


def _whole_graph(
    file: WeightsFile,
    backbone: Arch | None,
    network: Network,
    graph: Graph,
    weights: str,
    notes: Sequence[str],
    scope: str = "",
    facts: GraphFacts | None = None,
    beyond: str = "",
) -> Recognised:
    needed = (name for each in network.parameters.values() for name in each.variables)
    missing = next((name for name in needed if name not in file), None)
    if missing is not None:
        raise CheckpointError(
            f"{graph.path}: it reads the variable {missing!r}, which {file.path} does not have: "
            "give the checkpoint that belongs to the graph, or outputs that do not need it"
        )
    return Recognised(
        file,
        backbone,
        scope,
        weights,
        network=network,
        beyond=beyond,
        graph=graph,
        facts=facts,
        notes=[*file.notes, *notes, *network.notes],
    )


def _facts(file: WeightsFile, graph: Graph) -> GraphFacts:
    """What a graph says of a residual network and of its training, under slim's names."""
    names = {origin: name for name, origin in file.origins.items()}
    return graph_facts(graph).renamed(lambda name: names.get(name, name))


def _pattern(ignore: str | None) -> re.Pattern[str] | None:
    """The user's expression of variables that do not matter."""
    if ignore is None:
        return None
    try:
        return re.compile(ignore)
    except re.error as error:
        raise ValueError(f"--ignore {ignore!r} is no regular expression: {error}") from error


def _fitting(pattern: re.Pattern[str] | None, names: Iterable[str]) -> tuple[str, ...]:
    """The names in which the user's expression is found."""
    if pattern is None:
        return ()
    with limited(f"--ignore {pattern.pattern!r}"):
        return tuple(name for name in names if pattern.search(name))


def _check_unread(found: Recognised) -> None:
    """Raises CheckpointError for a variable inside the network that no layer of it reads."""
    prefix = found.full_name("")
    shapes = {
        name[len(prefix) :]: found.file.shape(name) for name in found if name.startswith(prefix)
    }
    # Two forms of a network, or kinds of units, may share a scope; the user chose among them.
    others = {variable.name for arch in readings(shapes, found.path) for variable in arch.variables}
    # Without a scope all lies beside the network, but for what is in one of its own.
    own = None if prefix else {v.name.partition("/")[0] for v in found.arch.variables}
    inside = {
        name: look
        for name, look in unread(found.arch, shapes).items()
        if name not in others
        and prefix + name not in found.ignored
        and (own is None or name.partition("/")[0] in own)
    }
    if not inside:
        return
    first, look = next(iter(inside.items()))
    more = f" and {len(inside) - 1} more" if len(inside) > 1 else ""
    raise CheckpointError(
        f"{found.path}: no layer of {found.arch.name} reads {prefix}{first} ({look}){more}, so it "
        "is not all of this network: give the graph (its .meta, beside the checkpoint), or, if you "
        "know that they do not matter, name them with --ignore REGEX"
    )


# Facts that a convention stands for: named one by one where the conventions do not tell them.
_OF_CONVENTION = ("stride_unit", "stride_conv", "root_pool")


def _contradictions(path: str, graph: Arch, asked: Arch) -> list[str]:
    """What two networks of the same weights compute in different ways, as notes."""
    moved = asked.replace(stride_unit=graph.stride_unit)  # the strides go with their unit
    fields = {
        "convention": (graph.convention, asked.convention),
        "strides": ([s.stride for s in graph.stages], [s.stride for s in moved.stages]),
        "unit rates": ([s.unit_rates for s in graph.stages], [s.unit_rates for s in asked.stages]),
    }
    known = [name for name in TOLD if name in asked.__dataclass_fields__]
    if CUSTOM not in fields["convention"]:
        known = [name for name in known if name not in _OF_CONVENTION]
    for name in known:
        words = name.replace("batch_norm_", "batch norm ")
        fields[words] = (getattr(graph, name), getattr(asked, name))
    fields.pop("batch norm decay", None)  # of training alone
    theirs, ours = fields["batch norm epsilon"]
    fields["batch norm epsilon"] = (nominal_epsilon(theirs, ours), ours)
    return [
        f"{path}: the graph has {field} {theirs}, but {ours} was asked for and is taken"
        for field, (theirs, ours) in fields.items()
        if theirs != ours
    ]
