/* Backward to the filters: dw[tap, c, oc] = sum over pixels of x[pixel + tap, c] * dy[pixel, oc].
 *
 * k runs along the pixels. The c of one tap lie side by side in a channels-last strip of x, and
 * those of the next tap follow them: they are the rows of the register tile, and the oc of dy its
 * columns. Nothing is transposed but dw itself, once.
 */

/* The rows of dy whose windows have row kh inside of the maps, as stretches of k. */
static ptrdiff_t K(rows_meeting)(const fd_window *w, const fd_strip *x, const fd_strip *dy,
                                 ptrdiff_t kh, fd_stretch *stretches)
{
    ptrdiff_t top = dy->first_row * w->SH - w->PH + kh * w->DH, n_stretches = 0;
    fd_range inside = fd_inside(dy->rows, w->SH, top, w->H);
    for (ptrdiff_t n = 0; n < dy->images; n++)
        for (ptrdiff_t i = inside.begin; i < inside.end; i++)
            stretches[n_stretches++] =
                (fd_stretch){n * x->image + i * w->SH * x->row,
                             (n * dy->image + i * dy->row) / dy->pixel, dy->columns};
    return n_stretches;
}

/* Part `part` of `parts` of what follows this strip in memory: likely the next one. */
static K(ahead) K(next_strip)(const fd_strip *strip, const T *p, ptrdiff_t part, ptrdiff_t parts)
{
    ptrdiff_t size = (strip->images - 1) * strip->image + (strip->rows - 1) * strip->row
        + strip->columns * strip->pixel;
    return K(part_ahead)(p + size, size, part, parts);
}

/* Sums over one strip, added to sums[tap, c][oc]. Where the strips lie `ready` in the maps, the
 * next one is asked for meanwhile. */
static void K(add_strip)(const fd_window *w, const fd_strip *x, const T *a, const fd_strip *dy,
                         const T *b, ptrdiff_t c, ptrdiff_t oc, int first, int ready, T *sums,
                         fd_stretch *stretches)
{
    int whole = w->DW == 1 && x->pixel == c;
    ptrdiff_t columns = whole ? 1 : w->KW, rows = whole ? w->KW * c : c;
    for (ptrdiff_t i = 0; i < K(panels)(oc); i++)
        for (ptrdiff_t t = 0; t < w->KH * columns; t++) {
            ptrdiff_t kh = t / columns, kw = t % columns;
            fd_range panel = K(panel)(oc, i);
            K(product) p = {.a = a + kh * w->DH * x->row + kw * w->DW * x->pixel, .a_row = 1,
                            .a_step = w->SW * x->pixel, .b = b + panel.begin,
                            .b_step = dy->pixel, .b_second = K(second)(panel.end - panel.begin),
                            .stretches = stretches,
                            .n_stretches = K(rows_meeting)(w, x, dy, kh, stretches),
                            .out = sums + t * rows * oc + panel.begin, .out_row = oc,
                            .start_row = oc, .scale = 1};
            p.start = first ? NULL : p.out;
            if (ready) {
                ptrdiff_t taps = w->KH * columns, parts = K(panels)(oc) * taps;
                p.ahead[0] = K(next_strip)(x, a, i * taps + t, parts);
                p.ahead[1] = K(next_strip)(dy, b, i * taps + t, parts);
                p.ahead_per_row = (p.ahead[0].size + p.ahead[1].size) / rows + 1;
            }
            K(multiply)(&p, K(ADJACENT), rows, panel.end - panel.begin);
        }
}

/* db[oc] += dy[pixel, oc] over a strip; oc is a vector at least, and the last overlaps. */
static void K(add_pixels)(const fd_strip *dy, const T *b, ptrdiff_t oc, T *db)
{
    for (ptrdiff_t j = 0; j < oc; j += VL) {
        ptrdiff_t first = FD_MIN(j, oc - VL);
        V sum = {0};
        for (ptrdiff_t n = 0; n < dy->images; n++)
            for (ptrdiff_t i = 0; i < dy->rows; i++) {
                const T *row = b + n * dy->image + i * dy->row + first;
                for (ptrdiff_t p = 0; p < dy->columns; p++) sum += K(load)(row + p * dy->pixel);
            }
        T total[FD_VBYTES / sizeof(T)];
        memcpy(total, &sum, sizeof total);
        for (ptrdiff_t o = j; o < FD_MIN(j + VL, oc); o++) db[o] += total[o - first];
    }
}

/* dw[oc, c, tap] = sums[tap, c][oc]: a line of sums goes to as many filters at a time. */
static void K(store_filters)(const T *sums, ptrdiff_t ld, ptrdiff_t size, ptrdiff_t c, ptrdiff_t oc,
                             T *dw)
{
    if (size == 1) {
        K(transpose)(sums, ld, c, oc, dw, c);
        return;
    }
    for (ptrdiff_t first = 0; first < oc; first += VL)
        for (ptrdiff_t i = 0; i < c; i++)
            for (ptrdiff_t t = 0; t < size; t++)
                for (ptrdiff_t o = first; o < FD_MIN(first + VL, oc); o++)
                    dw[(o * c + i) * size + t] = sums[(t * c + i) * ld + o];
}

/* Parts of the images and rows, for some of the output channels of a group. */
static void K(backward_weight)(const fd_conv_args *args, ptrdiff_t g, fd_range parts,
                               fd_range channels, T *dw, T *db)
{
    const fd_window *w = &args->window;
    ptrdiff_t c = w->C / args->groups, OC = args->OC / args->groups, size = w->KH * w->KW;
    ptrdiff_t some = channels.end - channels.begin, ld = FD_MAX(some, VL);
    ptrdiff_t c_first = g * c, oc_first = g * OC + channels.begin;
    K(maps) x = K(maps_of)(args->x, w->C, w->H, w->W, args->channels_last);
    K(maps) dy = K(gradients_of)(args->dy, args->argmax, w->N, args->OC, w->OH, w->OW,
                                 args->channels_last);
    fd_slide h = {w->KH, w->SH, w->PH, w->DH, 0}, v = {w->KW, w->SW, w->PW, w->DW, 0};
    fd_slide one = {1, 1, 0, 1, 0};     /* dy is read where it is, without a window */
    /* Room for the largest part. */
    fd_range most_h = {0, (w->OH + args->row_parts - 1) / args->row_parts};
    fd_range most_w = {0, (w->OW + args->column_parts - 1) / args->column_parts};
    fd_strip in = K(strip_of)(&h, &v, args->together, most_h, most_w);
    fd_strip out = K(strip_of)(&one, &one, args->together, most_h, most_w);
    K(set_distances)(&in, K(good_pitch)(c));
    K(set_distances)(&out, K(good_pitch)(ld));
    ptrdiff_t in_size = K(strip_size)(&in) + K(strip_extra)(&x, c);
    ptrdiff_t out_size = K(strip_size)(&out) + K(strip_extra)(&dy, some);
    ptrdiff_t sums_size = size * c * ld;
    ptrdiff_t stretches_size = fd_round_up(
        args->together * most_h.end * (ptrdiff_t)sizeof(fd_stretch), 64);
    char *memory = fd_scratch((size_t)stretches_size
                              + (size_t)(sums_size + ld + in_size + out_size) * sizeof(T));
    if (!memory) return;
    fd_stretch *stretches = (fd_stretch *)memory;
    T *sums = (T *)(memory + stretches_size), *bias = sums + sums_size, *in_space = bias + ld, *out_space = in_space + in_size;
    memset(bias, 0, (size_t)ld * sizeof(T));
    if (parts.begin == parts.end) memset(sums, 0, (size_t)sums_size * sizeof(T));
    for (ptrdiff_t part = parts.begin; part < parts.end; part++) {
        ptrdiff_t column = part % args->column_parts, rest = part / args->column_parts;
        ptrdiff_t n = rest / args->row_parts * args->together;
        ptrdiff_t images = FD_MIN(args->together, w->N - n);
        fd_range rows = fd_part(w->OH, 1, args->row_parts, rest % args->row_parts);
        fd_range columns = fd_part(w->OW, 1, args->column_parts, column);
        in = K(strip_of)(&h, &v, images, rows, columns);
        out = K(strip_of)(&one, &one, images, rows, columns);
        const T *a = in_space, *b = out_space;
        int ready = K(lies_ready)(&x, &in) && some >= VL && K(lies_ready)(&dy, &out);
        if (K(lies_ready)(&x, &in)) {
            a = K(at)(&x, n, in.first_row, in.first_column, c_first);
        } else {
            K(set_distances)(&in, K(good_pitch)(c));
            K(lay_strip)(&x, n, &in, c_first, c, in_space);
        }
        if (some >= VL && K(lies_ready)(&dy, &out)) {
            b = K(at)(&dy, n, rows.begin, columns.begin, oc_first);
        } else {
            K(set_distances)(&out, K(good_pitch)(ld));
            K(lay_strip)(&dy, n, &out, oc_first, some, out_space);
        }
        K(add_strip)(w, &in, a, &out, b, c, ld, part == parts.begin, ready, sums,
                     stretches);
        if (db) K(add_pixels)(&out, b, ld, bias);
    }
    K(store_filters)(sums, ld, size, c, some, dw + oc_first * c * size);
    if (db) K(copy)(db + oc_first, bias, some);
}

#include "kernel_conv_few_weight.h"

/* Items: (part of the images and rows, group, part of the output channels). Each part of the images
 * has its own dw and db, one after another; the caller adds them up. */
static void K(conv2d_backward_weight)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_conv_args *args = p;
    const fd_window *w = &args->window;
    ptrdiff_t OC = args->OC / args->groups, size = w->C / args->groups * w->KH * w->KW;
    ptrdiff_t cells = (w->N + args->together - 1) / args->together * args->row_parts
        * args->column_parts;
    for (ptrdiff_t item = begin; item < end; item++) {
        ptrdiff_t channel = item % args->channel_parts, rest = item / args->channel_parts;
        ptrdiff_t g = rest % args->groups, part = rest / args->groups;
        fd_range channels = fd_part(OC, K(NR), args->channel_parts, channel);
        if (channels.begin == channels.end) continue;
        fd_range cells_of_part = fd_part(cells, 1, args->dw_parts, part);
        T *dw = (T *)args->dw + part * args->OC * size;
        T *db = args->db ? (T *)args->db + part * args->OC : NULL;
        if (K(weight_from_planes)(args))
            K(backward_few_weight)(args, g, cells_of_part, channels, dw, db);
        else
            K(backward_weight)(args, g, cells_of_part, channels, dw, db);
    }
}
