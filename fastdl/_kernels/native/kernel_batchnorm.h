/* Batch normalisation, forward and backward, over planes or over rows (norm.h).
 *
 * Both directions are the same two passes. First two sums for each channel, of g and of
 * g (x - mean), where g is dy on the way back, and x - mean itself on the way forward. There the
 * mean is a guess from a few samples: it keeps the difference of mean square and squared mean from
 * cancelling, and the sums correct it. Then one result,
 *
 *     out = (x - mean) factor + offset + extra scale,
 *
 * with the residual or dy as `extra`. The second pass goes from the last image to the first: the
 * last ones are still in the cache.
 */

/* The maps of a pass; those that its terms do not name are never touched. */
typedef struct {
    const T *x, *extra, *gate;
    T *kept, *out;
    T cap;
    int stream;                         /* `out` */
} K(norm_maps);

/* Constants of the result: those of a channel, and the same for vectors. */
typedef struct {
    T mean, factor, offset, scale;
} K(norm_line);

typedef struct {
    V mean, factor, offset, scale;
} K(norm_lines);

/* ---- the two sums; `count` lanes of a vector count ---- */

FD_INLINE V K(extra_at)(const K(norm_maps) *maps, ptrdiff_t i, ptrdiff_t count, const int terms)
{
    V extra = K(load_first)(maps->extra + i, count, 0);
    if (terms & FD_GATED) {
        V gate = K(load_first)(maps->gate + i, count, 0);
        K(ivec) shut = (K(ivec))(gate <= 0) | (K(ivec))(gate >= maps->cap);
        extra = K(select)(shut, (V){0}, extra);
    }
    return extra;
}

/* What lies beyond `count` lanes is loaded as `mean` (or as 0), so that it adds nothing. */
FD_INLINE void K(add_terms)(const K(norm_maps) *maps, ptrdiff_t i, ptrdiff_t count, V x, V mean,
                            V *sum, V *product, const int terms)
{
    V centred = x - mean, g = centred;
    if (terms & FD_EXTRA) g = K(extra_at)(maps, i, count, terms);
    if (terms & FD_KEPT) K(store_first)(maps->kept + i, g, count);
    *sum += g;
    *product += g * centred;
}

/* Some positions of a plane, from `i` on. */
FD_INLINE void K(sum_positions)(const K(norm_maps) *maps, ptrdiff_t i, ptrdiff_t count, T mean,
                                V sums[2], const int terms)
{
    V m = (V){0} + mean, sum[4] = {sums[0]}, product[4] = {sums[1]};
    ptrdiff_t end = i + count;
    for (; i + 4 * VL <= end; i += 4 * VL) {
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++)
            K(add_terms)(maps, i + k * VL, VL, K(load)(maps->x + i + k * VL), m, &sum[k],
                         &product[k], terms);
    }
    for (; i + VL <= end; i += VL)
        K(add_terms)(maps, i, VL, K(load)(maps->x + i), m, &sum[0], &product[0], terms);
    if (i < end)
        K(add_terms)(maps, i, end - i, K(load_first)(maps->x + i, end - i, mean), m, &sum[1],
                     &product[1], terms);
    sums[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    sums[1] = (product[0] + product[1]) + (product[2] + product[3]);
}

/* Add the sums over images [n0, n1) to `sum` and `product`, for channels [c0, c1). */
FD_INLINE void K(sum_planes)(const fd_norm_args *args, const K(norm_maps) *maps, ptrdiff_t n0,
                             ptrdiff_t n1, ptrdiff_t c0, ptrdiff_t c1, double *sum,
                             double *product, V *lanes, const int terms)
{
    const T *mean = args->mean;
    ptrdiff_t C = args->C, L = args->L, images = FD_MAX(FD_NORM_BLOCK / L, 1);
    for (ptrdiff_t n = n0; n < n1; n += images)
        for (ptrdiff_t l = 0; l < L; l += FD_NORM_BLOCK) {
            for (ptrdiff_t i = 0; i < 2 * (c1 - c0); i++) lanes[i] = (V){0};
            for (ptrdiff_t i = n; i < FD_MIN(n + images, n1); i++)
                for (ptrdiff_t c = c0; c < c1; c++)
                    K(sum_positions)(maps, (i * C + c) * L + l, FD_MIN(L - l, FD_NORM_BLOCK),
                                     mean[c], lanes + 2 * (c - c0), terms);
            for (ptrdiff_t c = 0; c < c1 - c0; c++) {
                sum[c] += (double)K(lanes_sum)(lanes[2 * c]);
                product[c] += (double)K(lanes_sum)(lanes[2 * c + 1]);
            }
        }
}

/* A wide row: `together` images of C * L columns. Arrays of columns end with a whole vector. */
typedef struct {
    ptrdiff_t together, columns, places;
} K(norm_row);

static K(norm_row) K(norm_row_of)(const fd_norm_args *args)
{
    ptrdiff_t together = fd_images_together(args->C * args->L, 4 * VL);
    ptrdiff_t columns = together * args->C * args->L;
    return (K(norm_row)){together, columns, (columns + VL - 1) / VL * VL};
}

/* Give every column the value of its channel, and 0 to what fills it up. Values: `step` apart. */
static void K(norm_spread)(const fd_norm_args *args, const K(norm_row) *row, const T *of_channel,
                      ptrdiff_t step, T *out)
{
    ptrdiff_t C = args->C, L = args->L;
    if (L == 1)
        for (ptrdiff_t c = 0; c < C; c++) out[c] = of_channel[c * step];
    else
        for (ptrdiff_t c = 0; c < C; c++)
            for (ptrdiff_t l = 0; l < L; l++) out[c * L + l] = of_channel[c * step];
    for (ptrdiff_t image = 1; image < row->together; image++)
        memcpy(out + image * C * L, out, (size_t)(C * L) * sizeof(T));
    for (ptrdiff_t j = row->columns; j < row->places; j++) out[j] = 0;
}

/* Add what the columns hold to the sums of their channels. */
static void K(norm_fold)(const fd_norm_args *args, const K(norm_row) *row, const T *columns,
                         double *sum)
{
    ptrdiff_t C = args->C, L = args->L;
    for (ptrdiff_t image = 0; image < row->together; image++, columns += C * L)
        if (L == 1)
            for (ptrdiff_t c = 0; c < C; c++) sum[c] += (double)columns[c];
        else
            for (ptrdiff_t c = 0; c < C; c++)
                for (ptrdiff_t l = 0; l < L; l++) sum[c] += (double)columns[c * L + l];
}

/* Add some vectors of each of `height` rows, `stride` apart, to the sums of their columns. */
FD_INLINE void K(sum_block)(const K(norm_maps) *maps, ptrdiff_t begin, ptrdiff_t stride, int height,
                            const int vectors, const T *mean, T *sum, T *product, const int terms)
{
    V m[4], s[4], p[4];
#pragma GCC unroll 4
    for (int k = 0; k < vectors; k++) {
        m[k] = K(load)(mean + k * VL);
        s[k] = K(load)(sum + k * VL);
        p[k] = K(load)(product + k * VL);
    }
    for (int r = 0; r < height; r++, begin += stride) {
#pragma GCC unroll 4
        for (int k = 0; k < vectors; k++) {
            ptrdiff_t i = begin + k * VL;
            K(add_terms)(maps, i, VL, K(load)(maps->x + i), m[k], &s[k], &p[k], terms);
        }
    }
#pragma GCC unroll 4
    for (int k = 0; k < vectors; k++) {
        K(store)(sum + k * VL, s[k]);
        K(store)(product + k * VL, p[k]);
    }
}

/* The same for less than a vector of one row. */
FD_INLINE void K(sum_rest)(const K(norm_maps) *maps, ptrdiff_t i, ptrdiff_t count, const T *mean,
                           T *sum, T *product, const int terms)
{
    V m = K(load_first)(mean, count, 0), s = K(load)(sum), p = K(load)(product);
    K(add_terms)(maps, i, count, K(load_first)(maps->x + i, count, 0), m, &s, &p, terms);
    K(store)(sum, s);
    K(store)(product, p);
}

/* Add `height` rows of `columns`, from `begin` on, to the sums of their columns. */
FD_INLINE void K(sum_rows)(const K(norm_maps) *maps, ptrdiff_t begin, ptrdiff_t columns, int height,
                           const T *mean, T *sum, T *product, const int terms)
{
    ptrdiff_t j = 0;
    for (; j + 4 * VL <= columns; j += 4 * VL)
        K(sum_block)(maps, begin + j, columns, height, 4, mean + j, sum + j, product + j, terms);
    for (; j + VL <= columns; j += VL)
        K(sum_block)(maps, begin + j, columns, height, 1, mean + j, sum + j, product + j, terms);
    for (int r = 0; j < columns && r < height; r++)
        K(sum_rest)(maps, begin + r * columns + j, columns - j, mean + j, sum + j, product + j,
                    terms);
}

FD_INLINE void K(sum_images)(const fd_norm_args *args, const K(norm_maps) *maps, ptrdiff_t n0,
                             ptrdiff_t n1, double *sum, double *product, T *space, const int terms)
{
    K(norm_row) row = K(norm_row_of)(args);
    T *mean = space, *sums = mean + row.places, *products = sums + row.places;
    ptrdiff_t i = n0 * args->C * args->L, end = n1 * args->C * args->L, width = row.columns;
    K(norm_spread)(args, &row, args->mean, 1, mean);
    while (i < end) {
        ptrdiff_t stop = FD_MIN(end, i + FD_NORM_ROWS * width);
        memset(sums, 0, (size_t)row.places * 2 * sizeof(T));
        while (i < stop) {
            int height = (int)FD_MAX(FD_MIN((stop - i) / width, 8), 1);
            ptrdiff_t columns = FD_MIN(width, stop - i);
            K(sum_rows)(maps, i, columns, height, mean, sums, products, terms);
            i += height * columns;
        }
        K(norm_fold)(args, &row, sums, sum);
        K(norm_fold)(args, &row, products, product);
    }
}

/* ---- the result ---- */

FD_INLINE V K(norm_result)(const K(norm_maps) *maps, ptrdiff_t i, ptrdiff_t count,
                      const K(norm_lines) *lines, const int terms)
{
    V out = {0};
    if (terms & FD_AFFINE)
        out = (K(load_first)(maps->x + i, count, 0) - lines->mean) * lines->factor + lines->offset;
    if (terms & FD_EXTRA) out += K(extra_at)(maps, i, count, terms) * lines->scale;
    if (!(terms & FD_RELU)) return out;
    out = K(select)((K(ivec))(out >= maps->cap), (V){0} + maps->cap, out);
    return K(gated)(out, out);
}

/* Less than a vector. */
FD_INLINE void K(map_some)(const K(norm_maps) *maps, ptrdiff_t i, ptrdiff_t count,
                           const K(norm_lines) *lines, const int terms)
{
    if (count > 0)
        K(store_first)(maps->out + i, K(norm_result)(maps, i, count, lines, terms), count);
}

FD_INLINE void K(map_planes)(const fd_norm_args *args, const K(norm_maps) *maps, ptrdiff_t n0,
                             ptrdiff_t n1, ptrdiff_t c0, ptrdiff_t c1, const K(norm_line) *line,
                             const int terms)
{
    const V zero = {0};
    for (ptrdiff_t n = n1 - 1; n >= n0; n--)
        for (ptrdiff_t c = c0; c < c1; c++) {
            const K(norm_line) *own = line + c - c0;
            K(norm_lines) lines = {zero + own->mean, zero + own->factor, zero + own->offset,
                                   zero + own->scale};
            ptrdiff_t i = (n * args->C + c) * args->L, end = i + args->L;
            ptrdiff_t some = K(unaligned)(maps->out + i, args->L);
            K(map_some)(maps, i, some, &lines, terms);
            for (i += some; i + VL <= end; i += VL)
                K(write)(maps->out + i, K(norm_result)(maps, i, VL, &lines, terms), maps->stream);
            K(map_some)(maps, i, end - i, &lines, terms);
        }
}

/* Some vectors of each of `height` rows, `stride` apart; `line` is four arrays of columns. */
FD_INLINE void K(map_block)(const K(norm_maps) *maps, ptrdiff_t begin, ptrdiff_t stride, int height,
                            const int vectors, const T *line, ptrdiff_t places, const int terms)
{
    K(norm_lines) lines[4];
#pragma GCC unroll 4
    for (int k = 0; k < vectors; k++) {
        const T *at = line + k * VL;
        lines[k] = (K(norm_lines)){K(load)(at), K(load)(at + places), K(load)(at + 2 * places),
                                   K(load)(at + 3 * places)};
    }
    for (int r = 0; r < height; r++, begin += stride) {
#pragma GCC unroll 4
        for (int k = 0; k < vectors; k++) {
            ptrdiff_t i = begin + k * VL;
            K(write)(maps->out + i, K(norm_result)(maps, i, VL, &lines[k], terms), maps->stream);
        }
    }
}

FD_INLINE void K(map_rest)(const K(norm_maps) *maps, ptrdiff_t i, ptrdiff_t count, const T *line,
                           ptrdiff_t places, const int terms)
{
    K(norm_lines) lines = {K(load)(line), K(load)(line + places), K(load)(line + 2 * places),
                           K(load)(line + 3 * places)};
    K(map_some)(maps, i, count, &lines, terms);
}

FD_INLINE void K(map_rows)(const K(norm_maps) *maps, ptrdiff_t begin, ptrdiff_t columns, int height,
                           const T *line, ptrdiff_t places, const int terms)
{
    ptrdiff_t j = 0;
    for (; j + 4 * VL <= columns; j += 4 * VL)
        K(map_block)(maps, begin + j, columns, height, 4, line + j, places, terms);
    for (; j + VL <= columns; j += VL)
        K(map_block)(maps, begin + j, columns, height, 1, line + j, places, terms);
    for (int r = 0; j < columns && r < height; r++)
        K(map_rest)(maps, begin + r * columns + j, columns - j, line + j, places, terms);
}

/* From the last wide row to the first, in blocks that go forward as memory is best read. */
FD_INLINE void K(map_images)(const fd_norm_args *args, const K(norm_maps) *maps, ptrdiff_t n0,
                             ptrdiff_t n1, const T *line, const int terms)
{
    K(norm_row) row = K(norm_row_of)(args);
    ptrdiff_t begin = n0 * args->C * args->L, end = n1 * args->C * args->L, width = row.columns;
    ptrdiff_t block = FD_MAX(FD_NORM_BLOCK / width, 1) * width;
    for (ptrdiff_t stop = end, i; stop > begin; stop = i) {
        ptrdiff_t first = begin + (stop - begin - 1) / block * block;
        for (i = first; i < stop;) {
            int height = (int)FD_MAX(FD_MIN((stop - i) / width, 8), 1);
            ptrdiff_t columns = FD_MIN(width, stop - i);
            K(map_rows)(maps, i, columns, height, line, row.places, terms);
            i += height * columns;
        }
        i = first;
    }
}

/* ---- the steps, for images [n0, n1) and channels [c0, c1); rows have all channels ---- */

static K(norm_maps) K(norm_maps_of)(const fd_norm_args *args)
{
    if (args->backward)
        return (K(norm_maps)){args->x, args->dy, args->y, args->dresidual, args->dx,
                               (T)args->cap, args->stream};
    return (K(norm_maps)){args->x, args->residual, NULL, NULL, args->y, (T)args->cap,
                           args->stream};
}

/* What a thread needs: sums and constants of so many channels, or of the columns of a wide row. */
typedef struct {
    double *sum, *product;
    K(norm_line) *line;
    void *space;
} K(norm_scratch);

static int K(scratch_of)(const fd_norm_args *args, ptrdiff_t channels, K(norm_scratch) *scratch)
{
    size_t own = (size_t)channels * (2 * sizeof(double) + sizeof(K(norm_line)));
    size_t space = args->by_rows ? (size_t)K(norm_row_of)(args).places * 4 * sizeof(T)
                                 : (size_t)channels * 2 * sizeof(V);
    scratch->sum = fd_scratch(own + space);
    if (!scratch->sum) return 0;
    scratch->product = scratch->sum + channels;
    scratch->line = (K(norm_line) *)(scratch->product + channels);
    scratch->space = scratch->line + channels;
    return 1;
}

/* Let the compiler see the terms as a constant: each combination is a loop of its own. */
#define CASE(terms, CALL)                                                                         \
    case (terms): CALL(terms); break;

static void K(norm_sums)(const fd_norm_args *args, ptrdiff_t n0, ptrdiff_t n1, ptrdiff_t c0,
                         ptrdiff_t c1, double *sum, double *product, void *space)
{
    K(norm_maps) maps = K(norm_maps_of)(args);
    int terms = args->by_rows ? FD_BY_ROWS : 0;
    if (args->backward)
        terms |= FD_EXTRA | (maps.gate ? FD_GATED : 0) | (maps.kept ? FD_KEPT : 0);
    for (ptrdiff_t c = 0; c < c1 - c0; c++) sum[c] = product[c] = 0;
#define PLANES(terms) K(sum_planes)(args, &maps, n0, n1, c0, c1, sum, product, space, terms)
#define ROWS(terms) K(sum_images)(args, &maps, n0, n1, sum, product, space, terms)
    switch (terms) {
    CASE(0, PLANES)
    CASE(FD_EXTRA, PLANES)
    CASE(FD_EXTRA | FD_KEPT, PLANES)
    CASE(FD_EXTRA | FD_GATED, PLANES)
    CASE(FD_EXTRA | FD_GATED | FD_KEPT, PLANES)
    CASE(FD_BY_ROWS, ROWS)
    CASE(FD_BY_ROWS | FD_EXTRA, ROWS)
    CASE(FD_BY_ROWS | FD_EXTRA | FD_KEPT, ROWS)
    CASE(FD_BY_ROWS | FD_EXTRA | FD_GATED, ROWS)
    CASE(FD_BY_ROWS | FD_EXTRA | FD_GATED | FD_KEPT, ROWS)
    }
#undef PLANES
#undef ROWS
}

static K(norm_line) K(line_of)(const fd_norm_args *args, ptrdiff_t c)
{
    T mean = ((const T *)args->mean)[c], weight = ((const T *)args->weight)[c];
    T rstd = args->var ? 1 / (T)sqrt(((const T *)args->var)[c] + (T)args->eps)
                       : ((const T *)args->rstd)[c];
    T scale = weight * rstd;
    if (!args->backward) return (K(norm_line)){mean, scale, ((const T *)args->bias)[c], 1};
    T share = (T)(1 / (double)(args->N * args->L));
    T slope = rstd * ((const T *)args->dw)[c] * share, offset = ((const T *)args->db)[c] * share;
    return (K(norm_line)){mean, -slope * scale, -offset * scale, scale};
}

static void K(norm_map)(const fd_norm_args *args, ptrdiff_t n0, ptrdiff_t n1, ptrdiff_t c0,
                        ptrdiff_t c1, K(norm_line) *line, T *columns)
{
    K(norm_maps) maps = K(norm_maps_of)(args);
    int terms = args->by_rows ? FD_BY_ROWS : 0;
    if (!args->backward)
        terms |= FD_AFFINE | (maps.extra ? FD_EXTRA : 0) | (args->relu ? FD_RELU : 0);
    else
        terms |= FD_EXTRA | (args->training ? FD_AFFINE : 0)
               | (maps.gate && !maps.kept ? FD_GATED : 0);
    if (maps.kept) maps.extra = maps.kept;              /* which has passed the gate */
    for (ptrdiff_t c = c0; c < c1; c++) line[c - c0] = K(line_of)(args, c);
    if (args->by_rows) {
        K(norm_row) row = K(norm_row_of)(args);
        const T *field[] = {&line->mean, &line->factor, &line->offset, &line->scale};
        for (int k = 0; k < 4; k++)
            K(norm_spread)(args, &row, field[k], sizeof *line / sizeof(T),
                           columns + k * row.places);
    }
#define PLANES(terms) K(map_planes)(args, &maps, n0, n1, c0, c1, line, terms)
#define ROWS(terms) K(map_images)(args, &maps, n0, n1, columns, terms)
    switch (terms) {
    CASE(FD_AFFINE, PLANES)
    CASE(FD_AFFINE | FD_RELU, PLANES)
    CASE(FD_AFFINE | FD_EXTRA, PLANES)
    CASE(FD_AFFINE | FD_EXTRA | FD_RELU, PLANES)
    CASE(FD_AFFINE | FD_EXTRA | FD_GATED, PLANES)
    CASE(FD_EXTRA, PLANES)
    CASE(FD_EXTRA | FD_GATED, PLANES)
    CASE(FD_BY_ROWS | FD_AFFINE, ROWS)
    CASE(FD_BY_ROWS | FD_AFFINE | FD_RELU, ROWS)
    CASE(FD_BY_ROWS | FD_AFFINE | FD_EXTRA, ROWS)
    CASE(FD_BY_ROWS | FD_AFFINE | FD_EXTRA | FD_RELU, ROWS)
    CASE(FD_BY_ROWS | FD_AFFINE | FD_EXTRA | FD_GATED, ROWS)
    CASE(FD_BY_ROWS | FD_EXTRA, ROWS)
    CASE(FD_BY_ROWS | FD_EXTRA | FD_GATED, ROWS)
    }
#undef PLANES
#undef ROWS
}
#undef CASE

/* Guess the means from a few values from all over the batch; 0 where such a value is not finite. */
static void K(norm_guess)(const fd_norm_args *args, ptrdiff_t c0, ptrdiff_t c1)
{
    ptrdiff_t C = args->C, L = args->L, images = FD_MIN(args->N, 16), positions = FD_MIN(L, 4);
    T *mean = args->mean, count = (T)(images * positions);
    for (ptrdiff_t c = c0; c < c1; c++) mean[c] = 0;
    for (ptrdiff_t i = 0; i < images; i++) {
        const T *x = (const T *)args->x + i * args->N / images * C * L + (L - positions) / 2;
        if (L == 1)
            for (ptrdiff_t c = c0; c < c1; c++) mean[c] += x[c];
        else
            for (ptrdiff_t c = c0; c < c1; c++)
                for (ptrdiff_t l = 0; l < positions; l++) mean[c] += x[c * L + l];
    }
    for (ptrdiff_t c = c0; c < c1; c++) {
        T guess = mean[c] / count;
        mean[c] = guess - guess == 0 ? guess : 0;
    }
}

/* From the two sums to the statistics, or to the gradients of weight and bias. */
static void K(norm_finish)(const fd_norm_args *args, ptrdiff_t c, double sum, double product)
{
    double count = (double)(args->N * args->L), shift = sum / count;
    T *mean = args->mean, *rstd = args->rstd, *dw = args->dw, *db = args->db;
    T *running_mean = args->running_mean, *running_var = args->running_var;
    if (args->backward) {
        db[c] = (T)sum;
        dw[c] = (T)(product * rstd[c]);
        return;
    }
    double var = product / count - shift * shift;
    if (var < 0) var = 0;                               /* and NaN stays NaN */
    mean[c] = (T)(mean[c] + shift);
    rstd[c] = (T)(1 / sqrt(var + args->eps));
    if (running_mean) {
        T momentum = (T)args->momentum;
        running_mean[c] += momentum * (mean[c] - running_mean[c]);
        running_var[c] += momentum * ((T)(var * count / (count - 1)) - running_var[c]);
    }
}

/* ---- the kernels ---- */

/* All steps at once, over planes. Items: channels. Small planes go several channels at a time, as
 * many as the cache holds, so that memory is read in longer runs. */
static void K(batch_norm_by_channels)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_norm_args *args = p;
    ptrdiff_t plane = args->L * (ptrdiff_t)sizeof(T), in_cache = 262144 / (args->N * plane + 1);
    ptrdiff_t most = FD_MAX(FD_MIN(8192 / plane, in_cache), 1);
    K(norm_scratch) own;
    if (!K(scratch_of)(args, most, &own)) return;
    for (ptrdiff_t c0 = begin, c1; c0 < end; c0 = c1) {
        c1 = FD_MIN(c0 + most, end);
        if (!args->backward) K(norm_guess)(args, c0, c1);
        K(norm_sums)(args, 0, args->N, c0, c1, own.sum, own.product, own.space);
        for (ptrdiff_t c = c0; c < c1; c++)
            K(norm_finish)(args, c, own.sum[c - c0], own.product[c - c0]);
        K(norm_map)(args, 0, args->N, c0, c1, own.line, NULL);
    }
}

/* The steps one by one. Items: channels. */
static void K(batch_norm_guess)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    K(norm_guess)(p, begin, end);
}

/* Items: parts of the batch. */
static void K(batch_norm_sums)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_norm_args *args = p;
    K(norm_scratch) own;
    if (!K(scratch_of)(args, args->C, &own)) return;
    for (ptrdiff_t part = begin; part < end; part++) {
        double *sums = args->sums + part * 2 * args->C;
        K(norm_sums)(args, args->N * part / args->parts, args->N * (part + 1) / args->parts, 0,
                     args->C, sums, sums + args->C, own.space);
    }
}

/* Items: channels. */
static void K(batch_norm_finish)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_norm_args *args = p;
    for (ptrdiff_t c = begin; c < end; c++) {
        double sum = 0, product = 0;
        for (ptrdiff_t part = 0; part < args->parts; part++) {
            sum += args->sums[part * 2 * args->C + c];
            product += args->sums[(part * 2 + 1) * args->C + c];
        }
        if (args->moments) {            /* as the sums would have been, about the mean itself */
            ((T *)args->mean)[c] = ((const T *)args->moments)[c];
            product = (double)((const T *)args->moments)[args->C + c] * (double)(args->N * args->L);
        }
        K(norm_finish)(args, c, sum, product);
    }
}

/* Items: images. */
static void K(batch_norm_map)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_norm_args *args = p;
    K(norm_scratch) own;
    if (!K(scratch_of)(args, args->C, &own)) return;
    K(norm_map)(args, begin, end, 0, args->C, own.line, own.space);
}
