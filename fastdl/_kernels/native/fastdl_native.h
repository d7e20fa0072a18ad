/* What the native side offers: kernels chosen for this processor, and one way to run them.
 *
 * A kernel is a function over a range of independent items (elements, rows, planes, images).
 * Its arguments are one plain struct. Everything about threads is in parallel.c; everything about
 * instruction sets is in cpu.c; everything about dtypes is in kernels.h. A kernel knows none of it.
 */
#ifndef FASTDL_NATIVE_H
#define FASTDL_NATIVE_H

#include <stddef.h>
#include <stdint.h>

typedef void (*fd_body)(const void *args, ptrdiff_t begin, ptrdiff_t end);

enum fd_dtype { FD_FLOAT32, FD_FLOAT64, FD_DTYPES };

enum fd_kernel {
#define KERNEL(name) FD_##name,
#include "kernels.def"
#undef KERNEL
    FD_KERNELS
};

/* ---- the processor (cpu.c) ---- */

/* Names of the instruction sets this build holds, best first, ending with NULL. */
extern const char *const fd_isa_names[];

/* Choose the kernels: `cap` is the best set allowed, or NULL. Returns the name of the set chosen,
 * or NULL when `cap` is not one of fd_isa_names. */
const char *fd_select_isa(const char *cap);

/* The chosen kernel. */
fd_body fd_lookup(enum fd_kernel kernel, enum fd_dtype dtype);

/* ---- threads (parallel.c), memory (memory.c) ---- */

int fd_has_openmp(void);
int fd_get_num_threads(void);
void fd_set_num_threads(int threads);

/* How many threads `work` is worth. Its unit is what one float32 element costs ReLU in the cache,
 * some 0.05 ns. Two threads begin to pay at 32768 of them, 1.5 us, whatever the kernel. */
int fd_threads_for(double work);

/* Call once, when the library is loaded and no thread uses it yet. Returns 0 on failure. */
int fd_init_threads(void);

/* Run `body` over [0, items) on up to `threads` threads; subnormals are flushed meanwhile.
 * Returns -1 when a thread found no memory for its scratch, else 0. */
int fd_run(fd_body body, const void *args, ptrdiff_t items, int threads);

/* Memory of at least `bytes`, 64-byte aligned, that belongs to the calling thread and is reused
 * by its next call. NULL when there is none, and the run then reports it. */
void *fd_scratch(size_t bytes);

/* Another such block, for a kernel that runs others, which call fd_scratch themselves. */
void *fd_maps_scratch(size_t bytes);

/* A second such block, for who calls fd_run: taken before, its pointer handed on in the arguments,
 * it may be read and written by all threads of that run, and of the next ones too, until the
 * calling thread asks again. NULL when there is no memory. */
void *fd_shared_scratch(size_t bytes);

/* The same once more, for what several runs add to: the slots of `fd_moments_args`. */
void *fd_slots_scratch(size_t bytes);

/* Whether a result of so many bytes, of which a kernel reads nothing, is better written past the
 * caches (`stream` in its arguments): whoever reads it next would not find it there anyway. */
int fd_streams(double bytes);

/* Let the process keep freed memory for its next arrays instead of handing it back to the system
 * and paying a page fault for every 4 KiB of them. Returns 0 where that cannot be told. */
int fd_keep_freed_memory(void);

/* ---- arguments ---- */

/* A sliding window over planes: convolution, pooling, im2col. */
typedef struct {
    ptrdiff_t N, C, H, W, OH, OW, KH, KW, SH, SW, PH, PW, DH, DW;
} fd_window;

/* Mean and variance of what a convolution writes (kernel_moments.h); its items fill the slots. */
enum { FD_MOMENTS_ROWS = 4 };

typedef struct {
    ptrdiff_t C, n_slots;
    double *slots;                      /* (n_slots, FD_MOMENTS_ROWS, C), zeros before */
    void *moments;                      /* (2, C): mean, variance */
} fd_moments_args;

typedef struct {
    const void *a, *b, *bias;
    const void *start;                  /* NULL, or added: `out` as it was, or what lies alike */
    const void *gate;                   /* NULL, or M x N: out is 0 where this is not above 0 */
    void *out;
    ptrdiff_t M, N, K;
    ptrdiff_t a_row, b_row, gate_row, out_row;  /* between rows as they lie in memory */
    int trans_a, trans_b, relu;
    int stream;                         /* `out` past the caches */
    double alpha, beta;                 /* of the product, and of `out` where that is `start` */
    void *packed;                       /* room for all of b in panels, or NULL */
    fd_moments_args *moments;           /* of the columns of `out`, or NULL; slots: rows of cells */
    ptrdiff_t grid_m, grid_n;           /* items: cells of this grid over `out` */
} fd_gemm_args;

/* Whether b is read where it lies by that many rows of a. Packing pays off for more; sooner where
 * the rows of b share cache sets, because each tile then fetches them again. */
static inline int fd_b_lies_ready(const fd_gemm_args *args, ptrdiff_t rows, size_t itemsize)
{
    return !args->trans_b && rows <= ((size_t)args->b_row * itemsize % 2048 ? 560 : 42);
}

typedef struct {
    fd_window window;
    const void *source;
    void *target;
    int transpose;                      /* rows of col are pixels, not taps */
    int stream;                         /* col past the caches */
} fd_im2col_args;

typedef struct {
    fd_window window;
    const void *x, *w, *b, *dy;         /* inputs of the pass, the others NULL */
    const void *residual, *gate;        /* NULL, or like y or dx: added; and 0 where not above 0 */
    const void *argmax;                 /* NULL, or uint8_t like dy, which are then those of a 2 x 2
                                           max-pool behind the convolution, channels-last */
    void *y, *dx, *dw, *db;             /* outputs of the pass, the others NULL */
    ptrdiff_t OC, groups;
    int channels_last, relu;
    void *packed;                       /* room for the filters in panels */
    fd_moments_args *moments;           /* of y, or NULL; one group, channels-last */
    ptrdiff_t together;                 /* images that make one item */
    ptrdiff_t row_parts, column_parts;  /* how the outputs of an image are cut into items */
    ptrdiff_t dw_parts, channel_parts;  /* sums of dw made apart; how its OC are cut */
} fd_conv_args;

/* Backward to no more channels than this, of a group, vectors run along pixels. */
enum { FD_FEW_CHANNELS = 4 };

/* Winograd's convolution, of a forward pass or of one backward to the input, which differ in what
 * is read and written; and backward to the filters. */
typedef struct {
    ptrdiff_t N, C, H, W, OC, OH, OW;   /* maps that are read, maps that are written */
    ptrdiff_t PH, PW;
    ptrdiff_t m, taps;                  /* a tile has m x m outputs: 2 or 4; a window taps x taps
                                           cells: 3, for m = 2 also 5 */
    const void *x, *w, *b, *residual, *gate, *dy;
    const void *argmax;                 /* as above, of dy, or of x where that is a gradient */
    void *y, *dw, *db;
    int channels_last, relu;
    int turned;                         /* w is (C, OC, taps, taps), its taps are taken backwards */
    int spread;                         /* `turned`, but tiles are cut from x, its padding and the
                                           order of taps are those of the forward pass */
    fd_moments_args *moments;           /* of y, or NULL; channels-last */
    void *filters;                      /* room for the transformed filters */
    ptrdiff_t together, row_parts, column_parts;        /* how the outputs are cut into cells */
    void *x_tiles, *dy_tiles;           /* room for the transformed tiles of `cells` cells */
    void *sums;                         /* of their products */
    ptrdiff_t first_cell, cells, all_cells;
    ptrdiff_t parts;                    /* of all cells, with transformed tiles and sums apart */
    int add;                            /* to what is in `sums` */
} fd_winograd_args;

typedef struct {
    fd_window window;
    ptrdiff_t OC;                       /* a multiple of C */
    int channels_last;                  /* all maps are */
    const void *x, *w, *b, *dy;         /* inputs of the pass, the others NULL */
    const void *residual, *gate;        /* like y or dx, as above; where the residual is dx, the
                                           channels are whole vectors */
    int relu;
    void *y, *dx, *dw, *db;             /* db may be NULL */
    void *sums;                         /* (image_cells, OC / C, KH KW + 1, C): a part of the sums
                                           of dw in each, and behind the taps of db */
    ptrdiff_t row_cells;                /* items for y and dx: N times so many bands of rows */
    ptrdiff_t image_cells, channel_cells;       /* items for dw */
} fd_depthwise_args;

typedef struct {
    fd_window window;
    const void *x;                      /* x, or dy on the way back */
    const void *gate;                   /* NULL, or like dy, which counts as 0 where not above 0 */
    void *y;                            /* y, or dx on the way back */
    void *argmax;                       /* may be NULL on the way forward */
    int argmax_bytes;                   /* 1 or 4 */
    int count_include_pad;
    int channels_last;
    int stream;                         /* y or dx past the caches */
} fd_pool_args;

/* Convolution with a 2 x 2 max-pool behind it. The windows say how many images there are at a time,
 * pool.window how many in all. */
typedef struct {
    fd_conv_args conv;
    fd_winograd_args winograd;          /* used in place of conv if */
    int by_winograd;
    fd_pool_args pool;
    ptrdiff_t images;
} fd_conv_pool_args;

/* Whole maps whose channels lie last are pooled this many channels at a time. */
enum { FD_POOL_CHANNELS = 64 };

/* Forward and backward; what the direction does not name is NULL (norm.h has the views). */
typedef struct {
    ptrdiff_t N, C, L;                  /* channels-last maps: (N * L, C, 1) */
    int by_rows, backward, training, relu;
    double cap;                         /* of the ReLU: 6, or NaN for none, as NaN limits nothing */
    const void *x, *weight, *bias, *residual, *dy;
    void *y, *dx, *dresidual, *dw, *db; /* y is read on the way back, where its ReLU was active */
    void *mean, *rstd;
    const void *var;                    /* in evaluation, in place of rstd */
    void *running_mean, *running_var;
    double momentum, eps;
    ptrdiff_t parts;                    /* the sums of each part of the batch: (parts, 2, C) */
    double *sums;
    const void *moments;                /* NULL, or (2, C): mean and variance of x, in place of sums */
    int stream;                         /* y or dx past the caches */
} fd_norm_args;

/* The sums of the columns of each part of the rows. */
typedef struct {
    const void *x;                      /* (rows, columns) */
    void *sums;                         /* (row_parts, columns) */
    ptrdiff_t rows, columns, row_parts; /* items: row_parts times blocks of columns */
} fd_sums_args;

enum { FD_SUMS_BLOCK = 256 };           /* columns; the last block may have fewer */

/* Images of G groups, each of K channels of L positions. */
typedef struct {
    ptrdiff_t N, G, K, L;
    const void *x, *dy, *weight, *bias;
    void *y, *dx, *dw, *db, *mean, *rstd;       /* the last two (N, G) */
    double eps;
} fd_group_norm_args;

#define FD_GROUP_BLOCK 64               /* channels of one position that are an item */

typedef struct {
    ptrdiff_t C, L, size;               /* size: of the neighbourhood */
    const void *x, *dy;
    void *y, *base, *dx;                /* base: what is taken to a power; NULL if it is not kept */
    double alpha, beta, k;
} fd_lrn_args;

#define FD_LRN_BLOCK 64                 /* pixels that are an item */

/* From planes (N, C, L) to pixels (N, L, C), or from those to planes. */
typedef struct {
    const void *x;
    void *y;
    ptrdiff_t C, L;
    int to_pixels;
    ptrdiff_t parts;                    /* how the pixels of an image are cut into items */
} fd_layout_args;

typedef struct {
    const void *x;
    void *y;
    ptrdiff_t rows, columns, x_row, y_row;      /* the last two between rows in memory */
    int stream;                         /* y past the caches */
    ptrdiff_t parts;                    /* of the columns */
} fd_copy_args;

typedef struct {
    const void *x, *dy;                 /* x is the saved input or output on the way back; both are
                                           terms of a sum */
    void *y;                            /* y, or dx */
    ptrdiff_t columns;                  /* softmax only */
    double slope;                       /* leaky ReLU only */
    int stream;                         /* y past the caches; not softmax */
} fd_activation_args;

/* Maps (N, C, L), or (N, L, C) in memory, times a factor for each map. */
typedef struct {
    const void *x, *s, *dy;
    void *y, *ds;                       /* y, or dx */
    ptrdiff_t N, C, L;
    int channels_last, stream;          /* y past the caches */
    ptrdiff_t parts;                    /* of the pixels of an image, channels-last */
} fd_scale_args;

#define FD_SCALE_BLOCK 64               /* channels that are an item on the way back */

typedef struct {
    ptrdiff_t columns;
    const void *x, *t;
    void *p, *loss, *dx;
    double eps, scale;
} fd_loss_args;

typedef struct {
    const void *x;
    void *y;
    ptrdiff_t size;
    ptrdiff_t channels, pixels;         /* of channels-last maps, in place of size */
    uint64_t seed;
    uint32_t threshold;                 /* kept when word >= threshold */
    double scale;
} fd_dropout_args;

typedef struct {
    const void *x;
    const int64_t *rows;                /* of x, one for each image of y; all of them exist */
    const int64_t *top, *left, *mirror; /* of each image of y */
    const void *scale, *shift, *fill;
    void *y;
    ptrdiff_t C, H, W, OH, OW;
    int x_bytes;                        /* x holds uint8_t, not the dtype */
    int x_channels_last, y_channels_last;
} fd_image_args;

/* One parameter of a network, with what its update reads and writes. */
typedef struct {
    void *w;
    const void *dw;
    void *s1, *s2;                      /* state arrays, in the order of the signature */
    ptrdiff_t size;
    ptrdiff_t first;                    /* the number of its first block, counted over all */
} fd_parameter;

enum { FD_UPDATE_BLOCK = 256 };         /* elements; an array's last block may be shorter */

typedef struct {
    const fd_parameter *parameters;     /* then one more, whose `first` is the number of blocks */
    ptrdiff_t count;
    double lr, weight_decay, eps;
    double d1, d2;                      /* decay rates: momentum, alpha, rho, beta1, beta2 */
    double c1, c2, c3;                  /* factors of the step, computed by the caller */
} fd_optimizer_args;

#endif
