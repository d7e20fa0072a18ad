"""What the Cython kernels share: the native declarations, checked buffers, and `run`."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "fastdl_native.h" nogil:
    enum fd_dtype:
        FD_FLOAT32
        FD_FLOAT64

    enum fd_kernel:
        FD_copy_maps, FD_copy_matrix, FD_add, FD_multiply_elements, FD_column_sums
        FD_moments, FD_scale_maps, FD_scale_maps_backward
        FD_gemm, FD_gemm_pack
        FD_im2col, FD_col2im
        FD_conv2d_pack, FD_conv2d
        FD_conv2d_backward_pack, FD_conv2d_backward_input, FD_conv2d_backward_weight
        FD_winograd_filters, FD_winograd
        FD_winograd_weight_tiles, FD_winograd_weight_products, FD_winograd_weight_parts
        FD_winograd_weight_store
        FD_conv2d_depthwise, FD_conv2d_depthwise_backward_input
        FD_conv2d_depthwise_backward_weight, FD_conv2d_depthwise_weight_store
        FD_conv2d_max_pool2d, FD_max_pool2d, FD_max_pool2d_backward
        FD_avg_pool2d, FD_avg_pool2d_backward
        FD_global_avg_pool2d, FD_global_avg_pool2d_backward
        FD_global_max_pool2d, FD_global_max_pool2d_backward
        FD_batch_norm_by_channels, FD_batch_norm_guess, FD_batch_norm_sums, FD_batch_norm_finish
        FD_batch_norm_map
        FD_group_norm, FD_group_norm_backward, FD_group_norm_backward_weight
        FD_local_response_norm, FD_local_response_norm_backward
        FD_relu, FD_relu_backward, FD_relu6, FD_relu6_backward
        FD_leaky_relu, FD_leaky_relu_backward
        FD_sigmoid, FD_sigmoid_backward, FD_tanh, FD_tanh_backward
        FD_silu, FD_silu_backward, FD_hardsigmoid, FD_hardsigmoid_backward
        FD_hardswish, FD_hardswish_backward
        FD_gelu, FD_gelu_backward, FD_gelu_tanh, FD_gelu_tanh_backward
        FD_softmax, FD_softmax_backward
        FD_softmax_cross_entropy, FD_softmax_cross_entropy_backward
        FD_softmax_cross_entropy_with_gradient
        FD_softmax_cross_entropy_dense, FD_softmax_cross_entropy_dense_backward
        FD_softmax_cross_entropy_dense_with_gradient
        FD_cross_entropy, FD_cross_entropy_backward, FD_mse, FD_mse_backward
        FD_binary_cross_entropy, FD_binary_cross_entropy_backward
        FD_dropout, FD_dropout_channels_last
        FD_crop_mirror_normalize
        FD_sgd_update, FD_momentum_update, FD_nesterov_update, FD_adagrad_update
        FD_adadelta_update, FD_rmsprop_update, FD_adam_update, FD_adamw_update, FD_nadam_update

    ctypedef struct fd_window:
        Py_ssize_t N, C, H, W, OH, OW, KH, KW, SH, SW, PH, PW, DH, DW

    enum:
        FD_MOMENTS_ROWS

    ctypedef struct fd_moments_args:
        Py_ssize_t C, n_slots
        double *slots
        void *moments

    ctypedef struct fd_gemm_args:
        const void *a
        const void *b
        const void *bias
        const void *start
        const void *gate
        void *out
        Py_ssize_t M, N, K, a_row, b_row, gate_row, out_row
        bint trans_a, trans_b, relu, stream
        double alpha, beta
        void *packed
        fd_moments_args *moments
        Py_ssize_t grid_m, grid_n

    bint fd_b_lies_ready(const fd_gemm_args *args, Py_ssize_t rows, size_t itemsize)

    ctypedef struct fd_im2col_args:
        fd_window window
        const void *source
        void *target
        bint transpose, stream

    ctypedef struct fd_conv_args:
        fd_window window
        const void *x
        const void *w
        const void *b
        const void *residual
        const void *gate
        const void *argmax
        const void *dy
        void *y
        void *dx
        void *dw
        void *db
        Py_ssize_t OC, groups
        bint channels_last, relu
        void *packed
        fd_moments_args *moments
        Py_ssize_t together, row_parts, column_parts, dw_parts, channel_parts

    enum:
        FD_FEW_CHANNELS

    ctypedef struct fd_depthwise_args:
        fd_window window
        Py_ssize_t OC
        bint channels_last
        const void *x
        const void *w
        const void *b
        const void *dy
        const void *residual
        const void *gate
        bint relu
        void *y
        void *dx
        void *dw
        void *db
        void *sums
        Py_ssize_t row_cells, image_cells, channel_cells

    ctypedef struct fd_winograd_args:
        Py_ssize_t N, C, H, W, OC, OH, OW, PH, PW, m, taps
        const void *x
        const void *w
        const void *b
        const void *residual
        const void *gate
        const void *dy
        const void *argmax
        void *y
        void *dw
        void *db
        bint channels_last, relu, turned, spread
        fd_moments_args *moments
        void *filters
        Py_ssize_t together, row_parts, column_parts
        void *x_tiles
        void *dy_tiles
        void *sums
        Py_ssize_t first_cell, cells, all_cells, parts
        bint add

    ctypedef struct fd_pool_args:
        fd_window window
        const void *x
        const void *gate
        void *y
        void *argmax
        int argmax_bytes
        bint count_include_pad, channels_last, stream

    enum:
        FD_POOL_CHANNELS

    ctypedef struct fd_conv_pool_args:
        fd_conv_args conv
        fd_winograd_args winograd
        bint by_winograd
        fd_pool_args pool
        Py_ssize_t images

    ctypedef struct fd_norm_args:
        Py_ssize_t N, C, L
        bint by_rows, backward, training, relu
        double cap
        const void *x
        const void *weight
        const void *bias
        const void *residual
        const void *dy
        void *y
        void *dx
        void *dresidual
        void *dw
        void *db
        void *mean
        void *rstd
        const void *var
        void *running_mean
        void *running_var
        double momentum, eps
        Py_ssize_t parts
        double *sums
        const void *moments
        bint stream

    ctypedef struct fd_group_norm_args:
        Py_ssize_t N, G, K, L
        const void *x
        const void *dy
        const void *weight
        const void *bias
        void *y
        void *dx
        void *dw
        void *db
        void *mean
        void *rstd
        double eps

    enum:
        FD_GROUP_BLOCK

    ctypedef struct fd_lrn_args:
        Py_ssize_t C, L, size
        const void *x
        const void *dy
        void *y
        void *base
        void *dx
        double alpha, beta, k

    enum:
        FD_LRN_BLOCK

    ctypedef struct fd_activation_args:
        const void *x
        const void *dy
        void *y
        Py_ssize_t columns
        double slope
        bint stream

    ctypedef struct fd_sums_args:
        const void *x
        void *sums
        Py_ssize_t rows, columns, row_parts

    enum:
        FD_SUMS_BLOCK

    ctypedef struct fd_layout_args:
        const void *x
        void *y
        Py_ssize_t C, L
        bint to_pixels
        Py_ssize_t parts

    ctypedef struct fd_copy_args:
        const void *x
        void *y
        Py_ssize_t rows, columns, x_row, y_row
        bint stream
        Py_ssize_t parts

    ctypedef struct fd_scale_args:
        const void *x
        const void *s
        const void *dy
        void *y
        void *ds
        Py_ssize_t N, C, L
        bint channels_last, stream
        Py_ssize_t parts

    enum:
        FD_SCALE_BLOCK

    ctypedef struct fd_loss_args:
        Py_ssize_t columns
        const void *x
        const void *t
        void *p
        void *loss
        void *dx
        double eps, scale

    ctypedef struct fd_dropout_args:
        const void *x
        void *y
        Py_ssize_t size, channels, pixels
        uint64_t seed
        uint32_t threshold
        double scale

    ctypedef struct fd_image_args:
        const void *x
        const int64_t *rows
        const int64_t *top
        const int64_t *left
        const int64_t *mirror
        const void *scale
        const void *shift
        const void *fill
        void *y
        Py_ssize_t C, H, W, OH, OW
        bint x_bytes, x_channels_last, y_channels_last

    ctypedef struct fd_parameter:
        void *w
        const void *dw
        void *s1
        void *s2
        Py_ssize_t size, first

    enum:
        FD_UPDATE_BLOCK

    ctypedef struct fd_optimizer_args:
        const fd_parameter *parameters
        Py_ssize_t count
        double lr, weight_decay, eps, d1, d2, c1, c2, c3

# dtype of an array as the tables know it; raises TypeError for any other.
cdef fd_dtype dtype_of(object array) except *

# Data of a C-contiguous array of `dtype` with the given sizes (of any rank, for `buffer`); anything
# else raises, so that native code never sees an array that does not fit.
cdef void *buffer(object array, fd_dtype dtype, Py_ssize_t size) except? NULL
cdef void *buffer1(object array, fd_dtype dtype, Py_ssize_t n0) except? NULL
cdef void *buffer2(object array, fd_dtype dtype, Py_ssize_t n0, Py_ssize_t n1) except? NULL
cdef void *buffer4(object array, fd_dtype dtype, Py_ssize_t n0, Py_ssize_t n1, Py_ssize_t n2,
                   Py_ssize_t n3) except? NULL

# The same for a matrix whose rows may have gaps between them: `row` is the distance of two.
cdef void *matrix(object array, fd_dtype dtype, Py_ssize_t n0, Py_ssize_t n1,
                  Py_ssize_t *row) except? NULL

# Division here is that of C, which rounds towards 0: -(-a // b) would not do.
cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept:
    return (a + b - 1) // b

# Kernels that pack matrices into panels take this much of a row as an item; and how many there are.
cdef enum:
    PANEL_BYTES = 128

cdef inline Py_ssize_t panel_items(Py_ssize_t columns, Py_ssize_t itemsize) noexcept:
    return ceil_div(columns * itemsize, PANEL_BYTES)

# The same for feature maps, and whether such maps lie channels-last: as (N, H, W, C), or (N, L, C),
# in memory, and not also as their shape says.
cdef void *maps4(object array, fd_dtype dtype, Py_ssize_t N, Py_ssize_t C, Py_ssize_t H,
                 Py_ssize_t W, bint channels_last) except? NULL
cdef bint is_channels_last(object array) except -1

# The same for arrays of any rank, of which only the layout and the size count.
cdef void *dense(object array, fd_dtype dtype, Py_ssize_t size, bint channels_last) except? NULL

# The same, or NULL for None.
cdef void *optional1(object array, fd_dtype dtype, Py_ssize_t n0) except? NULL
cdef void *optional_maps4(object array, fd_dtype dtype, Py_ssize_t N, Py_ssize_t C, Py_ssize_t H,
                          Py_ssize_t W, bint channels_last) except? NULL

# The same for integers of `itemsize` bytes: labels and argmax.
cdef void *integers(object array, Py_ssize_t size, int itemsize) except? NULL

# The window over planes of `x` (N, C, H, W) that gives `output` (OH, OW).
cdef int set_window(fd_window *window, tuple x, tuple output, tuple kernel, tuple stride,
                    tuple padding, tuple dilation) except -1

# How many threads `work` (scalar operations or elements moved) is worth.
cdef int threads_for(double work) noexcept nogil

# Whether a result of so many elements is written past the caches.
cdef bint streams(Py_ssize_t size, fd_dtype dtype) noexcept nogil

# Memory that all threads of the next runs may use, until this thread asks again (packed weights).
cdef void *shared_scratch(size_t bytes) except NULL
cdef int open_slots(fd_moments_args *args, Py_ssize_t slots) except -1

# Run the kernel over [0, items), split over as many threads as `work` is worth.
cdef int run(fd_kernel kernel, fd_dtype dtype, const void *args, Py_ssize_t items,
             double work) except -1

# Fill sums (row_parts, columns) with those of the columns of each part of the rows of x.
cdef int sum_columns(const void *x, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t row_parts,
                     void *sums, fd_dtype dtype) except -1
