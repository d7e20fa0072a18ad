/* What this machine can do at most: fused multiply-adds in registers, and axpy over main memory.
 *
 * Reads lines "float32 THREADS", "float64 THREADS" or "memory THREADS", and answers each with a
 * line: GFLOP/s or GB/s, the best of a few short repetitions.
 */
#include <omp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

/* More independent sums than units * latency (2 * 4 on today's cores), few enough for 16 registers
 * together with the two constants. */
enum { SUMS = 12, STEPS = 4000000, REPETITIONS = 3 };

#define DEFINE_FMA(T)                                                                            \
    typedef T T##_vector __attribute__((vector_size(VECTOR_BYTES)));                             \
    static volatile T T##_factor = 0.999, T##_term = 0.001, T##_sink;                            \
                                                                                                 \
    static double T##_gflops(int threads)                                                        \
    {                                                                                            \
        const double flops = 2.0 * SUMS * STEPS * (VECTOR_BYTES / sizeof(T)) * threads;          \
        double best = 0;                                                                         \
        for (int r = 0; r < REPETITIONS; r++) {                                                  \
            double start = omp_get_wtime();                                                      \
            _Pragma("omp parallel num_threads(threads)")                                         \
            {                                                                                    \
                T##_vector a = {0}, b = {0}, sums[SUMS];                                         \
                a += T##_factor;                                                                 \
                b += T##_term;                                                                   \
                for (int i = 0; i < SUMS; i++) sums[i] = b * (T)i;                               \
                for (int step = 0; step < STEPS; step++)                                         \
                    for (int i = 0; i < SUMS; i++) sums[i] = sums[i] * a + b;                    \
                for (int i = 1; i < SUMS; i++) sums[0] += sums[i];                               \
                T##_sink = sums[0][0];                                                           \
            }                                                                                    \
            double rate = flops / (omp_get_wtime() - start) * 1e-9;                              \
            best = rate > best ? rate : best;                                                    \
        }                                                                                        \
        return best;                                                                             \
    }

DEFINE_FMA(float)
DEFINE_FMA(double)

/* GB/s of y += a x, over arrays that no cache holds: x and y are read, y is written. */
static double axpy_bandwidth(int threads)
{
    static float *x, *y;
    const ptrdiff_t size = (ptrdiff_t)64 << 20;         /* 256 MB an array */
    double best = 0;
    if (!x) {
        x = malloc(size * sizeof *x);
        y = malloc(size * sizeof *y);
        if (!x || !y) exit(1);
#pragma omp parallel for num_threads(threads) schedule(static)
        for (ptrdiff_t i = 0; i < size; i++) {
            x[i] = (float)(i % 7);
            y[i] = (float)(i % 5);
        }
    }
    for (int r = 0; r < REPETITIONS; r++) {
        double start = omp_get_wtime();
#pragma omp parallel for num_threads(threads) schedule(static)
        for (ptrdiff_t i = 0; i < size; i++) y[i] += 0.5f * x[i];
        double rate = 3.0 * sizeof(float) * size / (omp_get_wtime() - start) * 1e-9;
        best = rate > best ? rate : best;
    }
    return best;
}

int main(void)
{
    char what[16];
    int threads;
    while (scanf("%15s %d", what, &threads) == 2 && threads > 0) {
        double rate = !strcmp(what, "float32") ? float_gflops(threads)
            : !strcmp(what, "float64") ? double_gflops(threads)
            : !strcmp(what, "memory") ? axpy_bandwidth(threads) : 0;
        printf("%.2f\n", rate);
        fflush(stdout);
    }
    return 0;
}
