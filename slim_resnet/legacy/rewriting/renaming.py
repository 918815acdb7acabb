"""The names of a script in today's words: expressions first, then the imports they call for."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from slim_resnet.frameworks import require
from slim_resnet.legacy.rewriting import installed_sources, new_names
from slim_resnet.legacy.rewriting.checker import Finding, finding
from slim_resnet.legacy.rewriting.script import Script, Use
from slim_resnet.legacy.rewriting.source_editor import Editor
from slim_resnet.legacy.rewriting.syntax import Binding, cst, imported, is_wildcard, module_name
from slim_resnet.legacy.rewriting.verdict import V1, Group, Verdict, needs_v1

matchers = require("libcst.matchers")

_ALTERNATIVES = Verdict(Group.UNDECIDED, remedy="the imports that it may come from part ways here")
_VERSION = Verdict(Group.UNDECIDED, remedy="tells today's version in the copy, 1.15 in the shim")
_SAME = "the import stays as it is"


class _Named(NamedTuple):
    """From `line` on, in the whole file, `local`, once `old`, is the module `name`."""

    line: int
    old: str
    name: str
    local: str
    statement: cst.CSTNode


class Renaming:
    """One script's rewriting: the expressions first, then the imports that they call for."""

    def __init__(self, script: Script, found: list[tuple[Use, Verdict]]):
        self.v1 = any(needs_v1(use.name, verdict) for use, verdict in found)
        self.left: list[Finding] = []
        self._script = script
        self._found = found
        self._editor = Editor(script)
        # By statement: the lines in its place, if it is replaced, and the lines below it.
        self._replaced: dict[cst.CSTNode, list[str]] = {}
        self._below: dict[cst.CSTNode, list[str]] = defaultdict(list)
        self._still_used: set[tuple[cst.CSTNode, str]] = set()
        self._bindings = self._all_bindings()
        self._named = [
            _Named(script.position(b.statement)[0], b.name, name, b.local, b.statement)
            for b in self._bindings
            if self._is_top_level(b.statement) and (name := self._new(b.name))
        ]

    def run(self) -> bytes:
        """The code of the copy."""
        others, places = [], defaultdict(list)
        for use, verdict in self._found:
            if isinstance(use.node, cst.ImportAlias | cst.ImportFrom):
                continue
            if verdict.is_renamed and self._is_other_name(use):
                others.append(use)
            else:
                places[use.node].append((use, verdict))
        for uses in places.values():
            self._expression(uses)
        for use in others:
            self._other_name(use)
        for statement in dict.fromkeys(binding.statement for binding, _ in self._script.imports):
            self._import(statement)
        for module, statement in self._script.wildcards:
            self._wildcard(module, statement)
        for statement in dict.fromkeys([*self._replaced, *self._below]):
            below = self._below[statement]
            if statement in self._replaced:
                lines = dict.fromkeys([*self._replaced[statement], *below])
                self._editor.replace_statement(statement, list(lines))
            else:
                self._editor.insert_after(statement, list(dict.fromkeys(below)))
        return self._editor.code

    def _all_bindings(self) -> list[Binding]:
        """What gives a library another name: imports, and assignments that are used."""
        assigned = (b for use in self._script.uses for b in use.bindings if not is_wildcard(b))
        return list(dict.fromkeys([*(b for b, _ in self._script.imports), *assigned]))

    def _new(self, name: str) -> str | None:
        return new_names.new_name(name, self.v1)

    # Expressions

    def _expression(self, uses: list[tuple[Use, Verdict]]) -> None:
        """Rewrites one place; `uses` are what it may mean, by the imports of a try statement."""
        for use, _ in uses:
            note = self._note(use.name)
            if note is not None:
                self.left.append(finding(self._script, use, note))
        stays = [self._stays(use, b, v) for use, v in uses for b in use.bindings]
        use = uses[0][0]
        if stays and all(stays):
            self._still_used.update((b.statement, b.local) for use, _ in uses for b in use.bindings)
        elif any(stays):
            self.left.append(finding(self._script, use, _ALTERNATIVES))
        elif use.bindings:
            self._editor.replace(use.node, self._written(self._new(use.name), use))
        elif use.name.startswith("absl."):
            self._editor.add_argument(use.node, "allow_override=True")
        elif self._new(use.name) != use.name:  # a method
            self._editor.replace(use.node, self._new(use.name).rpartition(".")[2])

    def _note(self, name: str) -> Verdict | None:
        if self.v1 and name in ("tensorflow.__version__", "tensorflow.VERSION"):
            return _VERSION
        return None

    def _stays(self, use: Use, binding: Binding, verdict: Verdict) -> bool:
        """Whether what is written means the right thing once the import is rewritten."""
        if not verdict.is_renamed:
            return True
        name = self._new(use.name)
        if is_wildcard(binding) and self._new(module_name(binding.statement)) is not None:
            return name == f"{self._new(module_name(binding.statement))}.{binding.local}"
        base, rest = self._new(binding.name), use.name[len(binding.name) + 1 :]
        if not rest:
            return name == base
        return name == f"{base}.{rest}" and (base == V1 or installed_sources.shows(base, rest))

    def _written(self, name: str, use: Use) -> str:
        module, rest = new_names.split(name)
        if module == "builtins" and rest not in self._script.names_bound:
            return rest
        local = self._local(module, use)
        return f"{local}.{rest}" if rest else local

    def _local(self, module: str, use: Use) -> str:
        """What the copy calls a module at one place; imports it where the old one was, if need be.

        The import goes to where the word came from that it replaces, so that it is as visible.
        """
        candidates = new_names.local_names(module)
        above = [
            n
            for n in self._named
            if n.name == module
            and n.line < use.line
            and (n.local in candidates or use.name.startswith(f"{n.old}."))
        ]
        if above:
            named = min(above, key=lambda n: (n.local != candidates[0], n.line))
            self._still_used.add((named.statement, named.local))
            return named.local
        local = next((c for c in candidates if not self._is_taken(c, module)), candidates[-1])
        statement = use.bindings[0].statement
        self._below[statement].append(new_names.import_line(module, local))
        if self._is_top_level(statement):
            line, _ = self._script.position(statement)
            self._named.append(_Named(line, module, module, local, statement))
        return local

    def _is_top_level(self, statement: cst.CSTNode) -> bool:
        line = self._script.parent(statement)
        return self._script.parent(line) is self._script.module

    def _is_taken(self, local: str, module: str) -> bool:
        same = any(named.local == local and named.name == module for named in self._named)
        return local in self._script.names_bound and not same

    def _is_other_name(self, use: Use) -> bool:
        """Whether the use is all of `x = tf.contrib.slim`: a library gets another name there."""
        name, statement = self._new(use.name), self._script.parent(use.node)
        is_library = name is None or (not name.startswith(V1) and installed_sources.is_module(name))
        return is_library and any(b.statement is statement for b in self._bindings)

    def _other_name(self, use: Use) -> None:
        """Has `x = tf.contrib.slim` import x, or deletes it where nothing is left of it."""
        statement, name = self._script.parent(use.node), self._new(use.name)
        local = statement.targets[0].target.value
        if name is not None:
            line = new_names.import_line(name, local)
            is_above = any(
                named.local == local and line in self._below[named.statement]
                for named in self._named
            )
            self._replaced[statement] = [] if is_above else [line]
        elif (statement, local) not in self._still_used:
            self._replaced[statement] = []

    def _import(self, statement: cst.Import | cst.ImportFrom) -> None:
        bindings = list(imported(statement))
        lines = [self._imported(binding, name) for binding, name in bindings]
        if all(line is _SAME for line in lines):
            return
        module = _common_module(statement, lines)
        if module is not None:  # the names and the layout stay
            self._editor.replace(statement.module, module)
            return
        kept = [b.alias for (b, _), line in zip(bindings, lines, strict=True) if line is _SAME]
        words = ", ".join(self._editor.text(alias).rstrip(", \t\r\n\\") for alias in kept)
        head = f"from {module_name(statement)} " if isinstance(statement, cst.ImportFrom) else ""
        comments = [node.value for node in matchers.findall(statement, matchers.Comment())]
        self._replaced[statement] = [
            *comments,
            *([f"{head}import {words}"] if kept else []),
            *new_names.merged([line for line in lines if line not in (_SAME, None)]),
        ]

    def _imported(self, binding: Binding, name: str) -> str | None:
        """The statement that takes one import's place; None: nothing does; or _SAME."""
        new, is_used = self._new(name), (binding.statement, binding.local) in self._still_used
        if (new == name and name != "tf_slim") or (new is None and is_used):
            return _SAME
        if binding.name != name:  # import tensorflow.contrib.slim
            return f"import {V1} as {binding.local}" if is_used and self.v1 else None
        if new is None or not (is_used or name == "tensorflow" or self._is_idle(binding)):
            return None
        return new_names.import_line(new, binding.local)

    def _is_idle(self, binding: Binding) -> bool:
        """Whether nothing in this file uses an import: another file may."""
        uses = (use for use in self._script.uses if binding in use.bindings)
        return all(use.node is binding.alias for use in uses)

    def _wildcard(self, module: str, statement: cst.ImportFrom) -> None:
        new = self._new(module)
        if new is None:
            if not any(statement is used for used, _ in self._still_used):
                self._replaced[statement] = []
        elif new != module:
            self._editor.replace(statement.module, new_names.legacy_keras(new) or new)


def _common_module(statement: cst.CSTNode, lines: list[str | None]) -> str | None:
    """The module, if `from module import ...` is all that an import statement turns into."""
    if not isinstance(statement, cst.ImportFrom) or None in lines or _SAME in lines:
        return None
    words = [line.split(" import ") for line in lines]
    new = {head.removeprefix("from ") for head, _ in words if head.startswith("from ")}
    names = [name for _, name in words]
    old = [
        alias.evaluated_name + (f" as {alias.evaluated_alias}" if alias.asname else "")
        for alias in statement.names
    ]
    return new.pop() if len(new) == 1 and names == old else None
