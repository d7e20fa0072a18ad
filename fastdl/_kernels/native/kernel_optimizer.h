/* Update steps: one pass over all parameters, their gradients and their states. Items: blocks of
 * FD_UPDATE_BLOCK elements, counted through all arrays.
 *
 * A thread's part may begin and end inside an array, always between blocks: how the elements fall
 * into vectors, and with it every bit of the result, does not depend on the number of threads.
 */
#ifndef FASTDL_PARAMETERS
#define FASTDL_PARAMETERS
/* The parameter that block number `block` belongs to. (Empty arrays have no blocks.) */
static const fd_parameter *parameter_of(const fd_optimizer_args *args, ptrdiff_t block)
{
    const fd_parameter *first = args->parameters;
    ptrdiff_t low = 0, high = args->count;          /* low has begun, high has not */
    while (high - low > 1) {
        ptrdiff_t middle = low + (high - low) / 2;
        if (first[middle].first <= block)
            low = middle;
        else
            high = middle;
    }
    return first + low;
}
#endif

/* A step written for one element: `w` and the states s1[i], s2[i] are changed, `g` is
 * the gradient with the L2 penalty added. (Without the test, a weight decay of 0 would carry an
 * infinite parameter into the gradient.) */
#define UPDATE(name, ...)                                                                         \
    static void K(name##_elements)(const fd_optimizer_args *args, const fd_parameter *parameter,  \
                                   ptrdiff_t begin, ptrdiff_t end)                                \
    {                                                                                             \
        const T *dws = parameter->dw;                                                             \
        T *ws = parameter->w, *s1 = parameter->s1, *s2 = parameter->s2;                           \
        const T lr = (T)args->lr, decay = (T)args->weight_decay, eps = (T)args->eps;              \
        const T d1 = (T)args->d1, d2 = (T)args->d2;                                               \
        const T e1 = (T)(1 - args->d1), e2 = (T)(1 - args->d2);                                   \
        const T c1 = (T)args->c1, c2 = (T)args->c2, c3 = (T)args->c3;                             \
        (void)s1, (void)s2, (void)lr, (void)eps, (void)d1, (void)d2, (void)e1, (void)e2;          \
        (void)c1, (void)c2, (void)c3;                                                             \
        for (ptrdiff_t i = begin; i < end; i++) {                                                 \
            T w = ws[i], g = decay != 0 ? dws[i] + decay * w : dws[i];                            \
            __VA_ARGS__                                                                           \
            ws[i] = w;                                                                            \
        }                                                                                         \
    }                                                                                             \
                                                                                                  \
    static void K(name)(const void *p, ptrdiff_t begin, ptrdiff_t end)                            \
    {                                                                                             \
        const fd_optimizer_args *args = p;                                                        \
        for (const fd_parameter *one = parameter_of(args, begin); begin < end; one++) {           \
            ptrdiff_t stop = FD_MIN(end, one[1].first);                                           \
            K(name##_elements)(args, one, (begin - one->first) * FD_UPDATE_BLOCK,                 \
                               FD_MIN(one->size, (stop - one->first) * FD_UPDATE_BLOCK));         \
            begin = stop;                                                                         \
        }                                                                                         \
    }
#define ROOT(v) K(root)(v)

UPDATE(sgd_update, w -= lr * g;)

UPDATE(momentum_update,
    s1[i] = d1 * s1[i] + g;
    w -= lr * s1[i];)

UPDATE(nesterov_update,
    s1[i] = d1 * s1[i] + g;
    w -= lr * (g + d1 * s1[i]);)

UPDATE(adagrad_update,
    s1[i] += g * g;
    w -= lr * g / (ROOT(s1[i]) + eps);)

UPDATE(adadelta_update,
    s1[i] = d1 * s1[i] + e1 * g * g;
    T step = ROOT(s2[i] + eps) / ROOT(s1[i] + eps) * g;
    s2[i] = d1 * s2[i] + e1 * step * step;
    w -= lr * step;)

UPDATE(rmsprop_update,
    s1[i] = d1 * s1[i] + e1 * g * g;
    w -= lr * g / (ROOT(s1[i]) + eps);)

/* Both moments of the Adam family. */
#define MOMENTS                                                                                   \
    T m = s1[i] = d1 * s1[i] + e1 * g;                                                            \
    T v = s2[i] = d2 * s2[i] + e2 * g * g;

UPDATE(adam_update,
    MOMENTS
    w -= c1 * m / (ROOT(v) * c2 + eps);)

UPDATE(adamw_update,                    /* c3: what decay leaves of the parameter */
    MOMENTS
    w = w * c3 - c1 * m / (ROOT(v) * c2 + eps);)

UPDATE(nadam_update,                    /* c3: factor that unbiases the second moment */
    MOMENTS
    w -= (c1 * g + c2 * m) / (ROOT(v * c3) + eps);)

#undef UPDATE
#undef ROOT
#undef MOMENTS
