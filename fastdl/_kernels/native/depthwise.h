/* Depthwise convolution, free of dtypes: how outputs and inputs meet, and what a block covers. */
#ifndef FASTDL_DEPTHWISE_H
#define FASTDL_DEPTHWISE_H

#include "window.h"

/* How outputs and inputs meet along one axis. Going down, as convolution does, output o meets input
 * o * stride - padding + k * dilation under tap k; going up, as the gradient of the input does, it
 * is output and input that have changed places (stride 2, dilation 1 only). */
typedef struct {
    ptrdiff_t taps, stride, padding, dilation;
    int up;
    ptrdiff_t inputs, outputs;          /* how many there are */
} fd_meeting;

/* Going up, the tap under which the first output and the first input of a tile meet. */
#define FD_FIRST_TAP(taps) ((taps) / 2 % 2 + ((taps) - 1 - (taps) / 2 % 2) / 2 * 2)

/* The first input that `output` meets, or would meet if there were one; going up, it is the first
 * output of a tile. */
static inline ptrdiff_t fd_first_input(const fd_meeting *m, ptrdiff_t output)
{
    if (m->up) return (output + m->padding - FD_FIRST_TAP(m->taps)) / 2;
    return output * m->stride - m->padding;
}

/* Where tiles of outputs from `output` on begin: at that, but going up every other may not. */
static inline ptrdiff_t fd_first_of_tile(const fd_meeting *m, ptrdiff_t output)
{
    return m->up ? output - (output + m->padding + m->taps / 2) % 2 : output;
}

/* The inputs that these outputs meet, padding included; and those of them that there are. */
static inline fd_range fd_reach_of(const fd_meeting *m, fd_range outputs)
{
    fd_range in = {fd_first_input(m, fd_first_of_tile(m, outputs.begin)), 0};
    if (m->up)
        in.end = fd_first_input(m, fd_first_of_tile(m, outputs.end - 1)) + (m->taps + 1) / 2;
    else
        in.end = fd_first_input(m, outputs.end - 1) + (m->taps - 1) * m->dilation + 1;
    return in.begin < in.end ? in : (fd_range){0, 0};
}

static inline fd_range fd_inputs_of(const fd_meeting *m, fd_range outputs)
{
    fd_range in = fd_reach_of(m, outputs);
    if (in.begin < 0) in.begin = 0;
    if (in.end > m->inputs) in.end = m->inputs;
    return in.begin < in.end ? in : (fd_range){0, 0};
}

/* How many inputs so many outputs meet, at most. */
static inline ptrdiff_t fd_count_inputs(const fd_meeting *m, ptrdiff_t outputs)
{
    if (m->up) return outputs / 2 + (m->taps + 1) / 2;
    return (outputs - 1) * m->stride + (m->taps - 1) * m->dilation + 1;
}

/* Square filters of 3 x 3 or 5 x 5, stride 1 or 2: those that there are tiles for. */
static inline int fd_has_tiles(const fd_meeting *h, const fd_meeting *w)
{
    return h->taps == w->taps && h->stride == w->stride && h->dilation == 1 && w->dilation == 1
        && (h->taps == 3 || h->taps == 5) && h->stride <= 2;
}

/* A block: rows and columns of outputs, and vectors of channels. */
typedef struct {
    fd_range rows, columns, vectors;
} fd_block;

static inline ptrdiff_t fd_length(fd_range range) { return range.end - range.begin; }

/* The places of `range` among the `size` from `first` on. */
static inline fd_range fd_within(fd_range range, ptrdiff_t first, ptrdiff_t size)
{
    ptrdiff_t begin = range.begin - first, end = range.end - first;
    return (fd_range){begin > 0 ? begin : 0, end < size ? end : size};
}

static inline int fd_is_in(fd_range range, ptrdiff_t i)
{
    return i >= range.begin && i < range.end;
}

/* Where in its block a tile of outputs begins, and where its inputs do. */
typedef struct {
    ptrdiff_t row, column, top, left;
} fd_tile;

/* Where the tile from `begin` on is to begin so that no output of it is missing, if it can. */
static inline ptrdiff_t fd_shift_tile(const fd_meeting *m, fd_range outputs, ptrdiff_t begin,
                                      ptrdiff_t size)
{
    if (begin + size <= outputs.end || outputs.end - size < outputs.begin) return begin;
    ptrdiff_t last = outputs.end - size;
    return fd_first_of_tile(m, last) == last ? last : begin;
}

/* Tiles from these outputs on lie within `outputs`, and what they read within `inputs`. */
static inline fd_range fd_whole_tiles(const fd_meeting *m, fd_range outputs, fd_range inputs,
                                      ptrdiff_t size, ptrdiff_t reach)
{
    fd_range whole = {outputs.begin, outputs.end - size + 1};
    while (whole.begin < whole.end
           && fd_first_input(m, fd_first_of_tile(m, whole.begin)) < inputs.begin)
        whole.begin++;
    while (whole.begin < whole.end
           && fd_first_input(m, fd_first_of_tile(m, whole.end - 1)) + reach > inputs.end)
        whole.end--;
    return whole;
}

/* What is laid out for a block should not exceed this: a part of a core's second cache. */
enum { FD_PATCH_BYTES = 262144 };

/* The size of blocks that meet at most `room` inputs: as long as a row if a few rows are left. */
static inline void fd_choose_block(const fd_meeting *h, const fd_meeting *w, ptrdiff_t room,
                                   ptrdiff_t *rows, ptrdiff_t *columns)
{
    *rows = h->outputs, *columns = w->outputs;
    ptrdiff_t few = fd_count_inputs(h, *rows < 8 ? *rows : 8);
    while (*columns > 8 && fd_count_inputs(w, *columns) * few > room)
        *columns = fd_round_up((*columns + 1) / 2, 4);
    ptrdiff_t width = fd_count_inputs(w, *columns);
    while (*rows > 2 && fd_count_inputs(h, *rows) * width > room)
        *rows = fd_round_up((*rows + 1) / 2, 2);
}

#endif
