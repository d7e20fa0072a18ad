/* Update steps: one pass over the parameter, its gradient and its state. Items: elements. */

/* A step written for one element: `w` and the states s1[i], s2[i] are changed, `g` is
 * the gradient with the L2 penalty added. */
#define UPDATE(name, ...)                                                                         \
    static void K(name)(const void *p, ptrdiff_t begin, ptrdiff_t end)                            \
    {                                                                                             \
        const fd_optimizer_args *args = p;                                                        \
        const T *dws = args->dw;                                                                  \
        T *ws = args->w, *s1 = args->s1, *s2 = args->s2;                                          \
        const T lr = (T)args->lr, decay = (T)args->weight_decay, eps = (T)args->eps;              \
        const T d1 = (T)args->d1, d2 = (T)args->d2;                                               \
        const T e1 = (T)(1 - args->d1), e2 = (T)(1 - args->d2);                                   \
        const T c1 = (T)args->c1, c2 = (T)args->c2, c3 = (T)args->c3;                             \
        (void)s1, (void)s2, (void)lr, (void)eps, (void)d1, (void)d2, (void)e1, (void)e2;        \
        (void)c1, (void)c2, (void)c3;                                                             \
        for (ptrdiff_t i = begin; i < end; i++) {                                                 \
            T w = ws[i], g = dws[i] + decay * w;                                                  \
            __VA_ARGS__                                                                           \
            ws[i] = w;                                                                            \
        }                                                                                         \
    }
#define ROOT(v) K(root)(v)

#ifdef FD_IS_DOUBLE
static inline T K(root)(T v) { return sqrt(v); }
#else
static inline T K(root)(T v) { return sqrtf(v); }
#endif

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
