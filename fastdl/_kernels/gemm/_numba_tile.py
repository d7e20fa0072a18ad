"""Products and transposes of tiles in whole vectors, which Numba alone would not keep in registers.

Numba has no vectors, so these few functions are written as what it makes of everything: LLVM's own
portable instructions. The compiler cuts a vector that is longer than the processor's into pieces.
``fmuladd`` is one rounding where the processor has the instruction, else two.
"""

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .._numba_jit import helper

_FEATURES = get_host_cpu_features()

# A tile is TILE_ROWS x two vectors of sums. They, two vectors of b and one of a fill the registers.
VECTOR_BYTES, TILE_ROWS = (
    (64, 14) if _FEATURES.get("avx512f") else (32, 6) if _FEATURES.get("avx2") else (16, 6))

# The largest blocks. They stay in a second-level cache: about half a MiB in float32.
ROWS, COLUMNS, DEPTH = 168, 256, 192


@helper
def tile_columns(array):
    """Columns of a tile of the array's dtype."""
    return 2 * VECTOR_BYTES // array.itemsize


class _Memory:
    """The elements of an array, to be read and written as vectors."""

    def __init__(self, context, builder, array_type, array):
        self._builder = builder
        self._real = context.get_value_type(array_type.dtype)
        self._bytes = context.get_abi_sizeof(self._real)
        self._data = context.make_array(array_type)(context, builder, array).data
        self.lanes = VECTOR_BYTES // self._bytes
        self.vector = ir.VectorType(self._real, self.lanes)

    def at(self, index):
        return self._builder.gep(self._data, [index])

    def _as_vector(self, pointer, lane):
        place = self._builder.gep(pointer, [cgutils.intp_t(lane)])
        return self._builder.bitcast(place, self.vector.as_pointer())

    def load(self, pointer, lane=0):
        return self._builder.load(self._as_vector(pointer, lane), align=self._bytes)

    def store(self, value, pointer, lane=0):
        self._builder.store(value, self._as_vector(pointer, lane), align=self._bytes)

    def multiply_add(self, module):
        """The function of vectors ``(a, b, c) -> a * b + c``."""
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.fmuladd.v{self.lanes}f{8 * self._bytes}"
        return cgutils.get_or_insert_function(module, kind, name)

    def spread(self, pointer):
        """A vector of one element."""
        zero = ir.Constant(ir.IntType(32), 0)
        one = self._builder.insert_element(
            ir.Constant(self.vector, ir.Undefined), self._builder.load(pointer), zero)
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self._builder.shuffle_vector(one, ir.Constant(self.vector, ir.Undefined), lanes)


def _tile_product(row_step, depth_step):
    """A function that adds a product to a tile of sums; the steps are distances in its ``a``."""
    @intrinsic
    def multiply_tile(typing, a, a_at, b, b_at, offsets, depth, sums, sums_at):
        """``sums[i, j] += sum over k of a[a_at + i, k] * b[b_at + offsets[k] + j]``.

        All arrays are flat; rows of `sums` are COLUMNS apart.
        """
        signature = types.void(a, types.intp, b, types.intp, offsets, types.intp, sums, types.intp)

        def generate(context, builder, signature, arguments):
            kinds = signature.args
            a, b, offsets, sums = (
                _Memory(context, builder, kinds[i], arguments[i]) for i in (0, 2, 4, 6))
            a_at, b_at, depth, sums_at = (arguments[i] for i in (1, 3, 5, 7))
            fma = sums.multiply_add(builder.module)
            cells = [(i, half * sums.lanes) for i in range(TILE_ROWS) for half in range(2)]
            tile = sums.at(sums_at)
            total = {}
            for i, lane in cells:
                total[i, lane] = cgutils.alloca_once(builder, sums.vector)
                builder.store(sums.load(tile, i * COLUMNS + lane), total[i, lane])
            with cgutils.for_range(builder, depth, intp=cgutils.intp_t) as loop:
                offset = builder.load(offsets.at(loop.index))
                row = b.at(builder.add(b_at, offset))
                values = {lane: b.load(row, lane) for lane in (0, b.lanes)}
                start = builder.add(a_at, builder.mul(loop.index, cgutils.intp_t(depth_step)))
                column = a.at(start)
                for i in range(TILE_ROWS):
                    factor = a.spread(builder.gep(column, [cgutils.intp_t(i * row_step)]))
                    for lane, value in values.items():
                        cell = total[i, lane]
                        builder.store(builder.call(fma, [factor, value, builder.load(cell)]), cell)
            for i, lane in cells:
                sums.store(builder.load(total[i, lane]), tile, i * COLUMNS + lane)
            return context.get_dummy_value()

        return signature, generate

    return multiply_tile


_multiply_rows = _tile_product(DEPTH, 1)
_multiply_columns = _tile_product(1, ROWS)


@helper
def multiply(a, a_is_turned, b, b_at, offsets, depth, sums, sums_at, rows, columns):
    """Add ``a @ b`` to `sums`, tile by tile, where row k of b starts at ``b_at + offsets[k]``.

    a is (ROWS, DEPTH), or (DEPTH, ROWS) if it is turned, and sums (ROWS, COLUMNS), of which the
    columns from `sums_at` on are added to; all are flat.
    What lies right of or below the last whole tile in them ends up as anything, and b is read up to
    a whole tile too.
    """
    for j in range(0, columns, tile_columns(sums)):
        for i in range(0, rows, TILE_ROWS):
            tile = i * COLUMNS + sums_at + j
            if a_is_turned:
                _multiply_columns(a, i, b, b_at + j, offsets, depth, sums, tile)
            else:
                _multiply_rows(a, i * DEPTH, b, b_at + j, offsets, depth, sums, tile)


@intrinsic
def _transpose_square(typing, source, source_at, source_step, target, target_at, target_step):
    """Transpose a square of one vector's length; the steps are distances of rows."""
    at = types.intp
    signature = types.void(source, at, at, target, at, at)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        source = _Memory(context, builder, kinds[0], arguments[0])
        target = _Memory(context, builder, kinds[3], arguments[3])
        _, source_at, source_step, _, target_at, target_step = arguments

        def row(at, step, i):
            return builder.add(at, builder.mul(step, cgutils.intp_t(i)))

        n = source.lanes
        rows = [source.load(source.at(row(source_at, source_step, i))) for i in range(n)]
        # Each round interleaves row i with row i + n/2; after log2(n) of them, rows are columns.
        lane = ir.VectorType(ir.IntType(32), n)
        low, high = (ir.Constant(lane, [h + i // 2 + i % 2 * n for i in range(n)])
                     for h in (0, n // 2))
        for _ in range(n.bit_length() - 1):
            rows = [builder.shuffle_vector(rows[i], rows[i + n // 2], half)
                    for i in range(n // 2) for half in (low, high)]
        for i, value in enumerate(rows):
            target.store(value, target.at(row(target_at, target_step, i)))
        return context.get_dummy_value()

    return signature, generate


@helper
def copy(source, at, step, block, block_step, rows, columns):
    """``block[i, j] = source[at + i * step + j]``."""
    for i in range(rows):
        line, target = source[at + i * step:], block[i * block_step:]
        for j in range(columns):
            target[j] = line[j]


@helper
def copy_transposed(source, at, step, block, block_step, rows, columns):
    """``block[i, j] = source[at + j * step + i]``."""
    n = VECTOR_BYTES // source.itemsize
    whole_rows, whole_columns = rows // n * n, columns // n * n
    for i in range(0, whole_rows, n):
        for j in range(0, whole_columns, n):
            _transpose_square(source, at + j * step + i, step, block, i * block_step + j,
                              block_step)
    for i in range(rows):
        for j in range(whole_columns if i < whole_rows else 0, columns):
            block[i * block_step + j] = source[at + j * step + i]
