/* im2col and col2im. The values of one tap at neighbouring output pixels lie side by side in x, so
 * lines of taps are copied or added run by run. Where the rows of `col` are pixels, blocks of taps
 * times pixels are transposed. */

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

/* ---- blocks of rows of outputs and of taps ---- */

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

/* ---- rows of pixels ---- */

/* A row of outputs reads a line of x for each channel and each row of the window. Those of some
 * channels are laid out with their padding, the cells sorted by their place modulo stride: what a
 * tap reads at neighbouring pixels lies side by side then. Blocks of as many taps as pixels are
 * transposed from there, into a few rows of `col`. */
typedef struct {
    ptrdiff_t channels, taps;           /* at once */
    ptrdiff_t places, line;             /* modulo stride; cells of each */
    T *lines, *rows;
    ptrdiff_t *offset;                  /* of what a tap reads at the first pixel, in the lines */
} K(line_block);

FD_INLINE int K(prepare_lines)(const fd_window *w, K(line_block) *block)
{
    ptrdiff_t window = w->KH * w->KW, reach = (w->KW - 1) * w->DW;
    /* Rows stay in L1. Whole vectors of channels have whole vectors of taps. */
    block->channels = FD_MIN(FD_MAX(256 / window / VL * VL, VL), w->C);
    block->taps = block->channels * window;
    block->places = FD_MIN(w->SW, reach + 1);
    block->line = w->OW + reach / w->SW;
    ptrdiff_t cells = block->channels * w->KH * block->places * block->line + VL;
    ptrdiff_t rows = VL * FD_MAX(block->taps, VL);
    char *memory = fd_scratch((size_t)(rows + cells) * sizeof(T)
                              + (size_t)(block->taps + VL) * sizeof(ptrdiff_t));
    if (!memory) return 0;
    block->rows = (T *)memory;
    block->offset = (ptrdiff_t *)(block->rows + rows);
    block->lines = (T *)(block->offset + block->taps + VL);
    for (ptrdiff_t t = 0; t < block->taps; t++) {
        ptrdiff_t kw = t % w->KW * w->DW, line = t / w->KW;
        block->offset[t] = (line * block->places + kw % w->SW) * block->line + kw / w->SW;
    }
    for (ptrdiff_t t = block->taps; t < block->taps + VL; t++) block->offset[t] = 0;
    return 1;
}

/* The lines of channels from `c` on, for row `oh` of the outputs. */
static void K(lay_out_lines)(const fd_window *w, const K(line_block) *block, const T *image,
                             ptrdiff_t c, ptrdiff_t channels, ptrdiff_t oh)
{
    for (ptrdiff_t place = 0; place < block->places; place++) {
        fd_range in = fd_inside(block->line, w->SW, place - w->PW, w->W);
        ptrdiff_t from = in.begin * w->SW + place - w->PW;
        for (ptrdiff_t i = 0; i < channels; i++)
            for (ptrdiff_t kh = 0; kh < w->KH; kh++) {
                ptrdiff_t h = oh * w->SH - w->PH + kh * w->DH;
                T *line = block->lines + ((i * w->KH + kh) * block->places + place) * block->line;
                if (h < 0 || h >= w->H || in.begin >= in.end) {
                    K(fill)(line, block->line, 0);
                    continue;
                }
                K(fill)(line, in.begin, 0);
                K(copy_strided)(line + in.begin, image + ((c + i) * w->H + h) * w->W + from,
                                in.end - in.begin, w->SW);
                K(fill)(line + in.end, block->line - in.end, 0);
            }
    }
}

/* VL taps at VL pixels from pixel `ow` on; out[pixel, tap]. */
FD_INLINE void K(take_taps)(const K(line_block) *block, const ptrdiff_t *offset, ptrdiff_t ow,
                            T *out, ptrdiff_t row)
{
    V taps[FD_VBYTES / sizeof(T)];
    const T *lines = block->lines + ow;
#pragma GCC unroll 16
    for (int t = 0; t < (int)VL; t++) taps[t] = K(load)(lines + offset[t]);
    K(turn)(taps);
#pragma GCC unroll 16
    for (int p = 0; p < (int)VL; p++) K(store)(out + p * row, taps[p]);
}

/* Ask for what the next row of outputs is the first to read, of the columns from pixel `ow` on.
 * Planes lie far apart: the processor does not see it coming. */
FD_INLINE void K(ask_for_lines)(const fd_im2col_args *args, ptrdiff_t row, ptrdiff_t c,
                                ptrdiff_t channels, ptrdiff_t ow)
{
    const fd_window *w = &args->window;
    ptrdiff_t n = (row + 1) / w->OH, bottom = w->KH * w->DH - w->DH - w->PH;
    ptrdiff_t h = (row + 1) % w->OH * w->SH + bottom, v = FD_MAX(ow * w->SW - w->PW, 0);
    for (ptrdiff_t i = 0; i < channels; i++)
        for (ptrdiff_t up = 0; up < FD_MIN(w->SH, h + 1); up++)
            K(fetch)((const T *)args->source + ((n * w->C + c + i) * w->H + h - up) * w->W + v,
                     VL * w->SW);
}

/* A row of outputs, through all images. */
static void K(row_of_pixels)(const fd_im2col_args *args, const K(line_block) *block, ptrdiff_t row)
{
    const fd_window *w = &args->window;
    const T *image = (const T *)args->source + row / w->OH * w->C * w->H * w->W;
    ptrdiff_t window = w->KH * w->KW, all = w->C * window;
    for (ptrdiff_t c = 0, channels; c < w->C; c += channels) {
        channels = FD_MIN(block->channels, w->C - c);
        K(lay_out_lines)(w, block, image, c, channels, row % w->OH);
        ptrdiff_t taps = channels * window, width = FD_MAX(taps, VL);
        T *col = (T *)args->target + row * w->OW * all + c * window;
        for (ptrdiff_t ow = 0, pixels; ow < w->OW; ow += pixels) {
            pixels = FD_MIN(VL, w->OW - ow);
            K(ask_for_lines)(args, row, c, channels, ow);
            for (ptrdiff_t t = 0; t < taps; t += VL) {
                ptrdiff_t first = taps < VL ? 0 : FD_MIN(t, taps - VL);
                K(take_taps)(block, block->offset + first, ow, block->rows + first, width);
            }
            /* Neighbours in `col` where these are all channels. */
            int joined = taps == all && taps == width;
            ptrdiff_t pieces = joined ? 1 : pixels, piece = joined ? pixels * taps : taps;
            for (ptrdiff_t i = 0; i < pieces; i++)
                if (args->stream)
                    K(copy_out)(col + (ow + i) * all, block->rows + i * width, piece);
                else
                    K(copy)(col + (ow + i) * all, block->rows + i * width, piece);
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
    if (args->transpose) {
        K(line_block) block;
        if (!K(prepare_lines)(w, &block)) return;
        for (ptrdiff_t row = begin; row < end; row++) K(row_of_pixels)(args, &block, row);
        return;
    }
    K(col_block) block = K(choose_col_block)(w);
    T *space = fd_scratch(K(col_block_bytes)(&block));
    if (!space) return;
    for (ptrdiff_t i = begin; i < end; i++) K(line_of_tap)(args, &block, i, space);
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
