/* Matrix product: cache-blocked, register-tiled (Goto & van de Geijn, 2008).
 *
 * A block of b is copied into panels of NR columns in which k runs slowest, if it is transposed or
 * many rows meet it; a block of a, if many columns meet it and it is transposed or its rows share
 * cache sets.
 * The tile (kernel_tile.h) does the rest, and finishes what it stores: bias, the old `out`, ReLU, a
 * gate.
 */

enum {
    K(KC) = 4096 / sizeof(T),           /* a panel of b, KC x NR, */
    K(MC) = FD_ROWS * 9,                /* and a block of a, MC x KC, stay in L2 */
    K(NC) = 1024,                       /* a block of b, KC x NC, in L3 */
    K(LINE) = K(KC) + FD_VBYTES / sizeof(T),    /* a row of packed a; no power of two */
    K(PACKED_A) = (K(MC) + FD_ROWS) * K(LINE),
    K(PACKED_B) = (K(NC) + K(NR)) * K(KC),
    K(FEW_COLUMNS) = 512 / sizeof(T),
};

/* A matrix in memory: where one row or column ends and the next begins. */
typedef struct {
    const T *at;
    ptrdiff_t row, column;              /* distances; one of them is 1 */
} K(matrix);

static inline K(matrix) K(part_of)(K(matrix) m, ptrdiff_t row, ptrdiff_t column)
{
    m.at += row * m.row + column * m.column;
    return m;
}

/* Rows of a for kb steps of k: as they lie, or copied, rows as lines, columns as panels. */
static K(matrix) K(block_of)(K(matrix) a, ptrdiff_t rows, ptrdiff_t kb, int few_columns, T *space)
{
    if (few_columns || (a.column == 1 && K(good_pitch)(a.row) == a.row)) return a;
    if (a.column == 1) {
        for (ptrdiff_t i = 0; i < rows; i++) K(copy)(space + i * K(LINE), a.at + i * a.row, kb);
        return (K(matrix)){space, K(LINE), 1};
    }
    ptrdiff_t most = K(MC) + FD_ROWS;
    for (ptrdiff_t k = 0; k < kb; k++) K(copy)(space + k * most, a.at + k * a.column, rows);
    return (K(matrix)){space, 1, most};
}

/* Scale what the product is added to. */
static void K(scale_rows)(T *out, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t columns, T beta)
{
    for (ptrdiff_t i = 0; i < rows; i++, out += ld)
        for (ptrdiff_t j = 0; j < columns; j++) out[j] *= beta;
}

/* Where the columns from `j` on of a b that is packed as a whole have their steps of k. */
static inline T *K(packed_at)(const fd_gemm_args *args, ptrdiff_t k, ptrdiff_t kb, ptrdiff_t j)
{
    return (T *)args->packed + k * fd_round_up(args->N, K(NR)) + j * kb;
}

/* Items: 128 bytes of columns of b. For several cells one above the other, which would all pack the same. */
static void K(gemm_pack)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_gemm_args *args = p;
    ptrdiff_t line = args->trans_b ? args->b_row : 1, step = args->trans_b ? 1 : args->b_row;
    fd_range panels = {K(panels_of_item)(args->N, begin).begin,
                       K(panels_of_item)(args->N, end - 1).end};
    for (ptrdiff_t i = panels.begin; i < panels.end; i++)
        for (ptrdiff_t k = 0, kb; k < args->K; k += kb) {
            fd_range panel = K(panel)(args->N, i);
            kb = FD_MIN(args->K - k, K(KC));
            K(pack)((const T *)args->b + panel.begin * line + k * step, line, step,
                    panel.end - panel.begin, kb, K(packed_at)(args, k, kb, panel.begin));
        }
}

/* b for these columns and steps of k, packed or as it lies, as the tile takes it. */
static void K(find_panel)(K(matrix) b, ptrdiff_t columns, ptrdiff_t kb, int ready,
                          const T *packed, T *space, K(product) *p)
{
    p->b = packed ? packed : space;
    p->b_step = K(packed_width)(columns);
    p->b_second = VL;
    if (packed) return;
    if (ready && columns >= VL) {
        p->b = b.at;
        p->b_step = b.row;
        p->b_second = K(second)(columns);
    } else
        K(pack)(b.at, b.column, b.row, columns, kb, space);
}

static void K(gemm_cell)(const fd_gemm_args *args, fd_range rows, fd_range columns, ptrdiff_t slot,
                         T *space_a, T *space_b)
{
    K(matrix) a = {args->a, args->trans_a ? 1 : args->a_row, args->trans_a ? args->a_row : 1};
    K(matrix) b = {args->b, args->trans_b ? 1 : args->b_row, args->trans_b ? args->b_row : 1};
    ptrdiff_t M = rows.end - rows.begin, N = columns.end - columns.begin;
    T *out = (T *)args->out + rows.begin * args->out_row + columns.begin;
    const T *bias = args->bias ? (const T *)args->bias + columns.begin : NULL;
    int ready = fd_b_lies_ready(args, M, sizeof(T)), few_columns = N <= K(FEW_COLUMNS);
    int next_follows = a.column == 1 && a.row == args->K && args->K <= K(KC);
    a = K(part_of)(a, rows.begin, 0);
    b = K(part_of)(b, 0, columns.begin);
    const T *start = args->start;
    if (start) start += out - (T *)args->out;
    const T *gate = args->gate;
    if (gate) gate += rows.begin * args->gate_row + columns.begin;
    /* What tiles read at their end, unless that is `out`, has whole rows that follow each other. */
    const T *reads = gate ? gate : start != out ? start : NULL;
    if ((gate ? args->gate_row : args->out_row) != args->N || N != args->N) reads = NULL;
    int stream = args->stream && start != out && args->K <= K(KC) && N % VL == 0
        && args->out_row % VL == 0 && (uintptr_t)out % FD_VBYTES == 0;
    if (start == out && args->beta != 1)
        K(scale_rows)(out, args->out_row, M, N, (T)args->beta);
    for (ptrdiff_t j = 0, nb; j < N; j += nb) {
        nb = N - j < K(NC) + K(NR) ? N - j : K(NC);
        ptrdiff_t k = 0, kb, panels = K(panels)(nb);
        do {                            /* once at least: K may be 0 */
            kb = FD_MIN(args->K - k, K(KC));
            fd_stretch all = {0, 0, kb};
            K(product) product[K(NC) / K(NR) + 1];
            for (ptrdiff_t n = 0; n < panels; n++) {
                fd_range panel = K(panel)(nb, n);
                ptrdiff_t column = j + panel.begin;
                product[n] = (K(product)){
                    .stretches = &all, .n_stretches = 1, .out = out + column,
                    .out_row = args->out_row, .start_row = args->out_row,
                    .start = k ? out + column : start ? start + column : NULL,
                    .bias = k || !bias ? NULL : bias + column,
                    .gate = gate && k + kb == args->K ? gate + column : NULL,
                    .gate_row = args->gate_row,
                    .scale = (T)args->alpha, .relu = args->relu && k + kb == args->K, .stream = stream};
                K(find_panel)(K(part_of)(b, k, column), panel.end - panel.begin, kb, ready,
                              args->packed ? K(packed_at)(args, k, kb, columns.begin + column)
                                           : NULL,
                              space_b + panel.begin * kb, &product[n]);
            }
            for (ptrdiff_t i = 0, mb; i < M; i += mb) {
                mb = M - i < K(MC) + FD_ROWS ? M - i : K(MC);   /* no few rows are left over */
                K(matrix) block = K(block_of)(K(part_of)(a, i, k), mb, kb, few_columns, space_a);
                for (ptrdiff_t n = 0; n < panels; n++) {
                    fd_range panel = K(panel)(nb, n);
                    K(product) p = product[n];
                    if (next_follows) {
                        const T *next = K(part_of)(a, i + mb, 0).at;
                        p.ahead[0] = K(part_ahead)(next, mb * kb, n, panels);
                    }
                    if (reads)
                        p.ahead[1] = K(part_ahead)(reads + (i + mb) * N + j, mb * nb, n, panels);
                    p.ahead_per_row = (p.ahead[0].size + p.ahead[1].size) / mb + 1;
                    p.a = block.at;
                    p.a_row = block.row;
                    p.a_step = block.column;
                    p.out += i * args->out_row;
                    if (p.start) p.start += i * args->out_row;
                    if (p.gate) p.gate += i * args->gate_row;
                    K(multiply)(&p, block.column == 1 ? K(APART) : K(ADJACENT), mb,
                                panel.end - panel.begin);
                }
                if (args->moments && k + kb == args->K)
                    K(take_moments)(args->moments, slot, out - columns.begin + i * args->out_row, mb,
                                    args->out_row, (fd_range){columns.begin + j, columns.begin + j + nb});
            }
            k += kb;
        } while (k < args->K);
    }
}

/* Items: cells of the grid over `out`. */
static void K(gemm)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_gemm_args *args = p;
    T *space = fd_scratch((K(PACKED_A) + K(PACKED_B)) * sizeof(T));
    if (!space) return;
    for (ptrdiff_t cell = begin; cell < end; cell++) {
        fd_range rows = fd_part(args->M, 1, args->grid_m, cell / args->grid_n);
        fd_range columns = fd_part(args->N, K(NR), args->grid_n, cell % args->grid_n);
        if (rows.begin < rows.end && columns.begin < columns.end)
            K(gemm_cell)(args, rows, columns, cell / args->grid_n, space, space + K(PACKED_A));
    }
}
