"""Kernels called without `ops` in between: nothing that they are given makes them go astray."""

import importlib
import inspect
from typing import NamedTuple

import numpy as np
import pytest
from comparison import assert_same
from corpus import typical
from layouts import misaligned

from fastdl._kernels._table import BACKENDS, OPERATIONS

FOLDERS = {kernel: operation.folder for operation in OPERATIONS.values()
           for kernel in operation.kernels}
OPTIONAL = {"b", "bias", "db", "dresidual", "gate", "residual", "running_mean", "running_var"}


def raw(kernel, backend):
    """The kernel's function in the backend's module."""
    module = next(row.module for row in BACKENDS if row.name == backend)
    return getattr(importlib.import_module(f"fastdl._kernels.{FOLDERS[kernel]}.{module}"), kernel)


class Call(NamedTuple):
    """What `ops` hands to a kernel, and the positions of the arrays that `ops` allocated."""

    arguments: tuple
    outputs: list[int]


@pytest.fixture
def call_of(fresh_dispatch, monkeypatch):
    """``call_of(kernel)``: its `Call` in the kernel's typical case."""
    seen = {}

    def recording(kernel, backend, load=fresh_dispatch._load):
        function = load(kernel, backend)

        def record(*arguments):
            seen[kernel] = arguments
            function(*arguments)

        return record

    monkeypatch.setattr(fresh_dispatch, "_load", recording)

    def call_of(kernel):
        case = typical[kernel]
        given = {key: a.astype(np.float32) if a.dtype.kind == "f" else a
                 for key, a in case.arrays.items()}
        case.function(**given, **case.options, backend="reference")
        outputs = [i for i, a in enumerate(seen[kernel]) if isinstance(a, np.ndarray)
                   and not any(np.shares_memory(a, array) for array in given.values())]
        return Call(seen[kernel], outputs)

    return call_of


# ---- the native kernels reject arrays that do not fit ----

def _other_dtype(a):
    return a.astype(np.float64 if a.dtype == np.float32 else np.float32)


def _with_gaps(a):
    return np.repeat(a, 2, axis=-1)[..., ::2]


BAD = {
    "other dtype": _other_dtype,
    "float16": lambda a: a.astype(np.float16),
    "objects": lambda a: a.astype(object),
    "first row missing": lambda a: a[1:].copy(),
    "empty": lambda a: a[:0].copy(),
    "not contiguous": _with_gaps,
    "misaligned": misaligned,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "list": lambda a: a.tolist(),
    "None": lambda a: None,
}


def takes(function, arguments):
    """Whether the call goes through. (What is no array at all has no shape to ask for.)"""
    try:
        function(*arguments)
    except (ValueError, TypeError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("kernel", typical)
def test_native_kernel_rejects_what_does_not_fit(kernel, call_of, need_backend):
    need_backend("cython")
    arguments, function = call_of(kernel).arguments, raw(kernel, "cython")
    names = list(inspect.signature(function).parameters)
    for i, good in enumerate(arguments):
        in_list = isinstance(good, list)        # updates take lists of arrays
        array = good[0] if in_list else good
        if not isinstance(array, np.ndarray):
            continue
        for what, spoil in BAD.items():
            if array.itemsize == 1 and what in ("misaligned", "byte-swapped"):
                continue                        # a byte is neither
            if kernel == "column_sums" and i == 0 and what in ("first row missing", "empty"):
                continue                        # any number of rows is right
            if what == "None" and (names[i] in OPTIONAL or (names[i] in ("argmax", "base")
                                                            and not kernel.endswith("backward"))):
                continue
            bad = [spoil(array)] if in_list else spoil(array)
            spoilt = [*arguments[:i], bad, *arguments[i + 1:]]
            assert not takes(function, spoilt), f"{kernel} took {names[i]}: {what}"


@pytest.mark.parametrize("kernel", [kernel for kernel in typical if kernel.endswith("_update")])
def test_native_update_rejects_lists_that_do_not_fit(kernel, call_of, need_backend):
    """All arrays are looked at before the first is changed."""
    need_backend("cython")
    arguments, function = call_of(kernel).arguments, raw(kernel, "cython")
    lists = [i for i, value in enumerate(arguments) if isinstance(value, list)]
    two = [argument * 2 if i in lists else argument for i, argument in enumerate(arguments)]
    before = [two[i][0].copy() for i in lists]
    for i in lists:
        good = two[i][0]
        bad_lists = [[good], [good] * 3, [good, None], [good, good[1:]], [good, good.tolist()],
                     [good, good.astype(np.float64)], (good, good), good, None]
        if i != 1:
            fixed = good.copy()
            fixed.flags.writeable = False
            bad_lists.append([good, fixed])
        for bad in bad_lists:
            assert not takes(function, [*two[:i], bad, *two[i + 1:]]), (i, bad)
    for i, array in zip(lists, before, strict=True):
        np.testing.assert_array_equal(two[i][0], array)


@pytest.mark.parametrize("kernel", [
    kernel for kernel, case in typical.items() if "kernel_size" in case.options])
def test_native_kernel_rejects_options_that_make_no_window(kernel, call_of, need_backend):
    need_backend("cython")
    arguments, function = call_of(kernel).arguments, raw(kernel, "cython")
    for i in (i for i, value in enumerate(arguments) if isinstance(value, tuple)):
        for bad in ((-1, 1), (1, -1), (1,), (1, 1, 1), None):
            with pytest.raises((ValueError, TypeError)):
                function(*arguments[:i], bad, *arguments[i + 1:])


# ---- indices out of range ----

def guarded(shape, dtype):
    """An array inside a larger one, and a function that checks what lies around it."""
    margin, size = 4096, int(np.prod(shape))
    whole = np.full(size + 2 * margin, 123, dtype)

    def check():
        assert (whole[:margin] == 123).all()
        assert (whole[margin + size:] == 123).all()

    return whole[margin:margin + size].reshape(shape), check


each_backend = pytest.mark.parametrize("backend", [row.name for row in BACKENDS])


@each_backend
@pytest.mark.parametrize(("kernel_size", "dtype"), [((2, 2), np.uint8), ((17, 16), np.int32)])
@pytest.mark.parametrize("inside_window", [True, False])
def test_garbage_argmax_writes_nowhere_else(inside_window, kernel_size, dtype, backend, rng,
                                            need_backend):
    need_backend(backend)
    dx, check = guarded((2, 3, 40, 36), np.float32)
    window = kernel_size, kernel_size, (1, 1)
    shape = (2, 3, *((n + 2 - k) // k + 1 for n, k in zip((40, 36), kernel_size, strict=True)))
    limits = np.iinfo(dtype)
    if inside_window:                   # may still be in the padding, which gets no gradient
        argmax = rng.integers(0, np.prod(kernel_size), shape, dtype)
    else:
        argmax = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        argmax.flat[:2] = limits.max, limits.min
    dy = rng.standard_normal(shape).astype(np.float32)
    raw("max_pool2d_backward", backend)(dy, argmax, None, dx, *window)
    check()
    if inside_window:
        expected = np.empty_like(dx)
        raw("max_pool2d_backward", "reference")(dy, argmax, None, expected, *window)
        assert_same(dx, expected, "float32", terms=2)


@each_backend
def test_garbage_argmax_of_global_pooling_writes_nowhere_else(backend, rng, need_backend):
    need_backend(backend)
    dx, check = guarded((3, 5, 4, 4), np.float32)
    argmax = rng.integers(-2**31, 2**31, (3, 5, 1, 1)).astype(np.int32)
    argmax.flat[:4] = -1, 16, 15, 0
    raw("global_max_pool2d_backward", backend)(np.ones((3, 5, 1, 1), np.float32), argmax, dx)
    check()
    assert dx.sum() == 2            # what 15 and 0 point at
    assert dx[0, 2, 3, 3] == dx[0, 3, 0, 0] == 1


@pytest.mark.parametrize("backend", ["cython", "numba"])
def test_garbage_labels_read_and_write_nowhere_else(backend, rng, need_backend):
    need_backend(backend)
    p = np.full((6, 4), 0.25, np.float32)
    t = np.array([0, 3, 4, -1, 2**62, -2**62])
    dx, check = guarded(p.shape, np.float32)
    raw("softmax_cross_entropy_backward", backend)(p, t, dx, 1.0)
    check()
    np.testing.assert_array_equal(dx[2:], p[2:])
    loss, check = guarded((6,), np.float32)
    raw("softmax_cross_entropy", backend)(p, t, np.empty_like(p), loss)
    check()
    np.testing.assert_allclose(loss[:2], np.log(4), rtol=1e-6)


# ---- rows with gaps between them ----

@each_backend
@pytest.mark.parametrize(("M", "K", "N"), [(1, 9, 1), (5, 7, 3), (1, 300, 260), (150, 70, 133)])
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_gemm_leaves_the_gaps_between_rows(M, K, N, beta, backend, rng, need_backend):
    need_backend(backend)
    a, b, bias = (rng.standard_normal(shape) for shape in ((M, K), (K, N), (N,)))
    wide = rng.standard_normal((M + 2, N + 5))
    out, before = wide[1:-1, 2:-3], wide.copy()
    expected = np.maximum(a @ b + beta * out + bias, 0)
    raw("gemm", backend)(a, b, bias, None, out, False, False, 1.0, beta, True)
    assert_same(out, expected, "float64", K + 2)
    out[...] = before[1:-1, 2:-3]
    np.testing.assert_array_equal(wide, before)


# ---- what is only written must not be read ----

@each_backend
@pytest.mark.parametrize("kernel", [k for k in typical if not k.endswith("_update")])
def test_old_contents_of_outputs_do_not_matter(kernel, backend, call_of, need_backend):
    need_backend(backend)
    arguments, outputs = call_of(kernel)
    assert outputs

    def filled_with(value):
        fresh = [np.full_like(a, value) if i in outputs else a for i, a in enumerate(arguments)]
        raw(kernel, backend)(*fresh)
        return [fresh[i] for i in outputs]

    for zeros, others in zip(filled_with(0), filled_with(77), strict=True):
        np.testing.assert_array_equal(zeros, others)
