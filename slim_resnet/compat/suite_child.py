"""One test file of tf-slim's in a process of its own; `suite` starts it and reads what it prints.

The job is JSON in the first argument: `module`, the test module's name; `source`, the file to load
under that name; `only`, the ids of the tests to run (null: all); `replaced`, modules to run them
against, name -> name; `switches`, functions of tf to call first. The outcomes, id -> [outcome,
detail], go as JSON to the file in the second argument.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import traceback
import unittest
from collections.abc import Iterator
from types import ModuleType

from slim_resnet.compat import tf


class Outcomes(unittest.TestResult):
    """`found`: test id -> ("pass", "fail" or "skip"; what was said)."""

    def __init__(self):
        super().__init__()
        self.found: dict[str, tuple[str, str]] = {}

    def addSuccess(self, test):
        self.found.setdefault(test.id(), ("pass", ""))

    def addSkip(self, test, reason):
        self.found[test.id()] = ("skip", reason)

    def addError(self, test, err):
        self.found[test.id()] = ("fail", "".join(traceback.format_exception(*err)))

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.addError(test, err)


def main() -> None:
    job = json.loads(sys.argv[1])
    for switch in job["switches"]:
        getattr(tf, switch)()
    for name, replacement in job["replaced"].items():
        _replace(name, importlib.import_module(replacement))
    try:
        module = _load(job["module"], job["source"])
        found = _run(module, job["only"])
    except ImportError:
        found = {job["module"]: ("fail", traceback.format_exc())}
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(found, file)


def _replace(name: str, replacement: ModuleType) -> None:
    package, _, attribute = name.rpartition(".")
    setattr(importlib.import_module(package), attribute, replacement)
    sys.modules[name] = replacement


def _load(name: str, source: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, source)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _run(module: ModuleType, only: list[str] | None) -> dict[str, tuple[str, str]]:
    tests = _flat(unittest.defaultTestLoader.loadTestsFromModule(module))
    outcomes = Outcomes()
    unittest.TestSuite(t for t in tests if only is None or t.id() in only).run(outcomes)
    return outcomes.found


def _flat(suite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _flat(test)
        else:
            yield test


if __name__ == "__main__":
    main()
