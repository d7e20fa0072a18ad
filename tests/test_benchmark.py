"""`fastdl.benchmark`: the shapes, the work they are, checks and turns. No time is asserted."""

import math
from functools import partial

import numpy as np
import pytest

import fastdl as fd
from fastdl import benchmark
from fastdl.benchmark import cases, runs, timing
from fastdl.benchmark.shapes import Conv, convolutions, products
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
    rows = benchmark.compare(["relu", "adam_update"], repeats=1, progress=False)
    assert [(row.operation, row.backend) for row in rows] == [
        (operation, backend) for operation in ("relu", "adam_update") for backend in usable]
    reference = {row.operation: row for row in rows if row.backend == "reference"}
    for row in rows:
        assert row.seconds > 0
        assert row.ratio == reference[row.operation].seconds / row.seconds
    text = benchmark.as_table(rows)
    for name in ("relu", "adam_update", *usable):
        assert name in text


def test_compare_shows_a_bar(capfd):
    benchmark.compare(["adam_update"], repeats=1)
    out, err = capfd.readouterr()
    assert "adam_update" in err
    assert out == ""


@pytest.mark.parametrize(("arguments", "message"), [
    ({"operations": ["teleport"]}, "no case of operation 'teleport'; there are: gemm, conv2d, "),
    ({"repeats": 0}, "repeats must be at least 1, got 0"),
])
def test_compare_rejects(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        benchmark.compare(**arguments, progress=False)



# ---- the shapes ----

def network(name):
    return [(shape, sets[name]) for shape, sets in convolutions().items() if name in sets]


# Weights of all convolutions, without those of batch norm. What is known is the number of all
# parameters; dense layers and the two parameters of each batch-norm channel come off.
DENSE = 1000                    # classes
WEIGHTS = {
    "resnet18": 11_689_512 - (512 + 1) * DENSE - 2 * 4800,
    "resnet50": 25_557_032 - (2048 + 1) * DENSE - 2 * 26_560,
    "vgg16": 138_357_544 - (25_088 + 1) * 4096 - (4096 + 1) * 4096 - (4096 + 1) * DENSE,
    "alexnet": 61_100_840 - (9216 + 1) * 4096 - (4096 + 1) * 4096 - (4096 + 1) * DENSE,
    "googlenet": 6_624_904 - (1024 + 1) * DENSE - 2 * 7280,
    "mobilenet_v1": 4_231_976 - (1024 + 1) * DENSE - 2 * 10_944,
}
# Billions of multiplications with additions for one image, dense layers included, as published.
GMACS = {"resnet18": (1.81, 512), "resnet50": (4.09, 2048), "vgg16": (15.47, 123_633.664),
         "alexnet": (0.71, 58_621.952), "googlenet": (1.50, 1024), "mobilenet_v1": (0.569, 1024)}


@pytest.mark.parametrize("name", WEIGHTS)
def test_parameters_of_networks(name):
    assert sum(count * (math.prod(shape.w) + shape.OC * shape.bias)
               for shape, count in network(name)) == WEIGHTS[name]


@pytest.mark.parametrize("name", GMACS)
def test_arithmetic_of_networks(name):
    published, dense_inputs = GMACS[name]
    shapes = network(name)
    macs = sum(count * shape.flops // 2 for shape, count in shapes) / shapes[0][0].N
    digits = len(str(published).partition(".")[2])
    assert round((macs + dense_inputs * DENSE) * 1e-9, digits) == published


def test_depthwise_convolutions_of_mobilenet_v2():
    """From the table of the paper (arXiv 1801.04381): t, c, n, s; the first input is 32 x 112^2."""
    expected, channels, size = {}, 32, 112
    for t, c, n, s in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                       (6, 160, 3, 2), (6, 320, 1, 1)):
        for stride in (s, *[1] * (n - 1)):
            key = channels * t, size, stride
            expected[key] = expected.get(key, 0) + 1
            channels, size = c, size // stride
    assert {(shape.C, shape.H, shape.stride): count
            for shape, count in network("mobilenet_v2")} == expected
    assert all(shape.depthwise and (shape.K, shape.padding) == (3, 1)
               for shape, _ in network("mobilenet_v2"))


@pytest.mark.parametrize("name", ["simple_convnet", "deep_convnet"])
def test_convolutions_of_the_course(name):
    model = getattr(fd.models, name)()
    filters = sorted(w.shape for key, w in model.params.items() if w.ndim == 4)
    assert sorted(shape.w for shape, count in network(name) for _ in range(count)) == filters
    assert all(shape.bias and shape.N == 100 for shape, _ in network(name))
    # The maps: what a dense layer takes is what the last pooled map holds.
    dense = next(w for w in model.params.values() if w.ndim == 2)
    _, OC, OH, OW = network(name)[-1][0].y
    assert max(dense.shape) == OC * (OH // 2) * (OW // 2)


def test_output_shape():
    shape = Conv(N=2, C=6, H=9, W=8, OC=4, K=3, stride=2, padding=1, dilation=2, groups=2,
                 bias=True)
    y = fd.ops.conv2d(np.zeros(shape.x), np.zeros(shape.w), None, *shape.window)
    assert shape.y == y.shape == (2, 4, 4, 3)
    assert str(shape) == "N2 C6 9x8 OC4 3x3 stride2 padding1 dilation2 groups2 bias"


def test_dense_layers_are_three_products_each():
    dense = [shape for shape, sets in products().items() if "dense" in sets]
    for batch, inputs, outputs in ((100, 4320, 100), (128, 2048, 2048), (256, 7200, 512)):
        assert (batch, inputs, outputs, False, True) in dense           # y = x w^T
        assert (batch, outputs, inputs, False, False) in dense          # dx = dy w
        assert (outputs, batch, inputs, True, False) in dense           # dw = dy^T x
    assert len(dense) == 9


# ---- the cases ----

def case_named(name):
    return next(case for case in cases.CASES if case.name == name)


def test_work_of_the_cases():
    assert len({case.name for case in cases.CASES}) == len(cases.CASES)
    assert case_named("gemm M100 K4320 N100 B^T float32").flops == 86_400_000
    # 2 operations for each of 100*16*28*28 outputs and 16*3*3 taps
    conv = case_named("conv2d N100 C16 28x28 OC16 3x3 padding1 bias float32")
    assert conv.flops == 361_267_200
    assert conv.terms == 144
    # x and y have 1254400 elements each, the filters 2304
    assert conv.bytes == 4 * (2 * 1_254_400 + 2304)
    # x and dx, y and dy: 1254400 and 313600 floats; argmax: 313600 bytes
    for name in ("max_pool2d", "max_pool2d_backward"):
        pool = case_named(f"{name} N100 C16 28x28 2x2 stride2 padding0 float32")
        assert (pool.flops, pool.bytes, pool.streamed) == (0, 6_585_600, 6_585_600)
    # Adam reads w, dw, m, v and writes w, m, v
    assert case_named("adam_update 10000000 parameters float32").bytes == 280_000_000
    # 32*64*112*112 floats: x, residual, y once; x twice for the statistics first
    fused = "N32 C64 112x112 +add+relu float32"
    size = 4 * 25_690_112
    assert case_named(f"batch_norm {fused}").bytes == 3 * size
    assert case_named(f"batch_norm {fused}").streamed == 4 * size
    # dy, x, y, dx and the residual's gradient once; dy, x, y twice
    assert case_named(f"batch_norm_backward {fused}").bytes == 5 * size
    assert case_named(f"batch_norm_backward {fused}").streamed == 8 * size


def test_arguments_are_as_large_as_the_bytes_say():
    """What is read and written, added up from the arrays themselves."""
    for name in ("relu_backward N100 C16 28x28 float32", "avg_pool2d N100 C16 28x28 2x2 stride2 "
                 "padding0 float32", "im2col N100 C1 28x28 5x5 stride1 padding0 float32",
                 "gemm M100 K4320 N100 B^T float32", "sigmoid N32 C64 28x28 float32"):
        case = case_named(name)
        arrays = case.arrays()
        results = runs.prepared(case, arrays)()
        assert sum(a.nbytes for a in (*arrays.values(), *results)) == case.bytes, name


def test_selection():
    assert cases.select() == list(cases.CASES)
    chosen = cases.select(["conv"], ["resnet18"])
    assert {case.family for case in chosen} == {"conv"}
    assert all("resnet18" in case.sets for case in chosen)
    assert len(chosen) == 3 * len(network("resnet18"))


def made_up(monkeypatch, run):
    """A case that `run` stands for."""
    monkeypatch.setitem(runs.FUNCTIONS, "relu", run)
    return next(case for case in cases.CASES if case.operation == "relu")


def test_backends_that_are_not_usable_are_left_out(monkeypatch):
    def run(shape, a, *, backend):
        if backend == "numba":
            raise BackendUnavailableError("not installed")
        return (np.array([1.0, -4.0]),)

    runners = benchmark.runners(made_up(monkeypatch, run))
    assert list(runners) == ["reference", "cython"]
    assert runners["cython"]()[0].tolist() == [1, -4]


@pytest.mark.parametrize(("wrong", "message"), [
    ([1.0, -4.01], "relu N32 .*: result 0 of cython is wrong: it differs .* by up to 0.01"),
    ([1.0, np.nan], "result 0 of cython is wrong"),
    ([1.0], r"result 0 of cython is \(1,\), expected \(2,\)"),
])
def test_wrong_results_are_not_timed(wrong, message, monkeypatch):
    def run(shape, a, *, backend):
        return (np.array(wrong if backend == "cython" else [1.0, -4.0]),)

    with pytest.raises(FastdlError, match=message):
        benchmark.runners(made_up(monkeypatch, run))


def test_tolerance_grows_with_the_sum():
    """144 terms: 8 roundings times 12, of the largest value."""
    case = case_named("conv2d N100 C16 28x28 OC16 3x3 padding1 bias float32")
    allowed = 8 * 12 * 2.0**-23
    expected = [np.array([1.0, -2.0])]
    timing.check(case, "us", [np.array([1.0 + 1.9 * allowed, -2.0])], expected)
    with pytest.raises(FastdlError, match="is wrong"):
        timing.check(case, "us", [np.array([1.0 + 2.1 * allowed, -2.0])], expected)


def test_turns_are_taken():
    log = []

    def timer(name, seconds, calls):
        log.append((name, calls))
        return seconds

    timers = {"slow": partial(timer, "slow", 2.0), "fast": partial(timer, "fast", 0.25)}
    seconds = timing.interleaved(timers, rounds=2, block=1.0, pause=0)
    assert seconds == {"slow": [2.0, 2.0], "fast": [0.25, 0.25]}
    # one call to learn how many fill a second, then in turns
    assert log == [("slow", 1), ("fast", 1)] + 2 * [("slow", 1), ("fast", 4)]
