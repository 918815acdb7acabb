"""What a script's own `import` statements bring; every other module's imports are as they were.

`builtins.__import__` is told who imports: code outside the installed packages is the script's, and
gets those of `old_modules`. Installed packages (Keras 3, torch, TensorFlow itself) go on importing
the real modules. A finder completes it for `importlib.import_module` of what is missing today.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import importlib.abc
import importlib.machinery
import importlib.util
from types import ModuleType

from slim_resnet.legacy.running.old_modules import COMPANIONS, OldModule, old_module, resolve
from slim_resnet.legacy.running.script_source import OWN_PACKAGES, is_script
from slim_resnet.legacy.tables import symbols

_MISSING = ("tensorflow.contrib", "tensorflow.estimator", "tensorflow.examples", "tflearn")


class Importer:
    """`builtins.__import__` while the shim is installed.

    Args:
        packages: installed packages whose code is TensorFlow 1 code, too.
    """

    def __init__(self, packages: tuple[str, ...]):
        self.real = builtins.__import__
        self._packages = packages
        self._old = {"keras", "numpy", "tensorflow", *COMPANIONS}
        if importlib.util.find_spec("tflearn") is None:
            self._old.add("tflearn")
        self.active = True
        self.undo = contextlib.ExitStack()

    def __call__(self, name, globals=None, locals=None, fromlist=(), level=0):
        top = name.partition(".")[0]
        if not (self.active and level == 0 and top in self._old and self._is_script(globals)):
            return self.real(name, globals, locals, fromlist, level)
        if top == "numpy":  # unpickling looks for what it imports in sys.modules
            self.real(name)
        if top == "PIL":
            self._restore_pillow()
        module = self._module(name)
        if not fromlist:
            return old_module(top)
        if "*" in fromlist:
            return module if isinstance(module, OldModule) else OldModule(name, module)
        for wanted in fromlist:
            self._check(module, name, wanted)
        return module

    @functools.cache  # noqa: B019 - one importer a process
    def _restore_pillow(self) -> None:
        importlib.import_module("slim_resnet.legacy.replacements.pillow").restore(self.undo)

    def _is_script(self, globals: dict | None) -> bool:
        if globals is None:
            return False
        top = str(globals.get("__name__", "")).partition(".")[0]
        if top in (*self._packages, "__main__"):
            return True
        if top in OWN_PACKAGES:
            return False
        file = globals.get("__file__")
        if file is None:  # a notebook's cell or exec; frozen modules have a spec
            return globals.get("__spec__") is None
        return is_script(file)

    def _module(self, name: str) -> ModuleType:
        try:
            return old_module(name)
        except AttributeError as error:
            symbol = symbols.lookup(name)
            if symbol is not None and symbol.successor is None:
                raise ImportError(str(error), name=name) from None
            if symbol is not None and callable(resolve(symbol.successor)):
                # A function that hid its module: `ops.arg_scope`; the statement means the module.
                return importlib.import_module(symbol.successor.rpartition(".")[0])
        return importlib.import_module(_fallback(name))

    def _check(self, module: ModuleType, name: str, wanted: str) -> None:
        try:
            getattr(module, wanted)
        except AttributeError as error:
            try:
                submodule = importlib.import_module(f"{_fallback(name)}.{wanted}")
            except ModuleNotFoundError:
                raise ImportError(f"cannot import {wanted!r} from {name!r}: {error}") from None
            setattr(module, wanted, submodule)


def _fallback(name: str) -> str:
    """Where a module that the API does not show is: Keras's inside is tf_keras's."""
    top, dot, rest = name.partition(".")
    return f"tf_keras.src{dot}{rest}" if top == "keras" else name


class OldModuleFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Last on `sys.meta_path`: what real TensorFlow lacks, for `importlib.import_module`."""

    def find_spec(self, fullname, path=None, target=None):
        if not fullname.startswith(_MISSING):
            return None
        try:
            module = old_module(fullname)
        except AttributeError as error:
            raise ImportError(str(error), name=fullname) from None
        if not isinstance(module, OldModule):
            module = OldModule(fullname, module)  # the import system writes on what it is given
        return importlib.machinery.ModuleSpec(fullname, self, loader_state=module, is_package=True)

    def create_module(self, spec):
        return spec.loader_state

    def exec_module(self, module):
        pass
