/* Depthwise convolution, forward and backward to the input. */
#include "depthwise.h"
#include "kernel_depthwise_maps.h"
#include "kernel_depthwise_tile.h"
#include "kernel_depthwise_row.h"
#include "kernel_depthwise_weight.h"

/* By rows where a vector fills a line of the caches. Shorter ones would come to each line again and
 * again, and sets that have them have too few registers for weights and sums. */
enum { K(BY_ROWS) = FD_VBYTES >= 64 };

FD_INLINE void K(depthwise_3_by)(const K(outputs) *o, const int stride)
{
    if (K(BY_ROWS))
        K(depthwise_rows)(o, 3, stride);
    else
        K(depthwise_tiles)(o, 3, stride, 0);
}

/* Functions of their own: of one that had them all, the compiler makes slow code. */
FD_RARE void K(depthwise_3)(const K(outputs) *o) { K(depthwise_3_by)(o, 1); }
FD_RARE void K(depthwise_3_down)(const K(outputs) *o) { K(depthwise_3_by)(o, 2); }
FD_RARE void K(depthwise_3_up)(const K(outputs) *o) { K(depthwise_tiles)(o, 3, 2, 1); }
FD_RARE void K(depthwise_5)(const K(outputs) *o) { K(depthwise_tiles)(o, 5, 1, 0); }
FD_RARE void K(depthwise_5_down)(const K(outputs) *o) { K(depthwise_tiles)(o, 5, 2, 0); }
FD_RARE void K(depthwise_5_up)(const K(outputs) *o) { K(depthwise_tiles)(o, 5, 2, 1); }

static void K(depthwise_outputs)(const K(outputs) *o)
{
    const fd_meeting *h = o->h;
    int kind = h->up ? 2 : h->stride - 1;
    void (*const of_3[])(const K(outputs) *) = {
        K(depthwise_3), K(depthwise_3_down), K(depthwise_3_up)};
    void (*const of_5[])(const K(outputs) *) = {
        K(depthwise_5), K(depthwise_5_down), K(depthwise_5_up)};
    if (!fd_has_tiles(h, o->w))
        K(depthwise_any)(o);
    else
        (h->taps == 3 ? of_3 : of_5)[kind](o);
}

/* A walk that writes outputs: those at row * step_h + phase_h, and columns alike. */
typedef struct {
    K(walk) walk;                       /* comes first */
    int backward, ahead, stream;
    ptrdiff_t phase_h, phase_w, step_h, step_w;
} K(writer);

/* Weights of VL channels side by side; tap t of the walk is tap last - t * step of the filters. */
static void K(pack_taps)(const K(writer) *writer, fd_axis h, fd_axis w)
{
    const K(walk) *walk = &writer->walk;
    const fd_depthwise_args *args = walk->args;
    const fd_window *window = &args->window;
    const T *bias = writer->backward ? NULL : args->b;
    T *out = walk->taps;
    for (ptrdiff_t vector = 0; vector < walk->vectors; vector++)
        for (ptrdiff_t j = 0; j < walk->multiplier; j++) {
            ptrdiff_t oc = K(first_channel)(walk, vector) * walk->multiplier + j;
            const T *filters = (const T *)args->w + oc * window->KH * window->KW;
            ptrdiff_t filter = walk->multiplier * window->KH * window->KW;
            for (ptrdiff_t kh = 0; kh < h.size; kh++)
                for (ptrdiff_t kw = 0; kw < w.size; kw++, out += VL) {
                    ptrdiff_t tap = (h.last - kh * h.step) * window->KW + w.last - kw * w.step;
                    for (ptrdiff_t lane = 0; lane < VL; lane++)
                        out[lane] = lane < walk->lanes ? filters[lane * filter + tap] : 0;
                }
            for (ptrdiff_t lane = 0; lane < VL; lane++)
                out[lane] = bias && lane < walk->lanes ? bias[oc + lane * walk->multiplier] : 0;
            out += VL;
        }
}

/* The writer's outputs of a block, in maps like those that it writes. */
static K(view) K(view_of_outputs)(const K(writer) *writer, const void *maps, ptrdiff_t n,
                                  const fd_block *block, ptrdiff_t j)
{
    K(view) view = K(view_of)(&writer->walk, maps, !writer->backward, n, block->vectors, j);
    view = K(view_at)(view, writer->phase_h, writer->phase_w);
    view.row *= writer->step_h;
    view.column *= writer->step_w;
    return view;
}

/* The gradients of inputs are the sums over all j, and a block then has one vector. */
static void K(write_block)(void *p, ptrdiff_t n, const fd_block *block)
{
    K(writer) *writer = p;
    K(walk) *walk = &writer->walk;
    const fd_depthwise_args *args = walk->args;
    int backward = writer->backward;
    ptrdiff_t height = fd_length(block->rows), width = fd_length(block->columns);
    K(outputs) o = {
        .h = &walk->h, .w = &walk->w, .rows = block->rows, .columns = block->columns,
        .vectors = fd_length(block->vectors), .relu = args->relu && !backward,
        .ahead = writer->ahead, .stream = writer->stream, .zeros = walk->zeros, .dump = walk->dump};
    for (ptrdiff_t j = 0; j < walk->multiplier; j++) {
        if (backward || j == 0) {
            K(view) from = K(view_of)(walk, backward ? args->dy : args->x, backward, n,
                                      block->vectors, j);
            K(pixels) in;
            if (K(is_in_vectors)(&from)) {
                o.in_rows = fd_inputs_of(&walk->h, block->rows);
                o.in_columns = fd_inputs_of(&walk->w, block->columns);
                in = K(pixels_of)(from, o.in_rows, o.in_columns, walk->patch);
            } else {            /* padding is laid too: few channels at a time make edges dear */
                o.in_rows = fd_reach_of(&walk->h, block->rows);
                o.in_columns = fd_reach_of(&walk->w, block->columns);
                in = K(lay_patch)(from, &walk->h, &walk->w, o.in_rows, o.in_columns, walk->patch);
            }
            o.in = in.data;
            o.in_row = in.row;
            o.in_column = in.column;
        }
        int first = !backward || j == 0, last = !backward || j == walk->multiplier - 1;
        K(view) to = K(view_of_outputs)(writer, backward ? args->dx : args->y, n, block, j);
        to = K(view_at)(to, block->rows.begin, block->columns.begin);
        int direct = K(is_in_vectors)(&to);
        o.out = direct ? to.data : walk->out;
        o.out_row = direct ? to.row : width * VL;
        o.out_column = direct ? to.column : VL;
        o.last = to.last;
        o.weights = K(taps_of)(walk, block->vectors.begin, j);
        o.add = first ? NULL : o.out;
        o.gate = NULL;
        if (args->residual && first) {
            K(view) add = K(view_of_outputs)(writer, args->residual, n, block, j);
            /* In place, what follows these rows may be another thread's, which writes it. */
            if (args->residual == args->dx) add.end = add.data;
            o.add = K(pixels_of)(add, block->rows, block->columns, walk->add).data;
        }
        if (args->gate && last)
            o.gate = K(pixels_of)(K(view_of_outputs)(writer, args->gate, n, block, j),
                                  block->rows, block->columns, walk->gate).data;
        K(depthwise_outputs)(&o);
        if (!direct && last)
            K(write_rows)(to, height, width, walk->out);
    }
}

/* Items: row_cells for each image. */
static void K(write_maps)(K(writer) *writer, fd_axis h, fd_axis w, ptrdiff_t begin, ptrdiff_t end)
{
    K(walk) *walk = &writer->walk;
    if (!K(prepare_walk)(walk)) return;
    K(pack_taps)(writer, h, w);
    writer->ahead = K(is_beyond_caches)(walk);
    writer->stream = K(passes_caches)(walk, writer->backward ? walk->args->dx : walk->args->y);
    ptrdiff_t cells = walk->args->row_cells;
    for (ptrdiff_t item = begin; item < end; item++) {
        fd_block all = {fd_part(walk->h.outputs, K(TILE_ROWS), cells, item % cells),
                        {0, walk->w.outputs}, {0, walk->vectors}};
        K(walk_blocks)(walk, K(write_block), item / cells, all);
    }
}

static void K(conv2d_depthwise)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_depthwise_args *args = p;
    const fd_window *w = &args->window;
    K(writer) writer = {
        .walk = {.args = args,
                 .h = {w->KH, w->SH, w->PH, w->DH, 0, w->H, w->OH},
                 .w = {w->KW, w->SW, w->PW, w->DW, 0, w->W, w->OW}},
        .step_h = 1, .step_w = 1};
    K(write_maps)(&writer, fd_forward_axis(w->KH, 0, 1), fd_forward_axis(w->KW, 0, 1), begin, end);
}

/* One walk up where there are tiles for that; else one for each place of an input modulo stride. */
static void K(conv2d_depthwise_backward_input)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_depthwise_args *args = p;
    const fd_window *w = &args->window;
    K(writer) writer = {
        .walk = {.args = args,
                 .h = {w->KH, w->SH, w->PH, w->DH, 1, w->OH, w->H},
                 .w = {w->KW, w->SW, w->PW, w->DW, 1, w->OW, w->W}},
        .backward = 1, .step_h = 1, .step_w = 1};
    if (fd_has_tiles(&writer.walk.h, &writer.walk.w) && w->SH == 2) {
        K(write_maps)(&writer, fd_forward_axis(w->KH, 0, 1), fd_forward_axis(w->KW, 0, 1), begin,
                      end);
        return;
    }
    writer.step_h = w->SH;
    writer.step_w = w->SW;
    for (writer.phase_h = 0; writer.phase_h < FD_MIN(w->SH, w->H); writer.phase_h++)
        for (writer.phase_w = 0; writer.phase_w < FD_MIN(w->SW, w->W); writer.phase_w++) {
            fd_axis h = fd_backward_axis(w->KH, w->SH, w->PH, w->DH, writer.phase_h);
            fd_axis v = fd_backward_axis(w->KW, w->SW, w->PW, w->DW, writer.phase_w);
            writer.walk.h = (fd_meeting){h.size, 1, h.padding, h.dilation, 0, w->OH,
                                         (w->H - writer.phase_h + w->SH - 1) / w->SH};
            writer.walk.w = (fd_meeting){v.size, 1, v.padding, v.dilation, 0, w->OW,
                                         (w->W - writer.phase_w + w->SW - 1) / w->SW};
            K(write_maps)(&writer, h, v, begin, end);
        }
}
