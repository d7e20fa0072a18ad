"""``bench/gpu.py``: its checks run in the simulator, and a part that fails leaves the others."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import SIMULATED

import fastdl as fd


@pytest.fixture
def gpu(device, monkeypatch):
    """The module; on a GPU it is run by hand."""
    if not SIMULATED:
        pytest.skip("the checks at tiny sizes are for the simulator")
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    return pytest.importorskip("bench.gpu")


def test_checks(gpu, tmp_path, capsys):
    table = tmp_path / "table.md"
    assert gpu.main(["--simulate", "--parts", "compiled", "limits", "gemm", "memory", "steps",
                     "course", "torch_compile", "--json", str(tmp_path / "gpu.json"),
                     "-o", str(table)]) == 0
    assert "nothing was measured" in table.read_text()
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert {row["part"] for row in found["rows"]} == {"gemm", "dispatch", "memory", "steps",
                                                      "course"}
    assert not any("seconds" in row for row in found["rows"])
    assert found["skipped"] == ["MLP, batch 3, beside torch.compile: without PyTorch"]


def test_a_part_that_fails_and_a_budget_that_ends(gpu, tmp_path, monkeypatch, capsys):
    def broken(bench):
        raise RuntimeError("no luck")
        yield

    monkeypatch.setitem(gpu.PARTS, "conv", broken)
    options = ["--simulate", "--json", str(tmp_path / "gpu.json")]
    assert gpu.main([*options, "--parts", "conv", "compiled"]) == 1
    text = capsys.readouterr().out
    assert "conv failed: RuntimeError: no luck" in text
    assert "first launch" in text
    assert gpu.main([*options, "--parts", "compiled", "gemm", "--budget", "0"]) == 0
    assert ("skipped: compiled: the budget is spent; gemm: the budget is spent"
            in capsys.readouterr().out)


def test_what_is_said_of_measured_rows(gpu):
    row = {"part": "gemm", "case": "M", "error": 1e-7, "flops": 2e9, "bytes": 0, "note": "",
           "seconds": {"fastdl": 0.001, "PyTorch": 0.0005}}
    text = gpu.line_of(row, {"flop/s": 4e12})
    assert "1000.0 µs" in text
    assert "50.0% of the product's" in text
    assert "0.50 x as fast" in text
    bench = type("Bench", (), {
        "facts": {"device": "A GPU"}, "limits": {"flop/s": 4e12, "flop/s TF32": 40e12},
        "rows": [row], "simulated": False})
    float32 = "| M | 1000.0 | 2000 |  | 50% |  |  | 0.50 |"
    assert float32 in gpu.table(bench)
    assert "In TF32" not in gpu.table(bench)
    row["seconds"] |= {"fastdl TF32": 1e-4, "kernel TF32": 2e-4, "PyTorch TF32": 5e-5}
    above, _, below = gpu.table(bench).partition("In TF32:")
    assert float32 in above
    assert "| M | 100.0 | 20000 |  | 50% | 2.00 |  | 0.50 |" in below


# ---- goals, of invented figures ----

def row(part, case, moved=0.0, **seconds):
    return {"part": part, "case": case, "bytes": moved,
            "seconds": {name.replace("_", " "): value for name, value in seconds.items()}}


def test_goals(gpu):
    from bench import gpu_goals

    rows = [
        row("memory", "ReLU", 8e8, fastdl=1e-3, PyTorch=1.5e-3),
        row("memory", "Adam", 6e8, fastdl=1e-3, PyTorch=9e-4),
        row("gemm", "1024 x 1024 x 1024", fastdl=1.0, kernel=1.0, PyTorch=0.1),
        row("gemm", "4096 x 4096 x 4096", fastdl=0.5, kernel=1.0, PyTorch=0.75),
        row("dispatch", "a", fastdl=1.0, kernel=1.0, cuBLASLt=1.5, fastdl_TF32=1.0,
            kernel_TF32=0.9, cuBLASLt_TF32=1.5),
        row("conv", "a", fastdl=1.0, PyTorch=0.2, PyTorch_TF32=0.1),
        row("conv", "b", fastdl=1.0, PyTorch=5.0, fastdl_TF32=0.5, PyTorch_TF32=0.2),
        row("steps", "MLP, batch 100", fastdl=1.0, PyTorch=4.0, PyTorch_graph=1.2),
        row("steps", "DeepConvNet, batch 100", fastdl=1.0, PyTorch=2.5, PyTorch_graph=2.0),
        row("steps", "DeepConvNet, batch 100, beside", fastdl=2.0, PyTorch_compiled=1.8),
        row("steps", "ResNet-18, batch 64", fastdl=1.0, PyTorch=0.7, PyTorch_TF32=0.5,
            fastdl_TF32=1.0),
    ]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]]
             for line in gpu_goals.table(rows, {"bytes/s": 1e12}).splitlines()[2:]]
    assert [line[1:] for line in lines] == [
        ["0.8", "0.60 (least: Adam, 0.60)", "2", "no"],
        ["1", "0.90 (least: Adam, 0.90)", "2", "no"],
        ["0.7", "0.75", "1", "yes"],
        ["0.95", "1.00", "1", "yes"],
        ["0.95", "0.90", "1", "no"],
        ["0.6", "1.00 (least: a, 0.20)", "2", "yes"],       # the root of 0.2 times 5
        ["0.5", "0.40", "1", "no"],
        ["3", "2.50 (least: DeepConvNet, batch 100, 2.50)", "2", "no"],
        ["1", "0.90 (least: DeepConvNet, batch 100, beside, 0.90)", "3", "no"],
        ["0.6", "0.70", "1", "yes"],
        ["0.6", "0.50", "1", "no"],
        ["5", "not measured", "0", ""],
    ]


def test_goals_that_nothing_was_measured_of(gpu):
    from bench import gpu_goals

    assert gpu_goals.table([], {}).count("not measured") == len(gpu_goals.GOALS)


# ---- peers: what of them runs without a GPU ----

class Fake:
    """A run that times by what the calls say of themselves."""

    def __init__(self, torch=None):
        self.torch, self.allowed = torch, []

    def precision(self, tf32):
        self.allowed.append(tf32)
        return contextlib.nullcontext()

    def event_seconds(self, call, times, peer):
        return call()


def test_the_fastest_variant_is_the_peer(gpu, capsys):
    from bench import gpu_peers

    def cannot():
        raise RuntimeError("no compiler\nand more")

    bench = Fake()
    calls, text = gpu_peers.fastest(bench, "PyTorch TF32", {
        "slow": lambda: lambda: 3.0, "fast": lambda: lambda: 1.0, "cannot": cannot})
    assert list(calls) == ["PyTorch TF32"]
    assert calls["PyTorch TF32"]() == 1.0
    assert text == "PyTorch TF32: fast"
    assert all(bench.allowed)
    assert "PyTorch TF32, cannot: RuntimeError: no compiler\n" in capsys.readouterr().out
    assert gpu_peers.fastest(bench, "PyTorch", {"cannot": cannot}) == ({}, "")


def test_convolutions_in_both_layouts(gpu, torch, rng):
    from bench import gpu_peers

    x, w, dy = (rng.standard_normal(shape) for shape in ((2, 4, 5, 5), (6, 2, 3, 3), (2, 6, 3, 3)))
    window = 2, 1, 1, 2
    passes = gpu_peers.convolution(Fake(torch), [torch.from_numpy(a) for a in (x, w, dy)], window)
    dx, dw, _ = fd.ops.conv2d_backward(dy, x, w, *window)
    for name, expected in (("forward", fd.ops.conv2d(x, w, None, *window)), ("dgrad", dx),
                           ("wgrad", dw)):
        for make in gpu_peers.in_layouts(passes[name]).values():
            np.testing.assert_allclose(make()().numpy(), expected, rtol=1e-10, atol=1e-10)


def test_the_course_with_another_numpy(gpu, rng):
    from bench import gpu_peers
    from bench.course import layers

    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, 3, 6, 6), (4, 3, 3, 3)))
    y, dx = gpu_peers.course_convolution(np, x, w)()
    expected = fd.ops.conv2d(x, w)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dx, fd.ops.conv2d_backward(expected, x, w)[0], rtol=1e-4, atol=1e-4)
    assert y.dtype == dx.dtype == np.float32
    assert layers.np is np


@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_steps_by_pytorch(gpu, torch, rng, monkeypatch, optimizer):
    """On the host, where they must learn a batch, in both layouts alike."""
    from bench import gpu_peers
    from fastdl.benchmark.steps.networks import Network

    for kind in (torch.Tensor, torch.nn.Module):
        monkeypatch.setattr(kind, "cuda", lambda self: self)
    network = Network("SimpleConvNet", "simple_convnet", 2, 3, 28, 5, optimizer)
    x, t = rng.standard_normal((2, 3, 28, 28)).astype(np.float32), np.array([1, 3])
    steps = gpu_peers.Steps(Fake(torch), network, x, t)
    losses = []
    for channels_last in (False, True):
        torch.manual_seed(0)
        parts = loss_of, images, _ = steps._parts(channels_last)
        assert images.is_contiguous(memory_format=torch.channels_last) == channels_last
        monkeypatch.setattr(steps, "_parts", lambda *_, parts=parts: parts)
        step = steps.eager(channels_last)()
        monkeypatch.delattr(steps, "_parts")
        losses.append([loss_of(images).item(), step() or loss_of(images).item()])
    assert losses[0][1] < losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
