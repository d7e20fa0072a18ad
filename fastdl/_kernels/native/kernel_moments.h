/* Mean and variance of each channel, summed up while a core's cache still holds what a convolution
 * has just written there: batch normalisation then need not read it again for them.
 *
 * Each item of the convolution has a slot with four rows of channels: a first value, the sum of what
 * the others exceed it by, the sum of those squares, and how many there were. Reckoned from a value
 * of its own, the mean square does not cancel against the squared mean. `moments` adds up the slots in
 * their order, so that threads make no difference.
 */

enum { K(MOMENTS_ROWS) = 512 };         /* summed in T, before the sum goes on in double */

FD_INLINE void K(sum_about)(const T *y, ptrdiff_t rows, ptrdiff_t stride, const int vectors,
                            const T *first, T *sum, T *square)
{
    V f[4], s[4], q[4];
#pragma GCC unroll 4
    for (int k = 0; k < vectors; k++) {
        f[k] = K(load)(first + k * VL);
        s[k] = q[k] = (V){0};
    }
    for (ptrdiff_t i = 0; i < rows; i++, y += stride)
#pragma GCC unroll 4
        for (int k = 0; k < vectors; k++) {
            V over = K(load)(y + k * VL) - f[k];
            s[k] += over;
            q[k] += over * over;
        }
#pragma GCC unroll 4
    for (int k = 0; k < vectors; k++) {
        K(store)(sum + k * VL, s[k]);
        K(store)(square + k * VL, q[k]);
    }
}

/* The same for less than a vector. */
static void K(sum_some_about)(const T *y, ptrdiff_t rows, ptrdiff_t stride, ptrdiff_t count,
                              const T *first, T *sum, T *square)
{
    V f = K(load_first)(first, count, 0), s = {0}, q = {0};
    for (ptrdiff_t i = 0; i < rows; i++, y += stride) {
        V over = K(load_first)(y, count, 0) - f;
        s += over;
        q += over * over;
    }
    K(store_first)(sum, s, count);
    K(store_first)(square, q, count);
}

/* Take in these channels of `rows` pixels, `stride` apart; y is the first pixel's channel 0. */
static void K(take_moments)(const fd_moments_args *args, ptrdiff_t slot, const T *y, ptrdiff_t rows,
                            ptrdiff_t stride, fd_range channels)
{
    ptrdiff_t C = args->C, width;
    if (rows < 1) return;
    for (ptrdiff_t c = channels.begin; c < channels.end; c += width) {
        width = FD_MIN(channels.end - c, 4 * VL);
        double *own = args->slots + slot * FD_MOMENTS_ROWS * C + c;
        T first[4 * VL], sum[4 * VL], square[4 * VL];
        for (ptrdiff_t j = 0; j < width; j++) {
            if (own[3 * C + j] == 0) own[j] = (double)y[c + j];
            first[j] = (T)own[j];
            own[3 * C + j] += (double)rows;
        }
        for (ptrdiff_t i = 0, some; i < rows; i += some) {
            const T *from = y + i * stride + c;
            ptrdiff_t j = 0;
            some = FD_MIN(rows - i, K(MOMENTS_ROWS));
            if (width == 4 * VL) {
                K(sum_about)(from, some, stride, 4, first, sum, square);
                j = width;
            }
            for (; j + VL <= width; j += VL)
                K(sum_about)(from + j, some, stride, 1, first + j, sum + j, square + j);
            if (j < width)
                K(sum_some_about)(from + j, some, stride, width - j, first + j, sum + j,
                                  square + j);
            for (j = 0; j < width; j++) {
                own[C + j] += (double)sum[j];
                own[2 * C + j] += (double)square[j];
            }
        }
    }
}

/* Items: channels. */
static void K(moments)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_moments_args *args = p;
    ptrdiff_t C = args->C, step = FD_MOMENTS_ROWS * C;
    T *moments = args->moments;
    for (ptrdiff_t c = begin; c < end; c++) {
        const double *slots = args->slots + c, *stop = slots + args->n_slots * step;
        double total = 0, count = 0, squares = 0;
        for (const double *own = slots; own < stop; own += step) {
            total += own[3 * C] * own[0] + own[C];
            count += own[3 * C];
        }
        double mean = total / count;
        for (const double *own = slots; own < stop; own += step) {
            double off = own[0] - mean;
            squares += own[2 * C] + off * (2 * own[C] + off * own[3 * C]);
        }
        moments[c] = (T)mean;
        moments[C + c] = (T)(squares < 0 ? 0 : squares / count);    /* and NaN stays NaN */
    }
}
