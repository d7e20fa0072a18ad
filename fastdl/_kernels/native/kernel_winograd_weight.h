/* Winograd's convolution backward to the filters: the transpose of what the forward pass does to g,
 *
 *   dg = G' [sum over tiles of (A dy A') * (B' d B)] G
 *
 * where the sum is n^2 matrix products [c, tiles] times [tiles, oc], made in chunks: some
 * hundred tiles are transformed, and their products added to the sums. With few channels, each
 * thread does so for a part of all tiles, with sums of its own. Where these would be too large, all
 * threads transform the tiles of a chunk, and then each adds up the products of some points and
 * channels.
 */

/* Tiles of the largest cell: cells lie that far apart in the transformed tiles. */
static ptrdiff_t K(most_tiles)(const fd_winograd_args *args)
{
    ptrdiff_t m = args->m, down = (args->OH + m - 1) / m, across = (args->OW + m - 1) / m;
    return args->together * ((down + args->row_parts - 1) / args->row_parts)
        * ((across + args->column_parts - 1) / args->column_parts);
}

/* Items: cells, from args->first_cell on. */
static void K(winograd_weight_tiles)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_winograd_args *args = p;
    ptrdiff_t most = K(most_tiles)(args), side = K(side)(args), reach = args->taps - 1;
    K(maps) x = K(maps_of)(args->x, args->C, args->H, args->W, args->channels_last);
    K(maps) dy = K(gradients_of)(args->dy, args->argmax, args->N, args->OC, args->OH, args->OW,
                                 args->channels_last);
    for (ptrdiff_t item = begin; item < end; item++) {
        K(cell) cell = K(cell_of)(args, args->first_cell + item);
        if (!cell.tiles) continue;
        ptrdiff_t x_size = K(room_of_cell)(&cell, reach, &x, args->C);
        ptrdiff_t dy_size = K(room_of_cell)(&cell, 0, &dy, args->OC);
        T *room = fd_scratch((size_t)FD_MAX(x_size, dy_size) * sizeof(T));
        if (!room) return;
        K(transform_cell)(&x, args->C, &cell, reach, args->PH, args->PW, OF_POINTS(input, args),
                          side, room, (T *)args->x_tiles + item * most * K(odd_pitch)(args->C),
                          K(point_size)(args->cells * most, args->C));
        K(transform_cell)(&dy, args->OC, &cell, 0, 0, 0, TRANSFORM(gradient, args), side, room,
                          (T *)args->dy_tiles + item * most * K(odd_pitch)(args->OC),
                          K(point_size)(args->cells * most, args->OC));
    }
}

/* sums[point, c, oc], and behind them those of db: the distance from one part to the next. */
static inline ptrdiff_t K(sums_size)(const fd_winograd_args *args)
{
    return K(points)(args) * K(point_size)(args->C, args->OC) + K(odd_pitch)(args->OC);
}

static inline T *K(sums_of)(const fd_winograd_args *args, ptrdiff_t point)
{
    return (T *)args->sums + point * K(point_size)(args->C, args->OC);
}

/* Items: (point, 128 bytes of the output channels). */
static void K(winograd_weight_products)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_winograd_args *args = p;
    ptrdiff_t most = K(most_tiles)(args), side = K(side)(args), C = args->C, OC = args->OC;
    ptrdiff_t blocks = fd_round_up(OC * (ptrdiff_t)sizeof(T), 128) / 128;
    ptrdiff_t x_pitch = K(odd_pitch)(C), dy_pitch = K(odd_pitch)(OC);
    fd_stretch *stretches = fd_scratch((size_t)args->cells * sizeof *stretches);
    if (!stretches) return;
    for (ptrdiff_t i = 0; i < args->cells; i++) {
        K(cell) cell = K(cell_of)(args, args->first_cell + i);
        stretches[i] = (fd_stretch){i * most * x_pitch, i * most, cell.tiles};
    }
    for (ptrdiff_t item = begin; item < end; item++) {
        ptrdiff_t point = item / blocks;
        const T *a = (const T *)args->x_tiles + point * K(point_size)(args->cells * most, C);
        const T *b = (const T *)args->dy_tiles + point * K(point_size)(args->cells * most, OC);
        fd_range panels = K(panels_of_item)(OC, item % blocks);
        for (ptrdiff_t i = panels.begin; i < panels.end; i++) {
            fd_range panel = K(panel)(OC, i);
            ptrdiff_t columns = panel.end - panel.begin;
            K(product) product = {
                .a = a, .a_row = 1, .a_step = x_pitch,
                .b = b + panel.begin, .b_step = dy_pitch, .b_second = K(second)(columns),
                .stretches = stretches, .n_stretches = args->cells,
                .out = K(sums_of)(args, point) + panel.begin, .out_row = dy_pitch,
                .start_row = dy_pitch, .scale = 1};
            product.start = args->add ? product.out : NULL;
            K(multiply)(&product, K(ADJACENT), C, columns);
            if (point != side + 1) continue;
            /* At point (1, 1) a transformed tile is the sum of its gradients. */
            T *db = K(sums_of)(args, K(points)(args)) + panel.begin;
            if (!args->add) K(fill)(db, FD_MAX(columns, VL), 0);
            for (ptrdiff_t s = 0; s < args->cells; s++) {
                fd_strip tiles = {.images = 1, .rows = 1, .columns = stretches[s].length,
                                  .pixel = dy_pitch};
                K(add_pixels)(&tiles, b + panel.begin + stretches[s].b * dy_pitch,
                              FD_MAX(columns, VL), db);
            }
        }
    }
}

/* Items: parts of all cells, in chunks of args->cells. */
static void K(winograd_weight_parts)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_winograd_args *args = p;
    ptrdiff_t points = K(points)(args), tiles = args->cells * K(most_tiles)(args);
    ptrdiff_t blocks = fd_round_up(args->OC * (ptrdiff_t)sizeof(T), 128) / 128;
    for (ptrdiff_t item = begin; item < end; item++) {
        fd_range cells = fd_part(args->all_cells, 1, args->parts, item);
        fd_winograd_args part = *args;
        part.x_tiles = (T *)args->x_tiles + item * points * K(point_size)(tiles, args->C);
        part.dy_tiles = (T *)args->dy_tiles + item * points * K(point_size)(tiles, args->OC);
        part.sums = (T *)args->sums + item * K(sums_size)(args);
        for (ptrdiff_t first = cells.begin; first < cells.end; first += args->cells) {
            part.first_cell = first;
            part.cells = FD_MIN(args->cells, cells.end - first);
            part.add = first > cells.begin;
            K(winograd_weight_tiles)(&part, 0, part.cells);
            K(winograd_weight_products)(&part, 0, points * blocks);
        }
    }
}

/* Add the sums of the other parts to those of the first, for one line of them. */
static void K(add_parts)(const fd_winograd_args *args, T *line)
{
    for (ptrdiff_t part = 1; part < args->parts; part++)
        for (ptrdiff_t o = 0; o < args->OC; o += VL)
            K(store)(line + o, K(load)(line + o) + K(load)(line + part * K(sums_size)(args) + o));
}

/* Items: input channels. */
static void K(winograd_weight_store)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_winograd_args *args = p;
    ptrdiff_t C = args->C, OC = args->OC, point = K(point_size)(C, OC);
    ptrdiff_t side = args->taps, size = side * side;
    ptrdiff_t pitch = K(odd_pitch)(OC), some;
    enum { SOME = 16 };                 /* channels at a time */
    T *taps = fd_scratch((size_t)(SOME * size * pitch) * sizeof(T));
    if (!taps) return;
    for (ptrdiff_t first = begin; first < end; first += some) {
        some = FD_MIN(SOME, end - first);
        for (ptrdiff_t c = 0; c < some; c++) {
            for (ptrdiff_t i = 0; i < K(points)(args); i++)
                K(add_parts)(args, K(sums_of)(args, i) + (first + c) * pitch);
            TRANSFORM(taps, args)(K(sums_of)(args, 0) + (first + c) * pitch,
                                  K(side)(args) * point, point, NULL, taps + c * size * pitch,
                                  side * pitch, pitch, fd_round_up(OC, VL));
        }
        K(transpose)(taps, pitch, some * size, OC, (T *)args->dw + first * size, C * size);
    }
    if (args->db && !begin) {
        T *db = K(sums_of)(args, K(points)(args));
        K(add_parts)(args, db);
        K(copy)(args->db, db, OC);
    }
}
#undef OF_POINTS
#undef TRANSFORM
