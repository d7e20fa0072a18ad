"""The driver of the machine that executes PTX: memory, and what streams, events, graphs promise."""

import ctypes
import threading

import numpy as np
import pytest

pytest.importorskip("cuda.bindings", reason="numba-cuda is not installed")

from machine.driver import Driver
from machine.run import MachineError
from test_machine import kernel

WORK, COPIES = 0, 1                     # flags of streams


class Calls:
    """The functions, of which only results are returned."""

    def __init__(self, **options):
        self.api = Driver(**options)
        self.cuCtxSetCurrent(self.cuDevicePrimaryCtxRetain(0))

    def __getattr__(self, name):
        def call(*arguments):
            status, *results = getattr(self.api, name)(*arguments)
            assert status == self.api.CUresult.CUDA_SUCCESS, status.name
            return results[0] if len(results) == 1 else results

        return call

    def piece(self, values):
        """A piece of memory, filled at once."""
        values = np.asarray(values, np.float32)
        address = self.cuMemAlloc(values.nbytes)
        self.api.memory.span(address, values.nbytes)[:] = np.frombuffer(values.tobytes(), np.uint8)
        return address

    def read(self, address, stream, size=1):
        """What is there when the stream has done its work."""
        result = np.empty(size, np.float32)
        self.cuMemcpyDtoHAsync(result.ctypes.data, address, result.nbytes, stream)
        return list(result)


def refused(name, call):
    """Expect this error."""
    with pytest.raises(AssertionError, match=f"CUDA_ERROR_{name}"):
        call()


def test_memory():
    gpu = Calls(memory=1000)
    first = gpu.cuMemAlloc(600)
    assert first % 256 == 0
    assert gpu.cuMemGetInfo() == [400, 1000]
    refused("OUT_OF_MEMORY", lambda: gpu.cuMemAlloc(401))
    second = gpu.cuMemAlloc(400)
    assert abs(second - first) >= 600
    gpu.cuMemFree(first)
    refused("INVALID_VALUE", lambda: gpu.cuMemFree(first))
    assert np.isnan(gpu.read(gpu.cuMemAlloc(600), 1, 150)).all()


@pytest.mark.parametrize(("offset", "size"), [(0, 101), (-4, 4), (100, 4), (5000, 4)])
def test_copies_stay_inside(offset, size):
    gpu = Calls()
    address = gpu.cuMemAlloc(100)
    gpu.cuMemsetD8Async(address + offset, 0, size, 1)
    with pytest.raises(MachineError, match=f"a copy: {size} bytes"):
        gpu.cuStreamSynchronize(1)


def test_freed_memory_is_nobodys():
    gpu = Calls()
    address = gpu.cuMemAlloc(100)
    gpu.cuMemFree(address)
    with pytest.raises(MachineError, match="nothing is allocated"):
        gpu.read(address, 1)


@pytest.mark.parametrize(("eager", "locked", "expected"), [
    ((), True, 2), (("work",), True, 1), ((), False, 1)])
def test_when_a_source_is_read(eager, locked, expected):
    """Page-locked memory when it is copied, any other when that is asked for."""
    gpu = Calls(eager=eager)
    if locked:
        host = (ctypes.c_float * 1).from_address(gpu.cuMemHostAlloc(4, 0))
    else:
        host = (ctypes.c_float * 1)()
    host[0], target = 1, gpu.piece([0])
    gpu.cuMemcpyHtoDAsync(target, ctypes.addressof(host), 4, stream := gpu.cuStreamCreate(WORK))
    host[0] = 2
    assert gpu.read(target, stream) == [expected]


@pytest.mark.parametrize("eager", [(), ("copies",), ("work",), ("work", "copies")])
@pytest.mark.parametrize("with_event", [False, True])
def test_streams_keep_only_what_events_promise(eager, with_event):
    """One stream writes, the other reads: without an event it may come too early."""
    gpu = Calls(eager=eager)
    work, copies = gpu.cuStreamCreate(WORK), gpu.cuStreamCreate(COPIES)
    cell, seen = gpu.piece([0]), gpu.piece([-1])
    gpu.cuMemcpyDtoDAsync(cell, gpu.piece([7]), 4, work)
    event = gpu.cuEventCreate(0)
    if with_event:
        gpu.cuEventRecord(event, work)
        gpu.cuStreamWaitEvent(copies, event, 0)
    gpu.cuMemcpyDtoDAsync(seen, cell, 4, copies)
    done = with_event or "work" in eager
    assert gpu.read(seen, copies) == [7 if done else 0]


def test_an_event_stands_for_its_last_record():
    gpu = Calls()
    work, copies = gpu.cuStreamCreate(WORK), gpu.cuStreamCreate(COPIES)
    cell, event = gpu.piece([0]), gpu.cuEventCreate(0)
    gpu.cuStreamWaitEvent(copies, event, 0)         # not recorded: nothing to wait for
    gpu.cuEventSynchronize(event)
    gpu.cuMemcpyDtoDAsync(cell, gpu.piece([1]), 4, work)
    gpu.cuEventRecord(event, work)
    gpu.cuMemcpyDtoDAsync(cell, gpu.piece([2]), 4, work)
    gpu.cuEventSynchronize(event)
    assert gpu.read(cell, copies) == [1]
    assert gpu.read(cell, work) == [2]


def test_times():
    gpu = Calls()
    begin, end, untimed = (gpu.cuEventCreate(flags) for flags in (0, 0, 2))
    gpu.cuEventRecord(begin, 1)
    gpu.cuMemsetD8Async(gpu.piece([0]), 0, 4, 1)
    gpu.cuEventRecord(end, 1)
    refused("NOT_READY", lambda: gpu.cuEventElapsedTime(begin, end))
    gpu.cuEventSynchronize(end)
    assert gpu.cuEventElapsedTime(begin, end) > 0
    gpu.cuEventRecord(untimed, 1)
    gpu.cuEventSynchronize(untimed)
    refused("INVALID_HANDLE", lambda: gpu.cuEventElapsedTime(begin, untimed))


def program(gpu, body):
    """A kernel with one pointer, loaded."""
    text = ctypes.create_string_buffer(kernel(body).encode())
    return gpu.cuModuleGetFunction(gpu.cuModuleLoadData(ctypes.addressof(text)), b"_ZN5tests4here")


def launch(gpu, function, address, stream, blocks=(1, 1, 1)):
    value = ctypes.c_void_p(address)
    pointers = (ctypes.c_void_p * 1)(ctypes.addressof(value))
    gpu.cuLaunchKernel(function, *blocks, 1, 1, 1, 0, stream, ctypes.addressof(pointers), 0)


ADD_ONE = "ld.global.f32 %f1, [%d0]; add.f32 %f2, %f1, 0f3F800000; st.global.f32 [%d0], %f2;"


def test_graphs():
    gpu = Calls()
    stream, cell, function = gpu.cuStreamCreate(WORK), gpu.piece([0]), program(gpu, ADD_ONE)
    gpu.cuStreamBeginCapture(stream, 2)
    launch(gpu, function, cell, stream)
    launch(gpu, function, cell, stream)
    ready = gpu.cuGraphInstantiate(gpu.cuStreamEndCapture(stream), 0)
    assert gpu.read(cell, stream) == [0]
    for expected in (2, 4):
        gpu.cuGraphLaunch(ready, stream)
        assert gpu.read(cell, stream) == [expected]
    gpu.cuGraphExecDestroy(ready)


@pytest.mark.parametrize(("error", "call"), [
    ("STREAM_CAPTURE_UNSUPPORTED", lambda gpu, stream, cell: gpu.cuStreamSynchronize(stream)),
    ("STREAM_CAPTURE_UNSUPPORTED", lambda gpu, stream, cell: gpu.read(cell, stream)),
    ("STREAM_CAPTURE_UNSUPPORTED", lambda gpu, stream, cell: gpu.cuMemcpyHtoDAsync(
        cell, np.zeros(1).ctypes.data, 4, stream)),
    ("STREAM_CAPTURE_ISOLATION", lambda gpu, stream, cell: gpu.cuStreamWaitEvent(
        stream, elsewhere(gpu), 0))])
def test_what_no_capture_allows(error, call):
    gpu = Calls()
    stream, cell = gpu.cuStreamCreate(WORK), gpu.piece([0])
    gpu.cuStreamBeginCapture(stream, 2)
    refused(error, lambda: call(gpu, stream, cell))
    refused("STREAM_CAPTURE_INVALIDATED", lambda: gpu.cuStreamEndCapture(stream))
    gpu.cuStreamSynchronize(stream)


def elsewhere(gpu):
    """An event of another stream."""
    event = gpu.cuEventCreate(0)
    gpu.cuEventRecord(event, gpu.cuStreamCreate(COPIES))
    return event


def test_what_is_refused():
    gpu = Calls()
    function = program(gpu, ADD_ONE)
    refused("INVALID_VALUE", lambda: launch(gpu, function, 0, 1, (1, 65536, 1)))
    refused("INVALID_VALUE", lambda: launch(gpu, function, 0, 1, (0, 1, 1)))
    found = []
    thread = threading.Thread(target=lambda: found.append(gpu.api.cuMemAlloc(4)[0].name))
    thread.start()
    thread.join()
    assert found == ["CUDA_ERROR_INVALID_CONTEXT"]


def test_errors_of_kernels_come_when_they_run():
    gpu = Calls()
    launch(gpu, program(gpu, ADD_ONE), gpu.piece([0]) + 4, 1)
    with pytest.raises(MachineError, match=r"kernel tests\.here, line"):
        gpu.cuStreamSynchronize(1)
