/* Depthwise convolution, free of dtypes: blocks of outputs, and which inputs they need. */
#ifndef FASTDL_DEPTHWISE_H
#define FASTDL_DEPTHWISE_H

#include "window.h"

enum { FD_TILE_ROWS = 2, FD_TILE_COLUMNS = 4 };         /* outputs summed up in registers */

/* How outputs and inputs of a block meet along one axis. Going down, as convolution does, output o
 * meets input o * stride - padding + k * dilation under tap k; going up, as the gradient of the
 * input does, it is output and input that have changed places (stride 2, dilation 1 only). */
typedef struct {
    ptrdiff_t taps, stride, padding, dilation;
    int up;
    ptrdiff_t inputs, outputs;          /* how many there are */
} fd_meeting;

/* Going up, the tap under which the first output and the first input of a patch meet. Outputs are
 * taken in pairs, and `padding` must be of the same parity as `taps` / 2. */
#define FD_FIRST_TAP(taps) ((taps) / 2 % 2 + ((taps) - 1 - (taps) / 2 % 2) / 2 * 2)

static inline ptrdiff_t fd_first_input(const fd_meeting *m, ptrdiff_t output)
{
    if (m->up) return (output + m->padding - FD_FIRST_TAP(m->taps)) / 2;
    return output * m->stride - m->padding;
}

static inline ptrdiff_t fd_count_inputs(const fd_meeting *m, ptrdiff_t outputs)
{
    if (m->up) return outputs / 2 + (m->taps - 1) / 2;
    return (outputs - 1) * m->stride + (m->taps - 1) * m->dilation + 1;
}

/* Square filters of 3 x 3 or 5 x 5, stride 1 or 2: those that there are tiles for. */
static inline int fd_has_tiles(const fd_meeting *h, const fd_meeting *w)
{
    return h->taps == w->taps && h->stride == w->stride && h->dilation == 1 && w->dilation == 1
        && (h->taps == 3 || h->taps == 5) && h->stride <= 2;
}

/* Going up needs tiles, and pairs of outputs. */
static inline int fd_can_go_up(const fd_meeting *h, const fd_meeting *w)
{
    return fd_has_tiles(h, w) && h->stride == 2 && h->outputs % 2 == 0 && w->outputs % 2 == 0
        && w->outputs >= FD_TILE_COLUMNS
        && (h->taps / 2 + h->padding) % 2 == 0 && (w->taps / 2 + w->padding) % 2 == 0;
}

/* A patch, and the vectors of one of its pixels, should not exceed these: a part of a core's second
 * cache, and as many lines side by side as are worth fetching ahead. Both are measured. */
enum { FD_PATCH_BYTES = 262144, FD_GROUP_BYTES = 512 };

typedef struct {
    ptrdiff_t row, rows, column, columns;       /* of outputs */
    ptrdiff_t vector, vectors;                  /* of channels */
} fd_block;

typedef struct {
    ptrdiff_t rows, columns;            /* of outputs, at most */
    ptrdiff_t patch;                    /* inputs of such a block */
} fd_blocking;

/* Blocks as long as a row where that leaves room for a few rows; all even in size, as going up
 * needs, unless they are whole. `room` is the number of inputs that a block should not exceed. */
static inline fd_blocking fd_choose_blocks(const fd_meeting *h, const fd_meeting *w,
                                           ptrdiff_t room)
{
    fd_blocking b = {h->outputs, w->outputs, 0};
    ptrdiff_t few = fd_count_inputs(h, h->outputs < 8 ? h->outputs : 8);
    for (ptrdiff_t parts = 2; b.columns > 8 && fd_count_inputs(w, b.columns) * few > room; parts++)
        b.columns = fd_round_up((w->outputs + parts - 1) / parts, FD_TILE_COLUMNS);
    ptrdiff_t width = fd_count_inputs(w, b.columns);
    for (ptrdiff_t parts = 2; b.rows > 2 && width * fd_count_inputs(h, b.rows) > room; parts++)
        b.rows = fd_round_up((h->outputs + parts - 1) / parts, FD_TILE_ROWS);
    if (b.columns > w->outputs) b.columns = w->outputs;
    if (b.rows > h->outputs) b.rows = h->outputs;
    b.patch = fd_count_inputs(h, b.rows) * fd_count_inputs(w, b.columns);
    return b;
}

#endif
