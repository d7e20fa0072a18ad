"""Products by cuBLASLt: what it is asked for, and when; a library in Python stands for NVIDIA's.

It multiplies what lies in the simulator's memory, column by column, as cublasLt.h says.
"""

import ctypes
import itertools

import numpy as np
import pytest
from comparison import assert_same
from conftest import SIMULATED

import fastdl as fd

pytestmark = pytest.mark.usefixtures("device")


class Library:
    """The functions; `calls` are the products, each as a dictionary."""

    def __init__(self, failing=(), finds=1):
        self.failing, self.finds, self.calls, self.things = failing, finds, [], {}

    def __getattr__(self, name):
        method = getattr(type(self), f"_{name.removeprefix('cublasLt')}")

        def function(*arguments):
            if name.removeprefix("cublasLt") in self.failing:
                return 15
            return method(self, *arguments) or 0

        setattr(self, name, function)           # which, like those of ctypes, takes attributes
        return function

    def _GetStatusName(self, status):
        return f"CUBLAS_STATUS_{status}".encode()

    def _GetVersion(self):
        return 130002

    def _make(self, target, *numbers):
        handle = len(self.things) + 1
        self.things[handle] = {"numbers": numbers}
        target._obj.value = handle

    _Create = _MatmulDescCreate = _MatrixLayoutCreate = _MatmulPreferenceCreate = _make

    def _set(self, thing, attribute, value, size):
        assert size == ctypes.sizeof(value._obj)
        self.things[thing.value][attribute] = value._obj.value

    _MatmulDescSetAttribute = _MatrixLayoutSetAttribute = _MatmulPreferenceSetAttribute = _set

    def _MatmulPreferenceDestroy(self, thing):
        del self.things[thing.value]

    def _MatmulAlgoGetHeuristic(self, handle, operation, a, b, c, d, wishes, asked, found, count):
        self.wishes = dict(self.things[wishes.value])
        found._obj.algorithm[0], found._obj.workspace, count._obj.value = 77, 1000, self.finds

    def _Matmul(self, handle, operation, alpha, a, of_a, b, of_b, beta, c, of_c, d, of_d, algorithm,
                workspace, size, stream):
        assert (c, size, algorithm._obj[0]) == (d, 1000, 77)
        about = self.things[operation.value]
        self.calls.append({"compute": about["numbers"][0], "epilogue": about.get(7),
                           "layouts": [self.things[of.value] for of in (of_a, of_b, of_d)]})
        alpha, beta = alpha._obj.value, beta._obj.value
        for image in range(self.things[of_d.value].get(5, 1)):
            left, right, result = (self._columns(*pair, image)
                                   for pair in ((a, of_a), (b, of_b), (d, of_d)))
            product = alpha * (left.T if about[3] else left) @ (right.T if about[4] else right)
            if about.get(7) == 4:
                product += _floats(about[8], len(product))[:, None]
            result[:] = product + (beta * result if beta else 0)

    def _columns(self, address, of, image):
        """A matrix of columns one after another; those of a batch have a step between them."""
        about = self.things[of.value]
        kind, rows, columns, pitch = about["numbers"]
        assert kind == 0
        assert pitch >= rows
        begin = address + 4 * image * about.get(6, 0)
        whole = _floats(begin, pitch * (columns - 1) + rows)
        return np.lib.stride_tricks.as_strided(whole, (rows, columns), (4, 4 * pitch))


def _floats(address, count):
    return np.ctypeslib.as_array((ctypes.c_float * count).from_address(address))


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """``installed(library, is_faster)``: it is what is there, and found to be faster, or not."""
    from fastdl._kernels.gemm import _cuda
    from fastdl.cuda import _choice, _compat, _cublas

    if not SIMULATED:
        pytest.skip("of the simulator's memory")
    monkeypatch.setenv("FASTDL_CUDA_CACHE", str(tmp_path))
    monkeypatch.setattr(_cuda, "PLAIN_BELOW", 0)
    caches = _cublas.library, _cublas.prepared, _choice._known

    def forget():
        for function in caches:
            function.cache_clear()

    def use(library, is_faster=True):
        forget()
        monkeypatch.setattr(_compat, "load_library", lambda name: library)
        times = itertools.cycle([1, 2] if is_faster else [2, 1])
        monkeypatch.setattr(_choice, "seconds", lambda call: (call(), next(times))[1])
        return library

    yield use
    forget()


def normal(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
def test_products(rng, installed, trans_a, trans_b):
    library = installed(Library())
    a, b = normal(rng, *((7, 3) if trans_a else (3, 7))), normal(rng, *((5, 7) if trans_b
                                                                       else (7, 5)))
    c, bias = normal(rng, 3, 5), normal(rng, 5)
    y = fd.ops.gemm(*map(fd.cuda.to_device, (a, b)), trans_a=trans_a, trans_b=trans_b, alpha=0.5,
                    beta=2.0, c=fd.cuda.to_device(c), bias=fd.cuda.to_device(bias), relu=True)
    exact = 0.5 * (a.T if trans_a else a).astype(float) @ (b.T if trans_b else b) + 2 * c + bias
    assert_same(y.numpy(), np.maximum(exact, 0).astype(np.float32), "float32", 9)
    assert {call["compute"] for call in library.calls} == {68}
    assert library.calls[-1]["epilogue"] == 4
    assert library.wishes[1] == 32 << 20
    assert library.wishes[5] == 256
    used = len(library.calls)
    fd.ops.gemm(*map(fd.cuda.to_device, (a, b)), trans_a=trans_a, trans_b=trans_b)
    assert library.calls[-1]["epilogue"] is None        # another problem, measured by itself
    assert len(library.calls) == used + 2


def test_slices(rng, installed):
    """Rows with gaps; and an address that is a multiple of 4 only."""
    library = installed(Library())
    a, b = normal(rng, 6, 9), normal(rng, 5, 4)
    y = fd.ops.gemm(fd.cuda.to_device(a)[1:4, 2:7], fd.cuda.to_device(b))
    assert_same(y.numpy(), (a[1:4, 2:7].astype(float) @ b).astype(np.float32), "float32", 5)
    assert library.calls[-1]["layouts"][1]["numbers"] == (0, 5, 3, 9)
    assert library.wishes[6] == 4


def test_tf32_only_where_allowed(rng, installed, device):
    library = installed(Library())
    a, b = (device.to_device(normal(rng, 4, 4)) for _ in range(2))
    try:
        device.allow_tf32(True)
        fd.ops.gemm(a, b)
        assert library.calls[-1]["compute"] == 77
    finally:
        device.allow_tf32(False)
    fd.ops.gemm(a, b)
    assert library.calls[-1]["compute"] == 68


def test_convolutions_1x1(rng, installed):
    library = installed(Library())
    x, w, b, dy = (normal(rng, *shape) for shape in ((3, 4, 2, 3), (5, 4, 1, 1), (5,),
                                                     (3, 5, 2, 3)))
    residual = normal(rng, *dy.shape)
    there = [fd.cuda.to_device(array) for array in (x, w, b, dy, residual)]
    y = fd.ops.conv2d(*there[:3], residual=there[4], relu=True)
    exact = fd.ops.conv2d(x.astype(float), w.astype(float), b.astype(float), backend="reference")
    assert_same(y.numpy(), np.maximum(exact + residual, 0).astype(np.float32), "float32", 6)
    assert library.calls[-1]["layouts"][1][6] == 0      # one matrix of filters for all images
    used = len(library.calls)
    actual = fd.ops.conv2d_backward(there[3], *there[:2])
    assert len(library.calls) == used + 4               # two gradients, measured and computed
    exact = fd.ops.conv2d_backward(dy.astype(float), x.astype(float), w.astype(float),
                                   backend="reference")
    for one, other in zip(actual, exact, strict=True):
        assert_same(one.numpy(), other.astype(np.float32), "float32", 18)
    used = len(library.calls)
    fd.ops.conv2d(*there[:2], stride=2)
    assert len(library.calls) == used


def test_ours_where_it_is_slower(rng, installed, tmp_path):
    """That is measured once, also for processes to come."""
    a, b = (fd.cuda.to_device(normal(rng, 4, 4)) for _ in range(2))
    library = installed(Library(), is_faster=False)
    for _ in range(3):
        fd.ops.gemm(a, b)
    assert len(library.calls) == 1
    (kept,) = tmp_path.iterdir()
    assert "false" in kept.read_text()
    library = installed(Library())                      # a new process: nothing is known but that
    fd.ops.gemm(a, b)
    assert not library.calls
    kept.write_text("{")
    library = installed(Library())
    fd.ops.gemm(a, b)
    assert len(library.calls) == 2


def test_seconds(device):
    """Only replayed calls are timed."""
    from fastdl.cuda import _choice

    calls, x = [], device.zeros((8,))
    assert _choice.seconds(lambda: (calls.append(1), x.fill(0))) > 0
    assert len(calls) == 6


def test_no_memory_to_measure(rng, installed, device, monkeypatch):
    from fastdl.cuda import _choice

    library = installed(Library())
    a, b = (device.to_device(normal(rng, 4, 4)) for _ in range(2))

    def full(call):
        raise fd.errors.DeviceMemoryError("cuda: full")

    with monkeypatch.context() as patch:
        patch.setattr(_choice, "seconds", full)
        fd.ops.gemm(a, b)
    assert not library.calls
    fd.ops.gemm(a, b)
    assert library.calls


def test_described(installed, device):
    installed(Library())
    assert device.describe()["cuBLASLt"] == "13.0.2"
    installed(None)
    assert device.describe()["cuBLASLt"] == "absent"


def test_nothing_is_measured_inside_of_a_graph(rng, installed, device):
    library = installed(Library())
    a, b = (device.to_device(normal(rng, 4, 4)) for _ in range(2))
    from fastdl.cuda._driver import driver

    driver().begin_capture()
    fd.ops.gemm(a, b)
    driver().end_capture()
    assert not library.calls


@pytest.mark.parametrize("library", [None, Library(finds=0), Library({"MatmulAlgoGetHeuristic"})],
                         ids=["absent", "finds nothing", "refuses"])
def test_ours_without_it(rng, installed, library):
    installed(library)
    a, b = normal(rng, 4, 6), normal(rng, 6, 5)
    y = fd.ops.gemm(*map(fd.cuda.to_device, (a, b)))
    assert_same(y.numpy(), (a.astype(float) @ b).astype(np.float32), "float32", 6)
    assert library is None or not library.calls


def test_errors(rng, installed):
    a, b = (fd.cuda.to_device(normal(rng, 4, 4)) for _ in range(2))
    installed(Library({"Matmul"}))
    with pytest.raises(fd.errors.DeviceError, match=r"^cuda: cublasLtMatmul failed: CUBLAS_STATUS"):
        fd.ops.gemm(a, b)
    installed(Library({"Create"}))
    with pytest.warns(UserWarning, match=r"cublasLtCreate failed.*own kernels multiply"):
        fd.ops.gemm(a, b)
