/* Pooling. Some rows of a plane at a time are laid out as for a convolution: padded, and by column
 * modulo stride, so that under each tap a vector of neighbouring outputs finds its cells side by
 * side. Maximum, argmax and sum stay in registers over all taps. */

/* Rows of the planes of one image, as the layout has them; `padding` is what lies beside them. */
static void K(lay_out)(const fd_window *w, const fd_layout *layout, const T *x, ptrdiff_t channels,
                       T padding, T *out)
{
    ptrdiff_t phases = layout->phases_h * layout->phases_w, line = layout->line;
    for (ptrdiff_t plane = 0; plane < channels * phases; plane++) {
        ptrdiff_t c = plane / phases, phase = plane % phases;
        ptrdiff_t h = layout->first_row * w->SH + phase / layout->phases_w - w->PH;
        ptrdiff_t shift = layout->first_column * w->SW + phase % layout->phases_w - w->PW;
        fd_range inside = fd_inside(line, w->SW, shift, w->W);
        T *to = out + c * layout->channel + phase * layout->rows * line;
        for (ptrdiff_t row = 0; row < layout->rows; row++, h += w->SH, to += line) {
            if (h < 0 || h >= w->H) {
                K(fill)(to, line, padding);
                continue;
            }
            const T *in = x + (c * w->H + h) * w->W + shift + inside.begin * w->SW;
            K(fill)(to, inside.begin, padding);
            K(copy_strided)(to + inside.begin, in, inside.end - inside.begin, w->SW);
            K(fill)(to + inside.end, line - inside.end, padding);
        }
    }
}


/* What the outputs of one plane have in common, in a thread's scratch. */
typedef struct {
    ptrdiff_t rows;                     /* output rows laid out at once */
    fd_layout layout;
    T *space;                           /* those rows */
    ptrdiff_t *offset;                  /* of each tap, from an output's first cell in `space` */
    INT *first_kw;                      /* for each output column the first tap inside the plane */
    T *columns;                         /* for each output column, what an average counts */
} K(pooling);

/* How many cells the average at output `o` divides by, along one dimension. */
static inline ptrdiff_t K(window_length)(ptrdiff_t o, ptrdiff_t stride, ptrdiff_t padding,
                                         ptrdiff_t length, ptrdiff_t size, int include_pad)
{
    ptrdiff_t start = o * stride - padding, stop = FD_MIN(start + length, size + padding);
    if (include_pad) return stop - start;
    return FD_MIN(stop, size) - FD_MAX(start, 0);
}

static inline T K(counted_rows)(const fd_pool_args *args, ptrdiff_t oh)
{
    const fd_window *w = &args->window;
    return (T)K(window_length)(oh, w->SH, w->PH, w->KH, w->H, args->count_include_pad);
}

static int K(prepare_pooling)(const fd_pool_args *args, K(pooling) *pooling)
{
    const fd_window *w = &args->window;
    ptrdiff_t taps = w->KH * w->KW, width = fd_round_up(w->OW, VL);
    ptrdiff_t one_row = fd_lay(w, 0, 1, 0, w->OW, 1).image;
    pooling->rows = FD_MAX(FD_MIN(8192 / one_row, w->OH), 1);
    pooling->layout = fd_lay(w, 0, pooling->rows, 0, w->OW, 1);
    ptrdiff_t cells = fd_round_up(pooling->layout.image + VL, VL);
    char *memory = fd_scratch((size_t)(cells + width) * sizeof(T)
                              + (size_t)taps * sizeof(ptrdiff_t) + (size_t)width * sizeof(INT));
    if (!memory) return 0;
    pooling->offset = (ptrdiff_t *)memory;
    pooling->space = (T *)(pooling->offset + taps);
    pooling->columns = pooling->space + cells;
    pooling->first_kw = (INT *)(pooling->columns + width);
    fd_tap tap = {0, 0, 0};
    for (ptrdiff_t t = 0; t < taps; t++, fd_next_tap(&tap, w->KH, w->KW))
        pooling->offset[t] = fd_tap_offset(w, &pooling->layout, tap);
    for (ptrdiff_t ow = 0; ow < width; ow++) {
        pooling->first_kw[ow] = (INT)FD_MAX(w->PW - ow * w->SW, 0);
        pooling->columns[ow] = (T)K(window_length)(ow, w->SW, w->PW, w->KW, w->W,
                                                   args->count_include_pad);
    }
    return 1;
}

/* Where the first tap of output row `oh` lies. Rows are asked for in order, from 0; the next band
 * of them is laid out when its first row is. */
static inline const T *K(pooled_row)(const fd_pool_args *args, K(pooling) *pooling,
                                     ptrdiff_t plane, ptrdiff_t oh, T padding)
{
    const fd_window *w = &args->window;
    if (oh == 0 || oh == pooling->layout.first_row + pooling->rows) {
        pooling->layout.first_row = oh;
        K(lay_out)(w, &pooling->layout, (const T *)args->x + plane * w->H * w->W, 1, padding,
                   pooling->space);
    }
    return pooling->space + (oh - pooling->layout.first_row) * pooling->layout.line;
}

static inline void K(store_some)(T *out, V v, ptrdiff_t count)
{
    if (count >= VL)
        K(store)(out, v);
    else
        memcpy(out, &v, (size_t)count * sizeof(T));
}

static inline void K(narrow_bytes)(K(ivec) v, uint8_t *out)
{
    INT lane[FD_VBYTES / sizeof(T)];
    memcpy(lane, &v, sizeof lane);
    for (ptrdiff_t i = 0; i < VL; i++) out[i] = (uint8_t)lane[i];
}

static inline void K(narrow_words)(K(ivec) v, int32_t *out)
{
    INT lane[FD_VBYTES / sizeof(T)];
    memcpy(lane, &v, sizeof lane);
    for (ptrdiff_t i = 0; i < VL; i++) out[i] = (int32_t)lane[i];
}

/* Maximum and argmax of VL outputs. `tap` starts as the first tap inside the plane, which stands
 * if all cells are -inf; NaN beats all but an earlier NaN. */
FD_INLINE V K(largest)(const T *cells, const ptrdiff_t *offset, ptrdiff_t taps, K(ivec) *tap)
{
    V best = (V){0} - (T)INFINITY;
    for (ptrdiff_t t = 0; t < taps; t++) {
        V value = K(load)(cells + offset[t]);
        K(ivec) wins = (K(ivec))(value > best)
            | ((K(ivec))(value != value) & (K(ivec))(best == best));
        best = K(select)(wins, value, best);
        *tap = K(iselect)(wins, (K(ivec)){0} + (INT)t, *tap);
    }
    return best;
}

/* Items: planes. */
static void K(max_pool2d)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_pool_args *args = p;
    const fd_window *w = &args->window;
    K(pooling) pooling;
    if (!K(prepare_pooling)(args, &pooling)) return;
    for (ptrdiff_t row = begin * w->OH; row < end * w->OH; row++) {
        ptrdiff_t oh = row % w->OH;
        const T *cells = K(pooled_row)(args, &pooling, row / w->OH, oh, (T)-INFINITY);
        INT first_row = (INT)(FD_MAX(w->PH - oh * w->SH, 0) * w->KW);
        for (ptrdiff_t ow = 0; ow < w->OW; ow += VL) {
            ptrdiff_t at = row * w->OW + ow, count = FD_MIN(w->OW - ow, VL);
            K(ivec) tap;
            memcpy(&tap, pooling.first_kw + ow, sizeof tap);
            tap += first_row;
            V best = K(largest)(cells + ow, pooling.offset, w->KH * w->KW, &tap);
            K(store_some)((T *)args->y + at, best, count);
            if (args->argmax_bytes == 1) {
                uint8_t index[FD_VBYTES / sizeof(T)];
                K(narrow_bytes)(tap, index);
                memcpy((uint8_t *)args->argmax + at, index, (size_t)count);
            } else {
                int32_t index[FD_VBYTES / sizeof(T)];
                K(narrow_words)(tap, index);
                memcpy((int32_t *)args->argmax + at, index, (size_t)count * sizeof(int32_t));
            }
        }
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

/* Items: planes. */
static void K(avg_pool2d)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_pool_args *args = p;
    const fd_window *w = &args->window;
    K(pooling) pooling;
    if (!K(prepare_pooling)(args, &pooling)) return;
    for (ptrdiff_t row = begin * w->OH; row < end * w->OH; row++) {
        const T *cells = K(pooled_row)(args, &pooling, row / w->OH, row % w->OH, 0);
        T rows = K(counted_rows)(args, row % w->OH);
        for (ptrdiff_t ow = 0; ow < w->OW; ow += VL) {
            V sum = {0};
            for (ptrdiff_t t = 0; t < w->KH * w->KW; t++)
                sum += K(load)(cells + ow + pooling.offset[t]);
            K(store_some)((T *)args->y + row * w->OW + ow,
                          sum / (rows * K(load)(pooling.columns + ow)), w->OW - ow);
        }
    }
}

/* Items: planes. */
static void K(avg_pool2d_backward)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_pool_args *args = p;
    const fd_window *w = &args->window;
    K(pooling) pooling;
    if (!K(prepare_pooling)(args, &pooling)) return;
    T *share = pooling.columns;         /* of each output of a row; what it counts, inverted */
    for (ptrdiff_t ow = 0; ow < w->OW; ow++) share[ow] = 1 / share[ow];
    for (ptrdiff_t i = begin; i < end; i++) {
        T *dx = (T *)args->y + i * w->H * w->W;
        memset(dx, 0, (size_t)(w->H * w->W) * sizeof(T));
        for (ptrdiff_t oh = 0; oh < w->OH; oh++) {
            const T *dy = (const T *)args->x + (i * w->OH + oh) * w->OW;
            T rows = 1 / K(counted_rows)(args, oh);
            fd_range kh_in = fd_inside(w->KH, 1, oh * w->SH - w->PH, w->H);
            for (ptrdiff_t kw = 0; kw < w->KW; kw++) {
                fd_range in = fd_inside(w->OW, w->SW, kw - w->PW, w->W);
                for (ptrdiff_t kh = kh_in.begin; kh < kh_in.end; kh++) {
                    T *row = dx + (oh * w->SH - w->PH + kh) * w->W + kw - w->PW;
                    for (ptrdiff_t ow = in.begin; ow < in.end; ow++)
                        row[ow * w->SW] += dy[ow] * share[ow] * rows;
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
