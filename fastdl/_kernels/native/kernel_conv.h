/* Convolution as a matrix product that never writes im2col out, forward and backward to the input:
 *
 *   forward    y[pixel, oc] = sum over taps, c of  x[pixel + tap, c] * w[oc, c, tap]
 *   backward   dx[pixel, c] = sum over taps, oc of dy[pixel + tap, oc] * w[oc, c, turned tap]
 *
 * The register tile takes the pixels of a row as rows of `a`, wherever they lie channels-last:
 * in the maps themselves, or in a strip of them that is copied with its padding. A row of the
 * window is then one stretch of k. Backward with strides, the pixels at one place modulo stride (a
 * phase) meet the same taps: each phase is a window of its own, and no inserted zero is multiplied.
 */

enum { K(PANEL_BYTES) = 300 << 10 };    /* a panel of filters stays in L2, next to a strip */

/* One group of a pass. What is read may be x or dy, what is written y or dx. */
typedef struct {
    fd_slide h, w;
    ptrdiff_t c, oc;                    /* channels of the group, read and written */
    ptrdiff_t c_first, oc_first;
    K(maps) in, out, residual, gate;
    const T *packed, *bias;
    int relu;
} K(correlation);

/* Channels whose panel of filters stays in the cache. */
static inline ptrdiff_t K(chunk)(ptrdiff_t taps, ptrdiff_t c)
{
    ptrdiff_t most = FD_MAX(K(PANEL_BYTES) / (ptrdiff_t)(FD_MAX(taps, 1) * K(NR) * sizeof(T)), 1);
    ptrdiff_t parts = (c + most - 1) / most;
    return (c + parts - 1) / parts;
}

/* ---- the product ---- */

/* The strip that `slide`s reach from these outputs, without distances. */
static fd_strip K(strip_of)(const fd_slide *h, const fd_slide *w, ptrdiff_t images, fd_range rows,
                            fd_range columns)
{
    fd_range reach_h = fd_reach(h, rows), reach_w = fd_reach(w, columns);
    return (fd_strip){.images = images,
                      .first_row = reach_h.begin, .rows = reach_h.end - reach_h.begin,
                      .first_column = reach_w.begin, .columns = reach_w.end - reach_w.begin};
}

/* Set the distances of a strip of its own whose pixels are `pixel` apart. */
static void K(set_distances)(fd_strip *s, ptrdiff_t pixel)
{
    s->pixel = pixel;
    s->row = s->columns * pixel;
    s->image = s->rows * s->row;
}

/* Whether the strip can be read where it lies, and if so, how. */
static int K(lies_ready)(const K(maps) *maps, fd_strip *s)
{
    if (maps->argmax || maps->channel != 1 || K(good_pitch)(maps->pixel) != maps->pixel || s->first_row < 0
        || s->first_row + s->rows > maps->H || s->first_column < 0
        || s->first_column + s->columns > maps->W)
        return 0;
    s->image = maps->image, s->row = maps->row, s->pixel = maps->pixel;
    return 1;
}

/* The stretches of a window: its rows where these lie in one piece, else its taps. */
static ptrdiff_t K(find_stretches)(const fd_strip *s, const fd_axis *h, const fd_axis *w,
                                   ptrdiff_t first, ptrdiff_t channels, fd_stretch *stretches)
{
    int whole = w->dilation == 1 && channels == s->pixel;
    ptrdiff_t columns = whole ? 1 : w->size, length = whole ? w->size * channels : channels, n = 0;
    if (!w->size) return 0;
    for (ptrdiff_t kh = 0; kh < h->size; kh++)
        for (ptrdiff_t kw = 0; kw < columns; kw++, n++)
            stretches[n] = (fd_stretch){
                kh * h->dilation * s->row + kw * w->dilation * s->pixel + first,
                n * length, length};
    return n;
}

/* One phase: `a` is the strip's first pixel, `target` where the first of all outputs goes; `start`
 * and `gate` begin there, too. */
static void K(correlate_phase)(const K(correlation) *job, const fd_strip *strip, const T *a,
                               const K(maps) *target, const K(maps) *start, const K(maps) *gate,
                               fd_range rows, fd_range columns, ptrdiff_t phase_h,
                               ptrdiff_t phase_w, const T *packed, fd_stretch *stretches)
{
    fd_axis h = fd_axis_of(&job->h, phase_h), w = fd_axis_of(&job->w, phase_w);
    fd_range of_h = fd_of_phase(&job->h, phase_h, rows);
    fd_range of_w = fd_of_phase(&job->w, phase_w, columns);
    ptrdiff_t step_h = fd_phases(&job->h), step_w = fd_phases(&job->w);
    ptrdiff_t taps = h.size * w.size, c = taps ? job->c : 1, chunk = K(chunk)(taps, c), some;
    ptrdiff_t first_column = of_w.begin * step_w + phase_w - columns.begin;
    a += (of_w.begin * fd_step(&job->w) - w.padding - strip->first_column) * strip->pixel;
    for (ptrdiff_t first = 0; first < c; first += some) {
        some = FD_MIN(chunk, c - first);
        int finish = first + some == c;
        K(product) p = {.a_row = fd_step(&job->w) * strip->pixel, .a_step = 1, .b_second = VL,
                        .out_row = step_w * target->pixel,
                        .start_row = step_w * (first ? target : start)->pixel,
                        .gate_row = step_w * gate->pixel, .scale = 1,
                        .relu = job->relu && finish};
        ptrdiff_t each = K(find_stretches)(strip, &h, &w, first, some, stretches)
            / FD_MAX(h.size, 1);
        for (ptrdiff_t i = 0; i < K(panels)(job->oc); i++) {
            fd_range panel = K(panel)(job->oc, i);
            ptrdiff_t oc = panel.begin;
            p.b = packed + oc * some * taps;
            p.b_step = K(packed_width)(panel.end - oc);
            p.bias = first || !job->bias ? NULL : job->bias + oc;
            for (ptrdiff_t n = 0; n < strip->images; n++)
                for (ptrdiff_t i = of_h.begin; i < of_h.end; i++) {
                    ptrdiff_t row = i * step_h + phase_h - rows.begin;
                    ptrdiff_t top = i * fd_step(&job->h) - h.padding;
                    /* Rows of the window that lie in the padding are left out. */
                    fd_range inside = fd_inside(h.size, h.dilation, top, job->in.H);
                    p.stretches = stretches + inside.begin * each;
                    p.n_stretches = (inside.end - inside.begin) * each;
                    p.a = a + n * strip->image + (top - strip->first_row) * strip->row;
                    p.out = K(at)(target, n, row, first_column, oc);
                    p.start = first ? p.out
                        : start->at ? K(at)(start, n, row, first_column, oc) : NULL;
                    p.gate = gate->at && finish ? K(at)(gate, n, row, first_column, oc) : NULL;
                    K(multiply)(&p, K(APART), of_w.end - of_w.begin, panel.end - oc);
                }
        }
        packed += fd_round_up(job->oc, K(NR)) * some * taps;
    }
}

/* Planes, unless there are none, as pixels that lie like those of `target`, at `space`. */
static K(maps) K(gather_images)(const K(maps) *planes, ptrdiff_t images, ptrdiff_t channels,
                                K(maps) target, T *space)
{
    if (!planes->at) return *planes;
    for (ptrdiff_t i = 0; i < images; i++)
        K(gather_pixels)(planes, i, 0, 0, 0, channels, target.H * target.W,
                         space + i * target.image, target.pixel);
    target.at = space;
    return target;
}

/* Some images' outputs in these rows and columns: whole rows, or one. */
static void K(correlate)(const K(correlation) *job, ptrdiff_t n, ptrdiff_t images, fd_range rows,
                         fd_range columns)
{
    fd_strip strip = K(strip_of)(&job->h, &job->w, images, rows, columns);
    int ready = K(lies_ready)(&job->in, &strip), planar = job->out.channel != 1;
    if (!ready) K(set_distances)(&strip, K(good_pitch)(job->c));
    ptrdiff_t height = rows.end - rows.begin, width = columns.end - columns.begin;
    ptrdiff_t pitch = K(good_pitch)(job->oc);
    ptrdiff_t strip_size = ready ? 0 : K(strip_size)(&strip) + K(strip_extra)(&job->in, job->c);
    ptrdiff_t out_size = planar ? images * height * width * pitch : 0;
    ptrdiff_t stretches_size = fd_round_up(
        job->h.K * job->w.K * (ptrdiff_t)sizeof(fd_stretch), 64);
    char *memory = fd_scratch(
        (size_t)stretches_size
        + (size_t)(strip_size + (job->gate.at ? 2 : 1) * out_size) * sizeof(T));
    if (!memory) return;
    T *space = (T *)(memory + stretches_size);
    const T *a = space;
    if (ready)
        a = K(at)(&job->in, n, strip.first_row, strip.first_column, job->c_first);
    else
        K(lay_strip)(&job->in, n, &strip, job->c_first, job->c, space);
    K(maps) target = job->out, start = job->residual, gate = job->gate;
    target.at = K(at)(&target, n, rows.begin, columns.begin, job->oc_first);
    if (start.at) start.at = K(at)(&start, n, rows.begin, columns.begin, job->oc_first);
    if (gate.at) gate.at = K(at)(&gate, n, rows.begin, columns.begin, job->oc_first);
    if (planar) {
        target = (K(maps)){space + strip_size, height * width * pitch, width * pitch, pitch, 1,
                           height, width};
        start = K(gather_images)(&start, images, job->oc, target, target.at);
        gate = K(gather_images)(&gate, images, job->oc, target, target.at + out_size);
    }
    const T *packed = job->packed;
    for (ptrdiff_t h = 0; h < fd_phases(&job->h); h++)
        for (ptrdiff_t w = 0; w < fd_phases(&job->w); w++) {
            K(correlate_phase)(job, &strip, a, &target, &start, &gate, rows, columns, h, w,
                               packed, (fd_stretch *)memory);
            packed += fd_round_up(job->oc, K(NR)) * job->c * fd_axis_of(&job->h, h).size
                * fd_axis_of(&job->w, w).size;
        }
    for (ptrdiff_t i = 0; planar && i < images; i++)
        K(scatter_pixels)(&job->out, n + i, rows.begin, columns.begin, job->oc_first, job->oc,
                          height * width, target.at + i * target.image, pitch);
}

#include "kernel_conv_few.h"

/* ---- filters in panels: [phase][chunk of c][panel of oc][tap][c][NR] ---- */

/* One panel of one group. `c_step` and `oc_step` are distances in the filters `from`. */
static void K(pack_panel)(const fd_slide *slide_h, const fd_slide *slide_w, const T *from,
                          ptrdiff_t c, ptrdiff_t c_step, ptrdiff_t oc, ptrdiff_t oc_step,
                          fd_range panel, T *packed)
{
    ptrdiff_t columns = panel.end - panel.begin, width = K(packed_width)(columns);
    for (ptrdiff_t phase = 0; phase < fd_phases(slide_h) * fd_phases(slide_w); phase++) {
        fd_axis h = fd_axis_of(slide_h, phase / fd_phases(slide_w));
        fd_axis w = fd_axis_of(slide_w, phase % fd_phases(slide_w));
        ptrdiff_t taps = h.size * w.size, chunk = K(chunk)(taps, c), some;
        for (ptrdiff_t first = 0; first < c; first += some) {
            some = FD_MIN(chunk, c - first);
            T *to = packed + panel.begin * some * taps;
            for (ptrdiff_t t = 0; t < taps; t++, to += some * width) {
                ptrdiff_t kh = h.last - t / w.size * h.step, kw = w.last - t % w.size * w.step;
                K(pack)(from + panel.begin * oc_step + first * c_step + kh * slide_w->K + kw,
                        oc_step, c_step, columns, some, to);
            }
            packed += fd_round_up(oc, K(NR)) * some * taps;
        }
    }
}

/* Items: (group, 128 bytes of the channels that are written). */
static void K(pack_filters)(const fd_conv_args *args, int backward, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_window *w = &args->window;
    ptrdiff_t C = w->C / args->groups, OC = args->OC / args->groups, size = w->KH * w->KW;
    ptrdiff_t c = backward ? OC : C, oc = backward ? C : OC;
    ptrdiff_t blocks = fd_round_up(oc * (ptrdiff_t)sizeof(T), 128) / 128;
    fd_slide h = {w->KH, w->SH, w->PH, w->DH, backward};
    fd_slide v = {w->KW, w->SW, w->PW, w->DW, backward};
    for (ptrdiff_t item = begin; item < end; item++) {
        ptrdiff_t g = item / blocks;
        T *packed = (T *)args->packed + g * fd_round_up(oc, K(NR)) * c * size;
        if (backward && K(has_few_channels)(args)) {    /* one item a group */
            K(pack_few)(args, &h, &v, g, packed);
            continue;
        }
        fd_range panels = K(panels_of_item)(oc, item % blocks);
        for (ptrdiff_t i = panels.begin; i < panels.end; i++)
            K(pack_panel)(&h, &v, (const T *)args->w + g * OC * C * size, c,
                          backward ? C * size : size, oc, backward ? size : C * size,
                          K(panel)(oc, i), packed);
    }
}

static void K(conv2d_pack)(const void *args, ptrdiff_t begin, ptrdiff_t end)
{
    K(pack_filters)(args, 0, begin, end);
}

static void K(conv2d_backward_pack)(const void *args, ptrdiff_t begin, ptrdiff_t end)
{
    K(pack_filters)(args, 1, begin, end);
}

/* ---- the passes ---- */

/* Items: (group, images, part of the rows, part of the columns). */
static void K(correlate_items)(const fd_conv_args *args, K(correlation) job, const fd_window *w,
                               int few, ptrdiff_t begin, ptrdiff_t end)
{
    ptrdiff_t image_cells = (w->N + args->together - 1) / args->together;
    ptrdiff_t packed_group = fd_round_up(job.oc, K(NR)) * job.c * job.h.K * job.w.K;
    for (ptrdiff_t item = begin; item < end; item++) {
        ptrdiff_t column = item % args->column_parts, rest = item / args->column_parts;
        ptrdiff_t row = rest % args->row_parts, cell = rest / args->row_parts;
        ptrdiff_t n = cell % image_cells * args->together, g = cell / image_cells;
        fd_range rows = fd_part(job.out.H, 1, args->row_parts, row);
        fd_range columns = fd_part(job.out.W, 1, args->column_parts, column);
        if (rows.begin == rows.end || columns.begin == columns.end) continue;
        K(correlation) group = job;
        group.c_first = g * job.c;
        group.oc_first = g * job.oc;
        group.packed += g * packed_group;
        if (group.bias) group.bias += group.oc_first;
        ptrdiff_t images = FD_MIN(args->together, w->N - n);
        if (few)
            K(correlate_to_few)(&group, n, images, rows, columns);
        else
            K(correlate)(&group, n, images, rows, columns);
        if (args->moments)              /* whole rows, or a part of one: pixels that follow each other */
            K(take_moments)(args->moments, item, K(at)(&job.out, n, rows.begin, columns.begin, 0),
                            images * (rows.end - rows.begin) * (columns.end - columns.begin),
                            job.out.pixel, (fd_range){0, job.oc});
    }
}

static void K(conv2d)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_conv_args *args = p;
    const fd_window *w = &args->window;
    K(correlation) job = {
        .h = {w->KH, w->SH, w->PH, w->DH, 0}, .w = {w->KW, w->SW, w->PW, w->DW, 0},
        .c = w->C / args->groups, .oc = args->OC / args->groups,
        .in = K(maps_of)(args->x, w->C, w->H, w->W, args->channels_last),
        .out = K(maps_of)(args->y, args->OC, w->OH, w->OW, args->channels_last),
        .residual = K(maps_of)(args->residual, args->OC, w->OH, w->OW, args->channels_last),
        .packed = args->packed, .bias = args->b, .relu = args->relu};
    K(correlate_items)(args, job, w, 0, begin, end);
}

static void K(conv2d_backward_input)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_conv_args *args = p;
    const fd_window *w = &args->window;
    K(correlation) job = {
        .h = {w->KH, w->SH, w->PH, w->DH, 1}, .w = {w->KW, w->SW, w->PW, w->DW, 1},
        .c = args->OC / args->groups, .oc = w->C / args->groups,
        .in = K(gradients_of)(args->dy, args->argmax, w->N, args->OC, w->OH, w->OW,
                              args->channels_last),
        .out = K(maps_of)(args->dx, w->C, w->H, w->W, args->channels_last),
        .residual = K(maps_of)(args->residual, w->C, w->H, w->W, args->channels_last),
        .gate = K(maps_of)(args->gate, w->C, w->H, w->W, args->channels_last),
        .packed = args->packed};
    K(correlate_items)(args, job, w, K(has_few_channels)(args), begin, end);
}
