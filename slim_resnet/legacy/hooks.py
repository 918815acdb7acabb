"""What a script's own `import` statements bring; every other module's imports are as they were.

`builtins.__import__` is told who imports: code outside the installed packages is the script's, and
gets the views of `views`. Installed packages (Keras 3, torch, TensorFlow itself) go on importing
the real modules. A finder completes it for `importlib.import_module` of what is missing today.
"""

from __future__ import annotations

import builtins
import importlib.abc
import importlib.machinery
import importlib.util
from types import ModuleType

from slim_resnet.legacy import symbols
from slim_resnet.legacy.outside import PYTHON_MODULES
from slim_resnet.legacy.source import OWN_PACKAGES, is_script
from slim_resnet.legacy.views import View, resolve, view

_MISSING = ("tensorflow.contrib", "tensorflow.estimator", "tensorflow.examples", "tflearn")


class Importer:
    """`builtins.__import__` while the shim is installed.

    Args:
        packages: installed packages whose code is TensorFlow 1 code, too.
    """

    def __init__(self, packages: tuple[str, ...]):
        self.real = builtins.__import__
        self._packages = packages
        self._viewed = {"keras", "numpy", "tensorflow", *PYTHON_MODULES}
        if importlib.util.find_spec("tflearn") is None:
            self._viewed.add("tflearn")
        self.active = True

    def __call__(self, name, globals=None, locals=None, fromlist=(), level=0):
        top = name.partition(".")[0]
        if not (self.active and level == 0 and top in self._viewed and self._is_script(globals)):
            return self.real(name, globals, locals, fromlist, level)
        if top == "numpy":  # unpickling looks for what it imports in sys.modules
            self.real(name)
        module = self._module(name)
        if not fromlist:
            return view(top)
        if "*" in fromlist:
            return module if isinstance(module, View) else View(name, module)
        for wanted in fromlist:
            self._check(module, name, wanted)
        return module

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
            return view(name)
        except AttributeError as error:
            symbol = symbols.lookup(name)
            if symbol is not None and symbol.heir is None:
                raise ImportError(str(error), name=name) from None
            if symbol is not None and callable(resolve(symbol.heir)):
                # A function that hid its module: `ops.arg_scope`; the statement means the module.
                return importlib.import_module(symbol.heir.rpartition(".")[0])
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


class ViewFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Last on `sys.meta_path`: what real TensorFlow lacks, for `importlib.import_module`."""

    def find_spec(self, fullname, path=None, target=None):
        if not fullname.startswith(_MISSING):
            return None
        try:
            module = view(fullname)
        except AttributeError as error:
            raise ImportError(str(error), name=fullname) from None
        if not isinstance(module, View):
            module = View(fullname, module)  # the import system writes on what it is given
        return importlib.machinery.ModuleSpec(fullname, self, loader_state=module, is_package=True)

    def create_module(self, spec):
        return spec.loader_state

    def exec_module(self, module):
        pass
