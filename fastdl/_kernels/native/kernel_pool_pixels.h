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

/* ---- backward: each input pixel gathers from the windows over it ----
 *
 * Pixels of a row are taken by their place modulo stride. Neighbours in such a row have windows over
 * them in the same distance, wherever no window is missing at an edge: they make a run, for which
 * the windows are listed once. */

typedef struct {
    ptrdiff_t v, pixels;                /* every SW-th from pixel v on */
    fd_range ow;                        /* the windows over the first of them */
} K(run);

/* Whether the windows over the next pixel of a run are the next ones, and give it as much. */
FD_INLINE int K(runs_on)(const fd_pool_args *args, fd_range ow, fd_range next)
{
    if (next.end - next.begin != ow.end - ow.begin) return 0;
    for (ptrdiff_t i = ow.begin, j = next.begin; i < ow.end; i++, j++)
        if (j != i + 1 || K(counted_columns)(args, i) != K(counted_columns)(args, j)) return 0;
    return 1;
}

FD_INLINE ptrdiff_t K(find_runs)(const fd_pool_args *args, K(run) *runs)
{
    const fd_window *w = &args->window;
    ptrdiff_t count = 0;
    for (ptrdiff_t place = 0; place < FD_MIN(w->SW, w->W); place++) {
        fd_range last = {0, 0};
        for (ptrdiff_t v = place; v < w->W; v += w->SW) {
            fd_range ow = fd_covering(v + w->PW, w->OW, w->SW, w->KW);
            if (v > place && K(runs_on)(args, last, ow))
                runs[count - 1].pixels++;
            else
                runs[count++] = (K(run)){v, 1, ow};
            last = ow;
        }
    }
    return count;
}

/* The windows over pixel (h, v) of an image: rows `oh` and columns `ow` of its outputs. */
FD_INLINE ptrdiff_t K(windows_of_pixel)(const fd_pool_args *args, ptrdiff_t h, fd_range oh,
                                        ptrdiff_t v, fd_range ow, K(tap) *taps, int maximum)
{
    const fd_window *w = &args->window;
    ptrdiff_t count = 0;
    for (ptrdiff_t i = oh.begin; i < oh.end; i++)
        for (ptrdiff_t j = ow.begin; j < ow.end; j++) {
            K(tap) tap = {(i * w->OW + j) * w->C, 0, 0};
            tap.number = (INT)((h + w->PH - i * w->SH) * w->KW + v + w->PW - j * w->SW);
            if (!maximum)
                tap.share = 1 / (K(counted_rows)(args, i) * K(counted_columns)(args, j));
            taps[count++] = tap;
        }
    return count;
}

/* Gradients of a vector of channels, under `count` windows; `from` in their image's outputs. */
FD_INLINE V K(gather_channels)(const fd_pool_args *args, ptrdiff_t from, ptrdiff_t outputs,
                               const K(tap) *taps, const ptrdiff_t count, int maximum)
{
    V sum = {0};
#pragma GCC unroll 4
    for (ptrdiff_t i = 0; i < count; i++) {
        ptrdiff_t at = from + taps[i].offset;
        V dy = K(get_dy)(args, at, outputs);
        if (maximum)
            sum += K(chosen)(dy, K(get_argmax)(args, at, outputs), taps[i].number);
        else
            sum += dy * taps[i].share;
    }
    return sum;
}

/* Outputs beyond the caches are asked for before their turn, a few at each pixel, so that reading
 * does not wait while results are written, and the other way round. */
typedef struct {
    ptrdiff_t from, count, step;        /* elements */
} K(wish);

FD_INLINE void K(ask)(const fd_pool_args *args, K(wish) *wish)
{
    K(fetch)((const T *)args->x + wish->from, wish->count);
    if (args->argmax) FD_PREFETCH((const uint8_t *)args->argmax + wish->from);
    wish->from += wish->step;
}

/* Gradients of a run of pixels, the first at element `at` of dx. The last vector of a pixel
 * overlaps the one before; fewer channels than a vector has are stored one by one. */
FD_INLINE void K(unpool_pixels)(const fd_pool_args *args, ptrdiff_t from, ptrdiff_t outputs,
                                const K(tap) *taps, const ptrdiff_t count, ptrdiff_t at,
                                ptrdiff_t pixels, K(wish) wish, int maximum)
{
    const ptrdiff_t C = args->window.C, step = args->window.SW * C;
    T *dx = (T *)args->y + at;
    for (; pixels > 0; pixels--, from += C, dx += step) {
        if (wish.count) K(ask)(args, &wish);
        ptrdiff_t c = 0;
        for (; c + VL <= C; c += VL)
            K(write)(dx + c, K(gather_channels)(args, from + c, outputs, taps, count, maximum),
                     args->stream);
        if (c == C) continue;
        if (C > VL) c = C - VL;
        K(store_first)(dx + c, K(gather_channels)(args, from + c, outputs, taps, count, maximum),
                       C - c);
    }
}

/* The same, for a number of windows that the compiler knows, if it is one of the usual. */
FD_INLINE void K(unpool_run)(const fd_pool_args *args, ptrdiff_t from, ptrdiff_t outputs,
                             const K(tap) *taps, ptrdiff_t count, ptrdiff_t at, ptrdiff_t pixels,
                             K(wish) wish, int maximum)
{
    switch (count) {
    case 1:
        K(unpool_pixels)(args, from, outputs, taps, 1, at, pixels, wish, maximum);
        return;
    case 2:
        K(unpool_pixels)(args, from, outputs, taps, 2, at, pixels, wish, maximum);
        return;
    case 4:
        K(unpool_pixels)(args, from, outputs, taps, 4, at, pixels, wish, maximum);
        return;
    default:
        K(unpool_pixels)(args, from, outputs, taps, count, at, pixels, wish, maximum);
    }
}

/* Items: rows of inputs. */
FD_INLINE void K(gather_in_pixels)(const fd_pool_args *args, ptrdiff_t begin, ptrdiff_t end,
                                   int maximum)
{
    const fd_window *w = &args->window;
    ptrdiff_t image = w->OH * w->OW * w->C, outputs = w->N * image, line = w->W * w->C;
    ptrdiff_t most = (w->KH / w->SH + 1) * (w->KW / w->SW + 1);
    K(tap) *taps = fd_scratch((size_t)most * sizeof *taps + (size_t)w->W * sizeof(K(run)));
    if (!taps) return;
    K(run) *runs = (K(run) *)(taps + most);
    ptrdiff_t n_runs = K(find_runs)(args, runs);
    K(wish) wish = {0};
    if (w->N * w->H * line > K(FAR_CELLS)) wish.count = w->OW * w->C / (w->SH * w->W);
    wish.step = w->SW * wish.count;
    for (ptrdiff_t row = begin, h = begin % w->H, n = begin / w->H; row < end; row++) {
        fd_range oh = fd_covering(h + w->PH, w->OH, w->SH, w->KH);
        for (const K(run) *run = runs; run < runs + n_runs; run++) {
            ptrdiff_t count = K(windows_of_pixel)(args, h, oh, run->v, run->ow, taps, maximum);
            ptrdiff_t at = row * line + run->v * w->C, from = n * image, whole = run->pixels;
            ptrdiff_t reach = count ? from + taps[count - 1].offset + (ptrdiff_t)FD_VBYTES : 0;
            while (count && whole && reach + whole * w->C > outputs) whole--;
            wish.from = from + (h + w->PH) / w->SH * w->OW * w->C + w->OW * w->C
                      + ((h + w->PH) % w->SH * w->W + run->v) * wish.count;
            K(unpool_run)(args, from, NO_END, taps, count, at, whole, wish, maximum);
            K(unpool_pixels)(args, from + whole * w->C, outputs, taps, count,
                             at + whole * w->SW * w->C, run->pixels - whole, wish, maximum);
        }
        if (++h == w->H) h = 0, n++;
    }
}
