/* Backward to an input of few channels, such as an image's three: a vector of its channels would be
 * mostly empty. Here vectors run along the pixels of planes:
 *
 *   dx[c, pixel] = sum over oc, taps of  w[oc, c, turned tap] * dy[oc, pixel + tap]
 *
 * A band of rows of dy is laid out in planes with its padding, and the rows of a plane are taken as
 * one long row. So the pixels that a tap meets are a run that begins elsewhere, whatever the width
 * of the maps; the few sums that belong to padding are left behind. A tile is all of the channels
 * times some vectors of pixels.
 */

enum {
    K(FEW) = FD_FEW_CHANNELS,
    K(PLANES) = 64 / sizeof(T),         /* laid out at a time, so that bands have many rows */
    K(BAND_BYTES) = 384 << 10,          /* of these planes and of sums: stays in L2 */
};

static int K(has_few_channels)(const fd_conv_args *args)
{
    return args->window.C / args->groups <= K(FEW) && args->window.KH * args->window.KW > 1;
}

/* Vectors of pixels in a tile of so many channels: registers hold its sums, a tap's weights and its
 * pixels. (Where pixels do not fit, compilers load them once for each channel.) */
#define FD_PIXEL_VECTORS(channels) FD_MIN((FD_SUMS + 4 - (channels)) / (1 + (channels)), 12)

typedef struct {
    const T *in;                        /* the first pixel, in the first plane */
    ptrdiff_t plane, planes;
    const ptrdiff_t *taps;              /* where the pixel is that a tap meets */
    ptrdiff_t n_taps;
    const T *w;                         /* [plane][tap][channel] */
    T *out;
    ptrdiff_t out_plane;
    int add;                            /* to what is in `out` */
} K(runs);

FD_INLINE void K(run_tile)(int channels, int vectors, const K(runs) *p)
{
    const T *in = p->in, *w = p->w;
    V sum[K(FEW)][12];
#pragma GCC unroll 4
    for (int c = 0; c < channels; c++)
#pragma GCC unroll 12
        for (int j = 0; j < vectors; j++) sum[c][j] = (V){0};
    for (ptrdiff_t plane = p->planes; plane > 0; plane--, in += p->plane)
        for (ptrdiff_t t = 0; t < p->n_taps; t++, w += channels) {
            const T *at = in + p->taps[t];
            V pixels[12];
#pragma GCC unroll 12
            for (int j = 0; j < vectors; j++) pixels[j] = K(load)(at + j * VL);
#pragma GCC unroll 4
            for (int c = 0; c < channels; c++)
#pragma GCC unroll 12
                for (int j = 0; j < vectors; j++) sum[c][j] += w[c] * pixels[j];
        }
#define FOR_EACH_SUM                                                                              \
    _Pragma("GCC unroll 4") for (int c = 0; c < channels; c++)                                    \
        _Pragma("GCC unroll 12") for (int j = 0; j < vectors; j++)
    const ptrdiff_t out_plane = p->out_plane;
    T *out = p->out;
    if (p->add) FOR_EACH_SUM sum[c][j] += K(load)(out + c * out_plane + j * VL);
    FOR_EACH_SUM K(store)(out + c * out_plane + j * VL, sum[c][j]);
#undef FOR_EACH_SUM
}

#define DEFINE_TILES(channels)                                                                    \
    static void K(run_tile_##channels)(const K(runs) *p)                                          \
    {                                                                                             \
        K(run_tile)(channels, FD_PIXEL_VECTORS(channels), p);                                     \
    }                                                                                             \
    static void K(half_run_tile_##channels)(const K(runs) *p)                                     \
    {                                                                                             \
        K(run_tile)(channels, (FD_PIXEL_VECTORS(channels) + 1) / 2, p);                           \
    }
DEFINE_TILES(1)
DEFINE_TILES(2)
DEFINE_TILES(3)
DEFINE_TILES(4)
#undef DEFINE_TILES

static void (*const K(run_tiles)[K(FEW)][2])(const K(runs) *) = {
    {K(run_tile_1), K(half_run_tile_1)}, {K(run_tile_2), K(half_run_tile_2)},
    {K(run_tile_3), K(half_run_tile_3)}, {K(run_tile_4), K(half_run_tile_4)}};

/* At least `count` pixels of every channel. */
static void K(add_runs)(K(runs) p, ptrdiff_t channels, ptrdiff_t count)
{
    ptrdiff_t vectors = FD_PIXEL_VECTORS(channels), half = (vectors + 1) / 2;
    for (ptrdiff_t i = 0, some; i < count; i += some, p.in += some, p.out += some) {
        int few = count - i <= half * VL;
        some = (few ? half : vectors) * VL;
        K(run_tiles)[channels - 1][few](&p);
    }
}

/* Items of packing: (group, 128 bytes of channels), but a group's first item packs it all:
 * [phase][oc][tap][c]. */
static void K(pack_few)(const fd_conv_args *args, const fd_slide *slide_h,
                         const fd_slide *slide_w, ptrdiff_t g, T *packed)
{
    ptrdiff_t C = args->window.C / args->groups, OC = args->OC / args->groups;
    ptrdiff_t size = slide_h->K * slide_w->K;
    for (ptrdiff_t phase = 0; phase < fd_phases(slide_h) * fd_phases(slide_w); phase++) {
        fd_axis h = fd_axis_of(slide_h, phase / fd_phases(slide_w));
        fd_axis w = fd_axis_of(slide_w, phase % fd_phases(slide_w));
        const T *from = (const T *)args->w + g * OC * C * size;
        for (ptrdiff_t oc = 0; oc < OC; oc++, from += C * size)
            for (ptrdiff_t t = 0; t < h.size * w.size; t++) {
                ptrdiff_t kh = h.last - t / w.size * h.step, kw = w.last - t % w.size * w.step;
                for (ptrdiff_t c = 0; c < C; c++)
                    *packed++ = from[c * size + kh * slide_w->K + kw];
            }
    }
}

/* Lay the strip's pixels out in planes, each `plane` long, and room for a vector after the last. */
static void K(lay_planes)(const K(maps) *maps, ptrdiff_t n, const fd_strip *strip, ptrdiff_t first,
                          ptrdiff_t channels, ptrdiff_t plane, T *out)
{
    fd_range inside = fd_inside(strip->columns, 1, strip->first_column, maps->W);
    fd_range rows = fd_inside(strip->rows, 1, strip->first_row, maps->H);
    ptrdiff_t line = strip->columns, width = inside.end - inside.begin;
    K(maps) from = *maps;
    from.at = K(at)(maps, n, strip->first_row, strip->first_column + inside.begin, first);
    for (ptrdiff_t c = 0; c < channels; c++) {
        T *to = out + c * plane + inside.begin;
        K(fill)(to - inside.begin, rows.begin * line + inside.begin, 0);
        for (ptrdiff_t r = rows.begin; r < rows.end; r++) {
            if (maps->channel != 1) {   /* planes lie far apart: ask early for what comes next */
                ptrdiff_t ahead = r + 4 < rows.end ? r + 4 : r + 4 - (rows.end - rows.begin);
                K(fetch)(K(at)(&from, 0, ahead, 0, c + (ahead < r)), width);
                K(copy)(to + r * line, K(at)(&from, 0, r, 0, c), width);
            }
            /* Padding up to the next row, which may then be laid over the last of these zeros. */
            for (ptrdiff_t j = width; j < line; j += VL) K(store)(to + r * line + j, (V){0});
        }
        K(fill)(to + rows.end * line, plane - rows.end * line - inside.begin, 0);
    }
    for (ptrdiff_t r = rows.begin; maps->channel == 1 && r < rows.end; r++)
        K(transpose)(K(at)(&from, 0, r, 0, 0), maps->pixel, width, channels,
                     out + r * line + inside.begin, plane);
}

/* One phase of the outputs in these rows and columns: where they are in the band, and which taps
 * they meet. */
typedef struct {
    fd_range rows, columns;             /* of the phase */
    ptrdiff_t count;                    /* pixels, from the first to the last, padding included */
    ptrdiff_t in;                       /* the first tap of the first pixel */
    ptrdiff_t n_taps;
} K(few_phase);

static K(few_phase) K(find_phase)(const K(correlation) *job, const fd_strip *strip, fd_range rows,
                                  fd_range columns, ptrdiff_t phase_h, ptrdiff_t phase_w,
                                  ptrdiff_t *taps)
{
    fd_axis h = fd_axis_of(&job->h, phase_h), w = fd_axis_of(&job->w, phase_w);
    K(few_phase) phase = {.rows = fd_of_phase(&job->h, phase_h, rows),
                          .columns = fd_of_phase(&job->w, phase_w, columns),
                          .n_taps = h.size * w.size};
    ptrdiff_t line = strip->columns, height = phase.rows.end - phase.rows.begin;
    ptrdiff_t width = phase.columns.end - phase.columns.begin;
    if (height > 0 && width > 0) phase.count = (height - 1) * line + width;
    if (!phase.n_taps) return phase;
    phase.in = (phase.rows.begin - h.padding - strip->first_row) * line
        + phase.columns.begin - w.padding - strip->first_column;
    for (ptrdiff_t t = 0; t < phase.n_taps; t++)
        taps[t] = t / w.size * h.dilation * line + t % w.size * w.dilation;
    return phase;
}

/* `row` itself if its elements follow each other, else a copy in `space` whose do. */
static const T *K(side_by_side)(const T *row, ptrdiff_t step, ptrdiff_t count, T *space)
{
    if (!row || step == 1) return row;
    K(copy_strided)(space, row, count, step);
    return space;
}

/* The sums of a phase, finished, to where they belong; `space` is for two lines of pixels. */
static void K(store_phase)(const K(correlation) *job, ptrdiff_t n, const K(few_phase) *phase,
                           ptrdiff_t phase_h, ptrdiff_t phase_w, T *sums, ptrdiff_t line,
                           ptrdiff_t plane, T *space)
{
    ptrdiff_t step_h = fd_phases(&job->h), step_w = fd_phases(&job->w);
    ptrdiff_t step = step_w * job->out.pixel, width = phase->columns.end - phase->columns.begin;
    ptrdiff_t column = phase->columns.begin * step_w + phase_w;
    for (ptrdiff_t c = 0; phase->count && c < job->oc; c++)
        for (ptrdiff_t i = phase->rows.begin; i < phase->rows.end; i++) {
            T *from = sums + c * plane + (i - phase->rows.begin) * line;
            ptrdiff_t row = i * step_h + phase_h, oc = job->oc_first + c;
            T *to = K(at)(&job->out, n, row, column, oc);
            const T *start = job->residual.at ? K(at)(&job->residual, n, row, column, oc) : NULL;
            const T *gate = job->gate.at ? K(at)(&job->gate, n, row, column, oc) : NULL;
            start = K(side_by_side)(start, step, width, space);
            gate = K(side_by_side)(gate, step, width, space + line);
            if (start || gate || step == 1)
                K(finish)(from, NULL, start, gate, 0, width, step == 1 ? to : from);
            for (ptrdiff_t j = 0; step != 1 && j < width; j++) to[j * step] = from[j];
        }
}

/* Some images' inputs in these rows and columns. */
static void K(correlate_to_few)(const K(correlation) *job, ptrdiff_t n, ptrdiff_t images,
                                fd_range rows, fd_range columns)
{
    const ptrdiff_t room = FD_PIXEL_VECTORS(1) * VL;    /* tiles may go so far beyond the end */
    ptrdiff_t S = job->h.S, phases = S * job->w.S, planes = FD_MIN(job->c, K(PLANES));
    fd_range reach = fd_reach(&job->w, columns);
    ptrdiff_t line = FD_MAX(reach.end - reach.begin, 1);
    ptrdiff_t row_bytes = (planes + phases * job->oc) * line * (ptrdiff_t)sizeof(T);
    ptrdiff_t band = FD_MIN(FD_MAX(K(BAND_BYTES) / row_bytes, 1) * S, rows.end - rows.begin);
    fd_strip most = K(strip_of)(&job->h, &job->w, 1, (fd_range){0, band + S}, columns);
    ptrdiff_t plane = K(good_pitch)(fd_round_up(most.rows * line + VL, VL));
    ptrdiff_t sums_plane = (band / S + 2) * line + room, sums_size = job->oc * sums_plane;
    ptrdiff_t taps_size = job->h.K * job->w.K * (ptrdiff_t)sizeof(ptrdiff_t);
    char *memory = fd_scratch((size_t)fd_round_up(taps_size, 64) + (size_t)(planes * plane + room
                              + phases * sums_size + 2 * line) * sizeof(T));
    if (!memory) return;
    ptrdiff_t *taps = (ptrdiff_t *)memory;
    T *space = (T *)(memory + fd_round_up(taps_size, 64)), *sums = space + planes * plane + room;
    T *lines = sums + phases * sums_size;
    K(fill)(sums - room, room, 0);
    for (ptrdiff_t i = n; i < n + images; i++)
        for (fd_range some = {rows.begin, 0}; some.begin < rows.end; some.begin = some.end) {
            some.end = FD_MIN(some.begin + band, rows.end);
            fd_strip strip = K(strip_of)(&job->h, &job->w, 1, some, columns);
            strip.columns = line;
            for (ptrdiff_t first = 0; first < job->c; first += planes) {
                const T *w = job->packed;
                K(runs) p = {.plane = plane, .planes = FD_MIN(planes, job->c - first),
                             .taps = taps, .out = sums, .out_plane = sums_plane, .add = first > 0};
                K(lay_planes)(&job->in, i, &strip, job->c_first + first, p.planes, plane, space);
                for (ptrdiff_t h = 0; h < S; h++)
                    for (ptrdiff_t v = 0; v < job->w.S; v++, p.out += sums_size) {
                        K(few_phase) phase = K(find_phase)(job, &strip, some, columns, h, v, taps);
                        p.in = space + phase.in;
                        p.n_taps = phase.n_taps;
                        p.w = w + first * phase.n_taps * job->oc;
                        K(add_runs)(p, job->oc, phase.count);
                        w += job->c * phase.n_taps * job->oc;
                        if (first + planes >= job->c)
                            K(store_phase)(job, i, &phase, h, v, p.out, line, sums_plane,
                                           lines);
                    }
            }
        }
}
