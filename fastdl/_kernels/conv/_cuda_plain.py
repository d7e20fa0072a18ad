"""Convolution and its gradients on the device as the formulas say them.

A thread (for the filters' gradient: a block) for each element of the result. They serve groups of
few channels, depthwise convolution above all.
"""

import numpy as np

from ...cuda._device import ZERO, block_sum, cuda, divided, floats, int32, int64, kernel


@kernel()
def forward(x: floats, w: floats, b: floats, residual: floats, y: floats, n: int64, has_b: int32,
            has_residual: int32, relu: int32, C: int32, G: int32, OC: int32, OG: int32, H: int32,
            W: int32, OH: int32, OW: int32, KH: int32, KW: int32, SH: int32, SW: int32, PH: int32,
            PW: int32, DH: int32, DW: int32):
    """G and OG are the channels of a group of x and of y."""
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        rest, ow = divided(i, OW)
        rest, oh = divided(rest, OH)
        image, oc = divided(rest, OC)
        channel = oc // OG * G
        total = ZERO
        for c in range(G):
            for kh in range(KH):
                h = oh * SH - PH + kh * DH
                if 0 <= h < H:
                    for kw in range(KW):
                        v = ow * SW - PW + kw * DW
                        if 0 <= v < W:
                            total += (w[((oc * G + c) * KH + kh) * KW + kw]
                                      * x[((image * C + channel + c) * H + h) * W + v])
        if has_b:
            total += b[oc]
        if has_residual:
            total += residual[i]
        y[i] = ZERO if relu and total <= ZERO else total


@kernel()
def to_input(dy: floats, w: floats, residual: floats, gate: floats, dx: floats, n: int64,
             has_residual: int32, has_gate: int32, C: int32, G: int32, OC: int32, OG: int32,
             H: int32, W: int32, OH: int32, OW: int32, KH: int32, KW: int32, SH: int32, SW: int32,
             PH: int32, PW: int32, DH: int32, DW: int32):
    """The same the other way round: what each tap that reads an element of x got of dy."""
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        rest, v = divided(i, W)
        rest, h = divided(rest, H)
        image, c = divided(rest, C)
        group, inner = c // G, c % G
        total = ZERO
        for kh in range(KH):
            oh = h + PH - kh * DH
            if oh >= 0 and oh % SH == 0 and oh // SH < OH:
                for kw in range(KW):
                    ow = v + PW - kw * DW
                    if ow >= 0 and ow % SW == 0 and ow // SW < OW:
                        for oc in range(group * OG, (group + 1) * OG):
                            total += (w[((oc * G + inner) * KH + kh) * KW + kw]
                                      * dy[((image * OC + oc) * OH + oh // SH) * OW + ow // SW])
        if has_residual:
            total += residual[i]
        dx[i] = ZERO if has_gate and gate[i] <= ZERO else total


@kernel()
def to_weight(dy: floats, x: floats, dw: floats, N: int32, C: int32, G: int32, OC: int32,
              OG: int32, H: int32, W: int32, OH: int32, OW: int32, KH: int32, KW: int32,
              SH: int32, SW: int32, PH: int32, PW: int32, DH: int32, DW: int32):
    """A block for each element of dw."""
    rest, kw = divided(cuda.blockIdx.x, KW)
    rest, kh = divided(rest, KH)
    oc, c = divided(rest, G)
    channel = oc // OG * G + c
    total = ZERO
    for i in range(cuda.threadIdx.x, np.int64(N) * OH * OW, cuda.blockDim.x):
        rest, ow = divided(i, OW)
        image, oh = divided(rest, OH)
        h, v = oh * SH - PH + kh * DH, ow * SW - PW + kw * DW
        if 0 <= h < H and 0 <= v < W:
            total += (dy[((image * OC + oc) * OH + oh) * OW + ow]
                      * x[((image * C + channel) * H + h) * W + v])
    total = block_sum(total)
    if cuda.threadIdx.x == 0:
        dw[cuda.blockIdx.x] = total


@kernel()
def to_bias(dy: floats, sums: floats, N: int32, OC: int32, L: int32):
    """A block for each channel, and for a part of what it has."""
    oc, total = cuda.blockIdx.y, ZERO
    for i in range(cuda.grid(1), np.int64(N) * L, cuda.gridsize(1)):
        image, place = divided(i, L)
        total += dy[(image * OC + oc) * L + place]
    total = block_sum(total)
    if cuda.threadIdx.x == 0:
        sums[cuda.blockIdx.x * OC + oc] = total
