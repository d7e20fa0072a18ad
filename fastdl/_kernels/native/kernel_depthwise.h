/* Depthwise convolution: each channel has filters of its own, so a vector holds VL channels of one
 * pixel and every step multiplies lane by lane.
 *
 * Work goes block by block: some rows and columns of outputs, VL channels. The input that a block
 * needs is laid out in a patch [row][column][VL] with its padding as zeros; maps that are not
 * channels-last are transposed on the way in and out. Then a tile of 2 x 4 outputs is summed up in
 * registers: each input vector is loaded once and multiplied with every tap it meets.
 *
 * With OC = m * C, output channel c * m + j reads input channel c. For each j in turn, outputs
 * j, m + j, 2 m + j... are then as many as the inputs, in the same order.
 *
 * Where C >= VL the last block starts at C - VL, and tiles that do not fit start where the block
 * ends, less their size: some outputs are computed twice, and come out the same. */
#include "depthwise.h"

/* `lanes` channels (VL, or all C if fewer) of one feature map, and where the array ends. */
typedef struct {
    T *data;
    const T *end;
    ptrdiff_t channel, row, column;     /* distance between two of them */
    ptrdiff_t lanes;
} K(view);

/* Channels first, first + step, ... of image n of maps (N, channels, H, W). */
static inline K(view) K(view_of)(const void *maps, ptrdiff_t N, ptrdiff_t channels, ptrdiff_t H,
                                 ptrdiff_t W, int channels_last, ptrdiff_t n, ptrdiff_t first,
                                 ptrdiff_t step, ptrdiff_t lanes)
{
    ptrdiff_t channel = channels_last ? 1 : H * W, column = channels_last ? channels : 1;
    return (K(view)){(T *)maps + n * channels * H * W + first * channel,
                     (const T *)maps + N * channels * H * W,
                     step * channel, W * column, column, lanes};
}

static inline K(view) K(view_at)(K(view) view, ptrdiff_t row, ptrdiff_t column)
{
    view.data += row * view.row + column * view.column;
    return view;
}

/* `count` pixels of a row, into or out of [count][VL]. */
static inline void K(read_pixels)(K(view) view, ptrdiff_t count, T *out)
{
    ptrdiff_t i = 0;
    if (view.channel == 1 && view.lanes == VL) {
        for (; i < count; i++) K(store)(out + i * VL, K(load)(view.data + i * view.column));
        return;
    }
    if (view.column == 1) {
        for (; i + VL <= count; i += VL)
            K(transpose_block)(view.data + i, view.channel, view.lanes, 1, out + i * VL, VL);
        /* What is left over is read with what follows it in memory, if anything does. */
        const T *last = view.data + (view.lanes - 1) * view.channel + i;
        if (i < count && view.end - last >= VL) {
            K(transpose_block)(view.data + i, view.channel, view.lanes, 1, out + i * VL, VL);
            return;
        }
    }
    for (; i < count; i++)
        for (ptrdiff_t lane = 0; lane < VL; lane++)
            out[i * VL + lane] =
                lane < view.lanes ? view.data[lane * view.channel + i * view.column] : 0;
}

static inline void K(write_pixels)(K(view) view, ptrdiff_t count, const T *in)
{
    ptrdiff_t i = 0;
    if (view.channel == 1 && view.lanes == VL) {
        for (; i < count; i++) K(store)(view.data + i * view.column, K(load)(in + i * VL));
        return;
    }
    if (view.column == 1 && view.lanes == VL && count >= VL)
        for (; i < count; i += VL) {
            ptrdiff_t from = FD_MIN(i, count - VL);
            K(transpose_block)(in + from * VL, VL, VL, 1, view.data + from, view.channel);
        }
    for (; i < count; i++)
        for (ptrdiff_t lane = 0; lane < view.lanes; lane++)
            view.data[lane * view.channel + i * view.column] = in[i * VL + lane];
}

/* Rows of pixels, of which whole ones are one long row. */
static inline void K(read_rows)(K(view) view, ptrdiff_t rows, ptrdiff_t columns, T *out)
{
    if (view.row == columns * view.column) columns *= rows, rows = 1;
    for (ptrdiff_t r = 0; r < rows; r++, out += columns * VL)
        K(read_pixels)(K(view_at)(view, r, 0), columns, out);
}

static inline void K(write_rows)(K(view) view, ptrdiff_t rows, ptrdiff_t columns, const T *in)
{
    if (view.row == columns * view.column) columns *= rows, rows = 1;
    for (ptrdiff_t r = 0; r < rows; r++, in += columns * VL)
        K(write_pixels)(K(view_at)(view, r, 0), columns, in);
}

/* The patch for outputs from (row, column) on, as it lies in `space`. */
static inline void K(lay_patch)(K(view) map, const fd_meeting *h, const fd_meeting *w,
                                ptrdiff_t row, ptrdiff_t rows, ptrdiff_t column, ptrdiff_t columns,
                                T *space)
{
    ptrdiff_t top = fd_first_input(h, row), height = fd_count_inputs(h, rows);
    ptrdiff_t left = fd_first_input(w, column), width = fd_count_inputs(w, columns);
    ptrdiff_t from = FD_MIN(FD_MAX(-left, 0), width), to = FD_MIN(w->inputs - left, width);
    for (ptrdiff_t r = top; r < top + height; r++, space += width * VL) {
        ptrdiff_t begin = from, end = FD_MAX(from, to);
        if (r < 0 || r >= h->inputs) end = begin;
        if (begin < end)
            K(read_pixels)(K(view_at)(map, r, left + begin), end - begin, space + begin * VL);
        K(fill)(space, begin * VL, 0);
        K(fill)(space + end * VL, (width - end) * VL, 0);
    }
}

/* Where results go: added to `add` if it is not NULL, which lies like `out`. */
typedef struct {
    const T *add;
    T *out;
    ptrdiff_t row, column;
    int relu;
} K(target);

static inline void K(finish)(const K(target) *t, ptrdiff_t row, ptrdiff_t column, V sum)
{
    ptrdiff_t at = row * t->row + column * t->column;
    if (t->add) sum += K(load)(t->add + at);
    if (t->relu) sum = K(select)((K(ivec))(sum <= 0), (V){0}, sum);
    K(store)(t->out + at, sum);
}

/* One tile; `taps` in both directions. Input r meets output i under tap a * r - b * i + first. */
FD_INLINE void K(depthwise_tile)(const T *in, ptrdiff_t line, const V *weight,
                                 const K(target) *target, ptrdiff_t row, ptrdiff_t column,
                                 const int taps, const int a, const int b, const int first,
                                 const int in_rows, const int in_columns)
{
    V sums[FD_TILE_ROWS][FD_TILE_COLUMNS];
#pragma GCC unroll 2
    for (int i = 0; i < FD_TILE_ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < FD_TILE_COLUMNS; j++) sums[i][j] = weight[taps * taps];
#pragma GCC unroll 16
    for (int r = 0; r < in_rows; r++)
#pragma GCC unroll 16
        for (int c = 0; c < in_columns; c++) {
            V value = K(load)(in + r * line + c * VL);
#pragma GCC unroll 2
            for (int i = 0; i < FD_TILE_ROWS; i++)
#pragma GCC unroll 4
                for (int j = 0; j < FD_TILE_COLUMNS; j++) {
                    int kh = a * r - b * i + first, kw = a * c - b * j + first;
                    if (kh >= 0 && kh < taps && kw >= 0 && kw < taps)
                        sums[i][j] += value * weight[kh * taps + kw];
                }
        }
#pragma GCC unroll 2
    for (int i = 0; i < FD_TILE_ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < FD_TILE_COLUMNS; j++)
            K(finish)(target, row + i, column + j, sums[i][j]);
}

/* A block of square filters, in tiles. At least one tile in size; going up, of even size. */
FD_INLINE void K(depthwise_tiles)(const T *in, ptrdiff_t line, const T *weights,
                                  const K(target) *target, ptrdiff_t rows, ptrdiff_t columns,
                                  const int taps, const int stride, const int up)
{
    V weight[26];
#pragma GCC unroll 26
    for (int t = 0; t < taps * taps + 1; t++) weight[t] = K(load)(weights + t * VL);
    for (ptrdiff_t i = 0; i < rows; i += FD_TILE_ROWS) {
        ptrdiff_t row = FD_MIN(i, rows - FD_TILE_ROWS);
        const T *from = in + (up ? row / 2 : row * stride) * line;
        for (ptrdiff_t j = 0; j < columns; j += FD_TILE_COLUMNS) {
            ptrdiff_t column = FD_MIN(j, columns - FD_TILE_COLUMNS);
            if (up)
                K(depthwise_tile)(from + column / 2 * VL, line, weight, target, row, column, taps,
                                  -2, -1, FD_FIRST_TAP(taps),
                                  FD_TILE_ROWS / 2 + (taps - 1) / 2,
                                  FD_TILE_COLUMNS / 2 + (taps - 1) / 2);
            else
                K(depthwise_tile)(from + column * stride * VL, line, weight, target, row, column,
                                  taps, 1, stride, 0, (FD_TILE_ROWS - 1) * stride + taps,
                                  (FD_TILE_COLUMNS - 1) * stride + taps);
        }
    }
}

/* A block of any filters, `width` outputs (1 or 4) at a time. */
FD_INLINE void K(depthwise_any)(const T *in, ptrdiff_t line, const T *weights,
                                const K(target) *target, ptrdiff_t rows, ptrdiff_t columns,
                                const fd_meeting *h, const fd_meeting *w, const int width)
{
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < columns; j += width) {
            ptrdiff_t column = FD_MIN(j, columns - width);
            const T *weight = weights, *first = in + i * h->stride * line + column * w->stride * VL;
            V sums[FD_TILE_COLUMNS];
#pragma GCC unroll 4
            for (int k = 0; k < width; k++)
                sums[k] = K(load)(weights + h->taps * w->taps * VL);
            for (ptrdiff_t kh = 0; kh < h->taps; kh++)
                for (ptrdiff_t kw = 0; kw < w->taps; kw++, weight += VL) {
                    const T *cell = first + kh * h->dilation * line + kw * w->dilation * VL;
#pragma GCC unroll 4
                    for (int k = 0; k < width; k++)
                        sums[k] += K(load)(cell + k * w->stride * VL) * K(load)(weight);
                }
#pragma GCC unroll 4
            for (int k = 0; k < width; k++) K(finish)(target, i, column + k, sums[k]);
        }
}

static void K(depthwise_block)(const T *in, ptrdiff_t line, const T *weights,
                               const K(target) *target, ptrdiff_t rows, ptrdiff_t columns,
                               const fd_meeting *h, const fd_meeting *w)
{
    if (!fd_has_tiles(h, w) || rows < FD_TILE_ROWS || columns < FD_TILE_COLUMNS) {
        if (columns < FD_TILE_COLUMNS)
            K(depthwise_any)(in, line, weights, target, rows, columns, h, w, 1);
        else
            K(depthwise_any)(in, line, weights, target, rows, columns, h, w, FD_TILE_COLUMNS);
    } else if (h->taps == 3) {
        if (h->up)
            K(depthwise_tiles)(in, line, weights, target, rows, columns, 3, 2, 1);
        else if (h->stride == 1)
            K(depthwise_tiles)(in, line, weights, target, rows, columns, 3, 1, 0);
        else
            K(depthwise_tiles)(in, line, weights, target, rows, columns, 3, 2, 0);
    } else {
        if (h->up)
            K(depthwise_tiles)(in, line, weights, target, rows, columns, 5, 2, 1);
        else if (h->stride == 1)
            K(depthwise_tiles)(in, line, weights, target, rows, columns, 5, 1, 0);
        else
            K(depthwise_tiles)(in, line, weights, target, rows, columns, 5, 2, 0);
    }
}

/* ---- outputs, and gradients of inputs ---- */

/* One walk over maps: the outputs (row * step + phase) of all channels. */
typedef struct {
    const fd_depthwise_args *args;
    fd_meeting h, w;
    ptrdiff_t phase_h, phase_w, step_h, step_w;
    int backward;
    fd_blocking blocking;
    ptrdiff_t multiplier, channel_blocks, lanes;
    T *weights;                         /* [channel block][j][tap, and then bias][VL] */
    T *patch, *out, *add;
} K(walk);

/* Weights of VL channels side by side; tap t of the walk is tap last - t * step of the filters. */
static void K(pack_filters)(const K(walk) *walk, fd_axis h, fd_axis w)
{
    const fd_depthwise_args *args = walk->args;
    const fd_window *window = &args->window;
    T *out = walk->weights;
    for (ptrdiff_t block = 0; block < walk->channel_blocks; block++)
        for (ptrdiff_t j = 0; j < walk->multiplier; j++) {
            ptrdiff_t c = FD_MIN(block * VL, window->C - walk->lanes);
            for (ptrdiff_t kh = 0; kh < h.size; kh++)
                for (ptrdiff_t kw = 0; kw < w.size; kw++, out += VL) {
                    ptrdiff_t tap = (h.last - kh * h.step) * window->KW + w.last - kw * w.step;
                    for (ptrdiff_t lane = 0; lane < VL; lane++)
                        out[lane] = lane >= walk->lanes ? 0 : ((const T *)args->w)[
                            ((c + lane) * walk->multiplier + j) * window->KH * window->KW + tap];
                }
            for (ptrdiff_t lane = 0; lane < VL; lane++)
                out[lane] = walk->backward || !args->b || lane >= walk->lanes ? 0
                    : ((const T *)args->b)[(c + lane) * walk->multiplier + j];
            out += VL;
        }
}

static int K(prepare_walk)(K(walk) *walk, fd_axis h, fd_axis w)
{
    const fd_depthwise_args *args = walk->args;
    if (!walk->h.outputs || !walk->w.outputs) return 0;
    walk->multiplier = args->OC / args->window.C;
    walk->lanes = FD_MIN(VL, args->window.C);
    walk->channel_blocks = (args->window.C + VL - 1) / VL;
    walk->blocking = fd_block(&walk->h, &walk->w, FD_PATCH_BYTES / (VL * (ptrdiff_t)sizeof(T)));
    ptrdiff_t outputs = walk->blocking.rows * walk->blocking.columns + VL;
    ptrdiff_t vectors = walk->channel_blocks * walk->multiplier * (h.size * w.size + 1)
        + walk->blocking.patch + VL + 2 * outputs;
    walk->patch = fd_scratch((size_t)(vectors * VL) * sizeof(T));
    if (!walk->patch) return 0;
    walk->out = walk->patch + (walk->blocking.patch + VL) * VL;
    walk->add = walk->out + outputs * VL;
    walk->weights = walk->add + outputs * VL;
    K(pack_filters)(walk, h, w);
    return 1;
}

/* The maps on either side of a walk, from `channel` on. */
static inline K(view) K(view_x)(const fd_depthwise_args *args, const void *maps, ptrdiff_t n,
                                ptrdiff_t channel, ptrdiff_t lanes)
{
    const fd_window *w = &args->window;
    return K(view_of)(maps, w->N, w->C, w->H, w->W, args->channels_last, n, channel, 1, lanes);
}

static inline K(view) K(view_y)(const fd_depthwise_args *args, const void *maps, ptrdiff_t n,
                                ptrdiff_t channel, ptrdiff_t j, ptrdiff_t lanes)
{
    const fd_window *w = &args->window;
    ptrdiff_t multiplier = args->OC / w->C;
    return K(view_of)(maps, w->N, args->OC, w->OH, w->OW, args->channels_last, n,
                      channel * multiplier + j, multiplier, lanes);
}

/* One block of VL channels. */
static void K(walk_block)(K(walk) *walk, ptrdiff_t n, ptrdiff_t block, ptrdiff_t row,
                          ptrdiff_t rows, ptrdiff_t column, ptrdiff_t columns)
{
    const fd_depthwise_args *args = walk->args;
    ptrdiff_t channel = FD_MIN(block * VL, args->window.C - walk->lanes);
    ptrdiff_t line = fd_count_inputs(&walk->w, columns) * VL;
    for (ptrdiff_t j = 0; j < walk->multiplier; j++) {
        K(view) source = walk->backward ? K(view_y)(args, args->dy, n, channel, j, walk->lanes)
                                        : K(view_x)(args, args->x, n, channel, walk->lanes);
        K(view) to = walk->backward ? K(view_x)(args, args->dx, n, channel, walk->lanes)
                                    : K(view_y)(args, args->y, n, channel, j, walk->lanes);
        to = K(view_at)(to, walk->phase_h, walk->phase_w);
        to.row *= walk->step_h;
        to.column *= walk->step_w;
        to = K(view_at)(to, row, column);
        if (walk->backward || j == 0)
            K(lay_patch)(source, &walk->h, &walk->w, row, rows, column, columns, walk->patch);
        int direct = to.channel == 1 && to.lanes == VL && !(walk->backward && walk->multiplier > 1);
        K(target) target = {NULL, to.data, to.row, to.column, args->relu && !walk->backward};
        if (!direct) target = (K(target)){NULL, walk->out, columns * VL, VL, target.relu};
        if (walk->backward && j > 0) {
            target.add = walk->add;
        } else if (!walk->backward && args->residual) {
            K(view) residual = to;
            residual.data = (T *)args->residual + (to.data - (T *)args->y);
            residual.end = (const T *)args->residual + (to.end - (const T *)args->y);
            target.add = direct ? residual.data : walk->add;
            if (!direct) K(read_rows)(residual, rows, columns, walk->add);
        }
        K(depthwise_block)(walk->patch, line,
                           walk->weights + (block * walk->multiplier + j)
                               * (walk->h.taps * walk->w.taps + 1) * VL,
                           &target, rows, columns, &walk->h, &walk->w);
        if (walk->backward && j < walk->multiplier - 1) {
            T *sums = walk->out;
            walk->out = walk->add;
            walk->add = sums;
        } else if (!direct) {
            K(write_rows)(to, rows, columns, walk->out);
        }
    }
}

/* Items: row_cells for each image. Channels-last maps are walked in the order in which they lie. */
static void K(walk_maps)(K(walk) *walk, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_depthwise_args *args = walk->args;
    ptrdiff_t cells = args->row_cells, width = walk->blocking.columns;
    ptrdiff_t outer = args->channels_last ? 1 : walk->channel_blocks;
    for (ptrdiff_t item = begin; item < end; item++) {
        fd_range part = fd_part(walk->h.outputs, FD_TILE_ROWS, cells, item % cells);
        ptrdiff_t height = FD_MIN(walk->blocking.rows, part.end - part.begin);
        for (ptrdiff_t first = 0; first < outer; first++)
            for (ptrdiff_t i = part.begin; i < part.end; i += height)
                for (ptrdiff_t j = 0; j < walk->w.outputs; j += width)
                    for (ptrdiff_t block = first; block < walk->channel_blocks; block += outer)
                        K(walk_block)(walk, item / cells, block, FD_MIN(i, part.end - height),
                                      height, FD_MIN(j, walk->w.outputs - width), width);
    }
}

static void K(conv2d_depthwise)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_depthwise_args *args = p;
    const fd_window *w = &args->window;
    K(walk) walk = {
        .args = args, .step_h = 1, .step_w = 1,
        .h = {w->KH, w->SH, w->PH, w->DH, 0, w->H, w->OH},
        .w = {w->KW, w->SW, w->PW, w->DW, 0, w->W, w->OW}};
    if (K(prepare_walk)(&walk, (fd_axis){w->KH, 0, 0, 0, -1}, (fd_axis){w->KW, 0, 0, 0, -1}))
        K(walk_maps)(&walk, begin, end);
}

/* One walk up where there are tiles for that; else one for each place of an input modulo stride. */
static void K(conv2d_depthwise_backward_input)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_depthwise_args *args = p;
    const fd_window *w = &args->window;
    K(walk) walk = {
        .args = args, .backward = 1, .step_h = 1, .step_w = 1,
        .h = {w->KH, w->SH, w->PH, w->DH, 1, w->OH, w->H},
        .w = {w->KW, w->SW, w->PW, w->DW, 1, w->OW, w->W}};
    if (fd_has_tiles(&walk.h, &walk.w) && w->SH == 2 && w->H % 2 == 0 && w->W % 2 == 0
            && w->W >= FD_TILE_COLUMNS
            && (w->KH / 2 + w->PH) % 2 == 0 && (w->KW / 2 + w->PW) % 2 == 0) {
        if (K(prepare_walk)(&walk, (fd_axis){w->KH, 0, 0, 0, -1}, (fd_axis){w->KW, 0, 0, 0, -1}))
            K(walk_maps)(&walk, begin, end);
        return;
    }
    walk.step_h = w->SH;
    walk.step_w = w->SW;
    for (walk.phase_h = 0; walk.phase_h < FD_MIN(w->SH, w->H); walk.phase_h++)
        for (walk.phase_w = 0; walk.phase_w < FD_MIN(w->SW, w->W); walk.phase_w++) {
            fd_axis h = fd_backward_axis(w->KH, w->SH, w->PH, w->DH, walk.phase_h);
            fd_axis v = fd_backward_axis(w->KW, w->SW, w->PW, w->DW, walk.phase_w);
            walk.h = (fd_meeting){h.size, 1, h.padding, h.dilation, 0, w->OH,
                                  (w->H - walk.phase_h + w->SH - 1) / w->SH};
            walk.w = (fd_meeting){v.size, 1, v.padding, v.dilation, 0, w->OW,
                                  (w->W - walk.phase_w + w->SW - 1) / w->SW};
            if (!K(prepare_walk)(&walk, h, v)) return;
            K(walk_maps)(&walk, begin, end);
        }
}

/* ---- gradients of weights and bias ---- */

/* sums[t] += inputs under tap t times dy, and behind them the sum of dy; `width` columns of dy. */
FD_INLINE void K(add_products)(const T *in, ptrdiff_t line, const T *dy, ptrdiff_t dy_column,
                               V *sums, const int taps, const int stride, const int width)
{
    V gradient[FD_TILE_COLUMNS];
#pragma GCC unroll 4
    for (int j = 0; j < width; j++) {
        gradient[j] = K(load)(dy + j * dy_column);
        sums[taps * taps] += gradient[j];
    }
#pragma GCC unroll 16
    for (int kh = 0; kh < taps; kh++)
#pragma GCC unroll 16
        for (int c = 0; c < (width - 1) * stride + taps; c++) {
            V value = K(load)(in + kh * line + c * VL);
#pragma GCC unroll 4
            for (int j = 0; j < width; j++) {
                int kw = c - j * stride;
                if (kw >= 0 && kw < taps) sums[kh * taps + kw] += value * gradient[j];
            }
        }
}

FD_INLINE void K(multiply_tiles)(const T *in, ptrdiff_t line, const K(target) *dy, T *total,
                                 ptrdiff_t rows, ptrdiff_t columns, const int taps,
                                 const int stride)
{
    V sums[26];
#pragma GCC unroll 26
    for (int t = 0; t < taps * taps + 1; t++) sums[t] = (V){0};
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T *from = in + i * stride * line, *gradient = dy->out + i * dy->row;
        ptrdiff_t j = 0;
        for (; j + FD_TILE_COLUMNS <= columns; j += FD_TILE_COLUMNS)
            K(add_products)(from + j * stride * VL, line, gradient + j * dy->column, dy->column,
                            sums, taps, stride, FD_TILE_COLUMNS);
        for (; j < columns; j++)
            K(add_products)(from + j * stride * VL, line, gradient + j * dy->column, dy->column,
                            sums, taps, stride, 1);
    }
#pragma GCC unroll 26
    for (int t = 0; t < taps * taps + 1; t++)
        K(store)(total + t * VL, K(load)(total + t * VL) + sums[t]);
}

static void K(multiply_any)(const T *in, ptrdiff_t line, const K(target) *dy, T *total,
                            ptrdiff_t rows, ptrdiff_t columns, const fd_meeting *h,
                            const fd_meeting *w)
{
    for (ptrdiff_t kh = 0; kh < h->taps; kh++)
        for (ptrdiff_t kw = 0; kw < w->taps; kw++, total += VL) {
            V sum = {0};
            for (ptrdiff_t i = 0; i < rows; i++) {
                const T *from = in + (i * h->stride + kh * h->dilation) * line
                    + kw * w->dilation * VL;
                for (ptrdiff_t j = 0; j < columns; j++)
                    sum += K(load)(from + j * w->stride * VL)
                        * K(load)(dy->out + i * dy->row + j * dy->column);
            }
            K(store)(total, K(load)(total) + sum);
        }
    V sum = {0};
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < columns; j++)
            sum += K(load)(dy->out + i * dy->row + j * dy->column);
    K(store)(total, K(load)(total) + sum);
}

/* All filters of a block of channels from one image, block of outputs by block of outputs. */
typedef struct {
    const fd_depthwise_args *args;
    fd_meeting h, w;
    fd_blocking blocking;
    ptrdiff_t multiplier, taps, lanes;
    T *patch, *dy, *sums;               /* sums: [channel block][j][tap, and then bias][VL] */
} K(products);

static void K(multiply_block)(const K(products) *p, ptrdiff_t n, ptrdiff_t channel, T *sums,
                              ptrdiff_t row, ptrdiff_t column)
{
    const fd_depthwise_args *args = p->args;
    ptrdiff_t rows = FD_MIN(p->blocking.rows, p->h.outputs - row);
    ptrdiff_t columns = FD_MIN(p->blocking.columns, p->w.outputs - column);
    ptrdiff_t line = fd_count_inputs(&p->w, columns) * VL;
    K(lay_patch)(K(view_x)(args, args->x, n, channel, p->lanes), &p->h, &p->w, row, rows, column,
                 columns, p->patch);
    for (ptrdiff_t j = 0; j < p->multiplier; j++, sums += (p->taps + 1) * VL) {
        K(view) view = K(view_at)(K(view_y)(args, args->dy, n, channel, j, p->lanes), row, column);
        K(target) dy = {NULL, view.data, view.row, view.column, 0};
        if (view.channel != 1 || view.lanes != VL) {
            K(read_rows)(view, rows, columns, p->dy);
            dy = (K(target)){NULL, p->dy, columns * VL, VL, 0};
        }
        if (!fd_has_tiles(&p->h, &p->w))
            K(multiply_any)(p->patch, line, &dy, sums, rows, columns, &p->h, &p->w);
        else if (p->h.taps == 3 && p->h.stride == 1)
            K(multiply_tiles)(p->patch, line, &dy, sums, rows, columns, 3, 1);
        else if (p->h.taps == 3)
            K(multiply_tiles)(p->patch, line, &dy, sums, rows, columns, 3, 2);
        else if (p->h.stride == 1)
            K(multiply_tiles)(p->patch, line, &dy, sums, rows, columns, 5, 1);
        else
            K(multiply_tiles)(p->patch, line, &dy, sums, rows, columns, 5, 2);
    }
}

/* Items: image_cells parts of the batch, each with sums of its own, times channel_cells. */
static void K(conv2d_depthwise_backward_weight)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_depthwise_args *args = p;
    const fd_window *w = &args->window;
    K(products) m = {
        .args = args, .multiplier = args->OC / w->C, .taps = w->KH * w->KW,
        .lanes = FD_MIN(VL, w->C),
        .h = {w->KH, w->SH, w->PH, w->DH, 0, w->H, w->OH},
        .w = {w->KW, w->SW, w->PW, w->DW, 0, w->W, w->OW}};
    m.blocking = fd_block(&m.h, &m.w, FD_PATCH_BYTES / (VL * (ptrdiff_t)sizeof(T)));
    ptrdiff_t outputs = m.blocking.rows * m.blocking.columns + VL;
    ptrdiff_t block_sums = m.multiplier * (m.taps + 1) * VL;
    ptrdiff_t all_sums = (w->C + VL - 1) / VL * block_sums;
    m.patch = fd_scratch((size_t)((m.blocking.patch + VL + outputs) * VL + all_sums) * sizeof(T));
    if (!m.patch) return;
    m.dy = m.patch + (m.blocking.patch + VL) * VL;
    m.sums = m.dy + outputs * VL;
    for (ptrdiff_t item = begin; item < end; item++) {
        ptrdiff_t part = item / args->channel_cells;
        fd_range channels = fd_part(w->C, VL, args->channel_cells, item % args->channel_cells);
        fd_range images = fd_part(w->N, 1, args->image_cells, part);
        K(fill)(m.sums, all_sums, 0);
        for (ptrdiff_t n = images.begin; n < images.end; n++)
            for (ptrdiff_t i = 0; i < w->OH; i += m.blocking.rows)
                for (ptrdiff_t j = 0; j < w->OW; j += m.blocking.columns) {
                    T *sums = m.sums;
                    for (ptrdiff_t c = channels.begin; c < channels.end; c += VL) {
                        K(multiply_block)(&m, n, FD_MIN(c, w->C - m.lanes), sums, i, j);
                        sums += block_sums;
                    }
                }
        /* From [block][row][VL] to [row][C]; lanes of the last block may be another's. */
        ptrdiff_t rows = m.multiplier * (m.taps + 1);
        for (ptrdiff_t c = channels.begin; c < channels.end; c += VL)
            for (ptrdiff_t row = 0; row < rows; row++) {
                ptrdiff_t count = FD_MIN(VL, w->C - c), skip = FD_MIN(VL, m.lanes) - count;
                K(copy)((T *)args->dw + (part * rows + row) * w->C + c,
                        m.sums + (c - channels.begin) / VL * block_sums + row * VL + skip, count);
            }
    }
}
