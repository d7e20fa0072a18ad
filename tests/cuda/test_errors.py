"""What is said where something is missing; a driver in Python stands for NVIDIA's."""

import ctypes
import enum
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import fastdl as fd
from fastdl.cuda import _driver, _memory, _precision
from fastdl.errors import DeviceError, FastdlError


class Result(enum.IntEnum):
    """Of calls of the driver."""

    CUDA_SUCCESS = 0
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_INVALID_PTX = 218
    CUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222


class Bindings:
    """`cuda.bindings.driver` of a machine with one GPU that does nothing; remembers the calls."""

    CUresult = Result
    CUdevice_attribute = types.SimpleNamespace(
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR="major",
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR="minor",
        CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT="processors")
    CUstream_flags = types.SimpleNamespace(CU_STREAM_NON_BLOCKING=1)
    CUevent_flags = types.SimpleNamespace(CU_EVENT_DISABLE_TIMING=2)
    CUstreamCaptureMode = types.SimpleNamespace(CU_STREAM_CAPTURE_MODE_RELAXED=2)
    answers = {"cuDeviceGetCount": 1, "cuDeviceGet": 0, "cuDevicePrimaryCtxRetain": "context",
               "cuDeviceGetName": b"A GPU\0\0", "cuDriverGetVersion": 12040,
               "cuMemAlloc": 4096, "cuModuleLoadData": "module", "cuModuleGetFunction": "function",
               "cuEventCreate": "event", "cuEventElapsedTime": 2.5, "cuStreamEndCapture": "graph",
               "cuGraphInstantiate": "ready"}

    def __init__(self, **failing):
        self.failing, self.calls = failing, []

    def cuDeviceGetAttribute(self, which, device):
        return Result.CUDA_SUCCESS, {"major": 9, "minor": 0, "processors": 132}[which]

    def cuStreamCreate(self, flags):
        return Result.CUDA_SUCCESS, {0: 7, 1: 8}[flags]

    def cuMemHostAlloc(self, size, flags):
        self.host = ctypes.create_string_buffer(size)
        return self.failing.get("cuMemHostAlloc", Result.CUDA_SUCCESS), ctypes.addressof(self.host)

    def cuMemGetInfo(self):
        return Result.CUDA_SUCCESS, 1_000_000, 8_000_000

    def __getattr__(self, name):
        def call(*arguments):
            self.calls.append((name, *arguments))
            if name in self.failing:
                return self.failing[name], None
            return Result.CUDA_SUCCESS, self.answers.get(name)

        def alone(*arguments):              # without a result there is only the status
            return call(*arguments)[:1]

        return call if name in self.answers else alone


def test_a_device():
    bindings = Bindings()
    device = _driver.Nvidia(bindings)
    assert (device.name, device.capability, device.processors) == ("A GPU", (9, 0), 132)
    assert device.driver_version == "12.4"
    assert device.allocate(100) == 4096
    array = np.arange(3, dtype=np.float32)
    device.copy_in(4096, array)
    assert bindings.calls[-1] == ("cuMemcpyHtoDAsync", 4096, array.ctypes.data, 12, 7)
    device.copy_out(array, 4096)
    assert [call[0] for call in bindings.calls[-2:]] == ["cuMemcpyDtoHAsync", "cuStreamSynchronize"]
    assert device.seconds(device.mark(), device.mark()) == 0.0025
    device.begin_capture()
    device.replay(device.end_capture())
    assert bindings.calls[-1] == ("cuGraphLaunch", "ready", 7)


def test_copies_beside_the_work():
    bindings = Bindings()
    device = _driver.Nvidia(bindings)
    memory = device.page_locked(3)
    memory[:] = 1, 2, 3
    assert bytes(bindings.host) == np.array([1, 2, 3], np.float32).tobytes()
    bindings.calls.clear()
    device.wait(event := device.event(), device.copies)
    device.copy_in_beside(4096, memory)
    device.record(event, device.copies)
    device.wait_here(event)
    address = ctypes.addressof(bindings.host)
    assert bindings.calls == [
        ("cuEventCreate", 2), ("cuStreamWaitEvent", 8, "event", 0),
        ("cuMemcpyHtoDAsync", 4096, address, 12, 8), ("cuEventRecord", "event", 8),
        ("cuEventSynchronize", "event")]
    bindings.calls.clear()
    device.follow(1, device.stream)
    assert bindings.calls == [("cuEventCreate", 2), ("cuEventRecord", "event", 7),
                              ("cuStreamWaitEvent", 1, "event", 0), ("cuEventDestroy", "event")]
    memory = memory[1:]
    assert bindings.calls[-1][0] == "cuEventDestroy"
    del memory
    assert bindings.calls[-1] == ("cuMemFreeHost", address)


def test_a_kernel_is_found_by_its_name_and_launched_with_its_arguments():
    bindings = Bindings()
    device = _driver.Nvidia(bindings)
    function = device.load(".version 8.0\n.visible .entry _Z3abc(\n.param .u64 x\n)\n{ ret; }")
    assert bindings.calls[-1] == ("cuModuleGetFunction", "module", b"_Z3abc")
    values = [ctypes.c_void_p(4096), ctypes.c_int32(3), ctypes.c_float(0.5)]
    seen = []

    def launch(function, *rest):
        *numbers, pointers, extra = rest
        table = (ctypes.c_void_p * 3).from_address(pointers)
        seen.append((function, *numbers, ctypes.c_int32.from_address(table[1]).value,
                     ctypes.c_float.from_address(table[2]).value, extra))
        return (Result.CUDA_SUCCESS,)

    bindings.cuLaunchKernel = launch
    device.launch(function, (5, 2, 1), 256, values)
    assert seen == [("function", 5, 2, 1, 256, 1, 1, 0, 7, 3, 0.5, 0)]


def test_the_real_bindings_have_all_that_is_called():
    bindings = pytest.importorskip("cuda.bindings.driver", reason="numba-cuda is not installed")
    source = Path(_driver.__file__).read_text(encoding="utf-8")
    names = set(re.findall(r'"(cu[A-Z]\w+)"|_api\.(cu[A-Z]\w+)|bindings\.(cu[A-Z]\w+)', source))
    assert len(names) > 20
    for name in map("".join, names):
        assert callable(getattr(bindings, name)), name
    for name in re.findall(r"errors\.(CUDA_\w+)|CUresult\.(CUDA_\w+)", source):
        assert hasattr(bindings.CUresult, "".join(name))
    for name in re.findall(r"attribute\.(CU_\w+)", source):
        assert hasattr(bindings.CUdevice_attribute, name)
    for kind, name in re.findall(r"\.(CU[a-z]\w+)\.(CU_\w+)", source):
        assert hasattr(getattr(bindings, kind), name)


def test_a_driver_that_finds_no_device():
    bindings = Bindings()
    bindings.answers = {**bindings.answers, "cuDeviceGetCount": 0}
    with pytest.raises(DeviceError, match="the driver finds no device"):
        _driver.Nvidia(bindings)


@pytest.mark.parametrize(("bindings", "message"), [
    (Bindings(cuInit=Result.CUDA_ERROR_NO_DEVICE), "no device can be used.*CUDA_ERROR_NO_DEVICE"),
    (Bindings(cuDevicePrimaryCtxRetain=Result.CUDA_ERROR_OUT_OF_MEMORY),
     "cuDevicePrimaryCtxRetain failed: CUDA_ERROR_OUT_OF_MEMORY")], ids=["device", "context"])
def test_no_device(bindings, message):
    with pytest.raises(DeviceError, match=message) as caught:
        _driver.Nvidia(bindings)
    assert "\n" not in str(caught.value)


def test_no_driver():
    bindings = Bindings()
    bindings.cuInit = lambda flags: (_ for _ in ()).throw(RuntimeError("libcuda.so.1: cannot open"))
    with pytest.raises(DeviceError, match="NVIDIA's driver is not installed"):
        _driver.Nvidia(bindings)


@pytest.mark.parametrize("status", [Result.CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
                                    Result.CUDA_ERROR_INVALID_PTX])
def test_driver_too_old(status):
    device = _driver.Nvidia(Bindings(cuModuleLoadData=status))
    with pytest.raises(DeviceError, match=r"driver \(for CUDA 12\.4\) is too old"):
        device.load(".entry x()")


def test_driver_without_a_function():
    bindings = Bindings()
    device = _driver.Nvidia(bindings)

    def missing(*arguments):
        raise RuntimeError('Function "cuGraphInstantiate" not found')

    bindings.cuGraphInstantiate = missing
    with pytest.raises(DeviceError, match=r"driver \(for CUDA 12\.4\) is too old.*Instantiate"):
        device.end_capture()


def test_out_of_page_locked_memory():
    device = _driver.Nvidia(Bindings(cuMemHostAlloc=Result.CUDA_ERROR_OUT_OF_MEMORY))
    with pytest.raises(MemoryError, match=r"4\.0 MB of the host's memory asked for, page-locked"):
        device.page_locked(1_000_000)


def test_a_device_too_old_for_tf32(monkeypatch):
    class Old(Bindings):
        def cuDeviceGetAttribute(self, which, device):
            return Result.CUDA_SUCCESS, {"major": 7, "minor": 5, "processors": 40}[which]

    monkeypatch.setattr(_precision, "driver", lambda: _driver.Nvidia(Old()))
    with pytest.raises(DeviceError, match=r"TF32 needs .* 8\.0 or later, A GPU has 7\.5$"):
        fd.cuda.allow_tf32(True)
    assert not fd.cuda.tf32_allowed()
    fd.cuda.allow_tf32(False)               # for which there need not be a device


def test_out_of_memory_says_how_much(monkeypatch):
    device = _driver.Nvidia(Bindings(cuMemAlloc=Result.CUDA_ERROR_OUT_OF_MEMORY))
    monkeypatch.setattr(_memory, "driver", lambda: device)
    monkeypatch.setattr(_memory, "_common", pool := _memory.Pool())
    monkeypatch.setattr(_memory, "_pools", [pool])
    monkeypatch.setattr(_memory, "_used", 2_500_000)
    with pytest.raises(MemoryError, match=r"3\.0 MB asked for, but of the device's 8\.0 MB only "
                                          r"1\.0 MB are free; fastdl's arrays use 2\.5 MB"):
        _memory.allocate(3_000_000)


def test_package_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastdl.cuda._compat", None)
    monkeypatch.delattr(fd.cuda, "_compat", raising=False)
    for module, name in ((fd.cuda, "_start"), (_memory, "driver")):     # as in a new process
        monkeypatch.setattr(module, name, _driver.driver.__wrapped__)
    monkeypatch.setattr(_memory, "_pools", [_memory.Pool()])
    assert "pip install 'fastdl[cuda]'" in fd.cuda.why_not()
    assert not fd.cuda.is_available()
    with pytest.raises(FastdlError):
        fd.cuda.to_device([1.0])
