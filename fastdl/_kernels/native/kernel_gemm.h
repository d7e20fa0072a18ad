/* Matrix product: packed, cache-blocked, register-tiled (Goto & van de Geijn, 2008).
 *
 * A block of `a` is copied into panels of MR rows, a block of `b` into panels of NR columns, both
 * with k running slowest, so that the tile kernel reads two streams. The tile of MR x NR sums
 * stays in registers: MR * 2 vectors. Convolution feeds the same kernel with other packers.
 */
#include "window.h"
#include "kernel_pack.h"

#define MR FD_MR
#define NR (2 * VL)

enum {
    K(KC) = 256,                                    /* a panel of b, KC x NR, stays in L1 */
    K(MC) = FD_MR * 12,                             /* a block of a, MC x KC, stays in L2 */
    K(NC) = 2048 / sizeof(T),                       /* and with it a block of b, KC x NC */
    K(PACKED_A) = K(MC) * K(KC) + FD_VBYTES / sizeof(T),    /* what `pack` fills, in elements */
    K(PACKED_B) = K(NC) * K(KC) + FD_VBYTES / sizeof(T),
};

/* How `a` lies: in panels of MR rows with k slowest, or in lines of LINE elements along k, which
 * costs no transposition. LINE is a constant: the tile's rows are then fixed offsets. */
enum K(layout) { K(PANELS), K(LINES) };

enum { K(LINE) = K(KC) + FD_VBYTES / sizeof(T) };   /* no power of two: those share cache sets */

/* out[height x vectors * VL] += a * b. Inlined with constants, or the sums leave the registers. */
FD_INLINE void K(tile)(int height, int vectors, enum K(layout) layout, ptrdiff_t kb, const T *a,
                       const T *b, T *out, ptrdiff_t ld)
{
    ptrdiff_t a_row = layout == K(LINES) ? K(LINE) : 1, a_k = layout == K(LINES) ? 1 : MR;
    V sum[MR][2];
#pragma GCC unroll 16
    for (int i = 0; i < height; i++) sum[i][0] = sum[i][1] = (V){0};
    for (ptrdiff_t k = 0; k < kb; k++, a += a_k, b += NR) {
        V b0 = K(load)(b), b1 = vectors == 2 ? K(load)(b + VL) : (V){0};
#pragma GCC unroll 16
        for (int i = 0; i < height; i++) {
            sum[i][0] += a[i * a_row] * b0;
            if (vectors == 2) sum[i][1] += a[i * a_row] * b1;
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < height; i++, out += ld) {
        K(store)(out, K(load)(out) + sum[i][0]);
        if (vectors == 2) K(store)(out + VL, K(load)(out + VL) + sum[i][1]);
    }
}

/* Tiles of 4, 8, 12 and MR rows, so that few rows do not cost as much as many. */
#define TILE_STEP 4
#define FOR_EACH_TILE(DO, vectors, layout)                                                        \
    DO(4, vectors, layout) DO(8, vectors, layout) DO(12, vectors, layout) DO(16, vectors, layout)
#define DEFINE_TILE(height, vectors, layout)                                                      \
    static void K(tile_##height##_##vectors##_##layout)(ptrdiff_t kb, const T *a, const T *b,     \
                                                        T *out, ptrdiff_t ld)                     \
    {                                                                                             \
        K(tile)(FD_MIN(height, MR), vectors, K(layout), kb, a, b, out, ld);                       \
    }
#define NAME_TILE(height, vectors, layout) K(tile_##height##_##vectors##_##layout),
FOR_EACH_TILE(DEFINE_TILE, 1, PANELS)
FOR_EACH_TILE(DEFINE_TILE, 2, PANELS)
FOR_EACH_TILE(DEFINE_TILE, 1, LINES)
FOR_EACH_TILE(DEFINE_TILE, 2, LINES)

static void (*const K(tiles)[2][2][4])(ptrdiff_t, const T *, const T *, T *, ptrdiff_t) = {
    {{FOR_EACH_TILE(NAME_TILE, 1, PANELS)}, {FOR_EACH_TILE(NAME_TILE, 2, PANELS)}},
    {{FOR_EACH_TILE(NAME_TILE, 1, LINES)}, {FOR_EACH_TILE(NAME_TILE, 2, LINES)}},
};
#undef FOR_EACH_TILE
#undef DEFINE_TILE
#undef NAME_TILE

/* Rows of the tile that `rows` rows are left to. */
static inline ptrdiff_t K(tile_rows)(ptrdiff_t rows)
{
    return FD_MIN(fd_round_up(rows, TILE_STEP), MR);
}

/* `rows` filled up to whole tiles: with that many, and whole vectors, `multiply` has no edges. */
static inline ptrdiff_t K(whole_tiles)(ptrdiff_t rows)
{
    return rows / MR * MR + K(tile_rows)(rows % MR);
}

/* out[rows x columns] += a * packed b. */
static void K(multiply)(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t kb, const T *a,
                        enum K(layout) layout, const T *b, T *out, ptrdiff_t ld)
{
    for (ptrdiff_t j = 0; j < columns; j += NR) {
        int vectors = columns - j > VL ? 2 : 1;
        for (ptrdiff_t i = 0; i < rows; i += MR) {
            const T *a_tile = a + i * (layout == K(LINES) ? (ptrdiff_t)K(LINE) : kb);
            const T *b_panel = b + j * kb;
            T *corner = out + i * ld + j;
            ptrdiff_t height = K(tile_rows)(rows - i), width = vectors * VL;
            int size = (int)((height - 1) / TILE_STEP);
            if (height <= rows - i && width <= columns - j) {
                K(tiles)[layout][vectors - 1][size](kb, a_tile, b_panel, corner, ld);
                continue;
            }
            T edge[MR * 2 * FD_VBYTES / sizeof(T)] = {0};
            K(tiles)[layout][vectors - 1][size](kb, a_tile, b_panel, edge, NR);
            height = FD_MIN(height, rows - i);
            width = FD_MIN(width, columns - j);
            for (ptrdiff_t r = 0; r < height; r++)
                for (ptrdiff_t c = 0; c < width; c++) corner[r * ld + c] += edge[r * NR + c];
        }
    }
}

/* out = beta * out + bias, before the products are added. */
static void K(prepare)(T *out, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t columns, T beta,
                       const T *bias)
{
    for (ptrdiff_t i = 0; i < rows; i++, out += ld) {
        if (beta == 0)
            memset(out, 0, (size_t)columns * sizeof(T));
        else if (beta != 1)
            for (ptrdiff_t j = 0; j < columns; j++) out[j] *= beta;
        if (bias)
            for (ptrdiff_t j = 0; j < columns; j++) out[j] += bias[j];
    }
}

static void K(gemm_cell)(const fd_gemm_args *args, fd_range rows, fd_range columns, T *packed_a,
                         T *packed_b)
{
    ptrdiff_t a_row = args->trans_a ? 1 : args->K, a_k = args->trans_a ? args->M : 1;
    ptrdiff_t b_column = args->trans_b ? args->K : 1, b_k = args->trans_b ? 1 : args->N;
    const T *a = args->a, *b = args->b, *bias = args->bias;
    T *out = args->out;
    for (ptrdiff_t j = columns.begin; j < columns.end; j += K(NC)) {
        ptrdiff_t nb = FD_MIN(columns.end - j, K(NC));
        K(prepare)(out + rows.begin * args->N + j, args->N, rows.end - rows.begin, nb,
                   (T)args->beta, bias ? bias + j : NULL);
        for (ptrdiff_t k = 0; k < args->K; k += K(KC)) {
            ptrdiff_t kb = FD_MIN(args->K - k, K(KC));
            K(pack)(b + j * b_column + k * b_k, b_column, b_k, nb, kb, NR, 1, packed_b);
            for (ptrdiff_t i = rows.begin; i < rows.end; i += K(MC)) {
                ptrdiff_t mb = FD_MIN(rows.end - i, K(MC));
                K(pack)(a + i * a_row + k * a_k, a_row, a_k, mb, kb, MR, (T)args->alpha, packed_a);
                K(multiply)(mb, nb, kb, packed_a, K(PANELS), packed_b, out + i * args->N + j,
                            args->N);
            }
        }
    }
}

/* Items: cells of the grid over `out`. */
static void K(gemm)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_gemm_args *args = p;
    T *packed_a = fd_scratch((K(PACKED_A) + K(PACKED_B)) * sizeof(T));
    if (!packed_a) return;
    for (ptrdiff_t cell = begin; cell < end; cell++)
        K(gemm_cell)(args, fd_part(args->M, MR, args->grid_m, cell / args->grid_n),
                     fd_part(args->N, NR, args->grid_n, cell % args->grid_n), packed_a,
                     packed_a + K(PACKED_A));
}
