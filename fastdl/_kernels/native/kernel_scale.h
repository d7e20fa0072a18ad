/* Feature maps times a factor for each, as channel attention has it, and the gradients of both. */

/* y = x * factors, element by element (factors of pixels) or all by the first (of planes). */
FD_INLINE void K(scale_row)(const T *x, const T *factors, const int one, T *y, ptrdiff_t count,
                            int stream)
{
    const V factor = (V){0} + factors[0];
    ptrdiff_t i = K(unaligned)(y, count);
    if (i)
        K(store_first)(y, K(load_first)(x, i, 0) * (one ? factor : K(load_first)(factors, i, 0)), i);
    for (; i + VL <= count; i += VL)
        K(write)(y + i, K(load)(x + i) * (one ? factor : K(load)(factors + i)), stream);
    if (i < count) {
        ptrdiff_t rest = count - i;
        K(store_first)(y + i, K(load_first)(x + i, rest, 0)
                                  * (one ? factor : K(load_first)(factors + i, rest, 0)), rest);
    }
}

/* Items: planes; or (image, part of its pixels). */
static void K(scale_maps)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_scale_args *args = p;
    const T *x = args->x, *s = args->s;
    T *y = args->y;
    const ptrdiff_t C = args->C, L = args->L;
    for (ptrdiff_t item = begin; item < end; item++) {
        if (!args->channels_last) {
            K(scale_row)(x + item * L, s + item, 1, y + item * L, L, args->stream);
            continue;
        }
        const ptrdiff_t image = item / args->parts;
        const fd_range pixels = fd_part(L, 1, args->parts, item % args->parts);
        for (ptrdiff_t i = image * L + pixels.begin; i < image * L + pixels.end; i++)
            K(scale_row)(x + i * C, s + image * C, 0, y + i * C, C, args->stream);
    }
}

static void K(scale_plane_backward)(const fd_scale_args *args, ptrdiff_t plane)
{
    const ptrdiff_t L = args->L;
    const T *x = (const T *)args->x + plane * L, *dy = (const T *)args->dy + plane * L;
    const T s = ((const T *)args->s)[plane];
    T *dx = (T *)args->y + plane * L;
    V sum[2] = {{0}, {0}};
    ptrdiff_t i = 0;
    for (; i + 2 * VL <= L; i += 2 * VL)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            V v = K(load)(dy + i + j * VL);
            sum[j] += v * K(load)(x + i + j * VL);
            K(store)(dx + i + j * VL, v * s);
        }
    for (; i < L; i += VL) {
        V v = K(load_first)(dy + i, L - i, 0);
        sum[0] += v * K(load_first)(x + i, L - i, 0);
        K(store_first)(dx + i, v * s, L - i);
    }
    ((T *)args->ds)[plane] = K(lanes_sum)(sum[0] + sum[1]);
}

/* Some channels of all pixels of an image. */
static void K(scale_pixels_backward)(const fd_scale_args *args, ptrdiff_t image, fd_range channels)
{
    const ptrdiff_t C = args->C, L = args->L;
    for (ptrdiff_t c = channels.begin; c < channels.end; c += VL) {
        const ptrdiff_t count = FD_MIN(VL, channels.end - c), first = image * L * C + c;
        const T *x = (const T *)args->x + first, *dy = (const T *)args->dy + first;
        T *dx = (T *)args->y + first;
        const V s = K(load_first)((const T *)args->s + image * C + c, count, 0);
        V sum = {0};
        for (ptrdiff_t i = 0; i < L; i++) {
            V v = K(load_first)(dy + i * C, count, 0);
            sum += v * K(load_first)(x + i * C, count, 0);
            K(store_first)(dx + i * C, v * s, count);
        }
        K(store_first)((T *)args->ds + image * C + c, sum, count);
    }
}

/* Items: planes; or (image, block of channels). */
static void K(scale_maps_backward)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_scale_args *args = p;
    const ptrdiff_t blocks = (args->C + FD_SCALE_BLOCK - 1) / FD_SCALE_BLOCK;
    for (ptrdiff_t item = begin; item < end; item++) {
        if (!args->channels_last) {
            K(scale_plane_backward)(args, item);
            continue;
        }
        const ptrdiff_t first = item % blocks * FD_SCALE_BLOCK;
        K(scale_pixels_backward)(args, item / blocks,
                                 (fd_range){first, FD_MIN(first + FD_SCALE_BLOCK, args->C)});
    }
}
