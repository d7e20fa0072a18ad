"""Winograd's algorithm (native/kernel_winograd.h): when it is used, and how its work is cut."""

cdef enum:
    CELL_TILES = 28         # transformed tiles, and the products, stay in a core's cache
    FAR_TILES = 112         # where the filters do not stay in any cache, they are read less often
    FAR_BYTES = 1 << 24     # transformed filters of more than that do not


cdef inline Py_ssize_t round_up(Py_ssize_t a, Py_ssize_t unit) noexcept:
    return ceil_div(a, unit) * unit


cdef double winograd_cost(fd_conv_args *args, Py_ssize_t height, Py_ssize_t width, Py_ssize_t m,
                          bint to_filters) noexcept:
    """Time of a pass in multiplications, for one channel read and one written.

    Beside its products, a tile costs its transforms, which are shared by all channels of the other
    side; and each filter costs its own. The constants are fitted to measurements.
    """
    cdef Py_ssize_t C = args.window.C, OC = args.OC, points = points_of(m, args.window.KH)
    cdef double tiles = <double> args.window.N * ceil_div(height, m) * ceil_div(width, m)
    cdef bint far = not to_filters and are_far(points, C, OC)
    return points * (tiles * (1.15 + 15. / C + 15. / OC) + (80 if far else 50))


cdef inline Py_ssize_t points_of(Py_ssize_t m, Py_ssize_t taps) noexcept:
    """Of a tile of m x m outputs of windows of taps x taps."""
    return (m + taps - 1) * (m + taps - 1)


cdef inline bint are_far(Py_ssize_t points, Py_ssize_t C, Py_ssize_t OC) noexcept:
    """Whether transformed filters are too many for the caches."""
    return <double> points * C * OC * sizeof(float) > FAR_BYTES


cdef Py_ssize_t winograd_tile(fd_conv_args *args, fd_dtype dtype, object algorithm,
                              Py_ssize_t height, Py_ssize_t width, bint to_filters) except -1:
    """Outputs along a side of a tile, 2 or 4, for outputs of (height, width); 0 for direct."""
    cdef fd_window *w = &args.window
    cdef double small, large, direct = <double> w.KH * w.KW * w.N * height * width
    if (algorithm == "direct" or dtype != FD_FLOAT32 or args.groups != 1
            or w.KH != w.KW or w.KH != 3 and w.KH != 5 or w.SH * w.SW * w.DH * w.DW != 1):
        return 0
    small = winograd_cost(args, height, width, 2, to_filters)
    large = winograd_cost(args, height, width, 4, to_filters) if w.KH == 3 else small + 1
    if algorithm == "auto" and min(small, large) > direct:
        return 0
    return 2 if small < large else 4


cdef fd_winograd_args winograd_args(fd_conv_args *args, Py_ssize_t m) noexcept:
    """The forward pass, also as the backward passes start from it."""
    cdef fd_window *w = &args.window
    cdef fd_winograd_args job
    memset(&job, 0, sizeof(job))
    job.N, job.C, job.H, job.W = w.N, w.C, w.H, w.W
    job.OC, job.OH, job.OW, job.PH, job.PW, job.m = args.OC, w.OH, w.OW, w.PH, w.PW, m
    job.taps = w.KH
    job.channels_last = args.channels_last
    return job


cdef inline (Py_ssize_t, Py_ssize_t) tiles_of(fd_winograd_args *job) noexcept:
    """Tiles down and across an image."""
    if job.spread:
        return ceil_div(job.H, job.m), ceil_div(job.W, job.m)
    return ceil_div(job.OH, job.m), ceil_div(job.OW, job.m)


cdef void look_backward(fd_winograd_args *job, Py_ssize_t PH, Py_ssize_t PW, int threads) noexcept:
    """Go backward to the input of a pass with that padding, by the cheaper tiles.

    Those of dy cost a little more each, since what they are spread over is added up; that is done
    for a whole image at a time.
    """
    cdef Py_ssize_t down, across, reached
    down, across = tiles_of(job)
    reached = down * across
    job.turned = job.spread = True
    job.PH, job.PW = PH, PW
    down, across = tiles_of(job)
    if not (0 < down * across <= CELL_TILES and 5 * down * across <= 4 * reached
            and job.N >= EVEN * threads):
        job.spread = False
        job.PH, job.PW = job.taps - 1 - PH, job.taps - 1 - PW


cdef Py_ssize_t cut_cells(fd_winograd_args *job, Py_ssize_t most, int threads) noexcept:
    """Cut the outputs into cells of at most about so many tiles; returns how many cells."""
    cdef Py_ssize_t down, across, tiles, parts, groups
    down, across = tiles_of(job)
    tiles = down * across
    job.together = job.row_parts = job.column_parts = 1
    if tiles < 1 or job.N < 1:
        return 0
    if min(most // tiles, job.N // threads) > 1:
        groups = round_up(ceil_div(job.N, most // tiles), threads)
        job.together = ceil_div(job.N, groups)
    elif not job.spread:
        parts = ceil_div(tiles, most)
        if job.N % threads:
            parts = round_up(parts, threads)
        job.row_parts = min(down, parts)
        job.column_parts = min(across, ceil_div(parts, job.row_parts))
    return ceil_div(job.N, job.together) * job.row_parts * job.column_parts


cdef inline Py_ssize_t line_bytes(Py_ssize_t channels) noexcept:
    """At least what the channels of one tile and point take, with room to keep lines apart."""
    return ceil_div(channels * sizeof(float), PANEL_BYTES) * PANEL_BYTES + PANEL_BYTES


cdef Py_ssize_t most_tiles(fd_winograd_args *job) noexcept:
    """How many tiles a cell may have."""
    return FAR_TILES if are_far(points_of(job.m, job.taps), job.C, job.OC) else CELL_TILES


cdef int transform_filters(fd_winograd_args *job) except -1:
    cdef Py_ssize_t points = points_of(job.m, job.taps)
    job.filters = shared_scratch(points * line_bytes(job.OC) * (job.C + 1))
    return run(FD_winograd_filters, FD_FLOAT32, job, panel_items(job.OC, sizeof(float)),
               <double> points * job.C * job.OC)


cdef int correlate_by_winograd(fd_winograd_args *job, double work) except -1:
    """A forward pass, or one backward to the input."""
    cdef Py_ssize_t cells = cut_cells(job, most_tiles(job), threads_for(work))
    transform_filters(job)
    if job.moments != NULL:
        open_slots(job.moments, cells)
    return run(FD_winograd, FD_FLOAT32, job, cells, work)


cdef int winograd_backward_weight(fd_winograd_args *job, double work) except -1:
    """In chunks of tiles that stay in the caches.

    Few sums do, too, and each thread has its own; many are better visited less often, by all.
    """
    cdef int threads = threads_for(work)
    cdef Py_ssize_t points = points_of(job.m, job.taps), tiles, of_x, of_dy, of_sums
    cdef bint few
    job.all_cells = cut_cells(job, CELL_TILES, threads)
    of_sums = (points * (job.C + 1) + 1) * line_bytes(job.OC)
    few = of_sums <= 4 * SUMS_BYTES
    job.parts = min(threads, job.all_cells) if few else 1
    tiles = (job.together * ceil_div(ceil_div(job.OH, job.m), job.row_parts)
             * ceil_div(ceil_div(job.OW, job.m), job.column_parts))
    job.cells = max(1, (128 if few else 256) // tiles)
    if not few:
        job.cells = round_up(job.cells, threads)
    job.cells = min(job.cells, job.all_cells)
    of_x = points * (job.cells * tiles + 1) * line_bytes(job.C)
    of_dy = points * (job.cells * tiles + 1) * line_bytes(job.OC)
    job.x_tiles = shared_scratch(job.parts * (of_x + of_dy + of_sums))
    job.dy_tiles = <char *> job.x_tiles + job.parts * of_x
    job.sums = <char *> job.dy_tiles + job.parts * of_dy
    if few or threads == 1:
        run(FD_winograd_weight_parts, FD_FLOAT32, job, job.parts, work)
    else:
        weight_products_together(job, work)
    run(FD_winograd_weight_store, FD_FLOAT32, job, job.C, <double> points * job.C * job.OC)
    return 0


cdef int weight_products_together(fd_winograd_args *job, double work) except -1:
    """All threads on each chunk of cells."""
    cdef Py_ssize_t chunk = job.cells, points = points_of(job.m, job.taps)
    while job.first_cell < job.all_cells:
        job.cells = min(chunk, job.all_cells - job.first_cell)
        run(FD_winograd_weight_tiles, FD_FLOAT32, job, job.cells, work)
        run(FD_winograd_weight_products, FD_FLOAT32, job,
            points * panel_items(job.OC, sizeof(float)), work)
        job.add = True
        job.first_cell += chunk
    return 0
