"""What `fastdl.cuda._driver.Nvidia` calls of `cuda.bindings.driver`, on a machine in Python.

Work that is put into a stream waits in a queue until somebody waits for it. All that streams and
events promise is kept, and no more: `eager` streams do their work as early as they may, others as
late; a program that forgot an event sees, with one or the other, what must not be seen. A
page-locked array is read when it is copied, any other when the copy is asked for, as CUDA's
documentation has it.
"""

import ctypes
import threading
from collections import deque
from functools import partial
from itertools import count
from types import SimpleNamespace

import numpy as np
from cuda.bindings import driver as real

from .memory import DeviceMemory, FaultError
from .ptx import PTXError
from .run import MachineError, Processor, Program

OK = real.CUresult.CUDA_SUCCESS


class RefusedError(Exception):
    """A call that the driver answers with an error."""


def refuse(name):
    """Answer with this error."""
    raise RefusedError(getattr(real.CUresult, f"CUDA_ERROR_{name}"))


class Stream:
    """A queue of work: functions, and records of events to wait for."""

    def __init__(self, kind):
        self.kind, self.queue = kind, deque()
        self.captured = None            # work that is written down and not done

    def is_blocked(self):
        """Whether the next waits for another stream."""
        return not self.queue or (isinstance(self.queue[0], Record) and not self.queue[0].done)


class Record:
    """A point in a stream, which an event stands for."""

    def __init__(self, stream):
        self.stream, self.done, self.time = stream, False, None


class Driver:
    """The functions; each returns a status and a result, as the real ones do.

    Parameters
    ----------
    eager : kinds of streams that work as early as they may: "work", "copies"
    memory : bytes that the device has
    processors : multiprocessors that it says it has; kernels choose their grids by them
    """

    def __init__(self, eager=(), memory=1 << 26, processors=4):
        self.eager, self.limit, self.processors = frozenset(eager), memory, processors
        self.memory = DeviceMemory(2 * memory + (1 << 20))      # there are gaps
        self.processor = Processor(self.memory)
        self.clock = 0.0                            # microseconds
        self._handles, self._things = count(4096, 16), {}
        self._locked = {}                           # page-locked memory: address, array
        self._current = threading.local()
        self._things[1] = self._things[2] = Stream("work")      # the default streams
        for name in ("CUresult", "CUdevice_attribute", "CUstream_flags", "CUevent_flags",
                     "CUstreamCaptureMode"):
            setattr(self, name, getattr(real, name))

    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        if not name.startswith("cu"):
            return found

        def call(*arguments):
            try:
                if name not in _WITHOUT_CONTEXT and not getattr(self._current, "set", False):
                    refuse("INVALID_CONTEXT")
                result = found(*arguments)
            except RefusedError as refused:
                return refused.args[0], None
            results = () if result is None else result if isinstance(result, tuple) else (result,)
            return OK, *results

        return call

    # ---- the device ----

    def cuInit(self, flags):
        pass

    def cuDriverGetVersion(self):
        return 13050

    def cuDeviceGetCount(self):
        return 1

    def cuDeviceGet(self, number):
        return number

    def cuDeviceGetName(self, length, device):
        return b"a machine in Python".ljust(length, b"\0")

    def cuDeviceGetAttribute(self, which, device):
        known = self.CUdevice_attribute
        return {known.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: 9,
                known.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: 0,
                known.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: self.processors}[which]

    def cuDevicePrimaryCtxRetain(self, device):
        return self._made(SimpleNamespace(device=device))

    def cuCtxSetCurrent(self, context):
        self._current.set = context in self._things

    # ---- memory ----

    def cuMemAlloc(self, size):
        if size == 0:
            refuse("INVALID_VALUE")
        address = self.memory.allocate(size) if size <= self._free() else None
        return refuse("OUT_OF_MEMORY") if address is None else address

    def cuMemFree(self, address):
        self._finish_all()
        if address - self.memory.base not in self.memory.pieces:
            refuse("INVALID_VALUE")
        self.memory.free(address)

    def _free(self):
        return self.limit - sum(self.memory.pieces.values())

    def cuMemGetInfo(self):
        return self._free(), self.limit

    def cuMemHostAlloc(self, size, flags):
        memory = np.full(size, 0xFF, np.uint8)
        self._locked[memory.ctypes.data] = memory
        return memory.ctypes.data

    def cuMemFreeHost(self, address):
        self._finish_all()
        if self._locked.pop(address, None) is None:
            refuse("INVALID_VALUE")

    def cuMemcpyHtoDAsync(self, target, source, size, stream):
        if any(start <= source and source + size <= start + memory.size
               for start, memory in self._locked.items()):
            self._put(stream, partial(self._copy_in, target, source, size))
            return
        if self._stream(stream).captured is not None:       # the copy has to be staged now
            self._break_capture(stream, "STREAM_CAPTURE_UNSUPPORTED")
        staged = np.frombuffer((ctypes.c_uint8 * size).from_address(source), np.uint8).copy()
        self._put(stream, lambda: self._copy_in(target, staged.ctypes.data, staged.size))

    def _copy_in(self, target, source, size):
        ctypes.memmove(self._span(target, size).ctypes.data, source, size)

    def cuMemcpyDtoHAsync(self, target, source, size, stream):
        self._put(stream, lambda: ctypes.memmove(target, self._span(source, size).ctypes.data,
                                                 size))
        if target not in self._locked:
            self._finish_stream(stream)

    def cuMemcpyDtoDAsync(self, target, source, size, stream):
        def copy():
            self._span(target, size)[:] = self._span(source, size).copy()

        self._put(stream, copy)

    def cuMemsetD8Async(self, address, byte, size, stream):
        self._put(stream, lambda: self._span(address, size).fill(byte))

    def use(self, address, size, stream):
        """In the stream: from here on only so many bytes of a piece are used, and all are NaN."""
        self._put(stream, lambda: self.memory.use(address, size))

    def _span(self, address, size):
        try:
            return self.memory.span(int(address), size)
        except FaultError as fault:
            raise MachineError(f"a copy: {fault.what}") from None

    # ---- kernels ----

    def cuModuleLoadData(self, image):
        try:
            return self._made(Program(ctypes.string_at(image).decode(), self.processor))
        except PTXError as error:
            raise MachineError(str(error)) from None

    def cuModuleGetFunction(self, module, name):
        if self._things[module].kernel.name != name.decode():
            refuse("NOT_FOUND")
        return module

    def cuLaunchKernel(self, function, x, y, z, threads_x, threads_y, threads_z, shared, stream,
                       parameters, extra):
        program, blocks = self._things[function], (x, y, z)
        threads = threads_x, threads_y, threads_z
        if not all(blocks) or max(y, z) > 65535 or not 0 < int(np.prod(threads)) <= 1024:
            refuse("INVALID_VALUE")
        values = program.values(parameters)
        self._put(stream, lambda: program.launch(blocks, threads, values))

    # ---- streams and events ----

    def cuStreamCreate(self, flags):
        return self._made(Stream(
            "copies" if flags == self.CUstream_flags.CU_STREAM_NON_BLOCKING else "work"))

    def cuStreamSynchronize(self, stream):
        self._finish_stream(stream)

    def cuEventCreate(self, flags):
        timed = flags != self.CUevent_flags.CU_EVENT_DISABLE_TIMING
        return self._made(SimpleNamespace(record=None, timed=timed))

    def cuEventDestroy(self, event):
        del self._things[event]

    def cuEventRecord(self, event, stream):
        record = self._things[event].record = Record(self._stream(stream))
        self._put(stream, partial(self._reach, record))

    def _reach(self, record):
        record.done, record.time = True, self.clock

    def cuStreamWaitEvent(self, stream, event, flags):
        record, captured = self._things[event].record, self._stream(stream).captured
        if record is None:
            return
        if captured is not None and record.stream is not self._stream(stream):
            self._break_capture(stream, "STREAM_CAPTURE_ISOLATION")
        self._put(stream, record)

    def cuEventSynchronize(self, event):
        if (record := self._things[event].record) is not None and not record.done:
            if record.stream.captured is not None:
                refuse("CAPTURED_EVENT")
            self._finish(record.stream, record)

    def cuEventElapsedTime(self, begin, end):
        begin, end = self._things[begin], self._things[end]
        if not (begin.timed and end.timed and begin.record and end.record):
            refuse("INVALID_HANDLE")
        if not (begin.record.done and end.record.done):
            refuse("NOT_READY")
        return (end.record.time - begin.record.time) * 1e-3

    # ---- graphs ----

    def cuStreamBeginCapture(self, stream, mode):
        if self._stream(stream).captured is not None:
            refuse("ILLEGAL_STATE")
        self._stream(stream).captured = []

    def cuStreamEndCapture(self, stream):
        captured, self._stream(stream).captured = self._stream(stream).captured, None
        if captured is None:
            refuse("ILLEGAL_STATE")
        if None in captured:
            refuse("STREAM_CAPTURE_INVALIDATED")
        return self._made(captured)

    def _break_capture(self, stream, error):
        self._stream(stream).captured.append(None)
        refuse(error)

    def cuGraphInstantiate(self, graph, flags):
        return self._made(list(self._things[graph]))

    def cuGraphDestroy(self, graph):
        del self._things[graph]

    def cuGraphExecDestroy(self, ready):
        del self._things[ready]

    def cuGraphLaunch(self, graph, stream):
        for work in self._things[graph]:
            self._put(stream, work)

    # ---- when work is done ----

    def _made(self, thing):
        handle = next(self._handles)
        self._things[handle] = thing
        return handle

    def _stream(self, handle):
        return self._things[int(handle)]

    def _put(self, handle, work):
        stream = self._stream(handle)
        if stream.captured is not None:
            stream.captured.append(work)
            return
        stream.queue.append(work)
        streams = [thing for thing in self._things.values() if isinstance(thing, Stream)]
        for _ in streams:               # what one has done another may have waited for
            for each in streams:
                while each.kind in self.eager and not each.is_blocked():
                    self._do(each.queue.popleft())

    def _do(self, work):
        if not isinstance(work, Record):
            self.clock += 1
            work()

    def _finish(self, stream, record=None):
        """Do everything, or all up to a record, and what it waits for in other streams."""
        while stream.queue and not (record and record.done):
            work = stream.queue.popleft()
            if isinstance(work, Record) and not work.done:
                self._finish(work.stream, work)
            self._do(work)

    def _finish_stream(self, handle):
        if self._stream(handle).captured is not None:
            self._break_capture(handle, "STREAM_CAPTURE_UNSUPPORTED")
        self._finish(self._stream(handle))

    def _finish_all(self):
        for thing in list(self._things.values()):
            if isinstance(thing, Stream):
                self._finish(thing)


_WITHOUT_CONTEXT = {"cuInit", "cuDriverGetVersion", "cuDeviceGetCount", "cuDeviceGet",
                    "cuDeviceGetName", "cuDeviceGetAttribute", "cuDevicePrimaryCtxRetain",
                    "cuCtxSetCurrent"}
