"""The machine that executes PTX: expected values are made by hand, by fractions, or by NumPy."""

import re
from fractions import Fraction

import numpy as np
import pytest
from machine.ptx import PTXError, parsed, perhaps_unwritten
from machine.run import MachineError, execute, readable

KINDS = {"f4": ("%f", "f32"), "i4": ("%r", "s32"), "u4": ("%r", "u32"), "i8": ("%d", "s64"),
         "u8": ("%d", "u64"), "f8": ("%g", "f64")}
NAN, INF = np.nan, np.inf


def kernel(body, pointers=1, declarations=""):
    """A kernel; %d0, %d1 … are its pointers, %d9 thread times 4, %r9 the thread."""
    parameters = ", ".join(f".param .u64 p{i}" for i in range(pointers))
    loads = "".join(f"ld.param.u64 %d{i}, [p{i}];\n" for i in range(pointers))
    return (f".version 8.0\n.target sm_90\n.address_size 64\n{declarations}\n"
            f".visible .entry _ZN5tests4here({parameters})\n{{\n"
            ".reg .pred %p<10>;\n.reg .b16 %h<20>;\n.reg .b32 %r<40>;\n.reg .f32 %f<40>;\n"
            f".reg .b64 %d<40>;\n.reg .f64 %g<20>;\n{loads}"
            f"mov.u32 %r9, %tid.x;\nmul.wide.u32 %d9, %r9, 4;\n{body}\nret;\n}}\n")


def compute(instruction, *inputs, result):
    """``D = instruction(A, B, C)`` for the numbers of arrays, a thread for each."""
    inputs = [np.array(a) for a in inputs]
    n, dtypes = len(inputs[0]), [a.dtype.str[1:] for a in inputs] + [result]
    names, body = dict(zip("ABC", range(10, 13), strict=False)) | {"D": 20}, ""
    text = re.sub(r"\b[A-D]\b", lambda m: KINDS[dtypes["ABCD".index(m[0]) if m[0] != "D" else -1]
                                                ][0] + str(names[m[0]]), instruction)
    for i, kind in enumerate(dtypes):
        register, letter = KINDS[kind][0], "ABCD"[i] if i < len(inputs) else "D"
        address = f"mad.wide.u32 %d{30 + i}, %r9, {kind[1]}, %d{i};\n"
        access = f"%d{30 + i}", f"{register}{names[letter]}"
        if letter == "D":
            body += f"{text}\n{address}st.global.{KINDS[kind][1]} [{access[0]}], {access[1]};\n"
        else:
            body += f"{address}ld.global.{KINDS[kind][1]} {access[1]}, [{access[0]}];\n"
    out = np.zeros(n, result)
    execute(kernel(body, len(dtypes)), (1,), (n,), *inputs, out)
    return out


def ints(*values):
    return np.array(values, np.int32)


def longs(*values):
    return np.array(values, np.int64)


def floats(*values):
    return np.array(values, np.float32)


# ---- arithmetic ----

BIG = 2**31 - 1


@pytest.mark.parametrize(("instruction", "inputs", "expected"), [
    ("add.s32 D, A, B;", (ints(BIG, 5), ints(1, -7)), ints(-BIG - 1, -2)),
    ("sub.s64 D, A, B;", (longs(-2**63, 5), longs(1, 7)), longs(2**63 - 1, -2)),
    ("mul.lo.s32 D, A, B;", (ints(1 << 20, -3), ints(1 << 13, 7)), ints(0, -21)),
    ("mul.hi.u32 D, A, B;", (ints(-1, 7), ints(-1, 9)), ints(-2, 0)),
    ("mul.hi.s64 D, A, B;", (longs(2**62, -1), longs(8, 1)), longs(2, -1)),
    ("mul.wide.s32 D, A, B;", (ints(BIG, -2), ints(BIG, 3)), longs(BIG * BIG, -6)),
    ("mul.wide.u32 D, A, B;", (ints(-1,), ints(-1,)), longs((2**32 - 1)**2 - 2**64)),
    ("mad.lo.s32 D, A, B, C;", (ints(3, BIG), ints(4, 2), ints(5, 3)), ints(17, 1)),
    ("div.s32 D, A, B;", (ints(7, -7, 7, -7), ints(2, 2, -2, -2)), ints(3, -3, -3, 3)),
    ("rem.s32 D, A, B;", (ints(7, -7, 7, -7), ints(2, 2, -2, -2)), ints(1, -1, 1, -1)),
    ("div.u32 D, A, B;", (ints(-1, 9), ints(2, 10)), ints(BIG, 0)),
    ("rem.u64 D, A, B;", (longs(-1), longs(10)), longs(5)),
    ("min.s32 D, A, B;", (ints(-1, 4), ints(1, 3)), ints(-1, 3)),
    ("min.u32 D, A, B;", (ints(-1, 4), ints(1, 3)), ints(1, 3)),
    ("max.s64 D, A, -1;", (longs(-5, 3),), longs(-1, 3)),
    ("abs.s32 D, A;", (ints(-5, 3),), ints(5, 3)),
    ("neg.s64 D, A;", (longs(-5, 3),), longs(5, -3)),
    ("shl.b32 D, A, B;", (ints(1, 1, 3), ints(31, 32, 200)), ints(-BIG - 1, 0, 0)),
    ("shr.s32 D, A, B;", (ints(-8, -8, 8), ints(1, 99, 33)), ints(-4, -1, 0)),
    ("shr.u64 D, A, 60;", (longs(-1),), longs(15)),
    ("shr.s64 D, A, 63;", (longs(-9, 9),), longs(-1, 0)),
    ("and.b32 D, A, 0xF0;", (ints(-1, 0x123),), ints(0xF0, 0x20)),
    ("or.b64 D, A, B;", (longs(5), longs(-8)), longs(-3)),
    ("xor.b32 D, A, B;", (ints(6), ints(3)), ints(5)),
    ("not.b32 D, A;", (ints(0, -1),), ints(-1, 0)),
    ("popc.b32 D, A;", (ints(-1, 5, 0),), ints(32, 2, 0)),
    ("clz.b32 D, A;", (ints(1, -1, 0),), ints(31, 0, 32)),
    ("brev.b32 D, A;", (ints(1, 6),), ints(-BIG - 1, 6 << 28)),
    ("bfe.u32 D, A, 4, 8;", (ints(0x12345), ), ints(0x34)),
    ("bfi.b32 D, A, B, 4, 8;", (ints(0x1AB, 0), ints(0x12345, -1)), ints(0x12AB5, ~0xFF0)),
    ("bfi.b64 D, A, B, 32, 32;", (longs(-2), longs(7)), longs((-2 << 32) + 7)),
    ("shf.l.wrap.b32 D, A, B, 8;", (ints(0x12345678), ints(0x1ABCDEF)), ints(-0x54321100 + 0x12)),
    ("shf.r.clamp.b32 D, A, B, 40;", (ints(3), ints(7)), ints(7)),
    ("mov.b64 D, {A, B};", (ints(1, -1), ints(2, 0)), longs(2**33 + 1, 2**32 - 1)),
    ("mov.b64 {%r1, D}, A;", (longs(2**33 + 1),), ints(2)),
    ("selp.b32 D, A, B, %p1;", (ints(1), ints(2)), ints(1)),
], ids=lambda value: value if isinstance(value, str) else "")
def test_integers(instruction, inputs, expected):
    if "%p1" in instruction:
        instruction = f"setp.lt.s32 %p1, A, B; {instruction}"
    actual = compute(instruction, *inputs, result=expected.dtype.str[1:])
    np.testing.assert_array_equal(actual, expected)


def exact(x):
    return Fraction(float(x))


def to_float32(q, mode):
    """A fraction that float32 can hold about, by its definition."""
    near = np.float32(float(q))
    below, above = (np.nextafter(near, np.float32(far)) for far in (-INF, INF))
    candidates = [below, near, above]
    if mode == "rn":
        return min(candidates, key=lambda c: (abs(exact(c) - q), int(c.view(np.uint32)) & 1))
    if mode == "rm" or (mode == "rz" and q > 0):
        return max(c for c in candidates if exact(c) <= q)
    return min(c for c in candidates if exact(c) >= q)


def awkward(rng, n):
    """Numbers of few bits and of many, of very different sizes."""
    few = rng.integers(-9, 9, n) * np.exp2(rng.integers(-30, 30, n))
    many = rng.standard_normal(n) * np.exp2(rng.integers(-30, 30, n))
    return np.where(rng.random(n) < 0.5, few, many).astype(np.float32)


@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
@pytest.mark.parametrize("operation", ["add", "sub", "mul", "fma"])
def test_rounding(rng, operation, mode):
    numbers = [awkward(rng, 700) for _ in range(3 if operation == "fma" else 2)]
    actual = compute(f"{operation}.{mode}.f32 D, {', '.join('ABC'[:len(numbers)])};", *numbers,
                     result="f4")
    for a, *rest, value in zip(*numbers, actual, strict=True):
        a, (b, *c) = exact(a), map(exact, rest)
        q = {"add": a + b, "sub": a - b, "mul": a * b}.get(operation, a * b + sum(c))
        if q != 0:
            assert value == to_float32(q, mode)


def test_a_multiplication_and_addition_is_rounded_once():
    """float64 cannot hold these sums: it makes ties of them."""
    a, b = 2**-12 * (1 + 2**-18), 2**-12 * (1 - 2**-18)     # their product is 2^-24 - 2^-60
    odd = 1 + 2**-23
    actual = compute("fma.rn.f32 D, A, B, C;", floats(a, -a), floats(b, b), floats(odd, odd),
                     result="f4")
    np.testing.assert_array_equal(actual, floats(odd, odd))
    tiny = 2.0**-149
    actual = compute("fma.rn.f32 D, A, B, C;", floats(0.5 + 2**-23, 0.5), floats(tiny, tiny),
                     floats(tiny, tiny), result="f4")
    np.testing.assert_array_equal(actual, floats(2 * tiny, 2 * tiny))
    actual = compute("fma.rm.f32 D, A, B, C;", floats(1), floats(-1), floats(1), result="f4")
    assert np.signbit(actual[0])


@pytest.mark.parametrize(("instruction", "inputs", "expected"), [
    ("div.rn.f32 D, A, B;", (floats(1, 1, -1, 0), floats(3, 0, 0, 0)),
     floats(1 / 3, INF, -INF, NAN)),
    ("sqrt.rn.f32 D, A;", (floats(2, -1, INF),), floats(2**0.5, NAN, INF)),
    ("rcp.rn.f32 D, A;", (floats(3, 0),), floats(1 / 3, INF)),
    ("abs.f32 D, A;", (floats(-2, -0.0),), floats(2, 0)),
    ("neg.f32 D, A;", (floats(-2, NAN),), floats(2, NAN)),
    ("min.f32 D, A, B;", (floats(1, NAN), floats(2, 3)), floats(1, 3)),
    ("max.NaN.f32 D, A, B;", (floats(1, NAN), floats(2, 3)), floats(2, NAN)),
    ("copysign.f32 D, A, B;", (floats(-0.0, 2), floats(3, -4)), floats(-3, 4)),
    ("ex2.approx.ftz.f32 D, A;", (floats(3, -130, -INF),), floats(8, 0, 0)),
    ("lg2.approx.f32 D, A;", (floats(8, 0),), floats(3, -INF)),
    ("rcp.approx.ftz.f32 D, A;", (floats(4, 1e-40),), floats(0.25, INF)),
    ("add.ftz.f32 D, A, B;", (floats(1e-39, 1e-38), floats(1e-39, 2**-120)),
     floats(0, 2**-120 + np.float32(1e-38) * 0)),
    ("cvt.sat.f32.f32 D, A;", (floats(-1, 0.25, 7, NAN),), floats(0, 0.25, 1, 0)),
    ("cvt.rni.f32.f32 D, A;", (floats(0.5, 1.5, -2.5),), floats(0, 2, -2)),
    ("cvt.rzi.f32.f32 D, A;", (floats(1.9, -1.9),), floats(1, -1)),
    ("cvt.rmi.f32.f32 D, A;", (floats(1.9, -1.1),), floats(1, -2)),
    ("cvt.rpi.s32.f32 D, A;", (floats(1.1, -1.9),), ints(2, -1)),
    ("cvt.rzi.s32.f32 D, A;", (floats(-1.9, 3e9, -3e9, NAN),), ints(-1, BIG, -BIG - 1, 0)),
    ("cvt.rni.u32.f32 D, A;", (floats(-1.9, 2.5),), ints(0, 2)),
    ("cvt.rn.f32.s32 D, A;", (ints(2**24 + 1, -5),), floats(2**24, -5)),
    ("cvt.rn.f32.s64 D, A;", (longs(2**40 + 2**16 + 1, -3),), floats(2**40 + 2**17, -3)),
    ("cvt.rn.f32.u32 D, A;", (ints(-1),), floats(2**32)),
    ("cvt.s64.s32 D, A;", (ints(-5),), longs(-5)),
    ("cvt.u64.u32 D, A;", (ints(-5),), longs(2**32 - 5)),
    ("cvt.u32.u64 D, A;", (longs(2**32 + 7),), ints(7)),
    ("cvt.s32.s8 D, A;", (ints(0x1FF, 0x7F),), ints(-1, 127)),
    ("cvt.u16.u32 %h1, A; cvt.rn.f32.u16 D, %h1;", (ints(0x10003),), floats(3)),
    ("cvt.f64.f32 %g1, A; cvt.rn.f32.f64 D, %g1;", (floats(0.1),), floats(0.1)),
    ("cvt.rna.tf32.f32 D, A;", (floats(1 + 2**-11, -1 - 2**-11, 1 + 2**-11 - 2**-23, NAN),),
     floats(1 + 2**-10, -1 - 2**-10, 1, NAN)),
    ("cvt.rn.tf32.f32 D, A;", (floats(1 + 2**-11, -1 - 3 * 2**-11, 1 + 2**-11 + 2**-23, NAN),),
     floats(1, -1 - 2**-9, 1 + 2**-10, NAN)),
    ("mov.f32 D, 0f3FC00000;", (floats(0),), floats(1.5)),
], ids=lambda value: value if isinstance(value, str) else "")
def test_floats(instruction, inputs, expected):
    actual = compute(instruction, *inputs, result=expected.dtype.str[1:])
    np.testing.assert_array_equal(actual, expected)
    if expected.dtype == np.float32:
        known = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(actual[known]), np.signbit(expected[known]))


@pytest.mark.parametrize(("name", "expected"), [
    ("lt", "1000"), ("le", "1100"), ("gt", "0010"), ("ge", "0110"), ("eq", "0100"), ("ne", "1010"),
    ("ltu", "1001"), ("leu", "1101"), ("gtu", "0011"), ("geu", "0111"), ("equ", "0101"),
    ("neu", "1011"), ("num", "1110"), ("nan", "0001")])
def test_comparisons(name, expected):
    """Less, equal, greater, and unordered."""
    a, b = floats(1, 2, 3, NAN), floats(2, 2, 2, 2)
    actual = compute(f"setp.{name}.f32 %p1, A, B; selp.u32 D, 1, 0, %p1;", a, b, result="u4")
    assert "".join(map(str, actual)) == expected


def test_comparisons_of_integers_and_combined_ones():
    a, b = ints(-1, 1), ints(1, 1)
    assert list(compute("setp.lt.s32 %p1, A, B; selp.u32 D, 1, 0, %p1;", a, b, result="u4")) == [
        1, 0]
    assert list(compute("setp.lo.u32 %p1, A, B; selp.u32 D, 1, 0, %p1;", a, b, result="u4")) == [
        0, 0]
    both = ("setp.eq.s32 %p1, A, 1; setp.lt.and.s32 %p2|%p3, B, 5, {}%p1;"
            "selp.u32 D, 1, 0, %p2; @%p3 mov.u32 D, 7;")
    assert list(compute(both.format(""), a, b, result="u4")) == [0, 1]
    assert list(compute(both.format("!"), a, b, result="u4")) == [1, 0]
    never = "setp.gt.or.s32 %p2|%p3, B, 5, %p1; selp.u32 D, 1, 0, %p3;"
    assert list(compute(f"setp.eq.s32 %p1, A, 1; {never}", a, b, result="u4")) == [1, 1]


def test_narrow_numbers_in_wide_registers():
    source, out = np.array([0xFF, 0x80], np.uint8), np.zeros(2, np.int64)
    body = """cvt.u64.u32 %d5, %r9; add.s64 %d6, %d0, %d5; ld.global.s8 %d7, [%d6];
              mad.wide.u32 %d8, %r9, 8, %d1; st.global.u64 [%d8], %d7; st.global.u8 [%d6], %d5;"""
    execute(kernel(body, 2), (1,), (2,), source, out)
    assert list(out) == [-1, -128]
    assert list(source) == [0, 1]


# ---- threads, blocks, jumps ----

def test_who_is_who():
    body = """mov.u32 %r1, %ntid.x; mov.u32 %r2, %ctaid.y; mov.u32 %r3, %nctaid.x;
              mov.u32 %r4, %ctaid.x; mad.lo.s32 %r5, %r2, %r3, %r4; mad.lo.s32 %r6, %r5, %r1, %r9;
              mad.wide.u32 %d1, %r6, 4, %d0; mov.u32 %r7, %laneid; mad.lo.s32 %r8, %r5, 100, %r7;
              st.global.u32 [%d1], %r8;"""
    out = np.zeros((2, 3, 40), np.uint32)
    execute(kernel(body), (3, 2), (40,), out)
    np.testing.assert_array_equal(out, 100 * np.arange(6).reshape(2, 3, 1) + np.arange(40) % 32)


COLLATZ = """add.s64 %d2, %d0, %d9; ld.global.u32 %r1, [%d2]; mov.u32 %r2, 0;
LOOP: setp.eq.u32 %p1, %r1, 1; @%p1 bra DONE; add.u32 %r2, %r2, 1; and.b32 %r3, %r1, 1;
      setp.eq.u32 %p2, %r3, 0; @%p2 bra EVEN; mad.lo.u32 %r1, %r1, 3, 1; bra.uni LOOP;
EVEN: shr.u32 %r1, %r1, 1; bra.uni LOOP;
DONE: st.global.u32 [%d2], %r2;"""


def test_every_thread_goes_its_own_way():
    def steps(n):
        return 0 if n == 1 else 1 + steps(3 * n + 1 if n % 2 else n // 2)

    numbers = np.arange(1, 101, dtype=np.uint32)
    out = numbers.copy()
    execute(kernel(COLLATZ), (1,), (100,), out)
    np.testing.assert_array_equal(out, [steps(int(n)) for n in numbers])


SHARED = ".shared .align 4 .b8 cells[256];"
REVERSED = """mov.u64 %d1, cells; add.s64 %d2, %d1, %d9; add.s64 %d3, %d0, %d9;
ld.global.f32 %f1, [%d3]; st.shared.f32 [%d2], %f1; {barrier}
mov.u32 %r1, 63; sub.s32 %r2, %r1, %r9; mad.wide.u32 %d4, %r2, 4, %d1;
ld.shared.f32 %f2, [%d4]; st.global.f32 [%d3], %f2;"""


def test_a_barrier():
    numbers = np.arange(64, dtype=np.float32)
    out = numbers.copy()
    execute(kernel(REVERSED.format(barrier="bar.sync 0;"), 1, SHARED), (1,), (64,), out)
    np.testing.assert_array_equal(out, numbers[::-1])


# ---- what warps do together ----

def test_tensor_cores(rng):
    """By the layout that NVIDIA gives; of factors, what TF32 does not have is not seen."""
    left, right = rng.integers(-9, 9, (2, 16, 8)), rng.integers(-9, 9, (2, 8, 8))
    sums = rng.integers(-9, 9, (2, 16, 8))
    lane = np.arange(32)
    g, p = lane // 4, lane % 4
    a = np.stack([left[:, g, p], left[:, g + 8, p], left[:, g, p + 4], left[:, g + 8, p + 4]], -1)
    b = np.stack([right[:, p, g], right[:, p + 4, g]], -1)
    places = [(g, 2 * p), (g, 2 * p + 1), (g + 8, 2 * p), (g + 8, 2 * p + 1)]
    c = np.stack([sums[:, i, j] for i, j in places], -1)
    a, b, c = (np.ascontiguousarray(x, np.float32) for x in (a, b, c))
    a.view(np.uint32)[...] |= 0x1FFF
    body = """mul.wide.u32 %d3, %r9, 16; mul.wide.u32 %d4, %r9, 8; add.s64 %d5, %d0, %d3;
    add.s64 %d6, %d1, %d4; add.s64 %d7, %d2, %d3; ld.global.v4.b32 {%r1, %r2, %r3, %r4}, [%d5];
    ld.global.v2.b32 {%r5, %r6}, [%d6]; ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%d7];
    mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%f5, %f6, %f7, %f8}, {%r1, %r2, %r3, %r4},
        {%r5, %r6}, {%f1, %f2, %f3, %f4};
    st.global.v4.f32 [%d7], {%f5, %f6, %f7, %f8};"""
    out = c.copy()
    execute(kernel(body, 3), (1,), (64,), a, b, out)
    product = left @ right + sums
    np.testing.assert_array_equal(out, np.stack([product[:, i, j] for i, j in places], -1))


@pytest.mark.parametrize("trans", ["", ".trans"])
def test_matrices_from_shared_memory(trans):
    """Four of 8 by 8 numbers of 16 bits; lane 8 i + r brings the address of row r of matrix i."""
    numbers, out = np.arange(256, dtype=np.uint16), np.zeros((32, 4), np.uint32)
    body = f"""mul.wide.u32 %d2, %r9, 16; add.s64 %d3, %d0, %d2; mov.u64 %d4, tile;
    add.s64 %d5, %d4, %d2; ld.global.v4.u32 {{%r1, %r2, %r3, %r4}}, [%d3];
    st.shared.v4.u32 [%d5], {{%r1, %r2, %r3, %r4}}; bar.sync 0;
    ldmatrix.sync.aligned.m8n8.x4{trans}.shared.b16 {{%r5, %r6, %r7, %r8}}, [%d5];
    add.s64 %d6, %d1, %d2; st.global.v4.u32 [%d6], {{%r5, %r6, %r7, %r8}};"""
    execute(kernel(body, 2, ".shared .align 16 .b8 tile[512];"), (1,), (32,), numbers, out)
    matrices = numbers.reshape(4, 8, 8)
    for lane in range(32):
        for i in range(4):
            row, column = lane // 4, lane % 4 * 2
            pair = (matrices[i, column:column + 2, row] if trans
                    else matrices[i, row, column:column + 2])
            assert list(out[lane, i:i + 1].view(np.uint16)) == list(pair)


@pytest.mark.parametrize(("shuffle", "expected"), [
    ("bfly.b32 %r2, %r1, 5, 31", lambda lane: lane ^ 5),
    ("down.b32 %r2, %r1, 4, 31", lambda lane: lane + 4 if lane < 28 else lane),
    ("up.b32 %r2, %r1, 3, 0", lambda lane: max(lane - 3, lane if lane < 3 else 0)),
    ("idx.b32 %r2, %r1, 7, 31", lambda lane: 7),
    ("down.b32 %r2, %r1, 2, 0x181F", lambda lane: lane + 2 if lane % 8 < 6 else lane)])
def test_registers_of_other_lanes(shuffle, expected):
    out = np.zeros(64, np.uint32)
    body = f"""mov.b32 %r1, %r9; shfl.sync.{shuffle}, -1; add.s64 %d1, %d0, %d9;
               st.global.u32 [%d1], %r2;"""
    execute(kernel(body), (1,), (64,), out)
    assert list(out) == [t // 32 * 32 + expected(t % 32) for t in range(64)]


def test_a_barrier_of_a_warp_orders_its_lanes():
    body = """mov.u64 %d1, cells; add.s64 %d2, %d1, %d9; st.shared.u32 [%d2], %r9; {}
              xor.b32 %r1, %r9, 1; mad.wide.u32 %d3, %r1, 4, %d1; ld.shared.u32 %r2, [%d3]; {}
              st.shared.u32 [%d2], %r2;"""
    barrier = "bar.warp.sync -1;"
    execute(kernel(body.format(barrier, barrier), 0, SHARED), (1,), (64,))
    for barriers in (("", barrier), (barrier, "")):
        with pytest.raises(MachineError, match="no barrier is between"):
            execute(kernel(body.format(*barriers), 0, SHARED), (1,), (64,))
    other_warp = body.format(barrier, barrier).replace("%r9, 1;", "%r9, 32;")
    with pytest.raises(MachineError, match="no barrier is between"):
        execute(kernel(other_warp, 0, SHARED), (1,), (64,))


BESIDE = """mov.u64 %d2, cells; add.s64 %d3, %d2, %d9; add.s64 %d4, %d0, %d9; add.s64 %d5, %d1, %d9;
{} cp.async.ca.shared.global [%d3], [%d4], 4{}; cp.async.commit_group; {}
ld.shared.f32 %f1, [%d3]; st.global.f32 [%d5], %f1;"""


def test_copies_beside_the_work():
    source, out = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
    execute(kernel(BESIDE.format("", "", "cp.async.wait_group 0;"), 2, SHARED), (1,), (64,),
            source, out)
    np.testing.assert_array_equal(out, source)
    size = "setp.lt.u32 %p1, %r9, 10; selp.b32 %r1, 4, 0, %p1;"
    execute(kernel(BESIDE.format(size, ", %r1", "cp.async.wait_all;"), 2, SHARED), (1,), (64,),
            source[:10], out)
    np.testing.assert_array_equal(out, np.where(np.arange(64) < 10, np.arange(64), 0))
    for wait in ("", "cp.async.wait_group 1;"):
        with pytest.raises(MachineError, match=r"still being copied \(cp.async\)"):
            execute(kernel(BESIDE.format("", "", wait), 2, SHARED), (1,), (64,), source, out)


def test_atomic_additions():
    out = floats(1, 2)
    body = """and.b32 %r1, %r9, 1; mad.wide.u32 %d1, %r1, 4, %d0; cvt.rn.f32.u32 %f1, %r9;
              red.global.add.f32 [%d1], %f1; atom.global.add.f32 %f2, [%d1], 0f00000000;"""
    execute(kernel(body), (1,), (64,), out)
    np.testing.assert_array_equal(out, floats(1 + 31 * 32, 2 + 32 * 32))


# ---- what is wrong ----

def fails(body, message, threads=64, declarations=SHARED, size=64, blocks=1):
    array = np.zeros(size, np.float32)
    with pytest.raises(MachineError, match=message) as caught:
        execute(kernel(body, 1, declarations), (blocks,), (threads,), array)
    assert "kernel tests.here, line " in str(caught.value)
    return str(caught.value)


def test_errors_name_the_place():
    text = fails("add.s64 %d1, %d0, %d9; ld.global.f32 %f1, [%d1+4];",
                 "4 bytes from byte 256 on of an allocation of 256 bytes")
    assert "ld.global.f32 %f1, [%d1+4]" in text
    assert "thread (63, 0, 0) of block (0, 0, 0)" in text


@pytest.mark.parametrize(("body", "message"), [
    ("ld.global.f32 %f1, [%d0+-4];", "where nothing is allocated|from byte"),
    ("mov.u64 %d1, 64; st.global.f32 [%d1], 0f00000000;", "0x40, where nothing is allocated"),
    ("ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%d0+8];", "no multiple of 16, but 8 more"),
    ("ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%d0+256];", "16 bytes from byte 256"),
    ("mov.u64 %d1, cells; ld.shared.f32 %f1, [%d1];", "read what was never written"),
    ("mov.u64 %d1, cells; st.shared.f32 [%d1+256], 0f00000000;", "from byte 256 on of cells"),
    ("mov.u64 %d1, cells; st.shared.f32 [%d1+2], 0f00000000;", "no multiple of 4"),
    ("mov.u64 %d1, cells; st.shared.u32 [%d1], %r9;", "another thread wrote, and no barrier"),
    ("st.global.u32 [%d0], %r9;", "wrote otherwise in the same kernel"),
    ("add.f32 %f2, %f1, %f1;", "read %f1, which was never written"),
    ("setp.eq.u32 %p1, %r9, 5; @%p1 mov.f32 %f1, 0f00000000; neg.f32 %f2, %f1;",
     "read %f1, which was never written"),
    ("setp.lt.u32 %p1, %r9, 7; @%p1 bra A; bar.sync 0; bra.uni B; A: bar.sync 0; B: bar.sync 0;",
     "not all threads of the block come to"),
    ("sub.s32 %r1, %r9, 5; div.s32 %r2, 7, %r1;", "an integer divided by 0"),
    ("setp.lt.u32 %p1, %r9, 7; @%p1 bra A; shfl.sync.bfly.b32 %r1, %r9, 1, 31, -1; A: bar.sync 0;",
     "lanes of the warp do not come along"),
    ("setp.lt.u32 %p1, %r9, 7; @%p1 bar.warp.sync -1;", "lanes of the warp do not come along"),
    ("shfl.sync.bfly.b32 %r1, %r9, 16, 31, 0xFFFF;", "lane that does not take part"),
    ("add.s64 %d1, %d0, %d9; ld.local.f32 %f1, [%d1];", "local address"),
])
def test_errors(body, message):
    fails(body, message, 16 if "0xFFFF" in body else 64)


@pytest.mark.parametrize("barrier", ["", "bar.warp.sync -1;"])
def test_races_in_shared_memory(barrier):
    fails(REVERSED.format(barrier=barrier), "shared memory: read what")
    fails("mov.u64 %d1, cells; add.s64 %d2, %d1, %d9; st.shared.f32 [%d2], 0f00000000; bar.sync 0;"
          f"ld.shared.f32 %f1, [%d1+8]; {barrier} st.shared.f32 [%d2], 0f00000000;",
          "written what another thread read, and no barrier")


def test_races_in_the_devices_memory():
    shifted = """mov.u32 %r1, %ctaid.x; mad.lo.s32 %r2, %r1, 32, %r9; mad.wide.u32 %d1, %r2, 4, %d0;
                 {} ld.global.f32 %f1, [%d1+4]; {}"""
    store = "st.global.f32 [%d1], 0f3F800000;"
    fails(shifted.format("", store), "another thread", 32, blocks=2, size=65)
    fails(shifted.format(store, ""), "another thread", 32, blocks=2, size=65)
    # What all write alike is what is there.
    execute(kernel("st.global.u32 [%d0], 7;"), (2,), (32,), out := np.zeros(1, np.uint32))
    assert out == 7


def test_what_it_does_not_know():
    with pytest.raises(PTXError, match=r"line \d+: wgmma.fence.sync.aligned"):
        execute(kernel("wgmma.fence.sync.aligned;"), (1,), (32,), floats(0))
    with pytest.raises(PTXError, match=r"no \.entry"):
        parsed(".version 8.0")


def test_which_registers_may_be_unwritten():
    here = parsed(kernel("""setp.lt.u32 %p1, %r9, 7; @%p1 bra A; mov.u32 %r1, 0;
                            A: add.u32 %r2, %r1, 1; add.u32 %r3, %r2, %r9;"""))
    assert [names for names in perhaps_unwritten(here) if names] == [["%r1"]]


def test_readable_names():
    assert readable("_ZN6fastdl4cuda8_softmaxB4v176E") == "fastdl.cuda._softmax"
    assert readable("plain") == "plain"


# ---- what it costs ----

def test_counted_instructions():
    """Per warp: both sides of a branch that parts it, one where it does not."""
    counts = execute(kernel("""setp.lt.u32 %p1, %r9, 40; @%p1 bra A; mov.u32 %r1, 1; bra.uni B;
                               A: mov.u32 %r1, 2; B: add.u32 %r2, %r1, 1;"""), (2,), (96,),
                     floats(0)).instructions
    assert counts["add.u32"] == 2 * 3
    assert counts["bra.uni"] == 2 * 2           # of warps 1 and 2
    assert counts["mov.u32"] == 2 * (3 + 2 + 2)
    assert counts["ret"] == 2 * 3


@pytest.mark.parametrize(("stride", "count", "sectors", "least"), [
    (4, 1, 4, 4), (8, 1, 8, 4), (32, 1, 32, 4), (0, 1, 1, 1), (16, 4, 16, 16), (32, 4, 32, 16)])
def test_counted_sectors(stride, count, sectors, least):
    registers = "{%f1, %f2, %f3, %f4}" if count == 4 else "%f1"
    counts = execute(kernel(f"""mul.wide.u32 %d1, %r9, {stride}; add.s64 %d2, %d0, %d1;
        ld.global{'.v4' * (count == 4)}.f32 {registers}, [%d2];"""), (1,), (32,),
        np.zeros(256, np.float32))
    assert (counts.sectors, counts.least_sectors) == (sectors, least)


@pytest.mark.parametrize(("stride", "size", "wavefronts", "least"), [
    (4, 4, 1, 1), (8, 4, 2, 1), (128, 4, 32, 1), (132, 4, 1, 1), (8, 8, 2, 2), (16, 8, 4, 2),
    (16, 16, 4, 4), (32, 16, 8, 4), (528, 16, 4, 4)])
def test_counted_wavefronts(stride, size, wavefronts, least):
    """Rows of 32 banks; 16 bytes by quarters of a warp, 8 bytes by halves."""
    values = ", ".join(["%f1"] * (size // 4))
    vector = f".v{size // 4}" if size > 4 else ""
    counts = execute(kernel(f"""mov.f32 %f1, 0f00000000; mov.u64 %d1, cells;
        mad.wide.u32 %d2, %r9, {stride}, %d1; st.shared{vector}.f32 [%d2], {{{values}}};""", 1,
        ".shared .align 16 .b8 cells[17000];"), (1,), (32,), floats(0))
    assert (counts.wavefronts, counts.least_wavefronts) == (wavefronts, least)
