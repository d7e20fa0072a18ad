/* Arithmetic of sliding windows, free of dtypes. */
#ifndef FASTDL_WINDOW_H
#define FASTDL_WINDOW_H

#include <stddef.h>

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

static inline ptrdiff_t fd_round_up(ptrdiff_t size, ptrdiff_t unit)
{
    return (size + unit - 1) / unit * unit;
}

#endif
