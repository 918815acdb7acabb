"""Many checkpoints in one call of tools/convert_checkpoint.py, and the processes that convert."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file

import converters
from converters import batch

NETS = ("slim_v1", "slim_v2")
CHECKPOINTS = ("v1/model.ckpt-60", "v2/model.ckpt-60", "sharded/model.ckpt-60")
FROZEN = ("frozen", "saved_model")
BROKEN = "broken/model.ckpt-60"


@pytest.fixture(scope="module")
def sources(data, tmp_path_factory):
    """Everything that TensorFlow 1.15 left, and a checkpoint that is cut short."""
    folder = tmp_path_factory.mktemp("many") / "data"
    for name in (*NETS, "resnext_cifar"):
        shutil.copytree(data / name, folder / name)
    shutil.copytree(data / "slim_v1" / "v2", folder / "broken")
    cut = folder / f"{BROKEN}.data-00000-of-00001"
    cut.write_bytes(cut.read_bytes()[:-1000])
    return folder


@pytest.fixture(scope="module")
def run(sources, tool):
    """One call for all of them: (the finished process, the folder of files, that of reports)."""
    out, reports = sources.parent / "new" / "out", sources.parent / "reports"
    found = tool(
        "convert_checkpoint", sources / "*/*/model.ckpt-*", sources / "broken",
        sources / "*/frozen.pb", *(sources / net / "saved_model" for net in NETS),
        sources / "resnext_cifar/*.index", "--to", "torch", "--output", out, "--report", reports,
        "--jobs", 2, "--no-verify",
    )  # fmt: skip
    return found, out, reports


def names(*endings):
    return {f"{net}/{ending}" for net in NETS for ending in endings}


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_one_failure_does_not_stop_the_rest(run):
    found, out, _ = run
    assert (found.returncode, found.stderr) == (1, "")
    converted = {*names(*CHECKPOINTS, *FROZEN), "resnext_cifar/ResNeXt.ckpt"}
    assert files(out) == {f"{name}.safetensors" for name in converted}
    assert "11 of 12 converted" in found.stdout
    assert not (out / "broken").exists()  # a folder that stays empty


def test_the_summary_says_what_became_of_each(run, sources):
    text = run[0].stdout
    assert text.count("not verified") == 11
    assert text.count("FAILED") == 1
    assert f"failed: {sources / BROKEN}.index, variable" in text
    assert (
        "left out of 3: 1 training state, 267 moving averages (--weights ema takes them), "
        "161 optimizer slots (--optimizer takes them)"
    ) in text
    assert "164 zero-debias helpers" in text


def test_a_report_for_every_file(run, sources):
    _, out, folder = run
    found = {name: json.loads((folder / name).read_text()) for name in files(folder)}
    expected = {*names(*CHECKPOINTS, *FROZEN), "resnext_cifar/ResNeXt.ckpt", BROKEN}
    assert found.keys() == {f"{name}.json" for name in expected}
    failed = found.pop(f"{BROKEN}.json")
    assert failed["output"] is None
    assert "data-00000-of-00001" in failed["error"]
    for name, report in found.items():
        assert report["error"] == ""
        assert report["output"] == str(out / name.replace(".json", ".safetensors"))
    kinds = found["slim_v2/v1/model.ckpt-60.json"]["left_out"]
    assert kinds["training state"] == ["global_step"]
    assert len(kinds["optimizer slots"]) == 174


@pytest.mark.parametrize("net", NETS)
def test_every_artifact_of_tf_115_gives_the_same_arrays(run, net):
    expected = load_file(run[1] / net / "v2" / "model.ckpt-60.safetensors")
    for ending in (*CHECKPOINTS, *FROZEN):
        found = load_file(run[1] / net / f"{ending}.safetensors")
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value, err_msg=f"{ending}: {name}")


def assert_logits(path, images, expected):
    import torch

    from converters.models import torch_model

    with torch.inference_mode():
        found = torch_model.load(path)(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    assert np.abs(found - expected).max() <= 2e-5 * np.abs(expected).max()


@pytest.mark.parametrize("size", ["32x32", "47x33", "64x64"])
@pytest.mark.parametrize("net", NETS)
def test_logits_of_tf_115(run, data, net, size):
    recorded = np.load(data / net / "outputs.npz")
    path = run[1] / net / "v1" / "model.ckpt-60.safetensors"
    assert_logits(path, recorded[f"{size}|image"], recorded[f"{size}|logits"])


def test_logits_of_the_cifar_script_of_tf_115(run, data):
    recorded = np.load(data / "resnext_cifar" / "outputs.npz")
    path = run[1] / "resnext_cifar" / "ResNeXt.ckpt.safetensors"
    assert_logits(path, recorded["image"], recorded["logits"])


@pytest.fixture(scope="module")
def without_frameworks(tmp_path_factory):
    """An environment in which no framework can be imported, nor in the processes below."""
    folder = tmp_path_factory.mktemp("blocked")
    for name in ("tensorflow", "torch", "keras", "jax", "tf_slim", "tf_keras"):
        (folder / f"{name}.py").write_text(f"raise ModuleNotFoundError('blocked', name={name!r})")
    return {**os.environ, "PYTHONPATH": str(folder)}


@pytest.mark.parametrize(("target", "weights"), [("torch", "ema"), ("hdf5", "ema")])
def test_without_frameworks(sources, without_frameworks, data, tmp_path, target, weights):
    """V2, V1 and sharded: their moving averages have the logits that TF 1.15 computed."""
    given = [str(sources / net / ending) for net in NETS for ending in CHECKPOINTS]
    command = [sys.executable, str(data.parents[1] / "tools" / "convert_checkpoint.py"), *given]
    command += ["--to", target, "--weights", weights, "--output", str(tmp_path), "--no-verify"]
    found = subprocess.run(
        command, env=without_frameworks, capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (0, ""), found.stdout
    assert len(files(tmp_path)) == 6
    for name in files(tmp_path):
        recorded = np.load(data / name.split("/")[0] / "outputs_ema.npz")
        path = tmp_path / name
        if target == "hdf5":
            ckpt = converters.load_checkpoint(path)
            path = path.with_suffix(".safetensors")
            converters.formats.writer("torch", path)(ckpt)
        assert_logits(path, recorded["image"], recorded["logits"])


def test_the_processes_import_nothing_of_the_current_folder(sources, data, tmp_path, monkeypatch):
    """A script of the user's that has the name of a module, as `copy.py` has."""
    marker = tmp_path / "imported"
    monkeypatch.chdir(tmp_path)
    for name in ("copy", "numpy"):
        (tmp_path / f"{name}.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    command = [sys.executable, str(data.parents[1] / "tools" / "convert_checkpoint.py")]
    command += [str(sources / "slim_v1" / name) for name in ("v1", "v2")]
    command += ["--to", "torch", "--output", "out", "--jobs", "2", "--no-verify"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, ""), found.stdout
    assert len(files(tmp_path / "out")) == 2
    assert not marker.exists()


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def planned(paths, output="out/", suffix=".pt", step=None):
    """Source -> output."""
    jobs = batch.plan(batch.expand(paths, step), output, suffix)
    return {job.source: job.output for job in jobs}


V2_FILES = (".index", ".meta", ".data-00000-of-00002", ".data-00001-of-00002")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two trainings with two checkpoints each, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for run in "ab":
        for step in (8, 9):
            touch(tmp_path, *(f"runs/{run}/model.ckpt-{step}{end}" for end in V2_FILES))
        state = f'model_checkpoint_path: "model.ckpt-9"\nall_model_checkpoint_paths: "{run}"\n'
        (tmp_path / "runs" / run / "checkpoint").write_text(state)
    return tmp_path


def test_a_glob_counts_the_files_of_a_checkpoint_once(runs):
    expected = {
        f"runs/{run}/model.ckpt-{step}": f"out/{run}/model.ckpt-{step}.pt"
        for run in "ab"
        for step in (8, 9)
    }
    assert planned(["runs/*/model.ckpt-*"]) == expected
    assert planned(["runs/**/model*"]) == expected
    assert planned(["runs/a/model.ckpt-8", "runs/a/*.index", "runs/b/*"]) == expected


def test_folders_stand_for_their_latest_checkpoint(runs):
    assert planned(["runs/*"]) == {
        "runs/a/model.ckpt-9": "out/a/model.ckpt-9.pt",
        "runs/b/model.ckpt-9": "out/b/model.ckpt-9.pt",
    }
    assert planned(["runs/a", "runs/b"], step=8) == {
        "runs/a": "out/a/model.ckpt-8.pt",
        "runs/b": "out/b/model.ckpt-8.pt",
    }


def test_one_source_into_a_file_or_a_folder(runs):
    assert planned(["runs/a"], "net.pt") == {"runs/a/model.ckpt-9": "net.pt"}
    assert planned(["runs/a"], "out/") == {"runs/a/model.ckpt-9": "out/model.ckpt-9.pt"}
    (runs / "there").mkdir()
    assert planned(["runs/a"], "there") == {"runs/a/model.ckpt-9": "there/model.ckpt-9.pt"}


def test_dumps_lose_their_suffixes(runs):
    touch(runs, "dumps/a.npz", "dumps/b.weights.h5", "dumps/model.ckpt-3")
    assert list(planned(["dumps/*"]).values()) == ["out/a.pt", "out/b.pt", "out/model.ckpt-3.pt"]


@pytest.mark.parametrize(
    ("paths", "output", "message"),
    [
        (["dumps/a.*"], "out", r"dumps/a.h5 and dumps/a.npz would both become out/a.pt"),
        (["dumps/a.npz", "dumps/a.pt"], "dumps", "dumps/a.pt would replace a source"),
        (["nothing/*"], "out", r"nothing/\*: no file matches it"),
        (["dumps/a.*"], "dumps/a.h5", "dumps/a.h5 is a file: several sources need a folder"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(runs, paths, output, message):
    touch(runs, "dumps/a.h5", "dumps/a.npz")
    if "dumps/a.pt" in paths:
        touch(runs, "dumps/a.pt")
    with pytest.raises((ValueError, OSError), match=message):
        planned(paths, output)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--to", "torch", "--suffix", ".onnx"], "ends in .safetensors or .pt"),
        (["--to", "torch", "--optimizer"], "say --learning-rate"),
        (["--to", "torch", "--learning-rate", "1"], "--learning-rate: of use with --optimizer"),
        (["--to", "onnx", "--optimizer"], "no place for an optimizer"),
        (["--to", "torch", "--jobs", "0"], "at least 1 (--jobs)"),
        (["--to", "torch", "--end-points"], "of one source"),
    ],
)
def test_what_fails_for_all_fails_before_the_work(tool, runs, args, message):
    found = tool("convert_checkpoint", "runs/*", "--output", "out/", *args)
    assert found.returncode == 2
    assert message in found.stderr
    assert found.stderr.count("\n") == 1
    assert not (runs / "out").exists()


@pytest.fixture
def jobs(sources, tmp_path):
    """Three jobs that take no time."""
    paths = [str(sources / "slim_v1" / ending) for ending in CHECKPOINTS]
    made = batch.plan(batch.expand(paths), str(tmp_path / "out"), ".safetensors")
    with batch.folders(made):
        yield made


@pytest.fixture
def children():
    """children() -> the processes that the test began and that run still."""
    before = {child.pid for child in psutil.Process().children()}
    return lambda: [child for child in psutil.Process().children() if child.pid not in before]


UNVERIFIED = batch.Settings("torch", verified=False)


def test_a_killed_process_is_the_failure_of_its_file(jobs, tmp_path, children):
    victim = jobs[1]
    left = tmp_path / "out" / os.path.dirname(victim.output) / ".net.abcd1234.partial"

    def started(job):
        if job == victim:
            left.mkdir()  # as if it had begun to write
            for child in children():
                child.kill()

    found = dict(batch.convert_all(jobs, UNVERIFIED, 1, started=started))
    assert found.keys() == set(jobs)
    assert "was killed (SIGKILL), as when memory runs out: use fewer --jobs" in found[victim].error
    assert [bool(found[job].error) for job in jobs] == [False, True, False]
    assert [os.path.exists(job.output) for job in jobs] == [True, False, True]
    assert not left.exists()
    assert children() == []


def test_processes_share_out_the_cores(jobs, monkeypatch, children):
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    environments = {}

    def started(job):
        environments.update({child.pid: child.environ() for child in children()})

    outcomes = list(batch.convert_all(jobs, UNVERIFIED, 2, started=started))
    assert [outcome.error for _, outcome in outcomes] == [""] * 3
    assert len(environments) == 2
    share = str(max(1, len(os.sched_getaffinity(0)) // 2))
    for environment in environments.values():
        assert environment["OMP_NUM_THREADS"] == environment["TF_NUM_INTRAOP_THREADS"] == share
        assert environment["MKL_NUM_THREADS"] == "7"  # the user's own


def test_ctrl_c_ends_the_processes(data, sources, tmp_path):
    command = [sys.executable, str(data.parents[1] / "tools" / "convert_checkpoint.py")]
    command += [str(sources / net) for net in ("slim_v1/v1", "slim_v2/v1", "slim_v1/v2")]
    command += ["--to", "torch", "--output", str(tmp_path / "out"), "--jobs", "2"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell has its background jobs, these tests perhaps, ignore Ctrl-C.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        workers = wait_for(lambda: psutil.Process(process.pid).children(), count=2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "")
    assert "0 of 3 converted" in out
    assert not any(worker.is_running() for worker in workers)
    assert list(tmp_path.iterdir()) == []


def wait_for(look, count, seconds=20):
    """What `look` finds, once that is `count` things."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(psutil.NoSuchProcess):
            found = look()
            if len(found) == count:
                return found
        time.sleep(0.01)
    raise AssertionError(f"{len(found)} of {count} after {seconds} s")
