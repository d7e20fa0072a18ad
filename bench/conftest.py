"""What pytest-benchmark writes down of the machine."""

import pytest

from .with_fastdl import facts

collect_ignore = ["with_torch.py"]      # it imports torch, which belongs into its own process


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(machine_info):
    machine_info["fastdl"] = facts()
