/* Running a kernel: on how many threads, and with which treatment of subnormal numbers. */
#include "fastdl_native.h"
#include "parallel.h"

#ifdef _OPENMP
#include <omp.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#endif

/* With less for each, more threads cost more than they bring (bench/threads.py). */
#if !defined(WORK_PER_THREAD)           /* .ci/sanitize splits even the smallest work */
#define WORK_PER_THREAD 16384.0
#endif

static int limit = 0;           /* set by the user; 0: what OpenMP says */
static int forked = 0;          /* threads do not survive fork(): a child runs on one */

int fd_has_openmp(void)
{
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}

int fd_get_num_threads(void)
{
#ifdef _OPENMP
    int threads = omp_get_max_threads();        /* OMP_NUM_THREADS, threadpoolctl */
    if (limit && limit < threads) threads = limit;
    return forked ? 1 : threads;
#else
    return 1;
#endif
}

void fd_set_num_threads(int threads)
{
    limit = threads;
#ifdef _OPENMP
    omp_set_num_threads(threads);               /* the calling thread may also ask for more */
#endif
}

int fd_threads_for(double work)
{
    if (work < 2 * WORK_PER_THREAD) return 1;
    int threads = fd_get_num_threads();
    double worth = work / WORK_PER_THREAD;
    return worth < threads ? (int)worth : threads;
}

/* ---- subnormal numbers: some fifty times slower than others, and never wanted in a network.
 * They are flushed only while a kernel runs; the caller's own arithmetic is left as it was. */
#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#define FENCE_STREAMS() _mm_sfence()
typedef unsigned int fp_mode;
static fp_mode flush_subnormals(void)
{
    fp_mode before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);                /* flush to zero, denormals are zero */
    return before;
}
static void restore_mode(fp_mode before) { _mm_setcsr(before); }
#elif defined(__aarch64__) && defined(__GNUC__)
typedef uint64_t fp_mode;
static fp_mode flush_subnormals(void)
{
    fp_mode before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | (1ull << 24)));
    return before;
}
static void restore_mode(fp_mode before) { __asm__ volatile("msr fpcr, %0" : : "r"(before)); }
#else
typedef int fp_mode;
static fp_mode flush_subnormals(void) { return 0; }
static void restore_mode(fp_mode before) { (void)before; }
#endif

/* Stores past the caches are seen by other threads in no order, but before what follows this. */
#if !defined(FENCE_STREAMS)
#define FENCE_STREAMS() ((void)0)
#endif

/* ---- the run ---- */

typedef struct {
    fd_body body;
    const void *args;
    ptrdiff_t items;
    int parts;
} fd_job;

static int run_part(const void *context, int part)
{
    const fd_job *job = context;
    fp_mode before = flush_subnormals();
    job->body(job->args, job->items * part / job->parts, job->items * (part + 1) / job->parts);
    restore_mode(before);
    FENCE_STREAMS();
    return fd_scratch_refused();
}

int fd_run(fd_body body, const void *args, ptrdiff_t items, int threads)
{
    if (items <= 0) return 0;
    if (threads > items) threads = (int)items;
    if (threads > FD_MAX_PARTS) threads = FD_MAX_PARTS;
    if (threads < 1 || forked) threads = 1;
    fd_job job = {body, args, items, threads};
    int failed = threads == 1 ? run_part(&job, 0) : fd_share(run_part, &job, threads);
    return failed ? -1 : 0;
}

#if !defined(_WIN32)
static void in_child(void) { forked = 1; }
#endif

int fd_init_threads(void)
{
#if !defined(_WIN32)
    if (pthread_atfork(NULL, NULL, in_child) != 0) return 0;
#endif
    return fd_init_memory();
}
