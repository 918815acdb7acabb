"""tf-slim 1.1.0 whole again on today's TensorFlow.

tf-slim 1.1.0 reaches into `tensorflow.python`, where names have moved since. `table.py` has a row
for each repair: what tf-slim looks for, where it is now, who needs it. `apply()` puts back what is
missing and nothing else; nothing else in this project patches TensorFlow or tf-slim for good.

Modules that build slim graphs take both libraries from here, so that the repair comes first::

    from slim_resnet.compat import slim, tf

`slim_resnet.compat.suite` runs tf-slim's own tests against the repair.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import inspect
import sys
from types import CodeType, ModuleType

from slim_resnet.compat.table import (
    GRAPH_THREADS,
    MENDED_LINES,
    MOVED,
    MOVED_MODULES,
    SUBCLASSES,
    GraphThread,
    MendedLine,
    Moved,
    Subclass,
)
from slim_resnet.frameworks import require

__all__ = [
    "GRAPH_THREADS",
    "MENDED_LINES",
    "MOVED",
    "MOVED_MODULES",
    "SUBCLASSES",
    "CompatError",
    "apply",
    "identity_equality",
    "slim",
    "tf",
]

MADE_FOR = "TensorFlow 2.21 and tf-slim 1.1.0"


class CompatError(ImportError):
    """This TensorFlow or tf-slim is one that the tables cannot mend."""


@functools.cache
def apply() -> tuple[ModuleType, ModuleType]:
    """Restores what tf-slim 1.1.0 misses, once.

    Returns:
        `tensorflow.compat.v1` and `tf_slim`, imported and usable.

    Raises:
        MissingFrameworkError: TensorFlow, tf_keras or tf-slim is not installed.
        CompatError: a name is missing here and not where the tables expect it either.
    """
    tf = require("tensorflow.compat.v1")
    require("tf_keras")
    for old, new in MOVED_MODULES:
        _restore_module(old, new)
    for moved in MOVED:
        _restore_name(moved)
    for subclass in SUBCLASSES:
        _restore_subclass(subclass)
    for thread in GRAPH_THREADS:
        _restore_graph_mode(thread)
    slim = require("tf_slim")
    for line in MENDED_LINES:
        _mend_line(line)
    return tf, slim


@contextlib.contextmanager
def identity_equality():
    """Has `==` of tensors and variables mean identity, as it did when legacy code was written.

    Building a deep net is twice as fast that way, too: slim looks variables up in lists.
    """
    with tf.Graph().as_default():
        probe = tf.zeros([])
        elementwise = (probe == probe) is not True
    tf.disable_tensor_equality()
    try:
        yield
    finally:
        if elementwise:
            tf.enable_tensor_equality()


def _restore_module(old: str, new: str) -> None:
    try:
        importlib.import_module(old)
    except ModuleNotFoundError:
        module = _import_home(new, what=old)
        parent, _, name = old.rpartition(".")
        sys.modules[old] = module
        setattr(sys.modules[parent], name, module)


def _restore_name(moved: Moved) -> None:
    module = _import_home(moved.module, what=moved.name)
    if hasattr(module, moved.name):
        return
    value = _find(moved.home, moved.home_name, what=f"{moved.module}.{moved.name}")
    setattr(module, moved.name, value)


def _restore_subclass(row: Subclass) -> None:
    base, member = _find(row.module, row.name), _find(row.member_module, row.member)
    if not issubclass(member, base):
        base.register(member)  # TensorFlow's variables are abstract base classes


def _restore_graph_mode(row: GraphThread) -> None:
    thread = _find(row.module, row.name)
    if "run" in vars(thread):  # done already: the class itself inherits `run`
        return
    inherited = thread.run

    @functools.wraps(inherited)
    def run(self):
        with tf.Graph().as_default():
            inherited(self)

    thread.run = run


def _mend_line(row: MendedLine) -> None:
    function = _find(row.module, row.function)
    source = inspect.getsource(function)
    if row.new in source:
        return
    if source.count(row.old) != 1:
        raise _cannot_mend(f"{row.module}.{row.function} to read {row.new!r}", row.module)
    tree = ast.parse(source.replace(row.old, row.new))
    ast.increment_lineno(tree, function.__code__.co_firstlineno - 1)
    module = compile(tree, function.__code__.co_filename, "exec", dont_inherit=True)
    # The function itself stays: every name that it is known by is mended.
    function.__code__ = next(c for c in module.co_consts if isinstance(c, CodeType))


def _find(module: str, name: str, *, what: str | None = None):
    what = what or f"{module}.{name}"
    found = getattr(_import_home(module, what=what), name, None)
    if found is None:
        raise _cannot_mend(what, module)
    return found


def _import_home(name: str, *, what: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise _cannot_mend(what, name) from error


def _cannot_mend(what: str, home: str) -> CompatError:
    from importlib.metadata import PackageNotFoundError, version

    def found(distribution: str) -> str:
        try:
            return f"{distribution} {version(distribution)}"
        except PackageNotFoundError:
            return f"{distribution} of unknown version"

    return CompatError(
        f"tf-slim needs {what}, which is not in {home}: "
        f"slim_resnet.compat was made for {MADE_FOR}, "
        f"found {found('tensorflow')}, {found('tf_keras')} and {found('tf-slim')}; "
        "install the versions that setup.py pins for [tf]"
    )


tf, slim = apply()
