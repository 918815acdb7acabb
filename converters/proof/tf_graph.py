"""A user's GraphDef as a graph that today's TensorFlow runs on a CPU, in float32 or float64.

Operations are made again one by one, those that the fetched values need: so it does not matter what
else is in the graph, its devices and its notes on shapes fall away, and every float32 can become a
float64. Control flow and variables stay what they are.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from converters.files.errors import CheckpointError
from converters.proof import randomness, saved_names, tf_kernels, tf_rebuilt
from converters.proof.plan import GraphRunError, Plan
from converters.proof.tf_branches import DeadBranches
from slim_resnet.frameworks import require

tf = require("tensorflow.compat.v1")
graph_pb2 = require("tensorflow.core.framework.graph_pb2")
smart_cond = require("tensorflow.python.framework.smart_cond")

_LOOPS = frozenset(("NextIteration", "While", "StatelessWhile"))
_BRANCHES = frozenset(("If", "StatelessIf"))
_CALLS = frozenset(("PartitionedCall", "StatefulPartitionedCall"))
_PLACEHOLDERS = frozenset(("Placeholder", "PlaceholderV2", "PlaceholderWithDefault"))


@dataclass(frozen=True)
class _Made:
    """An operation as it was made again."""

    operation: tf.Operation
    outputs: Sequence


@dataclass
class _Scope:
    """The nodes of the graph, or of a function's body, and what was made of them.

    Attributes:
        nodes: name -> NodeDef.
        made: name of a node, or of a function's argument -> what it became.
        is_function: its inputs are written as those of functions are.
    """

    nodes: Mapping
    made: dict[str, _Made] = field(default_factory=dict)
    is_function: bool = False

    def tensor(self, ref: str):
        """The tensor that an input means: "NAME:1", in functions "NAME:output:0".

        Raises:
            ValueError: there is none: the operation has fewer outputs, or another one is fed.
        """
        try:
            return self._output(ref)
        except LookupError:
            raise ValueError(f"it reads {ref!r}, which is not there") from None

    def _output(self, ref: str):
        name, _, rest = ref.partition(":")
        outputs = self.made[name].outputs
        if not rest:
            return outputs[0]
        argument, _, index = rest.rpartition(":")
        if not argument:
            return outputs[int(index)]
        node = self.nodes[name]
        attrs = tf_kernels.attributes(node)
        return outputs[tf_kernels.output_index(node.op, attrs, argument, int(index))]


class RunnableGraph:
    """The part of a graph that a plan needs, ready to run.

    Args:
        definition: the serialized GraphDef.
        plan: what is fed, fetched and replaced.

    Attributes:
        places: name of each variable that is needed -> where a checkpoint may keep it.
        fed: the placeholders that were given a value here, e.g. {"is_training": False}.
        in_float32: the operations that could not be raised to float64.

    Raises:
        CheckpointError: an operation is missing, or cannot run here; the message names it.
    """

    def __init__(self, definition: bytes, plan: Plan) -> None:
        self.plan = plan
        self.fed: dict[str, bool | float] = {}
        self.in_float32: list[str] = []
        self._double = plan.dtype == "float64"
        parsed = self._parsed(definition)
        nodes = {node.name: node for node in parsed.node}
        self._functions = {each.signature.name: each for each in parsed.library.function}
        self._variables: dict[str, tf.Tensor] = {}
        self._inputs: dict[str, tf.Tensor] = {}
        self._scalars: dict[str, bool | float | None] = {}
        self._dead = DeadBranches()
        self._scope = _Scope(nodes)
        self._graph = tf.Graph()
        with self._graph.as_default():
            self._feed()
            self._make(self._scope, plan.fetches + plan.updates)
            self._fetches = self._computed(plan.fetches)
            self._updates = [self._scope.made[name].operation for name in plan.updates]
            self._initializers = self._initialize()
        known = saved_names.places(nodes)
        self.places = {name: known[name] for name in self._variables}
        self._session: tf.Session | None = None

    def _parsed(self, definition: bytes) -> graph_pb2.GraphDef:
        from google.protobuf.message import DecodeError  # TensorFlow is there, so this is

        try:
            return graph_pb2.GraphDef.FromString(definition)
        except DecodeError:
            raise self._error("TensorFlow cannot read it: the file is damaged") from None

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Gives the variables their values.

        Args:
            arrays: name in `places` -> array.

        Raises:
            CheckpointError: a shape is not the variable's.
        """
        feed = {}
        for name, (value, _) in self._initializers.items():
            if not value.shape.is_compatible_with(arrays[name].shape):
                raise self._error(
                    f"its variable {name!r} has the shape {value.shape}, and the checkpoint's "
                    f"{list(arrays[name].shape)}: give the checkpoint that belongs to the graph"
                )
            feed[value] = arrays[name]
        config = tf.ConfigProto(device_count={"GPU": 0})
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        self._session = tf.Session(graph=self._graph, config=config)
        self._session.run([assign for _, assign in self._initializers.values()], feed)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What is fetched: its name -> array; then the graph's updates run, if the plan has any.

        Values in branches that a training does not take are left out.

        Args:
            feeds: name of an input of the plan -> array.

        Raises:
            GraphRunError: the graph cannot take these, e.g. images of this size.
        """
        feed = {self._inputs[name]: array for name, array in feeds.items()}
        try:
            found = self._session.run({**self._fetches, "": self._updates}, feed)
        except (tf.errors.OpError, ValueError) as error:
            raise GraphRunError(f"{self.plan.path}: {_told(error)}") from error
        del found[""]
        return found

    def variables(self) -> dict[str, np.ndarray]:
        """The variables as they are now."""
        return self._session.run({name: self._reads[name] for name in self._variables})

    def _computed(self, names: Iterable[str]) -> dict[str, tf.Tensor]:
        """What is fetched, but for what a training does not compute."""
        tensors = {name: self._scope.tensor(name) for name in names}
        dead = [name for name, tensor in tensors.items() if self._dead.has(tensor)]
        if dead and not self.plan.is_training:
            raise self._error(
                f"its operation {dead[0]!r} is in a branch of tf.cond that inference does not take"
            )
        return {name: tensor for name, tensor in tensors.items() if name not in dead}

    # What is fed, and the variables.

    def _feed(self) -> None:
        for name, fed in self.plan.inputs.items():
            tensor = tf.placeholder(self._raised(tf.as_dtype(fed.dtype)), fed.shape)
            self._inputs[name] = tensor
            node, _, index = name.partition(":")
            made = self._scope.made.setdefault(node, _Made(tensor.op, {}))
            made.outputs[int(index or 0)] = tensor
        for name, value in self.plan.scalars.items():
            node = self._scope.nodes.get(name)
            kind = node and node.attr["dtype"].type
            dtype = self._raised(tf.as_dtype(kind)) if kind else None
            constant = tf.constant(value, dtype)
            self._scope.made[name] = _Made(constant.op, [constant])

    def _raised(self, dtype):
        return tf_kernels.raised_type(dtype) if self._double else dtype

    def _initialize(self) -> dict[str, tuple]:
        """Name of a variable -> the tensor that takes its value, the operation that assigns it."""
        found = {}
        self._reads = {}
        for name, variable in self._variables.items():
            if variable.dtype == tf.resource:
                dtype = tf.as_dtype(variable.op.get_attr("dtype"))
                value = tf.placeholder(dtype, variable.op.get_attr("shape"))
                assign = tf.raw_ops.AssignVariableOp(resource=variable, value=value)
                self._reads[name] = tf.raw_ops.ReadVariableOp(resource=variable, dtype=dtype)
            else:
                value = tf.placeholder(variable.dtype.base_dtype, variable.op.get_attr("shape"))
                assign = tf.raw_ops.Assign(ref=variable, value=value, validate_shape=False).op
                self._reads[name] = variable
            found[name] = value, assign
        return found

    # From node to node.

    def _make(self, scope: _Scope, refs: Iterable[str]) -> None:
        """Makes what `refs` need, in an order in which it can be made."""
        pending: set[str] = set()  # those that wait for what they need
        stack = [_node_of(ref) for ref in refs]
        while stack:
            name = stack[-1]
            if name in scope.made:
                stack.pop()
            elif name in pending:
                scope.made[name] = self._made(scope, scope.nodes[name])
            else:
                if name not in scope.nodes:
                    raise self._error(f"it has no operation {name!r}: choose one that it has")
                pending.add(name)
                needed = [_node_of(ref) for ref in self._needed(scope, name)]
                missing = [each for each in needed if each not in scope.made]
                if scope.nodes[name].op in _LOOPS or not pending.isdisjoint(missing):
                    raise self._error(f"its operation {name!r} is part of a loop")
                stack += missing

    def _needed(self, scope: _Scope, name: str) -> list[str]:
        """What has to be made before a node."""
        node = scope.nodes[name]
        if not scope.is_function and name in self.plan.passed:
            return [self.plan.passed[name]]
        if not scope.is_function and name in self.plan.norms:
            return [*node.input[:3], *self.plan.norms[name]]
        if node.op == "PlaceholderWithDefault" and self._scalar(scope, node) is not None:
            return []
        return [ref for ref in node.input if not ref.startswith("^") or self._keeps(scope, ref[1:])]

    def _keeps(self, scope: _Scope, control: str) -> bool:
        """Whether to wait for an operation: for a branch's condition; for all if there are updates.

        A constant in a branch of `tf.cond` is dead by such a control input alone.
        """
        if self.plan.updates:
            return True
        node = scope.nodes.get(control.partition(":")[0])
        if node is not None and node.op == "Identity" and node.input:
            node = scope.nodes.get(node.input[0].partition(":")[0])
        return node is not None and node.op == "Switch"

    def _made(self, scope: _Scope, node) -> _Made:
        refs = self._needed(scope, node.name)
        controls = [scope.made[ref[1:]].operation for ref in refs if ref.startswith("^")]
        with self._blamed(node):
            inputs = [scope.tensor(ref) for ref in refs if not ref.startswith("^")]
            with tf.control_dependencies(controls):
                made = self._of(scope, node, inputs)
        self._dead.note(node.op, inputs, controls, made.operation, made.outputs)
        return made

    @contextlib.contextmanager
    def _blamed(self, node) -> Iterator[None]:
        """Names the operation that could not be made."""
        try:
            yield
        except KeyError as error:  # as NumPy's and protobuf's are no sentences
            raise self._error(f"its operation {node.name!r} ({node.op}) lacks {error}") from error
        except (ValueError, TypeError) as error:
            if isinstance(error, CheckpointError):
                raise
            reason = _first_line(error)
            raise self._error(f"its operation {node.name!r} ({node.op}): {reason}") from error

    def _of(self, scope: _Scope, node, inputs: list) -> _Made:
        """A node of its inputs, or what takes its place."""
        if not scope.is_function and node.name in self.plan.passed:
            return _made_of([_value(*inputs)])
        if not scope.is_function and node.name in self.plan.norms:
            return self._operation(scope, _for_inference(node), list(map(_value, inputs)))
        return self._operation(scope, node, inputs)

    def _operation(self, scope: _Scope, node, inputs: list) -> _Made:
        if node.op in _PLACEHOLDERS:
            value = self._scalar(scope, node)
            if value is not None:
                self.fed[node.name] = value
                tensor = tf.constant(value, self._raised(tf.as_dtype(node.attr["dtype"].type)))
                return _Made(tensor.op, [tensor])
            if node.op != "PlaceholderWithDefault":
                raise self._error(
                    f"its placeholder {node.name!r} is needed and not fed: give it as an input, or "
                    "choose outputs that do not need it"
                )
        if node.op in _BRANCHES:
            return _made_of(self._branch(scope, node, inputs))
        if node.op in _CALLS:
            return _made_of(self._called(node.attr["f"].func.name, inputs))
        if tf_kernels.op_def(node.op) is None:
            raise self._error(
                f"its operation {node.name!r} is of the kind {node.op}, which this TensorFlow "
                "does not have: choose outputs that do not need it"
            )
        if self.plan.is_training and node.op in randomness.RANDOM:
            number = randomness.neutral(scope.nodes, node)
            dtype = self._raised(tf.as_dtype(node.attr["dtype"].type))
            return _made_of([tf.fill(inputs[0], tf.constant(number, dtype))])
        if tf_rebuilt.is_channels_first(node):
            return _made_of(tf_rebuilt.channels_last(node, inputs, self._outputs))
        return self._own(node, inputs)

    def _scalar(self, scope: _Scope, node) -> bool | float | None:
        """The value of a scalar that tells training from inference; None for other placeholders."""
        if node.name not in self._scalars:
            with self._blamed(node):
                value = randomness.scalar_value(scope.nodes, node, self.plan.is_training)
            self._scalars[node.name] = value
        return self._scalars[node.name]

    def _outputs(self, node, inputs: list) -> Sequence:
        return self._own(node, inputs).outputs

    def _own(self, node, inputs: list) -> _Made:
        """The operation itself; in float64 what it is made of, where it has no kernel."""
        attrs = tf_kernels.attributes(node)
        if self._double:
            doubled = tf_kernels.raised(attrs, fractions=self.plan.is_training)
            if node.name in self.plan.numbers:
                doubled["value"] = tf_kernels.number(attrs["value"], self.plan.numbers[node.name])
            if node.op in tf_rebuilt.REBUILT:
                return _made_of(tf_rebuilt.REBUILT[node.op](node, inputs))
            if tf_kernels.has_kernel(node.op, doubled):
                attrs = doubled
        return self._created(node, attrs, inputs)

    def _created(self, node, attrs: Mapping, inputs: list) -> _Made:
        definition = tf_kernels.op_def(node.op)
        wanted = tf_kernels.types(definition.input_arg, attrs)
        if len(wanted) != len(inputs):
            raise ValueError(f"it reads {len(inputs)} values, and its kind takes {len(wanted)}")
        given = [_as(tensor, dtype) for tensor, dtype in zip(inputs, wanted, strict=True)]
        kind = "VariableV2" if node.op == "Variable" else node.op
        operation = self._graph.create_op(kind, given, name=node.name, attrs=attrs)
        outputs = list(operation.outputs)
        if node.op in saved_names.VARIABLES:
            self._variables[node.name] = outputs[0]
        elif self._double and any(tf_kernels.raised_type(x.dtype) != x.dtype for x in outputs):
            self.in_float32.append(node.name)
            outputs = [tf.cast(x, tf_kernels.raised_type(x.dtype)) for x in outputs]
        return _Made(operation, outputs)

    # Functions.

    def _branch(self, scope: _Scope, node, inputs: list) -> list:
        condition, *arguments = inputs
        branches = [node.attr[name].func.name for name in ("then_branch", "else_branch")]
        if condition.dtype != tf.bool:
            condition = tf.not_equal(condition, 0)
        known = smart_cond.smart_constant_value(condition)
        if known is not None:
            return self._called(branches[0 if known else 1], arguments)
        return list(tf.cond(condition, *(lambda f=f: self._called(f, arguments) for f in branches)))

    def _called(self, name: str, arguments: Sequence) -> list:
        """The outputs of a function, its body made here."""
        function = self._functions[name]
        scope = _Scope({node.name: node for node in function.node_def}, is_function=True)
        for argument, tensor in zip(function.signature.input_arg, arguments, strict=True):
            scope.made[argument.name] = _Made(tensor.op, [tensor])
        results = [function.ret[each.name] for each in function.signature.output_arg]
        controls = list(function.control_ret.values()) if self.plan.updates else []
        self._make(scope, [*results, *controls])
        with tf.control_dependencies([scope.made[each].operation for each in controls]):
            return [tf.identity(scope.tensor(each)) for each in results]

    def _error(self, text: str) -> CheckpointError:
        return CheckpointError(f"{self.plan.path}: {text}")


def _node_of(ref: str) -> str:
    return ref.lstrip("^").partition(":")[0]


def _made_of(outputs: Sequence) -> _Made:
    return _Made(outputs[0].op if outputs else tf.no_op(), outputs)


def _as(tensor, dtype: int):
    """A tensor in the type that an operation wants, where float64 took the place of that."""
    wanted, given = tf.as_dtype(dtype).base_dtype, tensor.dtype.base_dtype
    is_raised = given == tf.float64 and wanted.is_floating and wanted != given
    return tf.cast(tensor, wanted) if is_raised else tensor


def _value(tensor):
    """The value of a variable where its handle is given."""
    if tensor.dtype != tf.resource:
        return tf.identity(tensor)
    dtype = tf.as_dtype(tensor.op.get_attr("dtype"))
    return tf.raw_ops.ReadVariableOp(resource=tensor, dtype=dtype)


def _for_inference(node):
    """A fused batch norm that takes the mean and the variance that it is given."""
    changed = type(node)()
    changed.CopyFrom(node)
    changed.attr["is_training"].b = False
    return changed


def _told(error: Exception) -> str:
    """What a session says of an operation that it could not run."""
    text = getattr(error, "message", None) or str(error)
    found = re.search(r"^Node: '(.*)'\n(.+)$", text, re.MULTILINE)
    return f"its operation {found[1]!r}: {found[2]}" if found else _first_line(error)


def _first_line(error: Exception) -> str:
    text = getattr(error, "message", None) or str(error)
    return text.strip().splitlines()[0] if text.strip() else type(error).__name__
