/* Pooling of maps (N, C, H, W), backward: each cell of dx gathers from the windows over it, so that
 * it is written once, and never read.
 *
 * The columns are taken by their place modulo stride: all of a place have the same windows over
 * them, in the same distance. Gradients and argmax of a band of rows are laid out in scratch, with
 * zeros for the outputs that there are not. */

typedef struct {
    ptrdiff_t rows;                     /* of inputs, at once */
    ptrdiff_t line;                     /* outputs of a row, with those that there are not */
    ptrdiff_t before_h, before_w;       /* of them, before the first */
    ptrdiff_t phases_h, phases_w;       /* places of rows and columns modulo stride */
    K(tap) *taps;                       /* place by place */
    ptrdiff_t *first;                   /* of each place, and one after the last */
    T *dy, *columns;
    INT *argmax;
} K(gathering);

FD_INLINE int K(prepare_gathering)(const fd_pool_args *args, K(gathering) *job)
{
    const fd_window *w = &args->window;
    job->before_h = (w->KH - 1) / w->SH;
    job->before_w = (w->KW - 1) / w->SW;
    job->line = job->before_w + (w->W - 1 + w->PW) / w->SW + 1;
    job->phases_h = FD_MIN(w->SH, w->H + w->PH);
    job->phases_w = FD_MIN(w->SW, w->W);
    ptrdiff_t rows = (K(BAND) / 2 / job->line - job->before_h - 1) * job->phases_h;
    job->rows = FD_MAX(FD_MIN(rows, w->H), 1);

    ptrdiff_t lines = job->before_h + (job->rows - 1) / w->SH + 2;
    ptrdiff_t places = job->phases_h * job->phases_w;
    ptrdiff_t outputs = lines * job->line + VL, most = w->KH * w->KW;
    char *memory = fd_scratch((size_t)most * sizeof(K(tap))
                              + (size_t)(places + 1) * sizeof(ptrdiff_t)
                              + (size_t)(outputs + w->OW + VL) * sizeof(T)
                              + (size_t)outputs * sizeof(INT));
    if (!memory) return 0;
    job->taps = (K(tap) *)memory;
    job->first = (ptrdiff_t *)(job->taps + most);
    job->dy = (T *)(job->first + places + 1);
    job->columns = job->dy + outputs;
    job->argmax = (INT *)(job->columns + w->OW + VL);
    K(count_columns)(args, job->columns);

    ptrdiff_t found = 0;
    for (ptrdiff_t place = 0; place < places; place++) {
        ptrdiff_t v = place % job->phases_w + w->PW;
        job->first[place] = found;
        for (ptrdiff_t kh = place / job->phases_w; kh < w->KH; kh += w->SH)
            for (ptrdiff_t kw = v % w->SW; kw < w->KW; kw += w->SW)
                job->taps[found++] = (K(tap)){
                    (job->before_h - kh / w->SH) * job->line + job->before_w
                        + v / w->SW - kw / w->SW,
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
    ptrdiff_t first = number * job->line + job->before_w;
    ptrdiff_t count = oh >= 0 && oh < w->OH ? FD_MIN(w->OW, job->line - job->before_w) : 0;
    T rows = K(counted_rows)(args, oh);
    for (ptrdiff_t i = 0; i < count; i += VL) {
        V dy = K(get_dy)(args, start + i, outputs);
        if (!maximum) dy *= 1 / (rows * K(load)(job->columns + i));
        K(store)(job->dy + first + i, dy);
        if (maximum) {
            K(ivec) argmax = K(get_argmax)(args, start + i, outputs);
            memcpy(job->argmax + first + i, &argmax, sizeof argmax);
        }
    }
    K(fill)(job->dy + first - job->before_w, job->before_w, 0);
    K(fill)(job->dy + first + count, job->line - job->before_w - count, 0);
}

/* Gradients of a vector of cells of place number `place`. */
FD_INLINE V K(gather)(const K(gathering) *job, ptrdiff_t place, ptrdiff_t from, int maximum)
{
    V sum = {0};
    for (ptrdiff_t i = job->first[place]; i < job->first[place + 1]; i++) {
        ptrdiff_t at = from + job->taps[i].offset;
        V dy = K(load)(job->dy + at);
        if (maximum) {
            K(ivec) argmax;
            memcpy(&argmax, job->argmax + at, sizeof argmax);
            dy = K(chosen)(dy, argmax, job->taps[i].number);
        }
        sum += dy;
    }
    return sum;
}

/* A row of dx, from element `at` on, whose rows modulo stride have the places from `place` on. */
FD_INLINE void K(gather_row)(const fd_pool_args *args, const K(gathering) *job, ptrdiff_t place,
                             ptrdiff_t from, ptrdiff_t at, ptrdiff_t end, int maximum)
{
    ptrdiff_t W = args->window.W, stride = args->window.SW;
    for (ptrdiff_t i = 0; i * stride < W; i += VL, from += VL)
        if (stride == 1) {
            K(put)(args, at + i, end, K(gather)(job, place, from, maximum));
        } else if (stride == 2 && W > 1) {
            V even = K(gather)(job, place, from, maximum);
            V odd = K(gather)(job, place + 1, from, maximum);
            K(put)(args, at + 2 * i, end, K(zip_low)(even, odd));
            if (2 * i + VL < W) K(put)(args, at + 2 * i + VL, end, K(zip_high)(even, odd));
        } else {
            for (ptrdiff_t v = 0; v < job->phases_w; v++) {
                T lane[FD_VBYTES / sizeof(T)];
                K(store)(lane, K(gather)(job, place + v, from, maximum));
                for (ptrdiff_t j = 0; j < VL && (i + j) * stride + v < W; j++)
                    ((T *)args->y)[at + (i + j) * stride + v] = lane[j];
            }
        }
}

/* Items: rows of inputs. */
FD_INLINE void K(gather_in_planes)(const fd_pool_args *args, ptrdiff_t begin, ptrdiff_t end,
                                int maximum)
{
    const fd_window *w = &args->window;
    K(gathering) job;
    if (!K(prepare_gathering)(args, &job)) return;
    for (ptrdiff_t row = begin, rows; row < end; row += rows) {
        ptrdiff_t h = row % w->H, first = (h + w->PH) / w->SH;
        rows = FD_MIN(FD_MIN(job.rows, w->H - h), end - row);
        ptrdiff_t lines = (h + rows - 1 + w->PH) / w->SH - first + job.before_h + 1;
        for (ptrdiff_t i = 0; i < lines; i++)
            K(lay_out_outputs)(args, &job, row / w->H, first - job.before_h + i, i, maximum);
        for (ptrdiff_t i = 0; i < rows; i++) {
            ptrdiff_t place = (h + i + w->PH) % w->SH * job.phases_w;
            K(gather_row)(args, &job, place, ((h + i + w->PH) / w->SH - first) * job.line,
                          (row + i) * w->W, end * w->W, maximum);
        }
    }
}
