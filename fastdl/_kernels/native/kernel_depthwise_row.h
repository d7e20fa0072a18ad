/* Depthwise convolution: outputs, row by row. Of one or two rows each input is loaded once, and the
 * sums of the few columns that meet it are in registers; weights are too, for all of the rows.
 *
 * Each vector takes up the rows anew. Tiles, which take all vectors of a few pixels at once, were up
 * to a third slower with vectors of 64 bytes, and as much quicker with shorter ones. */

/* One vector, column after column. A step is one column of outputs: it adds its new columns of
 * inputs to the sums of `kept` outputs, and its first output is then complete. The sum of column j
 * is in place j % kept. */
FD_INLINE void K(depthwise_row)(const K(outputs) *o, ptrdiff_t row, ptrdiff_t vector,
                                const int taps, const int stride, const int height)
{
    enum { KEPT = 3 };
    const int kept = (taps + stride - 1) / stride, in_height = (height - 1) * stride + taps;
    /* In variables of their own they stay in registers: any store might change *o. */
    const ptrdiff_t in_row = o->in_row, in_column = o->in_column;
    const ptrdiff_t out_row = o->out_row, out_column = o->out_column;
    const T *in = o->in, *add = o->add, *gate = o->gate;
    const int relu = o->relu, plain = !add && !gate && !relu, ahead = o->ahead;
    const T *weights = o->weights + vector * (taps * taps + 1) * VL;
    T *out = o->out;
    ptrdiff_t channel = vector == o->vectors - 1 ? o->last : vector * VL;
    ptrdiff_t top = fd_first_input(o->h, row), left = fd_first_input(o->w, o->columns.begin);
    ptrdiff_t steps = fd_length(o->columns) + kept - 1, column = 0;
    fd_range rows = fd_within(o->in_rows, top, in_height);
    fd_range columns = fd_within(o->in_columns, left, steps * stride);
    ptrdiff_t from = (top - o->in_rows.begin) * in_row + (left - o->in_columns.begin) * in_column
        + channel;
    ptrdiff_t to = (row - o->rows.begin) * out_row + channel;
    V weight[9], sums[KEPT * K(TILE_ROWS)], bias = K(load)(weights + taps * taps * VL);
#pragma GCC unroll 9
    for (int t = 0; t < taps * taps; t++) weight[t] = K(load)(weights + t * VL);
#pragma GCC unroll 6
    for (int n = 0; n < kept * height; n++) sums[n] = bias;
    for (ptrdiff_t first = 0; first < steps; first += kept)
#pragma GCC unroll 3
        for (int phase = 0; phase < kept; phase++) {
            ptrdiff_t step = first + phase;
            if (step >= steps) break;
#pragma GCC unroll 2
            for (int i = 0; i < height; i++) sums[phase * height + i] = bias;
#pragma GCC unroll 2
            for (int k = 0; k < stride; k++, column++, from += in_column) {
                if (!fd_is_in(columns, column)) continue;
#pragma GCC unroll 5
                for (int r = 0; r < in_height; r++) {
                    if (ahead && r < height * stride)
                        FD_PREFETCH(in + (from + (in_height + r) * in_row));
                    if (!fd_is_in(rows, r)) continue;
                    V value = K(load)(in + (from + r * in_row));
#pragma GCC unroll 6
                    for (int n = 0; n < kept * height; n++) {
                        const int back = n / height, i = n % height;
                        const int kh = r - i * stride, kw = k + back * stride;
                        if (kh >= 0 && kh < taps && kw < taps)
                            sums[(phase + kept - back) % kept * height + i] +=
                                value * weight[kh * taps + kw];
                    }
                }
            }
            if (step < kept - 1) continue;
#pragma GCC unroll 2
            for (int i = 0; i < height; i++) {
                V sum = sums[(phase + 1) % kept * height + i];
                ptrdiff_t place = to + i * out_row;
                if (!plain) {
                    if (add) sum += K(load)(add + place);
                    if (relu) sum = K(gated)(sum, sum);
                    if (gate) sum = K(gated)(K(load)(gate + place), sum);
                }
                if (ahead) FD_PREFETCH(out + (place + height * out_row));
                K(store)(out + place, sum);
            }
            to += out_column;
        }
}

/* Square filters of at most 3 x 3, going down. */
FD_INLINE void K(depthwise_rows)(const K(outputs) *o, const int taps, const int stride)
{
    ptrdiff_t row = o->rows.begin;
    for (; row + K(TILE_ROWS) <= o->rows.end; row += K(TILE_ROWS))
        for (ptrdiff_t v = 0; v < o->vectors; v++)
            K(depthwise_row)(o, row, v, taps, stride, K(TILE_ROWS));
    if (row < o->rows.end)
        for (ptrdiff_t v = 0; v < o->vectors; v++) K(depthwise_row)(o, row, v, taps, stride, 1);
}
