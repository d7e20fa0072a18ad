/* Depthwise convolution: outputs, in tiles of 2 x 4 that are summed up in registers. An input is
 * loaded once and multiplied with every tap it meets; what lies outside of the map is left out.
 *
 * A vector holds channels of one pixel, and every step multiplies lane by lane. */
enum { K(TILE_ROWS) = 2, K(TILE_COLUMNS) = 4 };

/* Outputs, and the part of the inputs that is there for them. Both are channels-last. The vectors
 * of a pixel lie side by side, but for the last, which is `last` from the first. */
typedef struct {
    const fd_meeting *h, *w;
    fd_range rows, columns;             /* outputs */
    fd_range in_rows, in_columns;
    ptrdiff_t vectors, last;
    const T *weights;                   /* [vector][tap, and then bias][VL] */
    const T *in;                        /* from (in_rows.begin, in_columns.begin) on */
    ptrdiff_t in_row, in_column;
    T *out;                             /* from (rows.begin, columns.begin) on */
    const T *add, *gate;                /* NULL, or like `out`: added to the sums; closes them */
    ptrdiff_t out_row, out_column;
    int relu;
    int ahead;                          /* fetch what the rows below will read and write */
    int stream;                         /* by rows: write past the caches; vectors are aligned */
    const T *zeros;                     /* a pixel that is read where there is none */
    T *dump;                            /* one that is written where there is none */
} K(outputs);

/* Where inputs and outputs of a tile are, in its first vector. */
typedef struct {
    const T *in[77], *add[K(TILE_ROWS) * K(TILE_COLUMNS)], *gate[K(TILE_ROWS) * K(TILE_COLUMNS)];
    T *out[K(TILE_ROWS) * K(TILE_COLUMNS)];
} K(places);

/* Of a tile that reaches over the edge of the inputs or of the outputs: what is not there is read
 * as zeros, and written where nobody reads it. */
FD_INLINE void K(find_places)(const K(outputs) *o, fd_tile tile, const int in_height,
                              const int in_width, K(places) *places)
{
    fd_range in_rows = {0, fd_length(o->in_rows)}, in_columns = {0, fd_length(o->in_columns)};
    fd_range rows = {0, fd_length(o->rows)}, columns = {0, fd_length(o->columns)};
    for (ptrdiff_t k = 0; k < in_height * in_width; k++) {
        ptrdiff_t r = tile.top + k / in_width, c = tile.left + k % in_width;
        places->in[k] = fd_is_in(in_rows, r) & fd_is_in(in_columns, c)
            ? o->in + (r * o->in_row + c * o->in_column) : o->zeros;
    }
    for (ptrdiff_t k = 0; k < K(TILE_ROWS) * K(TILE_COLUMNS); k++) {
        ptrdiff_t i = tile.row + k / K(TILE_COLUMNS), j = tile.column + k % K(TILE_COLUMNS);
        ptrdiff_t place = i * o->out_row + j * o->out_column;
        int there = fd_is_in(rows, i) & fd_is_in(columns, j);
        places->out[k] = there ? o->out + place : o->dump;
        places->add[k] = there && o->add ? o->add + place : o->zeros;
        places->gate[k] = there && o->gate ? o->gate + place : o->zeros;
    }
}

/* One tile: all vectors of it. Along both axes its input r meets its output i under tap
 * a * r - b * i + first. */
FD_INLINE void K(depthwise_tile)(const K(outputs) *o, fd_tile tile, const K(places) *places,
                                 const int taps, const int a, const int b, const int first,
                                 const int in_height, const int in_width)
{
    /* How far the inputs of the next tile are. */
    const int down = a < 0 ? K(TILE_ROWS) / 2 : K(TILE_ROWS) * b;
    const int right = a < 0 ? K(TILE_COLUMNS) / 2 : K(TILE_COLUMNS) * b;
    enum { HEIGHT = K(TILE_ROWS), WIDTH = K(TILE_COLUMNS), SIZE = HEIGHT * WIDTH };
    /* In variables of their own they stay in registers: any store might change *o. */
    const ptrdiff_t in_row = o->in_row, in_column = o->in_column;
    const ptrdiff_t out_row = o->out_row, out_column = o->out_column;
    const ptrdiff_t vectors = o->vectors, last = o->last;
    const int add = o->add != NULL, gate = o->gate != NULL, relu = o->relu, ahead = o->ahead;
    const ptrdiff_t place = tile.row * out_row + tile.column * out_column;
    const T *weights = o->weights, *in = o->in + (tile.top * in_row + tile.left * in_column);
    T *out = o->out + place;
    for (ptrdiff_t v = 0; v < vectors; v++, weights += (taps * taps + 1) * VL) {
        ptrdiff_t channel = v == vectors - 1 ? last : v * VL;
        V sums[SIZE], weight[25];
#pragma GCC unroll 25
        for (int t = 0; t < taps * taps; t++) weight[t] = K(load)(weights + t * VL);
#pragma GCC unroll 8
        for (int k = 0; k < SIZE; k++) sums[k] = K(load)(weights + taps * taps * VL);
        const T *line = in + channel;
#pragma GCC unroll 16
        for (int r = 0; r < in_height; r++, line += in_row)
#pragma GCC unroll 16
            for (int c = 0; c < in_width; c++) {
                V value = K(load)(places ? places->in[r * in_width + c] + channel
                                         : line + c * in_column);
#pragma GCC unroll 2
                for (int i = 0; i < HEIGHT; i++)
#pragma GCC unroll 4
                    for (int j = 0; j < WIDTH; j++) {
                        int kh = a * r - b * i + first, kw = a * c - b * j + first;
                        if (kh >= 0 && kh < taps && kw >= 0 && kw < taps)
                            sums[i * WIDTH + j] += value * weight[kh * taps + kw];
                    }
            }
        if (ahead) {        /* inputs that are new to the tile below: all columns come once */
#pragma GCC unroll 32
            for (int k = 0; k < down * right; k++)
                FD_PREFETCH(in + channel + (in_height + k / right) * in_row
                            + (taps / 2 + k % right) * in_column);
#pragma GCC unroll 8
            for (int k = 0; k < SIZE; k++) {
                ptrdiff_t below = channel + (HEIGHT + k / WIDTH) * out_row + k % WIDTH * out_column;
                FD_PREFETCH(out + below);
                if (gate) FD_PREFETCH(o->gate + (place + below));
            }
        }
        if (add)
#pragma GCC unroll 8
            for (int k = 0; k < SIZE; k++)
                sums[k] += K(load)(places ? places->add[k] + channel
                    : o->add + (place + k / WIDTH * out_row + k % WIDTH * out_column + channel));
        if (relu)
#pragma GCC unroll 8
            for (int k = 0; k < SIZE; k++) sums[k] = K(gated)(sums[k], sums[k]);
        if (gate)
#pragma GCC unroll 8
            for (int k = 0; k < SIZE; k++)
                sums[k] = K(gated)(K(load)(places ? places->gate[k] + channel
                    : o->gate + (place + k / WIDTH * out_row + k % WIDTH * out_column + channel)),
                    sums[k]);
#pragma GCC unroll 8
        for (int k = 0; k < SIZE; k++)
            K(store)(places ? places->out[k] + channel
                : out + channel + k / WIDTH * out_row + k % WIDTH * out_column, sums[k]);
    }
}

/* Square filters. */
FD_INLINE void K(depthwise_tiles)(const K(outputs) *o, const int taps, const int stride,
                                  const int up)
{
    enum { HEIGHT = K(TILE_ROWS), WIDTH = K(TILE_COLUMNS) };
    const int a = up ? -2 : 1, b = up ? -1 : stride, first = up ? FD_FIRST_TAP(taps) : 0;
    const int in_height = up ? HEIGHT / 2 + (taps - 1) / 2 : (HEIGHT - 1) * stride + taps;
    const int in_width = up ? WIDTH / 2 + (taps - 1) / 2 : (WIDTH - 1) * stride + taps;
    fd_range whole_rows = fd_whole_tiles(o->h, o->rows, o->in_rows, HEIGHT, in_height);
    fd_range whole_columns = fd_whole_tiles(o->w, o->columns, o->in_columns, WIDTH, in_width);
    const int once = o->add == o->out;          /* may be computed only once */
    for (ptrdiff_t i = fd_first_of_tile(o->h, o->rows.begin); i < o->rows.end; i += HEIGHT)
        for (ptrdiff_t j = fd_first_of_tile(o->w, o->columns.begin); j < o->columns.end;
             j += WIDTH) {
            ptrdiff_t row = once ? i : fd_shift_tile(o->h, o->rows, i, HEIGHT);
            ptrdiff_t column = once ? j : fd_shift_tile(o->w, o->columns, j, WIDTH);
            fd_tile tile = {row - o->rows.begin, column - o->columns.begin,
                            fd_first_input(o->h, row) - o->in_rows.begin,
                            fd_first_input(o->w, column) - o->in_columns.begin};
            if (fd_is_in(whole_rows, row) && fd_is_in(whole_columns, column)) {
                K(depthwise_tile)(o, tile, NULL, taps, a, b, first, in_height, in_width);
            } else {
                K(places) places;
                K(find_places)(o, tile, in_height, in_width, &places);
                K(depthwise_tile)(o, tile, &places, taps, a, b, first, in_height, in_width);
            }
        }
}

/* Any filters: `width` outputs (1 or 4) from (row, column) on, whose taps of a row all are there
 * if they are several. */
FD_INLINE void K(depthwise_any_tile)(const K(outputs) *o, ptrdiff_t row, ptrdiff_t column,
                                     const int width)
{
    const fd_meeting *h = o->h, *w = o->w;
    ptrdiff_t top = fd_first_input(h, row) - o->in_rows.begin;
    ptrdiff_t left = fd_first_input(w, column) - o->in_columns.begin;
    fd_range rows = fd_inside(h->taps, h->dilation, top, o->in_rows.end - o->in_rows.begin);
    fd_range columns = fd_inside(w->taps, w->dilation, left,
                                 o->in_columns.end - o->in_columns.begin);
    ptrdiff_t place = (row - o->rows.begin) * o->out_row
        + (column - o->columns.begin) * o->out_column;
    const T *weights = o->weights;
    for (ptrdiff_t v = 0; v < o->vectors; v++, weights += (h->taps * w->taps + 1) * VL) {
        ptrdiff_t channel = v == o->vectors - 1 ? o->last : v * VL;
        V sums[K(TILE_COLUMNS)];
#pragma GCC unroll 4
        for (int k = 0; k < width; k++) sums[k] = K(load)(weights + h->taps * w->taps * VL);
        for (ptrdiff_t kh = rows.begin; kh < rows.end; kh++)
            for (ptrdiff_t kw = columns.begin; kw < columns.end; kw++) {
                V weight = K(load)(weights + (kh * w->taps + kw) * VL);
                const T *in = o->in + (top + kh * h->dilation) * o->in_row
                    + (left + kw * w->dilation) * o->in_column + channel;
#pragma GCC unroll 4
                for (int k = 0; k < width; k++)
                    sums[k] += K(load)(in + k * w->stride * o->in_column) * weight;
            }
#pragma GCC unroll 4
        for (int k = 0; k < width; k++) {
            ptrdiff_t at = place + k * o->out_column + channel;
            if (o->add) sums[k] += K(load)(o->add + at);
            if (o->relu) sums[k] = K(gated)(sums[k], sums[k]);
            if (o->gate) sums[k] = K(gated)(K(load)(o->gate + at), sums[k]);
            K(store)(o->out + at, sums[k]);
        }
    }
}

static void K(depthwise_any)(const K(outputs) *o)
{
    const fd_meeting *w = o->w;
    ptrdiff_t reach = (w->taps - 1) * w->dilation + (K(TILE_COLUMNS) - 1) * w->stride;
    for (ptrdiff_t row = o->rows.begin; row < o->rows.end; row++)
        for (ptrdiff_t column = o->columns.begin; column < o->columns.end;) {
            ptrdiff_t left = fd_first_input(w, column);
            if (column + K(TILE_COLUMNS) <= o->columns.end && left >= o->in_columns.begin
                    && left + reach < o->in_columns.end) {
                K(depthwise_any_tile)(o, row, column, K(TILE_COLUMNS));
                column += K(TILE_COLUMNS);
            } else {
                K(depthwise_any_tile)(o, row, column++, 1);
            }
        }
}
