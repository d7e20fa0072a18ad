"""A thread's sums: 8 rows of 8 elements of a product, in a local array that stays in registers.

It does as long as the compiler knows every index. What is done with all of them is therefore
written by Python, and not as loops of the kernel: the compiler unrolls small ones alone, and what
is written out in a kernel takes numba long to read.
"""

import numpy as np

from ._compat import SIMULATED, types

EACH = 8                                # along either side
SUMS = EACH * EACH

if SIMULATED:
    def clear(sums):
        """Set all to 0."""
        sums[:] = np.float32(0)

    def add_outer(sums, u, v):
        """Add u[i] v[j] to the sum of row i and column j."""
        for i in range(EACH):
            for j in range(EACH):
                sums[EACH * i + j] += u[i] * v[j]

    def take_row(sums, i, row):
        """Copy row i."""
        row[:] = sums[EACH * i:EACH * (i + 1)]
else:
    from ._compat import cell, cgutils, intrinsic, ir

    @intrinsic
    def clear(_, sums):
        """Set all to 0."""
        def generate(context, builder, signature, arguments):
            for n in range(SUMS):
                builder.store(ir.Constant(ir.FloatType(), 0),
                              cell(context, builder, sums, arguments[0], n))
            return context.get_dummy_value()

        return types.none(sums), generate

    @intrinsic
    def add_outer(_, sums, u, v):
        """Add u[i] v[j] to the sum of row i and column j."""
        def generate(context, builder, signature, arguments):
            array, *factors = arguments
            u, v = (cgutils.unpack_tuple(builder, factor) for factor in factors)
            for n in range(SUMS):
                address = cell(context, builder, sums, array, n)
                builder.store(builder.fma(u[n // EACH], v[n % EACH], builder.load(address)),
                              address)
            return context.get_dummy_value()

        return types.none(sums, u, v), generate

    @intrinsic
    def take_row(_, sums, i, row):
        """Copy row i."""
        def generate(context, builder, signature, arguments):
            array, i, target = arguments
            taken = builder.append_basic_block("taken")
            jump = builder.switch(i, taken)
            for number in range(EACH):
                block = builder.append_basic_block("row")
                jump.add_case(ir.Constant(i.type, number), block)
                with builder.goto_block(block):
                    for j in range(EACH):
                        of_sum = cell(context, builder, sums, array, EACH * number + j)
                        builder.store(builder.load(of_sum), cell(context, builder, row, target, j))
                    builder.branch(taken)
            builder.position_at_end(taken)
            return context.get_dummy_value()

        return types.none(sums, types.intp, row), generate
