/* Memory: what each thread keeps for its kernels, and what the process keeps of freed arrays. */
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#endif
#include <stdlib.h>

#include "fastdl_native.h"
#include "parallel.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif
#if defined(_WIN32)
#include <malloc.h>
#include <windows.h>
#else
#include <pthread.h>
#endif

/* ---- each thread's blocks of memory, freed when it ends ---- */
enum { OWN, MAPS, SHARED, SLOTS, BLOCKS };

typedef struct {
    void *memory;
    size_t bytes;
} block;

#if defined(_MSC_VER)
static __declspec(thread) int refused;
#else
static _Thread_local int refused;
#endif

/* Whole pages, kept for the next call; but under AddressSanitizer exactly what was asked for, and
 * fresh each time, so that it sees what is out of bounds or left from before. */
#if defined(__SANITIZE_ADDRESS__)
enum { GRAIN = 1, KEPT = 0 };
#else
enum { GRAIN = 4096, KEPT = 1 };
#endif

#if defined(_WIN32)
#define ON_THREAD_EXIT NTAPI
static void free_memory(void *p) { _aligned_free(p); }
static void *new_memory(size_t bytes) { return _aligned_malloc(bytes, 64); }
static DWORD key = FLS_OUT_OF_INDEXES;
static void *get_blocks(void) { return FlsGetValue(key); }
static int set_blocks(void *p) { return FlsSetValue(key, p) != 0; }
#else
#define ON_THREAD_EXIT
static void free_memory(void *p) { free(p); }
static void *new_memory(size_t bytes)
{
    void *p;
    return posix_memalign(&p, 64, bytes) == 0 ? p : NULL;
}
static pthread_key_t key;
static void *get_blocks(void) { return pthread_getspecific(key); }
static int set_blocks(void *p) { return pthread_setspecific(key, p) == 0; }
#endif

static void ON_THREAD_EXIT free_blocks(void *slot)
{
    block *blocks = slot;
    if (!blocks) return;
    for (int i = 0; i < BLOCKS; i++) free_memory(blocks[i].memory);
    free(blocks);
}

int fd_init_memory(void)
{
#if defined(_WIN32)
    key = FlsAlloc(free_blocks);
    return key != FLS_OUT_OF_INDEXES;
#else
    return pthread_key_create(&key, free_blocks) == 0;
#endif
}

/* The calling thread's block number `which`, grown to at least `bytes`. */
static void *grown(int which, size_t bytes)
{
    block *blocks = get_blocks();
    if (!blocks) {
        blocks = calloc(BLOCKS, sizeof *blocks);
        if (!blocks) return NULL;
        if (!set_blocks(blocks)) {
            free(blocks);
            return NULL;
        }
    }
    block *it = &blocks[which];
    if (bytes == 0) bytes = 1;
    if (!KEPT || !it->memory || it->bytes < bytes) {
        bytes = (bytes + GRAIN - 1) / GRAIN * GRAIN;
        free_memory(it->memory);
        it->memory = new_memory(bytes);
        it->bytes = it->memory ? bytes : 0;
    }
    return it->memory;
}

static void *for_kernel(int which, size_t bytes)
{
    void *memory = grown(which, bytes);
    if (!memory) refused = 1;
    return memory;
}

void *fd_scratch(size_t bytes) { return for_kernel(OWN, bytes); }
void *fd_maps_scratch(size_t bytes) { return for_kernel(MAPS, bytes); }

void *fd_shared_scratch(size_t bytes) { return grown(SHARED, bytes); }

void *fd_slots_scratch(size_t bytes) { return grown(SLOTS, bytes); }

int fd_scratch_refused(void)
{
    int answer = refused;
    refused = 0;
    return answer;
}

/* ---- the caches ---- */

/* Measured with 32 MB of last-level cache. From 24 MB on such a store is quicker in itself, but the
 * next reader still gains by what the cache has kept of a result of less than this. */
#if !defined(STREAMED_BYTES)            /* .ci/sanitize lets small results pass by as well */
#define STREAMED_BYTES (40.0 * 1024 * 1024)
#endif

int fd_streams(double bytes) { return bytes > STREAMED_BYTES; }

/* ---- the process ---- */

int fd_keep_freed_memory(void)
{
#if defined(__GLIBC__)
    return mallopt(M_MMAP_THRESHOLD, 32 << 20) && mallopt(M_TRIM_THRESHOLD, 512 << 20);
#else
    return 0;
#endif
}
