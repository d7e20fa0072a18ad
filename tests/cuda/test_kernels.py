"""Kernels of the device against the reference, on the same calls as all other backends.

In the simulator only on tiny ones, and few for each kernel; on the machine on somewhat larger ones.
"""

import pytest
from comparison import assert_same
from conftest import ALL, MACHINE, SIMULATED
from corpus import CASES, run
from on_device import wrapped

import fastdl as fd

pytestmark = pytest.mark.usefixtures("device")

# Elements of all arrays, length of sums, and cases of a kernel, where there is no GPU.
SIZE, TERMS, FEW = (120, 60, 2) if SIMULATED else (8000, 1000, 8)
ALWAYS = {("gemm", "transposed False True 18"), ("gemm", "gated 9 1.0"),
          ("gemm", "slices True False 13"), ("conv2d", "groups"), ("conv2d", "typical"),
          ("conv2d_backward_input", "groups"), ("conv2d_backward_input", "typical"),
          ("conv2d_backward_weight", "typical"), ("batch_norm", "NaN and infinities"),
          ("softmax_cross_entropy", "NaN and infinities")}


def chosen():
    """The cases of the table's kernels, or those of them that there is time for without a GPU."""
    everywhere = fd.cuda.is_available() and not SIMULATED and (ALL or not MACHINE)
    for kernel, cases in CASES.items():
        small = [case for case in cases if case.terms <= TERMS
                 and sum(a.size for a in case.arrays.values()) <= SIZE]
        step = max(1, len(small) // FEW)
        some = cases if everywhere else small[::step][:FEW] + [
            case for case in cases if (kernel, case.name) in ALWAYS]
        yield from {id(case): case for case in some}.values()


@pytest.fixture
def on_device(fresh_dispatch, monkeypatch):
    """``on_device(kernel)``: from now on the backend "numba" runs that one on the device."""
    def use(kernel):
        load = fresh_dispatch._load
        monkeypatch.setattr(fresh_dispatch, "_load", lambda name, backend: (
            wrapped(name) if backend.name == "numba" and name == kernel
            else load(name, backend)))

    return use


@pytest.mark.parametrize("case", list(chosen()), ids=str)
def test_same_as_reference(case, on_device):
    expected = run(case, "reference", "float32")
    on_device(case.kernel)
    actual = run(case, "numba", "float32")
    for name, value in expected.items():
        assert_same(actual[name], value, "float32", case.terms)
