/* Threads: how many, where they start, and what each of them keeps. */
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#endif
#include <stdlib.h>

#include "fastdl_native.h"

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#if defined(_WIN32)
#include <malloc.h>
#include <windows.h>
#else
#include <pthread.h>
#endif

/* Below this much work a second thread costs more than it brings (docs/results.md). */
static const double WORK_PER_THREAD = 32768;

static int limit = 0;           /* set by the user; 0: what OpenMP says */
static volatile int out_of_memory = 0;
static int forked = 0;          /* OpenMP's threads do not survive fork(): a child runs on one */

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

static void run_part(fd_body body, const void *args, ptrdiff_t items, int part, int parts)
{
    fp_mode before = flush_subnormals();
    body(args, items * part / parts, items * (part + 1) / parts);
    restore_mode(before);
}

/* ---- what each thread keeps: two blocks of memory, freed when the thread ends ---- */
enum { OWN, SHARED, BLOCKS };

typedef struct {
    void *memory;
    size_t bytes;
} block;

#if defined(_WIN32)
static void free_memory(void *p) { _aligned_free(p); }
static void *new_memory(size_t bytes) { return _aligned_malloc(bytes, 64); }
static DWORD key = FLS_OUT_OF_INDEXES;
static void *get_slot(void) { return FlsGetValue(key); }
static int set_slot(void *p) { return FlsSetValue(key, p) != 0; }
#else
static void free_memory(void *p) { free(p); }
static void *new_memory(size_t bytes) { return aligned_alloc(64, bytes); }
static pthread_key_t key;
static void *get_slot(void) { return pthread_getspecific(key); }
static int set_slot(void *p) { return pthread_setspecific(key, p) == 0; }
#endif

#if defined(_WIN32)
static void NTAPI free_blocks(void *slot)
#else
static void free_blocks(void *slot)
#endif
{
    block *blocks = slot;
    if (!blocks) return;
    for (int i = 0; i < BLOCKS; i++) free_memory(blocks[i].memory);
    free(blocks);
}

static void in_child(void) { forked = 1; }

int fd_init_threads(void)
{
#if defined(_WIN32)
    (void)in_child;
    key = FlsAlloc(free_blocks);
    return key != FLS_OUT_OF_INDEXES;
#else
    return pthread_key_create(&key, free_blocks) == 0 && pthread_atfork(NULL, NULL, in_child) == 0;
#endif
}

/* The calling thread's block number `which`, grown to at least `bytes`. */
static void *grown(int which, size_t bytes)
{
    block *blocks = get_slot();
    if (!blocks) {
        blocks = calloc(BLOCKS, sizeof *blocks);
        if (!blocks) return NULL;
        if (!set_slot(blocks)) {
            free(blocks);
            return NULL;
        }
    }
    block *it = &blocks[which];
    if (!it->memory || it->bytes < bytes) {
        bytes = (bytes / 4096 + 1) * 4096;
        free_memory(it->memory);
        it->memory = new_memory(bytes);
        it->bytes = it->memory ? bytes : 0;
    }
    return it->memory;
}

void *fd_scratch(size_t bytes)
{
    void *memory = grown(OWN, bytes);
    if (!memory) out_of_memory = 1;
    return memory;
}

void *fd_shared_scratch(size_t bytes) { return grown(SHARED, bytes); }

int fd_keep_freed_memory(void)
{
#if defined(__GLIBC__)
    return mallopt(M_MMAP_THRESHOLD, 32 << 20) && mallopt(M_TRIM_THRESHOLD, 512 << 20);
#else
    return 0;
#endif
}

int fd_run(fd_body body, const void *args, ptrdiff_t items, int threads)
{
    if (items <= 0) return 0;
    if (threads > items) threads = (int)items;
    out_of_memory = 0;
#ifdef _OPENMP
    if (threads > 1) {
#pragma omp parallel num_threads(threads)
        run_part(body, args, items, omp_get_thread_num(), omp_get_num_threads());
    } else
#endif
        run_part(body, args, items, 0, 1);
    return out_of_memory ? -1 : 0;
}
