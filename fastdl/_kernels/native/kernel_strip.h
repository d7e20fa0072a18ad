/* Strips: a few rows of feature maps, as the register tile reads them: channels-last, with zeros
 * around them, whatever layout the maps have. */

/* Feature maps in memory: channels-last (channel == 1) or planes (pixel == 1). */
typedef struct {
    T *at;
    ptrdiff_t image, row, pixel, channel;       /* distances */
    ptrdiff_t H, W;
    const uint8_t *argmax, *argmax_end; /* not NULL: of a 2 x 2 max-pool, whose gradients these are;
                                           H and W are still those before it */
} K(maps);

static inline K(maps) K(maps_of)(const void *data, ptrdiff_t C, ptrdiff_t H, ptrdiff_t W,
                                 int channels_last)
{
    K(maps) maps = {(T *)data, C * H * W, W, 1, H * W, H, W};
    if (channels_last) maps.row = W * C, maps.pixel = C, maps.channel = 1;
    return maps;
}

/* Gradients of maps: as they are, or those of a pool behind them. */
static inline K(maps) K(gradients_of)(const void *dy, const void *argmax, ptrdiff_t N, ptrdiff_t C,
                                      ptrdiff_t H, ptrdiff_t W, int channels_last)
{
    if (!argmax) return K(maps_of)(dy, C, H, W, channels_last);
    K(maps) maps = K(maps_of)(dy, C, H / 2, W / 2, 1);
    maps.H = H, maps.W = W;
    maps.argmax = argmax;
    maps.argmax_end = maps.argmax + N * maps.image;
    return maps;
}

static inline T *K(at)(const K(maps) *maps, ptrdiff_t n, ptrdiff_t h, ptrdiff_t w, ptrdiff_t c)
{
    return maps->at + n * maps->image + h * maps->row + w * maps->pixel + c * maps->channel;
}

static inline ptrdiff_t K(strip_size)(const fd_strip *s)
{
    return s->images * s->image;
}

/* `count` pixels of one image from (h, w) on, rows following each other, to out[pixel, channel]. */
static void K(gather_pixels)(const K(maps) *maps, ptrdiff_t n, ptrdiff_t h, ptrdiff_t w,
                             ptrdiff_t first, ptrdiff_t channels, ptrdiff_t count, T *out,
                             ptrdiff_t pitch)
{
    const T *in = K(at)(maps, n, h, w, first);
    if (maps->channel != 1) {
        K(transpose)(in, maps->channel, channels, count, out, pitch);
    } else if (maps->pixel == channels && pitch == channels) {
        K(copy)(out, in, count * channels);
    } else {
        for (ptrdiff_t i = 0; i < count; i++) K(copy)(out + i * pitch, in + i * maps->pixel, channels);
    }
}

/* The way back: in[pixel, channel] to `count` pixels of the maps. */
static void K(scatter_pixels)(const K(maps) *maps, ptrdiff_t n, ptrdiff_t h, ptrdiff_t w,
                              ptrdiff_t first, ptrdiff_t channels, ptrdiff_t count, const T *in,
                              ptrdiff_t pitch)
{
    K(transpose)(in, pitch, count, channels, K(at)(maps, n, h, w, first), maps->channel);
}

/* Elements that lay_strip needs after the strip itself. */
static inline ptrdiff_t K(strip_extra)(const K(maps) *maps, ptrdiff_t channels)
{
    return maps->channel != 1 && maps->W < VL ? maps->H * maps->W * channels : 0;
}

/* A vector of argmax, as wide as its lanes. */
static inline K(ivec) K(argmax_at)(const K(maps) *maps, ptrdiff_t at)
{
    const uint8_t *from = maps->argmax + at;
    uint8_t copy[FD_VBYTES] = {0};
    if (maps->argmax_end - from >= (ptrdiff_t)FD_VBYTES) return K(widen)(from);
    memcpy(copy, from, VL);
    return K(widen)(copy);
}

/* What a pooled pixel hands on to the left and the right one of a row of its window; NULL: to none. */
static void K(unpool_pixel)(const K(maps) *maps, ptrdiff_t at, ptrdiff_t channels, INT number,
                            T *left, T *right)
{
    const T *dy = maps->at + at, none = 0;
    for (ptrdiff_t c = 0; channels < VL && c < channels; c++) {
        INT chosen = maps->argmax[at + c];
        if (left) left[c] = chosen == number ? dy[c] : none;
        if (right) right[c] = chosen == number + 1 ? dy[c] : none;
    }
    for (ptrdiff_t c = 0; channels >= VL && c < channels; c += VL) {
        ptrdiff_t first = FD_MIN(c, channels - VL);
        V v = K(load)(dy + first), zero = {0};
        K(ivec) chosen = K(argmax_at)(maps, at + first), same = {0};
        same += number;
        if (left) K(store)(left + first, K(select)((K(ivec))(chosen == same), v, zero));
        if (right) K(store)(right + first, K(select)((K(ivec))(chosen == same + 1), v, zero));
    }
}

/* The same as lay_strip, of maps that a pool follows: each of its gradients belongs to the one pixel
 * of a window that was the largest, the others get 0. */
static void K(lay_unpooled)(const K(maps) *maps, ptrdiff_t n, const fd_strip *strip,
                            ptrdiff_t first, ptrdiff_t channels, T *out)
{
    fd_range inside = fd_inside(strip->columns, 1, strip->first_column, maps->W / 2 * 2);
    fd_range rows = fd_inside(strip->rows, 1, strip->first_row, maps->H / 2 * 2);
    ptrdiff_t pitch = strip->pixel;
    for (ptrdiff_t i = 0; i < strip->images; i++)
        for (ptrdiff_t r = 0; r < strip->rows; r++) {
            T *to = out + i * strip->image + r * strip->row;
            if (r < rows.begin || r >= rows.end) {
                K(fill)(to, strip->row, 0);
                continue;
            }
            ptrdiff_t h = strip->first_row + r, v = inside.begin + strip->first_column;
            ptrdiff_t line = (n + i) * maps->image + h / 2 * maps->row + first;
            K(fill)(to, inside.begin * pitch, 0);
            for (ptrdiff_t j = inside.begin - v % 2; j < inside.end; j += 2)
                K(unpool_pixel)(maps, line + (j + strip->first_column) / 2 * maps->pixel, channels,
                                (INT)(h % 2 * 2), j < inside.begin ? NULL : to + j * pitch,
                                j + 1 < inside.end ? to + (j + 1) * pitch : NULL);
            K(fill)(to + inside.end * pitch, strip->row - inside.end * pitch, 0);
        }
}

/* Copy channels [first, first + channels) of the strip's pixels, from image n on. */
static void K(lay_strip)(const K(maps) *maps, ptrdiff_t n, const fd_strip *strip, ptrdiff_t first,
                         ptrdiff_t channels, T *out)
{
    if (maps->argmax) {
        K(lay_unpooled)(maps, n, strip, first, channels, out);
        return;
    }
    fd_range inside = fd_inside(strip->columns, 1, strip->first_column, maps->W);
    fd_range rows = fd_inside(strip->rows, 1, strip->first_row, maps->H);
    ptrdiff_t pitch = strip->pixel, line = strip->row;
    T *extra = out + K(strip_size)(strip);
    for (ptrdiff_t i = 0; i < strip->images; i++, out += strip->image) {
        K(maps) source = *maps;
        ptrdiff_t image = n + i, top = strip->first_row + rows.begin, c = first;
        if (K(strip_extra)(maps, channels) && rows.begin < rows.end) {
            /* Rows shorter than a vector: transpose them all at once, then copy. */
            K(gather_pixels)(maps, image, top, 0, first, channels,
                             (rows.end - rows.begin) * maps->W, extra, channels);
            source = K(maps_of)(extra, channels, rows.end - rows.begin, maps->W, 1);
            image = top = c = 0;
        }
        K(fill)(out, rows.begin * line, 0);
        for (ptrdiff_t r = rows.begin; r < rows.end; r++) {
            T *to = out + r * line;
            K(fill)(to, inside.begin * pitch, 0);
            K(gather_pixels)(&source, image, top + r - rows.begin,
                             strip->first_column + inside.begin, c, channels,
                             inside.end - inside.begin, to + inside.begin * pitch, pitch);
            K(fill)(to + inside.end * pitch, line - inside.end * pitch, 0);
        }
        K(fill)(out + rows.end * line, (strip->rows - rows.end) * line, 0);
    }
}
