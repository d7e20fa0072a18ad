/* Activations, and sums and products of two arrays, elementwise; softmax by rows. Items: elements, or rows. */

/* A kernel that maps vectors of x, and of dy where it needs them, to y. */
#define ELEMENTWISE(name, formula)                                                                \
    FD_INLINE V K(name##_of)(V x, V dy, T slope)                                                  \
    {                                                                                             \
        (void)dy, (void)slope;                                                                    \
        return formula;                                                                           \
    }                                                                                             \
                                                                                                  \
    FD_INLINE void K(name##_some)(const T *x, const T *dy, T *y, ptrdiff_t count, T slope)        \
    {                                                                                             \
        if (count > 0)                                                                            \
            K(store_first)(y, K(name##_of)(K(load_first)(x, count, 0),                            \
                                           K(load_first)(dy, count, 0), slope), count);           \
    }                                                                                             \
                                                                                                  \
    static void K(name)(const void *p, ptrdiff_t begin, ptrdiff_t end)                            \
    {                                                                                             \
        const fd_activation_args *args = p;                                                       \
        const T *x = args->x, *dy = args->dy ? args->dy : args->x, slope = (T)args->slope;        \
        T *y = args->y;                                                                           \
        const int stream = args->stream;                                                          \
        ptrdiff_t i = begin, some = K(unaligned)(y + i, end - i);                                 \
        K(name##_some)(x + i, dy + i, y + i, some, slope);                                        \
        for (i += some; i + VL <= end; i += VL)                                                   \
            K(write)(y + i, K(name##_of)(K(load)(x + i), K(load)(dy + i), slope), stream);        \
        K(name##_some)(x + i, dy + i, y + i, end - i, slope);                                     \
    }
#define SIX ((V){0} + 6)

/* GELU and its gradient: x Phi(x), and Phi(x) + x Phi'(x). */
FD_INLINE V K(gelu_of_vector)(V x)
{
    V bell;
    return x * K(normal_distribution)(x, &bell);
}

FD_INLINE V K(gelu_slope)(V x)
{
    V bell, distribution = K(normal_distribution)(x, &bell);
    return distribution + x * bell * (T)0.3989422804014326779;
}

/* What GELU's approximation takes the logistic function of: sqrt(8 / pi) (x + 0.044715 x^3). */
FD_INLINE V K(gelu_bend)(V x) { return x * (T)1.595769121605730711 * (1 + x * x * (T)0.044715); }

FD_INLINE V K(gelu_tanh_slope)(V x)
{
    V y = K(logistic)(K(gelu_bend)(x));
    V bend_slope = (T)1.595769121605730711 * (1 + x * x * (T)0.134145);
    return y * (1 + x * (1 - y) * bend_slope);
}

FD_INLINE V K(silu_slope)(V x)
{
    V y = K(logistic)(x);
    return y * (1 + x * (1 - y));
}

/* A ramp from 0 at -3 to 1 at 3. */
FD_INLINE V K(ramp)(V x) { return K(gated)(x + 3, K(select)((K(ivec))(x >= 3), SIX, x + 3)) / 6; }

FD_INLINE V K(hardswish_slope)(V x)
{
    V slope = K(select)((K(ivec))(x >= 3), (V){0} + 1, x / 3 + (T)0.5);
    return K(gated)(x + 3, slope);
}

ELEMENTWISE(relu, K(gated)(x, x))
ELEMENTWISE(relu_backward, K(gated)(x, dy))
ELEMENTWISE(relu6, K(gated)(x, K(select)((K(ivec))(x >= 6), SIX, x)))
ELEMENTWISE(relu6_backward, K(gated)(x, K(select)((K(ivec))(x >= 6), (V){0}, dy)))
ELEMENTWISE(leaky_relu, K(select)((K(ivec))(x > 0), x, x * slope))
ELEMENTWISE(leaky_relu_backward, K(select)((K(ivec))(x > 0), dy, dy * slope))
ELEMENTWISE(sigmoid, K(logistic)(x))
ELEMENTWISE(sigmoid_backward, dy * x * (1 - x))
ELEMENTWISE(tanh, K(hyperbolic_tangent)(x))
ELEMENTWISE(tanh_backward, dy * (1 - x * x))
ELEMENTWISE(silu, x * K(logistic)(x))
ELEMENTWISE(silu_backward, dy * K(silu_slope)(x))
ELEMENTWISE(hardsigmoid, K(ramp)(x))
ELEMENTWISE(hardsigmoid_backward, K(gated)(x, K(select)((K(ivec))(x >= 1), (V){0}, dy / 6)))
ELEMENTWISE(hardswish, x * K(ramp)(x))
ELEMENTWISE(hardswish_backward, dy * K(hardswish_slope)(x))
ELEMENTWISE(gelu, K(gelu_of_vector)(x))
ELEMENTWISE(gelu_backward, dy * K(gelu_slope)(x))
ELEMENTWISE(gelu_tanh, x * K(logistic)(K(gelu_bend)(x)))
ELEMENTWISE(gelu_tanh_backward, dy * K(gelu_tanh_slope)(x))
ELEMENTWISE(add, x + dy)
ELEMENTWISE(multiply_elements, x * dy)
#undef ELEMENTWISE
#undef SIX

/* y = exp(x - max(x)); returns the sum, and the maximum through `best`. What is left of a row after
 * its whole vectors is filled up with -inf, whose exp is 0. */
static T K(shifted_exp)(const T *x, T *y, ptrdiff_t count, T *best)
{
    ptrdiff_t rest = count % VL, whole = count - rest;
    V tail = (V){0} - (T)INFINITY, largest, sum = {0};
    if (rest) tail = K(load_first)(x + whole, rest, (T)-INFINITY);
    largest = tail;
    for (ptrdiff_t i = 0; i < whole; i += VL) {
        V v = K(load)(x + i);
        largest = K(select)((K(ivec))(v > largest), v, largest);
    }
    T max = *best = K(lanes_max)(largest);
    for (ptrdiff_t i = 0; i < whole; i += VL) {
        V e = K(exp_of)(K(load)(x + i) - max);
        K(store)(y + i, e);
        sum += e;
    }
    if (rest) {
        V e = K(exp_of)(tail - max);
        K(store_first)(y + whole, e, rest);
        sum += e;
    }
    return K(lanes_sum)(sum);
}

static void K(softmax)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_activation_args *args = p;
    ptrdiff_t columns = args->columns;
    for (ptrdiff_t row = begin; row < end; row++) {
        const T *x = (const T *)args->x + row * columns;
        T *y = (T *)args->y + row * columns, max;
        T factor = 1 / K(shifted_exp)(x, y, columns, &max);
        for (ptrdiff_t i = 0; i < columns; i += VL)
            K(store_first)(y + i, K(load_first)(y + i, columns - i, 0) * factor, columns - i);
    }
}

static void K(softmax_backward)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_activation_args *args = p;
    ptrdiff_t columns = args->columns;
    for (ptrdiff_t row = begin; row < end; row++) {
        const T *y = (const T *)args->x + row * columns, *dy = (const T *)args->dy + row * columns;
        T *dx = (T *)args->y + row * columns;
        V products = {0};
        ptrdiff_t i = 0;
        for (; i + VL <= columns; i += VL) products += K(load)(dy + i) * K(load)(y + i);
        if (i < columns)
            products += K(load_first)(dy + i, columns - i, 0)
                      * K(load_first)(y + i, columns - i, 0);
        T inner = K(lanes_sum)(products);
        for (i = 0; i < columns; i += VL) {
            ptrdiff_t count = columns - i;
            V dx_of = K(load_first)(y + i, count, 0) * (K(load_first)(dy + i, count, 0) - inner);
            K(store_first)(dx + i, dx_of, count);
        }
    }
}
