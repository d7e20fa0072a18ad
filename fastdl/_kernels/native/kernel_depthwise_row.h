/* Depthwise convolution: outputs, a strip of some rows at a time. Each input of a strip is loaded
 * once, and the sums of the few columns that meet it are in registers; weights are too, for all of
 * the strip.
 *
 * Each vector takes up the rows anew. Tiles, which take all vectors of a few pixels at once, were
 * up to a third slower with vectors of 64 bytes, and as much quicker with shorter ones. */
enum { K(STRIP_ROWS) = 4 };

/* One vector of a strip: what is on the way through its columns. */
typedef struct {
    const T *in, *add, *gate;           /* of the next column */
    T *out;
    ptrdiff_t in_row, in_column, out_row, out_column;
    unsigned rows;                      /* bit r: row r of the inputs is there */
    fd_range columns;                   /* those of the inputs that are there */
    ptrdiff_t steps;
    int relu, ahead, stream;
} K(strip);

/* `kept` steps from `step` on. A step is one column of outputs: it adds its new columns of inputs
 * to the sums of `kept` outputs, and its first output is then complete. The sum of column j is in
 * place j % kept. `whole`: all steps and all columns are there. */
FD_INLINE void K(depthwise_steps)(K(strip) *s, ptrdiff_t step, V *sums, const V *weight, V bias,
                                  const int taps, const int stride, const int height,
                                  const int whole)
{
    const int kept = (taps + stride - 1) / stride, in_height = (height - 1) * stride + taps;
#pragma GCC unroll 3
    for (int phase = 0; phase < kept; phase++, step++) {
        if (!whole && step >= s->steps) break;
#pragma GCC unroll 4
        for (int i = 0; i < height; i++) sums[phase * height + i] = bias;
#pragma GCC unroll 2
        for (int k = 0; k < stride; k++, s->in += s->in_column) {
            if (!whole && !fd_is_in(s->columns, step * stride + k)) continue;
            if (s->ahead)
#pragma GCC unroll 8
                for (int r = 0; r < height * stride; r++)
                    FD_PREFETCH(s->in + (in_height + r) * s->in_row);
#pragma GCC unroll 9
            for (int r = 0; r < in_height; r++) {
                if (!(s->rows >> r & 1)) continue;
                V value = K(load)(s->in + r * s->in_row);
#pragma GCC unroll 12
                for (int n = 0; n < kept * height; n++) {
                    const int back = n / height, i = n % height;
                    const int kh = r - i * stride, kw = k + back * stride;
                    if (kh >= 0 && kh < taps && kw < taps)
                        sums[(phase + kept - back) % kept * height + i] +=
                            value * weight[kh * taps + kw];
                }
            }
        }
        if (!whole && step < kept - 1) continue;
#pragma GCC unroll 4
        for (int i = 0; i < height; i++) {
            V sum = sums[(phase + 1) % kept * height + i];
            if (s->add) sum += K(load)(s->add + i * s->out_row);
            if (s->relu) sum = K(gated)(sum, sum);
            if (s->gate) sum = K(gated)(K(load)(s->gate + i * s->out_row), sum);
            if (s->stream) {
                K(stream)(s->out + i * s->out_row, sum);
            } else {
                if (s->ahead) FD_PREFETCH(s->out + (height + i) * s->out_row);
                K(store)(s->out + i * s->out_row, sum);
            }
        }
        s->out += s->out_column;
        if (s->add) s->add += s->out_column;
        if (s->gate) s->gate += s->out_column;
    }
}

FD_INLINE void K(depthwise_strip)(const K(outputs) *o, ptrdiff_t row, ptrdiff_t vector,
                                  const int taps, const int stride, const int height)
{
    const int kept = (taps + stride - 1) / stride, in_height = (height - 1) * stride + taps;
    const T *weights = o->weights + vector * (taps * taps + 1) * VL;
    ptrdiff_t channel = vector == o->vectors - 1 ? o->last : vector * VL;
    ptrdiff_t top = fd_first_input(o->h, row), left = fd_first_input(o->w, o->columns.begin);
    ptrdiff_t steps = fd_length(o->columns) + kept - 1;
    fd_range rows = fd_within(o->in_rows, top, in_height);
    ptrdiff_t to = (row - o->rows.begin) * o->out_row + channel;
    K(strip) strip = {
        .in = o->in + ((top - o->in_rows.begin) * o->in_row
                       + (left - o->in_columns.begin) * o->in_column + channel),
        .add = o->add ? o->add + to : NULL, .gate = o->gate ? o->gate + to : NULL,
        .out = o->out + to,
        .in_row = o->in_row, .in_column = o->in_column,
        .out_row = o->out_row, .out_column = o->out_column,
        .rows = rows.begin < rows.end ? (1u << rows.end) - (1u << rows.begin) : 0,
        .columns = fd_within(o->in_columns, left, steps * stride), .steps = steps,
        .relu = o->relu, .ahead = o->ahead, .stream = o->stream};
    V weight[9], sums[3 * K(STRIP_ROWS)], bias = K(load)(weights + taps * taps * VL);
#pragma GCC unroll 9
    for (int t = 0; t < taps * taps; t++) weight[t] = K(load)(weights + t * VL);
#pragma GCC unroll 12
    for (int n = 0; n < kept * height; n++) sums[n] = bias;
    for (ptrdiff_t step = 0; step < steps; step += kept)
        if (step >= kept - 1 && step * stride >= strip.columns.begin
                && (step + kept) * stride <= strip.columns.end)
            K(depthwise_steps)(&strip, step, sums, weight, bias, taps, stride, height, 1);
        else
            K(depthwise_steps)(&strip, step, sums, weight, bias, taps, stride, height, 0);
}

/* Square filters of at most 3 x 3, going down. Four rows read each input 1.5 times, two rows twice;
 * but two were quicker where memory is the limit, and where pixels lie 2 KiB apart, as of 512 or
 * 1024 channels: they share one or two sets of the first cache. */
FD_INLINE void K(depthwise_rows)(const K(outputs) *o, const int taps, const int stride)
{
    int low = o->stream || o->in_column * (ptrdiff_t)sizeof(T) % 2048 == 0;
    ptrdiff_t most = low ? K(STRIP_ROWS) / 2 : K(STRIP_ROWS);
    for (ptrdiff_t row = o->rows.begin; row < o->rows.end; row += most)
        for (ptrdiff_t v = 0; v < o->vectors; v++)
            switch (FD_MIN(most, o->rows.end - row)) {
            case 1: K(depthwise_strip)(o, row, v, taps, stride, 1); break;
            case 2: K(depthwise_strip)(o, row, v, taps, stride, 2); break;
            case 3: K(depthwise_strip)(o, row, v, taps, stride, 3); break;
            default: K(depthwise_strip)(o, row, v, taps, stride, K(STRIP_ROWS));
            }
}
