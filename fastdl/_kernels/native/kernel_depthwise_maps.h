/* Depthwise convolution: maps, vector by vector. Channels-last maps are read and written where they
 * lie; others, and those of fewer channels than a vector has, are transposed on the way. */

/* `vectors` times `lanes` channels (VL, or all C if fewer) of one feature map. Several vectors lie
 * side by side, but for the last, which is `last` from the first. */
typedef struct {
    T *data;
    const T *end;                       /* of the whole array */
    ptrdiff_t channel, row, column;     /* distance between two of them */
    ptrdiff_t lanes, vectors, last;
} K(view);

static inline int K(is_in_vectors)(const K(view) *view)
{
    return view->channel == 1 && view->lanes == VL;
}

static inline K(view) K(view_at)(K(view) view, ptrdiff_t row, ptrdiff_t column)
{
    view.data += row * view.row + column * view.column;
    return view;
}

/* `count` pixels of a row, into [count][VL]. May write VL pixels where fewer are asked for. */
static inline void K(read_pixels)(K(view) view, ptrdiff_t count, T *out)
{
    ptrdiff_t i = 0;
    if (view.column == 1) {
        for (; i + VL <= count; i += VL)
            K(transpose_block)(view.data + i, view.channel, view.lanes, out + i * VL, VL);
        /* What is left over is read with what follows it in memory, if anything does. */
        const T *last = view.data + (view.lanes - 1) * view.channel + i;
        if (i < count && view.end - last >= VL) {
            K(transpose_block)(view.data + i, view.channel, view.lanes, out + i * VL, VL);
            return;
        }
    }
    for (; i < count; i++)
        for (ptrdiff_t lane = 0; lane < VL; lane++)
            out[i * VL + lane] =
                lane < view.lanes ? view.data[lane * view.channel + i * view.column] : 0;
}

static inline void K(write_pixels)(K(view) view, ptrdiff_t count, const T *in)
{
    ptrdiff_t i = 0;
    if (view.column == 1 && view.lanes == VL && count >= VL)
        for (; i < count; i += VL) {
            ptrdiff_t from = FD_MIN(i, count - VL);
            K(transpose_block)(in + from * VL, VL, VL, view.data + from, view.channel);
        }
    for (; i < count; i++)
        for (ptrdiff_t lane = 0; lane < view.lanes; lane++)
            view.data[lane * view.channel + i * view.column] = in[i * VL + lane];
}

/* Pixels of a view, channels last. */
typedef struct {
    const T *data;
    ptrdiff_t row, column;
} K(pixels);

/* These rows and columns: where they lie if they are in vectors, or else laid into `room`. */
static K(pixels) K(pixels_of)(K(view) view, fd_range rows, fd_range columns, T *room)
{
    ptrdiff_t height = fd_length(rows), width = fd_length(columns);
    K(pixels) laid = {room, width * VL, VL};
    view = K(view_at)(view, rows.begin, columns.begin);
    if (K(is_in_vectors)(&view)) return (K(pixels)){view.data, view.row, view.column};
    if (view.row == width * view.column) width *= height, height = FD_MIN(height, 1);
    for (ptrdiff_t r = 0; r < height; r++)      /* whole rows are one long row */
        K(read_pixels)(K(view_at)(view, r, 0), width, room + r * width * VL);
    return laid;
}

/* The inputs that a block meets, with padding as zeros. */
static K(pixels) K(lay_patch)(K(view) view, const fd_meeting *h, const fd_meeting *w,
                              fd_range rows, fd_range columns, T *room)
{
    ptrdiff_t width = fd_length(columns);
    K(pixels) laid = {room, width * VL, VL};
    ptrdiff_t begin = FD_MIN(FD_MAX(-columns.begin, 0), width);
    ptrdiff_t end = FD_MIN(w->inputs - columns.begin, width);
    for (ptrdiff_t r = rows.begin; r < rows.end; r++, room += width * VL) {
        if (r < 0 || r >= h->inputs || begin >= end) {
            K(fill)(room, width * VL, 0);
            continue;
        }
        K(read_pixels)(K(view_at)(view, r, columns.begin + begin), end - begin, room + begin * VL);
        K(fill)(room, begin * VL, 0);
        K(fill)(room + end * VL, (width - end) * VL, 0);
    }
    return laid;
}

static void K(write_rows)(K(view) view, ptrdiff_t rows, ptrdiff_t columns, const T *in)
{
    if (view.row == columns * view.column) columns *= rows, rows = 1;
    for (ptrdiff_t r = 0; r < rows; r++, in += columns * VL)
        K(write_pixels)(K(view_at)(view, r, 0), columns, in);
}

/* ---- walks over maps, block by block ---- */

/* What all blocks of a walk have in common. With OC = m * C, output channel c * m + j reads input
 * channel c. For each j in turn, outputs j, m + j, 2 m + j... are then as many as the inputs, in
 * the same order. */
typedef struct {
    const fd_depthwise_args *args;
    fd_meeting h, w;
    ptrdiff_t multiplier, lanes, vectors;       /* vectors: of all channels */
    ptrdiff_t rows, columns, group;             /* size of a block; group: vectors */
    T *patch, *out, *add, *gate;        /* room for inputs and outputs, residuals, gates */
    T *zeros, *dump;                    /* a pixel to read, and to write, where there is none */
    T *taps;                            /* weights, or sums: [vector][j][tap, and then bias][VL] */
} K(walk);

/* Returns 0 when there is nothing to do, or no memory for it. */
static int K(prepare_walk)(K(walk) *walk)
{
    const fd_depthwise_args *args = walk->args;
    ptrdiff_t C = args->window.C, vector = VL * (ptrdiff_t)sizeof(T), inputs = 0, outputs = 0;
    if (!walk->h.outputs || !walk->w.outputs) return 0;
    walk->multiplier = args->OC / C;
    walk->lanes = FD_MIN(VL, C);
    walk->vectors = walk->group = (C + VL - 1) / VL;
    walk->rows = walk->h.outputs;
    walk->columns = walk->w.outputs;
    if (!args->channels_last || C < VL || walk->multiplier > 1) {       /* not all in vectors */
        walk->group = 1;
        fd_choose_block(&walk->h, &walk->w, FD_PATCH_BYTES / vector, &walk->rows, &walk->columns);
        inputs = fd_count_inputs(&walk->h, walk->rows) * fd_count_inputs(&walk->w, walk->columns)
            + VL;
        outputs = walk->rows * walk->columns + VL;
    }
    ptrdiff_t taps = walk->vectors * walk->multiplier * (walk->h.taps * walk->w.taps + 1);
    walk->patch = fd_scratch((size_t)((inputs + 3 * outputs + 2 * walk->group + taps) * vector));
    if (!walk->patch) return 0;
    walk->out = walk->patch + inputs * VL;
    walk->add = walk->out + outputs * VL;
    walk->gate = walk->add + outputs * VL;
    walk->zeros = walk->gate + outputs * VL;
    walk->dump = walk->zeros + walk->group * VL;
    walk->taps = walk->dump + walk->group * VL;
    K(fill)(walk->zeros, walk->group * VL, 0);
    return 1;
}

/* Bytes of maps that are read and written where they lie; 0 if others are. */
static inline ptrdiff_t K(bytes_where_they_lie)(const K(walk) *walk)
{
    const fd_window *w = &walk->args->window;
    ptrdiff_t pixels = w->C * w->H * w->W + walk->args->OC * w->OH * w->OW;
    return walk->group == walk->vectors ? w->N * pixels * (ptrdiff_t)sizeof(T) : 0;
}

/* Maps that the last cache does not hold together. */
static inline int K(is_beyond_caches)(const K(walk) *walk)
{
    return K(bytes_where_they_lie)(walk) > FD_CACHED_BYTES;
}

/* Maps so large that who reads the result next finds too little of it in the caches to make up for
 * what writing it there takes. Measured with a reader: 31 MiB gained, 25 MiB lost. */
static inline int K(passes_caches)(const K(walk) *walk, const void *out)
{
    return K(bytes_where_they_lie)(walk) > ((ptrdiff_t)28 << 20) && (uintptr_t)out % FD_VBYTES == 0
        && walk->args->window.C % VL == 0;
}

/* Weights, or sums, of the channels of a vector. */
static inline T *K(taps_of)(const K(walk) *walk, ptrdiff_t vector, ptrdiff_t j)
{
    ptrdiff_t filters = vector * walk->multiplier + j;
    return walk->taps + filters * (walk->h.taps * walk->w.taps + 1) * VL;
}

/* Where C >= VL the last vector starts at C - VL: some channels are computed twice, and come out
 * the same. */
static inline ptrdiff_t K(first_channel)(const K(walk) *walk, ptrdiff_t vector)
{
    return FD_MIN(vector * VL, walk->args->window.C - walk->lanes);
}

/* Image n of x or dx, or with `y` of y, dy and residual: the channels of some vectors. */
static K(view) K(view_of)(const K(walk) *walk, const void *maps, int y, ptrdiff_t n,
                          fd_range vectors, ptrdiff_t j)
{
    const fd_depthwise_args *args = walk->args;
    const fd_window *w = &args->window;
    ptrdiff_t channels = y ? args->OC : w->C, step = y ? walk->multiplier : 1;
    ptrdiff_t height = y ? w->OH : w->H, width = y ? w->OW : w->W, map = height * width;
    ptrdiff_t channel = args->channels_last ? 1 : map, column = args->channels_last ? channels : 1;
    ptrdiff_t first = K(first_channel)(walk, vectors.begin);
    ptrdiff_t last = K(first_channel)(walk, vectors.end - 1) - first;
    return (K(view)){
        (T *)maps + n * channels * map + (first * step + (y ? j : 0)) * channel,
        (const T *)maps + w->N * channels * map,
        step * channel, width * column, column, walk->lanes, fd_length(vectors), last};
}

/* All blocks with outputs in `all`, of image n. */
typedef void (*K(block_body))(void *walk, ptrdiff_t n, const fd_block *block);

static void K(walk_blocks)(K(walk) *walk, K(block_body) body, ptrdiff_t n, fd_block all)
{
    fd_block block;
    for (ptrdiff_t v = all.vectors.begin; v < all.vectors.end; v += walk->group)
        for (ptrdiff_t i = all.rows.begin; i < all.rows.end; i += walk->rows)
            for (ptrdiff_t k = all.columns.begin; k < all.columns.end; k += walk->columns) {
                block.rows = (fd_range){i, FD_MIN(i + walk->rows, all.rows.end)};
                block.columns = (fd_range){k, FD_MIN(k + walk->columns, all.columns.end)};
                block.vectors = (fd_range){v, FD_MIN(v + walk->group, all.vectors.end)};
                body(walk, n, &block);
            }
}
