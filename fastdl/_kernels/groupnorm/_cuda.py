"""Layer, instance and group normalisation on the device; reference.py has the formulas.

A warp or a block goes over a group of an image, which lies together in memory, and then over it
again. Gradients of weights are summed in parts: those of an image, or, where a channel has but one
element in an image, those of some images.
"""

import numpy as np

from ...cuda._array import empty
from ...cuda._device import (
    ONE,
    ZERO,
    ByRow,
    access,
    blocks_for,
    cuda,
    device,
    divided,
    float32,
    floats,
    in_fours,
    int32,
    kernel,
    sqrt,
)
from ..batchnorm._cuda import add_parts

_IMAGES = 64                            # of a part


@device
def _further(k, place, step_k, step_place, L):
    """The channel and the place in it that lie so many channels and places further."""
    k, place = k + step_k, place + step_place
    return (k + 1, place - L) if place >= L else (k, place)


def _kernels(width, channels):
    """Those that take so many elements at a time, all of a channel or each of another.

    K, L and columns count in these: L in those of one channel, K in those of several.
    """
    get, put = access(width)

    @device
    def of_channels(p, k):
        return get(p, k * width) if channels > 1 else (p[k], p[k], p[k], p[k])

    @ByRow
    def forward(team):
        size, team_sum, _ = team

        @kernel(constants=(width, channels, size))
        def group_norm(x: floats, weight: floats, bias: floats, y: floats, mean: floats,
                       rstd: floats, G: int32, K: int32, L: int32, eps: float32, rows: int32,
                       columns: int32):
            row, first = divided(cuda.grid(1), size)
            if row >= rows:
                return
            begin, count = row * columns, np.float32(columns * width)
            total = ZERO
            for j in range(first, columns, size):
                a = get(x, (begin + j) * width)
                for q in range(width):
                    total += a[q]
            middle = team_sum(total) / count
            total = ZERO
            for j in range(first, columns, size):
                a = get(x, (begin + j) * width)
                for q in range(width):
                    total += (a[q] - middle) * (a[q] - middle)
            normal = ONE / sqrt(team_sum(total) / count + eps)
            _, group = divided(row, G)
            k, place = divided(first, L)
            step_k, step_place = divided(size, L)
            for j in range(first, columns, size):
                at, of = (begin + j) * width, group * K + k
                a, w, b = get(x, at), of_channels(weight, of), of_channels(bias, of)
                put(y, at, ((a[0] - middle) * normal * w[0] + b[0],
                            (a[1] - middle) * normal * w[1] + b[1],
                            (a[2] - middle) * normal * w[2] + b[2],
                            (a[3] - middle) * normal * w[3] + b[3]))
                k, place = _further(k, place, step_k, step_place, L)
            if first == 0:
                mean[row], rstd[row] = middle, normal

        return group_norm

    @ByRow
    def to_input(team):
        size, team_sum, _ = team

        @kernel(constants=(width, channels, size))
        def group_norm_to_input(dy: floats, x: floats, weight: floats, mean: floats, rstd: floats,
                                dx: floats, G: int32, K: int32, L: int32, rows: int32,
                                columns: int32):
            row, first = divided(cuda.grid(1), size)
            if row >= rows:
                return
            begin, count = row * columns, np.float32(columns * width)
            middle, normal = mean[row], rstd[row]
            _, group = divided(row, G)
            k, place = divided(first, L)
            step_k, step_place = divided(size, L)
            total, product = ZERO, ZERO
            for j in range(first, columns, size):
                g, a = get(dy, (begin + j) * width), get(x, (begin + j) * width)
                w = of_channels(weight, group * K + k)
                for q in range(width):
                    total += g[q] * w[q]
                    product += g[q] * w[q] * (a[q] - middle)
                k, place = _further(k, place, step_k, step_place, L)
            less = team_sum(total) / count
            slope = team_sum(product) / count * normal * normal
            k, place = divided(first, L)
            for j in range(first, columns, size):
                at, w = (begin + j) * width, of_channels(weight, group * K + k)
                g, a = get(dy, at), get(x, at)
                put(dx, at, ((g[0] * w[0] - less - (a[0] - middle) * slope) * normal,
                             (g[1] * w[1] - less - (a[1] - middle) * slope) * normal,
                             (g[2] * w[2] - less - (a[2] - middle) * slope) * normal,
                             (g[3] * w[3] - less - (a[3] - middle) * slope) * normal))
                k, place = _further(k, place, step_k, step_place, L)

        return group_norm_to_input

    return forward, to_input


_kernels_by = {(width, channels): _kernels(width, channels)
               for width, channels in ((1, 1), (4, 1), (4, 4))}


@ByRow
def _sums_of_planes(team):
    size, team_sum, _ = team

    @kernel(constants=(size,))
    def sums_of_planes(dy: floats, x: floats, mean: floats, rstd: floats, parts: floats, G: int32,
                       K: int32, rows: int32, columns: int32):
        """Of the channels of images: the sums of dy, and of dy times the normalised x."""
        row, first = divided(cuda.grid(1), size)
        if row >= rows:
            return
        of_mean, _ = divided(row, K)
        begin, middle, total, product = row * columns, mean[of_mean], ZERO, ZERO
        for j in range(first, columns, size):
            g = dy[begin + j]
            total, product = total + g, product + g * (x[begin + j] - middle)
        total, product = team_sum(total), team_sum(product) * rstd[of_mean]
        if first == 0:
            image, channel = divided(row, G * K)
            at = 2 * (channel * (rows // (G * K)) + image)
            parts[at], parts[at + 1] = total, product

    return sums_of_planes


@kernel()
def _sums_of_columns(dy: floats, x: floats, mean: floats, rstd: floats, parts: floats, N: int32,
                     G: int32, K: int32):
    """The same where a channel of an image is one element: a thread for some of a channel's."""
    channel = cuda.grid(1)
    if channel >= G * K:
        return
    group, _ = divided(channel, K)
    total, product, first = ZERO, ZERO, cuda.blockIdx.y * _IMAGES
    for image in range(first, min(first + _IMAGES, N)):
        i, of_mean = image * (G * K) + channel, image * G + group
        total += dy[i]
        product += dy[i] * ((x[i] - mean[of_mean]) * rstd[of_mean])
    at = 2 * (channel * cuda.gridDim.y + cuda.blockIdx.y)
    parts[at], parts[at + 1] = total, product


def _kernels_for(K, L, *arrays):
    """Those for these arrays, and the sizes that they are told: columns, K and L.

    The first of the arrays are of elements, the other two of weights, or None.
    """
    if in_fours(L, *arrays[:-2]):
        return *_kernels_by[4, 1], K * L // 4, K, L // 4
    if L == 1 and in_fours(K, *arrays):
        return *_kernels_by[4, 4], K // 4, K // 4, 1
    return *_kernels_by[1, 1], K * L, K, L


def group_norm(x, weight, bias, y, mean, rstd, eps):
    N, G, K, L = x.shape
    forward, _, columns, *sizes = _kernels_for(K, L, x, y, weight, bias)
    forward(N * G, columns, x, weight, bias, y, mean, rstd, G, *sizes, eps)


def group_norm_backward(dy, x, weight, mean, rstd, dx, dw, db):
    N, G, K, L = x.shape
    _, to_input, columns, *sizes = _kernels_for(K, L, dy, x, dx, weight, None)
    to_input(N * G, columns, dy, x, weight, mean, rstd, dx, G, *sizes)
    if L == 1:
        parts = empty((G * K, -(-N // _IMAGES), 2))
        _sums_of_columns[blocks_for(G * K), parts.shape[1]](dy, x, mean, rstd, parts, N, G, K)
    else:
        parts = empty((G * K, N, 2))
        _sums_of_planes(N * G * K, L, dy, x, mean, rstd, parts, G, K)
    add_parts(parts, dw, db)
