"""Every implementation of the table against the reference."""

import warnings

import numpy as np
import pytest
from comparison import assert_same
from corpus import CASES, run, typical
from layouts import COPIED, KEPT, channels_last

from fastdl._kernels._table import BACKENDS, OPERATIONS
from fastdl.errors import BackendUnavailableError

KERNELS = [kernel for operation in OPERATIONS.values() for kernel in operation.kernels]
OTHERS = [backend.name for backend in BACKENDS
          if backend.device == "cpu" and backend.name != "reference"]

pytestmark = pytest.mark.usefixtures("quiet")

each_backend = pytest.mark.parametrize("backend", OTHERS)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_kernel = pytest.mark.parametrize("kernel", KERNELS)


def assert_same_results(actual, expected, dtype, terms):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        try:
            assert_same(actual[name], value, dtype, terms)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None


@each_kernel
def test_kernel_has_cases(kernel):
    assert CASES.get(kernel), f"corpus.py knows no case for the kernel {kernel}"


def test_no_cases_for_unknown_kernels():
    assert CASES.keys() <= set(KERNELS)


@each_backend
@each_dtype
@pytest.mark.parametrize("case", [case for cases in CASES.values() for case in cases], ids=str)
def test_same_as_reference(case, dtype, backend, need_backend):
    need_backend(backend)
    actual, expected = run(case, backend, dtype), run(case, "reference", dtype)
    assert_same_results(actual, expected, dtype, case.terms)


@pytest.mark.parametrize("backend", [*OTHERS, "reference"])
@pytest.mark.parametrize("layout", COPIED, ids=lambda layout: layout.__name__)
@each_kernel
def test_memory_layout_changes_nothing(kernel, layout, backend, need_backend):
    need_backend(backend)
    plain, awkward = (run(typical[kernel], backend, "float32", *layouts)
                      for layouts in ((), (layout,)))
    for name, value in plain.items():
        np.testing.assert_array_equal(awkward[name], value, name)


@pytest.mark.parametrize("backend", [*OTHERS, "reference"])
@pytest.mark.parametrize("layout", KEPT, ids=lambda layout: layout.__name__)
@each_kernel
def test_memory_layout_that_is_kept_changes_no_more_than_rounding(kernel, layout, backend,
                                                                  need_backend):
    need_backend(backend)
    plain, awkward = (run(typical[kernel], backend, "float32", *layouts)
                      for layouts in ((), (layout,)))
    assert_same_results(awkward, plain, "float32", typical[kernel].terms)


@each_backend
@each_dtype
@pytest.mark.parametrize("case", [case for kernel, cases in CASES.items() if "pool2d" in kernel
                                  for case in cases], ids=str)
def test_pooling_of_channels_last_maps(case, dtype, backend, need_backend):
    need_backend(backend)
    actual, expected = run(case, backend, dtype, channels_last), run(case, "reference", dtype)
    assert_same_results(actual, expected, dtype, case.terms)


@pytest.mark.parametrize("backend", [*OTHERS, "reference"])
@each_kernel
def test_integers_count_as_float32(kernel, backend, need_backend):
    need_backend(backend)
    case = typical[kernel]
    whole = {key: np.round(a) for key, a in case.arrays.items()}
    integers = {key: a if key in case.changed else a.astype(np.int64 if a.dtype.kind == "f"
                                                           else a.dtype)
                for key, a in whole.items()}
    actual, expected = (run(case._replace(arrays=arrays), backend, "float32")
                        for arrays in (integers, whole))
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, name)


@each_backend
@each_kernel
def test_explicit_backend_refuses_float16(kernel, backend, need_backend):
    need_backend(backend)
    with pytest.raises(BackendUnavailableError, match=rf"{backend}.*not float16.*reference"):
        run(typical[kernel], backend, "float16")


@each_kernel
def test_auto_takes_float16_to_the_reference_and_says_so_once(kernel, fresh_dispatch):
    case = typical[kernel]
    with pytest.warns(fresh_dispatch.SlowBackendWarning, match="float16"):
        actual = run(case, None, "float16")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(case, None, "float16")
    assert_same_results(actual, run(case, "reference", "float16"), "float16", case.terms)
