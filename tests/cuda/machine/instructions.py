"""What each instruction does: one table, `TABLE`, from opcodes to functions that bind them.

`bound(instruction, program)` looks at an instruction's name and operands once and returns a
function of threads, `step(at)`: `at` is a slice or an array of places. A register is an array with
a number for each thread, so a step is a few operations of NumPy on all of them:

    add.s32 %r3, %r1, %r2;          target[at] = np.add(a[at], b[at])

Jumps, barriers of blocks and the end of a kernel are not here: they change which threads come next,
and that is the business of `run`.
"""

from functools import partial

import numpy as np

from .memory import FaultError, fail_where, places_of
from .ptx import SIZES, PTXError
from .rounding import INTEGRAL, TF32, flushed, fma, rounded, to_integer, to_tf32

WARP = 32
KINDS = {"b": "u", "u": "u", "s": "i", "f": "f", "p": "?"}      # NumPy's letters
TABLE = {}


def dtype_of(kind):
    """NumPy's for one of PTX."""
    return np.dtype("?" if kind == "pred" else f"{KINDS[kind[0]]}{SIZES[kind]}")


def makes(*opcodes):
    """Decorator: a function (instruction, program, modifiers) that returns a step."""
    def enter(function):
        TABLE.update(dict.fromkeys(opcodes, function))
        return function

    return enter


def bound(instruction, program):
    """What an instruction does to threads."""
    opcode, *modifiers = instruction.name.replace("::", "_").split(".")
    try:
        step = TABLE[opcode](instruction, program, modifiers)
    except KeyError as missing:
        raise PTXError(f"line {instruction.line}: {instruction}: this machine does not know "
                     f"{missing}") from None
    return step


def _types(modifiers):
    return [m for m in modifiers if m in SIZES]


# ---- arithmetic ----

def _computes(function, instruction, program, kind, sources):
    """``target = function(*sources)``, with the sources' types."""
    target, *operands = instruction.operands
    put = program.target(target, kind)
    got = [program.source(o, s) for o, s in zip(operands, sources, strict=True)]
    if len(got) == 1:
        (a,) = got

        def step(at):
            put[at] = function(a[at])
    elif len(got) == 2:
        a, b = got

        def step(at):
            put[at] = function(a[at], b[at])
    else:
        def step(at):
            put[at] = function(*[x[at] for x in got])

    return step


def _high(a, b):
    """The upper half of a product."""
    if a.itemsize == 8:
        return np.array([int(x) * int(y) >> 64 for x, y in zip(a, b, strict=True)], a.dtype)
    wide = f"{a.dtype.kind}{2 * a.itemsize}"
    return (a.astype(wide) * b >> 8 * a.itemsize).astype(a.dtype)


def _wide(a, b):
    return np.multiply(a, b, dtype=f"{a.dtype.kind}{2 * a.itemsize}")


def _expect_divisor(b):
    if (b == 0).any():
        raise ZeroDivisionError(int((b == 0).argmax()))


def _quotient(a, b):
    """As in C, towards zero."""
    _expect_divisor(b)
    return (a - np.fmod(a, b)) // b


def _remainder(a, b):
    _expect_divisor(b)
    return np.fmod(a, b)


def _of_integers(function):
    """The function, with the error that names the thread."""
    def step_of(step):
        def checked(at):
            try:
                step(at)
            except ZeroDivisionError as found:
                i = found.args[0]
                raise FaultError("an integer divided by 0", i if isinstance(at, slice)
                            else int(at[i])) from None

        return checked

    return step_of if function in (_quotient, _remainder) else lambda step: step


BITS = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "not": np.invert,
        "cnot": lambda a: a == 0}
INTEGERS = {"add": np.add, "sub": np.subtract, "neg": np.negative, "abs": np.abs,
            "min": np.minimum, "max": np.maximum, "div": _quotient, "rem": _remainder,
            "mul.lo": np.multiply, "mul.hi": _high, "mul.wide": _wide,
            "mad.lo": lambda a, b, c: a * b + c, "mad.hi": lambda a, b, c: _high(a, b) + c,
            "mad.wide": lambda a, b, c: _wide(a, b) + c}
FLOATS = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
          "neg": np.negative, "abs": np.abs, "min": np.fmin, "max": np.fmax, "sqrt": np.sqrt,
          "rcp": np.reciprocal, "copysign": lambda sign, size: np.copysign(size, sign)}
# Those of which the hardware gives a few bits less; here they are rounded correctly.
APPROXIMATE = {"ex2": np.exp2, "lg2": np.log2, "rcp": np.reciprocal, "sqrt": np.sqrt,
               "rsqrt": lambda x: 1 / np.sqrt(x), "tanh": np.tanh, "sin": np.sin, "cos": np.cos,
               "div": np.divide}


@makes("and", "or", "xor", "not", "cnot")
def _bits(instruction, program, modifiers):
    (kind,) = _types(modifiers)
    return _computes(BITS[instruction.opcode], instruction, program, kind,
                     [kind] * (len(instruction.operands) - 1))


@makes("add", "sub", "mul", "mad", "div", "rem", "neg", "abs", "min", "max", "fma", "sqrt", "rcp",
       "rsqrt", "ex2", "lg2", "tanh", "sin", "cos", "copysign")
def _arithmetic(instruction, program, modifiers):
    (kind,) = _types(modifiers)
    count = len(instruction.operands) - 1
    if kind[0] == "f":
        function = _of_floats(instruction.opcode, modifiers, kind)
        return _computes(function, instruction, program, kind, [kind] * count)
    part = next((m for m in modifiers if m in ("lo", "hi", "wide")), None)
    function = INTEGERS[f"{instruction.opcode}.{part}" if part else instruction.opcode]
    wide = f"{kind[0]}{16 * SIZES[kind]}" if part == "wide" else kind
    return _of_integers(function)(_computes(function, instruction, program, wide,
                                            [kind, kind, wide][:count]))


def _of_floats(opcode, modifiers, kind):
    mode = next((m for m in modifiers if m in ("rz", "rm", "rp")), "rn")
    if {"approx", "full"} & set(modifiers):
        function = _in_float64(APPROXIMATE[opcode])
    elif opcode == "fma" or (opcode == "mad" and kind == "f32"):
        function = partial(fma, mode=mode)
        if kind == "f64":
            raise KeyError("fma.f64")
    elif mode != "rn":
        function = partial(DIRECTED[opcode], mode=mode)
    else:
        function = np.minimum if opcode == "min" and "NaN" in modifiers else (
            np.maximum if opcode == "max" and "NaN" in modifiers else FLOATS[opcode])
    return _saturated(_flushing(function, modifiers), modifiers)


def _in_float64(function):
    return lambda *x: function(*(a.astype(np.float64) for a in x)).astype(np.float32)


def _sum(a, b, mode):
    return rounded(a.astype(np.float64), b.astype(np.float64), mode)


def _product(a, b, mode):
    product = a.astype(np.float64) * b          # exact
    return rounded(product, np.zeros_like(product), mode)


DIRECTED = {"add": _sum, "sub": lambda a, b, mode: _sum(a, -b, mode), "mul": _product}


def _flushing(function, modifiers):
    if "ftz" not in modifiers:
        return function
    return lambda *x: flushed(function(*map(flushed, x)))


def _saturated(function, modifiers):
    """Clipped to [0, 1] where the name says .sat; NaN is 0."""
    if "sat" not in modifiers:
        return function
    return lambda *x: np.fmin(np.fmax(function(*x), 0), 1)


@makes("shl", "shr")
def _shift(instruction, program, modifiers):
    """NumPy, as PTX, gives 0 (or the sign) where all bits are shifted out."""
    (kind,) = _types(modifiers)
    shift = np.left_shift if instruction.opcode == "shl" else np.right_shift
    return _computes(lambda a, n: shift(a, n.astype(a.dtype)), instruction, program, kind,
                     [kind, "u32"])


@makes("shf")
def _funnel_shift(instruction, program, modifiers):
    """The upper (.l) or lower (.r) half of two registers that are shifted as one."""
    left, clamps = "l" in modifiers, "clamp" in modifiers
    pair = np.left_shift if left else np.right_shift

    def function(low, high, n):
        n = np.minimum(n, 32) if clamps else n & 31
        both = pair(high.astype(np.uint64) << np.uint64(32) | low, n.astype(np.uint64))
        return both >> np.uint64(32) if left else both & np.uint64(0xFFFFFFFF)

    return _computes(function, instruction, program, "b32", ["b32"] * 3)


@makes("bfe")
def _bit_field(instruction, program, modifiers):
    (kind,) = _types(modifiers)
    if kind[0] == "s":
        raise KeyError(instruction.name)

    def function(a, begin, length):
        begin, length = ((x & 255).astype(a.dtype) for x in (begin, length))
        one = a.dtype.type(1)
        return (a >> begin) & ((one << length) - one)

    return _computes(function, instruction, program, kind, [kind, "u32", "u32"])


@makes("bfi")
def _put_bit_field(instruction, program, modifiers):
    (kind,) = _types(modifiers)

    def function(a, b, begin, length):
        begin, length = ((x & 255).astype(a.dtype) for x in (begin, length))
        one = a.dtype.type(1)
        mask = ((one << length) - one) << begin
        return a << begin & mask | b & ~mask

    return _computes(function, instruction, program, kind, [kind, kind, "u32", "u32"])


@makes("popc", "clz", "brev")
def _counts_bits(instruction, program, modifiers):
    (kind,) = _types(modifiers)
    size = 8 * SIZES[kind]
    as_text = {"popc": lambda bits: bits.count("1"), "clz": lambda bits: (bits + "1").index("1"),
               "brev": lambda bits: int(bits[::-1], 2)}[instruction.opcode]

    def function(a):
        return np.array([as_text(f"{x:0{size}b}") for x in a.tolist()], np.uint64)

    return _computes(function, instruction, program,
                     kind if instruction.opcode == "brev" else "u32", [kind])


# ---- comparing, choosing, moving, converting ----

def _apart(a, b):
    return (a < b) | (a > b)


COMPARE = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
           "gt": np.greater, "ge": np.greater_equal, "lo": np.less, "ls": np.less_equal,
           "hi": np.greater, "hs": np.greater_equal}
# Of floats: with u (unordered) in the name, NaN satisfies them, else not.
COMPARE_FLOATS = {**COMPARE, "ne": _apart, "equ": lambda a, b: ~_apart(a, b), "neu": np.not_equal,
                  "ltu": lambda a, b: ~(a >= b), "leu": lambda a, b: ~(a > b),
                  "gtu": lambda a, b: ~(a <= b), "geu": lambda a, b: ~(a < b),
                  "num": lambda a, b: ~np.isnan(a) & ~np.isnan(b),
                  "nan": lambda a, b: np.isnan(a) | np.isnan(b)}


@makes("setp")
def _compare(instruction, program, modifiers):
    name, *more = modifiers
    (kind,) = _types(modifiers)
    compare = (COMPARE_FLOATS if kind[0] == "f" else COMPARE)[name]
    if "ftz" in more:
        compare = partial(lambda function, a, b: function(flushed(a), flushed(b)), compare)
    combine = BITS.get(more[0])
    targets, a, b, *rest = instruction.operands
    a, b = program.source(a, kind), program.source(b, kind)
    put, *other = [program.target(t, "pred") for t in targets.split("|") if t != "_"]
    if not (rest or other):
        def step(at):
            put[at] = compare(a[at], b[at])

        return step
    negated = rest[0].startswith("!") if rest else False
    third = program.source(rest[0].lstrip("!"), "pred") if rest else None

    def combining(at):
        results = [(result := compare(a[at], b[at])), ~result]
        if third is not None:
            results = [combine(result, third[at] ^ negated) for result in results]
        for target, result in zip([put, *other], results, strict=False):
            target[at] = result

    return combining


@makes("bfi")
def _insert_bits(instruction, program, modifiers):
    """So many bits of the first operand, which begin at a place of the second, are its own."""
    (kind,) = _types(modifiers)
    number = dtype_of(kind).type
    target, a, b, place, length = instruction.operands
    put, a, b, place, length = program.target(target, kind), *(
        program.source(o, k) for o, k in zip((a, b, place, length), (kind, kind, "u32", "u32"),
                                               strict=True))

    def step(at):
        ones = np.left_shift(number(1), length[at].astype(number)) - number(1)
        mask = np.left_shift(ones, place[at].astype(number))
        put[at] = b[at] & ~mask | np.left_shift(a[at], place[at].astype(number)) & mask

    return step


@makes("selp")
def _select(instruction, program, modifiers):
    (kind,) = _types(modifiers)
    return _computes(lambda a, b, p: np.where(p, a, b), instruction, program, kind,
                     [kind, kind, "pred"])


@makes("mov")
def _move(instruction, program, modifiers):
    """Also of several registers into a wider one, and of such a one into several."""
    (kind,) = _types(modifiers)
    target, source = instruction.operands
    if isinstance(source, tuple):
        part = f"b{8 * SIZES[kind] // len(source)}"
        put, parts = program.target(target, kind), [program.source(s, part) for s in source]

        def pack(at):
            put[at] = np.stack([p[at] for p in parts], -1).view(dtype_of(kind))[..., 0]

        return pack
    if isinstance(target, tuple):
        part = f"b{8 * SIZES[kind] // len(target)}"
        got = program.source(source, kind)
        puts = [program.target(t, part) for t in target]

        def unpack(at):
            parts = got[at].copy().view(dtype_of(part)).reshape(-1, len(puts))
            for put, values in zip(puts, parts.T, strict=True):
                put[at] = values

        return unpack
    return _computes(lambda a: a, instruction, program, kind, [kind])


@makes("cvta")
def _convert_address(instruction, program, modifiers):
    """All memories have addresses of their own, so there is nothing to convert."""
    (kind,) = _types(modifiers)
    return _computes(lambda a: a, instruction, program, kind, [kind])


@makes("cvt")
def _convert(instruction, program, modifiers):
    mode = next((m for m in modifiers if m in INTEGRAL), None)
    if "tf32" in modifiers:
        ties_to_even = {"rna": False, "rn": True}[modifiers[0]]
        return _computes(partial(to_tf32, ties_to_even=ties_to_even), instruction, program,
                         "b32", ["f32"])
    to, of = _types(modifiers)
    kind = dtype_of(to)
    if to[0] == "f" == of[0]:
        function = INTEGRAL[mode] if mode else lambda x: x
        if to != of and not ({"rn"} & set(modifiers) or to == "f64"):
            raise KeyError(instruction.name)
    elif of[0] == "f":
        function = partial(to_integer, mode=mode, kind=kind)
    else:
        function = lambda x: x.astype(kind)             # noqa: E731
        if (to[0] == "f" and "rn" not in modifiers) or "sat" in modifiers:
            raise KeyError(instruction.name)
    return _computes(_saturated(_flushing(function, modifiers), modifiers), instruction, program,
                     to, [of])


# ---- memory ----

def _access(modifiers):
    """The type of a number, and how many there are."""
    (kind,) = _types(modifiers)
    return kind, next((int(m[1]) for m in modifiers if m in ("v2", "v4")), 1)


def _space(modifiers, known=("global", "shared", "local", "param")):
    found = [m.partition("_")[0] for m in modifiers]
    return next((m for m in found if m in known), "generic")


@makes("ld", "ldu")
def _load(instruction, program, modifiers):
    kind, count = _access(modifiers)
    targets, address = instruction.operands
    targets = targets if isinstance(targets, tuple) else (targets,)
    puts = [None if t == "_" else program.target(t, kind) for t in targets]
    if (space := _space(modifiers)) == "param":
        value = program.parameter(address, kind)

        def take(at):
            puts[0][at] = value

        return take
    load = program.loads(space)
    base, offset, size = program.source(address.base, "u64"), address.offset, SIZES[kind] * count
    kind = dtype_of(kind)

    def step(at):
        values = load(at, base[at] + np.uint64(offset % 2**64), size).view(kind)
        for k, put in enumerate(puts):
            if put is not None:
                put[at] = values[k::count]

    return step


@makes("st")
def _store(instruction, program, modifiers):
    kind, count = _access(modifiers)
    address, sources = instruction.operands
    sources = sources if isinstance(sources, tuple) else (sources,)
    got = [program.source(s, kind) for s in sources]
    store = program.stores(_space(modifiers))
    base, offset, size = program.source(address.base, "u64"), address.offset, SIZES[kind] * count
    unit = f"u{min(SIZES[kind], 4)}"

    def step(at):
        values = np.stack([g[at] for g in got], -1)
        store(at, base[at] + np.uint64(offset % 2**64), size, values.reshape(-1).view(unit))

    return step


ATOMIC = {"add": np.add, "min": np.minimum, "max": np.maximum, "and": np.bitwise_and,
          "or": np.bitwise_or, "xor": np.bitwise_xor, "exch": lambda old, new: new}


@makes("red", "atom")
def _atomic(instruction, program, modifiers):
    if _space(modifiers) != "global":
        raise KeyError(instruction.name)
    (kind,) = _types(modifiers)
    change = next(ATOMIC[m] for m in modifiers if m in ATOMIC)
    target, address, source = (instruction.operands if instruction.opcode == "atom"
                               else (None, *instruction.operands))
    put = None if target is None else program.target(target, kind)
    base, got = program.source(address.base, "u64"), program.source(source, kind)

    def step(at):
        values = got[at]
        before = program.change(at, base[at] + np.uint64(address.offset % 2**64), dtype_of(kind),
                                  lambda i, old: change(old, values[i]))
        if put is not None:
            put[at] = before

    return step


@makes("cp")
def _copy_beside(instruction, program, modifiers):
    """cp.async: copies that go on by themselves, from the device's memory to shared memory."""
    if modifiers[0] != "async":
        raise KeyError(instruction.name)
    if "commit_group" in modifiers:
        return program.copies.commit
    if "wait_all" in modifiers:
        return lambda at: program.copies.wait(at, None)
    if "wait_group" in modifiers:
        return lambda at: program.copies.wait(at, int(instruction.operands[0]))
    to, address, size, *rest = instruction.operands
    bases = program.source(to.base, "u64"), program.source(address.base, "u64")
    given = program.source(rest[0] if rest else size, "u32")

    def step(at):
        there, here = (base[at] + np.uint64(a.offset % 2**64)
                       for base, a in zip(bases, (to, address), strict=True))
        program.copies.begin(at, there, here, int(size), given[at])

    return step


@makes("membar", "fence", "prefetch", "prefetchu", "discard", "applypriority")
def _nothing(instruction, program, modifiers):
    """Hints, and orders that this machine keeps anyway."""
    return lambda at: None


# ---- what a warp does together ----

def _every_lane(at, program, mask=None):
    """Raise where a lane is missing that must take part; `mask` is each thread's."""
    warps = program.warp[at]
    here = np.zeros(int(warps.max()) + 1, np.uint32)
    np.bitwise_or.at(here, warps, np.uint32(1) << program.lane[at])
    wanted = np.uint32(0xFFFFFFFF) if mask is None else mask
    missing = wanted & ~here[warps]
    fail_where(missing != 0, lambda i: f"lanes of the warp do not come along: {missing[i]:032b}",
               at)


def _places(at):
    """As an array of warps by lanes."""
    return places_of(at).reshape(-1, WARP)


@makes("mma")
def _multiply(instruction, program, modifiers):
    """Tensor cores; who has which numbers is what fastdl/cuda/_tensor_core.py shows."""
    if instruction.name != "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32":
        raise KeyError(instruction.name)
    d, a, b, c = instruction.operands
    puts = [program.target(t, "f32") for t in d]
    a, b = ([program.source(s, "b32") for s in group] for group in (a, b))
    c = [program.source(s, "f32") for s in c]

    def step(at):
        _every_lane(at, program)
        lanes = _places(at).reshape(-1, 8, 4)           # g, p
        left, right, sums = (np.empty((len(lanes), *shape)) for shape in ((16, 8), (8, 8), (16, 8)))
        for r in range(4):
            rows = slice(8 * (r % 2), 8 * (r % 2) + 8)
            left[:, rows, r // 2 * 4:r // 2 * 4 + 4] = (a[r][lanes] & TF32).view(np.float32)
        for r in range(2):
            right[:, 4 * r:4 * r + 4] = (b[r][lanes] & TF32).view(np.float32).transpose(0, 2, 1)
        for r in range(4):
            sums[:, r // 2 * 8:r // 2 * 8 + 8, r % 2::2] = c[r][lanes]
        sums += left @ right
        for r in range(4):
            puts[r][lanes] = sums[:, r // 2 * 8:r // 2 * 8 + 8, r % 2::2]

    return step


@makes("ldmatrix")
def _load_matrices(instruction, program, modifiers):
    """Matrices of 8 by 8 numbers of 16 bits: lane 8 i + r says where row r of matrix i begins.

    A lane gets two neighbours of a row: row lane // 4, columns lane % 4 * 2 and the next; or with
    .trans two of a column, rows and columns exchanged.
    """
    if "shared" not in modifiers or "m8n8" not in modifiers or "b16" not in modifiers:
        raise KeyError(instruction.name)
    targets, address = instruction.operands
    puts = [program.target(t, "b32") for t in targets]
    base, load = program.source(address.base, "u64"), program.loads("shared")

    def step(at):
        _every_lane(at, program)
        lanes = _places(at)
        for i, put in enumerate(puts):
            rows = lanes[:, 8 * i:8 * i + 8].reshape(-1)
            matrix = load(rows, base[rows] + np.uint64(address.offset), 16).view(np.uint16)
            matrix = matrix.reshape(-1, 8, 8)
            if "trans" in modifiers:
                matrix = matrix.transpose(0, 2, 1)
            put[lanes] = np.ascontiguousarray(matrix).view(np.uint32).reshape(-1, WARP)

    return step


@makes("shfl")
def _shuffle(instruction, program, modifiers):
    """Registers of another lane: the one that is so many up or down, or whose bits differ so."""
    way = modifiers[1]
    target, source, n, clamp, mask = instruction.operands
    target, *inside = target.split("|")
    put = program.target(target, "b32")
    predicate = program.target(inside[0], "pred") if inside else None
    source, n, clamp, mask = (program.source(o, "b32") for o in (source, n, clamp, mask))

    def step(at):
        _every_lane(at, program, mask[at])
        lane, other, limit = program.lane[at].astype(int), n[at].astype(int), clamp[at]
        segment = (limit >> 8 & 31).astype(int)         # bits that stay as they are
        most = lane & segment | (limit & 31).astype(int) & ~segment
        wanted = {"up": lane - other, "down": lane + other, "bfly": lane ^ other,
                  "idx": lane & segment | other & ~segment & 31}[way]
        valid = wanted >= most if way == "up" else wanted <= most
        wanted = np.where(valid, wanted, lane)
        fail_where(mask[at] >> wanted.astype(np.uint32) & 1 == 0,
                   "a register of a lane that does not take part", at)
        put[at] = source[places_of(at) - lane + wanted]
        if predicate is not None:
            predicate[at] = valid

    return step


@makes("bar")
def _warp_barrier(instruction, program, modifiers):
    """bar.warp.sync; those of blocks are not here."""
    if modifiers[0] != "warp":
        raise KeyError(instruction.name)
    mask = program.source(instruction.operands[0], "b32")

    def step(at):
        _every_lane(at, program, mask[at])
        program.order_warps(at)

    return step

