/* Pooling. Each output row is built tap by tap, so that the inner loop runs over output columns
 * and has no bounds to check. */

/* Row `h` of plane `i`, shifted so that index ow * SW is the cell under tap kw. */
static inline const T *K(tap_row)(const fd_pool_args *args, ptrdiff_t i, ptrdiff_t h, ptrdiff_t kw)
{
    const fd_window *w = &args->window;
    return (const T *)args->x + (i * w->H + h) * w->W + kw - w->PW;
}

static void K(max_pool_row)(const fd_pool_args *args, ptrdiff_t i, ptrdiff_t oh, T *best, INT *tap)
{
    const fd_window *w = &args->window;
    ptrdiff_t SW = w->SW;
    for (ptrdiff_t ow = 0; ow < w->OW; ow++) {
        best[ow] = -INFINITY;
        tap[ow] = -1;
    }
    fd_range kh_in = fd_inside(w->KH, 1, oh * w->SH - w->PH, w->H);
    for (ptrdiff_t kh = kh_in.begin; kh < kh_in.end; kh++)
        for (ptrdiff_t kw = 0; kw < w->KW; kw++) {
            const T *row = K(tap_row)(args, i, oh * w->SH - w->PH + kh, kw);
            fd_range in = fd_inside(w->OW, SW, kw - w->PW, w->W);
            INT index = (INT)(kh * w->KW + kw);
            for (ptrdiff_t ow = in.begin; ow < in.end; ow++) {
                T value = row[ow * SW], so_far = best[ow];
                /* The first cell counts even if it is -inf; NaN beats all but an earlier NaN. */
                int wins = (value > so_far) | (tap[ow] < 0) | ((value != value) & (so_far == so_far));
                best[ow] = wins ? value : so_far;
                tap[ow] = wins ? index : tap[ow];
            }
        }
}

/* Items: planes. */
static void K(max_pool2d)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_pool_args *args = p;
    const fd_window *w = &args->window;
    INT *tap = fd_scratch((size_t)w->OW * sizeof(INT));
    if (!tap) return;
    for (ptrdiff_t i = begin; i < end; i++)
        for (ptrdiff_t oh = 0; oh < w->OH; oh++) {
            ptrdiff_t at = (i * w->OH + oh) * w->OW;
            K(max_pool_row)(args, i, oh, (T *)args->y + at, tap);
            if (args->argmax_bytes == 1)
                for (ptrdiff_t ow = 0; ow < w->OW; ow++)
                    ((uint8_t *)args->argmax)[at + ow] = (uint8_t)tap[ow];
            else
                for (ptrdiff_t ow = 0; ow < w->OW; ow++)
                    ((int32_t *)args->argmax)[at + ow] = (int32_t)tap[ow];
        }
}

/* Items: planes; windows may overlap, so a plane is one thread's. */
static void K(max_pool2d_backward)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_pool_args *args = p;
    const fd_window *w = &args->window;
    const uint8_t *narrow = args->argmax_bytes == 1 ? args->argmax : NULL;
    const uint32_t *wide = args->argmax;
    uint32_t KW = (uint32_t)w->KW, taps = (uint32_t)(w->KH * w->KW);
    for (ptrdiff_t i = begin; i < end; i++) {
        T *dx = (T *)args->y + i * w->H * w->W;
        const T *dy = (const T *)args->x + i * w->OH * w->OW;
        memset(dx, 0, (size_t)(w->H * w->W) * sizeof(T));
        for (ptrdiff_t oh = 0; oh < w->OH; oh++)
            for (ptrdiff_t ow = 0; ow < w->OW; ow++) {
                ptrdiff_t at = oh * w->OW + ow, from = i * w->OH * w->OW + at;
                uint32_t tap = narrow ? narrow[from] : wide[from];
                ptrdiff_t h = oh * w->SH - w->PH + (ptrdiff_t)(tap / KW);
                ptrdiff_t column = ow * w->SW - w->PW + (ptrdiff_t)(tap % KW);
                if (tap < taps && (size_t)h < (size_t)w->H && (size_t)column < (size_t)w->W)
                    dx[h * w->W + column] += dy[at];
            }
    }
}

/* How many cells the average at output `o` divides by, along one dimension. */
static inline ptrdiff_t K(window_length)(ptrdiff_t o, ptrdiff_t stride, ptrdiff_t padding,
                                         ptrdiff_t length, ptrdiff_t size, int include_pad)
{
    ptrdiff_t start = o * stride - padding, stop = FD_MIN(start + length, size + padding);
    if (include_pad) return stop - start;
    return FD_MIN(stop, size) - FD_MAX(start, 0);
}

static inline T K(window_size)(const fd_pool_args *args, ptrdiff_t oh, ptrdiff_t ow)
{
    const fd_window *w = &args->window;
    int include_pad = args->count_include_pad;
    return (T)(K(window_length)(oh, w->SH, w->PH, w->KH, w->H, include_pad)
               * K(window_length)(ow, w->SW, w->PW, w->KW, w->W, include_pad));
}

/* Items: planes. */
static void K(avg_pool2d)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_pool_args *args = p;
    const fd_window *w = &args->window;
    for (ptrdiff_t item = begin * w->OH; item < end * w->OH; item++) {
        ptrdiff_t i = item / w->OH, oh = item % w->OH;
        T *y = (T *)args->y + item * w->OW;
        memset(y, 0, (size_t)w->OW * sizeof(T));
        fd_range kh_in = fd_inside(w->KH, 1, oh * w->SH - w->PH, w->H);
        for (ptrdiff_t kh = kh_in.begin; kh < kh_in.end; kh++)
            for (ptrdiff_t kw = 0; kw < w->KW; kw++) {
                const T *row = K(tap_row)(args, i, oh * w->SH - w->PH + kh, kw);
                fd_range in = fd_inside(w->OW, w->SW, kw - w->PW, w->W);
                for (ptrdiff_t ow = in.begin; ow < in.end; ow++) y[ow] += row[ow * w->SW];
            }
        for (ptrdiff_t ow = 0; ow < w->OW; ow++) y[ow] /= K(window_size)(args, oh, ow);
    }
}

/* Items: planes. */
static void K(avg_pool2d_backward)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_pool_args *args = p;
    const fd_window *w = &args->window;
    for (ptrdiff_t i = begin; i < end; i++) {
        T *dx = (T *)args->y + i * w->H * w->W;
        memset(dx, 0, (size_t)(w->H * w->W) * sizeof(T));
        for (ptrdiff_t oh = 0; oh < w->OH; oh++) {
            const T *dy = (const T *)args->x + (i * w->OH + oh) * w->OW;
            fd_range kh_in = fd_inside(w->KH, 1, oh * w->SH - w->PH, w->H);
            for (ptrdiff_t ow = 0; ow < w->OW; ow++) {
                T share = dy[ow] / K(window_size)(args, oh, ow);
                fd_range kw_in = fd_inside(w->KW, 1, ow * w->SW - w->PW, w->W);
                for (ptrdiff_t kh = kh_in.begin; kh < kh_in.end; kh++) {
                    T *row = dx + (oh * w->SH - w->PH + kh) * w->W + ow * w->SW - w->PW;
                    for (ptrdiff_t kw = kw_in.begin; kw < kw_in.end; kw++) row[kw] += share;
                }
            }
        }
    }
}

/* ---- whole feature maps: H * W cells each, one output ---- */

/* Items: planes. */
static void K(global_avg_pool2d)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_pool_args *args = p;
    ptrdiff_t cells = args->window.H * args->window.W;
    for (ptrdiff_t i = begin; i < end; i++)
        ((T *)args->y)[i] = K(sum)((const T *)args->x + i * cells, cells) / (T)cells;
}

static void K(global_avg_pool2d_backward)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_pool_args *args = p;
    ptrdiff_t cells = args->window.H * args->window.W;
    for (ptrdiff_t i = begin; i < end; i++) {
        T share = ((const T *)args->x)[i] / (T)cells, *dx = (T *)args->y + i * cells;
        for (ptrdiff_t j = 0; j < cells; j++) dx[j] = share;
    }
}

static void K(global_max_pool2d)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_pool_args *args = p;
    ptrdiff_t cells = args->window.H * args->window.W;
    for (ptrdiff_t i = begin; i < end; i++) {
        const T *x = (const T *)args->x + i * cells;
        ptrdiff_t best = 0;
        for (ptrdiff_t j = 1; j < cells && x[best] == x[best]; j++)
            if (x[j] > x[best] || x[j] != x[j]) best = j;
        ((T *)args->y)[i] = x[best];
        ((int32_t *)args->argmax)[i] = (int32_t)best;
    }
}

static void K(global_max_pool2d_backward)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_pool_args *args = p;
    ptrdiff_t cells = args->window.H * args->window.W;
    for (ptrdiff_t i = begin; i < end; i++) {
        T *dx = (T *)args->y + i * cells;
        ptrdiff_t best = ((const int32_t *)args->argmax)[i];
        memset(dx, 0, (size_t)cells * sizeof(T));
        if ((size_t)best < (size_t)cells) dx[best] = ((const T *)args->x)[i];
    }
}
