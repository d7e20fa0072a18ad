/* Depthwise convolution: one input channel a group, too thin for a matrix product. */

/* What tap (kh, kw) does: for each output row it reaches, the part of the row that lies inside. */
#define FOR_EACH_ROW_OF_TAP(w, kh, kw)                                                            \
    for (fd_range rows = fd_inside((w)->OH, (w)->SH, (kh) * (w)->DH - (w)->PH, (w)->H),           \
                  columns = fd_inside((w)->OW, (w)->SW, (kw) * (w)->DW - (w)->PW, (w)->W);        \
         rows.begin < rows.end; rows.begin++)

static inline ptrdiff_t K(input_at)(const fd_window *w, ptrdiff_t oh, ptrdiff_t kh, ptrdiff_t kw)
{
    return (oh * w->SH - w->PH + kh * w->DH) * w->W - w->PW + kw * w->DW;
}

/* Items: planes of y. */
static void K(conv2d_depthwise)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_conv_args *args = p;
    const fd_window *w = &args->window;
    ptrdiff_t pixels = w->OH * w->OW, multiplier = args->OC / w->C;
    for (ptrdiff_t i = begin; i < end; i++) {
        ptrdiff_t n = i / args->OC, oc = i % args->OC;
        const T *x = (const T *)args->x + (n * w->C + oc / multiplier) * w->H * w->W;
        const T *weight = (const T *)args->w + oc * w->KH * w->KW;
        T *y = (T *)args->y + i * pixels, bias = args->b ? ((const T *)args->b)[oc] : 0;
        for (ptrdiff_t pixel = 0; pixel < pixels; pixel++) y[pixel] = bias;
        for (ptrdiff_t kh = 0; kh < w->KH; kh++)
            for (ptrdiff_t kw = 0; kw < w->KW; kw++) {
                T factor = weight[kh * w->KW + kw];
                FOR_EACH_ROW_OF_TAP(w, kh, kw) {
                    const T *row = x + K(input_at)(w, rows.begin, kh, kw);
                    T *out = y + rows.begin * w->OW;
                    for (ptrdiff_t ow = columns.begin; ow < columns.end; ow++)
                        out[ow] += factor * row[ow * w->SW];
                }
            }
    }
}

/* Items: planes of dx. */
static void K(conv2d_depthwise_backward_input)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_conv_args *args = p;
    const fd_window *w = &args->window;
    ptrdiff_t pixels = w->OH * w->OW, multiplier = args->OC / w->C;
    for (ptrdiff_t i = begin; i < end; i++) {
        T *dx = (T *)args->dx + i * w->H * w->W;
        memset(dx, 0, (size_t)(w->H * w->W) * sizeof(T));
        for (ptrdiff_t m = 0; m < multiplier; m++) {
            const T *dy = (const T *)args->dy + (i * multiplier + m) * pixels;
            const T *weight = (const T *)args->w + (i % w->C * multiplier + m) * w->KH * w->KW;
            for (ptrdiff_t kh = 0; kh < w->KH; kh++)
                for (ptrdiff_t kw = 0; kw < w->KW; kw++) {
                    T factor = weight[kh * w->KW + kw];
                    FOR_EACH_ROW_OF_TAP(w, kh, kw) {
                        T *row = dx + K(input_at)(w, rows.begin, kh, kw);
                        const T *line = dy + rows.begin * w->OW;
                        for (ptrdiff_t ow = columns.begin; ow < columns.end; ow++)
                            row[ow * w->SW] += factor * line[ow];
                    }
                }
        }
    }
}

static T K(dot)(const T *a, const T *b, ptrdiff_t stride, ptrdiff_t count)
{
    T total = 0;
    ptrdiff_t i = 0;
    if (stride == 1) {
        V sum = {0};
        for (; i + VL <= count; i += VL) sum += K(load)(a + i) * K(load)(b + i);
        total = K(lanes_sum)(sum);
    }
    for (; i < count; i++) total += a[i] * b[i * stride];
    return total;
}

/* Items: output channels. */
static void K(conv2d_depthwise_backward_weight)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_conv_args *args = p;
    const fd_window *w = &args->window;
    ptrdiff_t pixels = w->OH * w->OW, multiplier = args->OC / w->C, taps = w->KH * w->KW;
    for (ptrdiff_t oc = begin; oc < end; oc++) {
        T *dw = (T *)args->dw + oc * taps, db = 0;
        memset(dw, 0, (size_t)taps * sizeof(T));
        for (ptrdiff_t n = 0; n < w->N; n++) {
            const T *dy = (const T *)args->dy + (n * args->OC + oc) * pixels;
            const T *x = (const T *)args->x + (n * w->C + oc / multiplier) * w->H * w->W;
            db += K(sum)(dy, pixels);
            for (ptrdiff_t kh = 0; kh < w->KH; kh++)
                for (ptrdiff_t kw = 0; kw < w->KW; kw++)
                    FOR_EACH_ROW_OF_TAP(w, kh, kw)
                        dw[kh * w->KW + kw] += K(dot)(
                            dy + rows.begin * w->OW + columns.begin,
                            x + K(input_at)(w, rows.begin, kh, kw) + columns.begin * w->SW, w->SW,
                            columns.end - columns.begin);
        }
        if (args->db) ((T *)args->db)[oc] = db;
    }
}
#undef FOR_EACH_ROW_OF_TAP
