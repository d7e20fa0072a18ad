/* im2col and col2im: rows of the image are copied or added run by run. */

/* Start of the plane (n, c) or of one of its rows. */
static inline const T *K(plane)(const fd_window *w, const T *x, ptrdiff_t plane)
{
    return x + plane * w->H * w->W;
}

/* One line of `col`, the tap (kh, kw) of plane p at every output pixel. */
static void K(tap_from_plane)(const fd_window *w, const T *plane, ptrdiff_t kh, ptrdiff_t kw,
                              T *line)
{
    fd_range rows = fd_inside(w->OH, w->SH, kh * w->DH - w->PH, w->H);
    fd_range columns = fd_inside(w->OW, w->SW, kw * w->DW - w->PW, w->W);
    memset(line, 0, (size_t)(w->OH * w->OW) * sizeof(T));
    for (ptrdiff_t oh = rows.begin; oh < rows.end; oh++) {
        const T *row = plane + (oh * w->SH - w->PH + kh * w->DH) * w->W - w->PW + kw * w->DW;
        T *out = line + oh * w->OW;
        for (ptrdiff_t ow = columns.begin; ow < columns.end; ow++) out[ow] = row[ow * w->SW];
    }
}

/* Items: rows of output pixels (transpose), or lines of `col` (not). */
static void K(im2col)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_im2col_args *args = p;
    const fd_window *w = &args->window;
    const T *x = args->source;
    T *col = args->target;
    ptrdiff_t taps = w->KH * w->KW, line = w->C * taps;

    if (!args->transpose) {
        for (ptrdiff_t i = begin; i < end; i++)
            K(tap_from_plane)(w, K(plane)(w, x, i / taps), i % taps / w->KW, i % w->KW,
                              col + i * w->OH * w->OW);
        return;
    }
    for (ptrdiff_t i = begin; i < end; i++) {
        ptrdiff_t n = i / w->OH, oh = i % w->OH;
        fd_range kh_in = fd_inside(w->KH, w->DH, oh * w->SH - w->PH, w->H);
        for (ptrdiff_t ow = 0; ow < w->OW; ow++) {
            T *out = col + (i * w->OW + ow) * line;
            ptrdiff_t w0 = ow * w->SW - w->PW;
            fd_range kw_in = fd_inside(w->KW, w->DW, w0, w->W);
            if (kh_in.end - kh_in.begin < w->KH || kw_in.end - kw_in.begin < w->KW)
                memset(out, 0, (size_t)line * sizeof(T));
            for (ptrdiff_t c = 0; c < w->C; c++) {
                const T *plane = K(plane)(w, x, n * w->C + c);
                for (ptrdiff_t kh = kh_in.begin; kh < kh_in.end; kh++) {
                    const T *row = plane + (oh * w->SH - w->PH + kh * w->DH) * w->W + w0;
                    T *tap = out + (c * w->KH + kh) * w->KW;
                    for (ptrdiff_t kw = kw_in.begin; kw < kw_in.end; kw++) tap[kw] = row[kw * w->DW];
                }
            }
        }
    }
}

/* Items: planes of the image; each adds up its own, so no two threads meet. */
static void K(col2im)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_im2col_args *args = p;
    const fd_window *w = &args->window;
    const T *col = args->source;
    T *x = args->target;
    ptrdiff_t taps = w->KH * w->KW, pixels = w->OH * w->OW;
    /* Distance in `col` between two taps, and between two pixels. */
    ptrdiff_t tap_step = args->transpose ? 1 : pixels;
    ptrdiff_t pixel_step = args->transpose ? w->C * taps : 1;

    for (ptrdiff_t i = begin; i < end; i++) {
        T *plane = x + i * w->H * w->W;
        const T *fields = args->transpose
            ? col + i / w->C * pixels * pixel_step + i % w->C * taps
            : col + i * taps * pixels;
        memset(plane, 0, (size_t)(w->H * w->W) * sizeof(T));
        for (ptrdiff_t kh = 0; kh < w->KH; kh++) {
            fd_range rows = fd_inside(w->OH, w->SH, kh * w->DH - w->PH, w->H);
            for (ptrdiff_t kw = 0; kw < w->KW; kw++) {
                fd_range columns = fd_inside(w->OW, w->SW, kw * w->DW - w->PW, w->W);
                const T *tap = fields + (kh * w->KW + kw) * tap_step;
                for (ptrdiff_t oh = rows.begin; oh < rows.end; oh++) {
                    T *row = plane + (oh * w->SH - w->PH + kh * w->DH) * w->W - w->PW + kw * w->DW;
                    const T *line = tap + oh * w->OW * pixel_step;
                    for (ptrdiff_t ow = columns.begin; ow < columns.end; ow++)
                        row[ow * w->SW] += line[ow * pixel_step];
                }
            }
        }
    }
}
