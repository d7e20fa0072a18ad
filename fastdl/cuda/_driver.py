"""The device: memory, copies, launches, graphs, times. One of NVIDIA's, or the simulator.

Both have the same methods, and everything above speaks to `driver()` alone. All work goes to one
stream, in order; copies to the host wait for it. A second stream is for copies beside that work
(`_feed`). Addresses are integers.
"""

from __future__ import annotations

import ctypes
import sys
import time
import weakref
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ..errors import DeviceError, DeviceMemoryError


@cache
def driver() -> Any:
    """The device in use; started when first asked for.

    Raises
    ------
    DeviceError
        one line: what is missing
    """
    try:
        from . import _compat
    except ImportError as error:
        raise DeviceError(f"cuda: {error}; to have it: pip install 'fastdl[cuda]'") from None
    return Simulator() if _compat.SIMULATED else Nvidia(_compat.bindings)


def as_megabytes(size: int) -> str:
    """In words."""
    return f"{size / 1e6:.1f} MB"


def out_of_memory(asked: int, used: int, free: int, total: int) -> DeviceMemoryError:
    """The error: what was asked for, and what there is."""
    return DeviceMemoryError(
        f"cuda: {as_megabytes(asked)} asked for, but of the device's {as_megabytes(total)} only "
        f"{as_megabytes(free)} are free; fastdl's arrays use {as_megabytes(used)}")


class Nvidia:
    """A GPU, through NVIDIA's driver."""

    simulated = capturing = False
    driver_version = "unknown"

    def __init__(self, bindings: Any) -> None:
        self._api = bindings
        try:
            (status,) = bindings.cuInit(0)
        except Exception as error:          # the library itself is missing
            raise DeviceError("cuda: NVIDIA's driver is not installed; it comes from NVIDIA, not "
                              f"from pip ({type(error).__name__})") from None
        if status != bindings.CUresult.CUDA_SUCCESS:
            raise DeviceError(f"cuda: no device can be used: the driver says {status.name}")
        if self._call("cuDeviceGetCount") == 0:
            raise DeviceError("cuda: the driver finds no device")
        version = self._call("cuDriverGetVersion")
        self.driver_version = f"{version // 1000}.{version % 1000 // 10}"
        self._device = self._call("cuDeviceGet", 0)
        self._context = self._call("cuDevicePrimaryCtxRetain", self._device)
        self._call("cuCtxSetCurrent", self._context)
        # Not the default stream, which cannot be captured, but one that waits for it and it for us:
        # other libraries work in that.
        self.stream = self._call("cuStreamCreate", 0)
        # This one waits for nothing but what it is told to.
        self.copies = self._call("cuStreamCreate", bindings.CUstream_flags.CU_STREAM_NON_BLOCKING)
        self.name = self._call("cuDeviceGetName", 256, self._device).split(b"\0")[0].decode()
        attribute = bindings.CUdevice_attribute
        self.capability = (self._attribute(attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
                           self._attribute(attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR))
        self.processors = self._attribute(attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)

    def _attribute(self, which: Any) -> int:
        return self._call("cuDeviceGetAttribute", which, self._device)

    def _call(self, name: str, *arguments: Any) -> Any:
        """The result of a function of the driver; raises what it reports."""
        try:
            status, *results = getattr(self._api, name)(*arguments)
        except RuntimeError as error:       # of the bindings, where the library lacks a function
            raise DeviceError(f"cuda: the driver (for CUDA {self.driver_version}) is too old, it "
                              f"does not have all that is needed: {error}") from None
        self._expect(name, status)
        return results[0] if results else None

    def _expect(self, name: str, status: Any) -> None:
        if status != self._api.CUresult.CUDA_SUCCESS:
            raise DeviceError(f"cuda: {name} failed: {status.name}")

    def use_here(self) -> None:
        """Work from the calling thread, too."""
        self._call("cuCtxSetCurrent", self._context)

    # ---- memory ----

    def allocate(self, size: int) -> int | None:
        """The address of `size` bytes, or None where there are not so many."""
        status, address = self._api.cuMemAlloc(size)
        if status == self._api.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
            return None
        self._expect("cuMemAlloc", status)
        return int(address)

    def free(self, address: int) -> None:
        """Give memory back."""
        self._call("cuMemFree", address)

    def memory(self) -> tuple[int, int]:
        """Bytes that are free, and all."""
        status, free, total = self._api.cuMemGetInfo()
        self._expect("cuMemGetInfo", status)
        return free, total

    def copy_in(self, address: int, array: np.ndarray) -> None:
        """From a contiguous array of the host; it may be changed as soon as this returns."""
        self._call("cuMemcpyHtoDAsync", address, array.ctypes.data, array.nbytes, self.stream)

    def copy_out(self, array: np.ndarray, address: int) -> None:
        """Into a contiguous array of the host, when all work before it is done."""
        self._call("cuMemcpyDtoHAsync", array.ctypes.data, address, array.nbytes, self.stream)
        self.synchronize()

    def copy(self, target: int, source: int, size: int) -> None:
        """From one place of the device to another."""
        self._call("cuMemcpyDtoDAsync", target, source, size, self.stream)

    def fill(self, address: int, byte: int, size: int) -> None:
        """Set all bytes."""
        self._call("cuMemsetD8Async", address, byte, size, self.stream)

    # ---- copies beside the work ----

    def page_locked(self, size: int) -> np.ndarray:
        """`size` float32 of the host, from which the device copies by itself.

        The memory is given back when nobody refers to it any more; it may not be under way then.
        """
        status, address = self._api.cuMemHostAlloc(4 * size, 0)
        if status == self._api.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
            raise DeviceMemoryError(f"cuda: {as_megabytes(4 * size)} of the host's memory asked "
                                    "for, page-locked, but there is not so much of it")
        self._expect("cuMemHostAlloc", status)
        memory = (ctypes.c_float * size).from_address(int(address))
        weakref.finalize(memory, self._call, "cuMemFreeHost", address)
        return np.ctypeslib.as_array(memory)

    def copy_in_beside(self, address: int, array: np.ndarray) -> None:
        """From page-locked memory, in the stream of copies; it may not be changed before that."""
        self._call("cuMemcpyHtoDAsync", address, array.ctypes.data, array.nbytes, self.copies)

    def event(self) -> Any:
        """Something to wait for; until it is recorded nobody waits."""
        return self._call("cuEventCreate", self._api.CUevent_flags.CU_EVENT_DISABLE_TIMING)

    def forget_event(self, event: Any) -> None:
        """It is not needed any more."""
        self._call("cuEventDestroy", event)

    def record(self, event: Any, stream: Any) -> None:
        """The event comes when all work that a stream has now is done."""
        self._call("cuEventRecord", event, stream)

    def wait(self, event: Any, stream: Any) -> None:
        """What is put into a stream from here on waits for the event."""
        self._call("cuStreamWaitEvent", stream, event, 0)

    def wait_here(self, event: Any) -> None:
        """The calling thread waits for the event."""
        self._call("cuEventSynchronize", event)

    def follow(self, stream: Any, other: Any) -> None:
        """What is put into a stream from here on waits for all that another has now."""
        event = self.event()
        self.record(event, other)
        self.wait(event, stream)
        self.forget_event(event)

    # ---- kernels ----

    def load(self, ptx: str) -> Any:
        """The kernel in `ptx`."""
        name = ptx.partition(".entry")[2].partition("(")[0].strip()
        image = ctypes.create_string_buffer(ptx.encode())
        status, module = self._api.cuModuleLoadData(ctypes.addressof(image))
        errors = self._api.CUresult
        if status in (errors.CUDA_ERROR_UNSUPPORTED_PTX_VERSION, errors.CUDA_ERROR_INVALID_PTX):
            raise DeviceError(f"cuda: the driver (for CUDA {self.driver_version}) is too old for "
                              "the compiler that numba-cuda has found: install a newer driver, or "
                              "the compiler of an older CUDA (pip install 'numba-cuda[cu12]')")
        if status != errors.CUDA_SUCCESS:
            raise DeviceError(f"cuda: a kernel was not loaded: {status.name}")
        return self._call("cuModuleGetFunction", module, name.encode())

    def launch(self, function: Any, blocks: tuple[int, int, int], threads: int,
               values: Sequence[Any]) -> None:
        """Put a kernel into the stream; `values` are of ctypes."""
        pointers = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
        self._call("cuLaunchKernel", function, *blocks, threads, 1, 1, 0, self.stream,
                   ctypes.addressof(pointers), 0)

    # ---- order, time, graphs ----

    def synchronize(self) -> None:
        """Wait for all work."""
        self._call("cuStreamSynchronize", self.stream)

    def mark(self) -> Any:
        """A point in the stream's time."""
        event = self._call("cuEventCreate", 0)
        self._call("cuEventRecord", event, self.stream)
        return event

    def seconds(self, begin: Any, end: Any) -> float:
        """Between two marks, which are used up."""
        self._call("cuEventSynchronize", end)
        milliseconds = self._call("cuEventElapsedTime", begin, end)
        for event in (begin, end):
            self._call("cuEventDestroy", event)
        return milliseconds * 1e-3

    def begin_capture(self) -> None:
        """From here on, work is written down and not done."""
        self._call("cuStreamBeginCapture", self.stream,
                   self._api.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED)
        self.capturing = True

    def end_capture(self) -> Any:
        """What was written down, to be done by `replay`."""
        self.capturing = False
        graph = self._call("cuStreamEndCapture", self.stream)
        ready = self._call("cuGraphInstantiate", graph, 0)
        self._call("cuGraphDestroy", graph)
        return ready

    def replay(self, graph: Any) -> None:
        """Put all of it into the stream, by one call."""
        self._call("cuGraphLaunch", graph, self.stream)

    def forget(self, graph: Any) -> None:
        """It will not be replayed again."""
        self._call("cuGraphExecDestroy", graph)


class Simulator:
    """The host's memory; kernels run in numba's simulator, one thread after another."""

    simulated = True
    name, capability, processors, driver_version = "simulator", (0, 0), 2, "none"
    stream, copies = 0, 1               # of which it has none: all is done at once
    limit = 1 << 28                     # bytes, so that running out of them can be tested

    def __init__(self) -> None:
        # Numba's simulator waits for its threads in a loop, which must not hold the interpreter.
        sys.setswitchinterval(1e-5)
        self._memory: dict[int, np.ndarray] = {}
        self._recording: list[tuple[Any, ...]] | None = None

    def use_here(self) -> None:
        """Nothing to do."""

    def allocate(self, size: int) -> int | None:
        """As of `Nvidia`. What is there at first is NaN."""
        if size > self.memory()[0]:
            return None
        memory = np.full(size + 256, 0xFF, np.uint8)
        memory = memory[-memory.ctypes.data % 256:][:size]
        self._memory[memory.ctypes.data] = memory
        return memory.ctypes.data

    def free(self, address: int) -> None:
        """As of `Nvidia`."""
        del self._memory[address]

    def memory(self) -> tuple[int, int]:
        """As of `Nvidia`."""
        return self.limit - sum(piece.size for piece in self._memory.values()), self.limit

    @property
    def capturing(self) -> bool:
        """As of `Nvidia`."""
        return self._recording is not None

    def _do(self, *work: Any) -> None:
        if self._recording is None:
            work[0](*work[1:])
        else:
            self._recording.append(work)

    def copy_in(self, address: int, array: np.ndarray) -> None:
        """As of `Nvidia`."""
        self._do(ctypes.memmove, address, array.ctypes.data, array.nbytes)

    def copy_out(self, array: np.ndarray, address: int) -> None:
        """As of `Nvidia`."""
        if self.capturing:
            raise DeviceError("cuda: copied to the host inside of a graph")
        ctypes.memmove(array.ctypes.data, address, array.nbytes)

    def copy(self, target: int, source: int, size: int) -> None:
        """As of `Nvidia`."""
        self._do(ctypes.memmove, target, source, size)

    def fill(self, address: int, byte: int, size: int) -> None:
        """As of `Nvidia`."""
        self._do(ctypes.memset, address, byte, size)

    def page_locked(self, size: int) -> np.ndarray:
        """As of `Nvidia`."""
        return np.empty(size, np.float32)

    def copy_in_beside(self, address: int, array: np.ndarray) -> None:
        """As of `Nvidia`."""
        ctypes.memmove(address, array.ctypes.data, array.nbytes)

    def event(self) -> Any:
        """As of `Nvidia`."""

    def forget_event(self, event: Any) -> None:
        """As of `Nvidia`."""

    def record(self, event: Any, stream: Any) -> None:
        """As of `Nvidia`."""

    def wait(self, event: Any, stream: Any) -> None:
        """As of `Nvidia`."""

    def wait_here(self, event: Any) -> None:
        """As of `Nvidia`."""

    def follow(self, stream: Any, other: Any) -> None:
        """As of `Nvidia`."""

    def launch(self, function: Any, blocks: tuple[int, int, int], threads: int,
               values: Sequence[Any]) -> None:
        """As of `Nvidia`, but `function` is numba's, and values are its arguments."""
        self._do(function[blocks, threads], *values)

    def synchronize(self) -> None:
        """As of `Nvidia`."""

    def mark(self) -> float:
        """As of `Nvidia`."""
        return time.perf_counter()

    def seconds(self, begin: float, end: float) -> float:
        """As of `Nvidia`."""
        return end - begin

    def begin_capture(self) -> None:
        """As of `Nvidia`."""
        self._recording = []

    def end_capture(self) -> Any:
        """As of `Nvidia`."""
        recorded, self._recording = self._recording, None
        return recorded

    def replay(self, graph: Any) -> None:
        """As of `Nvidia`."""
        for function, *arguments in graph:
            function(*arguments)

    def forget(self, graph: Any) -> None:
        """As of `Nvidia`."""
