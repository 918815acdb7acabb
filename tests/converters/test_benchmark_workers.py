"""Candidates in processes of their own: turns, failures, memory."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from converters import benchmark
from converters.benchmark import comparison, engines
from converters.benchmark.timing import take_turns
from converters.benchmark.worker import Worker
from slim_resnet import arch as arch_lib

# What the workers below are built by; they import this module.


def sleeper(delay):
    print("what a framework prints on stdout is no answer")
    return lambda: time.sleep(delay), lambda: np.full(3, delay)


def reader_of_variable(name):
    return lambda: None, lambda: np.array(os.environ.get(name, ""))


def hungry(megabytes):
    garbage = np.ones(400 << 20, np.uint8)
    del garbage
    return lambda: np.ones(megabytes << 20, np.uint8), lambda: np.zeros(1)


def suicidal(signum):
    return lambda: os.kill(os.getpid(), signum), lambda: np.zeros(1)


def wrong(error):
    raise error


@pytest.fixture
def worker(monkeypatch):
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    made = []

    def make(*args):
        made.append(Worker(*args))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def test_a_worker_times_its_work(worker):
    one = worker(sleeper, 0.05)
    np.testing.assert_array_equal(one.output(), np.full(3, 0.05))
    assert 0.05 <= one.step() < 5
    assert one.failure is None


def test_a_worker_has_its_own_environment(worker):
    one = worker(reader_of_variable, "SLIM_RESNET_TEST", {"SLIM_RESNET_TEST": "on"})
    assert one.output() == "on"
    assert "SLIM_RESNET_TEST" not in os.environ


def test_peak_memory_is_that_of_the_work_alone(worker):
    small, large = (worker(hungry, megabytes) for megabytes in (1, 200))
    peaks = []
    for one in (small, large):
        one.output()
        one.step()
        peaks.append(one.peak_memory())
    assert 190 << 20 <= peaks[1] - peaks[0] <= 210 << 20
    assert peaks[0] < 400 << 20  # what building took is forgotten


@pytest.mark.parametrize(
    ("signum", "told"), [(signal.SIGKILL, "too little memory"), (signal.SIGSEGV, "SIGSEGV")]
)
def test_a_dead_worker_is_told_and_asked_no_more(worker, signum, told):
    one = worker(suicidal, signum)
    one.output()
    assert np.isnan([one.step(), one.step()]).all()
    assert told in one.failure
    assert one.peak_memory() is None


def test_an_error_is_told_in_one_line(worker):
    one = worker(wrong, RuntimeError("no room\nfor more"))
    assert one.output() is None
    assert one.failure == "RuntimeError: no room"


def test_what_is_not_installed_is_bad_input(worker):
    one = worker(wrong, ImportError("this needs PyTorch"))
    with pytest.raises(ImportError, match="this needs PyTorch"):
        one.output()


def test_candidates_take_turns():
    order, rounds = [], []
    clocks = {name: lambda name=name: order.append(name) or len(order) for name in "ab"}
    found = take_turns(clocks, rounds=2, warm_up=1, after_round=rounds.append)
    assert order == ["a", "b"] * 3
    assert found == {"a": [3, 5], "b": [4, 6]}
    assert rounds == [1, 2, 3]


def jobs(*names, **options):
    arch = arch_lib.get("resnet_cifar_20")
    return benchmark.plan(arch, names, batch_size=2, size=(16, 16), **options)


def stand_in(job):
    """An engine that fails in a way of its own."""
    if job.engine == "torch":
        return suicidal(signal.SIGKILL)
    off = 1.01 if job.engine == "keras" else 1.0
    return lambda: time.sleep(0.01), lambda: np.array([off, 1.0])


def test_the_others_go_on_and_differences_are_told(monkeypatch):
    monkeypatch.setattr(engines, "build", stand_in)
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    torch, _, slim, keras = found = comparison.compare(
        jobs("torch", "slim", "keras"), rounds=3, threads=1, warm_up=0
    )
    assert [r.job.label for r in found] == ["torch", "torch, channels_last", "slim", "keras"]
    assert "was killed" in torch.failure
    assert (slim.failure, len(slim.seconds), slim.ratios) == (None, 3, (1.0, 1.0, 1.0))
    assert slim.agrees
    assert (keras.difference, keras.agrees) == (pytest.approx(0.01), False)
    rows = benchmark.as_json(found)["results"]
    assert "was killed" in rows[0]["failure"]
    assert rows[2]["mean"] == pytest.approx(np.mean(slim.seconds))


def test_numbers_of_a_result():
    (job,) = jobs("slim")
    result = benchmark.Result(job, seconds=(0.1, 0.3))
    assert (result.mean, result.sd) == (pytest.approx(0.2), pytest.approx(0.1))
    assert result.images_per_second == pytest.approx(10)
    assert result.gflops == pytest.approx(2 * benchmark.flops(job.arch, (16, 16)) / 0.2e9)


def test_ratios_are_to_a_candidate_or_the_first_on_an_engine():
    plain, channels_last = both = jobs("torch")
    assert comparison.find(both, "torch, channels_last") is channels_last
    assert comparison.find(both, "torch") is plain
    with pytest.raises(ValueError, match="no candidate is called 'keras': use one of 'torch', "):
        comparison.find(both, "keras")


def test_variants_have_labels():
    arch = arch_lib.get("resnext_v1_50", convention="torchvision")
    found = benchmark.plan(
        arch, ["slim", "torchvision"], batch_size=1, forms=["grouped", "branches"]
    )
    labels = ["slim", "slim, branches", "torchvision", "torchvision, channels_last"]
    assert [job.label for job in found] == labels
    assert {job.size for job in found} == {(224, 224)}


def test_what_has_no_gradients_does_not_train():
    found = jobs("slim-frozen", "slim", work=benchmark.TRAINING)
    assert [job.engine for job in found] == ["slim"]
    with pytest.raises(ValueError, match="slim-frozen has no variables to train"):
        jobs("slim-frozen", work=benchmark.TRAINING)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engines": ["slim", "jax"]}, "unknown engine 'jax'"),
        ({"batch_size": 0}, "0 images of 224x224"),
        ({"size": (0, 5)}, "1 images of 0x5"),
        ({"size": (32, 32), "work": benchmark.TRAINING}, "one pixel at the end"),
        ({"forms": ["dense"]}, "unknown form 'dense'"),
        ({"layouts": ["nchw"]}, "unknown layout 'nchw'"),
        ({"engines": ["torchvision"]}, "--convention torchvision"),
        ({"engines": ["torchvision"], "arch": "resnet_v2_50"}, "torchvision has no resnet_v2_50"),
    ],
)
def test_bad_input_is_found_before_anything_starts(options, message):
    given = {"arch": "resnext_v1_50", "engines": ["slim"], "batch_size": 1, **options}
    arch = arch_lib.get(given.pop("arch"))
    with pytest.raises(ValueError, match=message):
        benchmark.plan(arch, given.pop("engines"), **given)


ENGINES = ["slim", "slim-frozen", "torch", "keras"]


@pytest.mark.slow
@pytest.mark.parametrize("work", benchmark.WORKS)
@pytest.mark.parametrize("dtype", benchmark.DTYPES)
def test_engines_compute_the_same(dtype, work):
    options = {"dtype": dtype, "work": work, "layouts": ["contiguous"]}
    planned = benchmark.plan(
        arch_lib.get("resnet_cifar_20"), ENGINES, batch_size=4, size=(32, 32), **options
    )
    found = comparison.compare(planned, rounds=1, threads=2, warm_up=0)
    bound = {"float32": 1e-4, "float64": 1e-9, "bfloat16": 0.1}[dtype]
    for result in found:
        assert result.failure is None, result.job.label
        assert result.difference <= bound, result.job.label
