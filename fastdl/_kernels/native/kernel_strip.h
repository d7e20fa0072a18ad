/* Strips: a few rows of feature maps, as the register tile reads them: channels-last, with zeros
 * around them, whatever layout the maps have. */

/* Feature maps in memory: channels-last (channel == 1) or planes (pixel == 1). */
typedef struct {
    T *at;
    ptrdiff_t image, row, pixel, channel;       /* distances */
    ptrdiff_t H, W;
} K(maps);

static inline K(maps) K(maps_of)(const void *data, ptrdiff_t C, ptrdiff_t H, ptrdiff_t W,
                                 int channels_last)
{
    K(maps) maps = {(T *)data, C * H * W, W, 1, H * W, H, W};
    if (channels_last) maps.row = W * C, maps.pixel = C, maps.channel = 1;
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

/* Copy channels [first, first + channels) of the strip's pixels, from image n on. */
static void K(lay_strip)(const K(maps) *maps, ptrdiff_t n, const fd_strip *strip, ptrdiff_t first,
                         ptrdiff_t channels, T *out)
{
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
