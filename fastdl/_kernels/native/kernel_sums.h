/* Sums of columns: gradients of biases, and what threads have summed up apart. */

FD_INLINE void K(add_rows)(const T *x, ptrdiff_t row, ptrdiff_t rows, const int vectors, T *sums)
{
    V sum[8];
#pragma GCC unroll 8
    for (int j = 0; j < vectors; j++) sum[j] = (V){0};
    for (ptrdiff_t i = 0; i < rows; i++, x += row)
#pragma GCC unroll 8
        for (int j = 0; j < vectors; j++) sum[j] += K(load)(x + j * VL);
#pragma GCC unroll 8
    for (int j = 0; j < vectors; j++) K(store)(sums + j * VL, sum[j]);
}

/* Items: (part of the rows, block of the columns). */
static void K(column_sums)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_sums_args *args = p;
    ptrdiff_t N = args->columns, blocks = (N + FD_SUMS_BLOCK - 1) / FD_SUMS_BLOCK;
    for (ptrdiff_t item = begin; item < end; item++) {
        fd_range rows = fd_part(args->rows, 1, args->row_parts, item / blocks);
        ptrdiff_t j = item % blocks * FD_SUMS_BLOCK, last = FD_MIN(j + FD_SUMS_BLOCK, N);
        const T *x = (const T *)args->x + rows.begin * N;
        T *sums = (T *)args->sums + item / blocks * N;
        ptrdiff_t count = rows.end - rows.begin;
        for (; j + 8 * VL <= last; j += 8 * VL) K(add_rows)(x + j, N, count, 8, sums + j);
        for (; j + VL <= last; j += VL) K(add_rows)(x + j, N, count, 1, sums + j);
        if (j < last) {
            V sum = {0};
            for (ptrdiff_t i = 0; i < count; i++) sum += K(load_first)(x + i * N + j, last - j, 0);
            K(store_first)(sums + j, sum, last - j);
        }
    }
}
