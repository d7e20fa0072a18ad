"""FASTDL_ISA caps the instruction set; what runs then is as right as what runs without."""

import pytest

from fastdl._kernels._table import OPERATIONS

PARITY = """
import numpy as np
from comparison import assert_same
from corpus import CASES, run
from fastdl._kernels.native import _native
np.seterr(all="ignore")
for kernel, cases in CASES.items():
    for case in cases:
        if case.name.startswith(("typical", "large", "all options", "depthwise")):
            for dtype in ("float32", "float64"):
                actual, expected = run(case, "cython", dtype), run(case, "reference", dtype)
                for name, value in expected.items():
                    assert_same(actual[name], value, dtype, case.terms)
print(_native.isa(), len(CASES))
"""
READ = "from fastdl._kernels.native import _native; print(_native.isa())"


@pytest.fixture
def isa_names(need_backend):
    need_backend("cython")
    from fastdl._kernels.native import _native

    return _native.isa_names()


@pytest.mark.parametrize("cap", ["baseline", "avx2", "avx512"])
def test_capped(cap, isa_names, run_python):
    if cap not in isa_names:
        pytest.skip(f"this build has no {cap}")
    name, kernels = run_python(PARITY, FASTDL_ISA=cap).split()
    assert name in isa_names[isa_names.index(cap):]
    assert int(kernels) == sum(len(operation.kernels) for operation in OPERATIONS.values())


def test_cap_of_the_lowest_is_the_lowest(isa_names, run_python):
    assert run_python(READ, FASTDL_ISA=isa_names[-1]) == isa_names[-1]


def test_unset_empty_and_any_case_are_understood(isa_names, run_python):
    best = run_python(READ, FASTDL_ISA="")
    assert best in isa_names
    assert run_python(READ, FASTDL_ISA=f" {best.upper()} ") == best


def test_unknown_name_is_an_error_that_says_what_there_is(isa_names, run_python):
    text = run_python("""
import numpy as np, fastdl as fd
for attempt in range(2):
    try:
        fd.ops.relu(np.ones(3))
    except fd.errors.ArgumentError as error:
        print(error)
""", FASTDL_ISA="sse9")
    assert text.splitlines() == [
        f"FASTDL_ISA: 'sse9' is not one of {', '.join(isa_names)}"] * 2
