/* Batch normalisation, channel by channel: (N, C, L) with L contiguous positions, or (N, C) when
 * L is 1, where the loops run over channels instead. Statistics take two passes over a channel,
 * which lies in cache by the second. */

static T K(sum_of_squares)(const T *x, ptrdiff_t count, T mean)
{
    V sum = {0};
    ptrdiff_t i = 0;
    for (; i + VL <= count; i += VL) {
        V centred = K(load)(x + i) - mean;
        sum += centred * centred;
    }
    T total = K(lanes_sum)(sum);
    for (; i < count; i++) total += (x[i] - mean) * (x[i] - mean);
    return total;
}

/* Fill mean[c], and rstd[c] with the biased variance for now, for channels [begin, end). */
static void K(moments)(const fd_norm_args *args, ptrdiff_t begin, ptrdiff_t end)
{
    const T *x = args->x;
    T *mean = args->mean, *var = args->rstd;
    ptrdiff_t N = args->N, C = args->C, L = args->L;
    if (L == 1) {
        for (ptrdiff_t c = begin; c < end; c++) mean[c] = var[c] = 0;
        for (ptrdiff_t n = 0; n < N; n++)
            for (ptrdiff_t c = begin; c < end; c++) mean[c] += x[n * C + c];
        for (ptrdiff_t c = begin; c < end; c++) mean[c] /= (T)N;
        for (ptrdiff_t n = 0; n < N; n++)
            for (ptrdiff_t c = begin; c < end; c++) {
                T centred = x[n * C + c] - mean[c];
                var[c] += centred * centred;
            }
        for (ptrdiff_t c = begin; c < end; c++) var[c] /= (T)N;
        return;
    }
    for (ptrdiff_t c = begin; c < end; c++) {
        double total = 0, squares = 0, count = (double)(N * L);
        for (ptrdiff_t n = 0; n < N; n++) total += K(sum)(x + (n * C + c) * L, L);
        mean[c] = (T)(total / count);
        for (ptrdiff_t n = 0; n < N; n++)
            squares += K(sum_of_squares)(x + (n * C + c) * L, L, mean[c]);
        var[c] = (T)(squares / count);
    }
}

/* y = (x - mean) * scale + shift on one run of values that share a channel. */
static void K(normalise)(const T *x, T *y, ptrdiff_t count, T mean, T scale, T shift)
{
    for (ptrdiff_t i = 0; i < count; i++) y[i] = (x[i] - mean) * scale + shift;
}

/* Items: channels. */
static void K(batch_norm)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_norm_args *args = p;
    const T *x = args->x, *weight = args->weight, *bias = args->bias;
    T *y = args->y, *mean = args->mean, *rstd = args->rstd;
    T *running_mean = args->running_mean, *running_var = args->running_var;
    T momentum = (T)args->momentum, eps = (T)args->eps;
    ptrdiff_t N = args->N, C = args->C, L = args->L;
    T unbiased = (T)((double)(N * L) / (double)(N * L - 1));

    K(moments)(args, begin, end);
    for (ptrdiff_t c = begin; c < end; c++) {
        if (running_mean) {
            running_mean[c] += momentum * (mean[c] - running_mean[c]);
            running_var[c] += momentum * (rstd[c] * unbiased - running_var[c]);
        }
        rstd[c] = 1 / (T)sqrt(rstd[c] + eps);
    }
    for (ptrdiff_t n = 0; n < N; n++) {
        if (L == 1) {
            for (ptrdiff_t c = begin; c < end; c++)
                y[n * C + c] = (x[n * C + c] - mean[c]) * rstd[c] * weight[c] + bias[c];
            continue;
        }
        for (ptrdiff_t c = begin; c < end; c++)
            K(normalise)(x + (n * C + c) * L, y + (n * C + c) * L, L, mean[c],
                         rstd[c] * weight[c], bias[c]);
    }
}

/* Items: samples. */
static void K(batch_norm_inference)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_norm_args *args = p;
    const T *x = args->x, *weight = args->weight, *bias = args->bias;
    const T *mean = args->mean, *var = args->rstd;
    T *y = args->y, eps = (T)args->eps;
    ptrdiff_t C = args->C, L = args->L;
    for (ptrdiff_t n = begin; n < end; n++)
        for (ptrdiff_t c = 0; c < C; c++)
            K(normalise)(x + (n * C + c) * L, y + (n * C + c) * L, L, mean[c],
                         weight[c] / (T)sqrt(var[c] + eps), bias[c]);
}

/* Sums over a run: of dy into *dy_sum, of dy * (x - mean) into *product_sum. */
static void K(gradient_sums)(const T *dy, const T *x, ptrdiff_t count, T mean, double *dy_sum,
                             double *product_sum)
{
    V plain = {0}, product = {0};
    ptrdiff_t i = 0;
    for (; i + VL <= count; i += VL) {
        V g = K(load)(dy + i);
        plain += g;
        product += g * (K(load)(x + i) - mean);
    }
    T plain_total = K(lanes_sum)(plain), product_total = K(lanes_sum)(product);
    for (; i < count; i++) {
        plain_total += dy[i];
        product_total += dy[i] * (x[i] - mean);
    }
    *dy_sum += plain_total;
    *product_sum += product_total;
}

/* Items: channels. */
static void K(batch_norm_backward)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_norm_args *args = p;
    const T *dy = args->dy, *x = args->x, *weight = args->weight;
    const T *mean = args->mean, *rstd = args->rstd;
    T *dx = args->dx, *dw = args->dw, *db = args->db;
    ptrdiff_t N = args->N, C = args->C, L = args->L;
    T share = args->training ? (T)(1 / (double)(N * L)) : 0;

    if (L == 1) {
        for (ptrdiff_t c = begin; c < end; c++) dw[c] = db[c] = 0;
        for (ptrdiff_t n = 0; n < N; n++)
            for (ptrdiff_t c = begin; c < end; c++) {
                db[c] += dy[n * C + c];
                dw[c] += dy[n * C + c] * ((x[n * C + c] - mean[c]) * rstd[c]);
            }
        for (ptrdiff_t n = 0; n < N; n++)
            for (ptrdiff_t c = begin; c < end; c++) {
                T x_hat = (x[n * C + c] - mean[c]) * rstd[c];
                dx[n * C + c] = (dy[n * C + c] - db[c] * share - x_hat * (dw[c] * share))
                              * (weight[c] * rstd[c]);
            }
        return;
    }
    for (ptrdiff_t c = begin; c < end; c++) {
        double dy_sum = 0, product_sum = 0;
        for (ptrdiff_t n = 0; n < N; n++)
            K(gradient_sums)(dy + (n * C + c) * L, x + (n * C + c) * L, L, mean[c], &dy_sum,
                             &product_sum);
        db[c] = (T)dy_sum;
        dw[c] = (T)(product_sum * rstd[c]);
        T scale = weight[c] * rstd[c], offset = db[c] * share, slope = rstd[c] * dw[c] * share;
        for (ptrdiff_t n = 0; n < N; n++) {
            const T *g = dy + (n * C + c) * L, *v = x + (n * C + c) * L;
            T *out = dx + (n * C + c) * L;
            for (ptrdiff_t i = 0; i < L; i++)
                out[i] = (g[i] - offset - (v[i] - mean[c]) * slope) * scale;
        }
    }
}
