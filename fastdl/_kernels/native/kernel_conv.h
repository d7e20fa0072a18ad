/* Convolution as a matrix product whose second operand is never written out: the packers below
 * gather its panels straight from the images (implicit im2col).
 *
 *   forward          y[oc, pixel]  = w[oc, tap] * field[tap, pixel]        tap = (c, kh, kw)
 *   backward input   dx[c, pixel]  = w[c, tap] * gradient[tap, pixel]      tap = (oc, kh, kw)
 *   backward weight  dw[oc, tap]   = dy[oc, pixel] * field[tap, pixel]^T
 */

/* Pixels of a packed panel that lie in one row of their plane. */
typedef struct {
    ptrdiff_t at, row, column, length;
} K(run);

static ptrdiff_t K(find_runs)(ptrdiff_t first, ptrdiff_t count, ptrdiff_t columns, K(run) *runs)
{
    ptrdiff_t found = 0;
    for (ptrdiff_t at = 0; at < count; found++) {
        ptrdiff_t column = (first + at) % columns;
        ptrdiff_t length = FD_MIN(columns - column, count - at);
        runs[found] = (K(run)){at, (first + at) / columns, column, length};
        at += length;
    }
    return found;
}

/* panel[tap, pixel] for `taps` taps from `tap` on and `count` output pixels from `first` on;
 * lines of the panel are `width` long, filled up with 0. `x` is one group of one image. */
static void K(gather_fields)(const fd_window *w, const T *x, ptrdiff_t tap, ptrdiff_t taps,
                             ptrdiff_t first, ptrdiff_t count, ptrdiff_t width, T *panel)
{
    K(run) runs[K(KC)];
    ptrdiff_t n_runs = K(find_runs)(first, count, w->OW, runs);
    fd_tap t = fd_tap_at(tap, w->KH, w->KW);
    for (; taps > 0; taps--, panel += width, fd_next_tap(&t, w->KH, w->KW)) {
        ptrdiff_t shift = t.kw * w->DW - w->PW;
        fd_range inside = fd_inside(w->OW, w->SW, shift, w->W);
        K(clear)(panel, width);
        for (ptrdiff_t r = 0; r < n_runs; r++) {
            ptrdiff_t h = runs[r].row * w->SH - w->PH + t.kh * w->DH;
            if (h < 0 || h >= w->H) continue;
            const T *row = x + (t.c * w->H + h) * w->W + shift;
            T *out = panel + runs[r].at - runs[r].column;
            ptrdiff_t begin = FD_MAX(runs[r].column, inside.begin);
            ptrdiff_t stop = FD_MIN(runs[r].column + runs[r].length, inside.end);
            if (w->SW == 1)
                K(copy)(out + begin, row + begin, stop - begin);
            else
                for (ptrdiff_t ow = begin; ow < stop; ow++) out[ow] = row[ow * w->SW];
        }
    }
}

/* The same for the way back: the pixels are those of the input, and each tap (oc, kh, kw) shows
 * the output gradient that it touched, if any. `dy` is one group of one image. */
static void K(gather_gradients)(const fd_window *w, const T *dy, ptrdiff_t tap, ptrdiff_t taps,
                                ptrdiff_t first, ptrdiff_t count, ptrdiff_t width, T *panel)
{
    K(run) runs[K(KC)];
    ptrdiff_t n_runs = K(find_runs)(first, count, w->W, runs);
    fd_tap t = fd_tap_at(tap, w->KH, w->KW);
    for (; taps > 0; taps--, panel += width, fd_next_tap(&t, w->KH, w->KW)) {
        ptrdiff_t shift = t.kw * w->DW - w->PW;
        K(clear)(panel, width);
        for (ptrdiff_t r = 0; r < n_runs; r++) {
            ptrdiff_t oh = runs[r].row + w->PH - t.kh * w->DH;
            if (w->SH != 1) oh = oh % w->SH ? -1 : oh / w->SH;
            if (oh < 0 || oh >= w->OH) continue;
            const T *row = dy + (t.c * w->OH + oh) * w->OW;
            T *out = panel + runs[r].at - runs[r].column + shift;
            /* Outputs whose tap falls on this run: column <= ow * SW + shift < column + length. */
            fd_range hit = fd_inside(w->OW, w->SW, shift - runs[r].column, runs[r].length);
            if (w->SW == 1)
                K(copy)(out + hit.begin, row + hit.begin, hit.end - hit.begin);
            else
                for (ptrdiff_t ow = hit.begin; ow < hit.end; ow++) out[ow * w->SW] = row[ow];
        }
    }
}

/* What the passes share: the group's sizes, and a thread's panels. */
typedef struct {
    ptrdiff_t c, oc, taps, pixels;      /* per group: input and output channels, c KH KW; OH OW */
} K(conv_sizes);

static K(conv_sizes) K(sizes_of)(const fd_conv_args *args)
{
    const fd_window *w = &args->window;
    ptrdiff_t c = w->C / args->groups;
    return (K(conv_sizes)){c, args->OC / args->groups, c * w->KH * w->KW, w->OH * w->OW};
}

typedef void (*K(gather))(const fd_window *, const T *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                          ptrdiff_t, T *);

/* out[rows x columns] += packed weights * gathered panels, for the pixels of one cell. */
static void K(conv_cell)(const fd_window *w, K(gather) gather, const T *image, ptrdiff_t rows,
                         ptrdiff_t taps, fd_range pixels, ptrdiff_t ld, const T *bias,
                         const T *packed_w, T *panels, T *out)
{
    for (ptrdiff_t j = pixels.begin; j < pixels.end; j += K(NC)) {
        ptrdiff_t nb = FD_MIN(pixels.end - j, K(NC));
        for (ptrdiff_t i = 0; i < rows; i++) {
            T start = bias ? bias[i] : 0;
            for (ptrdiff_t pixel = j; pixel < j + nb; pixel++) out[i * ld + pixel] = start;
        }
        for (ptrdiff_t k = 0; k < taps; k += K(KC)) {
            ptrdiff_t kb = FD_MIN(taps - k, K(KC));
            for (ptrdiff_t column = 0; column < nb; column += NR)
                gather(w, image, k, kb, j + column, FD_MIN(nb - column, NR), NR,
                       panels + column * kb);
            K(multiply)(rows, nb, kb, packed_w + fd_round_up(rows, MR) * k, panels, out + j, ld);
        }
    }
}

/* Items: (group, image, cell of pixels). */
static void K(conv2d)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_conv_args *args = p;
    const fd_window *w = &args->window;
    K(conv_sizes) size = K(sizes_of)(args);
    ptrdiff_t rows = fd_round_up(size.oc, MR), packed_group = -1;
    T *packed = fd_scratch((size_t)(rows * size.taps + K(KC) * K(NC)) * sizeof(T));
    if (!packed) return;
    for (ptrdiff_t item = begin; item < end; item++) {
        ptrdiff_t cell = item % args->grid_n, n = item / args->grid_n % w->N;
        ptrdiff_t g = item / args->grid_n / w->N;
        if (g != packed_group) {
            const T *weight = (const T *)args->w + g * size.oc * size.taps;
            for (ptrdiff_t k = 0; k < size.taps; k += K(KC))
                K(pack)(weight + k, size.taps, 1, size.oc, FD_MIN(size.taps - k, K(KC)), MR, 1,
                        packed + rows * k);
            packed_group = g;
        }
        const T *image = (const T *)args->x + (n * w->C + g * size.c) * w->H * w->W;
        K(conv_cell)(w, K(gather_fields), image, size.oc, size.taps,
                     fd_part(size.pixels, NR, args->grid_n, cell), size.pixels,
                     args->b ? (const T *)args->b + g * size.oc : NULL, packed,
                     packed + rows * size.taps,
                     (T *)args->y + (n * args->OC + g * size.oc) * size.pixels);
    }
}

/* Panels of w[c, (oc, kh, kw)] from w[oc, (c, kh, kw)]. */
static void K(pack_transposed_weights)(const T *weight, ptrdiff_t OC, ptrdiff_t C, ptrdiff_t window,
                                       T *packed)
{
    ptrdiff_t rows = fd_round_up(C, MR), taps = OC * window;
    memset(packed, 0, (size_t)(rows * taps) * sizeof(T));
    for (ptrdiff_t k = 0; k < taps; k++) {
        ptrdiff_t block = k / K(KC) * K(KC), kb = FD_MIN(taps - block, K(KC));
        T *panels = packed + rows * block + (k - block) * MR;
        const T *line = weight + k / window * C * window + k % window;
        for (ptrdiff_t c = 0; c < C; c++)
            panels[c / MR * MR * kb + c % MR] = line[c * window];
    }
}

/* Items: (group, image, cell of pixels). */
static void K(conv2d_backward_input)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_conv_args *args = p;
    const fd_window *w = &args->window;
    K(conv_sizes) size = K(sizes_of)(args);
    ptrdiff_t rows = fd_round_up(size.c, MR), taps = size.oc * w->KH * w->KW, packed_group = -1;
    ptrdiff_t plane = w->H * w->W;
    T *packed = fd_scratch((size_t)(rows * taps + K(KC) * K(NC)) * sizeof(T));
    if (!packed) return;
    for (ptrdiff_t item = begin; item < end; item++) {
        ptrdiff_t cell = item % args->grid_n, n = item / args->grid_n % w->N;
        ptrdiff_t g = item / args->grid_n / w->N;
        if (g != packed_group) {
            K(pack_transposed_weights)((const T *)args->w + g * size.oc * size.taps, size.oc,
                                       size.c, w->KH * w->KW, packed);
            packed_group = g;
        }
        const T *image = (const T *)args->dy + (n * args->OC + g * size.oc) * size.pixels;
        K(conv_cell)(w, K(gather_gradients), image, size.c, taps,
                     fd_part(plane, NR, args->grid_n, cell), plane, NULL, packed,
                     packed + rows * taps, (T *)args->dx + (n * w->C + g * size.c) * plane);
    }
}

static T K(sum)(const T *x, ptrdiff_t count)
{
    V sum = {0};
    ptrdiff_t i = 0;
    for (; i + VL <= count; i += VL) sum += K(load)(x + i);
    T total = K(lanes_sum)(sum);
    for (; i < count; i++) total += x[i];
    return total;
}

/* Items: (group, cell of the grid over dw); each cell runs over all images by itself. */
static void K(conv2d_backward_weight)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_conv_args *args = p;
    const fd_window *w = &args->window;
    K(conv_sizes) size = K(sizes_of)(args);
    ptrdiff_t cells = args->grid_m * args->grid_n;
    T *packed_a = fd_scratch((size_t)((K(MC) + K(NC) + NR) * K(KC)) * sizeof(T));
    if (!packed_a) return;
    T *packed_b = packed_a + K(MC) * K(KC), *lines = packed_b + K(NC) * K(KC);
    for (ptrdiff_t item = begin; item < end; item++) {
        ptrdiff_t g = item / cells;
        fd_range rows = fd_part(size.oc, MR, args->grid_m, item % cells / args->grid_n);
        fd_range taps = fd_part(size.taps, NR, args->grid_n, item % args->grid_n);
        T *dw = (T *)args->dw + g * size.oc * size.taps;
        for (ptrdiff_t i = rows.begin; i < rows.end; i++)
            memset(dw + i * size.taps + taps.begin, 0,
                   (size_t)(taps.end - taps.begin) * sizeof(T));
        for (ptrdiff_t n = 0; n < w->N; n++) {
            const T *dy = (const T *)args->dy + (n * args->OC + g * size.oc) * size.pixels;
            const T *x = (const T *)args->x + (n * w->C + g * size.c) * w->H * w->W;
            for (ptrdiff_t j = taps.begin; j < taps.end; j += K(NC))
                for (ptrdiff_t k = 0; k < size.pixels; k += K(KC)) {
                    ptrdiff_t nb = FD_MIN(taps.end - j, K(NC));
                    ptrdiff_t kb = FD_MIN(size.pixels - k, K(KC));
                    for (ptrdiff_t column = 0; column < nb; column += NR) {
                        ptrdiff_t here = FD_MIN(nb - column, NR);
                        K(gather_fields)(w, x, j + column, here, k, kb, kb, lines);
                        K(pack)(lines, kb, 1, here, kb, NR, 1, packed_b + column * kb);
                    }
                    for (ptrdiff_t i = rows.begin; i < rows.end; i += K(MC)) {
                        ptrdiff_t mb = FD_MIN(rows.end - i, K(MC));
                        K(pack)(dy + i * size.pixels + k, size.pixels, 1, mb, kb, MR, 1, packed_a);
                        K(multiply)(mb, nb, kb, packed_a, packed_b, dw + i * size.taps + j,
                                    size.taps);
                    }
                }
        }
        if (args->db && taps.begin == 0)
            for (ptrdiff_t i = g * size.oc + rows.begin; i < g * size.oc + rows.end; i++) {
                T total = 0;
                for (ptrdiff_t n = 0; n < w->N; n++)
                    total += K(sum)((const T *)args->dy + (n * args->OC + i) * size.pixels,
                                    size.pixels);
                ((T *)args->db)[i] = total;
            }
    }
}

/* ---- depthwise: one input channel a group, too thin for a matrix product ---- */

/* What tap (kh, kw) does: for each output row it reaches, the part of the row that lies inside. */
#define FOR_EACH_ROW_OF_TAP(w, kh, kw)                                                            \
    for (fd_range rows = fd_inside((w)->OH, (w)->SH, (kh) * (w)->DH - (w)->PH, (w)->H),           \
                  columns = fd_inside((w)->OW, (w)->SW, (kw) * (w)->DW - (w)->PW, (w)->W);        \
         rows.begin < rows.end; rows.begin++)

static inline ptrdiff_t K(input_at)(const fd_window *w, ptrdiff_t oh, ptrdiff_t kh, ptrdiff_t kw)
{
    return (oh * w->SH - w->PH + kh * w->DH) * w->W - w->PW + kw * w->DW;
}

/* Items: planes of y. */
static void K(conv2d_depthwise)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_conv_args *args = p;
    const fd_window *w = &args->window;
    ptrdiff_t pixels = w->OH * w->OW, multiplier = args->OC / w->C;
    for (ptrdiff_t i = begin; i < end; i++) {
        ptrdiff_t n = i / args->OC, oc = i % args->OC;
        const T *x = (const T *)args->x + (n * w->C + oc / multiplier) * w->H * w->W;
        const T *weight = (const T *)args->w + oc * w->KH * w->KW;
        T *y = (T *)args->y + i * pixels, bias = args->b ? ((const T *)args->b)[oc] : 0;
        for (ptrdiff_t pixel = 0; pixel < pixels; pixel++) y[pixel] = bias;
        for (ptrdiff_t kh = 0; kh < w->KH; kh++)
            for (ptrdiff_t kw = 0; kw < w->KW; kw++) {
                T factor = weight[kh * w->KW + kw];
                FOR_EACH_ROW_OF_TAP(w, kh, kw) {
                    const T *row = x + K(input_at)(w, rows.begin, kh, kw);
                    T *out = y + rows.begin * w->OW;
                    for (ptrdiff_t ow = columns.begin; ow < columns.end; ow++)
                        out[ow] += factor * row[ow * w->SW];
                }
            }
    }
}

/* Items: planes of dx. */
static void K(conv2d_depthwise_backward_input)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_conv_args *args = p;
    const fd_window *w = &args->window;
    ptrdiff_t pixels = w->OH * w->OW, multiplier = args->OC / w->C;
    for (ptrdiff_t i = begin; i < end; i++) {
        T *dx = (T *)args->dx + i * w->H * w->W;
        memset(dx, 0, (size_t)(w->H * w->W) * sizeof(T));
        for (ptrdiff_t m = 0; m < multiplier; m++) {
            const T *dy = (const T *)args->dy + (i * multiplier + m) * pixels;
            const T *weight = (const T *)args->w + (i % w->C * multiplier + m) * w->KH * w->KW;
            for (ptrdiff_t kh = 0; kh < w->KH; kh++)
                for (ptrdiff_t kw = 0; kw < w->KW; kw++) {
                    T factor = weight[kh * w->KW + kw];
                    FOR_EACH_ROW_OF_TAP(w, kh, kw) {
                        T *row = dx + K(input_at)(w, rows.begin, kh, kw);
                        const T *line = dy + rows.begin * w->OW;
                        for (ptrdiff_t ow = columns.begin; ow < columns.end; ow++)
                            row[ow * w->SW] += factor * line[ow];
                    }
                }
        }
    }
}

static T K(dot)(const T *a, const T *b, ptrdiff_t stride, ptrdiff_t count)
{
    T total = 0;
    ptrdiff_t i = 0;
    if (stride == 1) {
        V sum = {0};
        for (; i + VL <= count; i += VL) sum += K(load)(a + i) * K(load)(b + i);
        total = K(lanes_sum)(sum);
    }
    for (; i < count; i++) total += a[i] * b[i * stride];
    return total;
}

/* Items: output channels. */
static void K(conv2d_depthwise_backward_weight)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_conv_args *args = p;
    const fd_window *w = &args->window;
    ptrdiff_t pixels = w->OH * w->OW, multiplier = args->OC / w->C, taps = w->KH * w->KW;
    for (ptrdiff_t oc = begin; oc < end; oc++) {
        T *dw = (T *)args->dw + oc * taps, db = 0;
        memset(dw, 0, (size_t)taps * sizeof(T));
        for (ptrdiff_t n = 0; n < w->N; n++) {
            const T *dy = (const T *)args->dy + (n * args->OC + oc) * pixels;
            const T *x = (const T *)args->x + (n * w->C + oc / multiplier) * w->H * w->W;
            db += K(sum)(dy, pixels);
            for (ptrdiff_t kh = 0; kh < w->KH; kh++)
                for (ptrdiff_t kw = 0; kw < w->KW; kw++)
                    FOR_EACH_ROW_OF_TAP(w, kh, kw)
                        dw[kh * w->KW + kw] += K(dot)(
                            dy + rows.begin * w->OW + columns.begin,
                            x + K(input_at)(w, rows.begin, kh, kw) + columns.begin * w->SW, w->SW,
                            columns.end - columns.begin);
        }
        if (args->db) ((T *)args->db)[oc] = db;
    }
}
#undef FOR_EACH_ROW_OF_TAP
