"""What a rewritten script says before it begins: the repair, version 1's behaviour, tf_keras."""

from __future__ import annotations

from slim_resnet.legacy.rewriting import new_names
from slim_resnet.legacy.rewriting.checker import LEGACY_KERAS_SWITCH
from slim_resnet.legacy.rewriting.script import Script
from slim_resnet.legacy.rewriting.source_editor import Editor
from slim_resnet.legacy.rewriting.syntax import Binding, cst
from slim_resnet.legacy.rewriting.verdict import V1

_COMPAT = "import slim_resnet.compat  # noqa: F401 - mends tf_slim"
_SWITCH = f'os.environ["{LEGACY_KERAS_SWITCH}"] = "1"  # tf.layers and the like, from tf_keras'
# Imports that need version 1's behaviour where nothing else imports TensorFlow.
_WANT_V1 = (f"{V1}.", "tf_keras.", "slim_resnet.legacy.replacements.keras1.")
# Where the modules of this project are that need no repaired tf_slim, and so do not bring it.
_NOT_MENDING = "slim_resnet.legacy."


def add(copy: Script, v1: bool) -> bytes:
    """The copy with what it needs beside its imports.

    Args:
        copy: a script that says every name in today's words.
        v1: whether TensorFlow is to behave as version 1.

    Returns:
        Its code.
    """
    editor = Editor(copy)
    imports = [(binding, name) for binding, name in copy.imports if copy.is_global(binding.alias)]
    first = {name.partition(".")[0]: binding for binding, name in reversed(imports)}
    mending = any(
        name.startswith("slim_resnet.") and not name.startswith(_NOT_MENDING) for _, name in imports
    )
    taken = [*copy.wildcards, *((name, binding.statement) for binding, name in copy.imports)]
    broken = [node for name, node in taken if name.partition(".")[0] == "tf_slim"]
    if broken and not mending:
        editor.insert_before(min(broken, key=copy.position), [_COMPAT])
    if v1 and not any(use.name.endswith("disable_v2_behavior") for use in copy.uses):
        _disable_v2(copy, editor)
    if _wants_keras(copy) and "tensorflow" in first:
        line, _ = copy.position(first["tensorflow"].statement)
        has_os = any(b.local == "os" and copy.position(b.alias)[0] < line for b, _ in imports)
        lines = [_SWITCH] if has_os else ["import os", _SWITCH]
        editor.insert_before(_outermost(copy, first["tensorflow"].statement), lines)
    return editor.code


def _wants_keras(copy: Script) -> bool:
    """Whether it takes from tensorflow.compat.v1 what only tf_keras has."""
    if LEGACY_KERAS_SWITCH.encode() in copy.code:
        return False
    return any(new_names.legacy_keras(use.name) for use in copy.uses if use.name.startswith(V1))


def _disable_v2(copy: Script, editor: Editor) -> None:
    """Has TensorFlow behave as version 1, below the imports that begin with it."""
    modules = [b for b, name in copy.imports if name == V1]
    names = [b for b, name in copy.imports if name.startswith(_WANT_V1)]
    names += [Binding("", name, node) for name, node in copy.wildcards if name.startswith(V1)]
    outside = [b for b in modules if copy.is_global(b.statement)]
    if outside:
        lines = ["", f"{outside[0].local}.disable_v2_behavior()"]
        editor.insert_after(_last_import(copy, outside[0].statement), lines)
    elif names and not modules:
        lines = [new_names.import_line(V1, "tf"), "", "tf.disable_v2_behavior()"]
        editor.insert_after(_last_import(copy, names[0].statement), lines)
    for binding in modules if not outside else ():
        last = _last_import(copy, binding.statement)
        editor.insert_after(last, [f"{binding.local}.disable_v2_behavior()"])


def _outermost(copy: Script, statement: cst.CSTNode) -> cst.CSTNode:
    """The statement of the module itself that another one is in."""
    while copy.parent(statement) is not copy.module:
        statement = copy.parent(statement)
    return statement


def _last_import(copy: Script, statement: cst.CSTNode) -> cst.CSTNode:
    """The last statement of the run of imports that this one belongs to."""
    line = copy.parent(statement)
    if not isinstance(line, cst.SimpleStatementLine):
        return statement
    if not all(map(_is_import, line.body)):
        return statement
    body = list(copy.parent(line).body)
    for following in body[body.index(line) :]:
        if not isinstance(following, cst.SimpleStatementLine) or not _is_import(following.body[0]):
            break
        statement = following.body[-1]
    return statement


def _is_import(statement: cst.CSTNode) -> bool:
    return isinstance(statement, cst.Import | cst.ImportFrom)
