/* Pooling of maps (N, C, H, W), backward: each cell of dx gathers from the windows over it, so that
 * it is written once, and never read.
 *
 * The columns are taken by their place modulo stride: all of a place have the same windows over
 * them, in the same distance. Gradients and argmax of a band of rows are laid out in scratch, with
 * zeros for the outputs that there are not. */

typedef struct {
    ptrdiff_t rows;                     /* of inputs, at once */
    ptrdiff_t before_h, before_w;       /* windows before the one that a cell begins */
    ptrdiff_t line;                     /* a row of outputs, zeros behind it and before the next */
    ptrdiff_t phases_h, phases_w;       /* places of rows and columns modulo stride */
    ptrdiff_t room;                     /* for the cells of a place in a row of dx */
    T *dy, *columns;                    /* in whole vectors each, as all that has cells */
    INT *argmax;
    T *places, *dx;                     /* a row of dx place by place; rows of dx */
    K(tap) *taps;                       /* place by place */
    ptrdiff_t *first;                   /* of each place, and one after the last */
} K(gathering);

FD_INLINE int K(prepare_gathering)(const fd_pool_args *args, K(gathering) *job)
{
    const fd_window *w = &args->window;
    job->before_h = (w->KH - 1) / w->SH;
    job->before_w = (w->KW - 1) / w->SW;
    job->line = fd_round_up((w->W - 1 + w->PW) / w->SW + 1 + job->before_w, VL);
    job->phases_h = FD_MIN(w->SH, w->H + w->PH);
    job->phases_w = FD_MIN(w->SW, w->W);
    job->room = fd_round_up((w->W - 1) / w->SW + 1, VL);
    ptrdiff_t rows = (K(BAND) / 4 / job->line - job->before_h - 1) * job->phases_h;
    job->rows = FD_MAX(FD_MIN(rows, w->H), 1);

    ptrdiff_t lines = job->before_h + (job->rows - 1) / w->SH + 2;
    ptrdiff_t places = job->phases_h * job->phases_w, most = w->KH * w->KW;
    ptrdiff_t lead = fd_round_up(job->before_w, VL), outputs = lead + lines * job->line + VL;
    ptrdiff_t columns = fd_round_up(w->OW, VL), cells = job->phases_w * job->room;
    ptrdiff_t dx = fd_round_up(job->rows * w->W, VL) + 2 * VL;
    char *memory = fd_scratch((size_t)(outputs + columns + cells + dx) * sizeof(T)
                              + (size_t)outputs * sizeof(INT)
                              + (size_t)most * sizeof(K(tap))
                              + (size_t)(places + 1) * sizeof(ptrdiff_t));
    if (!memory) return 0;
    job->dy = (T *)memory + lead;
    job->columns = (T *)memory + outputs;
    job->places = job->columns + columns;
    job->dx = job->places + cells;
    job->argmax = (INT *)(job->dx + dx) + lead;
    job->taps = (K(tap) *)(job->argmax - lead + outputs);
    job->first = (ptrdiff_t *)(job->taps + most);
    K(fill)(job->dy - lead, lead, 0);
    K(count_columns)(args, job->columns);

    ptrdiff_t found = 0;
    for (ptrdiff_t place = 0; place < places; place++) {
        ptrdiff_t v = place % job->phases_w + w->PW;
        job->first[place] = found;
        for (ptrdiff_t kh = place / job->phases_w; kh < w->KH; kh += w->SH)
            for (ptrdiff_t kw = v % w->SW; kw < w->KW; kw += w->SW)
                job->taps[found++] = (K(tap)){
                    (job->before_h - kh / w->SH) * job->line + v / w->SW - kw / w->SW,
                    (INT)(kh * w->KW + kw), 0};
    }
    job->first[places] = found;
    return 1;
}

/* Row `oh` of the outputs of a plane, as line number `number`. */
FD_INLINE void K(lay_out_outputs)(const fd_pool_args *args, const K(gathering) *job,
                                  ptrdiff_t plane, ptrdiff_t oh, ptrdiff_t number, int maximum)
{
    const fd_window *w = &args->window;
    ptrdiff_t outputs = w->N * w->C * w->OH * w->OW, start = (plane * w->OH + oh) * w->OW;
    ptrdiff_t count = oh >= 0 && oh < w->OH ? FD_MIN(w->OW, job->line - job->before_w) : 0;
    T *dy = job->dy + number * job->line, rows = K(counted_rows)(args, oh);
    INT *argmax = job->argmax + number * job->line;
    for (ptrdiff_t i = 0; i < count; i += VL) {
        V v = K(get_dy)(args, start + i, outputs);
        if (!maximum) v *= 1 / (rows * K(load)(job->columns + i));
        K(store)(dy + i, v);
        if (maximum) {
            K(ivec) chosen = K(get_argmax)(args, start + i, outputs);
            memcpy(argmax + i, &chosen, sizeof chosen);
        }
    }
    K(fill)(dy + count, job->line - count, 0);
}

/* Gradients of the cells of a place in a row, each under `count` windows. */
FD_INLINE void K(gather_cells)(const K(gathering) *job, const K(tap) *taps, const ptrdiff_t count,
                               ptrdiff_t from, ptrdiff_t cells, T *out, int maximum)
{
    const T *dy = job->dy + from;
    const INT *argmax = job->argmax + from;
    K(tap) own[4];                      /* no store can change these */
    for (ptrdiff_t t = 0; t < FD_MIN(count, 4); t++) own[t] = taps[t];
    for (ptrdiff_t i = 0; i < cells; i += VL) {
        V sum = {0};
#pragma GCC unroll 4
        for (ptrdiff_t t = 0; t < count; t++) {
            K(tap) tap = t < 4 ? own[t] : taps[t];
            V some = K(load)(dy + tap.offset + i);
            if (maximum) {
                K(ivec) chosen;
                memcpy(&chosen, argmax + tap.offset + i, sizeof chosen);
                some = K(chosen)(some, chosen, tap.number);
            }
            sum += some;
        }
        K(store)(out + i, sum);
    }
}

/* The same, for a number of windows that the compiler knows, if it is one of the usual. */
FD_INLINE void K(gather_place)(const K(gathering) *job, ptrdiff_t place, ptrdiff_t from,
                               ptrdiff_t cells, T *out, int maximum)
{
    const K(tap) *taps = job->taps + job->first[place];
    ptrdiff_t count = job->first[place + 1] - job->first[place];
    switch (count) {
    case 1:
        K(gather_cells)(job, taps, 1, from, cells, out, maximum);
        return;
    case 2:
        K(gather_cells)(job, taps, 2, from, cells, out, maximum);
        return;
    case 4:
        K(gather_cells)(job, taps, 4, from, cells, out, maximum);
        return;
    default:
        K(gather_cells)(job, taps, count, from, cells, out, maximum);
    }
}

/* A row of dx, whose places modulo stride are those from `place` on; `out` has room for a vector
 * more. */
FD_INLINE void K(gather_row)(const fd_pool_args *args, const K(gathering) *job, ptrdiff_t place,
                             ptrdiff_t from, T *out, int maximum)
{
    ptrdiff_t W = args->window.W, stride = args->window.SW, room = job->room;
    if (stride == 1) {
        K(gather_place)(job, place, from, W, out, maximum);
        return;
    }
    for (ptrdiff_t v = 0; v < job->phases_w; v++)
        K(gather_place)(job, place + v, from, (W - v + stride - 1) / stride, job->places + v * room,
                        maximum);
    if (stride == 2 && W > 1)
        for (ptrdiff_t i = 0; 2 * i < W; i += VL) {
            V even = K(load)(job->places + i), odd = K(load)(job->places + room + i);
            K(store)(out + 2 * i, K(zip_low)(even, odd));
            if (2 * i + VL < W) K(store)(out + 2 * i + VL, K(zip_high)(even, odd));
        }
    else
        for (ptrdiff_t v = 0; v < job->phases_w; v++)
            for (ptrdiff_t i = 0; v + i * stride < W; i++)
                out[v + i * stride] = job->places[v * room + i];
}

/* Items: rows of inputs. */
FD_INLINE void K(gather_in_planes)(const fd_pool_args *args, ptrdiff_t begin, ptrdiff_t end,
                                int maximum)
{
    const fd_window *w = &args->window;
    K(gathering) job;
    if (!K(prepare_gathering)(args, &job)) return;
    ptrdiff_t h = begin % w->H, plane = begin / w->H;
    for (ptrdiff_t row = begin, rows; row < end; row += rows) {
        ptrdiff_t first = (h + w->PH) / w->SH, phase = (h + w->PH) % w->SH, from = 0;
        rows = FD_MIN(FD_MIN(job.rows, w->H - h), end - row);
        ptrdiff_t lines = (h + rows - 1 + w->PH) / w->SH - first + job.before_h + 1;
        for (ptrdiff_t i = 0; i < lines; i++)
            K(lay_out_outputs)(args, &job, plane, first - job.before_h + i, i, maximum);
        for (ptrdiff_t i = 0; i < rows; i++) {
            K(gather_row)(args, &job, phase * job.phases_w, from, job.dx + i * w->W, maximum);
            if (++phase == w->SH) phase = 0, from += job.line;
        }
        if (args->stream)
            K(copy_out)((T *)args->y + row * w->W, job.dx, rows * w->W);
        else
            K(copy)((T *)args->y + row * w->W, job.dx, rows * w->W);
        h += rows;
        if (h == w->H) h = 0, plane++;
    }
}
