"""Memory of the device and of blocks, which watches who reads and writes what.

Of every cell (4 bytes, or a byte) it is kept who wrote it last and who read it last. Two threads
that use a cell between two barriers (in the device's memory: in one kernel) do so in any order on
a GPU, so where at least one of them writes, the program is wrong, whatever happens here.
"""

import numpy as np

from .ptx import PTXError

LINE = 256                              # bytes; where pieces begin
SHARED, LOCAL = 1 << 24, 1 << 28        # addresses at which these memories begin
GAP = 256                               # bytes between variables, which nobody may touch


class FaultError(Exception):
    """A thread did what it must not; `thread` is its place among those that are executed."""

    def __init__(self, what, thread):
        super().__init__(what)
        self.what, self.thread = what, thread


def fail_where(bad, what, at):
    """Raise for the first thread for which `bad` holds; `what` may be a function of its index."""
    if bad.any():
        first = int(bad.argmax())
        thread = first if isinstance(at, slice) else int(at[first])
        raise FaultError(what(first) if callable(what) else what, thread)


def places_of(at):
    """Threads as an array."""
    return np.arange(at.start, at.stop) if isinstance(at, slice) else at


class Watch:
    """Who used cells last: a stamp is an epoch, in which order means nothing, and who.

    `SEVERAL` stands for more than one thread, `ATOMIC` for all that change a cell atomically.
    """

    EPOCH = 40                          # bits of who
    SEVERAL = (1 << EPOCH) - 1
    ATOMIC = SEVERAL - 1

    def __init__(self, cells):
        self.wrote, self.read = np.zeros((2, cells), np.int64)

    def clash(self, then, now):
        """Whether another used the cell in this epoch."""
        return (then != now) & (then >> self.EPOCH == now >> self.EPOCH)

    def joined(self, then, now):
        """The stamp of both."""
        return np.where(self.clash(then, now), now | self.SEVERAL, now)

    def reads(self, cells, now):
        """Note it; returns where another wrote in this epoch."""
        clash = self.clash(self.wrote[cells], now)
        stamps = self.joined(self.read[cells], now)
        self.read[cells] = stamps
        if (together := self.clash(self.read[cells], stamps)).any():
            cells, stamps = cells[together], self.joined(self.read[cells], now)[together]
            self.read[cells] = stamps
            most = stamps & self.SEVERAL == self.SEVERAL
            self.read[cells[most]] = stamps[most]
        return clash

    def writes(self, cells, now):
        """Note it; returns where another read, and where another wrote in this epoch before."""
        written = self.clash(self.wrote[cells], now)
        self.wrote[cells] = now
        return self.clash(self.read[cells], now), written


class Aligned:
    """What all memories have: numbers at addresses, of which some may be used."""

    def _index(self, at, offset, size, allowed):
        """Offsets; raises where they are not multiples of the size, or not allowed."""
        fail_where(offset % size != 0, lambda i: f"an address that is no multiple of {size}, but "
                   f"{int(offset[i]) % size} more", at)
        fail_where(~allowed, lambda i: f"{size} bytes {self.where(int(offset[i]), size)}", at)
        return offset


def cells_of(offset, size):
    """The cells of so many bytes each, one thread after another, and a cell's size."""
    unit = min(size, 4)
    first = offset // unit
    if size == unit:
        return first, unit
    return (first[:, None] + np.arange(size // unit)).reshape(-1), unit


class DeviceMemory(Aligned):
    """Memory of the device: one array, of which pieces are handed out."""

    def __init__(self, size):
        self.size = size
        memory = np.empty(size + LINE, np.uint8)
        self.bytes = memory[-memory.ctypes.data % LINE:][:size]
        self.base = self.bytes.ctypes.data
        self.units = {1: self.bytes, 4: self.bytes.view(np.uint32)}
        self.watch = {unit: Watch(size // unit) for unit in self.units}
        self.ends = np.zeros(size // LINE + 1, np.int64)    # of the piece that a line belongs to
        self.ends[-1] = np.iinfo(np.int64).min              # the line of what lies elsewhere
        self.pieces = {}                                    # begin: size

    # ---- pieces ----

    def allocate(self, size):
        """The address of so many bytes, all NaN, or None. Lines around it stay nobody's."""
        begin = 16 * LINE
        for taken in sorted(self.pieces):
            if taken - begin >= size + 16 * LINE:
                break
            begin = -(-(taken + self.pieces[taken]) // LINE) * LINE + 16 * LINE
        if begin + size + 16 * LINE > self.size:
            return None
        self.pieces[begin] = size
        self.use(self.base + begin, size)
        return self.base + begin

    def use(self, address, size):
        """From here on so many bytes of a piece are used, and nothing is known of them."""
        begin = address - self.base
        lines = slice(begin // LINE, -(-(begin + self.pieces[begin]) // LINE))
        self.ends[lines] = begin + size
        self.bytes[begin:begin + self.pieces[begin]] = 0xFF

    def free(self, address):
        """Nobody may use the piece any more."""
        begin = address - self.base
        size = self.pieces.pop(begin)
        self.ends[begin // LINE:-(-(begin + size) // LINE)] = 0

    def span(self, address, size):
        """The bytes at an address, for copies; raises where they are not all of one piece."""
        begin = address - self.base
        if not (0 <= begin < self.size and begin + size <= self.ends[begin // LINE]):
            raise FaultError(f"{size} bytes {self.where(begin, size)}", None)
        return self.bytes[begin:begin + size]

    def where(self, begin, size):
        """In words."""
        before = [piece for piece in self.pieces if piece <= begin]
        if not before or not 0 <= begin < self.size:
            return f"at address {self.base + begin:#x}, where nothing is allocated"
        piece = max(before)
        length = int(self.ends[piece // LINE]) - piece
        return f"from byte {begin - piece} on of an allocation of {length} bytes"

    # ---- what threads do ----

    def index(self, at, address, size, used=None):
        """Offsets of what threads may use; of `size` bytes perhaps fewer are used."""
        used = size if used is None else used
        offset = (address - np.uint64(self.base)).view(np.int64)
        line = np.where((offset >= 0) & (offset < self.size), offset // LINE, len(self.ends) - 1)
        return self._index(at, offset, size, (offset + used <= self.ends[line]) | (used == 0))

    def load(self, at, address, size, who):
        """So many bytes for each thread, as cells."""
        cells, unit = cells_of(self.index(at, address, size), size)
        each = len(cells) // len(who)
        fail_where(self.watch[unit].reads(cells, np.repeat(who, each)).reshape(-1, each).any(1),
                   "read what another thread wrote in the same kernel", at)
        return self.units[unit][cells]

    def store(self, at, address, size, values, who):
        """Store cells; the same value may be stored by several threads."""
        cells, unit = cells_of(self.index(at, address, size), size)
        each, memory = len(cells) // len(who), self.units[unit]
        before = memory[cells]
        memory[cells] = values
        was_read, written = self.watch[unit].writes(cells, np.repeat(who, each))
        fail_where(was_read.reshape(-1, each).any(1),
                   "written what another thread read in the same kernel", at)
        otherwise = written & (before != values) | (memory[cells] != values)
        fail_where(otherwise.reshape(-1, each).any(1),
                   "written what another thread wrote otherwise in the same kernel", at)

    def change(self, at, address, kind, change, who):
        """What atomic instructions do, one thread after another; returns what was there."""
        cells, unit = cells_of(self.index(at, address, kind.itemsize), kind.itemsize)
        atomic = who & ~Watch.SEVERAL | Watch.ATOMIC
        was_read, written = self.watch[unit].writes(cells, atomic)
        fail_where(was_read | written, "changed what another thread read or wrote in the same "
                   "kernel", at)
        memory, before = self.units[unit].view(kind), np.empty(len(cells), kind)
        for i, cell in enumerate(cells):
            before[i] = memory[cell]
            memory[cell] = change(i, before[i])
        return before


class SharedWatch(Watch):
    """The same for blocks, where a barrier of a warp (bar.warp.sync) orders what its lanes do.

    Who is a lane, its warp, and a state: `ONE` lane, several of the `WARP`, one or several of it
    that a barrier of the warp has `ORDERED` before what comes now, or `SEVERAL` warps.
    """

    EPOCH = 12
    ONE, WARP, ORDERED, SEVERAL = 0, 1 << 10, 2 << 10, 3 << 10
    STATE, OF_WARP = 3 << 10, 31 << 5

    def clash(self, then, now):
        ordered = (then & self.STATE == self.ORDERED) & (then & self.OF_WARP == now & self.OF_WARP)
        return super().clash(then, now) & ~ordered

    def joined(self, then, now):
        same_warp = ((then ^ now) & self.OF_WARP == 0) & (then & self.STATE != self.SEVERAL)
        return np.where(self.clash(then, now),
                        now | np.where(same_warp, self.WARP, self.SEVERAL), now)

    def order(self, stamps):
        """What warps did is done before they go on; `stamps` are those of their first lanes."""
        for used in (self.wrote, self.read):
            for stamp in stamps:
                theirs = (used >> 5 == stamp >> 5) | (used >> 5 == (stamp | self.WARP) >> 5)
                used[theirs] = stamp | self.ORDERED


class SharedMemory(Aligned):
    """Memory of blocks, all of which have the same variables; an address is of the own block's."""

    def __init__(self, variables):
        self.places, end = _placed(variables, SHARED)
        self.size = end - SHARED
        self.variables = variables
        self.mine = np.zeros(self.size // 4 + 1, bool)      # cells of variables
        for variable in variables:
            begin = (self.places[variable.name] - SHARED) // 4
            self.mine[begin:begin + -(-variable.size // 4)] = True
        self.enter(1)

    def enter(self, blocks):
        """So many blocks come, which find nothing."""
        self.cells = np.empty(self.size // 4 * blocks, np.uint32)
        self.watch = SharedWatch(len(self.cells))
        self.pending = np.zeros(len(self.cells), bool)      # of copies that go on by themselves

    def where(self, begin, size):
        """In words."""
        for variable in self.variables:
            offset = begin + SHARED - self.places[variable.name]
            if -GAP // 2 <= offset < variable.size + GAP // 2:
                return f"from byte {offset} on of {variable.name}, which has {variable.size} bytes"
        return f"at shared address {begin + SHARED:#x}, where no variable is"

    def index(self, at, address, size, block):
        """Cells of what threads may use."""
        if size < 4:
            raise PTXError("less than 4 bytes of shared memory")
        offset = address.astype(np.int64) - SHARED
        cell = np.where((offset >= 0) & (offset < self.size), offset // 4, len(self.mine) - 1)
        last = np.minimum(cell + size // 4 - 1, len(self.mine) - 1)
        self._index(at, offset, size, self.mine[cell] & self.mine[last])
        return cells_of(offset + block * self.size, size)[0]

    def load(self, at, address, size, block, who):
        """So many bytes for each thread, as cells."""
        cells = self.index(at, address, size, block)
        each = len(cells) // len(who)
        self._fail(at, self.watch.wrote[cells] == 0, each, "read what was never written")
        self._fail(at, self.pending[cells], each, "read what is still being copied (cp.async)")
        self._fail(at, self.watch.reads(cells, np.repeat(who, each)), each,
                   "read what another thread wrote, and no barrier is between")
        return self.cells[cells]

    def store(self, at, address, size, values, block, who):
        """Store cells."""
        cells = self.index(at, address, size, block)
        self.begin_store(at, cells, who)
        self.cells[cells] = values

    def begin_store(self, at, cells, who):
        """Note it, and whatever speaks against it."""
        each = len(cells) // len(who)
        who = np.repeat(who, each)
        was_read, written = self.watch.writes(cells, who)
        written |= self.watch.wrote[cells] != who           # at the same moment
        self._fail(at, self.pending[cells], each, "written what is still being copied (cp.async)")
        self._fail(at, was_read, each, "written what another thread read, and no barrier is "
                   "between")
        self._fail(at, written, each, "written what another thread wrote, and no barrier is "
                   "between")

    @staticmethod
    def _fail(at, bad, each, what):
        fail_where(bad.reshape(-1, each).any(1), f"shared memory: {what}", at)


class Copies:
    """Copies from the device's memory to that of blocks, which threads begin and wait for.

    As late as allowed: what is copied arrives, and is read, when it is waited for.
    """

    def __init__(self, device, shared, processor, threads):
        self.device, self.shared, self.processor = device, shared, processor
        self.groups = np.zeros(threads, np.int64)           # that each thread has committed
        self.under_way = []

    def begin(self, at, to, address, size, used):
        """Copy `used` bytes, and zeros behind them up to `size`."""
        used, processor = used.astype(np.int64), self.processor
        offset = self.device.index(at, address, size, used)
        cells = self.shared.index(at, to, size, processor.block[at])
        part = np.arange(0, size, 4)
        reads = (part < used[:, None]).reshape(-1)
        clash = np.zeros(len(reads), bool)
        clash[reads] = self.device.watch[4].reads(
            (offset[:, None] + part).reshape(-1)[reads] // 4,
            np.repeat(processor.who[at], len(part))[reads])
        fail_where(clash.reshape(-1, len(part)).any(1),
                   "read what another thread wrote in the same kernel", at)
        self.shared.begin_store(at, cells, processor.who_shared[at])
        self.shared.pending[cells] = True
        places = places_of(at)
        self.under_way.append((places, self.groups[places], cells.reshape(-1, len(part)), offset,
                               size, used))

    def commit(self, at):
        """What threads have begun is a group."""
        self.groups[at] += 1

    def wait(self, at, left):
        """All but so many groups arrive, or everything."""
        waits = np.zeros(len(self.groups), bool)
        waits[at] = True
        rest = []
        for places, group, *copy in self.under_way:
            done = waits[places]
            if left is not None:
                done &= group + left < self.groups[places]
            self._arrive(*(part[done] if np.ndim(part) else part for part in copy),
                         self.processor.who_shared[places[done]])
            if not done.all():
                rest.append((places[~done], group[~done],
                             *(part[~done] if np.ndim(part) else part for part in copy)))
        self.under_way = rest

    def _arrive(self, cells, offset, size, used, who):
        each = np.arange(size)
        reads = each < used[:, None]
        values = np.zeros(reads.shape, np.uint8)
        values[reads] = self.device.bytes[(offset[:, None] + each)[reads]]
        self.shared.cells[cells] = values.view(np.uint32)
        self.shared.pending[cells] = False
        self.shared.watch.wrote[cells] = who[:, None]

    def forget(self):
        """New threads come."""
        self.groups[:] = 0
        self.under_way = []


class LocalMemory(Aligned):
    """Memory that each thread has for itself."""

    def __init__(self, variables):
        self.places, end = _placed(variables, LOCAL)
        self.size = end - LOCAL
        self.enter(1)
        self.mine = np.zeros(self.size + 1, bool)
        for variable in variables:
            begin = self.places[variable.name] - LOCAL
            self.mine[begin:begin + variable.size] = True

    def enter(self, threads):
        """So many threads come, which find nothing."""
        memory = np.empty(self.size * threads, np.uint8)
        self.units = {1: memory, 4: memory.view(np.uint32)}
        self.written = np.zeros(self.size * threads, bool)

    def where(self, begin, size):
        """In words."""
        return f"at local address {begin + LOCAL:#x}, where no variable is"

    def index(self, at, address, size, thread):
        """Cells, their size, and their bytes."""
        offset = address.astype(np.int64) - LOCAL
        inside = np.where((offset >= 0) & (offset + size <= self.size), offset, self.size)
        self._index(at, offset, size, self.mine[inside])
        begin = offset + thread * self.size
        return *cells_of(begin, size), (begin[:, None] + np.arange(size)).reshape(-1)

    def load(self, at, address, size, thread):
        """So many bytes for each thread, as cells."""
        cells, unit, each = self.index(at, address, size, thread)
        fail_where(~self.written[each].reshape(-1, size).all(1),
                   "local memory: read what was never written", at)
        return self.units[unit][cells]

    def store(self, at, address, size, values, thread):
        """Store cells."""
        cells, unit, each = self.index(at, address, size, thread)
        self.units[unit][cells] = values
        self.written[each] = True


def _placed(variables, begin):
    """Addresses of variables, with gaps between them, and the end."""
    places, end = {}, begin
    for variable in variables:
        end = -(-end // max(variable.alignment, 128)) * max(variable.alignment, 128)
        places[variable.name] = end
        end += variable.size + GAP
    return places, -(-end // LINE) * LINE
