/* Pooling of channels-last maps: vectors over the channels of a pixel. What does not fill a vector
 * runs over into the next pixel, which comes after; only where the array, or this thread's part of
 * it, ends must a vector be cut. */

/* The cells inside the image, of a window whose first cell is at 0. */
FD_INLINE ptrdiff_t K(cells_of_window)(const fd_window *w, fd_range kh, fd_range kw, K(tap) *taps)
{
    ptrdiff_t count = 0;
    for (ptrdiff_t h = kh.begin; h < kh.end; h++)
        for (ptrdiff_t v = kw.begin; v < kw.end; v++)
            taps[count++] = (K(tap)){(h * w->W + v) * w->C, (INT)(h * w->KW + v), 0};
    return count;
}

/* Maxima of some vectors of channels from element `at` on, whose windows begin at `corner`; y goes
 * on to `end`. */
FD_INLINE void K(max_channels)(const fd_pool_args *args, ptrdiff_t corner, ptrdiff_t cells,
                               const K(tap) *taps, ptrdiff_t count, const int vectors,
                               ptrdiff_t at, ptrdiff_t end)
{
    V best[K(ABREAST)];
    K(ivec) argmax[K(ABREAST)];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) argmax[v] = (K(ivec)){0} + (count ? taps[0].number : 0);
    K(largest)(args->x, corner, cells, taps, count, vectors, best, argmax);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        K(put)(args, at + v * VL, end, best[v]);
        K(put_argmax)(args, at + v * VL, end, argmax[v]);
    }
}

/* All channels of a pixel. */
FD_INLINE void K(pool_pixel)(const fd_pool_args *args, ptrdiff_t corner, ptrdiff_t cells,
                             const K(tap) *taps, ptrdiff_t count, T divisor, ptrdiff_t at,
                             ptrdiff_t end, int maximum)
{
    for (ptrdiff_t c = 0; c < args->window.C; c += VL)
        if (maximum) {
            K(max_channels)(args, corner + c, cells, taps, count, 1, at + c, end);
        } else {
            V sum = K(total)(args->x, corner + c, cells, taps, count);
            K(put)(args, at + c, end, sum / divisor);
        }
}

/* Ask for what the window below that of `corner` reads first, a row of outputs ahead: too many
 * streams for the processor to see it coming. In the caches it would only cost. */
enum { K(FAR_CELLS) = (16 << 20) / sizeof(T) };

FD_INLINE void K(ask_for_next)(const fd_pool_args *args, ptrdiff_t corner, ptrdiff_t cells)
{
    const fd_window *w = &args->window;
    ptrdiff_t below = corner + w->KH * w->W * w->C;
    for (ptrdiff_t h = 0; h < w->SH; h++, below += w->W * w->C)
        K(fetch)((const T *)args->x + below, FD_MIN(w->SW * w->C, cells - below));
}

/* Items: rows of outputs. */
FD_INLINE void K(pool_pixels)(const fd_pool_args *args, ptrdiff_t begin, ptrdiff_t end,
                              int maximum)
{
    const fd_window *w = &args->window;
    ptrdiff_t cells = w->N * w->H * w->W * w->C, line = w->OW * w->C, count = 0;
    ptrdiff_t block = K(ABREAST) * VL;
    int far = cells > K(FAR_CELLS), wide = maximum && w->C % block == 0;
    K(tap) *taps = fd_scratch((size_t)(w->KH * w->KW) * sizeof *taps);
    if (!taps) return;
    for (ptrdiff_t row = begin; row < end; row++) {
        ptrdiff_t oh = row % w->OH, h = oh * w->SH - w->PH;
        T rows = (T)fd_counted(oh, w->SH, w->PH, w->KH, w->H, args->count_include_pad);
        fd_range kh = fd_inside(w->KH, 1, h, w->H), listed = {-1, -1};
        for (ptrdiff_t ow = 0; ow < w->OW; ow++) {
            ptrdiff_t v = ow * w->SW - w->PW, at = row * line + ow * w->C;
            ptrdiff_t corner = ((row / w->OH * w->H + h) * w->W + v) * w->C;
            fd_range kw = fd_inside(w->KW, 1, v, w->W);
            if (kw.begin != listed.begin || kw.end != listed.end) {
                count = K(cells_of_window)(w, kh, kw, taps);
                listed = kw;
            }
            if (far && corner >= 0) K(ask_for_next)(args, corner, cells);
            T divisor = rows * (T)fd_counted(ow, w->SW, w->PW, w->KW, w->W,
                                             args->count_include_pad);
            if (count && wide)
                for (ptrdiff_t c = 0; c < w->C; c += block)
                    K(max_channels)(args, corner + c, NO_END, taps, count, K(ABREAST), at + c,
                                    end * line);
            else if (count && corner + taps[count - 1].offset + w->C + VL <= cells)
                K(pool_pixel)(args, corner, NO_END, taps, count, divisor, at, end * line, maximum);
            else
                K(pool_pixel)(args, corner, cells, taps, count, divisor, at, end * line, maximum);
        }
    }
}

/* ---- backward: each input pixel gathers from the windows over it ---- */

/* The windows over pixel (h, v) of an image: rows `oh` and columns `ow` of its outputs. */
FD_INLINE ptrdiff_t K(windows_of_pixel)(const fd_pool_args *args, ptrdiff_t h, fd_range oh,
                                        ptrdiff_t v, fd_range ow, K(tap) *taps, int maximum)
{
    const fd_window *w = &args->window;
    int include_pad = args->count_include_pad;
    ptrdiff_t count = 0;
    for (ptrdiff_t i = oh.begin; i < oh.end; i++)
        for (ptrdiff_t j = ow.begin; j < ow.end; j++) {
            K(tap) tap = {(i * w->OW + j) * w->C, 0, 0};
            tap.number = (INT)((h + w->PH - i * w->SH) * w->KW + v + w->PW - j * w->SW);
            if (!maximum)
                tap.share = 1 / ((T)fd_counted(i, w->SH, w->PH, w->KH, w->H, include_pad)
                                 * (T)fd_counted(j, w->SW, w->PW, w->KW, w->W, include_pad));
            taps[count++] = tap;
        }
    return count;
}

/* Gradients of one input pixel, from element `at` on; its image's outputs begin at `first`. */
FD_INLINE void K(gather_pixel)(const fd_pool_args *args, ptrdiff_t first, ptrdiff_t outputs,
                               const K(tap) *taps, ptrdiff_t count, ptrdiff_t at, ptrdiff_t end,
                               int maximum)
{
    for (ptrdiff_t c = 0; c < args->window.C; c += VL) {
        V sum = {0};
        for (ptrdiff_t i = 0; i < count; i++) {
            ptrdiff_t from = first + taps[i].offset + c;
            V dy = K(get_dy)(args, from, outputs);
            if (maximum)
                sum += K(chosen)(dy, K(get_argmax)(args, from, outputs), taps[i].number);
            else
                sum += dy * taps[i].share;
        }
        K(put)(args, at + c, end, sum);
    }
}

/* Items: rows of inputs. */
FD_INLINE void K(gather_in_pixels)(const fd_pool_args *args, ptrdiff_t begin, ptrdiff_t end,
                                int maximum)
{
    const fd_window *w = &args->window;
    ptrdiff_t image = w->OH * w->OW * w->C, outputs = w->N * image, line = w->W * w->C;
    ptrdiff_t most = (w->KH / w->SH + 1) * (w->KW / w->SW + 1);
    K(tap) *taps = fd_scratch((size_t)most * sizeof *taps + (size_t)w->W * sizeof(fd_range));
    if (!taps) return;
    fd_range *ow = (fd_range *)(taps + most);
    for (ptrdiff_t v = 0; v < w->W; v++) ow[v] = fd_covering(v + w->PW, w->OW, w->SW, w->KW);
    for (ptrdiff_t row = begin; row < end; row++) {
        ptrdiff_t h = row % w->H, first = row / w->H * image;
        fd_range oh = fd_covering(h + w->PH, w->OH, w->SH, w->KH);
        for (ptrdiff_t v = 0; v < w->W; v++) {
            ptrdiff_t count = K(windows_of_pixel)(args, h, oh, v, ow[v], taps, maximum);
            ptrdiff_t at = row * line + v * w->C;
            if (!count || first + taps[count - 1].offset + w->C + (ptrdiff_t)FD_VBYTES <= outputs)
                K(gather_pixel)(args, first, NO_END, taps, count, at, end * line, maximum);
            else
                K(gather_pixel)(args, first, outputs, taps, count, at, end * line, maximum);
        }
    }
}
