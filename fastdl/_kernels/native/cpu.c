/* Which instruction sets this build holds, and which of them this processor runs. */
#include <string.h>

#include "fastdl_native.h"

#if defined(__x86_64__) || defined(_M_X64)
#define FD_X86
#endif

typedef const fd_body (*fd_table)[FD_KERNELS];

extern const fd_body fd_table_baseline[FD_DTYPES][FD_KERNELS];

static int always(void) { return 1; }

#ifdef FD_X86
extern const fd_body fd_table_avx2[FD_DTYPES][FD_KERNELS];
extern const fd_body fd_table_avx512[FD_DTYPES][FD_KERNELS];

#if defined(__GNUC__)
/* __builtin_cpu_supports also asks whether the operating system saves the registers. */
static int has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
        && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

static int has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512cd");
}
#else
#include <immintrin.h>
#include <intrin.h>

/* Bits of XCR0: the state that the operating system saves. */
enum { YMM_STATE = 0x6, ZMM_STATE = 0xE6 };

static int features(int leaf, int reg, int bits, unsigned long long state)
{
    int info[4];
    __cpuid(info, 1);
    if (!(info[2] & (1 << 27)) || (_xgetbv(0) & state) != state) return 0;
    __cpuidex(info, leaf, 0);
    return (info[reg] & bits) == bits;
}

static int has_avx2(void)
{
    return features(1, 2, 1 << 12, YMM_STATE)                                  /* FMA */
        && features(7, 1, 1 << 3 | 1 << 5 | 1 << 8, YMM_STATE);                /* BMI AVX2 BMI2 */
}

static int has_avx512(void)
{
    return has_avx2()                                                     /* F DQ CD BW VL */
        && features(7, 1, 1 << 16 | 1 << 17 | 1 << 28 | 1 << 30 | (int)(1u << 31), ZMM_STATE);
}
#endif
#endif

static const struct {
    const char *name;
    fd_table table;
    int (*supported)(void);
} isas[] = {
#ifdef FD_X86
    {"avx512", fd_table_avx512, has_avx512},
    {"avx2", fd_table_avx2, has_avx2},
#endif
    {"baseline", fd_table_baseline, always},
};
enum { ISAS = sizeof isas / sizeof *isas };

const char *const fd_isa_names[] = {
#ifdef FD_X86
    "avx512", "avx2",
#endif
    "baseline", NULL,
};

static fd_table selected = fd_table_baseline;

const char *fd_select_isa(const char *cap)
{
    int i = 0;
    if (cap)
        while (i < ISAS && strcmp(isas[i].name, cap) != 0) i++;
    while (i < ISAS && !isas[i].supported()) i++;
    if (i == ISAS) return NULL;
    selected = isas[i].table;
    return isas[i].name;
}

fd_body fd_lookup(enum fd_kernel kernel, enum fd_dtype dtype)
{
    return selected[dtype][kernel];
}
