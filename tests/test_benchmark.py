"""`fastdl.benchmark`, and the report of ``bench/`` on a run made by hand. No time is asserted."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd
from fastdl import benchmark
from fastdl.errors import ArgumentError, BackendUnavailableError, FastdlError

BACKENDS = ("reference", "cython", "numba")


@pytest.fixture
def usable():
    def runs(backend):
        try:
            fd.ops.relu(np.ones(1, np.float32), backend=backend)
        except BackendUnavailableError:
            return False
        return True

    return [backend for backend in BACKENDS if runs(backend)]


def test_compare_gives_a_row_for_each_operation_and_backend(usable):
    rows = benchmark.compare(["relu", "sgd_update"], repeats=1, progress=False)
    assert [(row.operation, row.backend) for row in rows] == [
        (operation, backend) for operation in ("relu", "sgd_update") for backend in usable]
    reference = {row.operation: row for row in rows if row.backend == "reference"}
    for row in rows:
        assert row.seconds > 0
        assert row.ratio == reference[row.operation].seconds / row.seconds
    text = benchmark.as_table(rows)
    for name in ("relu", "sgd_update", *usable):
        assert name in text


def test_compare_shows_a_bar(capfd):
    benchmark.compare(["sgd_update"], repeats=1)
    out, err = capfd.readouterr()
    assert "sgd_update" in err
    assert out == ""


@pytest.mark.parametrize(("arguments", "message"), [
    ({"operations": ["teleport"]}, "no case of operation 'teleport'; there are: gemm, conv2d"),
    ({"repeats": 0}, "repeats must be at least 1, got 0"),
])
def test_compare_rejects(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        benchmark.compare(**arguments, progress=False)


def test_work_of_the_cases():
    work = {case.name: (case.flops, case.bytes) for case in benchmark.CASES}
    assert len(work) == len(benchmark.CASES)
    assert work["gemm M100 K4320 N100"] == (86_400_000, 0)
    # 3 passes of 2 operations for each of 32*32*28*28 outputs and 32*3*3 taps
    assert work["conv2d N32 C32 28x28 OC32 3x3 pad1"] == (1_387_266_048, 0)
    # x, y, argmax and dy, argmax, dx: 802816 and 200704 floats, 200704 bytes
    assert work["max_pool2d N32 C32 28x28 2x2"] == (0, 8_429_568)
    assert work["adam_update 1000000 parameters"] == (0, 28_000_000)


def made_up(run):
    return benchmark.Case("made_up", "2", lambda rng: (np.array([1.0, -4.0]),), run)


def test_backends_that_are_not_usable_are_left_out():
    def run(x, *, backend):
        if backend == "numba":
            raise BackendUnavailableError("not installed")
        return (x,)

    runners = benchmark.runners(made_up(run))
    assert list(runners) == ["reference", "cython"]
    assert runners["cython"]()[0].tolist() == [1, -4]


@pytest.mark.parametrize(("wrong", "message"), [
    ([1.0, -4.01], "made_up 2: result 0 of cython is wrong: it differs .* by up to 0.01"),
    ([1.0, np.nan], "result 0 of cython is wrong"),
    ([1.0], r"result 0 of cython is \(1,\), expected \(2,\)"),
])
def test_wrong_results_are_not_timed(wrong, message):
    def run(x, *, backend):
        return (np.array(wrong) if backend == "cython" else x,)

    with pytest.raises(FastdlError, match=message):
        benchmark.runners(made_up(run))


def test_turns_are_taken(monkeypatch):
    monkeypatch.setattr(benchmark, "PAUSE", 0)
    log = []

    def timer(name, seconds, calls):
        log.append((name, calls))
        return seconds

    timers = {"slow": partial(timer, "slow", 2.0), "fast": partial(timer, "fast", 0.25)}
    seconds = benchmark.interleaved(timers, rounds=2, block=1.0)
    assert seconds == {"slow": [2.0, 2.0], "fast": [0.25, 0.25]}
    # one call to learn how many fill a second, then in turns
    assert log == [("slow", 1), ("fast", 1)] + 2 * [("slow", 1), ("fast", 4)]


# ---- the report ----

@pytest.fixture
def bench(monkeypatch):
    """The folder bench/ of the repository as a package."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    return pytest.importorskip("bench")


def timed(group, member, median, iqr=0.0, flops=0, bytes_=0, variant=None):
    return {"group": group, "stats": {"median": median, "iqr": iqr},
            "extra_info": {"member": member, "flops": flops, "bytes": bytes_, "variant": variant}}


def run_by_hand():
    return {
        "datetime": "2026-01-02T03:04:05.678+00:00",
        "machine_info": {
            "machine": "x86_64", "system": "Linux",
            "cpu": {"brand_raw": "Abacus 3000", "count": 2},
            "fastdl": {"instruction set": "avx2", "threads": 2,
                       "versions": {"python": "3.11.7", "numpy": "2.4.6", "numba": None}}},
        "commit_info": {"id": "0123456789abcdef", "dirty": True},
        "limits": {"threads": 2, "float32": [200.0, 400.0], "float64": [100.0, 200.0],
                   "memory": [25.0, 50.0]},
        "benchmarks": [
            # 2 GFLOP in 10 and 4 ms: 200 and 500 GFLOP/s
            timed("gemm M1 K2 N3", "reference", 0.010, 0.002, flops=2_000_000_000),
            timed("gemm M1 K2 N3", "cython", 0.004, flops=2_000_000_000),
            timed("gemm M1 K2 N3", "torch", 0.010, flops=2_000_000_000, variant="eager"),
            # 30 MB in 2 and 1 ms: 15 and 30 GB/s
            timed("relu N1", "reference", 0.002, bytes_=30_000_000),
            timed("relu N1", "cython", 0.001, bytes_=30_000_000),
            {"group": "dispatch: relu of one element", "stats": {"median": 1.5e-6, "iqr": 0.0},
             "extra_info": {"member": "kernel"}},
            {"group": "dispatch: relu of one element", "stats": {"median": 3.75e-6, "iqr": 0.0},
             "extra_info": {"member": "ops"}},
        ],
    }


def test_report(bench, tmp_path, capsys):
    from bench import report

    path = tmp_path / "run.json"
    path.write_text(json.dumps(run_by_hand()), encoding="utf-8")
    report.main([str(path)])
    lines = capsys.readouterr().out.splitlines()
    for line in (
        "- date: 2026-01-02T03:04:05",
        "- machine: Abacus 3000 (2 cores), Linux",
        "- instruction set: avx2; threads: 2",
        "- versions: python 3.11.7, numpy 2.4.6, numba not installed",
        "- commit: 0123456789ab with changes",
        "- limits measured in this run: FMA float32 400 GFLOP/s (200 on one thread), float64 200 "
        "GFLOP/s (100 on one thread), memory (axpy) 50 GB/s (25 on one thread)",
        "| operation | reference | cython | torch | cython against torch |",
        "| gemm M1 K2 N3 | 10 ms ±10%<br>200 GFLOP/s = 50% "
        "| 4 ms ±0%<br>**×2.50**<br>500 GFLOP/s = 125% "
        "| 10 ms ±0% (eager)<br>**×1.00**<br>200 GFLOP/s = 50% | ×2.50 |",
        "| relu N1 | 2 ms ±0%<br>15 GB/s = 30% "
        "| 1 ms ±0%<br>**×2.00**<br>30 GB/s = 60% | – | – |",
        "Dispatch: a warm `fd.ops.relu` of one element takes 3.75 µs, its kernel called directly "
        "1.50 µs; the difference is 2.25 µs.",
    ):
        assert line in lines


def test_report_without_peer_and_limits(bench, tmp_path):
    from bench import report

    run = run_by_hand()
    run["limits"] = {"error": "no C compiler"}
    run["benchmarks"] = [b for b in run["benchmarks"] if b["extra_info"]["member"] != "torch"]
    source, target = tmp_path / "run.json", tmp_path / "report.md"
    source.write_text(json.dumps(run), encoding="utf-8")
    report.main([str(source), "-o", str(target)])
    lines = target.read_text(encoding="utf-8").splitlines()
    assert "- peak not measured: no C compiler" in lines
    assert "| relu N1 | 2 ms ±0%<br>15 GB/s | 1 ms ±0%<br>**×2.00**<br>30 GB/s |" in lines


def test_no_compiler_no_peak(bench, monkeypatch):
    from bench import peak

    monkeypatch.setenv("CC", "no-such-compiler")
    assert peak.measure(threads=1) == {"error": "no C compiler"}
