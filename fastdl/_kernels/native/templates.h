/* The kernels for one dtype T. Inside, K(name) is the name with the dtype's suffix, V a vector of
 * T, and VL its number of lanes. V may be loaded from and stored to any address of a T. */
#define K(name) FD_CAT(name, SUFFIX)
#define V K(vec)
#define VL ((ptrdiff_t)(FD_VBYTES / sizeof(T)))

typedef FD_VECTOR(T) V;
typedef FD_VECTOR(INT) K(ivec);         /* as many integers; also what comparing vectors gives */

static inline V K(load)(const T *p) { return *(const V *)p; }
static inline void K(store)(T *p, V v) { *(V *)p = v; }

/* A store to an aligned address, past the caches where the compiler has a way. A plain store would
 * read each line before. */
static inline void K(stream)(T *p, V v)
{
#if defined(FD_STREAM)
    FD_STREAM(p, v);
#else
    K(store)(p, v);
#endif
}

/* A store of a result that the caches may not be able to hold (`stream`, from fd_streams). */
static inline void K(write)(T *p, V v, int stream)
{
    if (stream && (uintptr_t)p % FD_VBYTES == 0)
        K(stream)(p, v);
    else
        K(store)(p, v);
}

/* Ask for so many elements, which will soon be needed. */
static inline void K(fetch)(const T *p, ptrdiff_t count)
{
    for (ptrdiff_t i = 0; i < count; i += 64 / (ptrdiff_t)sizeof(T)) FD_PREFETCH(p + i);
}

/* How many elements from p on come before the first at which a vector is aligned; at most `count`. */
static inline ptrdiff_t K(unaligned)(const T *p, ptrdiff_t count)
{
    ptrdiff_t before = (ptrdiff_t)((0 - (uintptr_t)p) % FD_VBYTES / sizeof(T));
    return FD_MIN(before, count);
}

/* Load and store of the first `count` lanes alone, where a row ends. Other lanes are loaded as `other`.
 * The loops become masked instructions where there are such. */
static inline V K(load_first)(const T *p, ptrdiff_t count, T other)
{
    if (count >= VL) return K(load)(p);
    T lane[FD_VBYTES / sizeof(T)];
    V v;
#pragma GCC unroll 1
    for (INT i = 0; i < (INT)VL; i++) lane[i] = i < (INT)count ? p[i] : other;
    memcpy(&v, lane, sizeof v);
    return v;
}

static inline void K(store_first)(T *p, V v, ptrdiff_t count)
{
    if (count >= VL) {
        K(store)(p, v);
        return;
    }
    T lane[FD_VBYTES / sizeof(T)];
    memcpy(lane, &v, sizeof lane);
#pragma GCC unroll 1
    for (INT i = 0; i < (INT)VL; i++)
        if (i < (INT)count) p[i] = lane[i];
}

/* Lane by lane, yes where `mask` is set, else no. */
static inline V K(select)(K(ivec) mask, V yes, V no)
{
#if defined(__GNUC__)
    return (V)((mask & (K(ivec))yes) | (~mask & (K(ivec))no));
#else
    return mask ? yes : no;
#endif
}

/* ReLU's gate: v, but 0 where `gate` is not above 0. relu(x) is x by its own gate, and its backward
 * pass dy by that of y. NaN opens it. */
static inline V K(gated)(V gate, V v) { return K(select)((K(ivec))(gate <= 0), (V){0}, v); }

static inline K(ivec) K(iselect)(K(ivec) mask, K(ivec) yes, K(ivec) no)
{
#if defined(__GNUC__)
    return (mask & yes) | (~mask & no);
#else
    return mask ? yes : no;
#endif
}

static inline T K(lanes_sum)(V v)
{
    T lane[FD_VBYTES / sizeof(T)], sum = 0;
    memcpy(lane, &v, sizeof lane);
    for (ptrdiff_t i = 0; i < VL; i++) sum += lane[i];
    return sum;
}

static inline T K(sum)(const T *x, ptrdiff_t count)
{
    V sum = {0};
    ptrdiff_t i = 0;
    for (; i + VL <= count; i += VL) sum += K(load)(x + i);
    T total = K(lanes_sum)(sum);
    for (; i < count; i++) total += x[i];
    return total;
}

/* The largest lane; of NaN it may or may not take note. */
static inline T K(lanes_max)(V v)
{
    T lane[FD_VBYTES / sizeof(T)];
    memcpy(lane, &v, sizeof lane);
    T best = lane[0];
    for (ptrdiff_t i = 1; i < VL; i++) best = lane[i] > best ? lane[i] : best;
    return best;
}

/* Short copies and fills, a vector at a time; the last vector overlaps the one before. */
static inline void K(copy)(T *out, const T *in, ptrdiff_t count)
{
    if (count < VL) {
        for (ptrdiff_t i = 0; i < count; i++) out[i] = in[i];
        return;
    }
    for (ptrdiff_t i = 0; i + VL < count; i += VL) K(store)(out + i, K(load)(in + i));
    K(store)(out + count - VL, K(load)(in + count - VL));
}

/* A copy past the caches. */
static inline void K(copy_out)(T *out, const T *in, ptrdiff_t count)
{
    ptrdiff_t i = K(unaligned)(out, count);
    K(copy)(out, in, i);
    for (; i + VL <= count; i += VL) K(write)(out + i, K(load)(in + i), 1);
    K(copy)(out + i, in + i, count - i);
}

/* The loop for stride 2 stands apart because it vectorises when the stride is known. */
static inline void K(copy_strided)(T *__restrict__ out, const T *__restrict__ in, ptrdiff_t count,
                                   ptrdiff_t stride)
{
    if (stride == 1)
        K(copy)(out, in, count);
    else if (stride == 2)
        for (ptrdiff_t i = 0; i < count; i++) out[i] = in[i * 2];
    else
        for (ptrdiff_t i = 0; i < count; i++) out[i] = in[i * stride];
}

static inline void K(fill)(T *out, ptrdiff_t count, T value)
{
    ptrdiff_t i = 0;
    for (; i + VL <= count; i += VL) K(store)(out + i, (V){0} + value);
    for (; i < count; i++) out[i] = value;
}

#include "kernel_elementary.h"
#include "kernel_pack.h"
#include "kernel_tile.h"
#include "kernel_moments.h"
#include "kernel_gemm.h"
#include "kernel_im2col.h"
#include "kernel_shuffle.h"
#include "kernel_strip.h"
#include "kernel_conv.h"
#include "kernel_conv_weight.h"
#include "kernel_winograd.h"
#include "kernel_winograd_weight.h"
#include "kernel_depthwise.h"
#include "kernel_pool.h"
#include "kernel_conv_pool.h"
#include "kernel_batchnorm.h"
#include "kernel_groupnorm.h"
#include "kernel_lrn.h"
#include "kernel_activation.h"
#include "kernel_layout.h"
#include "kernel_join.h"
#include "kernel_scale.h"
#include "kernel_sums.h"
#include "kernel_loss.h"
#include "kernel_dropout.h"
#include "kernel_image.h"
#include "kernel_optimizer.h"

#undef K
#undef V
#undef VL
