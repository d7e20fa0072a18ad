/* Backward to the filters of few input channels, from planes:
 *
 *   dw[oc, tap] = sum over pixels of  dy[oc, pixel] * x[pixel + tap]
 *
 * where a tap is one of (c, kh, kw). Vectors run along the rows of both; a tile is a few oc times a
 * few taps, and its sums are vectors until the end, when their lanes are added up. dy is read where
 * it lies. Of x a band of rows is laid out with its padding, columns that a stride takes apart one
 * after another, so that a tap meets whole vectors.
 */

enum {
    K(TILE_SIDE) = FD_SUMS < 24 ? 3 : 5,        /* oc or taps of a tile */
    K(BAND_DY_BYTES) = 24 << 10,                /* of dy, for the oc of a tile: stays in L1 */
    K(SUMS_BYTES) = 320 << 10,                  /* stay in L2, next to a band of x */
};

/* Whether there are whole vectors, few of them mostly empty, and the sums stay in the cache. */
static int K(weight_from_planes)(const fd_conv_args *args)
{
    const fd_window *w = &args->window;
    ptrdiff_t OC = args->OC / args->groups, C = w->C / args->groups;
    return !args->channels_last && C <= FD_FEW_CHANNELS && args->column_parts == 1 && w->OW >= VL
        && fd_round_up(w->OW, VL) * 4 <= w->OW * 5
        && OC * C * w->KH * w->KW * FD_VBYTES <= K(SUMS_BYTES);
}

typedef struct {
    const T *dy, *x;
    ptrdiff_t dy_plane, dy_row, x_row, rows, width;
    const ptrdiff_t *taps;
    T *sums;                            /* [oc][tap][lane] */
    ptrdiff_t sums_line;
    const K(ivec) *last;                /* lanes that count of the last, overlapping vector */
    ptrdiff_t ahead;                    /* from dy to a plane that will be needed soon */
} K(pixel_sums);

FD_INLINE void K(pixel_tile)(int ocs, const K(pixel_sums) *p)
{
    enum { TAPS = K(TILE_SIDE) };
    V sum[K(TILE_SIDE)][TAPS];
    const ptrdiff_t width = p->width, sums_line = p->sums_line, dy_plane = p->dy_plane;
    const ptrdiff_t ahead = p->ahead;
    const K(ivec) last = *p->last;
    T *sums = p->sums;
#define FOR_EACH_SUM                                                                              \
    _Pragma("GCC unroll 5") for (int o = 0; o < ocs; o++)                                         \
        _Pragma("GCC unroll 5") for (int t = 0; t < TAPS; t++)
#define ADD_PIXELS(j, dy_load)                                                                    \
    do {                                                                                          \
        V pixels[K(TILE_SIDE)];                                                                   \
        _Pragma("GCC unroll 5") for (int o = 0; o < ocs; o++)                                     \
            pixels[o] = dy_load(K(load)(dy + o * dy_plane + (j)));                                \
        _Pragma("GCC unroll 5") for (int t = 0; t < TAPS; t++) {                                  \
            V in = K(load)(x[t] + (j));                                                           \
            _Pragma("GCC unroll 5") for (int o = 0; o < ocs; o++) sum[o][t] += in * pixels[o];    \
        }                                                                                         \
    } while (0)
#define AS_IT_IS(v) (v)
#define WHERE_IT_COUNTS(v) K(select)(last, v, (V){0})
    FOR_EACH_SUM sum[o][t] = K(load)(sums + o * sums_line + t * VL);
    for (ptrdiff_t i = 0; i < p->rows; i++) {
        const T *dy = p->dy + i * p->dy_row, *x[TAPS];
#pragma GCC unroll 5
        for (int t = 0; t < TAPS; t++) x[t] = p->x + i * p->x_row + p->taps[t];
        ptrdiff_t j = 0;
        for (; j + VL <= width; j += VL) {
            FD_PREFETCH(dy + ahead + j);
            ADD_PIXELS(j, AS_IT_IS);
        }
        if (j < width) ADD_PIXELS(width - VL, WHERE_IT_COUNTS);
    }
    FOR_EACH_SUM K(store)(sums + o * sums_line + t * VL, sum[o][t]);
#undef ADD_PIXELS
#undef AS_IT_IS
#undef WHERE_IT_COUNTS
#undef FOR_EACH_SUM
}

/* Sizes for which there are no registers are never called. */
#define DEFINE_TILE(ocs)                                                                          \
    static void K(pixel_tile_##ocs)(const K(pixel_sums) *p)                                       \
    {                                                                                             \
        K(pixel_tile)(FD_MIN(ocs, K(TILE_SIDE)), p);                                              \
    }
DEFINE_TILE(1)
DEFINE_TILE(2)
DEFINE_TILE(3)
DEFINE_TILE(4)
DEFINE_TILE(5)
#undef DEFINE_TILE

static void (*const K(pixel_tiles)[])(const K(pixel_sums) *) = {
    K(pixel_tile_1), K(pixel_tile_2), K(pixel_tile_3), K(pixel_tile_4), K(pixel_tile_5)};

/* The strip's pixels in planes: [c][row][column modulo stride][column / stride]. */
static void K(lay_phases)(const K(maps) *maps, ptrdiff_t n, const fd_strip *strip, ptrdiff_t first,
                          ptrdiff_t channels, ptrdiff_t phases, ptrdiff_t phase, T *out)
{
    fd_range rows = fd_inside(strip->rows, 1, strip->first_row, maps->H);
    for (ptrdiff_t c = 0; c < channels; c++, out += strip->rows * phases * phase)
        for (ptrdiff_t r = 0; r < strip->rows; r++)
            for (ptrdiff_t v = 0; v < phases; v++) {
                T *to = out + (r * phases + v) * phase;
                K(fill)(to, phase, 0);
                if (r < rows.begin || r >= rows.end) continue;
                ptrdiff_t offset = strip->first_column + v;
                fd_range inside = fd_inside(phase, phases, offset, maps->W);
                if (inside.begin < inside.end)
                    K(copy_strided)(to + inside.begin,
                                    K(at)(maps, n, strip->first_row + r,
                                          inside.begin * phases + offset, first + c),
                                    inside.end - inside.begin, phases);
            }
}

/* Sums of dy alone, a vector for each oc. */
static void K(add_biases)(const K(pixel_sums) *p, ptrdiff_t ocs, T *bias)
{
    for (ptrdiff_t i = 0; i < p->rows; i++)
        for (ptrdiff_t o = 0; o < ocs; o++) {
            const T *dy = p->dy + i * p->dy_row + o * p->dy_plane;
            V sum = K(load)(bias + o * VL);
            ptrdiff_t j = 0;
            for (; j + VL <= p->width; j += VL) sum += K(load)(dy + j);
            if (j < p->width)
                sum += K(select)(*p->last, K(load)(dy + p->width - VL), (V){0});
            K(store)(bias + o * VL, sum);
        }
}

/* Parts of the images and rows, for some of the output channels of a group. */
static void K(backward_few_weight)(const fd_conv_args *args, ptrdiff_t g, fd_range parts,
                                   fd_range channels, T *dw, T *db)
{
    const fd_window *w = &args->window;
    ptrdiff_t C = w->C / args->groups, oc_first = g * (args->OC / args->groups) + channels.begin;
    ptrdiff_t ocs = channels.end - channels.begin, size = C * w->KH * w->KW;
    ptrdiff_t n_taps = fd_round_up(size, K(TILE_SIDE)), sums_line = n_taps * VL;
    K(maps) x = K(maps_of)(args->x, w->C, w->H, w->W, 0);
    K(maps) dy = K(maps_of)(args->dy, args->OC, w->OH, w->OW, 0);
    fd_slide h = {w->KH, w->SH, w->PH, w->DH, 0}, v = {w->KW, w->SW, w->PW, w->DW, 0};
    ptrdiff_t band = K(BAND_DY_BYTES) / (K(TILE_SIDE) * w->OW * (ptrdiff_t)sizeof(T));
    band = FD_MAX(FD_MIN(band, w->OH), 1);
    fd_range columns = {0, w->OW};
    fd_strip most = K(strip_of)(&h, &v, 1, (fd_range){0, band}, columns);
    ptrdiff_t phase = (most.columns + w->SW - 1) / w->SW, row = w->SW * phase;
    ptrdiff_t taps_size = fd_round_up(n_taps * (ptrdiff_t)sizeof(ptrdiff_t), 64);
    char *memory = fd_scratch((size_t)taps_size
                              + (size_t)(ocs * (sums_line + VL) + C * most.rows * row)
                              * sizeof(T));
    if (!memory) return;
    ptrdiff_t *taps = (ptrdiff_t *)memory;
    T *sums = (T *)(memory + taps_size), *bias = sums + ocs * sums_line, *space = bias + ocs * VL;
    memset(sums, 0, (size_t)(ocs * (sums_line + VL)) * sizeof(T));
    K(ivec) last;
    INT lane[FD_VBYTES / sizeof(T)];
    for (ptrdiff_t i = 0; i < VL; i++) lane[i] = -(i >= VL - w->OW % VL);
    memcpy(&last, lane, sizeof last);
    for (ptrdiff_t part = parts.begin; part < parts.end; part++) {
        ptrdiff_t n = part / args->row_parts * args->together;
        fd_range rows = fd_part(w->OH, 1, args->row_parts, part % args->row_parts);
        for (ptrdiff_t i = n; i < FD_MIN(n + args->together, w->N); i++)
            for (fd_range some = {rows.begin, 0}; some.begin < rows.end; some.begin = some.end) {
                some.end = FD_MIN(some.begin + band, rows.end);
                fd_strip strip = K(strip_of)(&h, &v, 1, some, columns);
                K(lay_phases)(&x, i, &strip, g * C, C, w->SW, phase, space);
                for (ptrdiff_t t = 0; t < n_taps; t++) {    /* the last few are there twice */
                    fd_tap tap = fd_tap_at(FD_MIN(t, size - 1), w->KH, w->KW);
                    taps[t] = (tap.c * strip.rows + tap.kh * w->DH) * row
                        + tap.kw * w->DW % w->SW * phase + tap.kw * w->DW / w->SW;
                }
                for (ptrdiff_t o = 0, n_oc; o < ocs; o += n_oc) {
                    ptrdiff_t turns = (ocs - o + K(TILE_SIDE) - 1) / K(TILE_SIDE);
                    n_oc = (ocs - o + turns - 1) / turns;
                    K(pixel_sums) p = {
                        .dy = K(at)(&dy, i, some.begin, 0, oc_first + o), .x = space,
                        .dy_plane = dy.channel, .dy_row = dy.row, .x_row = w->SH * row,
                        .rows = some.end - some.begin, .width = w->OW, .sums_line = sums_line,
                        .last = &last};
                    for (ptrdiff_t t = 0; t < n_taps; t += K(TILE_SIDE)) {
                        p.taps = taps + t;
                        p.ahead = (n_oc + t / K(TILE_SIDE) % n_oc) * dy.channel;
                        p.sums = sums + o * sums_line + t * VL;
                        K(pixel_tiles)[n_oc - 1](&p);
                    }
                    if (db) K(add_biases)(&p, n_oc, bias + o * VL);
                }
            }
    }
    for (ptrdiff_t o = 0; o < ocs; o++) {
        for (ptrdiff_t t = 0; t < size; t++)
            dw[(oc_first + o) * size + t] = K(lanes_sum)(K(load)(sums + o * sums_line + t * VL));
        if (db) db[oc_first + o] = K(lanes_sum)(K(load)(bias + o * VL));
    }
}
