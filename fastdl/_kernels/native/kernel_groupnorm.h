/* Layer, instance and group normalisation: each group of an image, K channels of L positions that
 * lie one after another, by its own mean and deviation. A layer's features have L = 1.
 *
 * A group is small enough for the caches, as a rule, so it is gone over three times: mean, squares
 * about it, result. */

typedef struct {
    V first, second;
} K(two_sums);

static double K(sum_of_row)(const T *x, ptrdiff_t count)
{
    double sum = 0;
    for (ptrdiff_t i = 0; i < count; i += FD_NORM_BLOCK)
        sum += K(sum)(x + i, FD_MIN(count - i, (ptrdiff_t)FD_NORM_BLOCK));
    return sum;
}

/* Sum of (x - mean)^2. */
static double K(squares_of_row)(const T *x, ptrdiff_t count, T mean)
{
    double total = 0;
    for (ptrdiff_t i = 0; i < count;) {
        const ptrdiff_t last = FD_MIN(i + FD_NORM_BLOCK, count);
        V sum = {0};
        for (; i + VL <= last; i += VL) {
            V v = K(load)(x + i) - mean;
            sum += v * v;
        }
        if (i < last) {
            V v = K(load_first)(x + i, last - i, mean) - mean;
            sum += v * v;
            i = last;
        }
        total += K(lanes_sum)(sum);
    }
    return total;
}

/* y = (x - mean) * scale + shift. */
FD_INLINE void K(affine_row)(const T *x, T mean, T scale, T shift, T *y, ptrdiff_t count)
{
    for (ptrdiff_t i = 0; i < count; i += VL) {
        V v = K(load_first)(x + i, count - i, 0) - mean;
        K(store_first)(y + i, v * scale + shift, count - i);
    }
}

/* Items: groups of images. */
static void K(group_norm)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_group_norm_args *args = p;
    const ptrdiff_t C = args->K, L = args->L, size = C * L;
    for (ptrdiff_t item = begin; item < end; item++) {
        const T *x = (const T *)args->x + item * size;
        const T *w = (const T *)args->weight + item % args->G * C;
        const T *b = (const T *)args->bias + item % args->G * C;
        T *y = (T *)args->y + item * size;
        const T mean = (T)(K(sum_of_row)(x, size) / (double)size);
        const T rstd = (T)(1 / sqrt(K(squares_of_row)(x, size, mean) / (double)size + args->eps));
        ((T *)args->mean)[item] = mean;
        ((T *)args->rstd)[item] = rstd;
        if (L > 1)
            for (ptrdiff_t c = 0; c < C; c++)
                K(affine_row)(x + c * L, mean, rstd * w[c], b[c], y + c * L, L);
        else
            for (ptrdiff_t c = 0; c < C; c += VL) {
                const ptrdiff_t count = C - c;
                V v = (K(load_first)(x + c, count, 0) - mean) * rstd;
                K(store_first)(y + c, v * K(load_first)(w + c, count, 0)
                                          + K(load_first)(b + c, count, 0), count);
            }
    }
}

/* Sums of dy and of dy (x - mean) over a row. */
FD_INLINE K(two_sums) K(gradient_sums)(const T *dy, const T *x, T mean, ptrdiff_t count)
{
    K(two_sums) sums = {{0}, {0}};
    for (ptrdiff_t i = 0; i < count; i += VL) {
        V v = K(load_first)(dy + i, count - i, 0);
        sums.first += v;
        sums.second += v * (K(load_first)(x + i, count - i, 0) - mean);
    }
    return sums;
}

/* dx = rstd (g - mean(g) - x_hat mean(g x_hat)) with g = dy w. Items: groups of images. */
static void K(group_norm_backward)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_group_norm_args *args = p;
    const ptrdiff_t C = args->K, L = args->L, size = C * L;
    for (ptrdiff_t item = begin; item < end; item++) {
        const T *x = (const T *)args->x + item * size, *dy = (const T *)args->dy + item * size;
        const T *w = (const T *)args->weight + item % args->G * C;
        const T mean = ((const T *)args->mean)[item], rstd = ((const T *)args->rstd)[item];
        T *dx = (T *)args->dx + item * size;
        V first = {0}, second = {0};
        if (L > 1)
            for (ptrdiff_t c = 0; c < C; c++) {
                K(two_sums) sums = K(gradient_sums)(dy + c * L, x + c * L, mean, L);
                first += sums.first * w[c];
                second += sums.second * w[c];
            }
        else
            for (ptrdiff_t c = 0; c < C; c += VL) {
                V g = K(load_first)(dy + c, C - c, 0) * K(load_first)(w + c, C - c, 0);
                first += g;
                second += g * (K(load_first)(x + c, C - c, 0) - mean);
            }
        const T b = -K(lanes_sum)(second) * rstd * rstd * rstd / (T)size;
        const T a = -K(lanes_sum)(first) * rstd / (T)size;
        if (L > 1)
            for (ptrdiff_t c = 0; c < C; c++)
                for (ptrdiff_t i = 0; i < L; i += VL) {
                    const ptrdiff_t at = c * L + i, count = L - i;
                    V g = K(load_first)(dy + at, count, 0) * (rstd * w[c]);
                    V deviation = K(load_first)(x + at, count, 0) - mean;
                    K(store_first)(dx + at, g + deviation * b + a, count);
                }
        else
            for (ptrdiff_t c = 0; c < C; c += VL) {
                const ptrdiff_t count = C - c;
                V g = K(load_first)(dy + c, count, 0) * K(load_first)(w + c, count, 0) * rstd;
                V deviation = K(load_first)(x + c, count, 0) - mean;
                K(store_first)(dx + c, g + deviation * b + a, count);
            }
    }
}

/* dw and db. Items: channels; with one position, vectors of channels of a group. */
static void K(group_norm_backward_weight)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_group_norm_args *args = p;
    const T *x = args->x, *dy = args->dy, *mean = args->mean, *rstd = args->rstd;
    T *dw = args->dw, *db = args->db;
    const ptrdiff_t C = args->K, L = args->L, G = args->G;
    const ptrdiff_t blocks = L > 1 ? C : (C + FD_GROUP_BLOCK - 1) / FD_GROUP_BLOCK;
    for (ptrdiff_t item = begin; item < end; item++) {
        const ptrdiff_t group = item / blocks, block = item % blocks;
        if (L > 1) {
            V first = {0}, second = {0};
            for (ptrdiff_t row = group; row < args->N * G; row += G) {
                const ptrdiff_t at = (row * C + block) * L;
                K(two_sums) sums = K(gradient_sums)(dy + at, x + at, mean[row], L);
                first += sums.first;
                second += sums.second * rstd[row];
            }
            db[item] = K(lanes_sum)(first);
            dw[item] = K(lanes_sum)(second);
            continue;
        }
        const ptrdiff_t last = FD_MIN((block + 1) * FD_GROUP_BLOCK, C);
        for (ptrdiff_t c = block * FD_GROUP_BLOCK; c < last; c += VL) {
            const ptrdiff_t count = last - c;
            V first = {0}, second = {0};
            for (ptrdiff_t row = group; row < args->N * G; row += G) {
                V v = K(load_first)(dy + row * C + c, count, 0);
                first += v;
                second += v * ((K(load_first)(x + row * C + c, count, 0) - mean[row]) * rstd[row]);
            }
            K(store_first)(db + group * C + c, first, count);
            K(store_first)(dw + group * C + c, second, count);
        }
    }
}
