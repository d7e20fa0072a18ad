"""The awkward arrays: for each kernel of the table, the calls on which backends must agree.

A case is a call of a function of `fastdl.ops` (which leads to that kernel) with its arrays, in
float64 or integers; `run` makes them of the dtype and the memory layout that a test is about.
The first case of a kernel is its typical one: small, nothing special about it.
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from layouts import channels_last

from fastdl import ops
from fastdl.ops import _arrays, conv

_drawn: Counter[tuple] = Counter()
NAN, INF = np.nan, np.inf


class Case(NamedTuple):
    """One call. `terms`: length of its longest sum, times the square of its condition."""

    kernel: str
    name: str
    function: Callable
    arrays: dict[str, np.ndarray]
    options: dict = {}
    terms: float = 1
    changed: tuple[str, ...] = ()       # the arrays that are changed in place

    def __str__(self):
        return f"{self.kernel}-{self.name}"


CASES: dict[str, list[Case]] = {}


def case(kernel, name, function, arrays, terms=1, changed=(), **options):
    arrays = {key: np.asarray(a) for key, a in arrays.items()}      # NumPy makes scalars of 0-d
    CASES.setdefault(kernel, []).append(
        Case(kernel, name, function, arrays, options, terms, changed))


def run(case, backend, dtype, layout=lambda a: a):
    """Call it; return its results and the arrays that it changed, by name."""
    arrays = {key: a.astype(dtype) if a.dtype.kind == "f" else a.copy()
              for key, a in case.arrays.items()}
    arrays.update((key, layout(a)) for key, a in arrays.items() if key not in case.changed)
    before = {key: a.copy() for key, a in arrays.items()}
    result = case.function(**arrays, **case.options, backend=backend)
    for key in arrays.keys() - set(case.changed):
        np.testing.assert_array_equal(arrays[key], before[key], f"{key} was changed")
    results = result if isinstance(result, tuple) else (result,)
    named = {f"result {i}": r for i, r in enumerate(results) if r is not None}
    return named | {key: arrays[key] for key in case.changed}


# ---- values ----

def fresh(shape):
    """A generator for the next array of that shape: a new case changes no other's values."""
    _drawn[shape] += 1
    return np.random.default_rng([20, _drawn[shape], *shape])


def normal(*shape):
    return fresh(shape).standard_normal(shape)


def uniform(*shape):
    return fresh(shape).uniform(-0.9, 0.9, shape)


def ties(*shape):
    """Few different values, so that maxima are reached more than once."""
    return fresh(shape).integers(-2, 3, shape).astype(float)


def poisoned(array):
    """`array` with NaN, infinities, zeros of both signs and subnormal numbers strewn in."""
    array = array.copy()
    specials = [NAN, INF, -INF, -0.0, 0.0, 1e-310, -1e-310, 1e-40, -1e-40, NAN]
    few = min(len(specials), array.size // 2)
    places = fresh(array.shape).choice(array.size, size=few, replace=False)
    array.reshape(-1)[places] = specials[:len(places)]
    return array


def gates(*shape):
    """Outputs of a ReLU, and what else may decide whether a gradient passes."""
    # A subnormal number counts as 0 on native backends, so there is none.
    return fresh(shape).choice([NAN, INF, -INF, -0.0, 0.0, 1, -1, 1e-30, -1e-30], shape)


def probabilities(*shape):
    return fresh(shape).dirichlet(np.ones(shape[-1]), shape[:-1])


LARGE = (70, 1001)                      # enough work for several threads, and an odd size
SHAPES = {"typical": (3, 4, 5), "empty": (0, 4), "scalar": (), "one": (1,), "odd": (1, 37),
          "large": LARGE}


# ---- layouts, sums ----

MAPS = {
    "typical": (2, 3, 5, 4), "1x1": (1, 1, 1, 1), "empty batch": (0, 3, 4, 4),
    "no channels": (2, 0, 3, 3), "one channel": (2, 1, 9, 7), "two channels": (3, 2, 5, 37),
    "four channels": (1, 4, 11, 19), "few channels": (2, 7, 6, 6), "one pixel": (5, 70, 1, 1),
    "few pixels": (3, 40, 2, 3), "a vector": (2, 16, 4, 4), "odd": (2, 37, 7, 9),
    "row": (2, 33, 131), "large": (4, 65, 40, 41), "large, few channels": (2, 3, 150, 151)}


def to_planes(x, backend):
    return ops.to_planes(channels_last(x), backend=backend)


def copied(x, backend):
    """Maps copied to such as lie alike."""
    y = np.empty_like(x)
    _arrays.kernel("copy_maps", x, backend)(x, y)
    return y


for name, shape in MAPS.items():
    case("copy_maps", name, ops.to_channels_last, {"x": normal(*shape)})
    case("copy_maps", f"{name}, to planes", to_planes, {"x": normal(*shape)})
    case("copy_maps", f"{name}, alike", copied, {"x": normal(*shape)})
case("copy_maps", "NaN and infinities", to_planes, {"x": poisoned(normal(2, 5, 6, 7))})


def sum_of(backend, **arrays):
    return ops.add(*arrays.values(), backend=backend)


for name, shape in SHAPES.items():
    case("add", name, sum_of, {"a": normal(*shape), "b": normal(*shape)})
    case("add", f"{name}, three", sum_of, {key: normal(*shape) for key in "abc"}, terms=3)
case("add", "NaN and infinities", sum_of, {"a": poisoned(normal(60)), "b": poisoned(normal(60))})
case("add", "channels-last", sum_of,
     {"a": channels_last(normal(2, 5, 6, 7)), "b": channels_last(normal(2, 5, 6, 7))})


def product_of(backend, a, b):
    return ops.multiply(a, b, backend=backend)


for name, shape in SHAPES.items():
    case("multiply", name, product_of, {"a": normal(*shape), "b": normal(*shape)})
case("multiply", "NaN and infinities", product_of,
     {"a": poisoned(normal(60)), "b": poisoned(normal(60))})
case("multiply", "channels-last", product_of,
     {"a": channels_last(normal(2, 5, 6, 7)), "b": channels_last(normal(2, 5, 6, 7))})

for name, shape in {"typical": (2, 3, 4, 5), "empty batch": (0, 3, 2, 2),
                    "one channel": (3, 1, 5, 4), "row": (2, 37, 131),
                    "many channels": (2, 150, 3, 5), "odd": (3, 19, 7, 9),
                    "volume": (2, 3, 4, 5, 6), "large": (3, 70, 41, 40)}.items():
    for layout in (np.asarray, channels_last):
        title = f"{name}, channels-last" if layout is channels_last else name
        arrays = {"a": layout(normal(*shape)), "b": normal(*shape[:2], *(1,) * (len(shape) - 2))}
        case("scale_maps", title, product_of, arrays)
        case("scale_maps_backward", title, ops.multiply_backward,
             arrays | {"dy": layout(normal(*shape))}, terms=np.prod(shape[2:]) + 1)
case("scale_maps", "NaN and infinities", product_of,
     {"a": poisoned(normal(2, 3, 4, 5)), "b": normal(2, 3, 1, 1)})


def concatenated(backend, axis=1, **arrays):
    return ops.concat(list(arrays.values()), axis, backend=backend)


def taken_apart(x, sizes, backend, axis=1):
    return tuple(ops.split(x, sizes, axis, backend=backend))


for name, shape, sizes, axis in [
        ("typical", (2, 7, 3, 4), (3, 4), 1), ("three", (3, 19, 5, 5), (1, 16, 2), 1),
        ("one", (2, 3, 4, 5), (3,), 1), ("empty part", (2, 3, 2, 2), (0, 3), 1),
        ("empty batch", (0, 3, 2, 2), (1, 2), 1), ("one pixel", (3, 40, 1, 1), (7, 33), 1),
        ("first axis", (5, 3, 4, 6), (2, 3), 0), ("last axis", (2, 3, 4, 30), (13, 17), -1),
        ("matrix", (9, 70), (32, 38), 1), ("row", (71,), (70, 1), 0),
        ("large", (3, 96, 41, 40), (64, 15, 17), 1)]:
    parts = {f"x{i}": normal(*shape[:axis], size, *shape[axis:][1:])
             for i, size in enumerate(sizes)}
    for layout in (np.asarray, channels_last):
        last = ", channels-last" if layout is channels_last else ""
        case("copy_matrix", f"{name}{last}", concatenated,
             {key: layout(x) for key, x in parts.items()}, axis=axis)
        case("copy_matrix", f"{name}, apart{last}", taken_apart, {"x": layout(normal(*shape))},
             sizes=sizes, axis=axis)
case("copy_matrix", "NaN and infinities", concatenated,
     {key: poisoned(normal(4, 5, 6)) for key in "abc"})


# ---- matrix product ----

for name, (M, K, N) in {
        "typical": (5, 7, 3), "1x1": (1, 1, 1), "no rows": (0, 3, 2), "no terms": (3, 0, 2),
        "no columns": (2, 3, 0), "row": (1, 300, 1), "odd": (17, 33, 19), "tall": (133, 9, 5),
        "wide": (5, 9, 270), "deep": (9, 1030, 6), "large": (131, 259, 101),
        "blocks": (350, 401, 530), "b packed once": (1300, 20, 40),
        "rows that share cache sets": (100, 512, 512),
        "rows of a that share cache sets": (600, 1024, 140)}.items():
    case("gemm", name, ops.gemm, {"a": normal(M, K), "b": normal(K, N)}, terms=K + 1)
for trans_a, trans_b in [(False, True), (True, False), (True, True)]:
    for M, K, N in [(3, 70, 50), (18, 7, 21), (131, 259, 101), (350, 401, 530)]:
        case("gemm", f"transposed {trans_a} {trans_b} {M}", ops.gemm,
             {"a": normal(*((K, M) if trans_a else (M, K))),
              "b": normal(*((N, K) if trans_b else (K, N)))},
             terms=K, trans_a=trans_a, trans_b=trans_b)
for M, K, N in [(9, 13, 5), (130, 300, 140), (1, 40, 70)]:
    arrays = {"a": normal(M, K), "b": normal(K, N), "c": normal(M, N), "bias": normal(N)}
    case("gemm", f"alpha, beta, bias {M}", ops.gemm, arrays, terms=K + 2, alpha=-0.5, beta=2.0)
    case("gemm", f"ReLU {M}", ops.gemm, arrays, terms=K + 2, beta=1.0, relu=True)
    case("gemm", f"ReLU of the product {M}", ops.gemm,
         {"a": poisoned(arrays["a"]), "b": arrays["b"]}, terms=K, relu=True)


def product_of_slices(a, b, **options):
    """Factors whose rows lie apart."""
    return ops.gemm(a[1:-2, 3:-4], b[2:-1, 1:-5], **options)


for M, K, N in [(1, 20, 9), (17, 1, 5), (13, 31, 7), (131, 259, 101)]:
    for trans_a in (False, True):
        for trans_b in (False, True):
            m, k = (K, M) if trans_a else (M, K)
            i, j = (N, K) if trans_b else (K, N)
            case("gemm", f"slices {trans_a} {trans_b} {M}", product_of_slices,
                 {"a": normal(m + 3, k + 7), "b": normal(i + 3, j + 6)}, terms=K + 1,
                 trans_a=trans_a, trans_b=trans_b)


def gated_product(a, b, bias, gate, backend, beta):
    out = normal_of(gate)
    _arrays.kernel("gemm", a, backend)(a, b, bias, gate[:, 2:-1], out, False, False, 1.0, beta,
                                       False)
    return out


def column_sums(x, backend):
    x = _arrays.real("column_sums", "x", x)
    sums = np.empty(x.shape[1], x.dtype)
    _arrays.kernel("column_sums", x, backend)(x, sums)
    return sums


def normal_of(gate):
    """What a product is added to, of the shape of `gate` without its margins."""
    M, N = gate.shape
    return np.linspace(-1, 1, M * (N - 3), dtype=gate.dtype).reshape(M, N - 3)


for M, K, N in [(9, 13, 5), (130, 300, 140), (1, 40, 70), (0, 3, 2), (20, 2100, 33)]:
    for beta in (0.0, 1.0):
        case("gemm", f"gated {M} {beta}", gated_product,
             {"a": normal(M, K), "b": normal(K, N), "bias": normal(N),
              "gate": gates(M, N + 3)}, terms=K + 2, beta=beta)
case("gemm", "NaN and infinities", ops.gemm,
     {"a": poisoned(normal(20, 30)), "b": normal(30, 18)}, terms=30)
for name, shape in {"typical": (5, 3), "tall": (9001, 3), "odd": (70, 1001), "wide": (3, 5000),
                    "row": (1, 40), "no rows": (0, 7), "no columns": (4, 0)}.items():
    case("column_sums", name, column_sums, {"x": normal(*shape)}, terms=shape[0] + 1)
case("column_sums", "NaN and infinities", column_sums, {"x": poisoned(normal(9, 40))}, terms=9)
case("gemm", "dense layer", ops.linear,
     {"x": normal(3, 5, 40), "w": normal(30, 40), "b": normal(30)}, terms=41)
case("gemm", "dense layer, ReLU", ops.linear,
     {"x": normal(70, 90), "w": normal(50, 90), "b": normal(50)}, terms=91, relu=True)
case("gemm", "dense layer backward", ops.linear_backward,
     {"dy": normal(9, 30), "x": normal(9, 40), "w": normal(30, 40)}, terms=40)


# ---- windows: convolution and im2col ----

CONV = {        # x, w, options
    "typical": ((2, 3, 7, 5), (4, 3, 3, 2), {}),
    "1x1": ((1, 1, 1, 1), (1, 1, 1, 1), {}),
    "empty batch": ((0, 2, 5, 5), (3, 2, 3, 3), {}),
    "kernel is the image": ((2, 3, 5, 4), (5, 3, 5, 4), {}),
    "stride over kernel": ((2, 2, 11, 9), (3, 2, 2, 2), {"stride": (4, 3)}),
    "padding over kernel": ((1, 2, 4, 4), (3, 2, 3, 3), {"padding": (4, 5)}),
    "padding alone fits": ((2, 2, 1, 1), (3, 2, 3, 3), {"padding": 1}),
    "dilation": ((2, 2, 9, 8), (3, 2, 3, 2), {"dilation": (2, 3), "padding": 1}),
    "all options": ((3, 4, 13, 11), (6, 2, 3, 2), {"stride": (2, 3), "padding": (3, 1),
                                                  "dilation": (2, 1), "groups": 2}),
    "groups": ((2, 6, 6, 6), (4, 3, 3, 3), {"groups": 2, "padding": 1}),
    "depthwise": ((2, 5, 7, 6), (5, 1, 3, 3), {"groups": 5, "padding": 1}),
    "depthwise, twice the channels": ((2, 3, 9, 9), (6, 1, 3, 3), {
        "groups": 3, "stride": 2, "padding": 2, "dilation": 2}),
    "depthwise, wide": ((1, 2, 5, 70), (2, 1, 5, 5), {"groups": 2, "padding": 2}),
    "depthwise, odd channels": ((2, 37, 14, 10), (37, 1, 3, 3), {"groups": 37, "padding": 1}),
    "depthwise, stride": ((2, 35, 12, 18), (35, 1, 3, 3), {
        "groups": 35, "stride": 2, "padding": 1}),
    "depthwise, stride, odd size": ((2, 16, 9, 11), (16, 1, 3, 3), {
        "groups": 16, "stride": 2, "padding": 1}),
    "depthwise, 5x5, stride": ((2, 18, 14, 8), (18, 1, 5, 5), {
        "groups": 18, "stride": 2, "padding": 2}),
    "depthwise, many outputs": ((2, 17, 6, 9), (51, 1, 3, 3), {"groups": 17, "padding": 1}),
    "depthwise, one output": ((3, 20, 3, 3), (20, 1, 3, 3), {"groups": 20}),
    "pointwise": ((3, 7, 5, 5), (9, 7, 1, 1), {}),
    "pointwise, stride": ((2, 7, 6, 5), (3, 7, 1, 1), {"stride": 2}),
    "pointwise, stride, one output": ((3, 7, 2, 2), (4, 7, 1, 1), {"stride": 2}),
    "deep and small": ((2, 40, 3, 3), (70, 40, 3, 3), {"padding": 1}),
    "many filters": ((2, 22, 6, 19), (190, 22, 3, 3), {"stride": (1, 2), "padding": 1}),
    "one row": ((2, 1, 1, 201), (2, 1, 1, 5), {}),
    "one column": ((2, 1, 201, 1), (2, 1, 5, 1), {}),
    "large": ((4, 16, 20, 20), (20, 16, 3, 3), {"padding": 1}),
    "few channels": ((2, 3, 23, 41), (37, 3, 3, 5), {"padding": (1, 2)}),
    "few channels, stride": ((2, 3, 31, 66), (18, 3, 7, 7), {"stride": 2, "padding": 3}),
    "few channels, all options": ((2, 8, 20, 47), (10, 4, 5, 3), {
        "stride": (3, 2), "padding": (2, 1), "dilation": (1, 2), "groups": 2}),
    "few channels, stride over kernel": ((1, 2, 14, 90), (3, 2, 2, 3), {"stride": (3, 5)}),
    "one channel": ((3, 1, 28, 28), (16, 1, 5, 5), {}),
    "one channel, more than a band": ((1, 1, 45, 300), (17, 1, 5, 3), {"padding": (2, 1)}),
}


def _output(x_shape, w_shape, stride=1, padding=0, dilation=1, groups=1):
    pairs = (np.broadcast_to(v, 2) for v in (stride, padding, dilation))
    return x_shape[0], w_shape[0], *(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(x_shape[2:], w_shape[2:], *pairs, strict=True))


def of_channels_last(function):
    """`function` on channels-last `x`, whose layout its first result then has."""
    def call(*, x, **others):
        result = function(x=channels_last(x), **others)
        y = result[0] if isinstance(result, tuple) else result
        assert y is None or x.shape[1] == 1 or np.moveaxis(y, 1, -1).flags.c_contiguous
        return result

    return call


def _convolution(name, x, w, dy, bias=True, forward=ops.conv2d, backward=ops.conv2d_backward,
                 **options):
    taps, pixels = w[0].size, dy[:, 0].size
    case("conv2d", name, forward, {"x": x, "w": w} | ({"b": normal(len(w))} if bias else {}),
         terms=taps + 1, **options)
    arrays = {"dy": dy, "x": x, "w": w}
    case("conv2d_backward_weight", name, backward, arrays,
         terms=pixels + 1, bias=bias, need_dx=False, **options)
    # At the border of dx, a backend may take a tap that misses dy for zero times the weight, which
    # is NaN if the weight is not finite: not compared.
    if np.isfinite(w).all():
        case("conv2d_backward_input", name, backward, arrays,
             terms=max(taps * len(w), pixels), bias=bias, **options)


for name, (x_shape, w_shape, options) in CONV.items():
    x, w, dy = normal(*x_shape), normal(*w_shape), normal(*_output(x_shape, w_shape, **options))
    _convolution(name, x, w, dy, **options)
    last = {"forward": of_channels_last(ops.conv2d),
            "backward": of_channels_last(ops.conv2d_backward)}
    _convolution(f"{name}, channels-last", x, w, dy, **last, **options)
    _convolution(f"{name}, im2col", x, w, dy, algorithm="im2col", **options)
    _convolution(f"{name}, im2col, channels-last", x, w, dy, algorithm="im2col", **last, **options)
    if w_shape[2:] in ((3, 3), (5, 5)) and not options.keys() & {"stride", "dilation"}:
        for algorithm in ("direct", "winograd"):
            _convolution(f"{name}, {algorithm}", x, w, dy, algorithm=algorithm, **options)
            _convolution(f"{name}, {algorithm}, channels-last", x, w, dy, algorithm=algorithm,
                         **last, **options)
    arrays = {"x": x, "w": w, "b": normal(len(w)), "residual": normal(*dy.shape)}
    for algorithm in ("direct", "im2col"):
        for function, title in [(ops.conv2d, ""), (last["forward"], ", channels-last")]:
            case("conv2d", f"{name}, residual and ReLU, {algorithm}{title}", function, arrays,
                 terms=w[0].size + 2, relu=True, algorithm=algorithm, **options)


def convolved_and_pooled(x, w, b, *, relu, algorithm, backend, **options):
    """The 2 x 2 max-pool of a convolution, and the places that it chose."""
    x, w, b = _arrays.common("", {"x": _arrays.is_channels_last}, x=x, w=w, b=b)
    x = ops.to_channels_last(x, backend=backend)
    window, shape = conv.checked("", x, w, *(options.get(key, default) for key, default in {
        "stride": 1, "padding": 0, "dilation": 1, "groups": 1}.items()))
    y, argmax = (channels_last(np.empty((*shape[:2], shape[2] // 2, shape[3] // 2), dtype))
                 for dtype in (x.dtype, np.uint8))
    _arrays.kernel("conv2d_max_pool2d", x, backend)(x, w, b, y, argmax, *window[:3], relu,
                                                    algorithm)
    return y, argmax


for name, (x_shape, w_shape, options) in CONV.items():
    if min(_output(x_shape, w_shape, **options)[2:]) < 2 or "groups" in options:
        continue
    for relu, algorithm in ((True, "auto"), (False, "direct")):
        case("conv2d_max_pool2d", f"{name}{', ReLU' * relu}, {algorithm}", convolved_and_pooled,
             {"x": channels_last(normal(*x_shape)), "w": normal(*w_shape),
              "b": normal(w_shape[0])},
             terms=int(np.prod(w_shape[1:])) + 1, relu=relu, algorithm=algorithm, **options)


def gradient_with(*, dy, w, gate, residual=None, shape, layout=np.array, algorithm="auto",
                  backend, **options):
    """dx of a ReLU's input, added to the gradient that is there already if there is one."""
    dx = layout(np.full(shape, 77, dy.dtype) if residual is None else residual)
    window, _ = conv.checked("", dx, w, *(options.get(key, default) for key, default in {
        "stride": 1, "padding": 0, "dilation": 1, "groups": 1}.items()))
    conv.conv_kernel("conv2d_backward_input", dy, algorithm, backend)(
        layout(dy), w, None if residual is None else dx, layout(gate), dx, *window, algorithm)
    return dx


for name, (x_shape, w_shape, options) in CONV.items():
    arrays = {"dy": normal(*_output(x_shape, w_shape, **options)), "w": normal(*w_shape),
              "gate": gates(*x_shape)}
    winograd = (w_shape[2:] in ((3, 3), (5, 5))
                and not options.keys() & {"stride", "dilation", "groups"})
    for layout in (np.array, channels_last):
        for algorithm in ("direct", "im2col") + ("winograd",) * winograd:
            for extra in ({}, {"residual": normal(*x_shape)}):
                title = f"{name}, gated{', in place' * bool(extra)}, {algorithm}"
                case("conv2d_backward_input", f"{title}, {layout.__name__}", gradient_with,
                     arrays | extra, terms=w_shape[0] * w_shape[2] * w_shape[3] + 1,
                     shape=x_shape, layout=layout, algorithm=algorithm, **options)
_convolution("no bias", normal(2, 3, 6, 6), normal(4, 3, 3, 3), normal(2, 4, 4, 4), bias=False)
for groups in (1, 2, 4):
    x, w, dy = normal(3, 4, 12, 13), normal(8, 4 // groups, 3, 3), normal(3, 8, 10, 11)
    _convolution(f"NaN in x, groups {groups}", poisoned(x), w, dy, groups=groups)
    _convolution(f"NaN in w, groups {groups}", x, poisoned(w), dy, groups=groups)
    _convolution(f"NaN in dy, groups {groups}", x, w, poisoned(dy), groups=groups)
x, w, dy = normal(2, 3, 9, 47), normal(7, 3, 3, 3), normal(2, 7, 7, 45)
_convolution("NaN in x, few channels", poisoned(x), w, dy)
_convolution("NaN in dy, few channels", x, w, poisoned(dy))

for name, (x_shape, w_shape, options) in CONV.items():
    options = {key: value for key, value in options.items() if key != "groups"}
    kernel_size = w_shape[2:]
    N, C = x_shape[:2]
    taps, pixels = C * kernel_size[0] * kernel_size[1], _output(x_shape, w_shape, **options)[2:]
    for transpose, col_shape in [(True, (N * pixels[0] * pixels[1], taps)),
                                 (False, (N, taps, pixels[0] * pixels[1]))]:
        title = f"{name}, {'rows of pixels' if transpose else 'rows of taps'}"
        case("im2col", title, ops.im2col, {"x": normal(*x_shape)},
             kernel_size=kernel_size, transpose=transpose, **options)
        case("col2im", title, ops.col2im, {"col": normal(*col_shape)}, terms=taps + 1,
             x_shape=x_shape, kernel_size=kernel_size, transpose=transpose, **options)
for transpose in (True, False):
    case("im2col", f"NaN and infinities, {transpose}", ops.im2col,
         {"x": poisoned(normal(2, 3, 6, 5))}, kernel_size=3, padding=1, transpose=transpose)
case("col2im", "NaN and infinities", ops.col2im, {"col": poisoned(normal(32, 8))}, terms=9,
     x_shape=(2, 2, 5, 5), kernel_size=2)


# ---- pooling ----

POOL = {        # x, options
    "typical": ((2, 3, 6, 8), {"kernel_size": 2}),
    "1x1": ((1, 1, 1, 1), {"kernel_size": 1}),
    "empty batch": ((0, 3, 6, 6), {"kernel_size": 2}),
    "no channels": ((2, 0, 6, 6), {"kernel_size": 2}),
    "odd sizes": ((2, 3, 7, 5), {"kernel_size": (3, 2)}),
    "overlapping": ((2, 3, 9, 9), {"kernel_size": 3, "stride": 2}),
    "overlapping, padded": ((2, 3, 9, 10), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "stride over kernel": ((1, 2, 11, 9), {"kernel_size": 2, "stride": (3, 4)}),
    "padding at its limit": ((1, 2, 4, 3), {"kernel_size": (4, 5), "stride": 1,
                                            "padding": (2, 2)}),
    "ceil_mode": ((2, 2, 6, 7), {"kernel_size": 2, "stride": 3, "ceil_mode": True}),
    "ceil_mode, padded": ((2, 2, 7, 8), {"kernel_size": 3, "stride": 2, "padding": 1,
                                         "ceil_mode": True}),
    "kernel is the image": ((2, 3, 5, 4), {"kernel_size": (5, 4)}),
    "more than 256 cells": ((1, 2, 20, 36), {"kernel_size": 17, "stride": 3, "padding": 8}),
    "wide": ((1, 1, 3, 205), {"kernel_size": (1, 3), "stride": 1}),
    "large": ((8, 16, 24, 24), {"kernel_size": 2}),
    "many channels": ((2, 37, 7, 9), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "rows over a vector": ((2, 3, 11, 75), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "stride 4, even": ((2, 3, 7, 10), {"kernel_size": 3, "stride": 4}),
    "wide, stride 3": ((1, 2, 9, 70), {"kernel_size": 2, "stride": 3}),
    "stride 1 by 2": ((1, 3, 6, 41), {"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 0)}),
    "apart, over a vector": ((2, 3, 11, 75), {"kernel_size": 2}),
    "apart, padded": ((2, 5, 8, 9), {"kernel_size": (2, 2), "stride": 2, "padding": 1}),
    "apart, padded above": ((2, 3, 9, 40), {"kernel_size": 2, "padding": (1, 0)}),
    "apart, one column": ((1, 3, 7, 41), {"kernel_size": (2, 1), "stride": 2}),
    "apart, ceil_mode": ((2, 3, 7, 37), {"kernel_size": 2, "ceil_mode": True}),
    "four vectors of channels": ((1, 64, 7, 8), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "bands of a plane": ((1, 2, 150, 90), {"kernel_size": 3, "stride": 2, "padding": 1}),
}


def _pooling(name, x, dy_values=normal, **options):
    area = int(np.prod(np.broadcast_to(options["kernel_size"], 2)))
    with np.errstate(all="ignore"):
        y, argmax = ops.max_pool2d(x, **options, return_indices=True, backend="reference")
    dy = dy_values(*y.shape)
    case("max_pool2d", name, ops.max_pool2d, {"x": x}, return_indices=True, **options)
    for title, gate in [(name, {}), (f"{name}, gated", {"y": gates(*y.shape)})]:
        case("max_pool2d_backward", title, ops.max_pool2d_backward,
             {"dy": dy, "argmax": argmax} | gate, terms=area + 1, x_shape=x.shape, **options)
    for count in (True, False):
        title = f"{name}{'' if count else ', padding not counted'}"
        case("avg_pool2d", title, ops.avg_pool2d, {"x": x}, terms=area + 1,
             count_include_pad=count, **options)
        case("avg_pool2d_backward", title, ops.avg_pool2d_backward, {"dy": dy}, terms=area + 1,
             x_shape=x.shape, count_include_pad=count, **options)


for name, (x_shape, options) in POOL.items():
    _pooling(name, normal(*x_shape), **options)
_pooling("ties", ties(2, 3, 9, 9), kernel_size=3, stride=2, padding=1)
_pooling("all equal", np.zeros((1, 2, 8, 8)), kernel_size=3, stride=1, padding=1)
_pooling("-inf alone", np.full((1, 2, 6, 6), -INF), kernel_size=3, stride=2, padding=1)
_pooling("NaN and infinities", poisoned(normal(2, 3, 12, 12)), kernel_size=3, stride=2, padding=1)
_pooling("NaN in the gradient", normal(2, 3, 12, 12), lambda *shape: poisoned(normal(*shape)),
         kernel_size=2)

for name, x in {
        "typical": normal(2, 3, 4, 5), "1x1": normal(2, 3, 1, 1), "empty batch": normal(0, 3, 4, 4),
        "odd": normal(1, 2, 7, 19), "ties": ties(2, 3, 5, 5), "large": normal(16, 16, 20, 20),
        "many channels": normal(3, 133, 3, 5),
        "-inf alone": np.full((1, 2, 3, 3), -INF),
        "NaN and infinities": poisoned(normal(4, 5, 3, 3))}.items():
    cells = x[0, 0].size if len(x) else 1
    per_map = (*x.shape[:2], 1, 1)
    indices = fresh(per_map).integers(0, cells, per_map).astype(np.int32)
    case("global_avg_pool2d", name, ops.global_avg_pool2d, {"x": x}, terms=cells + 1)
    case("global_max_pool2d", name, ops.global_max_pool2d, {"x": x}, return_indices=True)
    case("global_avg_pool2d_backward", name, ops.global_avg_pool2d_backward,
         {"dy": normal(*per_map)}, x_shape=x.shape)
    case("global_max_pool2d_backward", name, ops.global_max_pool2d_backward,
         {"dy": normal(*per_map), "argmax": indices}, x_shape=x.shape)


# ---- batch normalisation ----

BATCH_NORM = {
    "typical": normal(4, 3, 5, 2), "few values": normal(3, 3), "dense": normal(33, 20),
    "one image": normal(1, 3, 6, 5), "short rows": normal(50, 7, 3), "odd": normal(3, 5, 37),
    "constant": np.full((4, 3, 2, 2), 1.5), "one channel": normal(5, 1, 9),
    "far from zero": normal(8, 3, 7, 7) + 100, "large": normal(8, 32, 18, 18),
    "short planes": normal(5, 6, 2, 2), "wide planes": normal(2, 3, 130, 131),
    "wide rows": normal(37, 259), "many rows": normal(5003, 3), "one column": normal(70, 1) + 1,
    "deep": normal(6, 40, 7, 7), "NaN and infinities": poisoned(normal(6, 12, 5, 5)),
    "rows with NaN and infinities": poisoned(normal(90, 12))}


def _normalisation(name, x):
    C = x.shape[1]
    axes = (0, *range(2, x.ndim))
    mean, var = (x.mean(axes), x.var(axes)) if len(x) else (np.zeros(C), np.ones(C))
    weight, bias = normal(C), normal(C)
    # A mean of 100 among deviations of 1 costs a factor 100: of all that is subtracted from it.
    terms = x[:, 0].size * (10_000 if name.startswith("far from zero") else 1) + 1
    case("batch_norm_inference", name, ops.batch_norm,
         {"x": x, "weight": weight, "bias": bias, "running_mean": mean, "running_var": var},
         terms=terms, training=False)
    backward = {"dy": normal(*x.shape), "x": x, "weight": weight, "mean": mean,
                "rstd": 1 / np.sqrt(var + 1e-5)}
    fused = {"residual": normal(*x.shape)}
    gate = {"y": np.maximum(ties(*x.shape), 0)}
    capped = {"y": fresh(x.shape).choice([NAN, INF, -0.0, 0, 1e-30, 3, 5.99, 6, 7], x.shape)}
    for training in (True, False):
        if training and not len(x):
            continue
        title = f"{name}{'' if training else ', evaluation'}"
        case("batch_norm_backward", title, ops.batch_norm_backward, backward, terms=terms,
             training=training)
        case("batch_norm_backward", f"{title}, gated", ops.batch_norm_backward, backward | gate,
             terms=terms, training=training)
        for dresidual in (False, True):
            case("batch_norm_backward", f"{title}, ReLU6{', dresidual' if dresidual else ''}",
                 ops.batch_norm_backward, backward | capped, terms=terms, training=training,
                 relu6=True, return_dresidual=dresidual)
        for extra in ({}, gate):
            case("batch_norm_backward", f"{title}, dresidual{', gated' if extra else ''}",
                 ops.batch_norm_backward, backward | extra, terms=terms, training=training,
                 return_dresidual=True)
    for relu in ({}, {"relu": True}, {"relu6": True}):
        for extra in ({}, fused):
            title = ", ".join([name, *relu, *extra])
            # So wide that many values reach 6.
            inputs = {"x": x, "weight": 4 * weight if "relu6" in relu else weight, "bias": bias}
            inputs |= extra
            if relu or extra:
                case("batch_norm_inference", title, ops.batch_norm,
                     inputs | {"running_mean": mean, "running_var": var}, terms=terms,
                     training=False, **relu)
            if len(x) and (relu or extra):
                case("batch_norm", title, ops.batch_norm, inputs, terms=terms, **relu,
                     return_stats=True)
    if len(x):
        case("batch_norm", name, ops.batch_norm,
             {"x": x, "weight": weight, "bias": bias, "running_mean": normal(C),
              "running_var": normal(C) ** 2}, terms=terms, momentum=0.3, return_stats=True,
             changed=("running_mean", "running_var"))
        case("batch_norm", f"{name}, no statistics", ops.batch_norm,
             {"x": x, "weight": weight, "bias": bias}, terms=terms, return_stats=True)


with np.errstate(all="ignore"):
    for name, x in BATCH_NORM.items():
        _normalisation(name, x)
        if x.ndim > 2:
            _normalisation(f"{name}, channels-last", channels_last(x))
    _normalisation("empty batch", normal(0, 3, 4, 4))
    _normalisation("small images, channels-last", channels_last(normal(20, 19, 5, 5)))


# ---- layer, instance and group normalisation; local response normalisation ----

GROUPS = {      # x, groups
    "typical": (normal(2, 4, 3, 5), 2), "features": (normal(5, 12), 1),
    "one value": (normal(3, 4), 4), "wide features": (normal(7, 1003), 1),
    "groups of features": (normal(9, 150), 5),
    "instances": (normal(3, 5, 7, 6), 5), "one position": (normal(4, 70, 1, 1), 2),
    "constant": (np.full((2, 4, 3, 3), 1.5), 2), "empty batch": (normal(0, 4, 3, 3), 2),
    "far from zero": (normal(3, 6, 7, 7) + 100, 3), "large": (normal(4, 32, 40, 41), 8),
    "long": (normal(1, 2, 190, 191), 1), "NaN and infinities": (poisoned(normal(6, 12, 5, 5)), 3)}

with np.errstate(all="ignore"):
    for name, (x, groups) in GROUPS.items():
        C, rows = x.shape[1], x.reshape(len(x), groups, x[:1].size // groups if len(x) else 18)
        mean, rstd = rows.mean(2), 1 / np.sqrt(rows.var(2) + 1e-5)
        arrays = {"x": x, "weight": normal(C)}
        size = max(rows.shape[2] * (10_000 if name == "far from zero" else 1), 2)
        case("group_norm", name, ops.group_norm, arrays | {"bias": normal(C)}, terms=size,
             num_groups=groups, return_stats=True)
        case("group_norm_backward", name, ops.group_norm_backward,
             arrays | {"dy": normal(*x.shape), "mean": mean, "rstd": rstd}, num_groups=groups,
             terms=size * max(len(x), 1))
for name, shape in {"typical": (4, 6, 5), "wide": (3, 2, 1030)}.items():
    case("group_norm", f"layer norm, {name}", ops.layer_norm,
         {"x": normal(*shape), "weight": normal(*shape[1:]), "bias": normal(*shape[1:])},
         normalized_shape=shape[1:], terms=shape[1] * shape[2])
    case("group_norm", f"layer norm, not affine, {name}", ops.layer_norm, {"x": normal(*shape)},
         normalized_shape=shape[2:], terms=shape[2])

RESPONSES = {       # x, options
    "typical": (normal(2, 7, 3, 5), {"size": 5}), "even": (normal(2, 7, 3, 5), {"size": 4}),
    "few channels": (normal(2, 2, 4, 4), {"size": 5}),
    "one channel": (normal(3, 1, 9), {"size": 1}), "empty batch": (normal(0, 7, 3, 5), {"size": 5}),
    "odd": (normal(2, 19, 7, 11), {"size": 3}),
    "root": (normal(2, 5, 130), {"size": 3, "alpha": 0.5, "beta": 0.5}),
    "any power": (normal(2, 5, 71), {"size": 3, "alpha": 0.5, "beta": 0.6}),
    "large": (normal(3, 32, 40, 41), {"size": 5, "alpha": 0.1}),
    "NaN and infinities": (poisoned(normal(3, 5, 40)), {"size": 3})}
for name, (x, options) in RESPONSES.items():
    terms = 2 * options["size"]
    case("local_response_norm", name, ops.local_response_norm, {"x": x}, terms=terms, k=2.0,
         return_base=True, **options)
    with np.errstate(all="ignore"):
        _, base = ops.local_response_norm(x, **options, k=2.0, return_base=True,
                                          backend="reference")
    case("local_response_norm_backward", name, ops.local_response_norm_backward,
         {"dy": normal(*x.shape), "x": x, "base": base}, terms=terms, **options)


# ---- activations ----

# Where exp over- and underflows, in both dtypes; and what is between.
EXTREME = np.concatenate([np.linspace(-1000, 1000, 83), np.linspace(-120, 120, 2401),
                          [-745.2, -708.5, -103.98, -88.8, 88.8, 103.98, 709.8, 1e30, -1e30]])
# A subnormal output counts as 0 on native backends, so the sign tests leave subnormals out.
SIGNS = np.array([NAN, INF, -INF, -0.0, 0.0, 1.0, -1.0, 6.0, 1e-30, -1e-30])

for kernel, saved, options in [("relu", "y", {}), ("relu6", "y", {}),
                               ("leaky_relu", "x", {"negative_slope": 0.2}),
                               ("sigmoid", "y", {}), ("tanh", "y", {})]:
    forward, backward = getattr(ops, kernel), getattr(ops, f"{kernel}_backward")
    for name, shape in SHAPES.items():
        case(kernel, name, forward, {"x": normal(*shape)}, **options)
        case(f"{kernel}_backward", name, backward,
             {"dy": normal(*shape), saved: uniform(*shape)}, **options)
    case(kernel, "extreme", forward, {"x": EXTREME}, **options)
    case(kernel, "NaN and infinities", forward, {"x": poisoned(normal(5, 31))}, **options)
    case(f"{kernel}_backward", "NaN and infinities in dy", backward,
         {"dy": poisoned(normal(5, 31)), saved: uniform(5, 31)}, **options)
    case(f"{kernel}_backward", "special values saved", backward,
         {"dy": normal(len(SIGNS)), saved: SIGNS}, **options)

# Of SiLU and GELU, x times what exp gives: the product may be a normal number where exp's result is
# subnormal, which is 0 on native backends, so the tests stop before. A tail of the normal
# distribution is as uncertain as x squared, and slopes cancel where the function is lowest: those
# errors are relative to the largest value.
TAIL, STEEP = np.linspace(-12.5, -5, 311), np.concatenate([np.linspace(-80, 120, 1201), [1e30]])
for kernel, saved, terms, extremes in [
        ("silu", "x", 3, {"steep": (STEEP, 1)}),
        ("hardsigmoid", "y", 1, {"steep": (EXTREME, 1)}),
        ("hardswish", "x", 1, {"steep": (EXTREME, 1)}),
        ("gelu", "x", 3, {"steep": (STEEP[STEEP > -5], 25), "tail": (TAIL, 160)}),
        ("gelu_tanh", "x", 3, {"steep": (np.linspace(-4, 40, 1201), 20)})]:
    options = {"approximate": "tanh"} if kernel == "gelu_tanh" else {}
    name = kernel.removesuffix("_tanh")
    forward, backward = getattr(ops, name), getattr(ops, f"{name}_backward")
    relative = terms if name == "gelu" else 1
    for title, shape in SHAPES.items():
        case(kernel, title, forward, {"x": normal(*shape)}, terms=relative, **options)
        case(f"{kernel}_backward", title, backward,
             {"dy": normal(*shape), saved: 3 * normal(*shape)}, terms=terms, **options)
    for title, (x, condition) in extremes.items():
        case(kernel, title, forward, {"x": x}, terms=condition, **options)
        case(f"{kernel}_backward", title, backward, {"dy": np.ones(len(x)), saved: x},
             terms=max(terms, condition), **options)
    # Infinities that this strews into x meet a factor of 0.
    case(kernel, "NaN and infinities", forward, {"x": poisoned(normal(5, 31))}, terms=relative,
         **options)
    case(f"{kernel}_backward", "NaN and infinities in dy", backward,
         {"dy": poisoned(normal(5, 31)), saved: uniform(5, 31)}, terms=terms, **options)
    case(f"{kernel}_backward", "special values saved", backward,
         {"dy": normal(len(SIGNS)), saved: SIGNS}, terms=terms, **options)

SOFTMAX = {
    "typical": normal(4, 7), "one column": normal(5, 1), "empty batch": normal(0, 4),
    "wide": normal(3, 1003), "large": normal(*LARGE), "ties": ties(6, 5),
    "equal": np.zeros((2, 3)), "far apart": 1000 * normal(5, 6), "far from zero": normal(4, 9) + 80,
    "three dimensions": normal(2, 3, 5),
    "NaN and infinities": np.array([[NAN, 1, 2], [INF, 1, 2], [-INF, 1, 2], [-INF, -INF, -INF],
                                    [INF, -INF, NAN], [INF, INF, 0], [1e-310, 0, -1e-40]])}
for name, x in SOFTMAX.items():
    for axis in (-1, 0) if name == "three dimensions" else (-1,):
        case("softmax", f"{name}, axis {axis}", ops.softmax, {"x": x}, terms=x.shape[-1], axis=axis)
        case("softmax_backward", f"{name}, axis {axis}", ops.softmax_backward,
             {"dy": normal(*x.shape), "y": x if "NaN" in name else probabilities(*x.shape)},
             terms=x.shape[-1], axis=axis)


# ---- losses ----

def _labels(x):
    return fresh(x.shape).integers(0, x.shape[1], len(x))


for name, x in SOFTMAX.items():
    if x.ndim != 2 or not len(x):           # a mean over no rows is an error: tests/ops
        continue
    terms = x.size
    y = poisoned(x) if "NaN" in name else probabilities(*x.shape)
    for suffix, t in [("", _labels(x)), ("_dense", probabilities(*x.shape)),
                      ("_dense", np.eye(x.shape[1])[_labels(x)])]:
        title = f"{name}, {'labels' if not suffix else 'one-hot' if t.max() == 1 else 'soft'}"
        case(f"softmax_cross_entropy{suffix}", title, ops.softmax_cross_entropy,
             {"x": x, "t": t}, terms=terms, return_probabilities=True)
        case(f"softmax_cross_entropy{suffix}_backward", title, ops.softmax_cross_entropy_backward,
             {"p": y, "t": t}, terms=x.shape[1] + 1, dloss=0.7)
        case(f"softmax_cross_entropy{suffix}_with_gradient", title,
             ops.softmax_cross_entropy_with_gradient, {"x": x, "t": t}, terms=terms, dloss=0.7)

EDGES = np.array([[0.0, 1.0, 0.5, 1e-37, 1 - 2**-24], [1.0, 0.0, 0.25, 1e-12, 1e-3]])
PAIRS = {       # predictions and targets, both in [0, 1]
    "typical": (probabilities(4, 5), probabilities(4, 5)),
    "one": (np.array([[0.3]]), np.array([[1.0]])),
    "one-hot": (probabilities(9, 10), np.eye(10)[fresh((9,)).integers(0, 10, 9)]),
    "edges": (EDGES, np.round(EDGES)),
    "edges, wrong": (EDGES, 1 - np.round(EDGES)),
    "wide": (abs(uniform(2, 1001)), abs(uniform(2, 1001))),
    "large": (abs(uniform(*LARGE)), abs(uniform(*LARGE))),
    "NaN and infinities": (np.array([[NAN, 0.5], [0.5, INF], [0.5, 0.5]]),
                           np.array([[0.5, 0.5], [0.5, 0.5], [NAN, 0.5]])),
}
for kernel, predicted in [("mse", "y"), ("cross_entropy", "p"), ("binary_cross_entropy", "p")]:
    forward, backward = getattr(ops, kernel), getattr(ops, f"{kernel}_backward")
    for name, (p, t) in PAIRS.items():
        case(kernel, name, forward, {predicted: p, "t": t}, terms=p.size)
        case(f"{kernel}_backward", name, backward, {predicted: p, "t": t}, dloss=0.7)


# ---- dropout ----

for size in (1000, 0, 1, 3, 4, 5, 63, 64, 65, 70_001):
    for p, seed in [(0.5, 0), (0.15, 2**64 - 1)]:
        case("dropout", f"{size} elements, p {p}", ops.dropout, {"x": normal(size)}, p=p, seed=seed)
for shape in ((2, 19, 4, 6), (3, 5, 7, 3), (2, 33, 1, 9), (2, 64, 13, 15), (0, 3, 2, 2)):
    case("dropout", f"maps {shape}", ops.dropout, {"x": normal(*shape)}, p=0.4, seed=2**40 + 3)
case("dropout", "all but all dropped", ops.dropout, {"x": normal(9, 9)}, p=1 - 2**-40, seed=5)
case("dropout", "nothing dropped", ops.dropout, {"x": normal(9, 9)}, p=0.0, seed=5)
case("dropout", "nearly all dropped", ops.dropout, {"x": normal(9, 9)}, p=1 - 2**-20, seed=5)
case("dropout", "NaN and infinities", ops.dropout, {"x": poisoned(normal(5, 31))}, p=0.5, seed=9)

# ---- images ----

CROPS = {"rows": np.array([4, 0, 2, 2, 3]), "top": np.array([0, -2, 3, 1, 2]),
         "left": np.array([1, -3, 4, 0, 2]), "mirror": np.array([0, 1, 1, 0, 1]),
         "scale": np.array([0.5, -1.5, 2.0]), "shift": np.array([0.25, 1.0, -3.0]),
         "fill": np.array([0.0, 7.0, -2.0])}
FAR = {"rows": np.zeros(6, int), "top": np.array([-2**63, 2**63 - 1, -4, 5, 0, 0]),
       "left": np.array([0, 0, 0, 0, -2**63, 2**63 - 1]), "mirror": np.array([0, 1, 0, 1, 0, 1])}


def images(name, x, size=None, **arrays):
    case("crop_mirror_normalize", name, ops.crop_mirror_normalize, {"x": x, **arrays}, terms=4,
         size=size)


images("typical", normal(5, 3, 7, 9), (6, 8), **CROPS)
images("bytes", fresh((5, 3, 7, 9)).integers(0, 256, (5, 3, 7, 9), np.uint8), (6, 8), **CROPS)
images("larger than the image", normal(5, 3, 4, 5), (9, 11), **CROPS)
images("one channel", normal(5, 1, 28, 28), (28, 28),
       **CROPS | {key: CROPS[key][:1] for key in ("scale", "shift", "fill")})
images("wide rows", normal(5, 3, 3, 70), (3, 67), **CROPS)
images("far outside", normal(2, 3, 5, 4), (4, 6), **FAR)
images("one pixel", normal(5, 3, 1, 1), (1, 1), **CROPS)
images("nothing done", normal(2, 3, 4, 5))
images("NaN and infinities", poisoned(normal(5, 3, 5, 4)),
       **CROPS | {"fill": np.array([NAN, -INF, 0.0])})
images("no images", normal(2, 3, 4, 5), rows=np.zeros(0, int))


# ---- optimizers ----

STEP = {"lr": 0.01}
UPDATES = {     # state arrays, options
    "sgd_update": ("", STEP),
    "momentum_update": ("v", STEP),
    "nesterov_update": ("v", STEP | {"momentum": 0.8}),
    "adagrad_update": ("h", STEP),
    "adadelta_update": ("h delta", {"lr": 0.5}),
    "rmsprop_update": ("h", STEP | {"alpha": 0.9}),
    "adam_update": ("m v", STEP | {"step": 3}),
    "adamw_update": ("m v", STEP | {"step": 3}),
    "nadam_update": ("m v", STEP | {"step": 3, "mu": 0.85, "mu_next": 0.86, "mu_product": 0.6}),
}
for kernel, (states, options) in UPDATES.items():
    for name, shape in SHAPES.items():
        for weight_decay in (0.0, 0.05):
            arrays = {"w": normal(*shape), "dw": normal(*shape)}
            if arrays["dw"].size == 1:      # no larger result beside one that cancels
                arrays["dw"] = np.abs(arrays["dw"])
            # Sums of squares are never negative; the others may be, but need not.
            arrays |= {state: np.square(normal(*shape)) for state in states.split()}
            # w - step may cancel: errors are relative to the largest parameter.
            case(kernel, f"{name}, weight decay {weight_decay}", getattr(ops, kernel), arrays,
                 terms=2, changed=("w", *states.split()), weight_decay=weight_decay, **options)
    arrays = {key: poisoned(normal(60)) if key == "dw" else np.abs(normal(60)) for key in arrays}
    case(kernel, "NaN and infinities", getattr(ops, kernel), arrays, terms=2,
         changed=("w", *states.split()), **options)


def in_lists(function, count):
    """`function` for arrays that are called "w 0", "w 1", …, "dw 0", …: as lists of `count`."""
    def call(backend, **arguments):
        keys = [key.removesuffix(" 0") for key in arguments if key.endswith(" 0")]
        lists = {key: [arguments.pop(f"{key} {i}") for i in range(count)] for key in keys}
        function(**lists, **arguments, backend=backend)

    return call


# Shorter and longer than a block of the native kernels (256) and of the Numba kernels (4096).
MIXED = [(3, 4, 5), (0, 7), (), (1,), (256,), (257,), (255,), (0,), (9, 1031), (2, 4096), (1,),
         (0,)]
for kernel, (states, options) in UPDATES.items():
    for name, shapes in {"many": MIXED, "none": [(0,), (3, 0)], "one": MIXED[-4:-3]}.items():
        arrays = {f"{key} {i}": np.abs(normal(*shape)) if key in states else normal(*shape)
                  for key in ("w", "dw", *states.split()) for i, shape in enumerate(shapes)}
        case(kernel, f"lists, {name}", in_lists(getattr(ops, kernel), len(shapes)), arrays,
             terms=2, changed=tuple(key for key in arrays if not key.startswith("dw")),
             weight_decay=0.05, **options)


typical = {kernel: cases[0] for kernel, cases in CASES.items()}
