/* How batch normalisation sees its maps (kernel_batchnorm.h), without dtypes.
 *
 * Planes: (N, C, L), some neighbouring positions to each channel of each image.
 * Rows: anything else. An image is a row of C * L values, and what stands in column j belongs to
 * channel j / L % C; channels-last maps come as N * L images of C channels and one position. Narrow
 * rows are taken several at a time, as one wide row.
 */
#ifndef FASTDL_NORM_H
#define FASTDL_NORM_H

/* What takes part in a sum or in a result. */
enum {
    FD_AFFINE = 1,          /* the centred x times a factor, plus an offset */
    FD_EXTRA = 2,           /* another map times a scale: the residual, or dy */
    FD_GATED = 4,           /* of that map only what stands where the gate is between 0 and the cap */
    FD_KEPT = 8,            /* and that is also stored */
    FD_RELU = 16,           /* negative results become 0, those above the cap the cap */
    FD_BY_ROWS = 32,        /* and over rows, not planes */
};

enum {
    FD_NORM_BLOCK = 16384,  /* values of a channel summed in T, before the sum goes on in double */
    FD_NORM_ROWS = 512,     /* the same of a column, in rows */
};

/* How many images are taken as one row of at least `least` columns. */
static inline ptrdiff_t fd_images_together(ptrdiff_t columns, ptrdiff_t least)
{
    ptrdiff_t together = 1;
    while (together * columns < least) together *= 2;
    return together;
}

#endif
