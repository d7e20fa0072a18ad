/* im2col and col2im. The values of one tap at neighbouring output pixels lie side by side in x, so
 * lines of taps are copied or added run by run. Where the rows of `col` are pixels, a
 * block of taps times pixels goes through scratch and is transposed there. */

/* What tap (kh, kw) of a plane reads at `rows` rows of outputs from row `oh` on. */
static void K(copy_tap)(const fd_window *w, const T *plane, ptrdiff_t kh, ptrdiff_t kw,
                        ptrdiff_t oh, ptrdiff_t rows, T *line)
{
    fd_range in = fd_inside(w->OW, w->SW, kw * w->DW - w->PW, w->W);
    ptrdiff_t h = oh * w->SH - w->PH + kh * w->DH, shift = kw * w->DW - w->PW;
    for (; rows > 0; rows--, h += w->SH, line += w->OW) {
        if (h < 0 || h >= w->H) {
            K(fill)(line, w->OW, 0);
            continue;
        }
        K(fill)(line, in.begin, 0);
        if (in.begin < in.end)
            K(copy_strided)(line + in.begin, plane + h * w->W + shift + in.begin * w->SW,
                            in.end - in.begin, w->SW);
        K(fill)(line + in.end, w->OW - in.end, 0);
    }
}

/* The way back: add the line to the cells it was read from. */
static void K(add_tap)(const fd_window *w, T *plane, ptrdiff_t kh, ptrdiff_t kw, ptrdiff_t oh,
                       ptrdiff_t rows, const T *line)
{
    fd_range in = fd_inside(w->OW, w->SW, kw * w->DW - w->PW, w->W);
    ptrdiff_t h = oh * w->SH - w->PH + kh * w->DH, shift = kw * w->DW - w->PW;
    for (; rows > 0; rows--, h += w->SH, line += w->OW) {
        if (h < 0 || h >= w->H || in.begin == in.end) continue;
        T *__restrict__ to = plane + h * w->W + shift + in.begin * w->SW;
        const T *__restrict__ from = line + in.begin;
        ptrdiff_t count = in.end - in.begin;
        if (w->SW == 1)
            for (ptrdiff_t i = 0; i < count; i++) to[i] += from[i];
        else
            for (ptrdiff_t i = 0; i < count; i++) to[i * w->SW] += from[i];
    }
}

/* ---- rows of pixels: blocks of taps times pixels ---- */

typedef struct {
    ptrdiff_t rows, pixels;             /* of outputs at once */
    ptrdiff_t taps;                     /* at once */
} K(col_block);

FD_INLINE size_t K(col_block_bytes)(const K(col_block) *block)
{
    return (size_t)(block->taps * (block->pixels + VL)) * sizeof(T);
}

static K(col_block) K(choose_col_block)(const fd_window *w)
{
    K(col_block) block;
    block.rows = FD_MAX(FD_MIN(256 / FD_MAX(w->OW, 1), w->OH), 1);
    block.pixels = block.rows * w->OW;
    block.taps = 262144 / (ptrdiff_t)sizeof(T) / FD_MAX(block.pixels, 1) / VL * VL;     /* in L2 */
    block.taps = FD_MIN(FD_MAX(block.taps, VL), w->C * w->KH * w->KW);
    return block;
}

/* `rows` rows of outputs of one image, from row `row` through all images on. */
static void K(rows_of_pixels)(const fd_im2col_args *args, const K(col_block) *block, ptrdiff_t row,
                              ptrdiff_t rows, T *space)
{
    const fd_window *w = &args->window;
    const T *x = (const T *)args->source + row / w->OH * w->C * w->H * w->W;
    ptrdiff_t taps = w->C * w->KH * w->KW, pixels = rows * w->OW;
    T *col = (T *)args->target + row * w->OW * taps;
    for (ptrdiff_t first = 0, count; first < taps; first += count) {
        count = FD_MIN(block->taps, taps - first);
        fd_tap tap = fd_tap_at(first, w->KH, w->KW);
        for (ptrdiff_t t = 0; t < count; t++, fd_next_tap(&tap, w->KH, w->KW))
            K(copy_tap)(w, x + tap.c * w->H * w->W, tap.kh, tap.kw, row % w->OH, rows,
                        space + t * pixels);
        /* A few pixels after another, so that `col` is written in its own order. */
        for (ptrdiff_t i = 0; i < pixels; i += VL) {
            ptrdiff_t some = FD_MIN(pixels, VL), at = FD_MIN(i, pixels - some);
            T *to = col + at * taps + first, *tile = space + block->taps * block->pixels;
            K(transpose)(space + at, pixels, count, some, args->stream ? tile : to,
                         args->stream ? count : taps);
            for (ptrdiff_t p = 0; args->stream && p < some; p++)
                K(copy_out)(to + p * taps, tile + p * count, count);
        }
    }
}

/* ---- lines of pixels ---- */

/* What tap `line` of all planes reads, line number `line` of `col`; by way of a short piece if it
 * is to be written past the caches. */
static void K(line_of_tap)(const fd_im2col_args *args, const K(col_block) *block, ptrdiff_t line,
                           T *space)
{
    const fd_window *w = &args->window;
    ptrdiff_t window = w->KH * w->KW, rows = args->stream ? block->rows : w->OH;
    const T *plane = (const T *)args->source + line / window * w->H * w->W;
    for (ptrdiff_t oh = 0; oh < w->OH; oh += rows) {
        T *to = (T *)args->target + (line * w->OH + oh) * w->OW;
        rows = FD_MIN(rows, w->OH - oh);
        K(copy_tap)(w, plane, line % window / w->KW, line % w->KW, oh, rows,
                    args->stream ? space : to);
        if (args->stream) K(copy_out)(to, space, rows * w->OW);
    }
}

/* Items: rows of output pixels (transpose), or lines of `col` (not). */
static void K(im2col)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_im2col_args *args = p;
    const fd_window *w = &args->window;
    K(col_block) block = K(choose_col_block)(w);
    T *space = fd_scratch(K(col_block_bytes)(&block));
    if (!space) return;
    if (!args->transpose) {
        for (ptrdiff_t i = begin; i < end; i++) K(line_of_tap)(args, &block, i, space);
        return;
    }
    for (ptrdiff_t row = begin, rows; row < end; row += rows) {
        rows = FD_MIN(FD_MIN(block.rows, w->OH - row % w->OH), end - row);
        K(rows_of_pixels)(args, &block, row, rows, space);
    }
}

/* Items: planes of x; each adds up its own, so no two threads meet. */
static void K(col2im)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_im2col_args *args = p;
    const fd_window *w = &args->window;
    ptrdiff_t window = w->KH * w->KW, taps = w->C * window, pixels = w->OH * w->OW;
    ptrdiff_t plane = w->H * w->W;
    const T *col = args->source;
    T *x = args->target;
    memset(x + begin * plane, 0, (size_t)((end - begin) * plane) * sizeof(T));
    if (!args->transpose) {
        for (ptrdiff_t i = begin * window; i < end * window; i++)
            K(add_tap)(w, x + i / window * plane, i % window / w->KW, i % w->KW, 0, w->OH,
                       col + i * pixels);
        return;
    }
    K(col_block) block = K(choose_col_block)(w);
    T *space = fd_scratch(K(col_block_bytes)(&block));
    if (!space) return;
    /* Neighbouring planes of one image together: their taps are neighbours in a row of `col`. */
    for (ptrdiff_t i = begin, planes; i < end; i += planes) {
        ptrdiff_t n = i / w->C, c = i % w->C, stop = FD_MIN(w->C - c, end - i) * window;
        planes = stop / window;
        for (ptrdiff_t oh = 0, rows; oh < w->OH; oh += rows) {
            rows = FD_MIN(block.rows, w->OH - oh);
            const T *from = col + (n * pixels + oh * w->OW) * taps + c * window;
            for (ptrdiff_t first = 0, count; first < stop; first += count) {
                count = FD_MIN(block.taps, stop - first);
                K(transpose)(from + first, taps, rows * w->OW, count, space, rows * w->OW);
                fd_tap tap = fd_tap_at(first, w->KH, w->KW);
                for (ptrdiff_t t = 0; t < count; t++, fd_next_tap(&tap, w->KH, w->KW))
                    K(add_tap)(w, x + (i + tap.c) * plane, tap.kh, tap.kw, oh, rows,
                               space + t * rows * w->OW);
            }
        }
    }
}
