/* Convolution as a matrix product whose second operand is never written out as a whole: panels
 * of it are copied, tap by tap, from a few rows of the images at a time (implicit im2col).
 *
 *   forward          y[oc, pixel]  = w[oc, tap] * field[tap, pixel]        tap = (c, kh, kw)
 *   backward input   the same with dy for x, filters turned round, and a window for each place
 *                    modulo stride
 *   backward weight  dw[tap, oc]   = field[tap, pixel] * dy[oc, pixel]^T
 */

/* Rows of the planes of one image, as the layout has them; `padding` is what lies beside them. */
static void K(lay_out)(const fd_window *w, const fd_layout *layout, const T *x, ptrdiff_t channels,
                       T padding, T *out)
{
    ptrdiff_t phases = layout->phases_h * layout->phases_w, line = layout->line;
    for (ptrdiff_t plane = 0; plane < channels * phases; plane++) {
        ptrdiff_t c = plane / phases, phase = plane % phases;
        ptrdiff_t h = layout->first_row * w->SH + phase / layout->phases_w - w->PH;
        ptrdiff_t shift = layout->first_column * w->SW + phase % layout->phases_w - w->PW;
        fd_range inside = fd_inside(line, w->SW, shift, w->W);
        T *to = out + c * layout->channel + phase * layout->rows * line;
        for (ptrdiff_t row = 0; row < layout->rows; row++, h += w->SH, to += line) {
            if (h < 0 || h >= w->H) {
                K(fill)(to, line, padding);
                continue;
            }
            const T *in = x + (c * w->H + h) * w->W + shift + inside.begin * w->SW;
            K(fill)(to, inside.begin, padding);
            K(copy_strided)(to + inside.begin, in, inside.end - inside.begin, w->SW);
            K(fill)(to + inside.end, line - inside.end, padding);
        }
    }
}

/* The pixels are taken in blocks: whole images, if several fit, else a part of one. */
typedef struct {
    ptrdiff_t images;                   /* 1 for a part */
    fd_range pixels;                    /* counted from the first pixel of the first image */
} K(block);

static ptrdiff_t K(images_per_block)(const fd_window *w, ptrdiff_t pixels)
{
    return FD_MAX(FD_MIN(w->N, pixels / FD_MAX(w->OH * w->OW, 1)), 1);
}

static ptrdiff_t K(channels_met)(const fd_window *w, ptrdiff_t taps)
{
    ptrdiff_t window = w->KH * w->KW;
    return FD_MIN(w->C, (taps + window - 2) / window + 1);
}

/* The layout of a block: whole images, some rows of one, or part of a row. */
static fd_layout K(layout_of)(const fd_window *w, const K(block) *block, ptrdiff_t channels)
{
    if (block->images > 1) return fd_lay(w, 0, w->OH, 0, w->OW, channels);
    ptrdiff_t begin = block->pixels.begin, last = block->pixels.end - 1;
    ptrdiff_t row = begin / w->OW, rows = last / w->OW - row + 1;
    if (rows > 1) return fd_lay(w, row, rows, 0, w->OW, channels);
    return fd_lay(w, row, 1, begin % w->OW, last - begin + 1, channels);
}

/* Elements that the laid-out rows of a block of at most `pixels` pixels need, for KC taps. */
static ptrdiff_t K(fields_size)(const fd_window *w, ptrdiff_t pixels)
{
    if (w->KH * w->KW == 0 || w->OH * w->OW == 0) return 0;
    ptrdiff_t images = K(images_per_block)(w, pixels);
    ptrdiff_t columns = w->OH == 1 ? FD_MIN(w->OW, pixels) : w->OW;
    ptrdiff_t rows = images > 1 ? w->OH : FD_MIN(w->OH, pixels / columns + 2);
    return images * fd_lay(w, 0, rows, 0, columns, K(channels_met)(w, K(KC))).image + VL;
}

/* The channels of a group in images that lie `step` apart. */
typedef struct {
    const T *x;
    ptrdiff_t step;
} K(images);

/* Where the taps of a block of pixels are found: tap t of a pixel that fd_cut finds at `from` is
 * at[offset[t] + from]. */
typedef struct {
    const T *at;
    fd_layout layout;
    ptrdiff_t offset[K(KC)];
} K(fields);

/* Prepare the fields of a block for `taps` taps from `tap` on. `space` holds fields_size(). */
static void K(find_fields)(K(fields) *fields, const fd_window *w, K(images) images,
                           const K(block) *block, ptrdiff_t tap, ptrdiff_t taps, T *space)
{
    ptrdiff_t window = w->KH * w->KW, first = tap / window;
    ptrdiff_t channels = (tap + taps - 1) / window - first + 1;
    fields->at = space;
    fields->layout = K(layout_of)(w, block, channels);
    for (ptrdiff_t n = 0; n < block->images; n++)
        K(lay_out)(w, &fields->layout, images.x + n * images.step + first * w->H * w->W, channels, 0,
                   space + n * fields->layout.image);
    fd_tap t = fd_tap_at(tap - first * window, w->KH, w->KW);
    for (ptrdiff_t i = 0; i < taps; i++, fd_next_tap(&t, w->KH, w->KW))
        fields->offset[i] = fd_tap_offset(w, &fields->layout, t);
}

/* out[tap, pixel] for all taps; lines of `out` are `pitch` apart. Runs are no longer than a vector
 * and copied as one: what is too much is overwritten by the next run or the next line; after the
 * last line there is room for it. */
static void K(copy_fields)(const K(fields) *fields, ptrdiff_t taps, const fd_piece *runs,
                           ptrdiff_t n_runs, T *out, ptrdiff_t pitch)
{
    for (ptrdiff_t i = 0; i < taps; i++, out += pitch) {
        const T *tap = fields->at + fields->offset[i];
        for (ptrdiff_t r = 0; r < n_runs; r++)
            K(store)(out + runs[r].to, K(load)(tap + runs[r].from));
    }
}

/* ---- forward, and backward to the input ---- */

/* out[oc, pixel] = bias[oc] + w[oc, tap] * field[tap, pixel] for one group. */
typedef struct {
    fd_window window;                   /* the group's C; pixels OH x OW */
    K(images) images;
    const T *packed, *bias;             /* weights in panels of MR rows, KC taps at a time */
    T *out;
    ptrdiff_t rows;                     /* output channels */
    ptrdiff_t image, channel, row, column;      /* distances in `out` */
} K(correlation);

static void K(store_pixels)(const K(correlation) *job, const K(block) *block, const T *sums,
                            ptrdiff_t ld)
{
    const fd_window *w = &job->window;
    /* Rows that follow each other without a gap are one long row. */
    ptrdiff_t line = job->column == 1 && job->row == w->OW ? w->OH * w->OW : w->OW;
    for (ptrdiff_t i = 0; i < job->rows; i++, sums += ld) {
        const T *in = sums;
        for (ptrdiff_t p = block->pixels.begin; p < block->pixels.end;) {
            ptrdiff_t length = FD_MIN(line - p % line, block->pixels.end - p);
            T *out = job->out + p / (w->OH * w->OW) * job->image + i * job->channel
                + p / w->OW % w->OH * job->row + p % w->OW * job->column;
            if (job->column == 1)
                K(copy)(out, in, length);
            else
                for (ptrdiff_t j = 0; j < length; j++) out[j * job->column] = in[j];
            in += length;
            p += length;
        }
    }
}

/* Elements of the memory that `correlate` needs besides the packed weights. */
static ptrdiff_t K(correlate_size)(const fd_window *w, ptrdiff_t rows)
{
    return K(KC) * NR + VL + K(whole_tiles)(rows) * K(NC) + K(fields_size)(w, K(NC));
}

static void K(correlate)(const K(correlation) *job, const K(block) *block, T *memory)
{
    const fd_window *w = &job->window;
    ptrdiff_t taps = w->C * w->KH * w->KW, rows = K(whole_tiles)(job->rows);
    ptrdiff_t count = block->pixels.end - block->pixels.begin, ld = fd_round_up(count, VL);
    T *panel = memory, *sums = panel + K(KC) * NR + VL, *space = sums + rows * K(NC);
    for (ptrdiff_t i = 0; i < rows; i++) {
        T start = job->bias && i < job->rows ? job->bias[i] : 0;
        for (ptrdiff_t j = 0; j < ld; j++) sums[i * ld + j] = start;
    }
    for (ptrdiff_t k = 0; k < taps; k += K(KC)) {
        ptrdiff_t kb = FD_MIN(taps - k, K(KC));
        K(fields) fields;
        K(find_fields)(&fields, w, job->images, block, k, kb, space);
        for (ptrdiff_t j = 0; j < count; j += NR) {
            fd_piece runs[2 * FD_VBYTES / sizeof(T)];
            ptrdiff_t n = fd_cut(w, &fields.layout, block->pixels.begin + j,
                                 FD_MIN(count - j, NR), VL, runs);
            K(copy_fields)(&fields, kb, runs, n, panel, NR);
            K(multiply)(rows, FD_MIN(ld - j, NR), kb,
                        job->packed + fd_round_up(job->rows, MR) * k, K(PANELS), panel, sums + j,
                        ld);
        }
    }
    K(store_pixels)(job, block, sums, ld);
}

/* Cell `cell` of the images times cell of the pixels, block by block. `job` is for image 0. */
static void K(correlate_cell)(const fd_conv_args *args, K(correlation) job, ptrdiff_t cell,
                              T *memory)
{
    ptrdiff_t pixels = job.window.OH * job.window.OW;
    if (!pixels) return;
    ptrdiff_t together = K(images_per_block)(&job.window, K(NC));
    fd_range images = fd_part(args->window.N, 1, args->image_cells, cell / args->pixel_cells);
    fd_range part = fd_part(pixels, NR, args->pixel_cells, cell % args->pixel_cells);
    T *out = job.out;
    const T *x = job.images.x;
    for (ptrdiff_t n = images.begin; n < images.end; n += together) {
        K(block) block = {FD_MIN(together, images.end - n), part};
        job.out = out + n * job.image;
        job.images.x = x + n * job.images.step;
        if (block.images > 1) {         /* they fit: pixel_cells is of no use, the first has all */
            if (cell % args->pixel_cells) continue;
            block.pixels = (fd_range){0, block.images * pixels};
            K(correlate)(&job, &block, memory);
            continue;
        }
        for (ptrdiff_t p = part.begin; p < part.end; p += K(NC)) {
            block.pixels = (fd_range){p, FD_MIN(p + K(NC), part.end)};
            K(correlate)(&job, &block, memory);
        }
    }
}

/* Items: (group, cell of the images, cell of the pixels). */
static void K(conv2d)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_conv_args *args = p;
    ptrdiff_t cells = args->image_cells * args->pixel_cells, packed_group = -1;
    ptrdiff_t C = args->window.C, H = args->window.H, W = args->window.W;
    ptrdiff_t c = C / args->groups, oc = args->OC / args->groups;
    ptrdiff_t taps = c * args->window.KH * args->window.KW;
    ptrdiff_t pixels = args->window.OH * args->window.OW, rows = fd_round_up(oc, MR);
    K(correlation) job = {.window = fd_flat(args->window), .rows = oc, .image = args->OC * pixels,
                          .channel = pixels, .column = 1};
    job.window.C = c;
    job.row = job.window.OW;
    ptrdiff_t weights = fd_round_up(rows * taps + VL, VL);
    T *packed = fd_scratch((size_t)(weights + K(correlate_size)(&job.window, oc)) * sizeof(T));
    if (!packed) return;
    job.packed = packed;
    for (ptrdiff_t item = begin; item < end; item++) {
        ptrdiff_t g = item / cells;
        if (g != packed_group) {
            const T *w = (const T *)args->w + g * oc * taps;
            for (ptrdiff_t k = 0; k < taps; k += K(KC))
                K(pack)(w + k, taps, 1, oc, FD_MIN(taps - k, K(KC)), MR, 1, packed + rows * k);
            packed_group = g;
        }
        job.images = (K(images)){(const T *)args->x + g * c * H * W, C * H * W};
        job.out = (T *)args->y + g * oc * pixels;
        job.bias = args->b ? (const T *)args->b + g * oc : NULL;
        K(correlate_cell)(args, job, item % cells, packed + weights);
    }
}

/* The window of the inputs at row `h`, column `v` modulo stride, and the taps it is made of. */
static fd_window K(backward_window)(const fd_conv_args *args, ptrdiff_t h, ptrdiff_t v,
                                    fd_axis *rows, fd_axis *columns)
{
    const fd_window *w = &args->window;
    *rows = fd_backward_axis(w->KH, w->SH, w->PH, w->DH, h);
    *columns = fd_backward_axis(w->KW, w->SW, w->PW, w->DW, v);
    fd_window backward = {
        w->N, args->OC / args->groups, w->OH, w->OW,
        (w->H - h + w->SH - 1) / w->SH, (w->W - v + w->SW - 1) / w->SW,
        rows->size, columns->size, 1, 1, rows->padding, columns->padding,
        rows->dilation, columns->dilation};
    /* With strides the inputs of one place are no plane without gaps. */
    return w->SH == 1 && w->SW == 1 ? fd_flat(backward) : backward;
}

/* Panels of w[c, (oc, kh, kw)] from w[oc, (c, kh, kw)], for the taps of one window. */
static void K(pack_backward)(const fd_window *w, const fd_window *window, const fd_axis *rows,
                             const fd_axis *columns, const T *weight, ptrdiff_t C, T *packed)
{
    ptrdiff_t size = w->KH * w->KW, taps = window->C * window->KH * window->KW;
    memset(packed, 0, (size_t)(fd_round_up(C, MR) * taps) * sizeof(T));
    fd_tap t = {0, 0, 0};
    for (ptrdiff_t k = 0; k < taps; k++, fd_next_tap(&t, window->KH, window->KW)) {
        ptrdiff_t block = k / K(KC) * K(KC), kb = FD_MIN(taps - block, K(KC));
        T *out = packed + fd_round_up(C, MR) * block + (k - block) * MR;
        const T *in = weight + t.c * C * size + (rows->last - t.kh * rows->step) * w->KW
            + columns->last - t.kw * columns->step;
        for (ptrdiff_t c = 0; c < C; c += MR, out += kb * MR)
            for (ptrdiff_t i = 0; i < FD_MIN(C - c, MR); i++) out[i] = in[(c + i) * size];
    }
}

/* Items: (group, cell of the images, cell of the pixels). */
static void K(conv2d_backward_input)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_conv_args *args = p;
    const fd_window *w = &args->window;
    ptrdiff_t cells = args->image_cells * args->pixel_cells, packed_group = -1, most = 0;
    ptrdiff_t c = w->C / args->groups, oc = args->OC / args->groups, rows = fd_round_up(c, MR);
    ptrdiff_t pixels = w->OH * w->OW, plane = w->H * w->W;
    /* Each tap of the filters belongs to one place modulo stride. */
    ptrdiff_t weights = fd_round_up(rows * oc * w->KH * w->KW + VL, VL);
    fd_axis along_h, along_w;
    for (ptrdiff_t place = 0; place < w->SH * w->SW; place++) {
        fd_window window = K(backward_window)(args, place / w->SW, place % w->SW, &along_h,
                                              &along_w);
        most = FD_MAX(most, K(correlate_size)(&window, c));
    }
    T *packed = fd_scratch((size_t)(weights + most) * sizeof(T));
    if (!packed) return;
    for (ptrdiff_t item = begin; item < end; item++) {
        ptrdiff_t g = item / cells;
        T *panels = packed;
        for (ptrdiff_t place = 0; place < w->SH * w->SW; place++) {
            ptrdiff_t h = place / w->SW, v = place % w->SW;
            K(correlation) job = {.packed = panels, .rows = c, .image = w->C * plane,
                                  .channel = plane, .row = w->SH * w->W, .column = w->SW};
            job.window = K(backward_window)(args, h, v, &along_h, &along_w);
            if (g != packed_group)
                K(pack_backward)(w, &job.window, &along_h, &along_w,
                                 (const T *)args->w + g * oc * c * w->KH * w->KW, c, panels);
            panels += rows * oc * along_h.size * along_w.size;
            job.images = (K(images)){(const T *)args->dy + g * oc * pixels, args->OC * pixels};
            job.out = (T *)args->dx + g * c * plane + h * w->W + v;
            K(correlate_cell)(args, job, item % cells, packed + weights);
        }
        packed_group = g;
    }
}

/* ---- backward to the weights ---- */

static T K(sum)(const T *x, ptrdiff_t count)
{
    V sum = {0};
    ptrdiff_t i = 0;
    for (; i + VL <= count; i += VL) sum += K(load)(x + i);
    T total = K(lanes_sum)(sum);
    for (; i < count; i++) total += x[i];
    return total;
}

/* Lines of fields of one block, for at most KC taps from `tap` on. */
static void K(find_lines)(const fd_window *w, K(images) x, const K(block) *block, ptrdiff_t tap,
                          ptrdiff_t taps, T *lines, T *space)
{
    fd_layout layout = K(layout_of)(w, block, taps);
    if (w->KH * w->KW == 1 && block->images == 1 && layout.rows == 1) {
        layout.channel = K(LINE);       /* laid out, they are such lines already */
        K(lay_out)(w, &layout, x.x + tap * w->H * w->W, taps, 0, lines);
        return;
    }
    K(fields) fields;
    fd_piece runs[K(KC)];
    K(find_fields)(&fields, w, x, block, tap, taps, space);
    ptrdiff_t pixels = block->pixels.end - block->pixels.begin;
    ptrdiff_t n = fd_cut(w, &fields.layout, block->pixels.begin, pixels, VL, runs);
    K(copy_fields)(&fields, taps, runs, n, lines, K(LINE));
}

/* sums[tap, oc] += field[tap, pixel] * dy[oc, pixel]^T for `count` taps from `tap` on. The fields
 * stay lines along the pixels; dy, of which there is less, is transposed. */
static void K(add_block)(const fd_window *w, K(images) x, K(images) dy, ptrdiff_t oc,
                         const K(block) *block, ptrdiff_t tap, ptrdiff_t count, T *memory, T *sums)
{
    ptrdiff_t kb = block->pixels.end - block->pixels.begin, pixels = w->OH * w->OW;
    ptrdiff_t ld = fd_round_up(oc, VL);
    T *panels = memory, *lines = panels + K(KC) * fd_round_up(oc, NR);
    T *space = lines + K(MC) * K(LINE);
    for (ptrdiff_t i = 0; i < oc; i += NR)
        for (ptrdiff_t at = 0; at < kb;) {
            ptrdiff_t pixel = block->pixels.begin + at;
            ptrdiff_t length = FD_MIN(pixels - pixel % pixels, kb - at);
            K(pack)(dy.x + pixel / pixels * dy.step + i * pixels + pixel % pixels, pixels, 1,
                    FD_MIN(oc - i, NR), length, NR, 1, panels + i * kb + at * NR);
            at += length;
        }
    for (ptrdiff_t t = 0; t < count; t += K(MC)) {
        ptrdiff_t here = FD_MIN(count - t, K(MC));
        K(find_lines)(w, x, block, tap + t, here, lines, space);
        K(multiply)(K(whole_tiles)(here), ld, kb, lines, K(LINES), panels, sums + t * ld, ld);
    }
}

/* One cell of the taps, in one cell of the images: db for its share of the channels. */
static void K(backward_weight_cell)(const fd_conv_args *args, const fd_window *w, ptrdiff_t g,
                                    fd_range images, fd_range taps, fd_range channels, T *dw,
                                    T *db, T *sums)
{
    ptrdiff_t oc = args->OC / args->groups, pixels = w->OH * w->OW, ld = fd_round_up(oc, VL);
    ptrdiff_t count = taps.end - taps.begin, together = K(images_per_block)(w, K(KC));
    ptrdiff_t size = K(whole_tiles)(count) * ld, line = w->C * w->KH * w->KW;
    K(images) x = {(const T *)args->x + g * w->C * w->H * w->W, args->window.C * w->H * w->W};
    K(images) dy = {(const T *)args->dy + g * oc * pixels, args->OC * pixels};
    memset(sums, 0, (size_t)size * sizeof(T));
    for (ptrdiff_t n = images.begin; n < images.end; n += together) {
        ptrdiff_t some = FD_MIN(together, images.end - n);
        ptrdiff_t parts = (some * pixels + K(KC) - 1) / K(KC);
        for (ptrdiff_t i = 0; i < parts; i++) {
            K(block) block = {some, fd_part(some * pixels, 1, parts, i)};
            K(add_block)(w, (K(images)){x.x + n * x.step, x.step},
                         (K(images)){dy.x + n * dy.step, dy.step}, oc, &block, taps.begin, count,
                         sums + size, sums);
        }
    }
    for (ptrdiff_t i = 0; i < oc; i++)
        for (ptrdiff_t t = 0; t < count; t++)
            dw[(g * oc + i) * line + taps.begin + t] = sums[t * ld + i];
    if (!db) return;
    for (ptrdiff_t i = channels.begin; i < channels.end; i++) {
        T total = 0;
        for (ptrdiff_t n = images.begin; n < images.end; n++)
            total += K(sum)(dy.x + n * dy.step + i * pixels, pixels);
        db[g * oc + i] = total;
    }
}

/* Items: (cell of the images, group, cell of the taps). Every cell of the images has its own dw
 * and db, one after another; the caller adds them up. */
static void K(conv2d_backward_weight)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_conv_args *args = p;
    fd_window w = fd_flat(args->window);
    w.C /= args->groups;
    ptrdiff_t oc = args->OC / args->groups, taps = w.C * w.KH * w.KW;
    ptrdiff_t most = (taps + args->tap_cells - 1) / args->tap_cells;
    T *memory = fd_scratch((size_t)(K(whole_tiles)(most) * fd_round_up(oc, VL)
                                    + K(KC) * fd_round_up(oc, NR) + K(MC) * K(LINE)
                                    + K(fields_size)(&w, K(KC))) * sizeof(T));
    if (!memory) return;
    for (ptrdiff_t item = begin; item < end; item++) {
        ptrdiff_t cell = item % args->tap_cells, g = item / args->tap_cells % args->groups;
        ptrdiff_t image_cell = item / args->tap_cells / args->groups;
        K(backward_weight_cell)(
            args, &w, g, fd_part(w.N, 1, args->image_cells, image_cell),
            fd_part(taps, 1, args->tap_cells, cell), fd_part(oc, 1, args->tap_cells, cell),
            (T *)args->dw + image_cell * args->OC * taps,
            args->db ? (T *)args->db + image_cell * args->OC : NULL, memory);
    }
}
