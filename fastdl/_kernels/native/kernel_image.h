/* Images for training: gathered, cropped, mirrored and normalised, row by row. */

#ifndef FASTDL_IMAGE
#define FASTDL_IMAGE
/* Distances of two images, channels, rows and pixels of maps. */
typedef struct {
    ptrdiff_t image, channel, row, pixel;
} fd_image_steps;

static inline fd_image_steps fd_steps_of(ptrdiff_t C, ptrdiff_t H, ptrdiff_t W, int channels_last)
{
    fd_image_steps planes = {C * H * W, H * W, W, 1}, pixels = {C * H * W, 1, W * C, C};
    return channels_last ? pixels : planes;
}

/* Which of `count` outputs read inside of `size`, when the first reads at `first`, any number. */
static inline fd_range fd_crop(int64_t first, ptrdiff_t count, ptrdiff_t size)
{
    const ptrdiff_t near = first < -count ? -count : first > size ? size : (ptrdiff_t)first;
    return fd_inside(count, 1, near, size);
}
#endif

/* y = scale x + shift for the pixels of a row, x of type S. Pixels that lie side by side are taken
 * a vector at a time, the last of which overlaps the one before: rows are short. (An inner loop
 * that is unrolled is no longer made a vector of.) */
#define FD_NORMALIZE_BLOCKS(x_step)                                                                \
    for (ptrdiff_t i = 0; i < count; i += VL) {                                                    \
        const ptrdiff_t first = FD_MIN(i, count - VL);                                             \
        _Pragma("GCC unroll 1") for (ptrdiff_t j = 0; j < VL; j++)                                 \
            y[first + j] = scale * (T)x[(first + j) * (x_step)] + shift;                           \
    }
#define FD_NORMALIZE(name, S)                                                                      \
    static void K(name)(const S *__restrict__ x, ptrdiff_t x_step, T *__restrict__ y,              \
                        ptrdiff_t y_step, ptrdiff_t count, T scale, T shift)                       \
    {                                                                                              \
        if (count >= VL && y_step == 1 && x_step == 1)                                             \
            FD_NORMALIZE_BLOCKS(1)                                                                 \
        else if (count >= VL && y_step == 1 && x_step == -1)                                       \
            FD_NORMALIZE_BLOCKS(-1)                                                                \
        else                                                                                       \
            for (ptrdiff_t i = 0; i < count; i++)                                                  \
                y[i * y_step] = scale * (T)x[i * x_step] + shift;                                  \
    }
FD_NORMALIZE(normalize, T)
FD_NORMALIZE(normalize_bytes, uint8_t)
#undef FD_NORMALIZE
#undef FD_NORMALIZE_BLOCKS

static void K(fill_steps)(T *y, ptrdiff_t step, ptrdiff_t count, T value)
{
    if (step == 1)
        K(fill)(y, count, value);
    else
        for (ptrdiff_t i = 0; i < count; i++) y[i * step] = value;
}

/* Items: images. */
static void K(crop_mirror_normalize)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_image_args *args = p;
    const T *scale = args->scale, *shift = args->shift, *fill = args->fill;
    const ptrdiff_t C = args->C, H = args->H, W = args->W, OH = args->OH, OW = args->OW;
    const fd_image_steps from = fd_steps_of(C, H, W, args->x_channels_last);
    const fd_image_steps to = fd_steps_of(C, OH, OW, args->y_channels_last);
    for (ptrdiff_t n = begin; n < end; n++) {
        const int64_t top = args->top[n], left = args->left[n];
        const fd_range rows = fd_crop(top, OH, H), unturned = fd_crop(left, OW, W);
        const int mirror = args->mirror[n] != 0;
        const ptrdiff_t count = unturned.end - unturned.begin;
        const ptrdiff_t before = mirror ? OW - unturned.end : unturned.begin;
        const ptrdiff_t step = mirror ? -from.pixel : from.pixel;
        for (ptrdiff_t line = 0; line < OH * C; line++) {
            const ptrdiff_t i = line / C, c = line % C;
            T *y = (T *)args->y + n * to.image + c * to.channel + i * to.row;
            if (i < rows.begin || i >= rows.end || !count) {
                K(fill_steps)(y, to.pixel, OW, fill[c]);
                continue;
            }
            const ptrdiff_t first = (mirror ? unturned.end - 1 : unturned.begin)
                                    + (ptrdiff_t)left;
            const ptrdiff_t x = args->rows[n] * from.image + c * from.channel
                                + ((ptrdiff_t)top + i) * from.row + first * from.pixel;
            T *inside = y + before * to.pixel, *after = inside + count * to.pixel;
            K(fill_steps)(y, to.pixel, before, fill[c]);
            if (args->x_bytes)
                K(normalize_bytes)((const uint8_t *)args->x + x, step, inside, to.pixel, count,
                                   scale[c], shift[c]);
            else
                K(normalize)((const T *)args->x + x, step, inside, to.pixel, count, scale[c],
                             shift[c]);
            K(fill_steps)(after, to.pixel, OW - before - count, fill[c]);
        }
    }
}
