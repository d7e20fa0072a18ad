/* Feature maps copied from one layout to the other: the matrix (C, pixels) of an image becomes
 * (pixels, C), or the other way round. Few channels, such as an image's three, are woven together
 * and taken apart by loops of their own, which compilers turn into shuffles. */

FD_INLINE void K(weave)(const int channels, const T *__restrict__ planes, ptrdiff_t plane,
                        ptrdiff_t count, T *__restrict__ pixels)
{
    for (ptrdiff_t i = 0; i < count; i++)
#pragma GCC unroll 4
        for (int c = 0; c < channels; c++) pixels[i * channels + c] = planes[c * plane + i];
}

FD_INLINE void K(unweave)(const int channels, const T *__restrict__ pixels, ptrdiff_t count,
                          T *__restrict__ planes, ptrdiff_t plane)
{
    for (ptrdiff_t i = 0; i < count; i++)
#pragma GCC unroll 4
        for (int c = 0; c < channels; c++) planes[c * plane + i] = pixels[i * channels + c];
}

static void K(to_pixels)(const T *planes, ptrdiff_t plane, ptrdiff_t channels, ptrdiff_t count,
                         T *pixels)
{
    switch (channels) {
    case 1: K(copy)(pixels, planes, count); break;
    case 2: K(weave)(2, planes, plane, count, pixels); break;
    case 3: K(weave)(3, planes, plane, count, pixels); break;
    case 4: K(weave)(4, planes, plane, count, pixels); break;
    default: K(transpose)(planes, plane, channels, count, pixels, channels);
    }
}

static void K(to_planes)(const T *pixels, ptrdiff_t channels, ptrdiff_t count, T *planes,
                         ptrdiff_t plane)
{
    switch (channels) {
    case 1: K(copy)(planes, pixels, count); break;
    case 2: K(unweave)(2, pixels, count, planes, plane); break;
    case 3: K(unweave)(3, pixels, count, planes, plane); break;
    case 4: K(unweave)(4, pixels, count, planes, plane); break;
    default: K(transpose)(pixels, channels, count, channels, planes, plane);
    }
}

/* Items: (image, part of its pixels). */
static void K(copy_maps)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_layout_args *args = p;
    ptrdiff_t C = args->C, L = args->L, line = 64 / (ptrdiff_t)sizeof(T);
    for (ptrdiff_t item = begin; item < end; item++) {
        ptrdiff_t image = item / args->parts * C * L;
        fd_range part = fd_part(L, line, args->parts, item % args->parts);
        const T *x = (const T *)args->x + image;
        T *y = (T *)args->y + image;
        ptrdiff_t count = part.end - part.begin;
        if (args->to_pixels)
            K(to_pixels)(x + part.begin, L, C, count, y + part.begin * C);
        else
            K(to_planes)(x + part.begin * C, C, count, y + part.begin, L);
    }
}
