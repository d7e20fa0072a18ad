/* The kernels for one dtype T. Inside, K(name) is the name with the dtype's suffix, V a vector of
 * T, and VL its number of lanes. V may be loaded from and stored to any address of a T. */
#define K(name) FD_CAT(name, SUFFIX)
#define V K(vec)
#define VL ((ptrdiff_t)(FD_VBYTES / sizeof(T)))

typedef FD_VECTOR(T) V;

static inline V K(load)(const T *p) { return *(const V *)p; }
static inline void K(store)(T *p, V v) { *(V *)p = v; }

static inline T K(lanes_sum)(V v)
{
    T lane[FD_VBYTES / sizeof(T)], sum = 0;
    memcpy(lane, &v, sizeof lane);
    for (ptrdiff_t i = 0; i < VL; i++) sum += lane[i];
    return sum;
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

static inline void K(clear)(T *out, ptrdiff_t count)
{
    ptrdiff_t i = 0;
    for (; i + VL <= count; i += VL) K(store)(out + i, (V){0});
    for (; i < count; i++) out[i] = 0;
}

#include "kernel_elementary.h"
#include "kernel_gemm.h"
#include "kernel_im2col.h"
#include "kernel_conv.h"
#include "kernel_depthwise.h"
#include "kernel_pool.h"
#include "kernel_batchnorm.h"
#include "kernel_activation.h"
#include "kernel_loss.h"
#include "kernel_dropout.h"
#include "kernel_optimizer.h"

#undef K
#undef V
#undef VL
