"""What is to be converted, and what the files are called; everything is refused before any work."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterable, Iterator, Mapping

from converters.batch.jobs import Job
from converters.files import CheckpointError
from converters.files.checkpoint.state import resolve, v1_files
from converters.files.graph_files import saved_model_in

# A dump's own suffix is no part of the name of what is made of it.
_DUMPS = (
    ".weights.h5", ".keras", ".h5", ".hdf5", ".npz", ".pbtxt", ".pb", ".safetensors", ".pt", ".pth",
    ".bin",
)  # fmt: skip


def expand(paths: Iterable[str], step: int | None = None) -> dict[str, str]:
    """The checkpoints that paths and globs mean, each once, in order.

    Args:
        paths: what `load_checkpoint` takes, or globs of it, with `**` for folders in folders.
        step: which checkpoint of a folder; None: its latest.

    Returns:
        Name -> path. The name of a checkpoint is its prefix, whichever of its files was given; of
        another file, and of what is not there, its path.

    Raises:
        ValueError: a glob matches nothing.
    """
    found: dict[str, str] = {}
    for given in paths:
        matches = [given]
        if glob.has_magic(given) and not os.path.lexists(given):
            matches = sorted(glob.glob(given, recursive=True))
            if not matches:
                raise ValueError(f"{given}: no file matches it")
        for path in matches:
            name = _name(path, step)
            found.setdefault(os.path.abspath(name), path if step is not None else name)
    return found


def _name(path: str, step: int | None) -> str:
    if os.path.isdir(path) and saved_model_in(path):
        return path
    try:
        return v1_files(resolve(path, step))[0]
    except CheckpointError:
        return path  # whoever opens it says what is wrong


def into_folder(sources: Mapping[str, str], output: str) -> bool:
    """Whether `output` is a folder, for files that are named after their sources."""
    return len(sources) > 1 or os.path.isdir(output) or output.endswith(os.sep)


def plan(
    sources: Mapping[str, str], output: str, suffix: str = "", report: str | None = None
) -> list[Job]:
    """Which file is made of which source.

    One source goes into the file `output`. Several, or an `output` that is a folder or ends in a
    slash, go into that folder, under their names: below the folder that all sources have in common
    their own folders are kept, a dump's suffix is dropped, and `suffix` is added. Of
    runs/a/model.ckpt-9 and runs/b/model.ckpt-9 come a/model.ckpt-9.pt and b/model.ckpt-9.pt.

    Args:
        sources: from `expand`.
        output: the file or folder.
        suffix: of the files in a folder.
        report: the JSON file of one source, or the folder of several sources'.

    Raises:
        ValueError: two sources would go into one file, or a source would be replaced.
        OSError: a file is where a folder is needed.
    """
    several = len(sources) > 1
    if not into_folder(sources, output):
        return [Job(source, output, report) for source in sources.values()]
    for folder in (output, report if several else None):
        if folder is not None and os.path.isfile(folder):
            raise NotADirectoryError(f"{folder} is a file: several sources need a folder")
    jobs = []
    for name, source in zip(_relative(sources), sources.values(), strict=True):
        own_report = os.path.join(report, f"{name}.json") if report and several else report
        jobs.append(Job(source, os.path.join(output, name + suffix), own_report))
    _check_apart(sources, jobs)
    return jobs


def _relative(names: Iterable[str]) -> list[str]:
    """Names without the suffixes of dumps, below the folder that all have in common."""
    names = list(names)
    common = os.path.commonpath([os.path.dirname(name) for name in names])
    return [os.path.relpath(_without_suffix(name), common) for name in names]


def _without_suffix(path: str) -> str:
    suffix = next((s for s in _DUMPS if path.endswith(s)), "")
    return path.removesuffix(suffix) if os.path.isfile(path) else path


def _check_apart(sources: Mapping[str, str], jobs: Iterable[Job]) -> None:
    """Raises ValueError unless every output is a file of its own, and no source."""
    taken: dict[str, str] = {}
    for job in jobs:
        output = os.path.abspath(job.output)
        if output in sources:
            raise ValueError(f"{job.output} would replace a source: name another --output folder")
        if output in taken:
            raise ValueError(
                f"{taken[output]} and {job.source} would both become {job.output}: convert them "
                "into different folders"
            )
        taken[output] = job.source


@contextlib.contextmanager
def folders(jobs: Iterable[Job]) -> Iterator[None]:
    """Makes the folders that the jobs' files go to; those that stay empty are removed again.

    Raises:
        OSError: one cannot be made.
    """
    paths = [path for job in jobs for path in (job.output, job.report) if path]
    made: list[str] = []
    try:
        for path in dict.fromkeys(os.path.dirname(os.path.abspath(path)) for path in paths):
            made += _make(path)
        yield
    finally:
        for path in reversed(made):
            with contextlib.suppress(OSError):  # it is not empty
                os.rmdir(path)


def _make(folder: str) -> list[str]:
    """Makes a folder and those it is in; returns the new ones, the outermost first."""
    if os.path.isdir(folder):
        return []
    made = _make(os.path.dirname(folder))
    os.mkdir(folder)
    return [*made, folder]
