"""Products in TF32 on tensor cores: float32 numbers of which 10 bits behind the point are left.

A tensor core multiplies for a whole warp: each of its 32 threads, a *lane*, brings a few numbers of
a 16 by 8 and of an 8 by 8 matrix in registers, and gets a few of their product. With g = lane // 4
and p = lane % 4 these are, in order,

    left (rows, terms)          (g, p)   (g + 8, p)      (g, p + 4)    (g + 8, p + 4)
    right (terms, columns)      (p, g)   (p + 4, g)
    product (rows, columns)     (g, 2p)  (g, 2p + 1)     (g + 8, 2p)   (g + 8, 2p + 1)

In the simulator, where no thread sees another's registers, lanes bring them into shared memory.
"""

import numpy as np

from ._compat import SIMULATED

if SIMULATED:
    from ._compat import cuda, float32

    _MOST = 1024                        # threads of a block

    def to_tf32(x):
        """The nearest number of TF32; of two as near, the one further from 0."""
        x = np.float32(x)
        if not np.isfinite(x):
            return x
        return ((x.view(np.uint32) + np.uint32(1 << 12)) & np.uint32(0xFFFFE000)).view(np.float32)

    @cuda.jit(device=True)
    def mma(a, b, sums, s, below):
        """Add a lane's numbers of the product to sums s, s + 1, and to those `below`.

        All lanes must come here.
        """
        of_a = cuda.shared.array((_MOST, 4), float32)
        of_b = cuda.shared.array((_MOST, 2), float32)
        t = cuda.threadIdx.x
        of_a[t], of_b[t] = a, b
        cuda.syncthreads()
        warp, g, p = t // 32 * 32, t % 32 // 4, t % 4
        for r in range(4):
            cell, column = s + r // 2 * below + r % 2, 2 * p + r % 2
            for k in range(8):
                sums[cell] += (of_a[warp + 4 * g + k % 4, r // 2 + k // 4 * 2]
                               * of_b[warp + 4 * column + k % 4, k // 4])
        cuda.syncthreads()              # before the next numbers come
else:
    from ._compat import cell, cgutils, intrinsic, ir, types

    _FLOAT, _BITS = ir.FloatType(), ir.IntType(32)

    @intrinsic
    def to_tf32(_, x):
        """The nearest number of TF32; of two as near, the one further from 0."""
        def generate(context, builder, signature, arguments):
            kind = ir.FunctionType(_BITS, [_FLOAT])
            instruction = ir.InlineAsm(kind, "cvt.rna.tf32.f32 $0, $1;", "=r,f")
            return builder.bitcast(builder.call(instruction, arguments), _FLOAT)

        return types.float32(types.float32), generate

    @intrinsic
    def mma(_, a, b, sums, s, below):
        """Add a lane's numbers of the product to sums s, s + 1, and to those `below`.

        All lanes must come here.
        """
        def generate(context, builder, signature, arguments):
            a, b, array, first, below = arguments
            factors = [builder.bitcast(x, _BITS) for pair in (a, b)
                       for x in cgutils.unpack_tuple(builder, pair)]
            cells = [cell(context, builder, sums, array, builder.add(row, ir.Constant(row.type, q)))
                     for row in (first, builder.add(first, below)) for q in range(2)]
            kind = ir.FunctionType(ir.LiteralStructType([_FLOAT] * 4),
                                   [_BITS] * 6 + [_FLOAT] * 4)
            instruction = ir.InlineAsm(
                kind, "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {$0, $1, $2, $3}, "
                "{$4, $5, $6, $7}, {$8, $9}, {$10, $11, $12, $13};",
                "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f")
            # Convergent: no compiler may move it to where only some lanes come.
            product = builder.call(instruction, [*factors, *map(builder.load, cells)],
                                   attrs=("convergent",))
            for r, address in enumerate(cells):
                builder.store(builder.extract_value(product, r), address)
            return context.get_dummy_value()

        four, two = (types.UniTuple(types.float32, n) for n in (4, 2))
        return types.none(four, two, sums, types.intp, types.intp), generate
