"""Whole steps: the networks as data, members' processes, and the report of a run made by hand.

No time is asserted.
"""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd
from fastdl import cli, initializers
from fastdl.benchmark import steps
from fastdl.benchmark.processes import MemberError
from fastdl.benchmark.steps import worker
from fastdl.benchmark.steps.heats import EAGER, MEMBERS, OURS, Member, Turns, heat
from fastdl.benchmark.steps.networks import CASES, NETWORKS, SMALL, Case, description

FEW = Turns(rounds=2, block=0)
MLP = SMALL[2]


@pytest.fixture
def bench(monkeypatch):
    """The folder bench/ of the repository as a package."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    pytest.importorskip("bench")


@pytest.fixture
def quick(monkeypatch):
    """Weights of zeros, which take neither time nor memory."""
    for name in ("he", "fan_in_uniform"):
        monkeypatch.setitem(initializers._BY_NAME, name, initializers.zeros)


# ---- the networks ----

def test_names_of_cases_are_their_own():
    assert len({case.name for case in CASES}) == len(CASES) == 2 * len(NETWORKS)
    assert CASES[1].name == "SimpleConvNet 100 inference"


def test_description():
    class Net(fd.Module):
        def __init__(self):
            self.conv = fd.layers.Conv2d(3, 4, 3, padding=1, bias=False)

        def connect(self, x):
            y = fd.relu(self.conv(x))
            return fd.concat([y, y + y])

    conv, *others = description(Net().graph)
    assert (conv["kind"], conv["inputs"], conv["padding"], conv["bias"]) == (
        "Conv2d", [0], (1, 1), False)
    assert [(layer["kind"], layer["inputs"]) for layer in others] == [
        ("ReLU", [1]), ("Add", [2, 2]), ("Concat", [2, 3])]
    json.dumps([conv, *others])


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.title)
def test_pytorch_builds_the_same_network(network):
    """As many parameters, from the description alone; and the right scores come out."""
    torch = pytest.importorskip("torch")
    from fastdl.benchmark.steps.with_torch import Net

    net = network.build()
    with torch.device("meta"):
        twin = Net(json.loads(json.dumps(description(net.graph))))
        scores = twin(torch.empty(2, network.channels, network.size, network.size))
    assert scores.shape == (2, network.classes)
    assert [tuple(w.shape) for w in twin.parameters()] == [
        w.shape for layer in net.graph.layers() for w in layer.params.values()]


@pytest.mark.parametrize("name", ["densenet121", "googlenet", "mobilenet_v2", "resnet18",
                                  "squeezenet1_1"])
def test_pytorch_computes_the_same(name, rng):
    """Joins, and ReLUs that write into their inputs, forward and backward."""
    torch = pytest.importorskip("torch")
    from fastdl.benchmark.steps.with_torch import Net

    fd.seed(0)
    options = {"aux_logits": False} if name == "googlenet" else {}
    net = fd.models.create(name, num_classes=4, **options).astype("float64").eval()
    twin = Net(description(net.graph)).double().eval()
    ours = [layer for layer in net.graph.layers() if layer.params]
    with torch.no_grad():
        weights = [w for layer in ours for w in layer.params.values()]
        for theirs, w in zip(twin.parameters(), weights, strict=True):
            theirs.copy_(torch.tensor(w))
    x = rng.standard_normal((2, 3, 48, 48))
    images = torch.tensor(x, requires_grad=True)
    scores = twin(images)
    dy = rng.standard_normal(scores.shape)
    scores.backward(torch.tensor(dy))
    np.testing.assert_allclose(net.forward(x), scores.detach(), rtol=1e-9)
    np.testing.assert_allclose(net.backward(dy), images.grad, rtol=1e-7, atol=1e-10)


# ---- the members ----

def measured(*names, training=True, **members):
    return heat(Case(MLP, training), {name: MEMBERS[name] for name in names} | members, 1, FEW)


@pytest.mark.parametrize("training", [True, False])
def test_heat(training, need_backend):
    need_backend("cython")
    found = measured(OURS, EAGER, training=training)
    for name in (OURS, EAGER):
        assert len(found["seconds"][name]) == FEW.rounds
        assert found["resources"][name]["peak"] > 1 << 20
        losses = found["losses"][name]
        if training:
            assert worker.WARM_UP <= len(losses) <= worker.PATIENCE
            assert losses[-1] < losses[0]
        else:
            assert losses == []
    assert found["versions"]["fastdl"] == fd.__version__


@pytest.mark.parametrize("training", [True, False])
def test_heat_with_pytorch(training):
    pytest.importorskip("torch")
    found = measured("PyTorch", "PyTorch, channels-last", training=training)
    assert set(found["seconds"]) == {"PyTorch", "PyTorch, channels-last"}
    assert "torch" in found["versions"]


def test_a_framework_that_is_not_there():
    with pytest.raises(MemberError, match=r"^Caffe: ModuleNotFoundError: .*'no_caffe'"):
        measured(Caffe=Member("no_caffe"))


class Told:
    """A framework that gives what it is told."""

    @staticmethod
    def training(network, layers, x, ts, options):
        assert x.shape == (100, 1, 28, 28)
        assert ts.shape == (worker.LABELS, 100)
        return lambda i: next(options["losses"])

    @staticmethod
    def inference(network, layers, x, options):
        return lambda: np.full(options["shape"], options["score"])


@pytest.fixture
def told(monkeypatch):
    monkeypatch.setattr(worker.importlib, "import_module", lambda name: Told)
    return lambda training, **options: worker.Worker("told", options).prepare(
        list(MLP), [], training)


@pytest.mark.parametrize("loss", [2.3, float("nan")])
def test_who_does_not_train_is_not_timed(told, loss):
    with pytest.raises(fd.FastdlError, match=r"the loss does not fall: .* in 32 steps"):
        told(True, losses=itertools.repeat(loss))


def test_a_loss_may_rise_at_first(told):
    losses = [2.0, *[2.5] * worker.WARM_UP, 1.5, 1.0]
    assert told(True, losses=iter(losses)) == losses[:-1]


@pytest.mark.parametrize(("shape", "score"), [((100, 9), 1.0), ((100, 10), float("inf"))])
def test_wrong_scores_are_not_timed(told, shape, score):
    with pytest.raises(fd.FastdlError, match=r"scores are \(100, .* or not finite"):
        told(False, shape=shape, score=score)
    assert told(False, shape=(100, 10), score=0.5) == []


def test_courses_network_trains(bench):
    from bench.steps import with_course

    network = SMALL[1]._replace(batch=4)
    rng = np.random.default_rng(0)
    layers = description(network.build().graph)
    x, ts = rng.random((4, 1, 28, 28), np.float32), rng.integers(0, 10, (1, 4))
    step = with_course.training(network, layers, x, ts, {})
    losses = [step(0) for _ in range(30)]
    assert min(losses[-3:]) < losses[0]
    assert with_course.inference(network, layers, x, {})().shape == (4, 10)


# ---- the command line ----

def test_command_line(monkeypatch, capsys):
    def compare(threads):
        assert threads == fd.get_num_threads()
        return [steps.Row(Case(MLP, True), 0.001, None), steps.Row(Case(MLP, False), 0.001, 0.0005)]

    monkeypatch.setattr(steps, "compare", compare)
    assert cli.main(["bench", "--steps"]) == 0
    first, second = capsys.readouterr().out.splitlines()[1:]
    assert first.split()[-3:] == ["1.00", "–", "–"]
    assert second.split()[-3:] == ["1.00", "0.50", "x0.50"]


def test_compare(monkeypatch, need_backend):
    need_backend("cython")
    monkeypatch.setattr(steps, "SMALL", (MLP,))
    monkeypatch.setattr(steps.importlib.util, "find_spec", lambda name: None)
    rows = steps.compare(1, FEW, progress=False)
    assert [(row.case, row.torch) for row in rows] == [(Case(MLP, True), None),
                                                       (Case(MLP, False), None)]


# ---- the report ----

def by_hand():
    def entry(other, ours_ms, theirs_ms, ours_peak=1.0, theirs_peak=1.0, faults=0):
        return {"at": "2026-01-02T03:04:05+00:00",
                "seconds": {"fastdl": [ms * 1e-3 for ms in ours_ms],
                            other: [ms * 1e-3 for ms in theirs_ms]},
                "losses": {}, "versions": {"python": "3.11.7"},
                "resources": {"fastdl": {"peak": ours_peak * 2**30, "faults": faults},
                              other: {"peak": theirs_peak * 2**30, "faults": 9}}}

    return {
        "facts": {"machine": "Abacus 3000", "cores": 2, "system": "Linux", "threads": 2,
                  "commit": "0123456789abcdef", "dirty": False},
        "rounds": 3,
        "cases": {
            "SimpleConvNet 100 training | PyTorch": entry("PyTorch", [2, 2, 2], [10, 10, 10]),
            "SimpleConvNet 100 training | JAX": entry("JAX", [1, 1, 1], [3, 3, 3]),
            "SimpleConvNet 100 training | NumPy, as in courses": entry(
                "NumPy, as in courses", [2, 2, 2], [80, 72, 88]),
            "ResNet-50 8 training | PyTorch": entry("PyTorch", [100], [250], 3.0, 4.0, 2),
            "AlexNet 32 training | PyTorch": entry("PyTorch", [100], [160]),
            "AlexNet 32 inference | PyTorch": entry("PyTorch", [16, 16, 16], [32, 16, 8]),
            "AlexNet 32 inference | JAX": {"at": "2026-01-02T03:05:05+00:00",
                                           "left_out": "JAX: ended with status 9"},
        },
    }


def test_report(bench, tmp_path, capsys):
    from bench.steps import report

    path = tmp_path / "run.json"
    path.write_text(json.dumps(by_hand()), encoding="utf-8")
    report.main(["--saved", "--json", str(path)])
    lines = capsys.readouterr().out.splitlines()
    for line in (
        "- commit 0123456789ab; 2 threads",
        "- 6 heats, 3 rounds in turns each",
        "| SimpleConvNet 100 training, against the fastest peer | 4× | 3.00× (JAX) | **no** |",
        "| DeepConvNet 100 training, against the fastest peer | 2.5× | not measured | – |",
        "| AlexNet 32 training, against the fastest peer | 1.2× | 1.60× (PyTorch) | yes |",
        "| 224 × 224, training: geometric mean | 1.5× | 2.00× of 2 | yes |",
        "| AlexNet 32 inference, against the fastest peer | 1.2× | 1.00× (PyTorch) | **no** |",
        "| SimpleConvNet 100 training, against NumPy, as in courses | 35× | 40.0× | yes |",
        "| ResNet-50 8 training, peak memory, of PyTorch's least | ≤ 80% | 75% | yes |",
        "| page faults of a warm training step, every network | 0 "
        "| at most 2 (ResNet-50 8 training) | **no** |",
        "| network, batch | fastdl | PyTorch | JAX | NumPy, as in courses "
        "| against the fastest peer |",
        # Ours: 2, 2, 2, 1, 1, 1, 2, 2, 2 ms, whose quartiles are 1 and 2.
        "| SimpleConvNet, 100 | 2 ms ±25% | 10 ms ±0%<br>5.00× | 3 ms ±0%<br>3.00× "
        "| 80 ms ±5%<br>40.00× | 3.00× |",
        "| AlexNet, 32 | 2000 ±0% | 2000 ±38%<br>1.00× | 1.00× |",
        "| ResNet-50 8 training | 3.00 | 4.00 | – | – | 2 |",
        "- AlexNet 32 inference | JAX: JAX: ended with status 9",
    ):
        assert line in lines


def test_plot(bench, tmp_path):
    pytest.importorskip("matplotlib")
    from bench.steps import plots
    from bench.steps.figures import Figures

    training, inference = plots.ratios(Figures(by_hand())).axes[0].lines[:2]
    assert list(training.get_xdata()) == pytest.approx([3.0, 1.6, 2.5])
    assert (list(inference.get_xdata()), list(inference.get_ydata())) == ([1.0], [1])
    plots.draw(Figures(by_hand()), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["steps.png"]


def test_run_goes_on_where_it_stopped(bench, tmp_path, need_backend):
    from bench.steps.run import run

    need_backend("cython")
    path, case = tmp_path / "run.json", Case(MLP, False)
    first = run(path, [case], [EAGER], 1, FEW)
    both = run(path, [case], [EAGER, "NumPy, as in courses"], 1, FEW)
    # The course has no such network.
    assert both == first == json.loads(path.read_text(encoding="utf-8"))
    assert list(both["cases"]) == [f"{case.name} | {EAGER}"]
    with pytest.raises(ValueError, match="is of threads 1, this is 2"):
        run(path, [case], [EAGER], 2, FEW)


def test_peak_memory_is_the_process_own():
    """Not that of the one which started it."""
    here = np.ones(50_000_000)
    code = "from fastdl.benchmark.steps import worker; print(worker._peak_memory())"
    peak = float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True,
                                text=True).stdout)
    assert 5e6 < peak < 250e6 < here.nbytes
