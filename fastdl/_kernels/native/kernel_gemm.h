/* Matrix product: packed, cache-blocked, register-tiled (Goto & van de Geijn, 2008).
 *
 * A block of `a` is copied into panels of MR rows, a block of `b` into panels of NR columns, both
 * with k running slowest, so that the tile kernel reads two streams. The tile of MR x NR sums
 * stays in registers: MR * 2 vectors. Convolution feeds the same kernel with other packers.
 */
#include "window.h"

#define MR FD_MR
#define NR (2 * VL)

enum {
    K(KC) = 256,                                    /* a panel of b, KC x NR, stays in L1 */
    K(MC) = FD_MR * 12,                             /* a block of a, MC x KC, stays in L2 */
    K(NC) = 2048 / sizeof(T),                       /* and with it a block of b, KC x NC */
};

/* out[MR x NR] += a panel * b panel. */
static void K(tile)(ptrdiff_t kb, const T *a, const T *b, T *out, ptrdiff_t ld)
{
    V sum[MR][2];
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++) sum[i][0] = sum[i][1] = (V){0};
    for (ptrdiff_t k = 0; k < kb; k++, a += MR, b += NR) {
        V b0 = K(load)(b), b1 = K(load)(b + VL);
#pragma GCC unroll 16
        for (int i = 0; i < MR; i++) {
            sum[i][0] += a[i] * b0;
            sum[i][1] += a[i] * b1;
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++, out += ld) {
        K(store)(out, K(load)(out) + sum[i][0]);
        K(store)(out + VL, K(load)(out + VL) + sum[i][1]);
    }
}

/* out[rows x columns] += packed a * packed b. */
static void K(multiply)(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t kb, const T *a, const T *b,
                        T *out, ptrdiff_t ld)
{
    for (ptrdiff_t j = 0; j < columns; j += NR) {
        for (ptrdiff_t i = 0; i < rows; i += MR) {
            T *corner = out + i * ld + j;
            ptrdiff_t height = FD_MIN(rows - i, MR), width = FD_MIN(columns - j, NR);
            if (height == MR && width == NR) {
                K(tile)(kb, a + i * kb, b + j * kb, corner, ld);
                continue;
            }
            T edge[MR * 2 * FD_VBYTES / sizeof(T)] = {0};
            K(tile)(kb, a + i * kb, b + j * kb, edge, NR);
            for (ptrdiff_t r = 0; r < height; r++)
                for (ptrdiff_t c = 0; c < width; c++) corner[r * ld + c] += edge[r * NR + c];
        }
    }
}

/* Copy `count` lines of `kb` elements into panels of `width` lines, the last filled up with 0. */
static void K(pack)(const T *source, ptrdiff_t line_stride, ptrdiff_t k_stride, ptrdiff_t count,
                    ptrdiff_t kb, ptrdiff_t width, T scale, T *panel)
{
    for (ptrdiff_t first = 0; first < count; first += width, panel += width * kb) {
        const T *lines = source + first * line_stride;
        ptrdiff_t lines_here = FD_MIN(count - first, width);
        if (lines_here < width) memset(panel, 0, (size_t)(width * kb) * sizeof(T));
        if (line_stride == 1) {
            for (ptrdiff_t k = 0; k < kb; k++)
                for (ptrdiff_t i = 0; i < lines_here; i++)
                    panel[k * width + i] = scale * lines[k * k_stride + i];
        } else {
            for (ptrdiff_t i = 0; i < lines_here; i++)
                for (ptrdiff_t k = 0; k < kb; k++)
                    panel[k * width + i] = scale * lines[i * line_stride + k * k_stride];
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
                K(multiply)(mb, nb, kb, packed_a, packed_b, out + i * args->N + j, args->N);
            }
        }
    }
}

/* Items: cells of the grid over `out`. */
static void K(gemm)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_gemm_args *args = p;
    T *packed_a = fd_scratch((K(MC) + K(NC)) * K(KC) * sizeof(T));
    if (!packed_a) return;
    for (ptrdiff_t cell = begin; cell < end; cell++)
        K(gemm_cell)(args, fd_part(args->M, MR, args->grid_m, cell / args->grid_n),
                     fd_part(args->N, NR, args->grid_n, cell % args->grid_n), packed_a,
                     packed_a + K(MC) * K(KC));
}
