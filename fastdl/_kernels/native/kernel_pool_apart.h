/* Pooling of maps (N, C, H, W), backward, where windows lie apart, KH <= SH and KW <= SW: no more
 * than one is over a cell, so a row of dx is made straight from a row of gradients. Items are rows
 * of inputs. Columns are zipped, which takes a stride of 2 and no padding before the first. */

static int K(lie_apart)(const fd_pool_args *args)
{
    const fd_window *w = &args->window;
    return w->KH <= w->SH && w->KW <= w->SW && w->SW == 2 && w->PW == 0 && w->W > 1;
}

/* The window over row `row` of the inputs: which row of outputs it is in, through all planes,
 * and the number of the first of its cells that lie there; -1 if there is none. */
FD_INLINE ptrdiff_t K(row_over)(const fd_window *w, ptrdiff_t row, INT *number)
{
    ptrdiff_t h = row % w->H + w->PH, oh = h / w->SH, kh = h % w->SH;
    *number = (INT)(kh * w->KW);
    return oh < w->OH && kh < w->KH ? row / w->H * w->OH + oh : -1;
}

/* A row of dx, from element `at` on, under the outputs from element `from` on. */
FD_INLINE void K(zip_columns)(const fd_pool_args *args, ptrdiff_t from, INT number, T rows,
                              const T *columns, ptrdiff_t at, ptrdiff_t end, int maximum)
{
    const fd_window *w = &args->window;
    ptrdiff_t outputs = w->N * w->C * w->OH * w->OW, covered = FD_MIN(w->OW * 2, w->W);
    for (ptrdiff_t i = 0; i < w->OW; i += VL) {
        V even = K(get_dy)(args, from + i, outputs), odd = even;
        if (maximum) {
            K(ivec) argmax = K(get_argmax)(args, from + i, outputs);
            odd = K(chosen)(even, argmax, number + 1);
            even = K(chosen)(even, argmax, number);
        } else {
            odd = even = even * (1 / (rows * K(load)(columns + i)));
        }
        if (w->KW == 1) odd = (V){0};
        K(put)(args, at + 2 * i, end, K(zip_low)(even, odd));
        if (2 * i + VL < covered) K(put)(args, at + 2 * i + VL, end, K(zip_high)(even, odd));
    }
    K(fill)((T *)args->y + at + covered, w->W - covered, 0);
}

FD_INLINE void K(zip_planes)(const fd_pool_args *args, ptrdiff_t begin, ptrdiff_t end, int maximum)
{
    const fd_window *w = &args->window;
    T *columns = fd_scratch((size_t)(w->OW + VL) * sizeof(T));
    if (!columns) return;
    K(count_columns)(args, columns);
    for (ptrdiff_t row = begin; row < end; row++) {
        INT number;
        ptrdiff_t above = K(row_over)(w, row, &number);
        if (above < 0)
            K(fill)((T *)args->y + row * w->W, w->W, 0);
        else
            K(zip_columns)(args, above * w->OW, number, K(counted_rows)(args, above % w->OH),
                              columns, row * w->W, end * w->W, maximum);
    }
}
