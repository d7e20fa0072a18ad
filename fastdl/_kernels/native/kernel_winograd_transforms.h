/* The transforms of Winograd's convolution: along one axis, for a vector of channels, and from them
 * those of a tile along both. conv/winograd.py has their matrices. */

enum { K(POINTS) = 6 };     /* along one axis of a tile, at most */

/* B': the inputs of a line, as many as there are points. */
FD_INLINE void K(input_line_4)(const V *d, V *t)
{
    t[0] = d[0] - d[2];
    t[1] = d[1] + d[2];
    t[2] = d[2] - d[1];
    t[3] = d[1] - d[3];
}

FD_INLINE void K(input_line_6)(const V *d, V *t)
{
    V a = d[4] - 4 * d[2], b = d[3] - 4 * d[1], c = d[4] - d[2], e = d[3] - d[1];
    t[0] = 4 * d[0] - 5 * d[2] + d[4];
    t[1] = a + b;
    t[2] = a - b;
    t[3] = c + 2 * e;
    t[4] = c - 2 * e;
    t[5] = 4 * d[1] - 5 * d[3] + d[5];
}

/* G: the taps of a filter. */
FD_INLINE void K(filter_line_2_3)(const V *g, V *t)
{
    V ends = (g[0] + g[2]) * (T)0.5, middle = g[1] * (T)0.5;
    t[0] = g[0];
    t[1] = ends + middle;
    t[2] = ends - middle;
    t[3] = g[2];
}

FD_INLINE void K(filter_line_4_3)(const V *g, V *t)
{
    V a = (g[0] + g[2]) * (T)(-1. / 6), b = g[1] * (T)(-1. / 6);
    V c = g[0] * (T)(1. / 24) + g[2] * (T)(1. / 6), e = g[1] * (T)(1. / 12);
    t[0] = g[0] * (T)0.25;
    t[1] = a + b;
    t[2] = a - b;
    t[3] = c + e;
    t[4] = c - e;
    t[5] = g[2];
}

FD_INLINE void K(filter_line_2_5)(const V *g, V *t)
{
    V a = (g[0] + g[2] + g[4]) * (T)(-1. / 6), b = (g[1] + g[3]) * (T)(-1. / 6);
    V c = (g[0] + 4 * g[2] + 16 * g[4]) * (T)(1. / 24), e = (g[1] + 4 * g[3]) * (T)(1. / 12);
    t[0] = g[0] * (T)0.25;
    t[1] = a + b;
    t[2] = a - b;
    t[3] = c + e;
    t[4] = c - e;
    t[5] = g[4];
}

/* A': from the points back to m outputs. */
FD_INLINE void K(output_line_2_3)(const V *t, V *y)
{
    y[0] = t[0] + t[1] + t[2];
    y[1] = t[1] - t[2] - t[3];
}

FD_INLINE void K(output_line_4_3)(const V *t, V *y)
{
    V a = t[1] + t[2], b = t[1] - t[2], c = t[3] + t[4], e = t[3] - t[4];
    y[0] = t[0] + a + c;
    y[1] = b + 2 * e;
    y[2] = a + 4 * c;
    y[3] = b + 8 * e + t[5];
}

FD_INLINE void K(output_line_2_5)(const V *t, V *y)
{
    y[0] = t[0] + t[1] + t[2] + t[3] + t[4];
    y[1] = t[1] - t[2] + 2 * (t[3] - t[4]) + t[5];
}

/* A: m gradients of outputs. */
FD_INLINE void K(gradient_line_2_3)(const V *dy, V *t)
{
    t[0] = dy[0];
    t[1] = dy[0] + dy[1];
    t[2] = dy[0] - dy[1];
    t[3] = -dy[1];
}

FD_INLINE void K(gradient_line_4_3)(const V *dy, V *t)
{
    V a = dy[0] + dy[2], b = dy[1] + dy[3], c = dy[0] + 4 * dy[2], e = 2 * dy[1] + 8 * dy[3];
    t[0] = dy[0];
    t[1] = a + b;
    t[2] = a - b;
    t[3] = c + e;
    t[4] = c - e;
    t[5] = dy[3];
}

FD_INLINE void K(gradient_line_2_5)(const V *dy, V *t)
{
    t[0] = dy[0];
    t[1] = dy[0] + dy[1];
    t[2] = dy[0] - dy[1];
    t[3] = dy[0] + 2 * dy[1];
    t[4] = dy[0] - 2 * dy[1];
    t[5] = dy[1];
}

/* G': from the points back to the taps. */
FD_INLINE void K(taps_line_2_3)(const V *t, V *g)
{
    V a = (t[1] + t[2]) * (T)0.5;
    g[0] = t[0] + a;
    g[1] = (t[1] - t[2]) * (T)0.5;
    g[2] = a + t[3];
}

FD_INLINE void K(taps_line_4_3)(const V *t, V *g)
{
    V a = (t[1] + t[2]) * (T)(-1. / 6), b = (t[1] - t[2]) * (T)(-1. / 6);
    V c = (t[3] + t[4]) * (T)(1. / 24), e = (t[3] - t[4]) * (T)(1. / 12);
    g[0] = t[0] * (T)0.25 + a + c;
    g[1] = b + e;
    g[2] = a + 4 * c + t[5];
}

FD_INLINE void K(taps_line_2_5)(const V *t, V *g)
{
    V a = (t[1] + t[2]) * (T)(-1. / 6), b = (t[1] - t[2]) * (T)(-1. / 6);
    V c = (t[3] + t[4]) * (T)(1. / 24), e = (t[3] - t[4]) * (T)(1. / 12);
    g[0] = t[0] * (T)0.25 + a + c;
    g[1] = b + e;
    g[2] = a + 4 * c;
    g[3] = b + 4 * e;
    g[4] = a + 16 * c + t[5];
}

/* B: from the points back to all inputs that a tile was made from, as many as there are points. */
FD_INLINE void K(spread_line_4)(const V *t, V *d)
{
    d[0] = t[0];
    d[1] = t[1] - t[2] + t[3];
    d[2] = t[1] + t[2] - t[0];
    d[3] = -t[3];
}

FD_INLINE void K(spread_line_6)(const V *t, V *d)
{
    V a = t[1] + t[2], b = t[1] - t[2], c = t[3] + t[4], e = t[3] - t[4];
    d[0] = 4 * t[0];
    d[1] = 4 * (t[5] - b) - 2 * e;
    d[2] = -5 * t[0] - 4 * a - c;
    d[3] = b + 2 * e - 5 * t[5];
    d[4] = t[0] + a + c;
    d[5] = t[5];
}

/* What is done to outputs before they are stored, for the channels from the first on; `start` and
 * `gate` lie like the outputs. */
typedef struct {
    const T *bias, *start, *gate;       /* NULL: nothing */
    int relu;
} K(ending);

FD_INLINE V K(ended)(const K(ending) *ending, V sum, ptrdiff_t at, ptrdiff_t channel)
{
    if (ending->start) sum += K(load)(ending->start + at + channel);
    if (ending->bias) sum += K(load)(ending->bias + channel);
    if (ending->relu) sum = K(gated)(sum, sum);
    if (ending->gate) sum = K(gated)(K(load)(ending->gate + at + channel), sum);
    return sum;
}

/* The part of a tile that lies within the maps. */
typedef struct {
    fd_range rows, columns;
} K(part);

/* Along both axes, the columns first; `from` numbers become `to`. Of the channels from `first` on.
 * What `inside` leaves out of the input is 0; what `stored` leaves out is not written. Each, and
 * `ending`, may be NULL. */
FD_INLINE void K(both_axes)(void (*line)(const V *, V *), int from, int to, const T *in,
                            ptrdiff_t in_row, ptrdiff_t in_column, const K(part) *inside, T *out,
                            ptrdiff_t out_row, ptrdiff_t out_column, const K(part) *stored,
                            ptrdiff_t first, const K(ending) *ending)
{
    in += first;
    out += first;
    /* Aligned, since vectors that straddle two lines of the cache take twice as long. */
    _Alignas(FD_VBYTES) V half[K(POINTS)][K(POINTS)];
    V a[K(POINTS)], b[K(POINTS)];
#pragma GCC unroll 1
    for (int j = 0; j < from; j++) {
        int empty = inside && (j < inside->columns.begin || j >= inside->columns.end);
#pragma GCC unroll 6
        for (int i = 0; i < from; i++) {
            a[i] = (V){0};
            if (!empty && (!inside || (i >= inside->rows.begin && i < inside->rows.end)))
                a[i] = K(load)(in + i * in_row + j * in_column);
        }
        line(a, b);
#pragma GCC unroll 6
        for (int i = 0; i < to; i++) half[i][j] = b[i];
    }
    int rows = stored ? (int)stored->rows.end : to;
#pragma GCC unroll 1
    for (int i = 0; i < rows; i++) {
        line(half[i], b);
#pragma GCC unroll 6
        for (int j = 0; j < to; j++) {
            ptrdiff_t at = i * out_row + j * out_column;
            if (stored && j >= stored->columns.end) break;
            K(store)(out + at, ending ? K(ended)(ending, b[j], at, first) : b[j]);
        }
    }
}

/* The transform of one tile, for some channels; the last vector overlaps the one before. */
typedef void K(transform)(const T *in, ptrdiff_t in_row, ptrdiff_t in_column,
                          const K(part) *inside, T *out, ptrdiff_t out_row, ptrdiff_t out_column,
                          ptrdiff_t channels);

#define DEFINE_TRANSFORM(name, which, from, to)                                                   \
    static void K(name##_##which)(const T *in, ptrdiff_t in_row, ptrdiff_t in_column,             \
                                  const K(part) *inside, T *out, ptrdiff_t out_row,               \
                                  ptrdiff_t out_column, ptrdiff_t channels)                       \
    {                                                                                             \
        for (ptrdiff_t c = 0; c < channels; c += VL) {                                            \
            ptrdiff_t first = FD_MAX(FD_MIN(c, channels - VL), 0);                                \
            if (inside)                                                                           \
                K(both_axes)(K(name##_line_##which), from, to, in, in_row, in_column, inside,     \
                             out, out_row, out_column, NULL, first, NULL);                        \
            else                                                                                  \
                K(both_axes)(K(name##_line_##which), from, to, in, in_row, in_column, NULL, out,  \
                             out_row, out_column, NULL, first, NULL);                             \
        }                                                                                         \
    }
DEFINE_TRANSFORM(input, 4, 4, 4)
DEFINE_TRANSFORM(input, 6, 6, 6)
DEFINE_TRANSFORM(filter, 2_3, 3, 4)
DEFINE_TRANSFORM(filter, 4_3, 3, 6)
DEFINE_TRANSFORM(filter, 2_5, 5, 6)
DEFINE_TRANSFORM(output, 2_3, 4, 2)
DEFINE_TRANSFORM(output, 4_3, 6, 4)
DEFINE_TRANSFORM(output, 2_5, 6, 2)
DEFINE_TRANSFORM(gradient, 2_3, 2, 4)
DEFINE_TRANSFORM(gradient, 4_3, 4, 6)
DEFINE_TRANSFORM(gradient, 2_5, 2, 6)
DEFINE_TRANSFORM(taps, 2_3, 4, 3)
DEFINE_TRANSFORM(taps, 4_3, 6, 3)
DEFINE_TRANSFORM(taps, 2_5, 6, 5)
#undef DEFINE_TRANSFORM

/* Of whole vectors of outputs, which are then finished and stored where they belong. */
#define DEFINE_ENDING(name, which, from, to)                                                      \
    static void K(end_##name##_##which)(const T *in, ptrdiff_t in_row, ptrdiff_t in_column,       \
                                        T *out, ptrdiff_t out_row, ptrdiff_t out_column,          \
                                        const K(part) *stored, ptrdiff_t channels,                \
                                        const K(ending) *ending)                                  \
    {                                                                                             \
        for (ptrdiff_t c = 0; c < channels; c += VL) {                                            \
            if (stored)                                                                           \
                K(both_axes)(K(name##_line_##which), from, to, in, in_row, in_column, NULL, out,  \
                             out_row, out_column, stored, c, ending);                             \
            else                                                                                  \
                K(both_axes)(K(name##_line_##which), from, to, in, in_row, in_column, NULL, out,  \
                             out_row, out_column, NULL, c, ending);                               \
        }                                                                                         \
    }
DEFINE_ENDING(output, 2_3, 4, 2)
DEFINE_ENDING(output, 4_3, 6, 4)
DEFINE_ENDING(output, 2_5, 6, 2)
DEFINE_ENDING(spread, 4, 4, 4)
DEFINE_ENDING(spread, 6, 6, 6)
#undef DEFINE_ENDING
