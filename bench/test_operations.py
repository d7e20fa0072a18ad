"""Every case of `fastdl.benchmark` on every backend and, where it is installed, on PyTorch."""

import pytest

from fastdl.benchmark import CASES

from .replay import clock, record

MEMBERS = ("reference", "cython", "numba", "torch")


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_operation(case, member, benchmark, measured):
    measurements = measured(case)
    if member not in measurements:
        pytest.skip(f"{member} is not available")
    seconds, variant = measurements[member]
    record(benchmark, seconds, case.name, member=member, variant=variant, flops=case.flops,
           bytes=case.bytes)
