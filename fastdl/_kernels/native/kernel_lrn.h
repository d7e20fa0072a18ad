/* Local response normalisation: each value divided by a power of the mean square of its channel and
 * the neighbouring ones. Items: blocks of FD_LRN_BLOCK pixels of an image, planar. */

/* 1 / base^power; the powers of the papers are roots. */
FD_INLINE V K(inverse_power)(V base, T power)
{
    T lane[FD_VBYTES / sizeof(T)];
    V v;
    memcpy(lane, &base, sizeof lane);
    if (power == (T)0.75)
        for (INT i = 0; i < (INT)VL; i++) {
            T root = K(root)(lane[i]);
            lane[i] = 1 / (root * K(root)(root));
        }
    else if (power == (T)0.5)
        for (INT i = 0; i < (INT)VL; i++) lane[i] = 1 / K(root)(lane[i]);
    else
        for (INT i = 0; i < (INT)VL; i++) lane[i] = (T)pow(lane[i], -power);
    memcpy(&v, lane, sizeof v);
    return v;
}

/* Channels whose squares a channel adds up: `before` it, itself, `after` it. */
static inline fd_range K(neighbours)(const fd_lrn_args *args, ptrdiff_t c, ptrdiff_t before,
                                     ptrdiff_t after)
{
    return (fd_range){FD_MAX(c - before, 0), FD_MIN(c + after + 1, args->C)};
}

static void K(local_response_norm)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_lrn_args *args = p;
    const ptrdiff_t C = args->C, L = args->L, blocks = (L + FD_LRN_BLOCK - 1) / FD_LRN_BLOCK;
    const ptrdiff_t before = args->size / 2, after = (args->size - 1) / 2;
    const T scale = (T)(args->alpha / (double)args->size), k = (T)args->k, beta = (T)args->beta;
    for (ptrdiff_t item = begin; item < end; item++) {
        const ptrdiff_t image = item / blocks * C * L, first = item % blocks * FD_LRN_BLOCK;
        const ptrdiff_t last = FD_MIN(first + FD_LRN_BLOCK, L);
        for (ptrdiff_t c = 0; c < C; c++) {
            const fd_range near = K(neighbours)(args, c, before, after);
            for (ptrdiff_t i = first; i < last; i += VL) {
                const ptrdiff_t count = last - i, at = image + c * L + i;
                V sum = {0};
                for (ptrdiff_t other = near.begin; other < near.end; other++) {
                    V v = K(load_first)((const T *)args->x + image + other * L + i, count, 0);
                    sum += v * v;
                }
                V base = sum * scale + k;
                V y = K(load_first)((const T *)args->x + at, count, 0) * K(inverse_power)(base, beta);
                K(store_first)((T *)args->y + at, y, count);
                if (args->base) K(store_first)((T *)args->base + at, base, count);
            }
        }
    }
}

/* dx = dy base^-beta - 2 alpha beta / size x sum(dy y / base), over the channels that have x among
 * their neighbours. */
static void K(local_response_norm_backward)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_lrn_args *args = p;
    const ptrdiff_t C = args->C, L = args->L, blocks = (L + FD_LRN_BLOCK - 1) / FD_LRN_BLOCK;
    const ptrdiff_t before = args->size / 2, after = (args->size - 1) / 2;
    const T beta = (T)args->beta;
    const T factor = (T)(2 * args->alpha * args->beta / (double)args->size);
    T *ratio = fd_scratch((size_t)(C * FD_LRN_BLOCK) * sizeof(T));
    if (!ratio) return;
    for (ptrdiff_t item = begin; item < end; item++) {
        const ptrdiff_t image = item / blocks * C * L, first = item % blocks * FD_LRN_BLOCK;
        const ptrdiff_t last = FD_MIN(first + FD_LRN_BLOCK, L);
        for (ptrdiff_t c = 0; c < C; c++)
            for (ptrdiff_t i = first; i < last; i += VL) {
                const ptrdiff_t count = last - i, at = image + c * L + i;
                V base = K(load_first)((const T *)args->base + at, count, 1);
                V direct = K(load_first)((const T *)args->dy + at, count, 0)
                         * K(inverse_power)(base, beta);
                K(store_first)((T *)args->dx + at, direct, count);
                V x = K(load_first)((const T *)args->x + at, count, 0);
                K(store_first)(ratio + c * FD_LRN_BLOCK + i - first, direct * x / base, count);
            }
        for (ptrdiff_t c = 0; c < C; c++) {
            const fd_range near = K(neighbours)(args, c, after, before);
            for (ptrdiff_t i = first; i < last; i += VL) {
                const ptrdiff_t count = last - i, at = image + c * L + i;
                V sum = {0};
                for (ptrdiff_t other = near.begin; other < near.end; other++)
                    sum += K(load_first)(ratio + other * FD_LRN_BLOCK + i - first, count, 0);
                V x = K(load_first)((const T *)args->x + at, count, 0);
                V dx = K(load_first)((const T *)args->dx + at, count, 0) - x * sum * factor;
                K(store_first)((T *)args->dx + at, dx, count);
            }
        }
    }
}
