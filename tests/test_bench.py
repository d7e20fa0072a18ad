"""``bench/``: figures and report from a run made by hand, and the members' processes.

No time is asserted.
"""

import json
import math
import shutil
from pathlib import Path

import pytest

from fastdl.benchmark.cases import CASES

pytestmark = pytest.mark.usefixtures("bench")
CONV = "N16 C64 56x56 OC64 3x3 padding1 float32"        # 3 699 376 128 FLOPs a pass
POOL = "N32 C64 112x112 2x2 stride2 padding0 float32"


@pytest.fixture
def bench(monkeypatch):
    """The folder bench/ of the repository as a package."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    return pytest.importorskip("bench")


def entry(limits, left_out=None, **times):
    names = {"one": "fastdl, 1 thread", "avx2": "fastdl, avx2"}
    return {"at": "2026-01-02T03:04:05+00:00", "left_out": left_out or {},
            "limits": {name: [rate] for name, rate in limits.items()},
            "times": {names.get(member, member): {variant: [ms * 1e-3 for ms in rounds]
                                                  for variant, rounds in variants.items()}
                      for member, variants in times.items()}}


def run_by_hand():
    limits = {"float32 native 2": 500, "float32 native 1": 250, "float32 avx2 2": 250,
              "memory native 2": 100}
    return {
        "facts": {"machine": "Abacus 3000", "cores": 2, "system": "Linux", "threads": 2,
                  "versions": {"python": "3.11.7", "numpy": "2.4.6"}, "absent": {"numba": "gone"},
                  "instruction sets": {"fastdl": "avx512"}, "commit": "0123456789abcdef",
                  "dirty": True},
        "rounds": 3,
        "cases": {
            # 2.147 GFLOP in 5 ms: 429.5 GFLOP/s, 86% of 500
            "gemm M1024 K1024 N1024 float32": entry(
                limits, fastdl={"NCHW": [4, 5, 8]}, one={"NCHW": [9]}, avx2={"NCHW": [10]},
                numpy={"matmul": [20]}, torch={"NCHW": [10]}),
            f"conv2d {CONV}": entry(
                limits, fastdl={"NCHW direct": [10], "NCHW auto": [5], "NCHW winograd": [4],
                                "channels-last direct": [9], "channels-last auto": [8],
                                "channels-last winograd": [8]},
                one={"NCHW direct": [18]}, torch={"NCHW": [20], "channels-last": [8]},
                left_out={"torch": {"compiled": "ValueError: no"}}),
            f"conv2d_backward_input {CONV}": entry(
                limits, fastdl={"NCHW direct": [8], "NCHW auto": [6], "NCHW winograd": [6],
                                "channels-last direct": [10], "channels-last auto": [4]},
                torch={"NCHW": [20], "channels-last": [8]}),
            f"conv2d_backward_weight {CONV}": entry(
                limits, fastdl={"NCHW direct": [9], "NCHW auto": [10], "channels-last auto": [4]},
                torch={"NCHW": [3], "channels-last": [8]}),
            # 134 873 088 bytes in 2 ms: 67.4 GB/s
            f"max_pool2d {POOL}": entry({"memory native 2": 100}, fastdl={"NCHW": [2]}),
        },
    }


def row(lines, start):
    return next(line for line in lines if line.startswith(f"| {start} |"))


def test_figures():
    from bench.figures import Figures, geometric_mean, spread

    figures = Figures(run_by_hand())
    passes = [case for case in figures.cases if case.family == "conv"]
    forward = passes[0]
    assert figures.ours(forward).variant == "NCHW auto"         # not the faster winograd
    assert figures.ours(forward, "winograd").variant == "NCHW winograd"
    assert figures.ratio(forward) == pytest.approx(8 / 5)
    # 5 + 6 + 10 in NCHW, 8 + 4 + 4 channels-last; PyTorch 20 + 20 + 3 and 8 + 8 + 8
    assert figures.ratio_of_sums(passes) == pytest.approx(24 / 16)
    assert figures.part_of_peak(forward, figures.ours(forward, "direct")) == pytest.approx(
        3.699376128 / 9e-3 / 500)
    pool = next(case for case in figures.cases if case.operation == "max_pool2d")
    assert figures.memory_bound(pool)
    assert not figures.memory_bound(forward)
    assert figures.part_of_bandwidth(pool, figures.ours(pool)) == pytest.approx(0.674, abs=1e-3)
    assert figures.ratio(pool) is None
    assert spread([4, 5, 8]) == (6.5 - 4.5) / 2 / 5
    assert geometric_mean([1, 4]) == pytest.approx(2)
    assert math.isnan(geometric_mean([]))


def test_report(tmp_path, capsys):
    from bench import report

    path = tmp_path / "run.json"
    path.write_text(json.dumps(run_by_hand()), encoding="utf-8")
    report.main(["--saved", "--json", str(path)])
    lines = capsys.readouterr().out.splitlines()
    for line in (
        "- commit 0123456789ab with changes; 2 threads",
        "- fastdl: avx512",
        "- not there: numba (gone)",
        "| gemm 1024³, float32 | 90% | 86% | **no** |",
        "| gemm 2048³, float32 | 90% | not measured | – |",
        "| gemm 1024³, float32 under AVX2, of its own peak | 90% | 86% | **no** |",
        "| gemm, squares, against the faster of NumPy and PyTorch | 2.50× | 2.00× | **no** |",
        "| conv forward, direct, C and OC ≥ 32 | 85% | 82% | **no** |",
        "| conv dgrad, direct, C and OC ≥ 32 | 80% | 92% | yes |",
        "| conv, forward + backward, all shapes, against PyTorch's best layout: mean | 1.50× "
        "| 1.50× | yes |",
        "| Winograd against our direct forward, C and OC ≥ 64, maps ≥ 14 | 1.60× | 2.25× | yes |",
        "| max_pool2d, beyond the caches, each byte once, of axpy | 80% | 67% | **no** |",
        "| gemm: one thread to 2 | 1.85× | 1.80× | **no** |",
        "| resnet18 | 1.60× | 2.00× | 0.75× |",
        f"- 0.75× conv2d_backward_weight {CONV}",
        f"- torch: ValueError: no – 1, such as conv2d {CONV} (compiled)",
        "| gemm M1024 K1024 N1024 float32 | 5 ms ±20%<br>86% | 9 ms ±0%<br>95% "
        "| 10 ms ±0%<br>86% | 20 ms ±0%<br>21% | 10 ms ±0%<br>43% | 2.00× |",
        f"| max_pool2d {POOL.removesuffix(' float32')} | 2 ms ±0%<br>67% of axpy | – |",
        f"| {CONV.removesuffix(' float32')}<br>resnet18 "
        "| 148% (NCHW auto)<br>92% (channels-last)<br>1.60× "
        "| 185% (channels-last auto)<br>92% (channels-last)<br>2.00× "
        "| 185% (channels-last auto)<br>247% (NCHW)<br>**0.75×** | 1.50× |",
    ):
        assert line in lines


def test_goal_over_several_cases():
    from bench.goals import Goal

    assert Goal("all", 1.5, [(1.0, "a"), (4.0, "b")]).row() == [
        "all", "1.50×", "geometric mean 2.00×, least 1.00× (a); 1 of 2 reach it", "**no**"]
    assert Goal("mean", 1.5, [(1.0, "a"), (4.0, "b")], mean=True).row() == [
        "mean", "1.50×", "geometric mean 2.00×, least 1.00× (a)", "yes"]


def test_report_without_limits_and_peers(tmp_path):
    from bench import report

    run = run_by_hand()
    for measured in run["cases"].values():
        measured["limits"] = {}
        measured["times"] = {"fastdl": measured["times"]["fastdl"]}
    source, target = tmp_path / "run.json", tmp_path / "report.md"
    source.write_text(json.dumps(run), encoding="utf-8")
    report.main(["--saved", "--json", str(source), "-o", str(target)])
    lines = target.read_text(encoding="utf-8").splitlines()
    assert "| gemm M1024 K1024 N1024 float32 | 5 ms ±20%<br>429 GFLOP/s | – |" in lines
    assert row(lines, "gemm 1024³, float32").endswith("| not measured | – |")


def test_report_goes_into_its_place(tmp_path):
    from bench import pages, report

    begin, end = pages.markers(report.NAME)
    source, page = tmp_path / "run.json", tmp_path / "results.md"
    source.write_text(json.dumps(run_by_hand()), encoding="utf-8")
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n", encoding="utf-8")
    for _ in range(2):
        report.main(["--saved", "--json", str(source), "-o", str(page)])
        text = page.read_text(encoding="utf-8")
        assert text == (f"before\n{begin}\n\n{report.markdown(run_by_hand())}\n{end}"
                        "\nafter\n")
    with pytest.raises(ValueError, match="no place for a report"):
        pages.insert("", report.NAME, begin)


def test_plots(tmp_path):
    pytest.importorskip("matplotlib")
    from bench import plots
    from bench.figures import Figures

    figures = Figures(run_by_hand())
    forward = plots.peaks(figures).axes[0]
    # 3.699 GFLOP in 5 and 8 ms, of 500 GFLOP/s
    assert {line.get_label(): pytest.approx(line.get_ydata(), abs=0.1)
            for line in forward.lines[:2]} == {"fastdl": [148], "PyTorch, its best layout": [92.5]}
    curves = plots.ratios(figures).axes[0].lines
    assert [(line.get_label(), list(line.get_ydata())) for line in curves[:3]] == [
        ("forward", [1.6]), ("dgrad", [2.0]), ("wgrad", [0.75])]
    plots.draw(figures, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"conv-peak.png", "conv-ratios.png"}


@pytest.mark.parametrize(("arguments", "message"), [
    (["teleport"], "'teleport'; there are: activation, batchnorm, conv"),
    (["conv", "--shapes", "lenet"], "'lenet'; there are: alexnet, deep_convnet"),
    (["--members", "caffe"], "'caffe'; there are: fastdl, fastdl, 1 thread"),
])
def test_names_that_do_not_exist(arguments, message, capsys):
    from bench import report

    with pytest.raises(SystemExit):
        report.main(arguments)
    assert message in capsys.readouterr().err


# ---- running ----

def smallest_of_each_operation():
    smallest = {}
    for case in sorted(CASES, key=lambda case: case.bytes):
        smallest.setdefault((case.operation, getattr(case.shape, "fused", "")), case)
    return list(smallest.values())


@pytest.mark.parametrize("framework", ["torch", "numpy"])
def test_members_agree(framework, tmp_path, need_backend):
    """Every operation, its smallest case: fastdl's results are those of the peer."""
    from bench.members import MEMBERS, OURS, Process

    pytest.importorskip(framework)
    need_backend("cython")
    compared = 0
    with Process(MEMBERS[framework], 1) as peer, Process(MEMBERS[OURS], 1) as ours:
        for i, case in enumerate(smallest_of_each_operation()):
            expected = tmp_path / str(i)
            expected.mkdir()
            theirs, wrong = peer.prepare(case, expected)
            assert not wrong
            if theirs:
                timers, wrong = ours.prepare(case, expected)
                assert not wrong
                assert timers
                compared += 1
    assert compared == (len(smallest_of_each_operation()) if framework == "torch" else 1)


def test_run_goes_on_where_it_stopped(tmp_path, need_backend):
    from bench.run import Turns, run

    need_backend("cython")
    path = tmp_path / "run.json"
    cases = [case for case in CASES if case.name in ("relu N100 C16 28x28 float32",
                                                     "gemm M100 K4320 N100 B^T float32")]
    turns = Turns(rounds=2, block=0)
    nothing = run(path, cases, ["fastdl", "numpy"], 1, turns, budget=-1)
    assert nothing["cases"] == {}
    first = run(path, cases[:1], ["fastdl", "numpy"], 1, turns)
    both = run(path, cases, ["fastdl", "numpy"], 1, turns)
    assert json.loads(path.read_text(encoding="utf-8")) == both
    gemm, relu = (both["cases"][case.name] for case in cases)
    assert gemm == first["cases"][cases[0].name]            # as it was, not measured again
    assert {member: {variant: len(seconds) for variant, seconds in variants.items()}
            for member, variants in gemm["times"].items()} == {"fastdl": {"NCHW": 2},
                                                               "numpy": {"matmul": 2}}
    assert set(relu["times"]) == {"fastdl"}
    if shutil.which("cc"):
        assert {name: len(rates) for name, rates in gemm["limits"].items()} == {
            "float32 native 1": 2, "memory native 1": 2}
    with pytest.raises(ValueError, match="is of threads 1, this is 2: ratios come from one run"):
        run(path, cases, ["fastdl"], 2, turns)


def test_no_compiler_no_peak(monkeypatch):
    from bench.peak import Peak, PeakError

    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(PeakError, match="no C compiler"):
        Peak()


def test_a_framework_that_is_not_there():
    from bench.members import Member, Process
    from fastdl.benchmark.processes import MemberError

    with pytest.raises(MemberError, match=r"No module named 'bench\.with_caffe'"):
        Process(Member("caffe"), 1)
