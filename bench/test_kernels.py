"""Our kernels from one commit to the next, with pytest-benchmark: every case, no peers."""

import pytest

from fastdl.benchmark.cases import CASES

from .members import MEMBERS, OURS
from .with_fastdl import variants

RUNS = [(case, variant, build) for case in CASES
        for variant, build in variants(case, MEMBERS[OURS].options).items()]


@pytest.mark.parametrize(("case", "build"), [(case, build) for case, _, build in RUNS],
                         ids=[f"{case.name} {variant}" for case, variant, _ in RUNS])
def test_kernel(case, build, benchmark):
    benchmark.group = case.name
    benchmark(build(case.arrays()))
