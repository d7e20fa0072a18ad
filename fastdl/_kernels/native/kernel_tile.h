/* The register tile: what every matrix product and every convolution spends its time in.
 *
 * A tile is a few rows of `a` times one to four vectors of columns of `b`; its sums stay in
 * registers for all of k. Each step of k loads the vectors of b and multiplies them by one number
 * of each row of a, which the processor spreads over a vector while it loads it. So `a` need not be
 * packed: its rows may lie any distance apart with k running along them (APART: the rows of a
 * matrix, the pixels of a channels-last image), or side by side with k a distance apart (ADJACENT:
 * the columns of a matrix, the taps of a weight gradient).
 *
 * k may be cut into stretches, each with its own place in a and in b: the rows of a window of
 * a convolution. With one stretch it is a matrix product.
 */

/* FD_SUMS vector registers hold sums: 28 of 32, or 12 of 16. With one vector of columns a tile may
 * have twice as many rows, but not every number of them is worth its own code. */
#define FD_ROWS 14
#define FD_TALL 28

/* What will soon be needed of an array that is in no cache. It is asked for while tiles are computed,
 * a little at each step of k: in one go, it would keep them waiting. */
typedef struct {
    const T *at;
    ptrdiff_t size;
} K(ahead);

/* Part `part` of `parts` of `size` elements. */
static inline K(ahead) K(part_ahead)(const T *at, ptrdiff_t size, ptrdiff_t part, ptrdiff_t parts)
{
    ptrdiff_t begin = size * part / parts, end = size * (part + 1) / parts;
    return (K(ahead)){at + begin, end - begin};
}

typedef struct {
    const T *a;
    ptrdiff_t a_row, a_step;            /* between rows, between steps of k: one of them is 1 */
    const T *b;
    ptrdiff_t b_step;
    ptrdiff_t b_second, out_second;     /* where the second vector of columns starts */
    const fd_stretch *stretches;
    ptrdiff_t n_stretches;
    T *out;                             /* = relu?(scale * a * b + start + bias), where gated */
    ptrdiff_t out_row;
    const T *start, *bias, *gate;       /* NULL: nothing. `start` may be `out` */
    ptrdiff_t start_row, gate_row;
    T scale;
    int relu, stream;                   /* stream: `out` is aligned, and not needed soon */
    K(ahead) ahead[2];                  /* this, then that, */
    ptrdiff_t ahead_per_row;            /* so much for each row */
    const T *fetch;                     /* by one tile, from here on, this far at each step */
    ptrdiff_t fetch_step;
} K(product);

/* Rows that lie a multiple of 2 KiB apart share a few cache sets; a distance that is off that. */
static inline ptrdiff_t K(good_pitch)(ptrdiff_t pitch)
{
    return pitch % (ptrdiff_t)(2048 / sizeof(T)) ? pitch : pitch + VL;
}

enum K(form) { K(APART), K(ADJACENT) };

/* Ask for what the end of the tile reads, unless that is `out`, which is asked for anyway. */
FD_INLINE void K(ask_for_end)(int rows, int vectors, const K(product) *p, const T *at,
                              ptrdiff_t row)
{
    if (!at || at == p->out) return;
#pragma GCC unroll 1
    for (int i = 0; i < rows; i++, at += row) {
        FD_PREFETCH(at);
        if (vectors == 2) FD_PREFETCH(at + p->out_second);
    }
}

/* Inlined with constants, or the sums leave the registers. What only the end needs is read at the
 * end, for the same reason. */
FD_INLINE void K(tile)(int rows, int vectors, enum K(form) form, const K(product) *p)
{
    const ptrdiff_t a_row = form == K(APART) ? p->a_row : 1, b_step = p->b_step;
    const ptrdiff_t a_step = form == K(APART) ? 1 : p->a_step, b_second = p->b_second;
    /* Rows within reach of one pointer: so many that there are registers for all of those. */
    const int group = form != K(APART) ? FD_TALL : rows > FD_ROWS ? 4 : 3;
    const int groups = (rows + group - 1) / group;
    const T *fetch = p->fetch;
    V sum[FD_TALL][2];
#pragma GCC unroll 28
    for (int i = 0; i < rows; i++) {
        FD_PREFETCH(p->out + i * p->out_row);
        if (vectors == 2) FD_PREFETCH(p->out + i * p->out_row + p->out_second);
        sum[i][0] = sum[i][1] = (V){0};
    }
    K(ask_for_end)(rows, vectors, p, p->start, p->start_row);
    K(ask_for_end)(rows, vectors, p, p->gate, p->gate_row);
    for (ptrdiff_t s = 0; s < p->n_stretches; s++) {
        const T *b = p->b + p->stretches[s].b * b_step, *a[7];
#pragma GCC unroll 7
        for (int g = 0; g < groups; g++) a[g] = p->a + p->stretches[s].a + g * group * a_row;
        for (ptrdiff_t k = p->stretches[s].length; k > 0; k--, b += b_step) {
            V b0 = K(load)(b), b1 = vectors == 2 ? K(load)(b + b_second) : (V){0};
#pragma GCC unroll 28
            for (int i = 0; i < rows; i++) {
                T number = a[i / group][i % group * a_row];
                sum[i][0] += number * b0;
                if (vectors == 2) sum[i][1] += number * b1;
            }
#pragma GCC unroll 7
            for (int g = 0; g < groups; g++) a[g] += a_step;
            FD_PREFETCH(fetch);
            fetch += p->fetch_step;
        }
    }
#define FOR_EACH_SUM                                                                              \
    _Pragma("GCC unroll 28") for (int i = 0; i < rows; i++)                                       \
        _Pragma("GCC unroll 2") for (int j = 0; j < vectors; j++)
    const ptrdiff_t second = p->out_second, row = p->out_row;
    const T *start = p->start, *bias = p->bias, *gate = p->gate;
    T *out = p->out;
    if (p->scale != 1) FOR_EACH_SUM sum[i][j] *= p->scale;
    if (start) FOR_EACH_SUM sum[i][j] += K(load)(start + i * p->start_row + j * second);
    if (bias) FOR_EACH_SUM sum[i][j] += K(load)(bias + j * second);
    if (p->relu) FOR_EACH_SUM sum[i][j] = K(gated)(sum[i][j], sum[i][j]);
    if (gate)
        FOR_EACH_SUM sum[i][j] = K(gated)(K(load)(gate + i * p->gate_row + j * second), sum[i][j]);
    if (p->stream)
        FOR_EACH_SUM K(stream)(out + i * row + j * second, sum[i][j]);
    else
        FOR_EACH_SUM K(store)(out + i * row + j * second, sum[i][j]);
#undef FOR_EACH_SUM
}

/* What the end of a tile does, for a row of sums that are in no tile; `start` may be `out`. */
static void K(finish)(const T *sums, const T *bias, const T *start, const T *gate, int relu,
                      ptrdiff_t count, T *out)
{
    for (ptrdiff_t i = 0; i < count; i += VL) {
        ptrdiff_t some = count - i;
        V sum = K(load_first)(sums + i, some, 0);
        if (start) sum += K(load_first)(start + i, some, 0);
        if (bias) sum += K(load_first)(bias + i, some, 0);
        if (relu) sum = K(gated)(sum, sum);
        if (gate) sum = K(gated)(K(load_first)(gate + i, some, 0), sum);
        K(store_first)(out + i, sum, some);
    }
}

#define FOR_EACH_ROWS(DO, vectors, form)                                                          \
    DO(1, vectors, form) DO(2, vectors, form) DO(3, vectors, form) DO(4, vectors, form)           \
    DO(5, vectors, form) DO(6, vectors, form) DO(7, vectors, form) DO(8, vectors, form)           \
    DO(9, vectors, form) DO(10, vectors, form) DO(11, vectors, form) DO(12, vectors, form)        \
    DO(13, vectors, form) DO(14, vectors, form) DO(28, vectors, form)
/* Sizes for which there are no registers are never called; they are made as the largest with. */
#define DEFINE_TILE(rows, vectors, form)                                                          \
    static void K(tile_##rows##_##vectors##_##form)(const K(product) *p)                          \
    {                                                                                             \
        K(tile)(FD_MIN(rows, FD_SUMS / vectors), vectors, K(form), p);                            \
    }
#define NAME_TILE(rows, vectors, form) K(tile_##rows##_##vectors##_##form),
FOR_EACH_ROWS(DEFINE_TILE, 1, APART)
FOR_EACH_ROWS(DEFINE_TILE, 2, APART)
FOR_EACH_ROWS(DEFINE_TILE, 1, ADJACENT)
FOR_EACH_ROWS(DEFINE_TILE, 2, ADJACENT)

static void (*const K(tiles)[2][2][FD_ROWS + 1])(const K(product) *) = {
    {{FOR_EACH_ROWS(NAME_TILE, 1, APART)}, {FOR_EACH_ROWS(NAME_TILE, 2, APART)}},
    {{FOR_EACH_ROWS(NAME_TILE, 1, ADJACENT)}, {FOR_EACH_ROWS(NAME_TILE, 2, ADJACENT)}},
};
#undef FOR_EACH_ROWS
#undef DEFINE_TILE
#undef NAME_TILE

/* Rows of the next tile when so many are left: even parts, since few rows are as dear as many. */
static inline ptrdiff_t K(next_rows)(ptrdiff_t rows, int vectors)
{
    ptrdiff_t most = FD_MIN(FD_SUMS / vectors, FD_ROWS);
    if (vectors == 1 && FD_SUMS >= FD_TALL && rows >= FD_TALL) return FD_TALL;
    ptrdiff_t parts = (rows + most - 1) / most;
    return (rows + parts - 1) / parts;
}

/* What the next tile, of so many rows and steps, asks for. */
static inline void K(choose_fetch)(K(product) *p, ptrdiff_t rows, ptrdiff_t steps)
{
    K(ahead) *next = &p->ahead[p->ahead[0].size == 0];
    ptrdiff_t size = FD_MIN(rows * p->ahead_per_row, next->size);
    p->fetch = size ? next->at : p->b;
    p->fetch_step = size / FD_MAX(steps, 1);
    next->at += size;
    next->size -= size;
}

static void K(multiply_columns)(K(product) p, enum K(form) form, ptrdiff_t rows, int vectors)
{
    ptrdiff_t steps = 0;
    for (ptrdiff_t s = 0; s < p.n_stretches; s++) steps += p.stretches[s].length;
    while (rows) {
        ptrdiff_t n = K(next_rows)(rows, vectors);
        K(choose_fetch)(&p, n, steps);
        K(tiles)[form][vectors - 1][FD_MIN(n, FD_ROWS + 1) - 1](&p);
        rows -= n;
        p.a += n * p.a_row;
        p.out += n * p.out_row;
        if (p.start) p.start += n * p.start_row;
        if (p.gate) p.gate += n * p.gate_row;
    }
}

/* `rows` rows of less than a vector, filled up with zeros. */
static void K(fill_up_rows)(const T *from, ptrdiff_t from_row, ptrdiff_t rows, ptrdiff_t columns,
                            T *out)
{
    K(fill)(out, rows * VL, 0);
    for (ptrdiff_t r = 0; r < rows; r++) K(copy)(out + r * VL, from + r * from_row, columns);
}

/* `p` for `rows` rows and the columns of one panel. */
static void K(multiply)(const K(product) *p, enum K(form) form, ptrdiff_t rows, ptrdiff_t columns)
{
    K(product) part = *p;
    part.out_second = K(second)(columns);
    if (columns >= VL) {
        K(multiply_columns)(part, form, rows, columns > VL ? 2 : 1);
        return;
    }
    /* Less than a vector: work on a copy that is one. (A packed b is one already.) */
    T copy[FD_TALL * FD_VBYTES / sizeof(T)], gate[FD_TALL * FD_VBYTES / sizeof(T)];
    T bias[FD_VBYTES / sizeof(T)];
    part.out = copy;
    part.out_row = VL;
    if (p->bias) {
        K(fill_up_rows)(p->bias, 0, 1, columns, bias);
        part.bias = bias;
    }
    for (ptrdiff_t i = 0, n; i < rows; i += n) {
        n = FD_MIN(rows - i, FD_TALL);
        if (p->start) {
            K(fill_up_rows)(p->start + i * p->start_row, p->start_row, n, columns, copy);
            part.start = copy;
            part.start_row = VL;
        }
        if (p->gate) {
            K(fill_up_rows)(p->gate + i * p->gate_row, p->gate_row, n, columns, gate);
            part.gate = gate;
            part.gate_row = VL;
        }
        part.a = p->a + i * p->a_row;
        K(multiply_columns)(part, form, n, 1);
        for (ptrdiff_t r = 0; r < n; r++)
            K(copy)(p->out + (i + r) * p->out_row, copy + r * VL, columns);
    }
}
