"""Many cases of many samples, in processes of their own: a crash or a hang is a failure too."""

from __future__ import annotations

import concurrent.futures
import importlib.util
import multiprocessing
import os
import pathlib
import pickle
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fuzzing import samples
from fuzzing.damage import at_percent, restore, spoil_folder
from fuzzing.judge import Judge, Outcome
from fuzzing.samples import Sample
from slim_resnet.files import atomic_path

TIMEOUT = 10.0  # seconds for one case
_START_UP = 120.0  # seconds for the imports and the first one
_MAX_MEMORY = 1 << 28  # bytes that a process may map beyond what it has when it begins
_MEASURED = 8  # every so many cases, the memory that it takes is measured closely
_PERCENT = 100
_MAX_ENDED = 5  # processes that a sample may cost
_RESULT = "result.pickle"


@dataclass
class Result:
    """What became of the cases of one sample.

    Attributes:
        sample: its name.
        outcomes: name of an `Outcome` -> cases.
        failures: number of a case -> what was wrong.
        seconds: of all cases, imports left out.
        peak: the most bytes that a case took.
    """

    sample: str
    outcomes: Counter = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0
    peak: int = 0

    @property
    def cases(self) -> int:
        return sum(self.outcomes.values())

    def fail(self, case: int, reason: str) -> None:
        self.outcomes[Outcome.FAILED] += 1
        self.failures[case] = reason

    def add(self, other: Result) -> None:
        self.outcomes.update(other.outcomes)
        self.failures |= other.failures
        self.seconds += other.seconds
        self.peak = max(self.peak, other.peak)


def make_samples(folder: pathlib.Path) -> dict[str, Sample]:
    """Writes what samples can be made here, in a process of its own: it may need frameworks."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        names = pool.submit(_make, folder).result()
    return {name: samples.SAMPLES[name] for name in names}


def _make(folder: pathlib.Path) -> list[str]:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what frameworks say; an error is raised here
    return list(samples.make(folder, lambda name: importlib.util.find_spec(name) is not None))


def run(
    whole: pathlib.Path, names: Iterable[str], cases: int, seed: int, jobs: int
) -> Iterator[Result]:
    """The result of `cases` cases of each sample, as each is done.

    Args:
        whole: the folder that `make_samples` filled.
        names: of the samples.
        cases: of each.
        seed: which cases; the same number gives the same ones.
        jobs: how many samples at a time.
    """
    waiting = [_Process(whole, name, seed, cases) for name in names]
    running: list[_Process] = []
    while waiting or running:
        while waiting and len(running) < jobs:
            running.append(waiting.pop(0))
            running[-1].start()
        time.sleep(0.02)
        for process in list(running):
            if process.finished():
                running.remove(process)
                yield process.result


class _Process:
    """The cases of one sample in a process; again, without it, if a case crashes or hangs that."""

    def __init__(self, whole: pathlib.Path, name: str, seed: int, cases: int):
        self.arguments = (whole, name, seed)
        self.cases = cases
        self.ended: dict[int, str] = {}  # case -> how it ended the process
        self.result = Result(name)

    def start(self) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fuzz-"))
        context = multiprocessing.get_context("spawn")
        self.case = context.Value("q", -1)
        self.seen, self.since = -1, time.monotonic()
        cases = [case for case in range(self.cases) if case not in self.ended]
        arguments = (*self.arguments, cases, self.case, self.folder)
        self.process = context.Process(target=_work, args=arguments, daemon=True)
        self.process.start()

    def finished(self) -> bool:
        """Whether there is a result; starts again behind a case that ended the process."""
        case, now = self.case.value, time.monotonic()
        if case != self.seen:
            self.seen, self.since = case, now
        hangs = now - self.since > (TIMEOUT if case >= 0 else _START_UP)
        if self.process.is_alive() and not hangs:
            return False
        self.process.kill()
        self.process.join()
        try:
            self.result = pickle.loads((self.folder / _RESULT).read_bytes())
        except OSError:
            self.ended[case] = "it hangs" if hangs else f"exit code {self.process.exitcode}"
            if case >= 0 and len(self.ended) < _MAX_ENDED:
                self._again()
                return False
        for case, reason in self.ended.items():
            self.result.fail(case, reason)
        shutil.rmtree(self.folder, ignore_errors=True)
        return True

    def _again(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.start()


def _work(
    whole: pathlib.Path, name: str, seed: int, cases: list[int], current, folder: pathlib.Path
) -> None:
    """What a process does: every case; the result is in a file when it ends."""
    bench = Bench(whole, name, seed, folder / "files")
    _limit_memory()
    result, start = Result(name), time.perf_counter()
    for case in cases:
        current.value = case
        outcome, reason = bench.judged(case)
        result.outcomes[outcome] += 1
        if outcome is Outcome.FAILED:
            result.failures[case] = reason
    result.seconds = time.perf_counter() - start
    result.peak = bench.judge.peak
    with atomic_path(folder / _RESULT) as path:
        path.write_bytes(pickle.dumps(result))


def _limit_memory() -> None:
    """Lets what is allocated far beyond the size of a file fail, whoever does it."""
    try:
        import resource

        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):  # not on Linux: what Python allocates is measured all the same
        return
    limit = pages * resource.getpagesize() + _MAX_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


class Bench:
    """A copy of one sample, damaged for one case after the other.

    Args:
        whole: the folder with all samples.
        name: of the sample.
        seed: which cases.
        folder: where to work; it is made.
    """

    def __init__(self, whole: pathlib.Path, name: str, seed: int, folder: pathlib.Path):
        self.sample = samples.SAMPLES[name]
        self.label = f"{seed}/{name}"
        self.folder = folder
        self.original = whole / self.sample.folder
        shutil.copytree(self.original, folder)
        self.path = folder / pathlib.Path(self.sample.entry).name
        read = self.sample.read(str(self.path))
        self.judge = Judge(
            self.sample.read,
            read,
            checked=self.sample.checked,
            allocation=self.sample.allocation,
        )

    def judged(self, case: int) -> tuple[Outcome, str]:
        """The outcome of a case and, if it failed, why."""
        self.damage(case)
        try:
            files = [p for p in self.folder.rglob("*") if p.is_file()]
            size = sum(p.stat().st_size for p in files)
            measured = case % _MEASURED == 0
            return self.judge(str(self.path), str(self.folder), size, measured)
        finally:
            restore(self.folder, self.original, self.sample.damaged)

    def damage(self, case: int) -> None:
        """Makes the files those of a case: truncations first, then whatever chance brings."""
        sample, rng = self.sample, random.Random(f"{self.label}/{case}")
        name = sample.damaged[case % len(sample.damaged)]
        path = self.folder / name
        content = path.read_bytes()
        path.unlink()  # HDF5 knows files by their number, and remembers them
        percent = case // len(sample.damaged)
        if percent < _PERCENT and not sample.resealed:
            path.write_bytes(at_percent(content, percent))
        elif len(sample.damaged) > 1 and rng.random() < 0.1:
            path.write_bytes(content)
            spoil_folder(rng, self.folder, sample.damaged)
        else:
            path.write_bytes(sample.spoil(rng, content))
