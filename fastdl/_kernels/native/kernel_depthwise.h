/* Depthwise convolution: each channel has filters of its own, so a vector holds VL channels of one
 * pixel and every step multiplies lane by lane.
 *
 * Work goes block by block: some rows and columns of outputs, some vectors of channels. The inputs
 * that a block needs are laid out in a patch [row][column][vector][VL], with padding as zeros; maps
 * that are not channels-last are transposed on the way in and out. Then tiles of 2 x 4 outputs are
 * summed up in registers: an input is loaded once and multiplied with every tap it meets.
 *
 * With OC = m * C, output channel c * m + j reads input channel c. For each j in turn, outputs
 * j, m + j, 2 m + j... are then as many as the inputs, in the same order.
 *
 * Where C >= VL the last vector starts at C - VL, and tiles that do not fit start where the block
 * ends, less their size: some outputs are computed twice, and come out the same. */
#include "depthwise.h"

/* ---- maps, vector by vector ---- */

/* `vectors` times `lanes` channels (VL, or all C if fewer) of one feature map. Several vectors lie
 * side by side, but for the last, which is `last` from the first. */
typedef struct {
    T *data;
    const T *end;                       /* of the whole array */
    ptrdiff_t channel, row, column;     /* distance between two of them */
    ptrdiff_t lanes, vectors, last;
} K(view);

static inline int K(is_in_vectors)(const K(view) *view)
{
    return view->channel == 1 && view->lanes == VL;
}

static inline K(view) K(view_at)(K(view) view, ptrdiff_t row, ptrdiff_t column)
{
    view.data += row * view.row + column * view.column;
    return view;
}

/* `count` pixels of a row, into or out of [count][vectors][VL]. */
static inline void K(read_pixels)(K(view) view, ptrdiff_t count, T *out)
{
    ptrdiff_t i = 0;
    if (K(is_in_vectors)(&view)) {
        for (; i < count; i++, view.data += view.column, out += VL) {
            for (ptrdiff_t v = 1; v < view.vectors; v++, out += VL)
                K(store)(out, K(load)(view.data + (v - 1) * VL));
            K(store)(out, K(load)(view.data + view.last));
        }
        return;
    }
    if (view.column == 1) {
        for (; i + VL <= count; i += VL)
            K(transpose_block)(view.data + i, view.channel, view.lanes, out + i * VL, VL);
        /* What is left over is read with what follows it in memory, if anything does. */
        const T *last = view.data + (view.lanes - 1) * view.channel + i;
        if (i < count && view.end - last >= VL) {
            K(transpose_block)(view.data + i, view.channel, view.lanes, out + i * VL, VL);
            return;
        }
    }
    for (; i < count; i++)
        for (ptrdiff_t lane = 0; lane < VL; lane++)
            out[i * VL + lane] =
                lane < view.lanes ? view.data[lane * view.channel + i * view.column] : 0;
}

/* Only maps that are not in vectors need this: blocks write the others themselves. */
static inline void K(write_pixels)(K(view) view, ptrdiff_t count, const T *in)
{
    ptrdiff_t i = 0;
    if (view.column == 1 && view.lanes == VL && count >= VL)
        for (; i < count; i += VL) {
            ptrdiff_t from = FD_MIN(i, count - VL);
            K(transpose_block)(in + from * VL, VL, VL, view.data + from, view.channel);
        }
    for (; i < count; i++)
        for (ptrdiff_t lane = 0; lane < view.lanes; lane++)
            view.data[lane * view.channel + i * view.column] = in[i * VL + lane];
}

/* Rows of pixels; whole ones are one long row. */
static void K(read_rows)(K(view) view, ptrdiff_t rows, ptrdiff_t columns, T *out)
{
    if (view.row == columns * view.column) columns *= rows, rows = 1;
    for (ptrdiff_t r = 0; r < rows; r++, out += columns * view.vectors * VL)
        K(read_pixels)(K(view_at)(view, r, 0), columns, out);
}

static void K(write_rows)(K(view) view, ptrdiff_t rows, ptrdiff_t columns, const T *in)
{
    if (view.row == columns * view.column) columns *= rows, rows = 1;
    for (ptrdiff_t r = 0; r < rows; r++, in += columns * VL)
        K(write_pixels)(K(view_at)(view, r, 0), columns, in);
}

/* The inputs that the outputs of `part` meet. */
static void K(lay_patch)(K(view) map, const fd_meeting *h, const fd_meeting *w, fd_block part,
                         T *patch)
{
    ptrdiff_t top = fd_first_input(h, part.row), height = fd_count_inputs(h, part.rows);
    ptrdiff_t left = fd_first_input(w, part.column), width = fd_count_inputs(w, part.columns);
    ptrdiff_t begin = FD_MIN(FD_MAX(-left, 0), width), end = FD_MIN(w->inputs - left, width);
    ptrdiff_t pixel = map.vectors * VL;
    for (ptrdiff_t r = top; r < top + height; r++, patch += width * pixel) {
        if (r < 0 || r >= h->inputs || begin >= end) {
            K(fill)(patch, width * pixel, 0);
            continue;
        }
        K(read_pixels)(K(view_at)(map, r, left + begin), end - begin, patch + begin * pixel);
        K(fill)(patch, begin * pixel, 0);
        K(fill)(patch + end * pixel, (width - end) * pixel, 0);
    }
}

/* ---- blocks of outputs ---- */

typedef struct {
    const T *in, *weights;              /* weights: [vector][tap, and then bias][VL] */
    ptrdiff_t line, pixel;              /* distances in `in` */
    const fd_meeting *h, *w;
    ptrdiff_t rows, columns, vectors;
    const T *add;                       /* NULL, or added to the sums; lies like `out` */
    T *out;
    ptrdiff_t out_row, out_column, out_last;
    int relu;
} K(output_block);

static inline const T *K(weights_of)(const K(output_block) *block, ptrdiff_t vector)
{
    return block->weights + vector * (block->h->taps * block->w->taps + 1) * VL;
}

/* Write `rows` x `columns` sums, from output (row, column) of a vector on. */
FD_INLINE void K(finish)(const K(output_block) *block, ptrdiff_t row, ptrdiff_t column,
                         ptrdiff_t vector, V *sums, const int rows, const int columns)
{
    ptrdiff_t out_row = block->out_row, out_column = block->out_column;
    ptrdiff_t first = row * out_row + column * out_column
        + (vector == block->vectors - 1 ? block->out_last : vector * VL);
    if (block->add) {
        const T *add = block->add + first;
#pragma GCC unroll 8
        for (int k = 0; k < rows * columns; k++)
            sums[k] += K(load)(add + k / columns * out_row + k % columns * out_column);
    }
    if (block->relu)
#pragma GCC unroll 8
        for (int k = 0; k < rows * columns; k++)
            sums[k] = K(select)((K(ivec))(sums[k] <= 0), (V){0}, sums[k]);
    T *out = block->out + first;
#pragma GCC unroll 8
    for (int k = 0; k < rows * columns; k++)
        K(store)(out + k / columns * out_row + k % columns * out_column, sums[k]);
}

/* One tile. Along both axes input r meets output i under tap a * r - b * i + first. */
FD_INLINE void K(depthwise_tile)(const K(output_block) *block, const T *in, ptrdiff_t row,
                                 ptrdiff_t column, ptrdiff_t vector, const int taps, const int a,
                                 const int b, const int first, const int in_rows,
                                 const int in_columns)
{
    const T *weights = K(weights_of)(block, vector);
    V sums[FD_TILE_ROWS * FD_TILE_COLUMNS], weight[25];
#pragma GCC unroll 25
    for (int t = 0; t < taps * taps; t++) weight[t] = K(load)(weights + t * VL);
#pragma GCC unroll 8
    for (int i = 0; i < FD_TILE_ROWS * FD_TILE_COLUMNS; i++)
        sums[i] = K(load)(weights + taps * taps * VL);
#pragma GCC unroll 16
    for (int r = 0; r < in_rows; r++)
#pragma GCC unroll 16
        for (int c = 0; c < in_columns; c++) {
            V value = K(load)(in + r * block->line + c * block->pixel);
#pragma GCC unroll 2
            for (int i = 0; i < FD_TILE_ROWS; i++)
#pragma GCC unroll 4
                for (int j = 0; j < FD_TILE_COLUMNS; j++) {
                    int kh = a * r - b * i + first, kw = a * c - b * j + first;
                    if (kh >= 0 && kh < taps && kw >= 0 && kw < taps)
                        sums[i * FD_TILE_COLUMNS + j] += value * weight[kh * taps + kw];
                }
        }
    K(finish)(block, row, column, vector, sums, FD_TILE_ROWS, FD_TILE_COLUMNS);
}

/* Square filters, in tiles. The block is a tile in size or more; going up, its sizes are even. */
FD_INLINE void K(depthwise_tiles)(const K(output_block) *block, const int taps, const int stride,
                                  const int up)
{
    for (ptrdiff_t i = 0; i < block->rows; i += FD_TILE_ROWS)
        for (ptrdiff_t j = 0; j < block->columns; j += FD_TILE_COLUMNS) {
            ptrdiff_t row = FD_MIN(i, block->rows - FD_TILE_ROWS);
            ptrdiff_t column = FD_MIN(j, block->columns - FD_TILE_COLUMNS);
            const T *in = block->in + (up ? row / 2 : row * stride) * block->line
                + (up ? column / 2 : column * stride) * block->pixel;
            for (ptrdiff_t v = 0; v < block->vectors; v++, in += VL)
                if (up)
                    K(depthwise_tile)(block, in, row, column, v, taps, -2, -1,
                                      FD_FIRST_TAP(taps), FD_TILE_ROWS / 2 + (taps - 1) / 2,
                                      FD_TILE_COLUMNS / 2 + (taps - 1) / 2);
                else
                    K(depthwise_tile)(block, in, row, column, v, taps, 1, stride, 0,
                                      (FD_TILE_ROWS - 1) * stride + taps,
                                      (FD_TILE_COLUMNS - 1) * stride + taps);
        }
}

/* Any filters, `width` outputs (1 or 4) at a time. */
FD_INLINE void K(depthwise_any)(const K(output_block) *block, const int width)
{
    const fd_meeting *h = block->h, *w = block->w;
    for (ptrdiff_t i = 0; i < block->rows; i++)
        for (ptrdiff_t j = 0; j < block->columns; j += width)
            for (ptrdiff_t v = 0; v < block->vectors; v++) {
                ptrdiff_t column = FD_MIN(j, block->columns - width);
                const T *weight = K(weights_of)(block, v), *in = block->in
                    + i * h->stride * block->line + column * w->stride * block->pixel + v * VL;
                V sums[FD_TILE_COLUMNS];
#pragma GCC unroll 4
                for (int k = 0; k < width; k++)
                    sums[k] = K(load)(weight + h->taps * w->taps * VL);
                for (ptrdiff_t kh = 0; kh < h->taps; kh++)
                    for (ptrdiff_t kw = 0; kw < w->taps; kw++, weight += VL) {
                        const T *cell = in + kh * h->dilation * block->line
                            + kw * w->dilation * block->pixel;
#pragma GCC unroll 4
                        for (int k = 0; k < width; k++)
                            sums[k] += K(load)(cell + k * w->stride * block->pixel)
                                * K(load)(weight);
                    }
                K(finish)(block, i, column, v, sums, 1, width);
            }
}

static void K(depthwise_block)(const K(output_block) *block)
{
    const fd_meeting *h = block->h;
    int tiles = fd_has_tiles(h, block->w) && block->rows >= FD_TILE_ROWS
        && block->columns >= FD_TILE_COLUMNS;
    if (block->columns < FD_TILE_COLUMNS)
        K(depthwise_any)(block, 1);
    else if (!tiles)
        K(depthwise_any)(block, FD_TILE_COLUMNS);
    else if (h->taps == 3 && h->up)
        K(depthwise_tiles)(block, 3, 2, 1);
    else if (h->taps == 3 && h->stride == 1)
        K(depthwise_tiles)(block, 3, 1, 0);
    else if (h->taps == 3)
        K(depthwise_tiles)(block, 3, 2, 0);
    else if (h->up)
        K(depthwise_tiles)(block, 5, 2, 1);
    else if (h->stride == 1)
        K(depthwise_tiles)(block, 5, 1, 0);
    else
        K(depthwise_tiles)(block, 5, 2, 0);
}

/* ---- walks over maps ---- */

/* What all blocks of a walk have in common. */
typedef struct {
    const fd_depthwise_args *args;
    fd_meeting h, w;
    fd_blocking blocking;
    ptrdiff_t multiplier, lanes, vectors, group;        /* group: vectors of a block */
    T *patch, *out, *add;
    T *sums;                            /* or weights: [vector][j][tap, and then bias][VL] */
} K(walk);

/* Returns 0 when there is nothing to do, or no memory for it. */
static int K(prepare_walk)(K(walk) *walk)
{
    const fd_depthwise_args *args = walk->args;
    ptrdiff_t C = args->window.C, vector = VL * (ptrdiff_t)sizeof(T);
    if (!walk->h.outputs || !walk->w.outputs) return 0;
    walk->multiplier = args->OC / C;
    walk->lanes = FD_MIN(VL, C);
    walk->vectors = (C + VL - 1) / VL;
    walk->group = args->channels_last && C >= VL && walk->multiplier == 1
        ? FD_MIN(walk->vectors, FD_MAX(FD_GROUP_BYTES / vector, 1)) : 1;
    walk->blocking = fd_choose_blocks(&walk->h, &walk->w,
                                      FD_PATCH_BYTES / (vector * walk->group));
    /* Transposing may write VL pixels where fewer are asked for. */
    ptrdiff_t patch = (walk->blocking.patch + VL) * walk->group;
    ptrdiff_t outputs = (walk->blocking.rows * walk->blocking.columns + VL) * walk->group;
    ptrdiff_t sums = walk->vectors * walk->multiplier * (walk->h.taps * walk->w.taps + 1);
    walk->patch = fd_scratch((size_t)((patch + 2 * outputs + sums) * vector));
    if (!walk->patch) return 0;
    walk->out = walk->patch + patch * VL;
    walk->add = walk->out + outputs * VL;
    walk->sums = walk->add + outputs * VL;
    return 1;
}

/* Sums, or weights, of the channels of one block. */
static inline T *K(tap_sums)(const K(walk) *walk, ptrdiff_t vector, ptrdiff_t j)
{
    ptrdiff_t filters = vector * walk->multiplier + j;
    return walk->sums + filters * (walk->h.taps * walk->w.taps + 1) * VL;
}

static inline ptrdiff_t K(first_channel)(const K(walk) *walk, ptrdiff_t vector)
{
    return FD_MIN(vector * VL, walk->args->window.C - walk->lanes);
}

/* Image n of x or dx, or with `y` of y, dy and residual: the channels of some vectors. */
static K(view) K(view_of)(const K(walk) *walk, const void *maps, int y, ptrdiff_t n,
                          const fd_block *part, ptrdiff_t j)
{
    const fd_depthwise_args *args = walk->args;
    const fd_window *w = &args->window;
    ptrdiff_t channels = y ? args->OC : w->C, step = y ? walk->multiplier : 1;
    ptrdiff_t height = y ? w->OH : w->H, width = y ? w->OW : w->W, map = height * width;
    ptrdiff_t channel = args->channels_last ? 1 : map, column = args->channels_last ? channels : 1;
    ptrdiff_t first = K(first_channel)(walk, part->vector);
    ptrdiff_t last = K(first_channel)(walk, part->vector + part->vectors - 1) - first;
    return (K(view)){
        (T *)maps + n * channels * map + (first * step + (y ? j : 0)) * channel,
        (const T *)maps + w->N * channels * map,
        step * channel, width * column, column, walk->lanes, part->vectors, last};
}

/* ---- outputs, and gradients of inputs ---- */

/* A walk that writes outputs: those at row * step_h + phase_h, and columns alike. */
typedef struct {
    K(walk) walk;
    int backward;
    ptrdiff_t phase_h, phase_w, step_h, step_w;
} K(writer);

/* Weights of VL channels side by side; tap t of the walk is tap last - t * step of the filters. */
static void K(pack_taps)(const K(writer) *writer, fd_axis h, fd_axis w)
{
    const K(walk) *walk = &writer->walk;
    const fd_depthwise_args *args = walk->args;
    const fd_window *window = &args->window;
    const T *bias = writer->backward ? NULL : args->b;
    T *out = walk->sums;
    for (ptrdiff_t vector = 0; vector < walk->vectors; vector++)
        for (ptrdiff_t j = 0; j < walk->multiplier; j++) {
            ptrdiff_t oc = K(first_channel)(walk, vector) * walk->multiplier + j;
            const T *filters = (const T *)args->w + oc * window->KH * window->KW;
            ptrdiff_t filter = walk->multiplier * window->KH * window->KW;
            for (ptrdiff_t kh = 0; kh < h.size; kh++)
                for (ptrdiff_t kw = 0; kw < w.size; kw++, out += VL) {
                    ptrdiff_t tap = (h.last - kh * h.step) * window->KW + w.last - kw * w.step;
                    for (ptrdiff_t lane = 0; lane < VL; lane++)
                        out[lane] = lane < walk->lanes ? filters[lane * filter + tap] : 0;
                }
            for (ptrdiff_t lane = 0; lane < VL; lane++)
                out[lane] = bias && lane < walk->lanes ? bias[oc + lane * walk->multiplier] : 0;
            out += VL;
        }
}

/* Outputs j of a block. The gradients of inputs are summed over all j before they are written. */
static void K(write_block)(K(writer) *writer, ptrdiff_t n, fd_block part, ptrdiff_t j)
{
    K(walk) *walk = &writer->walk;
    const fd_depthwise_args *args = walk->args;
    int backward = writer->backward;
    if (backward || j == 0)
        K(lay_patch)(K(view_of)(walk, backward ? args->dy : args->x, backward, n, &part, j),
                     &walk->h, &walk->w, part, walk->patch);
    K(view) to = K(view_of)(walk, backward ? args->dx : args->y, !backward, n, &part, j);
    to = K(view_at)(to, writer->phase_h, writer->phase_w);
    to.row *= writer->step_h;
    to.column *= writer->step_w;
    to = K(view_at)(to, part.row, part.column);
    int direct = K(is_in_vectors)(&to) && !(backward && walk->multiplier > 1);
    ptrdiff_t pixel = part.vectors * VL;
    K(output_block) block = {
        .in = walk->patch, .weights = K(tap_sums)(walk, part.vector, j),
        .line = fd_count_inputs(&walk->w, part.columns) * pixel, .pixel = pixel,
        .h = &walk->h, .w = &walk->w,
        .rows = part.rows, .columns = part.columns, .vectors = part.vectors,
        .add = backward && j > 0 ? walk->add : NULL,
        .out = direct ? to.data : walk->out,
        .out_row = direct ? to.row : part.columns * pixel,
        .out_column = direct ? to.column : pixel, .out_last = to.last,
        .relu = args->relu && !backward};
    if (args->residual && !backward) {
        K(view) residual = to;
        residual.data = (T *)args->residual + (to.data - (T *)args->y);
        residual.end = (const T *)args->residual + (to.end - (const T *)args->y);
        if (!direct) K(read_rows)(residual, part.rows, part.columns, walk->add);
        block.add = direct ? residual.data : walk->add;
    }
    K(depthwise_block)(&block);
    if (backward && j < walk->multiplier - 1) {
        T *sums = walk->out;
        walk->out = walk->add;
        walk->add = sums;
    } else if (!direct) {
        K(write_rows)(to, part.rows, part.columns, walk->out);
    }
}

/* Items: row_cells for each image. Channels-last maps are walked in the order in which they lie. */
static void K(write_maps)(K(writer) *writer, fd_axis h, fd_axis w, ptrdiff_t begin, ptrdiff_t end)
{
    K(walk) *walk = &writer->walk;
    if (!K(prepare_walk)(walk)) return;
    K(pack_taps)(writer, h, w);
    ptrdiff_t cells = walk->args->row_cells, width = walk->blocking.columns;
    ptrdiff_t planes = walk->args->channels_last ? walk->vectors : 1;  /* walked at once */
    for (ptrdiff_t item = begin; item < end; item++) {
        fd_range rows = fd_part(walk->h.outputs, FD_TILE_ROWS, cells, item % cells);
        ptrdiff_t height = FD_MIN(walk->blocking.rows, rows.end - rows.begin);
        for (ptrdiff_t first = 0; first < walk->vectors; first += planes)
            for (ptrdiff_t i = rows.begin; i < rows.end; i += height)
                for (ptrdiff_t k = 0; k < walk->w.outputs; k += width)
                    for (ptrdiff_t v = first; v < first + planes; v += walk->group) {
                        fd_block part = {
                            FD_MIN(i, rows.end - height), height,
                            FD_MIN(k, walk->w.outputs - width), width,
                            v, FD_MIN(walk->group, walk->vectors - v)};
                        for (ptrdiff_t j = 0; j < walk->multiplier; j++)
                            K(write_block)(writer, item / cells, part, j);
                    }
    }
}

static void K(conv2d_depthwise)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_depthwise_args *args = p;
    const fd_window *w = &args->window;
    K(writer) writer = {
        .walk = {.args = args,
                 .h = {w->KH, w->SH, w->PH, w->DH, 0, w->H, w->OH},
                 .w = {w->KW, w->SW, w->PW, w->DW, 0, w->W, w->OW}},
        .step_h = 1, .step_w = 1};
    K(write_maps)(&writer, (fd_axis){w->KH, 0, 0, 0, -1}, (fd_axis){w->KW, 0, 0, 0, -1}, begin,
                  end);
}

/* One walk up where there are tiles for that; else one for each place of an input modulo stride. */
static void K(conv2d_depthwise_backward_input)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_depthwise_args *args = p;
    const fd_window *w = &args->window;
    K(writer) writer = {
        .walk = {.args = args,
                 .h = {w->KH, w->SH, w->PH, w->DH, 1, w->OH, w->H},
                 .w = {w->KW, w->SW, w->PW, w->DW, 1, w->OW, w->W}},
        .backward = 1, .step_h = 1, .step_w = 1};
    if (fd_can_go_up(&writer.walk.h, &writer.walk.w)) {
        K(write_maps)(&writer, (fd_axis){w->KH, 0, 0, 0, -1}, (fd_axis){w->KW, 0, 0, 0, -1},
                      begin, end);
        return;
    }
    writer.step_h = w->SH;
    writer.step_w = w->SW;
    for (writer.phase_h = 0; writer.phase_h < FD_MIN(w->SH, w->H); writer.phase_h++)
        for (writer.phase_w = 0; writer.phase_w < FD_MIN(w->SW, w->W); writer.phase_w++) {
            fd_axis h = fd_backward_axis(w->KH, w->SH, w->PH, w->DH, writer.phase_h);
            fd_axis v = fd_backward_axis(w->KW, w->SW, w->PW, w->DW, writer.phase_w);
            writer.walk.h = (fd_meeting){h.size, 1, h.padding, h.dilation, 0, w->OH,
                                         (w->H - writer.phase_h + w->SH - 1) / w->SH};
            writer.walk.w = (fd_meeting){v.size, 1, v.padding, v.dilation, 0, w->OW,
                                         (w->W - writer.phase_w + w->SW - 1) / w->SW};
            K(write_maps)(&writer, h, v, begin, end);
        }
}

/* ---- gradients of weights and bias ---- */

/* A block of dy, and the patch of inputs that it meets. */
typedef struct {
    const T *in, *dy;
    T *sums;                            /* [vector][tap, and then bias][VL] */
    ptrdiff_t line, pixel;              /* distances in `in` */
    ptrdiff_t dy_row, dy_column, dy_last;
    ptrdiff_t rows, columns, vectors;
} K(products);

/* sums[t] += inputs under tap t times dy, and behind them the sum of dy; `width` columns of dy. */
FD_INLINE void K(add_products)(const K(products) *p, const T *in, const T *dy, V *sums,
                               const int taps, const int stride, const int width)
{
    V gradient[FD_TILE_COLUMNS];
#pragma GCC unroll 4
    for (int j = 0; j < width; j++) {
        gradient[j] = K(load)(dy + j * p->dy_column);
        sums[taps * taps] += gradient[j];
    }
#pragma GCC unroll 16
    for (int kh = 0; kh < taps; kh++)
#pragma GCC unroll 16
        for (int c = 0; c < (width - 1) * stride + taps; c++) {
            V value = K(load)(in + kh * p->line + c * p->pixel);
#pragma GCC unroll 4
            for (int j = 0; j < width; j++) {
                int kw = c - j * stride;
                if (kw >= 0 && kw < taps) sums[kh * taps + kw] += value * gradient[j];
            }
        }
}

/* Some rows, one vector. */
FD_INLINE void K(multiply_rows)(const K(products) *p, ptrdiff_t begin, ptrdiff_t end,
                                ptrdiff_t vector, const int taps, const int stride)
{
    T *total = p->sums + vector * (taps * taps + 1) * VL;
    V sums[26];
#pragma GCC unroll 26
    for (int t = 0; t < taps * taps + 1; t++) sums[t] = (V){0};
    for (ptrdiff_t i = begin; i < end; i++) {
        const T *in = p->in + i * stride * p->line + vector * VL;
        const T *dy = p->dy + i * p->dy_row
            + (vector == p->vectors - 1 ? p->dy_last : vector * VL);
        ptrdiff_t j = 0;
        for (; j + FD_TILE_COLUMNS <= p->columns; j += FD_TILE_COLUMNS)
            K(add_products)(p, in + j * stride * p->pixel, dy + j * p->dy_column, sums, taps,
                            stride, FD_TILE_COLUMNS);
        for (; j < p->columns; j++)
            K(add_products)(p, in + j * stride * p->pixel, dy + j * p->dy_column, sums, taps,
                            stride, 1);
    }
#pragma GCC unroll 26
    for (int t = 0; t < taps * taps + 1; t++)
        K(store)(total + t * VL, K(load)(total + t * VL) + sums[t]);
}

/* All vectors of a few rows before the next ones: what they read stays in the cache. */
FD_INLINE void K(multiply_tiles)(const K(products) *p, const int taps, const int stride)
{
    for (ptrdiff_t i = 0; i < p->rows; i += FD_TILE_ROWS)
        for (ptrdiff_t v = 0; v < p->vectors; v++)
            K(multiply_rows)(p, i, FD_MIN(i + FD_TILE_ROWS, p->rows), v, taps, stride);
}

static void K(multiply_any)(const K(products) *p, const fd_meeting *h, const fd_meeting *w)
{
    T *total = p->sums;
    for (ptrdiff_t v = 0; v < p->vectors; v++) {
        const T *dy = p->dy + (v == p->vectors - 1 ? p->dy_last : v * VL);
        for (ptrdiff_t kh = 0; kh < h->taps; kh++)
            for (ptrdiff_t kw = 0; kw < w->taps; kw++, total += VL) {
                const T *in = p->in + kh * h->dilation * p->line + kw * w->dilation * p->pixel
                    + v * VL;
                V sum = {0};
                for (ptrdiff_t i = 0; i < p->rows; i++)
                    for (ptrdiff_t j = 0; j < p->columns; j++)
                        sum += K(load)(in + i * h->stride * p->line + j * w->stride * p->pixel)
                            * K(load)(dy + i * p->dy_row + j * p->dy_column);
                K(store)(total, K(load)(total) + sum);
            }
        V sum = {0};
        for (ptrdiff_t i = 0; i < p->rows; i++)
            for (ptrdiff_t j = 0; j < p->columns; j++)
                sum += K(load)(dy + i * p->dy_row + j * p->dy_column);
        K(store)(total, K(load)(total) + sum);
        total += VL;
    }
}

static void K(multiply_block)(const K(walk) *walk, ptrdiff_t n, fd_block part)
{
    const fd_depthwise_args *args = walk->args;
    const fd_meeting *h = &walk->h, *w = &walk->w;
    K(lay_patch)(K(view_of)(walk, args->x, 0, n, &part, 0), h, w, part, walk->patch);
    for (ptrdiff_t j = 0; j < walk->multiplier; j++) {
        K(view) dy = K(view_of)(walk, args->dy, 1, n, &part, j);
        dy = K(view_at)(dy, part.row, part.column);
        ptrdiff_t pixel = part.vectors * VL;
        K(products) p = {walk->patch, dy.data, K(tap_sums)(walk, part.vector, j),
                         fd_count_inputs(w, part.columns) * pixel, pixel,
                         dy.row, dy.column, dy.last, part.rows, part.columns, part.vectors};
        if (!K(is_in_vectors)(&dy)) {
            K(read_rows)(dy, part.rows, part.columns, walk->out);
            p.dy = walk->out;
            p.dy_row = part.columns * pixel;
            p.dy_column = pixel;
        }
        if (!fd_has_tiles(h, w))
            K(multiply_any)(&p, h, w);
        else if (h->taps == 3 && h->stride == 1)
            K(multiply_tiles)(&p, 3, 1);
        else if (h->taps == 3)
            K(multiply_tiles)(&p, 3, 2);
        else if (h->stride == 1)
            K(multiply_tiles)(&p, 5, 1);
        else
            K(multiply_tiles)(&p, 5, 2);
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
        fd_range vectors = fd_part(walk.vectors, 1, args->channel_cells,
                                   item % args->channel_cells);
        fd_range images = fd_part(w->N, 1, args->image_cells, item / args->channel_cells);
        K(fill)(walk.sums, walk.vectors * rows * VL, 0);
        for (ptrdiff_t n = images.begin; n < images.end; n++)
            for (ptrdiff_t i = 0; i < w->OH; i += walk.blocking.rows)
                for (ptrdiff_t j = 0; j < w->OW; j += walk.blocking.columns)
                    for (ptrdiff_t v = vectors.begin; v < vectors.end; v += walk.group) {
                        fd_block part = {i, FD_MIN(walk.blocking.rows, w->OH - i),
                                         j, FD_MIN(walk.blocking.columns, w->OW - j),
                                         v, FD_MIN(walk.group, vectors.end - v)};
                        K(multiply_block)(&walk, n, part);
                    }
        /* From [vector][row][VL] to [row][C]; the first lanes of the last may be another's. */
        T *dw = (T *)args->dw + item / args->channel_cells * rows * w->C;
        for (ptrdiff_t v = vectors.begin; v < vectors.end; v++)
            for (ptrdiff_t row = 0; row < rows; row++)
                K(copy)(dw + row * w->C + v * VL,
                        walk.sums + (v * rows + row) * VL + v * VL - K(first_channel)(&walk, v),
                        FD_MIN(VL, w->C - v * VL));
    }
}
