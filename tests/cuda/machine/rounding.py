"""float32 arithmetic as IEEE 754 and PTX have it, where NumPy's own does something else.

A result that float32 cannot hold is computed as two float64 numbers: the nearest, and what it
lacks. From both it is rounded once.
"""

import numpy as np

HIDDEN = np.uint64((1 << 29) - 1)       # bits of float64 that float32 has not
TIE = np.uint64(1 << 28)
SMALLEST = np.finfo(np.float32).tiny    # that is not subnormal


def exact_sum(a, b):
    """The float64 nearest to a + b, and what it lacks."""
    nearest = a + b
    of_b = nearest - a
    return nearest, (a - (nearest - of_b)) + (b - of_b)


def rounded(a, b, mode):
    """a + b, of float64, as float32: rn to the nearest, rz to zero, rm downwards, rp upwards."""
    if mode == "rn":
        return _nearest(a, b)
    exact, lack = exact_sum(a, b)
    result = exact.astype(np.float32)
    above = (result > exact) | (result == exact) & (lack < 0)
    below = (result < exact) | (result == exact) & (lack > 0)
    if mode != "rp":
        too_high = above if mode == "rm" else above & (exact > 0)
        result = np.where(too_high, np.nextafter(result, np.float32(-np.inf)), result)
    if mode != "rm":
        too_low = below if mode == "rp" else below & (exact < 0)
        result = np.where(too_low, np.nextafter(result, np.float32(np.inf)), result)
    if mode == "rm":                    # where numbers cancel, zero is negative
        result = np.where((exact == 0) & (np.signbit(a) | np.signbit(b)), np.float32(-0.0), result)
    return result


def _nearest(a, b):
    """Rounding to float64 first does harm where that makes a tie, or a subnormal number."""
    exact = a + b
    risky = ((exact.view(np.uint64) & HIDDEN) == TIE) | (np.abs(exact) < SMALLEST)
    if risky.any():
        near, lack = exact_sum(a[risky], b[risky])
        # Rounded to odd: a number between two of float64 counts as the odd one.
        even = (near.view(np.uint64) & np.uint64(1)) == 0
        onwards = np.nextafter(near, np.where(lack > 0, np.inf, -np.inf))
        exact[risky] = np.where(even & (lack != 0), onwards, near)
    return exact.astype(np.float32)


def fma(a, b, c, mode):
    """a b + c, rounded once."""
    return rounded(a.astype(np.float64) * b, c.astype(np.float64), mode)


def flushed(x):
    """Subnormal numbers become zeros (.ftz)."""
    return np.where(np.abs(x) < SMALLEST, np.copysign(np.float32(0), x), x)


def to_tf32(x, ties_to_even):
    """The nearest of TF32, which has 10 bits behind the point; ties go away from zero, or to even.

    That is rna, or rn.
    """
    bits = x.view(np.uint32)
    below_half = (1 << 12) - 1
    half = below_half + (bits >> 13 & 1) if ties_to_even else np.uint32(below_half + 1)
    return np.where(np.isfinite(x), (bits + half) & TF32, bits)


TF32 = np.uint32(0xFFFFE000)            # the bits that a tensor core looks at


def to_integer(x, mode, kind):
    """Rounded, and the nearest integer of that dtype; NaN is 0."""
    whole = INTEGRAL[mode](x.astype(np.float64))
    limits = np.iinfo(kind)
    inside = np.where((whole >= limits.min) & (whole <= limits.max), whole, 0).astype(kind)
    inside[whole >= float(limits.max)] = limits.max
    inside[whole <= float(limits.min)] = limits.min
    return inside


INTEGRAL = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}
