/* Depthwise convolution: gradients of weights and bias. Sums of all taps stay in registers. */

/* A block of dy, and the part of the inputs that is there for it. */
typedef struct {
    const fd_meeting *h, *w;
    fd_range rows, columns;             /* of dy */
    fd_range in_rows, in_columns;
    ptrdiff_t vectors, last;            /* as for outputs */
    int ahead;                          /* fetch what the rows below will read */
    K(pixels) in;                       /* from (in_rows.begin, in_columns.begin) on */
    K(pixels) dy;                       /* from (rows.begin, columns.begin) on */
    T *sums;                            /* [vector][tap, and then bias][VL] */
} K(products);

/* One vector of one or two rows of dy, column after column. Each column of inputs is loaded once,
 * and multiplied with those of dy that it meets, which are kept: column j in place j % kept. */
FD_INLINE void K(multiply_rows)(const K(products) *p, ptrdiff_t row, ptrdiff_t vector,
                                const int taps, const int stride, const int height)
{
    enum { KEPT = 5, ROWS = (K(TILE_ROWS) - 1) * 2 + 5 };
    const int kept = (taps + stride - 1) / stride, in_height = (height - 1) * stride + taps;
    const int ahead = p->ahead;
    const K(pixels) *x = &p->in, *y = &p->dy;
    T *total = p->sums + vector * (taps * taps + 1) * VL;
    ptrdiff_t channel = vector == p->vectors - 1 ? p->last : vector * VL;
    ptrdiff_t top = fd_first_input(p->h, row), left = fd_first_input(p->w, p->columns.begin);
    ptrdiff_t width = fd_length(p->columns), steps = width + kept - 1;
    fd_range rows = fd_within(p->in_rows, top, in_height);
    fd_range columns = fd_within(p->in_columns, left, steps * stride);
    const T *dy = y->data + (row - p->rows.begin) * y->row + channel;
    ptrdiff_t place = (top - p->in_rows.begin) * x->row
        + (left - p->in_columns.begin) * x->column + channel, column = 0;
    V sums[26], gradient[KEPT * K(TILE_ROWS)] = {(V){0}}, value[ROWS];
#pragma GCC unroll 26
    for (int t = 0; t < taps * taps + 1; t++) sums[t] = K(load)(total + t * VL);
    for (ptrdiff_t first = 0; first < steps; first += kept)
#pragma GCC unroll 5
        for (int phase = 0; phase < kept; phase++) {
            ptrdiff_t step = first + phase;
            if (step >= steps) break;
            if (step < width) {
#pragma GCC unroll 2
                for (int i = 0; i < height; i++) {
                    gradient[phase * height + i] = K(load)(dy + i * y->row);
                    sums[taps * taps] += gradient[phase * height + i];
                }
                if (ahead) {
#pragma GCC unroll 2
                    for (int i = 0; i < height; i++) FD_PREFETCH(dy + (height + i) * y->row);
#pragma GCC unroll 8
                    for (int n = 0; n < height * stride * stride; n++)
                        FD_PREFETCH(x->data + (place + (in_height + n / stride) * x->row
                                               + n % stride * x->column));
                }
                dy += y->column;
            }
#pragma GCC unroll 2
            for (int k = 0; k < stride; k++, column++, place += x->column) {
                if (!fd_is_in(columns, column)) continue;
#pragma GCC unroll 7
                for (int r = 0; r < in_height; r++)
                    value[r] = fd_is_in(rows, r) ? K(load)(x->data + (place + r * x->row)) : (V){0};
#pragma GCC unroll 5
                for (int back = 0; back < kept; back++) {
                    const int kw = k + back * stride, slot = (phase + kept - back) % kept * height;
                    if (kw >= taps || step - back < 0 || step - back >= width) continue;
#pragma GCC unroll 10
                    for (int n = 0; n < taps * height; n++)
                        sums[n / height * taps + kw] += value[n / height + n % height * stride]
                            * gradient[slot + n % height];
                }
            }
        }
#pragma GCC unroll 26
    for (int t = 0; t < taps * taps + 1; t++) K(store)(total + t * VL, sums[t]);
}

FD_INLINE void K(multiply_tiles)(const K(products) *p, const int taps, const int stride)
{
    ptrdiff_t row = p->rows.begin;
    for (; row + K(TILE_ROWS) <= p->rows.end; row += K(TILE_ROWS))
        for (ptrdiff_t v = 0; v < p->vectors; v++)
            K(multiply_rows)(p, row, v, taps, stride, K(TILE_ROWS));
    if (row < p->rows.end)
        for (ptrdiff_t v = 0; v < p->vectors; v++)
            K(multiply_rows)(p, row, v, taps, stride, 1);
}

/* Tap after tap. */
static void K(multiply_any)(const K(products) *p)
{
    const fd_meeting *h = p->h, *w = p->w;
    const K(pixels) *x = &p->in, *y = &p->dy;
    ptrdiff_t top = fd_first_input(h, p->rows.begin) - p->in_rows.begin;
    ptrdiff_t left = fd_first_input(w, p->columns.begin) - p->in_columns.begin;
    ptrdiff_t height = fd_length(p->rows), width = fd_length(p->columns);
    T *total = p->sums;
    for (ptrdiff_t v = 0; v < p->vectors; v++) {
        ptrdiff_t channel = v == p->vectors - 1 ? p->last : v * VL;
        for (ptrdiff_t kh = 0; kh < h->taps; kh++)
            for (ptrdiff_t kw = 0; kw < w->taps; kw++, total += VL) {
                ptrdiff_t r = top + kh * h->dilation, c = left + kw * w->dilation;
                fd_range rows = fd_inside(height, h->stride, r, fd_length(p->in_rows));
                fd_range columns = fd_inside(width, w->stride, c, fd_length(p->in_columns));
                V sum = {0};
                for (ptrdiff_t i = rows.begin; i < rows.end; i++)
                    for (ptrdiff_t j = columns.begin; j < columns.end; j++)
                        sum += K(load)(x->data + ((r + i * h->stride) * x->row
                                                  + (c + j * w->stride) * x->column + channel))
                            * K(load)(y->data + i * y->row + j * y->column + channel);
                K(store)(total, K(load)(total) + sum);
            }
        V sum = {0};
        for (ptrdiff_t i = 0; i < height; i++)
            for (ptrdiff_t j = 0; j < width; j++)
                sum += K(load)(y->data + i * y->row + j * y->column + channel);
        K(store)(total, K(load)(total) + sum);
        total += VL;
    }
}

static void K(multiply_block)(void *p, ptrdiff_t n, const fd_block *block)
{
    const K(walk) *walk = p;
    const fd_depthwise_args *args = walk->args;
    const fd_meeting *h = &walk->h, *w = &walk->w;
    K(products) products = {
        .h = h, .w = w, .rows = block->rows, .columns = block->columns,
        .in_rows = fd_inputs_of(h, block->rows), .in_columns = fd_inputs_of(w, block->columns),
        .vectors = fd_length(block->vectors), .ahead = K(is_beyond_caches)(walk)};
    K(view) x = K(view_of)(walk, args->x, 0, n, block->vectors, 0);
    products.in = K(pixels_of)(x, products.in_rows, products.in_columns, walk->patch);
    products.last = x.last;
    for (ptrdiff_t j = 0; j < walk->multiplier; j++) {
        K(view) dy = K(view_of)(walk, args->dy, 1, n, block->vectors, j);
        products.dy = K(pixels_of)(dy, block->rows, block->columns, walk->out);
        products.sums = K(taps_of)(walk, block->vectors.begin, j);
        if (!fd_has_tiles(h, w))
            K(multiply_any)(&products);
        else if (h->taps == 3 && h->stride == 1)
            K(multiply_tiles)(&products, 3, 1);
        else if (h->taps == 3)
            K(multiply_tiles)(&products, 3, 2);
        else if (h->stride == 1)
            K(multiply_tiles)(&products, 5, 1);
        else
            K(multiply_tiles)(&products, 5, 2);
    }
}

/* Items: image_cells parts of the batch, each with sums of its own, times channel_cells. */
static void K(conv2d_depthwise_backward_weight)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_depthwise_args *args = p;
    const fd_window *w = &args->window;
    K(walk) walk = {.args = args,
                    .h = {w->KH, w->SH, w->PH, w->DH, 0, w->H, w->OH},
                    .w = {w->KW, w->SW, w->PW, w->DW, 0, w->W, w->OW}};
    if (!K(prepare_walk)(&walk)) return;
    ptrdiff_t rows = walk.multiplier * (w->KH * w->KW + 1);
    for (ptrdiff_t item = begin; item < end; item++) {
        fd_block all = {{0, w->OH}, {0, w->OW},
                        fd_part(walk.vectors, 1, args->channel_cells, item % args->channel_cells)};
        fd_range images = fd_part(w->N, 1, args->image_cells, item / args->channel_cells);
        K(fill)(walk.taps, walk.vectors * rows * VL, 0);
        for (ptrdiff_t n = images.begin; n < images.end; n++)
            K(walk_blocks)(&walk, K(multiply_block), n, all);
        /* From [vector][row][VL] to [row][C]; the first lanes of the last may be another's. */
        T *sums = (T *)args->sums + item / args->channel_cells * rows * w->C;
        for (ptrdiff_t v = all.vectors.begin; v < all.vectors.end; v++)
            for (ptrdiff_t row = 0; row < rows; row++)
                K(copy)(sums + row * w->C + v * VL,
                        walk.taps + (v * rows + row) * VL + v * VL - K(first_channel)(&walk, v),
                        FD_MIN(VL, w->C - v * VL));
    }
}

/* The sums of all parts of the batch, into dw and db. Items: channels of x. */
static void K(conv2d_depthwise_weight_store)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_depthwise_args *args = p;
    const fd_window *w = &args->window;
    const T *sums = args->sums;
    T *dw = args->dw, *db = args->db;
    ptrdiff_t taps = w->KH * w->KW, multiplier = args->OC / w->C;
    ptrdiff_t part = multiplier * (taps + 1) * w->C;
    for (ptrdiff_t c = begin; c < end; c++)
        for (ptrdiff_t j = 0; j < multiplier; j++)
            for (ptrdiff_t t = 0; t <= taps; t++) {
                const T *first = sums + (j * (taps + 1) + t) * w->C + c;
                T sum = 0;
                for (ptrdiff_t k = 0; k < args->image_cells; k++) sum += first[k * part];
                if (t < taps)
                    dw[(c * multiplier + j) * taps + t] = sum;
                else if (db)
                    db[c * multiplier + j] = sum;
            }
}
