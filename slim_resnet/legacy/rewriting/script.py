"""Which library names a script uses, and where: aliases followed, shadowed names left out.

Everything is read from the text (libcst); nothing of the script is run, no framework is imported.
"""

from __future__ import annotations

import bisect
import builtins
import codecs
import functools
import os
import pathlib
import re
from typing import NamedTuple

from slim_resnet.frameworks import require
from slim_resnet.legacy.rewriting.syntax import (
    Binding,
    UnreadableError,
    children,
    cst,
    dotted,
    import_binding,
    imported,
    module_name,
    parse,
    provided,
    walk,
)
from slim_resnet.legacy.tables import python2

_meta = require("libcst.metadata")

# Methods that are known by their name alone, called without arguments, and whose they are.
METHODS = {
    "tostring": "numpy.ndarray.tostring",
    **{name: f"python2.dict.{name}" for name in python2.METHODS},
}

# Flags that absl defines for itself, as TensorFlow before 1.5 did not.
ABSL_FLAGS = (
    "alsologtostderr", "log_dir", "logger_levels", "logtostderr", "only_check_args", "pdb",
    "pdb_post_mortem", "profile_file", "run_with_pdb", "run_with_profiling", "showprefixforinfo",
    "stderrthreshold", "use_cprofile_for_profiling", "v", "verbosity",
)  # fmt: skip
_DEFINES_FLAG = re.compile(r"tensorflow\.(\w+\.)*flags\.DEFINE_")
# tf.app.flags.FLAGS holds the script's own values: what one gets from it is no library's name.
_FLAGS = "FLAGS"


class Use(NamedTuple):
    """One place where a script names something of a library.

    `name` is what is meant, in full ("tensorflow.contrib.slim.conv2d"); `written` is how, and
    `bindings` are the statements that brought its first word in (none: it is a method). `sure` is
    False where that word may also be something that the script computes.
    """

    name: str
    written: str
    line: int
    column: int
    node: cst.CSTNode
    bindings: tuple[Binding, ...]
    sure: bool = True


class Script:
    """One source file, read and parsed.

    Args:
        path: the file.
        code: its bytes, if they are not those on the disk.

    Raises:
        UnreadableError: it is not Python 3; the message says where, and the remedy for Python 2.
        OSError: it cannot be read.
    """

    def __init__(self, path: str | os.PathLike, code: bytes | None = None):
        self.path = pathlib.Path(path)
        self.code = self.path.read_bytes() if code is None else code
        self.module = parse(self.path, self.code)
        text = self.code.removeprefix(codecs.BOM_UTF8).decode(self.module.encoding)
        self._text = text.encode("utf-8")
        ends = (end.end() for end in re.finditer(rb"\r\n|\r|\n", self._text))
        self._line_starts = [0, *ends]
        self._contexts, self._scopes, self._spans = provided(self.module)
        self._known: dict = {}  # assignment -> its binding

    @functools.cached_property
    def _parents(self) -> dict[cst.CSTNode, cst.CSTNode]:
        return {child: node for node in walk(self.module) for child in children(node)}

    @functools.cached_property
    def uses(self) -> tuple[Use, ...]:
        """Every use of an imported name, in the order of the text."""
        collector = _Collector(self)
        self.module.visit(collector)
        return tuple(sorted(collector.uses, key=lambda use: (use.line, use.column)))

    @functools.cached_property
    def imports(self) -> tuple[tuple[Binding, str], ...]:
        """What every import statement binds, with the full name that it mentions."""
        return tuple(
            (use.bindings[0], use.name)
            for use in self.uses
            if isinstance(use.node, cst.ImportAlias)
        )

    @functools.cached_property
    def wildcards(self) -> tuple[tuple[str, cst.CSTNode], ...]:
        """Module and statement of each `from module import *`."""
        statements = (node for node in walk(self.module) if isinstance(node, cst.ImportFrom))
        return tuple(
            (module_name(node), node)
            for node in statements
            if isinstance(node.names, cst.ImportStar)
        )

    @functools.cached_property
    def names_bound(self) -> frozenset[str]:
        """Every name that the script gives a meaning anywhere, in any scope."""
        scopes = {scope for scope in self._scopes.values() if scope}
        return frozenset(a.name for scope in scopes for a in scope.assignments)

    def export(self, name: str) -> tuple[bool, str | None]:
        """Whether another script gets a name from this one, and what it stands for, in full."""
        first = self.module.body[0] if self.module.body else None
        scope = self._scopes.get(first)
        assignments = scope[name] if scope else ()
        bindings = [b for b in map(self._binding, assignments) if b is not None]
        return bool(assignments), bindings[0].name if bindings else None

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        return self._parents.get(node)

    def is_global(self, node: cst.CSTNode) -> bool:
        """Whether a statement stands outside all functions and classes."""
        while node is not None and not isinstance(node, cst.FunctionDef | cst.ClassDef):
            node = self.parent(node)
        return node is None

    def position(self, node: cst.CSTNode) -> tuple[int, int]:
        """Line and column of its first character, both from 1."""
        start, _ = self.span(node)
        line = bisect.bisect_right(self._line_starts, start)
        return line, len(self._text[self._line_starts[line - 1] : start].decode("utf-8")) + 1

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        """Where its text begins and ends in the module's code, in bytes of UTF-8."""
        span = self._spans[node]
        return span.start, span.start + span.length

    def is_read(self, node: cst.CSTNode) -> bool:
        context = self._contexts.get(node)
        return context is _meta.ExpressionContext.LOAD

    def is_bound(self, name: cst.Name) -> bool:
        """Whether the script gives a name a meaning, at its place or by an import of all names."""
        scope = self._scopes.get(name)
        return bool(self.wildcards) or scope is None or name.value in scope

    def bindings(self, name: cst.Name) -> tuple[tuple[Binding, ...], bool]:
        """What `name` stands for at its place: one binding for each statement that may count.

        Returns:
            The bindings, and whether they are all that it may be (None, assigned where an import
            fails, left aside).
        """
        scope = self._scopes.get(name)
        if scope is None:
            return (), True
        assignments = scope[name.value]
        if not assignments:
            return self._from_wildcards(name.value), True
        found = [self._binding(assignment) for assignment in assignments]
        opaque = [a for a, b in zip(assignments, found, strict=True) if b is None]
        sure = all(self._is_none(assignment) for assignment in opaque)
        return tuple(b for b in found if b is not None), sure

    def meaning(self, node: cst.CSTNode) -> tuple[dict[str, tuple[Binding, ...]], bool]:
        """The full names that an expression may stand for, each with what brings it in.

        Returns:
            They, and whether they are all that it may be; see `bindings`.
        """
        words = dotted(node)
        if words is None:
            return {}, True
        bindings, sure = self.bindings(words[0])
        rest = "".join(f".{word}" for word in words[1:])
        names = dict.fromkeys(binding.name + rest for binding in bindings)
        return {n: tuple(b for b in bindings if b.name + rest == n) for n in names}, sure

    def _binding(self, assignment) -> Binding | None:
        if assignment not in self._known:
            self._known[assignment] = None  # for names that are each other's
            self._known[assignment] = self._find_binding(assignment)
        return self._known[assignment]

    def _find_binding(self, assignment) -> Binding | None:
        if isinstance(assignment, _meta.ImportAssignment):
            return self._through_own_module(import_binding(assignment.name, assignment.node))
        value = self._value(assignment)
        words = dotted(value)
        if words is None or _FLAGS in words:
            return None
        names, sure = self.meaning(value)
        if len(names) != 1 or not sure:
            return None
        return Binding(assignment.name, *names, self._statement(assignment))

    def _through_own_module(self, binding: Binding | None) -> Binding | None:
        """For `from ops import slim`, where ops.py lies beside the script: what slim is there."""
        if binding is None or not isinstance(binding.statement, cst.ImportFrom):
            return binding
        own = self._own_module(module_name(binding.statement))
        _, meant = own.export(binding.name.rpartition(".")[2]) if own else (False, None)
        return binding._replace(name=meant) if meant else binding

    def only_value(self, name: cst.Name) -> cst.CSTNode | None:
        """The expression that a name stands for, where the script assigns it once and in full."""
        scope = self._scopes.get(name)
        assignments = list(scope[name.value]) if scope else []
        return self._value(assignments[0]) if len(assignments) == 1 else None

    def _statement(self, assignment) -> cst.Assign | None:
        """The `name = value` that an assignment is, if it is no more than that."""
        if not isinstance(assignment, _meta.Assignment):
            return None
        target = self.parent(assignment.node)
        statement = self.parent(target) if isinstance(target, cst.AssignTarget) else None
        plain = isinstance(statement, cst.Assign) and len(statement.targets) == 1
        return statement if plain else None

    def _value(self, assignment) -> cst.CSTNode | None:
        statement = self._statement(assignment)
        return statement.value if statement else None

    def _is_none(self, assignment) -> bool:
        value = self._value(assignment)
        return isinstance(value, cst.Name) and value.value == "None"

    def _from_wildcards(self, name: str) -> tuple[Binding, ...]:
        if hasattr(builtins, name):
            return ()
        found = []
        for module, node in reversed(self.wildcards):  # the last one wins
            own = self._own_module(module)
            is_there, meant = own.export(name) if own else (False, f"{module}.{name}")
            if meant is not None:
                found.append(Binding(name, meant, node))
            if is_there:
                break
        return tuple(found)

    def is_through_own_module(self, binding: Binding) -> bool:
        """Whether another script beside this one brings a name in."""
        statement = binding.statement
        return isinstance(statement, cst.ImportFrom) and bool(
            self._own_module(module_name(statement))
        )

    def _own_module(self, module: str) -> Script | None:
        """The script that `from module import ...` reads, where it lies beside this one."""
        level = len(module) - len(module.lstrip("."))
        folder = self.path.parents[max(level - 1, 0)] if level <= len(self.path.parents) else None
        if folder is None or not module[level:]:
            return None
        path = folder.joinpath(*module[level:].split("."))
        files = (path.with_suffix(".py"), path / "__init__.py")
        return next((_read(file) for file in files if file.is_file()), None)


@functools.cache
def _read(path: pathlib.Path) -> Script | None:
    try:
        return Script(path)
    except (UnreadableError, OSError):  # reported where it is checked itself
        return None


class _Collector(cst.CSTVisitor):
    """Collects the longest dotted names that begin with something imported."""

    def __init__(self, script: Script):
        self.script = script
        self.uses: list[Use] = []

    def visit_Import(self, node: cst.Import) -> bool:
        for binding, name in imported(node):
            self._add(name, binding.alias, (binding,))
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        if isinstance(node.names, cst.ImportStar):
            self._add(module_name(node), node, ())
        for binding, name in imported(node):
            self._add(name, binding.alias, (binding,))
        return False

    def visit_Call(self, node: cst.Call) -> None:
        function = node.func
        if isinstance(function, cst.Attribute) and function.attr.value in METHODS and not node.args:
            self._add(METHODS[function.attr.value], function.attr, ())
        flag = self._flag_defined(node)
        if flag in ABSL_FLAGS:
            self._add(f"absl.flags.{flag}", node, ())

    def _flag_defined(self, call: cst.Call) -> str | None:
        """The name that a script gives a flag of its own, of which absl may have one."""
        names, _ = self.script.meaning(call.func)
        if not call.args or not any(_DEFINES_FLAG.match(name) for name in names):
            return None
        if any(arg.keyword and arg.keyword.value == "allow_override" for arg in call.args):
            return None
        first = call.args[0].value
        return first.evaluated_value if isinstance(first, cst.SimpleString) else None

    def visit_Attribute(self, node: cst.Attribute) -> bool | None:
        if dotted(node) is None:
            node.value.visit(self)
        elif self.script.is_read(node):
            self._add_expression(node)
        else:  # assigned to: what is read is all but the last word
            node.value.visit(self)
        return False

    def visit_Name(self, node: cst.Name) -> None:
        if not self.script.is_read(node):
            return
        if node.value not in python2.NAMES or self.script.is_bound(node):
            self._add_expression(node)
        elif not self._is_guarded(node):
            self._add(f"python2.{node.value}", node, ())

    def _is_guarded(self, node: cst.CSTNode | None) -> bool:
        """Whether code is reached only where it works: by a test of the version, or in a try."""
        while node is not None and not isinstance(node, cst.Try):
            if isinstance(node, cst.If | cst.IfExp):
                test = self.script.module.code_for_node(node.test)
                if re.search(r"version|PY[23]", test):
                    break
            node = self.script.parent(node)
        return node is not None

    def _add_expression(self, node: cst.CSTNode) -> None:
        names, sure = self.script.meaning(node)
        for name, bindings in names.items():
            self._add(name, node, bindings, sure)

    def _add(self, name: str, node, bindings: tuple[Binding, ...], sure: bool = True) -> None:
        written = cst.helpers.get_full_name_for_node(node) or name
        self.uses.append(Use(name, written, *self.script.position(node), node, bindings, sure))
