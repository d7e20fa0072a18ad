"""Arrays and kernels on an NVIDIA GPU, through numba-cuda (``pip install 'fastdl[cuda]'``).

Device belongs to the array: functions of `fastdl.ops` that are given arrays of the device run
kernels there, and nothing is copied between host and device unless asked for.

    x = fd.cuda.to_device(images)
    y = fd.ops.relu(x)              # on the device
    y.numpy()                       # copied back

Matrix products and convolutions compute in float32, or on tensor cores in TF32 where
`allow_tf32` says that they may.

With NUMBA_ENABLE_CUDASIM=1 in the environment, all of it runs without a GPU, in numba's simulator,
which is slow, and good for trying things out at tiny sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import DeviceError
from ._array import Array, asarray, empty, to_device, zeros
from ._driver import driver as _start
from ._feed import Feed
from ._graph import Replay
from ._memory import Statistics
from ._memory import release as empty_cache
from ._memory import statistics as memory
from ._precision import allow_tf32, tf32_allowed

__all__ = ["Array", "Feed", "Replay", "Statistics", "allow_tf32", "asarray", "describe", "empty",
           "empty_cache", "is_available", "is_simulated", "memory", "seconds", "synchronize",
           "tf32_allowed", "to_device", "to_host", "why_not", "zeros"]


def why_not() -> str | None:
    """Why there is no GPU to be used, in one line, or None where there is one."""
    try:
        _start()
    except DeviceError as error:
        return str(error)
    return None


def is_available() -> bool:
    """Whether there is a GPU to be used, or the simulator."""
    return why_not() is None


def is_simulated() -> bool:
    """Whether kernels run in numba's simulator."""
    return _start().simulated


def to_host(array: Any) -> Any:
    """A copy in the host's memory of an array of the device; anything else as it is."""
    return array.numpy() if type(array) is Array else array


def seconds(call: Callable[[], Any]) -> float:
    """The time that the device takes for what `call` asks of it; waits for its end."""
    device = _start()
    begin = device.mark()
    call()
    return device.seconds(begin, device.mark())


def synchronize() -> None:
    """Wait until all that was asked of the device is done."""
    _start().synchronize()


def describe() -> dict[str, str]:
    """The device: its name, compute capability, multiprocessors, memory; the driver, cuBLASLt."""
    device = _start()
    from ._cublas import library

    blas = library()
    _, total = device.memory()
    return {"device": device.name, "compute capability": "{}.{}".format(*device.capability),
            "multiprocessors": str(device.processors), "memory": f"{total / 1e9:.1f} GB",
            "driver for CUDA": device.driver_version,
            "cuBLASLt": blas.version if blas else "absent"}
