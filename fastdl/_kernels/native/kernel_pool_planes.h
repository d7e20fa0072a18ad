/* Pooling of maps (N, C, H, W), forward: vectors over the columns of a row.
 *
 * A band of rows at a time is laid out in scratch, with its padding, the cells sorted by their
 * place modulo stride: what neighbouring windows read lies side by side then, and each tap a fixed
 * distance away. What does not fill a vector runs over into the next row, which comes after; only
 * where the array, or this thread's part of it, ends must a vector be cut. */

enum { K(BAND) = 16384 / sizeof(T) };   /* elements that are laid out at once: they stay in L1 */

typedef struct {
    ptrdiff_t rows;                     /* of outputs, at once */
    ptrdiff_t line;                     /* cells of a row, of one place modulo stride */
    ptrdiff_t phases_h, phases_w;       /* places that are read, of a column and of a row */
    ptrdiff_t phase;                    /* cells of a place */
    int joined;                         /* the lines of a band are one */
    T *space;
    K(tap) *taps;
    fd_range *inside;                   /* of each place of a row, the cells inside the plane */
    T *columns;                         /* for each output of a line what its average counts */
    INT *first_kw;                      /* and its first tap inside the plane */
} K(band);

FD_INLINE void K(count_columns)(const fd_pool_args *args, T *columns)
{
    for (ptrdiff_t i = 0; i < args->window.OW; i++) columns[i] = K(counted_columns)(args, i);
}

FD_INLINE int K(prepare_band)(const fd_pool_args *args, K(band) *band)
{
    const fd_window *w = &args->window;
    ptrdiff_t reach_h = (w->KH - 1) / w->SH, reach_w = (w->KW - 1) / w->SW;
    ptrdiff_t taps = w->KH * w->KW;
    band->phases_h = FD_MIN(w->SH, w->KH);
    band->phases_w = FD_MIN(w->SW, w->KW);
    band->line = w->OW + reach_w;
    ptrdiff_t rows = K(BAND) / (band->phases_h * band->phases_w * band->line) - reach_h;
    band->rows = FD_MAX(FD_MIN(rows, w->OH), 1);
    band->phase = (band->rows + reach_h) * band->line + 2 * VL;
    /* No window leaves anything of a line to the next, and all have as many rows inside. */
    band->joined = reach_w == 0 && w->PH == 0 && (w->OH - 1) * w->SH + w->KH <= w->H;

    ptrdiff_t cells = band->phases_h * band->phases_w * band->phase;
    ptrdiff_t outputs = (band->joined ? band->rows : 1) * w->OW + VL;
    char *memory = fd_scratch((size_t)taps * sizeof(K(tap))
                              + (size_t)band->phases_w * sizeof(fd_range)
                              + (size_t)(cells + outputs) * sizeof(T)
                              + (size_t)outputs * sizeof(INT));
    if (!memory) return 0;
    band->taps = (K(tap) *)memory;
    band->inside = (fd_range *)(band->taps + taps);
    band->space = (T *)(band->inside + band->phases_w);
    band->columns = band->space + cells;
    band->first_kw = (INT *)(band->columns + outputs);
    for (ptrdiff_t i = 0; i < taps; i++) {
        ptrdiff_t kh = i / w->KW, kw = i % w->KW;
        ptrdiff_t phase = kh % w->SH * band->phases_w + kw % w->SW;
        band->taps[i] = (K(tap)){
            phase * band->phase + kh / w->SH * band->line + kw / w->SW, (INT)i, 0};
    }
    for (ptrdiff_t p = 0; p < band->phases_w; p++)
        band->inside[p] = fd_inside(band->line, w->SW, p - w->PW, w->W);
    K(count_columns)(args, band->columns);
    for (ptrdiff_t i = 0; i < w->OW; i++) band->first_kw[i] = (INT)FD_MAX(w->PW - i * w->SW, 0);
    for (ptrdiff_t i = w->OW; i < outputs - VL; i++) {
        band->columns[i] = band->columns[i - w->OW];
        band->first_kw[i] = band->first_kw[i - w->OW];
    }
    return 1;
}

/* The row that begins at element `at` of x, place by place. With stride 2 both places at once. */
FD_INLINE void K(lay_out_columns)(const fd_window *w, const K(band) *band, const T *x,
                                  ptrdiff_t at, ptrdiff_t size, T padding, T *out)
{
    ptrdiff_t count = FD_MIN((w->W + 1) / 2, band->line - w->PW / 2);
    int pairs = w->SW == 2 && band->phases_w == 2 && at + 2 * count + 2 * VL <= size;
    if (pairs) {
        T *even = out + w->PW % 2 * band->phase + w->PW / 2;
        T *odd = out + (w->PW + 1) % 2 * band->phase + (w->PW + 1) / 2;
        for (ptrdiff_t i = 0; i < count; i += VL) {
            V first = K(load)(x + at + 2 * i), second = K(load)(x + at + 2 * i + VL);
            K(store)(even + i, K(even)(first, second));
            K(store)(odd + i, K(odd)(first, second));
        }
    }
    for (ptrdiff_t p = 0; p < band->phases_w; p++, out += band->phase) {
        fd_range in = band->inside[p];
        K(fill)(out, in.begin, padding);
        if (!pairs)
            K(copy_strided)(out + in.begin, x + at + in.begin * w->SW + p - w->PW,
                            in.end - in.begin, w->SW);
        K(fill)(out + in.end, band->line - in.end, padding);
    }
}

/* What `rows` rows of outputs of a plane read, from row `oh` on, in the order of the plane. */
FD_INLINE void K(lay_out_band)(const fd_pool_args *args, const K(band) *band, ptrdiff_t plane,
                               ptrdiff_t oh, ptrdiff_t rows, T padding)
{
    const fd_window *w = &args->window;
    ptrdiff_t size = w->N * w->C * w->H * w->W, place = band->phases_w * band->phase;
    ptrdiff_t h = oh * w->SH - w->PH, left = (rows - 1) * w->SH + w->KH;
    T *line = band->space;
    for (; left > 0; h += w->SH, left -= w->SH, line += band->line)
        for (ptrdiff_t p = 0; p < FD_MIN(band->phases_h, left); p++)
            if (h + p >= 0 && h + p < w->H)
                K(lay_out_columns)(w, band, args->x, (plane * w->H + h + p) * w->W, size, padding,
                                   line + p * place);
            else
                for (ptrdiff_t v = 0; v < band->phases_w; v++)
                    K(fill)(line + p * place + v * band->phase, band->line, padding);
}

/* `count` outputs of row `oh`, or from there on if lines are joined; from element `at` on in y,
 * which goes on to `end`, and from `from` on in the band. */
FD_INLINE void K(pool_line)(const fd_pool_args *args, const K(band) *band, ptrdiff_t oh,
                            ptrdiff_t from, ptrdiff_t count, ptrdiff_t at, ptrdiff_t end,
                            int maximum)
{
    const fd_window *w = &args->window;
    ptrdiff_t taps = w->KH * w->KW;
    INT first_row = (INT)(FD_MAX(w->PH - oh * w->SH, 0) * w->KW);
    T rows = K(counted_rows)(args, oh);
    for (ptrdiff_t i = 0; i < count; i += VL)
        if (maximum) {
            K(ivec) argmax;
            memcpy(&argmax, band->first_kw + i, sizeof argmax);
            argmax += first_row;
            V best;
            K(largest)(band->space, from + i, NO_END, band->taps, taps, 1, &best, &argmax);
            K(put)(args, at + i, end, best);
            K(put_argmax)(args, at + i, end, argmax);
        } else {
            V sum = K(total)(band->space, from + i, NO_END, band->taps, taps);
            K(put)(args, at + i, end, sum / (rows * K(load)(band->columns + i)));
        }
}

/* Items: rows of outputs. */
FD_INLINE void K(pool_planes)(const fd_pool_args *args, ptrdiff_t begin, ptrdiff_t end,
                              int maximum)
{
    const fd_window *w = &args->window;
    K(band) band;
    if (!K(prepare_band)(args, &band)) return;
    for (ptrdiff_t row = begin, rows; row < end; row += rows) {
        ptrdiff_t oh = row % w->OH;
        rows = FD_MIN(FD_MIN(band.rows, w->OH - oh), end - row);
        K(lay_out_band)(args, &band, row / w->OH, oh, rows, maximum ? (T)-INFINITY : 0);
        if (band.joined)
            K(pool_line)(args, &band, oh, 0, rows * w->OW, row * w->OW, end * w->OW, maximum);
        else
            for (ptrdiff_t i = 0; i < rows; i++)
                K(pool_line)(args, &band, oh + i, i * band.line, w->OW, (row + i) * w->OW,
                             end * w->OW, maximum);
    }
}
