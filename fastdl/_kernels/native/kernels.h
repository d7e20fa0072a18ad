/* All kernels of one instruction set: every template once per dtype, then the table of pointers.
 *
 * Included by the isa_*.c files, which set
 *   FD_TABLE    name of the table to define
 *   FD_VBYTES   bytes of a vector register
 *   FD_SUMS     vector registers that hold the sums of a register tile
 * Everything but the table is static: object files of different instruction sets share no symbol.
 */
#include <math.h>
#include <string.h>

#include "fastdl_native.h"
#include "norm.h"
#include "window.h"

#if defined(__GNUC__)
#define FD_VECTOR(T) __attribute__((vector_size(FD_VBYTES), aligned(sizeof(T)), may_alias)) T
#define FD_LIKE_V(T, type)                                                                        \
    __attribute__((vector_size(FD_VBYTES / sizeof(T) * sizeof(type)), aligned(sizeof(type)),      \
                   may_alias)) type
#define FD_CONVERT(v, type) __builtin_convertvector(v, type)
#define FD_INLINE static inline __attribute__((always_inline))
#define FD_RARE static __attribute__((noinline))    /* keeps what is rare out of a hot loop */
#define FD_PREFETCH(p) __builtin_prefetch(p)        /* p may lie anywhere */
#else /* no vector extensions: a vector of one lane, the same code */
#undef FD_VBYTES
#define FD_VBYTES sizeof(T)
#define FD_VECTOR(T) T
#define FD_LIKE_V(T, type) type
#define FD_CONVERT(v, type) ((type)(v))
#define FD_INLINE static inline
#define FD_RARE static
#define FD_PREFETCH(p) ((void)0)
#define __restrict__ __restrict
#endif

/* A store past the caches, to an address that is a multiple of FD_VBYTES; C has no way to say it. */
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#if FD_VBYTES == 64
#define FD_STREAM(p, v) _mm512_stream_si512((void *)(p), (__m512i)(v))
#elif FD_VBYTES == 32
#define FD_STREAM(p, v) _mm256_stream_si256((void *)(p), (__m256i)(v))
#else
#define FD_STREAM(p, v) _mm_stream_si128((void *)(p), (__m128i)(v))
#endif
#endif

#define FD_MIN(a, b) ((a) < (b) ? (a) : (b))
#define FD_MAX(a, b) ((a) > (b) ? (a) : (b))
#define FD_CAT_(a, b) a##b
#define FD_CAT(a, b) FD_CAT_(a, b)

/* An array that is larger than this is not found in the last cache when it is next used. */
#define FD_CACHED_BYTES ((ptrdiff_t)1 << 24)

#define T float
#define INT int32_t
#define UINT uint32_t
#define SUFFIX _f32
#include "templates.h"
#undef T
#undef INT
#undef UINT
#undef SUFFIX

#define T double
#define INT int64_t
#define UINT uint64_t
#define SUFFIX _f64
#define FD_IS_DOUBLE
#include "templates.h"
#undef T
#undef INT
#undef UINT
#undef SUFFIX

const fd_body FD_TABLE[FD_DTYPES][FD_KERNELS] = {
    {
#define KERNEL(name) name##_f32,
#include "kernels.def"
#undef KERNEL
    },
    {
#define KERNEL(name) name##_f64,
#include "kernels.def"
#undef KERNEL
    },
};
