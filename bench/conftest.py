"""What pytest-benchmark writes down of the machine."""

import pytest

from .with_fastdl import facts

# They import what belongs into processes of their own, and need not be installed.
collect_ignore = ["with_torch.py", "steps/with_keras.py", "steps/with_jax.py"]


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(machine_info):
    machine_info["fastdl"] = facts()
