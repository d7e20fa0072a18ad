"""How a GPU executes a grid: many threads at once, as long as they do the same.

Threads of as many blocks as fit are executed together. Each has a counter of its own that says
which instruction comes next; those at the same one are a group, and an instruction is done for a
whole group. Where a jump parts a group, the one that is furthest behind goes on first, so it
catches up with the others where their ways meet. A warp takes as long as all groups that it is
parted into: `Counts.instructions` counts an instruction once for each warp that has a thread there.

At a barrier threads wait for all of their block that have not ended.
"""

import ctypes
import re
from collections import Counter

import numpy as np

from . import instructions
from .memory import (
    Copies,
    DeviceMemory,
    FaultError,
    LocalMemory,
    SharedMemory,
    SharedWatch,
    Watch,
    fail_where,
    places_of,
)
from .ptx import JUMPS, SIZES, PTXError, parsed, perhaps_unwritten, reads_and_writes

THREADS = 4096                          # that are executed together, at most
WARP = 32
SECTOR, BANKS = 32, 32                  # bytes that memory is moved by; words read at once


class MachineError(Exception):
    """A kernel did what it must not."""


class Counts:
    """What a launch has cost.

    Attributes
    ----------
    instructions : how often each is executed, by warps, by their names
    sectors, least_sectors : of 32 bytes, moved by accesses to the device's memory; how many would
        do if the bytes that a warp wants lay together
    wavefronts, least_wavefronts : in which shared memory is read and written; and without conflicts
        of banks
    """

    def __init__(self):
        self.instructions = Counter()
        self.sectors = self.least_sectors = self.wavefronts = self.least_wavefronts = 0

    def __repr__(self):
        return (f"{sum(self.instructions.values())} instructions, {self.sectors} sectors (at least "
                f"{self.least_sectors}), {self.wavefronts} wavefronts (at least "
                f"{self.least_wavefronts})")

    def of_device(self, warp, lane, address, size):
        """Count an access of threads."""
        pieces = np.unique(np.stack([warp, address // np.uint64(size)]).astype(np.int64), axis=1)
        self.least_sectors += int((-(-np.bincount(pieces[0]) * size // SECTOR)).sum())
        pieces[1] = pieces[1] * size // SECTOR
        self.sectors += np.unique(pieces, axis=1).shape[1]

    def of_shared(self, warp, lane, address, size):
        """Count an access of threads; of 16 bytes each, 8 lanes have one at a time."""
        group = warp.astype(np.int64) * WARP + lane // (128 // size)
        words = (address.astype(np.int64)[:, None] // 4 + np.arange(size // 4)).reshape(-1)
        pairs = np.unique(np.stack([np.repeat(group, size // 4), words]), axis=1)
        self.least_wavefronts += int((-(-np.bincount(pairs[0]) // BANKS)).sum())
        banks, depth = np.unique(pairs[0] * BANKS + pairs[1] % BANKS, return_counts=True)
        deepest = np.zeros(int(group.max()) + 1, np.int64)
        np.maximum.at(deepest, banks // BANKS, depth)
        self.wavefronts += int(deepest.sum())


class Processor:
    """What executes: registers, and what threads know of themselves."""

    def __init__(self, memory: DeviceMemory):
        self.memory = memory
        self.registers = []             # 8 bytes for each thread
        self.special = {f"%{name}.{axis}": np.zeros(THREADS, np.uint32)
                        for name in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz"}
        self.special["%laneid"] = self.lane = np.zeros(THREADS, np.uint32)
        self.special["%warpid"] = np.zeros(THREADS, np.uint32)
        self.warp = np.zeros(THREADS, np.int64)         # counted through all blocks
        self.block = np.zeros(THREADS, np.int64)        # of those that are executed together
        self.who, self.who_shared = np.zeros((2, THREADS), np.int64)    # for `Watch`
        self.launches = 0
        self.counts = None              # or what the launches that come are counted by

    def register(self, number):
        """A row of the register file."""
        while len(self.registers) <= number:
            self.registers.append(np.zeros(THREADS, np.uint64))
        return self.registers[number]


class Program:
    """A kernel whose instructions are bound to a processor's registers and memories."""

    def __init__(self, text, processor):
        self.kernel = kernel = parsed(text)
        self.processor, self.device = processor, processor.memory
        self.warp, self.lane = processor.warp, processor.lane
        self.numbers = {name: i for i, name in enumerate(kernel.registers)}
        self.shared = SharedMemory(kernel.shared)
        self.local = LocalMemory(kernel.local)
        self.copies = Copies(self.device, self.shared, processor, THREADS)
        self.parameters = {name: np.zeros(1, np.uint64) for name in kernel.parameters}
        bound = [None if _is_control(i) else instructions.bound(i, self) for i in kernel.code]
        unwritten = perhaps_unwritten(kernel)
        self.written = {name: np.zeros(THREADS, bool) for name in set().union(*unwritten)}
        self.steps = list(map(self._step, bound, kernel.code, unwritten))
        self.until, nearest = [], len(kernel.code)      # the next that changes who comes next
        for place in reversed(range(len(kernel.code))):
            nearest = place if self.steps[place] is None else nearest
            self.until.append(nearest)
        self.until.reverse()
        self.executed = np.zeros(len(kernel.code), np.int64)
        self.now = 0                    # the instruction

    # ---- what instructions are bound to ----

    def source(self, token, kind):
        """Values of a type for all threads: a register, a number, an address."""
        kind_, processor = instructions.dtype_of(kind), self.processor
        if token in self.numbers:
            row = self._row(token)
            if row.itemsize < kind_.itemsize:
                raise PTXError(f"{token} has not the size of .{kind}")
            return row.view(kind_)[::row.itemsize // kind_.itemsize]
        if token in processor.special:
            return processor.special[token].view(kind_)
        for memory in (self.shared, self.local):
            if token in memory.places:
                return np.broadcast_to(kind_.type(memory.places[token]), THREADS)
        return np.broadcast_to(_number(token, kind_), THREADS)

    def target(self, token, kind):
        """Where values of a type go; into a wider register with their sign."""
        row = self._row(token)
        letter = instructions.dtype_of(kind).kind
        return row if letter == "b" else row.view(f"{letter}{row.itemsize}")

    def _row(self, token):
        kind = self.kernel.registers[token]
        return self.processor.register(self.numbers[token]).view(
            f"u{SIZES[kind]}" if kind != "pred" else bool)[:THREADS]

    def parameter(self, address, kind):
        """The cell in which a parameter of the kernel comes."""
        kind = instructions.dtype_of(kind)
        return self.parameters[address.base].view(np.uint8)[
            address.offset:address.offset + kind.itemsize].view(kind)

    def loads(self, space):
        """A function (threads, addresses, size) for a space."""
        return self._access(space, "load")

    def stores(self, space):
        """A function (threads, addresses, size, cells) for a space."""
        return self._access(space, "store")

    def _access(self, space, what):
        if space == "generic":
            raise KeyError("generic addresses")
        function = getattr({"global": self.device, "shared": self.shared,
                            "local": self.local}[space], what)
        processor, warp, lane, block = self.processor, self.warp, self.lane, self.processor.block
        who, who_shared = processor.who, processor.who_shared

        def of_device(at, address, size, *values):
            if processor.counts is not None:
                processor.counts.of_device(warp[at], lane[at], address, size)
            return function(at, address, size, *values, who[at])

        def of_shared(at, address, size, *values):
            if processor.counts is not None:
                processor.counts.of_shared(warp[at], lane[at], address, size)
            return function(at, address, size, *values, block[at], who_shared[at])

        def of_local(at, address, size, *values):
            return function(at, address, size, *values, places_of(at))

        return {"global": of_device, "shared": of_shared, "local": of_local}[space]

    def change(self, at, address, kind, change):
        """Atomic changes of the device's memory."""
        return self.device.change(at, address, kind, change, self.processor.who[at])

    def order_warps(self, at):
        """What warps did is done before they go on."""
        who = self.processor.who_shared[at]
        self.shared.watch.order(np.unique(who & ~31))

    def _step(self, step, instruction, unwritten):
        """What an instruction does, with its guard, and with what watches registers."""
        if step is None:
            return None
        _, writes = reads_and_writes(instruction, self.numbers)
        writes = [name for name in writes if name in self.written]
        guard = instruction.guard and instruction.guard[0]
        step = self._watched(step, [name for name in unwritten if name != guard], writes)
        if guard:
            step = self._guarded(step, *instruction.guard)
        return self._watched(step, [name for name in unwritten if name == guard], [])

    def _watched(self, step, reads, writes):
        if not (reads or writes):
            return step

        def watched(at):
            for name in reads:
                fail_where(~self.written[name][at], f"read {name}, which was never written", at)
            step(at)
            for name in writes:
                self.written[name][at] = True

        return watched

    def _guarded(self, step, name, wanted):
        predicate = self.source(name, "pred")

        def guarded(at):
            chosen = places_of(at)[predicate[at] == wanted]
            if len(chosen):
                step(chosen)

        return guarded

    # ---- execution ----

    def values(self, pointers):
        """What the kernel's arguments are, of which `pointers` is a table, as bytes."""
        table = (ctypes.c_void_p * len(self.parameters)).from_address(pointers)
        return [ctypes.string_at(pointer, SIZES[kind]) for pointer, kind in zip(
            table, self.kernel.parameters.values(), strict=True)]

    def launch(self, blocks, threads, values):
        """Execute a grid of ``blocks`` (x, y, z) of ``threads`` (x, y, z); values as bytes."""
        processor, each = self.processor, int(np.prod(threads))
        for cell, value in zip(self.parameters.values(), values, strict=True):
            cell.view(np.uint8)[:len(value)] = np.frombuffer(value, np.uint8)
        processor.launches += 1
        self.executed[:] = 0
        count, together = int(np.prod(blocks)), max(1, THREADS // each)
        with np.errstate(all="ignore"):
            for first in range(0, count, together):
                self._enter(blocks, threads, each, first, min(together, count - first))
                try:
                    self._execute(each * min(together, count - first))
                except FaultError as fault:
                    raise MachineError(self._told(fault)) from None
        if processor.counts is not None:
            for instruction, times in zip(self.kernel.code, self.executed, strict=True):
                if times:
                    processor.counts.instructions[instruction.name] += int(times)

    def _told(self, fault):
        """The error, with kernel, line, thread and block."""
        special, instruction = self.processor.special, self.kernel.code[self.now]
        thread, block = (tuple(int(special[f"%{name}.{axis}"][fault.thread]) for axis in "xyz")
                         for name in ("tid", "ctaid"))
        return (f"{fault.what}\n    kernel {readable(self.kernel.name)}, line {instruction.line}: "
                f"{instruction}\n    thread {thread} of block {block}")

    def _enter(self, blocks, threads, each, first, count):
        """Give threads of `count` blocks their numbers."""
        processor, n = self.processor, each * count
        place = np.arange(n)
        thread, block = place % each, place // each
        warps = -(-each // WARP)
        processor.block[:n] = block
        processor.lane[:n] = thread % WARP
        processor.special["%warpid"][:n] = thread // WARP
        processor.warp[:n] = (first + block) * warps + thread // WARP
        processor.who[:n] = (processor.launches << Watch.EPOCH) + 1 + first * each + place
        processor.who_shared[:n] = (1 << SharedWatch.EPOCH) + thread
        for names, index, sizes in (("tid", thread, threads), ("ctaid", first + block, blocks)):
            for axis, size in zip("xyz", sizes, strict=True):
                processor.special[f"%{names}.{axis}"][:n] = index % size
                processor.special[f"%n{names}.{axis}"][:n] = size
                index = index // size
        self.shared.enter(count)
        self.local.enter(n)
        self.copies.forget()
        for written in self.written.values():
            written[:] = False

    def _execute(self, n):
        """Until all threads have ended."""
        everyone, end = slice(0, n), len(self.steps)
        ready, waiting = {0: everyone}, []              # groups: where they are, and who

        def join(place, at):
            if place in ready:
                at = np.sort(np.concatenate([places_of(ready[place]), places_of(at)]))
                at = everyone if len(at) == n else at
            if place < end:
                ready[place] = at

        while ready or waiting:
            if not ready:
                self._release(waiting)
                for place, at in waiting:
                    join(place + 1, at)
                waiting = []
            ways = [(place := min(ready), ready.pop(place))]
            nearest = min(ready, default=end)           # of the other groups
            while len(ways) == 1 and ways[0][0] < nearest:
                ways = self._go_on(*ways[0], nearest, waiting)
            for way in ways:
                join(*way)

    def _go_on(self, place, at, nearest, waiting):
        """Execute a group up to the first jump or barrier; returns where who goes on."""
        steps, last = self.steps, min(self.until[place], nearest)
        warps = 1 + np.count_nonzero(np.diff(self.warp[at]))
        self.executed[place:last] += warps
        for self.now in range(place, last):
            steps[self.now](at)
        if last == nearest:
            return [(last, at)]
        self.now = last
        self.executed[last] += warps
        instruction = self.kernel.code[last]
        if instruction.opcode.startswith("bar"):
            waiting.append((last, at))
            return []
        return self._jump(instruction, last, at)

    def _jump(self, instruction, place, at):
        """Where threads go on: places and who."""
        to = [(self.kernel.labels[instruction.operands[0]], at)] if (
            instruction.opcode == "bra") else []
        if instruction.guard is None:
            return to
        name, wanted = instruction.guard
        goes = self.source(name, "pred")[at] == wanted
        if goes.all():
            return to
        if not goes.any():
            return [(place + 1, at)]
        places = places_of(at)
        return [(way, places[goes]) for way, _ in to] + [(place + 1, places[~goes])]

    def _release(self, waiting):
        """Let threads behind barriers, if all of a block wait at the same one."""
        places = np.concatenate([places_of(at) for _, at in waiting])
        if len(waiting) > 1:
            where = np.repeat([place for place, _ in waiting],
                              [len(places_of(at)) for _, at in waiting])
            block = self.processor.block[places]
            first = np.full(block.max() + 1, len(self.steps))
            np.minimum.at(first, block, where)
            self.now = int(where.max())
            fail_where(first[block] != where, "a barrier that not all threads of the block come "
                       "to; others wait at another one", places)
        self.processor.who_shared[places] += 1 << SharedWatch.EPOCH


def _is_control(instruction):
    barrier = instruction.name.startswith(("bar.sync", "barrier.sync"))
    if barrier and instruction.guard:
        raise PTXError(f"line {instruction.line}: a barrier with a guard")
    return barrier or instruction.opcode in JUMPS


def _number(token, kind):
    """An immediate: 0f and 0d are followed by the bits of a float."""
    try:
        if token[:2].lower() in ("0f", "0d"):
            size = 4 if token[1] in "fF" else 8
            return np.array(int(token[2:], 16), f"u{size}").view(f"f{size}").astype(kind)[()]
        if token == "WARP_SZ":
            return kind.type(WARP)
        number = int(token.rstrip("U"), 0)
    except ValueError:
        raise KeyError(token) from None
    if kind.kind == "b":
        return np.bool_(number)
    return np.array(number % (1 << 8 * kind.itemsize), f"u{kind.itemsize}").view(kind)[()]


def readable(name):
    """A mangled name's parts: each is preceded by its length."""
    parts, rest = [], name.removeprefix("_ZN")
    while found := re.match(r"(\d+)", rest):
        begin, length = found.end(), int(found[1])
        parts.append(rest[begin:begin + length])
        rest = rest[begin + length:]
    return ".".join(parts) or name


def execute(text, blocks, threads, *arguments):
    """Run a kernel on arrays of the host, which it changes, and NumPy's numbers; what it has cost.

    Each array is an allocation of its own, so that whatever lies beside it is nobody's.
    """
    memory = DeviceMemory((1 << 20) + 2 * sum(np.asarray(a).nbytes for a in arguments))
    processor = Processor(memory)
    processor.counts = Counts()
    values, spans = [], []
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            address = memory.allocate(argument.nbytes)
            spans.append((argument, memory.span(address, argument.nbytes)))
            spans[-1][1][:] = np.frombuffer(argument.tobytes(), np.uint8)
            argument = np.uint64(address)
        values.append(argument.tobytes())
    Program(text, processor).launch((*blocks, 1, 1)[:3], (*threads, 1, 1)[:3], values)
    for array, span in spans:
        array[...] = span.view(array.dtype).reshape(array.shape)
    return processor.counts
