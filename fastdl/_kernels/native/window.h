/* Arithmetic of sliding windows, free of dtypes. */
#ifndef FASTDL_WINDOW_H
#define FASTDL_WINDOW_H

#include <stddef.h>

#include "fastdl_native.h"

typedef struct {
    ptrdiff_t begin, end;
} fd_range;

/* The outputs o in [0, O) whose tap lies inside: 0 <= o * stride + offset < size. */
static inline fd_range fd_inside(ptrdiff_t O, ptrdiff_t stride, ptrdiff_t offset, ptrdiff_t size)
{
    ptrdiff_t begin = offset < 0 ? -offset : 0;
    ptrdiff_t end = size > offset ? size - offset : 0;
    if (stride != 1) {
        begin = (begin + stride - 1) / stride;
        end = (end + stride - 1) / stride;
    }
    if (end > O) end = O;
    if (begin > end) begin = end;
    return (fd_range){begin, end};
}

/* A run of k in a product of matrices: where it begins in a (elements) and in b (steps of k), and
 * how many steps it has. */
typedef struct {
    ptrdiff_t a, b, length;
} fd_stretch;

/* The outputs o in [0, O) whose window covers the padded position `at`. */
static inline fd_range fd_covering(ptrdiff_t at, ptrdiff_t O, ptrdiff_t stride, ptrdiff_t length)
{
    ptrdiff_t begin = at < length ? 0 : (at - length) / stride + 1, end = at / stride + 1;
    if (end > O) end = O;
    if (begin > end) begin = end;
    return (fd_range){begin, end};
}

/* How many cells of the window of output `o` an average counts, along one dimension. */
static inline ptrdiff_t fd_counted(ptrdiff_t o, ptrdiff_t stride, ptrdiff_t padding,
                                   ptrdiff_t length, ptrdiff_t size, int include_pad)
{
    ptrdiff_t begin = o * stride - padding, end = begin + length;
    if (end > size + padding) end = size + padding;
    if (include_pad) return end - begin;
    return (end < size ? end : size) - (begin > 0 ? begin : 0);
}

/* Part `index` of [0, size) cut into `parts` parts whose bounds are multiples of `unit`. */
static inline fd_range fd_part(ptrdiff_t size, ptrdiff_t unit, ptrdiff_t parts, ptrdiff_t index)
{
    ptrdiff_t units = (size + unit - 1) / unit;
    ptrdiff_t begin = units * index / parts * unit, end = units * (index + 1) / parts * unit;
    return (fd_range){begin < size ? begin : size, end < size ? end : size};
}

/* A tap of the filters: channel and place in the window. */
typedef struct {
    ptrdiff_t c, kh, kw;
} fd_tap;

static inline fd_tap fd_tap_at(ptrdiff_t index, ptrdiff_t KH, ptrdiff_t KW)
{
    return (fd_tap){index / (KH * KW), index / KW % KH, index % KW};
}

static inline void fd_next_tap(fd_tap *tap, ptrdiff_t KH, ptrdiff_t KW)
{
    if (++tap->kw < KW) return;
    tap->kw = 0;
    if (++tap->kh < KH) return;
    tap->kh = 0;
    tap->c++;
}

/* The stride-1 window by which the gradients of the outputs give those of the inputs at
 * row, column = phase modulo stride. Its taps are every `step`-th of the filter's, `last` first. */
typedef struct {
    ptrdiff_t size, padding, dilation;  /* of the window along one axis */
    ptrdiff_t last, step;
} fd_axis;

static inline fd_axis fd_backward_axis(ptrdiff_t K, ptrdiff_t stride, ptrdiff_t padding,
                                       ptrdiff_t dilation, ptrdiff_t phase)
{
    ptrdiff_t first = 0, step = 1;
    while (step * dilation % stride) step++;
    while (first < step && (phase + padding - first * dilation) % stride) first++;
    if (first == step || first >= K) return (fd_axis){0, 0, 1, 0, 1};   /* no tap comes here */
    fd_axis axis = {(K - 1 - first) / step + 1, 0, step * dilation / stride, 0, step};
    axis.last = first + (axis.size - 1) * step;
    axis.padding = (axis.size - 1) * axis.dilation - (phase + padding - first * dilation) / stride;
    return axis;
}

/* The window of a forward pass along one axis, in the same terms: its taps are the filter's. */
static inline fd_axis fd_forward_axis(ptrdiff_t K, ptrdiff_t padding, ptrdiff_t dilation)
{
    return (fd_axis){K, padding, dilation, 0, -1};
}

/* A window that slides along one axis: forward over x, or backward over dy, where every input
 * of a forward stride (its phase) meets taps of its own. */
typedef struct {
    ptrdiff_t K, S, P, D;
    int backward;
} fd_slide;

static inline fd_axis fd_axis_of(const fd_slide *s, ptrdiff_t phase)
{
    return s->backward ? fd_backward_axis(s->K, s->S, s->P, s->D, phase)
                       : fd_forward_axis(s->K, s->P, s->D);
}

static inline ptrdiff_t fd_phases(const fd_slide *s) { return s->backward ? s->S : 1; }

/* How far the window moves over what is read from one output of a phase to the next. */
static inline ptrdiff_t fd_step(const fd_slide *s) { return s->backward ? 1 : s->S; }

/* Which outputs of a phase lie in `outputs`: the o-th of them is output o * fd_phases + phase. */
static inline fd_range fd_of_phase(const fd_slide *s, ptrdiff_t phase, fd_range outputs)
{
    ptrdiff_t step = fd_phases(s), up = step - 1 - phase;
    return (fd_range){(outputs.begin + up) / step, (outputs.end + up) / step};
}

/* What the windows of `outputs` cover, padding included. */
static inline fd_range fd_reach(const fd_slide *s, fd_range outputs)
{
    fd_range reach = {PTRDIFF_MAX, PTRDIFF_MIN};
    for (ptrdiff_t phase = 0; phase < fd_phases(s); phase++) {
        fd_axis axis = fd_axis_of(s, phase);
        fd_range o = fd_of_phase(s, phase, outputs);
        if (!axis.size || o.begin >= o.end) continue;
        ptrdiff_t begin = o.begin * fd_step(s) - axis.padding;
        ptrdiff_t end = (o.end - 1) * fd_step(s) - axis.padding + (axis.size - 1) * axis.dilation + 1;
        if (begin < reach.begin) reach.begin = begin;
        if (end > reach.end) reach.end = end;
    }
    return reach.begin < reach.end ? reach : (fd_range){0, 0};
}

/* A few rows of some images, laid out channels-last; row and column may lie outside of the maps. */
typedef struct {
    ptrdiff_t images, first_row, rows, first_column, columns;
    ptrdiff_t image, row, pixel;        /* distances in the strip */
} fd_strip;

static inline ptrdiff_t fd_round_up(ptrdiff_t size, ptrdiff_t unit)
{
    return (size + unit - 1) / unit * unit;
}

#endif
