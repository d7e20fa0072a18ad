/* Losses. Items: rows; what is summed over a row is summed in double. */

/* The row of each array that a loss kernel works on. */
#define LOSS_ROWS                                                                                 \
    const fd_loss_args *args = p;                                                                 \
    const ptrdiff_t columns = args->columns;                                                      \
    for (ptrdiff_t row = begin; row < end; row++)
#define ROW(field) ((T *)args->field + row * columns)
#define CONST_ROW(field) ((const T *)args->field + row * columns)
#define LABEL (((const int64_t *)args->t)[row])

static int K(is_class)(int64_t label, ptrdiff_t columns)
{
    return (uint64_t)label < (uint64_t)columns;
}

/* p = scale * softmax(x). What is to be subtracted from x for log(softmax(x)) comes in two parts:
 * the largest x through `max`, and the rest is returned. */
static double K(softmax_row)(const T *x, T *p, ptrdiff_t columns, T scale, T *max)
{
    T sum = K(shifted_exp)(x, p, columns, max), factor = scale / sum;
    for (ptrdiff_t i = 0; i < columns; i++) p[i] *= factor;
    return log((double)sum);
}

static void K(softmax_cross_entropy)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    LOSS_ROWS {
        const T *x = CONST_ROW(x);
        T max;
        double log_sum = K(softmax_row)(x, ROW(p), columns, 1, &max);
        int known = K(is_class)(LABEL, columns);
        ((T *)args->loss)[row] = known ? (T)(log_sum - ((double)x[LABEL] - (double)max)) : 0;
    }
}

static void K(softmax_cross_entropy_backward)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    LOSS_ROWS {
        const T *probability = CONST_ROW(x), scale = (T)args->scale;
        T *dx = ROW(dx);
        for (ptrdiff_t i = 0; i < columns; i++) dx[i] = probability[i] * scale;
        if (K(is_class)(LABEL, columns)) dx[LABEL] = (probability[LABEL] - 1) * scale;
    }
}

static void K(softmax_cross_entropy_with_gradient)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    LOSS_ROWS {
        const T *x = CONST_ROW(x), scale = (T)args->scale;
        T *dx = ROW(dx), *loss = (T *)args->loss + row, max;
        double log_sum = K(softmax_row)(x, dx, columns, scale, &max);
        *loss = 0;
        if (K(is_class)(LABEL, columns)) {
            *loss = (T)(log_sum - ((double)x[LABEL] - (double)max));
            dx[LABEL] -= scale;
        }
    }
}

/* -sum(t log(softmax(x))), from the two parts that make the logarithm; a class of target 0 adds
 * nothing however unlikely it is. Runs of vectors, short enough to be exact to a few places, are
 * summed in double. */
static T K(dense_loss)(const T *x, const T *t, ptrdiff_t columns, T max, double log_sum)
{
    enum { RUN = 32 };
    const T rest = (T)log_sum;
    const V zero = {0};
    double total = 0;
    ptrdiff_t i = 0;
    while (columns - i >= VL) {
        const ptrdiff_t stop = i + FD_MIN((columns - i) / VL, RUN) * VL;
        V part = zero;
        for (; i < stop; i += VL) {
            V target = K(load)(t + i);
            V term = target * (rest - (K(load)(x + i) - max));
            part += K(select)(target == zero, zero, term);
        }
        total += (double)K(lanes_sum)(part);
    }
    for (; i < columns; i++)
        if (t[i] != 0) total += (double)(t[i] * (rest - (x[i] - max)));
    return (T)total;
}

static void K(softmax_cross_entropy_dense)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    LOSS_ROWS {
        const T *x = CONST_ROW(x), *t = CONST_ROW(t);
        T max;
        double log_sum = K(softmax_row)(x, ROW(p), columns, 1, &max);
        ((T *)args->loss)[row] = K(dense_loss)(x, t, columns, max, log_sum);
    }
}

static void K(softmax_cross_entropy_dense_backward)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    LOSS_ROWS {
        const T *probability = CONST_ROW(x), *t = CONST_ROW(t), scale = (T)args->scale;
        T *dx = ROW(dx), mass = K(sum)(t, columns);
        for (ptrdiff_t i = 0; i < columns; i++) dx[i] = (probability[i] * mass - t[i]) * scale;
    }
}

static void K(softmax_cross_entropy_dense_with_gradient)(const void *p, ptrdiff_t begin,
                                                         ptrdiff_t end)
{
    LOSS_ROWS {
        const T *x = CONST_ROW(x), *t = CONST_ROW(t), scale = (T)args->scale;
        T *dx = ROW(dx), max;
        T sum = K(shifted_exp)(x, dx, columns, &max), factor = K(sum)(t, columns) / sum;
        ((T *)args->loss)[row] = K(dense_loss)(x, t, columns, max, log((double)sum));
        for (ptrdiff_t i = 0; i < columns; i++) dx[i] = (dx[i] * factor - t[i]) * scale;
    }
}

static void K(cross_entropy)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    LOSS_ROWS {
        const T *probability = CONST_ROW(x), *t = CONST_ROW(t), eps = (T)args->eps;
        double total = 0;
        for (ptrdiff_t i = 0; i < columns; i++)
            total -= (double)t[i] * log((double)(probability[i] + eps));
        ((T *)args->loss)[row] = (T)total;
    }
}

static void K(cross_entropy_backward)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    LOSS_ROWS {
        const T *probability = CONST_ROW(x), *t = CONST_ROW(t);
        T *dx = ROW(dx), eps = (T)args->eps, scale = (T)args->scale;
        for (ptrdiff_t i = 0; i < columns; i++) dx[i] = -t[i] / (probability[i] + eps) * scale;
    }
}

static void K(mse)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    LOSS_ROWS {
        const T *y = CONST_ROW(x), *t = CONST_ROW(t);
        double total = 0;
        for (ptrdiff_t i = 0; i < columns; i++) {
            double error = (double)(y[i] - t[i]);
            total += error * error;
        }
        ((T *)args->loss)[row] = (T)(total / 2);
    }
}

static void K(mse_backward)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    LOSS_ROWS {
        const T *y = CONST_ROW(x), *t = CONST_ROW(t), scale = (T)args->scale;
        T *dx = ROW(dx);
        for (ptrdiff_t i = 0; i < columns; i++) dx[i] = (y[i] - t[i]) * scale;
    }
}

static inline double K(floored_log)(double log_value)
{
    return log_value < -100 ? -100 : log_value;      /* NaN stays NaN */
}

static void K(binary_cross_entropy)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    LOSS_ROWS {
        const T *probability = CONST_ROW(x), *t = CONST_ROW(t);
        double total = 0;
        for (ptrdiff_t i = 0; i < columns; i++) {
            double q = (double)probability[i], target = (double)t[i];
            total -= target * K(floored_log)(log(q)) + (1 - target) * K(floored_log)(log1p(-q));
        }
        ((T *)args->loss)[row] = (T)total;
    }
}

static void K(binary_cross_entropy_backward)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    LOSS_ROWS {
        const T *probability = CONST_ROW(x), *t = CONST_ROW(t), scale = (T)args->scale;
        T *dx = ROW(dx), floor = (T)1e-12;
        for (ptrdiff_t i = 0; i < columns; i++) {
            T q = probability[i], spread = q * (1 - q);
            dx[i] = (q - t[i]) / (spread < floor ? floor : spread) * scale;
        }
    }
}

#undef LOSS_ROWS
#undef ROW
#undef CONST_ROW
#undef LABEL
