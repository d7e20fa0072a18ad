/* Transposing, and packing: lines copied into panels in which k runs slowest.
 *
 * A matrix is transposed VL x VL elements at a time. Each step exchanges a bit of the row's number
 * for the same bit of the column's, by two shuffles of the two rows that differ in this bit alone;
 * after log2(VL) steps rows and columns have changed places.
 */
#if !defined(__GNUC__)
#define FD_LANES 1
#elif defined(FD_IS_DOUBLE)
#define FD_LANES (FD_VBYTES / 8)
#else
#define FD_LANES (FD_VBYTES / 4)
#endif

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define FD_HAS_SHUFFLE
#endif
#endif

#define FD_2_LANES(FROM, j, bit) FROM(j, bit), FROM(j + 1, bit)
#define FD_4_LANES(FROM, j, bit) FD_2_LANES(FROM, j, bit), FD_2_LANES(FROM, j + 2, bit)
#define FD_8_LANES(FROM, j, bit) FD_4_LANES(FROM, j, bit), FD_4_LANES(FROM, j + 4, bit)
#if FD_LANES == 16
#define FD_EACH_LANE(FROM, bit) FD_8_LANES(FROM, 0, bit), FD_8_LANES(FROM, 8, bit)
#elif FD_LANES == 8
#define FD_EACH_LANE(FROM, bit) FD_8_LANES(FROM, 0, bit)
#elif FD_LANES == 4
#define FD_EACH_LANE(FROM, bit) FD_4_LANES(FROM, 0, bit)
#else
#define FD_EACH_LANE(FROM, bit) FD_2_LANES(FROM, 0, bit)
#endif
/* Where lane j of the first row comes from, and of the second: one of both one after the other. */
#define FD_FIRST(j, bit) ((j) & bit ? FD_LANES + (j) - bit : (j))
#define FD_SECOND(j, bit) ((j) & bit ? FD_LANES + (j) : (j) + bit)
#define FD_EXCHANGE(bit)                                                                          \
    _Pragma("GCC unroll 16") for (int i = 0; i < FD_LANES; i++)                                   \
        if (!(i & bit)) {                                                                         \
            V first = rows[i], second = rows[i + bit];                                            \
            rows[i] = __builtin_shufflevector(first, second, FD_EACH_LANE(FD_FIRST, bit));        \
            rows[i + bit] = __builtin_shufflevector(first, second, FD_EACH_LANE(FD_SECOND, bit)); \
        }

/* out[k, i] = in[i, k] for VL steps of k and VL lines i; lines from `lines` on are 0. */
FD_INLINE void K(transpose_block)(const T *in, ptrdiff_t in_step, ptrdiff_t lines, T *out,
                                  ptrdiff_t out_step)
{
#if defined(FD_HAS_SHUFFLE) && FD_LANES > 1
    V rows[FD_LANES];
#pragma GCC unroll 16
    for (int i = 0; i < FD_LANES; i++) {
        rows[i] = (V){0};
        if (i < lines) rows[i] = K(load)(in + i * in_step);
    }
#if FD_LANES > 8
    FD_EXCHANGE(8)
#endif
#if FD_LANES > 4
    FD_EXCHANGE(4)
#endif
#if FD_LANES > 2
    FD_EXCHANGE(2)
#endif
    FD_EXCHANGE(1)
#pragma GCC unroll 16
    for (int i = 0; i < FD_LANES; i++) K(store)(out + i * out_step, rows[i]);
#else
    for (ptrdiff_t i = 0; i < VL; i++)
        for (ptrdiff_t k = 0; k < VL; k++)
            out[k * out_step + i] = i < lines ? in[i * in_step + k] : 0;
#endif
}
#undef FD_LANES
#undef FD_HAS_SHUFFLE
#undef FD_2_LANES
#undef FD_4_LANES
#undef FD_8_LANES
#undef FD_EACH_LANE
#undef FD_FIRST
#undef FD_SECOND
#undef FD_EXCHANGE

/* out[j, i] = in[i, j]. Blocks at the edges overlap their neighbours. */
static void K(transpose)(const T *in, ptrdiff_t in_row, ptrdiff_t rows, ptrdiff_t columns, T *out,
                         ptrdiff_t out_row)
{
    if (rows < VL || columns < VL) {
        for (ptrdiff_t j = 0; j < columns; j++)
            for (ptrdiff_t i = 0; i < rows; i++) out[j * out_row + i] = in[i * in_row + j];
        return;
    }
    for (ptrdiff_t r = 0; r < rows; r += VL)
        for (ptrdiff_t c = 0; c < columns; c += VL) {
            ptrdiff_t i = FD_MIN(r, rows - VL), j = FD_MIN(c, columns - VL);
            K(transpose_block)(in + i * in_row + j, in_row, VL, out + j * out_row + i, out_row);
        }
}

/* The columns of a matrix are taken in panels of up to NR, one or two vectors. A second vector that
 * would not be whole starts earlier and overlaps the first, so that whatever is wider than a vector
 * is read and written in whole vectors, and never beyond its end. */
enum { K(NR) = 2 * FD_VBYTES / sizeof(T) };

/* Panel `i` of N columns. Where less than a vector would be left for the last one, it takes a vector
 * from the one before. */
static inline fd_range K(panel)(ptrdiff_t N, ptrdiff_t i)
{
    ptrdiff_t left = N - i * K(NR), short_of = N > K(NR) && N % K(NR) && N % K(NR) < VL ? VL : 0;
    if (left > K(NR) + short_of) return (fd_range){i * K(NR), i * K(NR) + K(NR)};
    if (left > K(NR)) return (fd_range){i * K(NR), i * K(NR) + VL};
    return (fd_range){i * K(NR) - (left < K(NR) ? short_of : 0), N};
}

static inline ptrdiff_t K(panels)(ptrdiff_t N) { return (N + K(NR) - 1) / K(NR); }

/* For kernels that pack: items are 128 bytes of columns, whatever the vectors; these are its panels. */
static inline fd_range K(panels_of_item)(ptrdiff_t N, ptrdiff_t item)
{
    ptrdiff_t each = FD_MAX(128 / (2 * FD_VBYTES), 1);
    return (fd_range){item * each, FD_MIN(item * each + each, K(panels)(N))};
}

/* Where the second vector of a panel starts. */
static inline ptrdiff_t K(second)(ptrdiff_t columns) { return FD_MAX(columns - VL, 0); }

/* How wide the panel is once it is packed. */
static inline ptrdiff_t K(packed_width)(ptrdiff_t columns) { return columns > VL ? K(NR) : VL; }

/* panel[k, i] = in[i, k] for a vector of lines i, those from `lines` on being 0. */
static void K(pack_vector)(const T *in, ptrdiff_t line_stride, ptrdiff_t k_stride, ptrdiff_t lines,
                           ptrdiff_t kb, ptrdiff_t width, T *panel)
{
    if (k_stride == 1 && kb >= VL) {
        for (ptrdiff_t k = 0; k < kb; k += VL) {
            ptrdiff_t first = FD_MIN(k, kb - VL);
            K(transpose_block)(in + first, line_stride, lines, panel + first * width, width);
        }
        return;
    }
    for (ptrdiff_t k = 0; k < kb; k++, in += k_stride, panel += width)
        for (ptrdiff_t i = 0; i < VL; i++) panel[i] = i < lines ? in[i * line_stride] : 0;
}

enum { K(AHEAD) = 16 };                 /* steps of k, for memory to answer in */

/* The same where lines lie side by side, for one or two vectors of them. Each step of k is far from
 * the one before, so what will be needed is asked for early. */
FD_INLINE void K(copy_panel)(const T *in, ptrdiff_t k_stride, ptrdiff_t second, ptrdiff_t kb,
                             const int vectors, T *panel)
{
    for (ptrdiff_t k = 0; k < kb; k++, in += k_stride, panel += vectors * VL) {
        FD_PREFETCH(in + K(AHEAD) * k_stride);
        K(store)(panel, K(load)(in));
        if (vectors == 2) {
            FD_PREFETCH(in + K(AHEAD) * k_stride + VL);
            K(store)(panel + VL, K(load)(in + second));
        }
    }
}

/* Pack a panel: k runs slowest, one of the strides is 1 or else both are slow. */
static void K(pack)(const T *in, ptrdiff_t line_stride, ptrdiff_t k_stride, ptrdiff_t columns,
                    ptrdiff_t kb, T *panel)
{
    ptrdiff_t width = K(packed_width)(columns), second = K(second)(columns);
    if (line_stride == 1 && columns > VL) {
        K(copy_panel)(in, k_stride, second, kb, 2, panel);
    } else if (line_stride == 1 && columns == VL) {
        K(copy_panel)(in, k_stride, 0, kb, 1, panel);
    } else {
        K(pack_vector)(in, line_stride, k_stride, FD_MIN(columns, VL), kb, width, panel);
        if (columns > VL)
            K(pack_vector)(in + second * line_stride, line_stride, k_stride, VL, kb, width,
                           panel + VL);
    }
}
