/* Winograd's convolution for r x r windows of stride 1 (Lavin & Gray, 2016).
 *
 * A tile of m x m outputs is computed from n x n inputs d, n = m + r - 1, and the filter g as
 *
 *   y = A' [(G g G') * (B' d B)] A         * element by element, ' transposes
 *
 * so that the sum over channels becomes n^2 matrix products, one for each point of a transformed
 * tile: [tiles, c] times [c, oc]. F(2x2, 3x3) multiplies 2.25 times less than the definition,
 * F(4x4, 3x3) 4 times less, F(2x2, 5x5) 2.8 times less. The last two have the same points, and so
 * the same transform of d. conv/winograd.py shows the whole in NumPy.
 *
 * A cell is a strip of some images' rows, cut into tiles: few enough that the transformed tiles of
 * inputs and outputs, [point, tile, channel] both, stay in a core's cache, and enough to be worth
 * reading all filters once.
 *
 * Backward to the input is the same from dy to dx, with turned filters and padding r - 1 - P. Where
 * that is much padding, its tiles of dx are more than those that dy has, and multiply zeros. Then
 * tiles of dy are `spread` instead, each over the n x n inputs that its outputs were made from:
 *
 *   dx += B [(G g G') * (A dy A')] B'      * summed over tiles that overlap
 */

#include "kernel_winograd_transforms.h"

static inline ptrdiff_t K(side)(const fd_winograd_args *args) { return args->m + args->taps - 1; }

static inline ptrdiff_t K(points)(const fd_winograd_args *args)
{
    return K(side)(args) * K(side)(args);
}

#define OF_POINTS(name, args) (K(side)(args) == 6 ? K(name##_6) : K(name##_4))
#define TRANSFORM(name, args)                                                                     \
    ((args)->m == 4 ? K(name##_4_3) : (args)->taps == 3 ? K(name##_2_3) : K(name##_2_5))

/* ---- cells ---- */

typedef struct {
    ptrdiff_t m, n, images;
    fd_range rows, columns;             /* of outputs: all of them where tiles are spread */
    ptrdiff_t down, across, tiles;
} K(cell);

static K(cell) K(cell_of)(const fd_winograd_args *args, ptrdiff_t item)
{
    ptrdiff_t m = args->m, column = item % args->column_parts, rest = item / args->column_parts;
    ptrdiff_t n = rest / args->row_parts * args->together;
    K(cell) cell = {.m = m, .n = n, .images = FD_MIN(args->together, args->N - n),
                    .rows = fd_part(args->OH, m, args->row_parts, rest % args->row_parts),
                    .columns = fd_part(args->OW, m, args->column_parts, column)};
    ptrdiff_t height = args->spread ? args->H : cell.rows.end - cell.rows.begin;
    ptrdiff_t width = args->spread ? args->W : cell.columns.end - cell.columns.begin;
    cell.down = (height + m - 1) / m;
    cell.across = (width + m - 1) / m;
    cell.tiles = cell.images * cell.down * cell.across;
    return cell;
}

/* Distance of pixels and tiles: an odd number of vectors, so that the tiles of a point, and the
 * points of a tile, spread over the sets of the cache. */
static inline ptrdiff_t K(odd_pitch)(ptrdiff_t channels)
{
    return ((channels + VL - 1) / VL | 1) * VL;
}

static inline ptrdiff_t K(point_size)(ptrdiff_t tiles, ptrdiff_t channels)
{
    return (tiles | 1) * K(odd_pitch)(channels);
}

/* Distance of the pixels of a cell that is laid out: whole rows are copied at once. */
static inline ptrdiff_t K(laid_pitch)(ptrdiff_t channels) { return FD_MAX(channels, VL); }

/* What the tiles of a cell cover of maps that are read: `reach` pixels more than their outputs. */
static fd_strip K(strip_of_cell)(const K(cell) *cell, ptrdiff_t reach, ptrdiff_t PH, ptrdiff_t PW)
{
    return (fd_strip){.images = cell->images,
                      .first_row = cell->rows.begin - PH, .rows = cell->down * cell->m + reach,
                      .first_column = cell->columns.begin - PW,
                      .columns = cell->across * cell->m + reach};
}

/* Whether the tiles of maps can be read where they lie. */
static inline int K(tiles_lie_ready)(const K(maps) *maps, ptrdiff_t channels)
{
    return maps->channel == 1 && !maps->argmax && channels >= VL;
}

/* Room that transform_cell needs to lay the cell out, unless its tiles lie ready. */
static ptrdiff_t K(room_of_cell)(const K(cell) *cell, ptrdiff_t reach, const K(maps) *maps,
                                 ptrdiff_t channels)
{
    if (K(tiles_lie_ready)(maps, channels)) return 0;
    fd_strip strip = K(strip_of_cell)(cell, reach, 0, 0);
    K(set_distances)(&strip, K(laid_pitch)(channels));
    return K(strip_size)(&strip) + K(strip_extra)(maps, channels);
}

/* Transform all tiles of a cell to out[point, tile, channel], `side` x `side` points that lie
 * `point` apart. */
static void K(transform_cell)(const K(maps) *maps, ptrdiff_t channels, const K(cell) *cell,
                              ptrdiff_t reach, ptrdiff_t PH, ptrdiff_t PW,
                              K(transform) *transform, ptrdiff_t side, T *room, T *out,
                              ptrdiff_t point)
{
    fd_strip strip = K(strip_of_cell)(cell, reach, PH, PW);
    ptrdiff_t m = cell->m, size = m + reach, pitch = K(odd_pitch)(channels);
    int ready = K(tiles_lie_ready)(maps, channels);
    const T *in = room;
    if (ready) {
        strip.image = maps->image, strip.row = maps->row, strip.pixel = maps->pixel;
        in = K(at)(maps, cell->n, strip.first_row, strip.first_column, 0);
    } else {
        K(set_distances)(&strip, K(laid_pitch)(channels));
        K(lay_strip)(maps, cell->n, &strip, 0, channels, room);
    }
    for (ptrdiff_t n = 0; n < cell->images; n++)
        for (ptrdiff_t i = 0; i < cell->down * m; i += m)
            for (ptrdiff_t j = 0; j < cell->across * m; j += m, out += pitch) {
                K(part) inside = {fd_inside(size, 1, strip.first_row + i, maps->H),
                                  fd_inside(size, 1, strip.first_column + j, maps->W)};
                int whole = !ready || (inside.rows.end - inside.rows.begin == size
                                        && inside.columns.end - inside.columns.begin == size);
                const T *tile = in + n * strip.image + i * strip.row + j * strip.pixel;
                if (ready)              /* the row of tiles below this one */
                    for (ptrdiff_t row = size; row < size + m; row++)
                        K(fetch)(tile + row * strip.row, m * strip.pixel);
                transform(tile, strip.row, strip.pixel, whole ? NULL : &inside, out, side * point,
                          point, channels);
            }
}

/* ---- filters: [point][panel of oc][c][NR] ---- */

static inline ptrdiff_t K(filter_point)(const fd_winograd_args *args)
{
    return fd_round_up(args->OC, K(NR)) * args->C + VL;     /* an odd number of vectors */
}

/* One panel. Turned filters come from [c, oc, taps], others from [oc, c, taps]. */
static void K(transform_filters)(const fd_winograd_args *args, fd_range panel)
{
    enum { SOME = 16 };                 /* channels at a time */
    const T *w = args->w;
    T taps[SOME * 25 * K(NR)];
    ptrdiff_t columns = panel.end - panel.begin, width = K(packed_width)(columns);
    ptrdiff_t point = K(filter_point)(args), C = args->C, some;
    ptrdiff_t side = args->taps, size = side * side;
    T *out = (T *)args->filters + panel.begin * C;
    for (ptrdiff_t first = 0; first < C; first += some) {
        some = FD_MIN(C - first, SOME);
        if (!args->turned)
            K(pack)(w + (panel.begin * C + first) * size, C * size, 1, columns, some * size, taps);
        for (ptrdiff_t c = 0; c < some; c++, out += width) {
            T *g = taps + c * size * width;
            ptrdiff_t step = width;
            if (args->turned) {
                K(pack)(w + ((first + c) * args->OC + panel.begin) * size, size, 1, columns, size,
                        g);
                if (!args->spread) g += (size - 1) * width, step = -width;
            }
            TRANSFORM(filter, args)(g, side * step, step, NULL, out, K(side)(args) * point, point,
                                    width);
        }
    }
}

/* Items: 128 bytes of the channels that are written. */
static void K(winograd_filters)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_winograd_args *args = p;
    for (ptrdiff_t item = begin; item < end; item++) {
        fd_range panels = K(panels_of_item)(args->OC, item);
        for (ptrdiff_t i = panels.begin; i < panels.end; i++)
            K(transform_filters)(args, K(panel)(args->OC, i));
    }
}

/* ---- the pass ---- */

/* The products of all points: inputs[point, tile, c] to outputs[point, tile, oc]. */
static void K(multiply_points)(const fd_winograd_args *args, ptrdiff_t tiles, const T *inputs,
                               T *outputs)
{
    ptrdiff_t points = K(points)(args);
    fd_stretch all = {0, 0, args->C};
    for (ptrdiff_t point = 0; point < points; point++)
        for (ptrdiff_t i = 0; i < K(panels)(args->OC); i++) {
            fd_range panel = K(panel)(args->OC, i);
            ptrdiff_t columns = panel.end - panel.begin;
            K(product) p = {
                .a = inputs + point * K(point_size)(tiles, args->C),
                .a_row = K(odd_pitch)(args->C), .a_step = 1,
                .b = (const T *)args->filters + point * K(filter_point)(args)
                    + panel.begin * args->C,
                .b_step = K(packed_width)(columns), .b_second = VL,
                .stretches = &all, .n_stretches = 1,
                .out = outputs + point * K(point_size)(tiles, args->OC) + panel.begin,
                .out_row = K(odd_pitch)(args->OC), .scale = 1};
            K(multiply)(&p, K(APART), tiles, columns);
        }
}

static void K(ask_for_pixels)(const K(maps) *maps, ptrdiff_t n, fd_range rows, fd_range columns,
                              ptrdiff_t channels)
{
    for (ptrdiff_t i = rows.begin; maps->at && i < rows.end; i++)
        for (ptrdiff_t j = columns.begin; j < columns.end; j++)
            K(fetch)(K(at)(maps, n, i, j, 0), channels);
}

/* Transform the products back, and store the outputs that exist; `target`, `start` and `gate` begin
 * where the cell does. */
static void K(store_tiles)(const fd_winograd_args *args, const K(cell) *cell, const T *products,
                           T *y, const K(maps) *target, const K(maps) *start,
                           const K(maps) *gate)
{
    ptrdiff_t m = cell->m, pitch = K(odd_pitch)(args->OC);
    ptrdiff_t point = K(point_size)(cell->tiles, args->OC);
    fd_range rows = cell->rows, columns = cell->columns;
    for (ptrdiff_t n = 0; n < cell->images; n++)
        for (ptrdiff_t h = 0; h < rows.end - rows.begin; h += m)
            for (ptrdiff_t w = 0; w < columns.end - columns.begin; w += m, products += pitch) {
                fd_range some_h = {h, FD_MIN(h + m, rows.end - rows.begin)};
                fd_range some_w = {w, FD_MIN(w + m, columns.end - columns.begin)};
                K(ask_for_pixels)(start, n, some_h, some_w, args->OC);
                K(ask_for_pixels)(gate, n, some_h, some_w, args->OC);
                if (args->OC % VL == 0) {
                    K(ending) ending = {args->b, start->at ? K(at)(start, n, h, w, 0) : NULL,
                                        gate->at ? K(at)(gate, n, h, w, 0) : NULL, args->relu};
                    K(part) stored = {{0, some_h.end - h}, {0, some_w.end - w}};
                    int whole = stored.rows.end == m && stored.columns.end == m;
                    TRANSFORM(end_output, args)(products, K(side)(args) * point, point,
                                         K(at)(target, n, h, w, 0), target->row, target->pixel,
                                         whole ? NULL : &stored, args->OC, &ending);
                    continue;
                }
                TRANSFORM(output, args)(products, K(side)(args) * point, point, NULL, y, m * pitch,
                                        pitch, fd_round_up(args->OC, VL));
                for (ptrdiff_t i = some_h.begin; i < some_h.end; i++)
                    for (ptrdiff_t j = some_w.begin; j < some_w.end; j++)
                        K(finish)(y + ((i - h) * m + j - w) * pitch, args->b,
                                  start->at ? K(at)(start, n, i, j, 0) : NULL,
                                  gate->at ? K(at)(gate, n, i, j, 0) : NULL,
                                  args->relu, args->OC, K(at)(target, n, i, j, 0));
            }
}

/* Elements of the inputs that the tiles of an image are spread over, for a vector of channels. */
static ptrdiff_t K(spread_size)(const fd_winograd_args *args, const K(cell) *cell)
{
    ptrdiff_t reach = args->taps - 1;
    return (cell->down * cell->m + reach) * (cell->across * cell->m + reach) * VL;
}

/* Spread the products of each tile, add up where they overlap, and store as store_tiles does. */
static void K(spread_tiles)(const fd_winograd_args *args, const K(cell) *cell, const T *products,
                            T *sums, const K(maps) *target, const K(maps) *start,
                            const K(maps) *gate)
{
    ptrdiff_t m = cell->m, pitch = K(odd_pitch)(args->OC), tiles = cell->down * cell->across;
    ptrdiff_t point = K(point_size)(cell->tiles, args->OC);
    ptrdiff_t row = (cell->across * m + args->taps - 1) * VL;
    for (ptrdiff_t n = 0; n < cell->images; n++, products += tiles * pitch)
        for (ptrdiff_t c = 0; c < args->OC; c += VL) {
            const T *from = products + c;
            K(fill)(sums, K(spread_size)(args, cell), 0);
            for (ptrdiff_t i = 0; i < cell->down; i++)
                for (ptrdiff_t j = 0; j < cell->across; j++, from += pitch) {
                    T *tile = sums + i * m * row + j * m * VL;
                    K(ending) add = {.start = tile};
                    OF_POINTS(end_spread, args)(from, K(side)(args) * point, point, tile, row, VL,
                                                NULL, VL, &add);
                }
            for (ptrdiff_t h = 0; h < args->OH; h++)
                for (ptrdiff_t w = 0; w < args->OW; w++)
                    K(finish)(sums + (h + args->PH) * row + (w + args->PW) * VL, NULL,
                              start->at ? K(at)(start, n, h, w, 0) + c : NULL,
                              gate->at ? K(at)(gate, n, h, w, 0) + c : NULL, 0,
                              FD_MIN(VL, args->OC - c), K(at)(target, n, h, w, 0) + c);
        }
}

/* Between planes and pixels of a cell: whole rows at once, since these follow each other. Planes,
 * unless there are none, are gathered at `space`, as pixels that lie like `pixels`. */
static K(maps) K(gather_cell)(const K(maps) *planes, const K(cell) *cell, ptrdiff_t channels,
                              K(maps) pixels, T *space)
{
    if (!planes->at) return *planes;
    ptrdiff_t together = pixels.W == planes->W ? pixels.H : 1, length = together * pixels.W;
    pixels.at = space;
    for (ptrdiff_t n = 0; n < cell->images; n++)
        for (ptrdiff_t h = 0; h < pixels.H; h += together)
            K(gather_pixels)(planes, cell->n + n, cell->rows.begin + h, cell->columns.begin, 0,
                             channels, length, K(at)(&pixels, n, h, 0, 0), pixels.pixel);
    return pixels;
}

static void K(scatter_cell)(const K(maps) *planes, const K(cell) *cell, ptrdiff_t channels,
                            const K(maps) *pixels)
{
    ptrdiff_t together = pixels->W == planes->W ? pixels->H : 1, length = together * pixels->W;
    for (ptrdiff_t n = 0; n < cell->images; n++)
        for (ptrdiff_t h = 0; h < pixels->H; h += together)
            K(scatter_pixels)(planes, cell->n + n, cell->rows.begin + h, cell->columns.begin, 0,
                              channels, length, K(at)(pixels, n, h, 0, 0), pixels->pixel);
}

static void K(winograd_cell)(const fd_winograd_args *args, const K(cell) *cell)
{
    ptrdiff_t C = args->C, OC = args->OC, m = args->m, points = K(points)(args);
    ptrdiff_t height = cell->rows.end - cell->rows.begin, side = K(side)(args);
    ptrdiff_t width = cell->columns.end - cell->columns.begin, pitch = K(odd_pitch)(OC);
    K(maps) x = K(gradients_of)(args->x, args->argmax, args->N, C, args->H, args->W,
                                args->channels_last);
    K(maps) y = K(maps_of)(args->y, OC, args->OH, args->OW, args->channels_last);
    K(maps) residual = K(maps_of)(args->residual, OC, args->OH, args->OW, args->channels_last);
    K(maps) gate = K(maps_of)(args->gate, OC, args->OH, args->OW, args->channels_last);
    ptrdiff_t inputs_size = points * K(point_size)(cell->tiles, C);
    ptrdiff_t outputs_size = points * K(point_size)(cell->tiles, OC);
    ptrdiff_t tile_size = args->spread ? K(spread_size)(args, cell) : m * m * pitch;
    ptrdiff_t maps_size = args->channels_last ? 0 : cell->images * height * width * pitch;
    ptrdiff_t reach = args->spread ? 0 : args->taps - 1;
    ptrdiff_t room_size = K(room_of_cell)(cell, reach, &x, C);
    ptrdiff_t all_maps = (1 + (residual.at != NULL) + (gate.at != NULL)) * maps_size;
    T *inputs = fd_scratch((size_t)(inputs_size + outputs_size + tile_size + all_maps + room_size)
                           * sizeof(T));
    if (!inputs) return;
    T *outputs = inputs + inputs_size, *tile = outputs + outputs_size, *pixels = tile + tile_size;
    T *room = pixels + all_maps;
    if (args->spread)
        K(transform_cell)(&x, C, cell, 0, 0, 0, TRANSFORM(gradient, args), side, room, inputs,
                          K(point_size)(cell->tiles, C));
    else
        K(transform_cell)(&x, C, cell, reach, args->PH, args->PW, OF_POINTS(input, args), side,
                          room, inputs, K(point_size)(cell->tiles, C));
    K(multiply_points)(args, cell->tiles, inputs, outputs);
    K(maps) target = y, start = residual;
    if (args->channels_last) {
        target.at = K(at)(&y, cell->n, cell->rows.begin, cell->columns.begin, 0);
        if (start.at) start.at = K(at)(&start, cell->n, cell->rows.begin, cell->columns.begin, 0);
        if (gate.at) gate.at = K(at)(&gate, cell->n, cell->rows.begin, cell->columns.begin, 0);
    } else {
        target = (K(maps)){pixels, height * width * pitch, width * pitch, pitch, 1, height, width};
        start = K(gather_cell)(&residual, cell, OC, target, pixels + maps_size);
        gate = K(gather_cell)(&gate, cell, OC, target, pixels + all_maps - maps_size);
    }
    if (args->spread)
        K(spread_tiles)(args, cell, outputs, tile, &target, &start, &gate);
    else
        K(store_tiles)(args, cell, outputs, tile, &target, &start, &gate);
    if (!args->channels_last) K(scatter_cell)(&y, cell, OC, &target);
}

static void K(take_moments_of_cell)(const fd_winograd_args *args, ptrdiff_t item,
                                    const K(cell) *cell)
{
    K(maps) y = K(maps_of)(args->y, args->OC, args->OH, args->OW, args->channels_last);
    for (ptrdiff_t n = 0; n < cell->images; n++)
        for (ptrdiff_t h = cell->rows.begin; h < cell->rows.end; h++)
            K(take_moments)(args->moments, item, K(at)(&y, cell->n + n, h, cell->columns.begin, 0),
                            cell->columns.end - cell->columns.begin, y.pixel,
                            (fd_range){0, args->OC});
}

/* Items: cells, which are (images, part of the rows, part of the columns). */
static void K(winograd)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_winograd_args *args = p;
    for (ptrdiff_t item = begin; item < end; item++) {
        K(cell) cell = K(cell_of)(p, item);
        if (!cell.tiles) continue;
        K(winograd_cell)(p, &cell);
        if (args->moments) K(take_moments_of_cell)(args, item, &cell);
    }
}
