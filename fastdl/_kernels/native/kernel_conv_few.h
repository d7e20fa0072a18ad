/* Backward to an input of few channels, such as an image's three: a vector of its channels would be
 * mostly empty. Here a row of the window, (kw, c), is what the vectors hold:
 *
 *   col[pixel of dy, (kw, c)] = sum over oc of dy[pixel, oc] * w[oc, c, kh, kw]
 *
 * and each pixel's line of col is added to the row of dx that it covers (a col2im of one row).
 */

static int K(has_few_channels)(const fd_conv_args *args)
{
    return args->window.C / args->groups < VL / 2 && args->window.KW > 1 && args->window.DW == 1;
}

/* Items of packing: (group, 128 bytes of channels), but a group's first item packs it all. */
static void K(pack_window_rows)(const fd_conv_args *args, ptrdiff_t g, T *packed)
{
    const fd_window *w = &args->window;
    ptrdiff_t c = w->C / args->groups, oc = args->OC / args->groups, size = w->KH * w->KW;
    ptrdiff_t line = w->KW * c;
    const T *from = (const T *)args->w + g * oc * c * size;
    for (ptrdiff_t kh = 0; kh < w->KH; kh++)
        for (ptrdiff_t p = 0; p < K(panels)(line); p++)
            for (ptrdiff_t o = 0; o < oc; o++, packed += K(NR))
                for (ptrdiff_t i = 0; i < K(NR); i++) {
                    ptrdiff_t at = p * K(NR) + i, kw = at / c;
                    packed[i] = at < line ? from[(o * c + at % c) * size + kh * w->KW + kw] : 0;
                }
}

/* Add the lines of `col`, `width` of them counting, to rows that overlap. */
static void K(add_lines)(const T *col, ptrdiff_t ld, ptrdiff_t count, ptrdiff_t width, T *row,
                         ptrdiff_t step)
{
    /* Neighbours overlap, and waiting for what was just stored is slow: take them in turns. */
    ptrdiff_t turns = FD_MIN((ld + step - 1) / step, count);
    for (ptrdiff_t turn = 0; turn < turns; turn++)
        for (ptrdiff_t i = turn; i < count; i += turns) {
            const T *line = col + i * ld;
            T *to = row + i * step;
            ptrdiff_t j = 0;
            for (; j + VL <= width; j += VL) K(store)(to + j, K(load)(to + j) + K(load)(line + j));
            for (; j < width; j++) to[j] += line[j];
        }
}

/* Some images' inputs in these rows. */
static void K(scatter_rows)(const K(correlation) *job, ptrdiff_t n, ptrdiff_t images, fd_range rows)
{
    ptrdiff_t C = job->oc, KW = job->w.K, step = job->w.S * C, width = KW * C;
    ptrdiff_t OW = job->in.W, ld = fd_round_up(width, K(NR));
    fd_strip strip = {.images = images, .columns = OW};
    fd_range reach = fd_reach(&job->h, rows);
    strip.first_row = FD_MAX(reach.begin, 0);
    strip.rows = FD_MAX(FD_MIN(reach.end, job->in.H) - strip.first_row, 0);
    int ready = K(lies_ready)(&job->in, &strip);
    if (!ready) K(set_distances)(&strip, K(good_pitch)(job->c));
    ptrdiff_t strip_size = ready ? 0 : K(strip_size)(&strip) + K(strip_extra)(&job->in, job->c);
    ptrdiff_t line = FD_MAX((OW - 1) * step + ld, (job->out.W + job->w.P) * C);
    T *space = fd_scratch((size_t)(strip_size + OW * ld + line) * sizeof(T));
    if (!space) return;
    const T *dy = space;
    T *col = space + strip_size, *row = col + OW * ld;
    if (ready)
        dy = K(at)(&job->in, n, strip.first_row, 0, job->c_first);
    else
        K(lay_strip)(&job->in, n, &strip, job->c_first, job->c, space);
    fd_stretch all = {0, 0, job->c};
    K(product) p = {.a_row = strip.pixel, .a_step = 1, .b_step = K(NR), .b_second = VL,
                    .stretches = &all, .n_stretches = 1, .out_row = ld, .scale = 1};
    for (ptrdiff_t i = 0; i < images; i++)
        for (ptrdiff_t h = rows.begin; h < rows.end; h++) {
            K(fill)(row, line, 0);
            for (ptrdiff_t kh = 0; kh < job->h.K; kh++) {
                ptrdiff_t at = h + job->h.P - kh * job->h.D, oh = at / job->h.S - strip.first_row;
                if (at < 0 || at % job->h.S || oh < 0 || oh >= strip.rows) continue;
                p.a = dy + i * strip.image + oh * strip.row;
                for (ptrdiff_t j = 0; j < ld; j += K(NR)) {
                    p.b = job->packed + (kh * ld + j) * job->c;
                    p.out = col + j;
                    K(multiply)(&p, K(APART), OW, width - j > VL ? K(NR) : VL);
                }
                K(add_lines)(col, ld, OW, width, row, step);
            }
            const T *from = row + job->w.P * C;
            for (ptrdiff_t c = 0; c < C; c++) {
                T *to = K(at)(&job->out, n + i, h, 0, job->oc_first + c);
                for (ptrdiff_t w = 0; w < job->out.W; w++) to[w * job->out.pixel] = from[w * C + c];
            }
        }
}
