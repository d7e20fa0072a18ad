/* Activations, elementwise; softmax by rows. Items: elements, or rows. */

/* A kernel that maps elements of x, and of dy where it needs them, to y. */
#define ELEMENTWISE(name, formula)                                                                \
    static void K(name)(const void *p, ptrdiff_t begin, ptrdiff_t end)                            \
    {                                                                                             \
        const fd_activation_args *args = p;                                                       \
        const T *xs = args->x, *dys = args->dy ? args->dy : args->x;                              \
        const T slope = (T)args->slope;                                                           \
        T *ys = args->y;                                                                          \
        (void)slope;                                                                              \
        for (ptrdiff_t i = begin; i < end; i++) {                                                 \
            T x = xs[i], dy = dys[i];                                                             \
            (void)dy;                                                                             \
            ys[i] = (formula);                                                                    \
        }                                                                                         \
    }

ELEMENTWISE(relu, x <= 0 ? 0 : x)
ELEMENTWISE(relu_backward, x <= 0 ? 0 : dy)
ELEMENTWISE(leaky_relu, x > 0 ? x : x * slope)
ELEMENTWISE(leaky_relu_backward, x > 0 ? dy : dy * slope)
ELEMENTWISE(sigmoid, K(logistic)(x))
ELEMENTWISE(sigmoid_backward, dy * x * (1 - x))
ELEMENTWISE(tanh, K(hyperbolic_tangent)(x))
ELEMENTWISE(tanh_backward, dy * (1 - x * x))
#undef ELEMENTWISE

static T K(row_max)(const T *x, ptrdiff_t count)
{
    T best = x[0];
    for (ptrdiff_t i = 1; i < count; i++) best = x[i] > best ? x[i] : best;
    return best;
}

/* y = exp(x - max(x)); returns the sum, and the maximum through `best`. */
static T K(shifted_exp)(const T *x, T *y, ptrdiff_t count, T *best)
{
    T max = *best = K(row_max)(x, count);
    for (ptrdiff_t i = 0; i < count; i++) y[i] = K(exp_of)(x[i] - max);
    return K(sum)(y, count);
}

static void K(softmax)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_activation_args *args = p;
    ptrdiff_t columns = args->columns;
    for (ptrdiff_t row = begin; row < end; row++) {
        const T *x = (const T *)args->x + row * columns;
        T *y = (T *)args->y + row * columns, max;
        T factor = 1 / K(shifted_exp)(x, y, columns, &max);
        for (ptrdiff_t i = 0; i < columns; i++) y[i] *= factor;
    }
}

static void K(softmax_backward)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_activation_args *args = p;
    ptrdiff_t columns = args->columns;
    for (ptrdiff_t row = begin; row < end; row++) {
        const T *y = (const T *)args->x + row * columns, *dy = (const T *)args->dy + row * columns;
        T *dx = (T *)args->y + row * columns, inner = K(dot)(dy, y, columns);
        for (ptrdiff_t i = 0; i < columns; i++) dx[i] = y[i] * (dy[i] - inner);
    }
}
