/* What pooling does to a vector of outputs, or of gradients, whatever the layout of the maps. */

/* A cell of a window, or a window over a cell: how far away it is read, which number the cell has
 * in the window, and which share of the window's gradient an average gives it. */
typedef struct {
    ptrdiff_t offset;
    INT number;
    T share;
} K(tap);

typedef FD_LIKE_V(T, uint8_t) K(bytes);
typedef FD_LIKE_V(T, int32_t) K(words);

/* Load and store at element `at` of an array of which no more than `size` elements may be touched;
 * NO_END is for where the caller knows that all lanes are inside. */
#define NO_END PTRDIFF_MAX

FD_INLINE size_t K(lanes_inside)(ptrdiff_t at, ptrdiff_t size)
{
    return (size_t)FD_MAX(FD_MIN(size - at, VL), 0);
}

FD_INLINE V K(get)(const T *x, ptrdiff_t at, ptrdiff_t size)
{
    if (size == NO_END || at + VL <= size) return K(load)(x + at);
    V v = {0};
    memcpy(&v, x + at, K(lanes_inside)(at, size) * sizeof(T));
    return v;
}

FD_INLINE void K(put)(T *x, ptrdiff_t at, ptrdiff_t size, V v)
{
    if (at + VL <= size)
        K(store)(x + at, v);
    else
        memcpy(x + at, &v, K(lanes_inside)(at, size) * sizeof(T));
}

FD_INLINE K(ivec) K(get_argmax)(const fd_pool_args *args, ptrdiff_t at, ptrdiff_t size)
{
    size_t lanes = size == NO_END ? (size_t)VL : K(lanes_inside)(at, size);
    if (args->argmax_bytes == 1) {
        const uint8_t *argmax = (const uint8_t *)args->argmax + at;
        K(bytes) bytes = {0};
        if (lanes == (size_t)VL)
            bytes = *(const K(bytes) *)argmax;
        else
            memcpy(&bytes, argmax, lanes);
        return FD_CONVERT(bytes, K(ivec));
    }
    K(words) words = {0};
    memcpy(&words, (const int32_t *)args->argmax + at, lanes * sizeof(int32_t));
    return FD_CONVERT(words, K(ivec));
}

FD_INLINE void K(put_argmax)(const fd_pool_args *args, ptrdiff_t at, ptrdiff_t size, K(ivec) v)
{
    if (!args->argmax) return;
    size_t lanes = K(lanes_inside)(at, size);
    if (args->argmax_bytes == 1) {
        uint8_t *argmax = (uint8_t *)args->argmax + at;
        K(bytes) bytes = FD_CONVERT(v, K(bytes));
        if (lanes == (size_t)VL)
            *(K(bytes) *)argmax = bytes;
        else
            memcpy(argmax, &bytes, lanes);
    } else {
        K(words) words = FD_CONVERT(v, K(words));
        memcpy((int32_t *)args->argmax + at, &words, lanes * sizeof(int32_t));
    }
}

/* Let `value`, of cells `number`, replace the maxima that it beats: the smaller ones, and all
 * numbers if it is NaN. */
FD_INLINE void K(take)(V value, K(ivec) number, V *best, K(ivec) *argmax)
{
    K(ivec) never = {0};
    K(ivec) wins = K(iselect)((K(ivec))(value <= *best), never, (K(ivec))(*best == *best));
    *best = K(select)(wins, value, *best);
    *argmax = K(iselect)(wins, number, *argmax);
}

/* Maximum of a vector of windows that begin at element `at` of x. `argmax` starts as the first
 * cell inside the plane, which stands if all of them are -inf. */
FD_INLINE V K(largest)(const T *x, ptrdiff_t at, ptrdiff_t size, const K(tap) *taps,
                       ptrdiff_t count, K(ivec) *argmax)
{
    V best = (V){0} - (T)INFINITY;
    for (ptrdiff_t i = 0; i < count; i++)
        K(take)(K(get)(x, at + taps[i].offset, size), (K(ivec)){0} + taps[i].number, &best,
                argmax);
    return best;
}

FD_INLINE V K(total)(const T *x, ptrdiff_t at, ptrdiff_t size, const K(tap) *taps,
                     ptrdiff_t count)
{
    V sum = {0};
    for (ptrdiff_t i = 0; i < count; i++) sum += K(get)(x, at + taps[i].offset, size);
    return sum;
}

/* The gradients that chose cell `number`, elsewhere 0. */
FD_INLINE V K(chosen)(V dy, K(ivec) argmax, INT number)
{
    V none = {0};
    return K(select)((K(ivec))(argmax == (K(ivec)){0} + number), dy, none);
}
