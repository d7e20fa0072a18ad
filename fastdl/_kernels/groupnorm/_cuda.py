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
def _further(k, place, channels, places, L):
    """The channel and the place in it that lie so many channels and places further."""
    k, place = k + channels, place + places
    return (k + 1, place - L) if place >= L else (k, place)


def _kernels(width):
    """Those that take so many elements of a channel at a time; L and columns count in these."""
    get, put = access(width)

    @ByRow
    def forward(team):
        size, team_sum, _ = team

        @kernel(constants=(width, size))
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
            channels, places = divided(size, L)
            for j in range(first, columns, size):
                at, scale, shift = (begin + j) * width, weight[group * K + k], bias[group * K + k]
                a, scale = get(x, at), normal * scale
                put(y, at, ((a[0] - middle) * scale + shift, (a[1] - middle) * scale + shift,
                            (a[2] - middle) * scale + shift, (a[3] - middle) * scale + shift))
                k, place = _further(k, place, channels, places, L)
            if first == 0:
                mean[row], rstd[row] = middle, normal

        return group_norm

    @ByRow
    def to_input(team):
        size, team_sum, _ = team

        @kernel(constants=(width, size))
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
            channels, places = divided(size, L)
            total, product = ZERO, ZERO
            for j in range(first, columns, size):
                g, a = get(dy, (begin + j) * width), get(x, (begin + j) * width)
                scale = weight[group * K + k]
                for q in range(width):
                    total += g[q] * scale
                    product += g[q] * scale * (a[q] - middle)
                k, place = _further(k, place, channels, places, L)
            less = team_sum(total) / count
            slope = team_sum(product) / count * normal * normal
            k, place = divided(first, L)
            for j in range(first, columns, size):
                at, scale = (begin + j) * width, weight[group * K + k]
                g, a = get(dy, at), get(x, at)
                put(dx, at, ((g[0] * scale - less - (a[0] - middle) * slope) * normal,
                             (g[1] * scale - less - (a[1] - middle) * slope) * normal,
                             (g[2] * scale - less - (a[2] - middle) * slope) * normal,
                             (g[3] * scale - less - (a[3] - middle) * slope) * normal))
                k, place = _further(k, place, channels, places, L)

        return group_norm_to_input

    return forward, to_input


_by_one, _by_four = map(_kernels, (1, 4))


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
    """Those for these arrays, and in what they take at once the sizes of a channel and a group."""
    if in_fours(L, *arrays):
        return *_by_four, L // 4, K * L // 4
    return *_by_one, L, K * L


def group_norm(x, weight, bias, y, mean, rstd, eps):
    N, G, K, L = x.shape
    forward, _, length, columns = _kernels_for(K, L, x, y)
    forward(N * G, columns, x, weight, bias, y, mean, rstd, G, K, length, eps)


def group_norm_backward(dy, x, weight, mean, rstd, dx, dw, db):
    N, G, K, L = x.shape
    _, to_input, length, columns = _kernels_for(K, L, dy, x, dx)
    to_input(N * G, columns, dy, x, weight, mean, rstd, dx, G, K, length)
    if L == 1:
        parts = empty((G * K, -(-N // _IMAGES), 2))
        _sums_of_columns[blocks_for(G * K), parts.shape[1]](dy, x, mean, rstd, parts, N, G, K)
    else:
        parts = empty((G * K, N, 2))
        _sums_of_planes(N * G * K, L, dy, x, mean, rstd, parts, G, K)
    add_parts(parts, dw, db)
