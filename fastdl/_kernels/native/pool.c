/* A pool of threads that share out the parts of a job.
 *
 * Why not OpenMP's: it hands each thread its parts in advance, and all meet at a barrier. Where
 * another process has taken a core away, everybody waits for a part that nobody has begun, for
 * milliseconds. Here parts are claimed by whoever is awake, the caller among them, who waits only
 * for what a worker has really begun. Alone on the machine both are equally quick; the figures are
 * in docs/results.md.
 *
 * Callers may be several at once: workers help all of them. A task may itself share out parts.
 */
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#endif
#include "parallel.h"

#if defined(_WIN32)

int fd_share(fd_task task, const void *context, int parts)
{
    int part, failed = 0;
#pragma omp parallel for num_threads(parts) schedule(static, 1) reduction(|:failed)
    for (part = 0; part < parts; part++) failed |= task(context, part);
    return failed;
}

#else
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

enum {
    JOBS = 4,                   /* callers who get help at once; any more work alone */
    MAX_WORKERS = 1023,
    CACHE_LINE = 64,
    WAKING_NS = 50000,          /* to wake a sleeping thread takes up to this long */
    IDLE_NS = 5000000,          /* how long a worker looks for the next job before it sleeps */
};

/* A ticket is the number of the job, of its parts, and of the next part to claim (32, 16, 16 bits).
 * With the job in it, nobody can claim a part of another job than the one that he has seen. */
static uint64_t make_ticket(uint64_t number, int parts, int next)
{
    return number << 32 | (uint64_t)parts << 16 | (uint64_t)next;
}
static uint64_t job_number(uint64_t ticket) { return ticket >> 32; }
static int all_parts(uint64_t ticket) { return ticket >> 16 & FD_MAX_PARTS; }
static int next_part(uint64_t ticket) { return ticket & FD_MAX_PARTS; }

typedef struct {
    _Alignas(CACHE_LINE) _Atomic uint64_t ticket;
    fd_task task;               /* written before the ticket, read by who has claimed a part */
    const void *context;
    _Alignas(CACHE_LINE) atomic_int unfinished;
    atomic_int failed;
    atomic_int caller_sleeps;
    atomic_int taken;
} job;

static job jobs[JOBS];
static _Alignas(CACHE_LINE) atomic_uint begun;          /* jobs, ever: how workers learn of one */
static _Alignas(CACHE_LINE) atomic_int workers, sleeping;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t job_begun = PTHREAD_COND_INITIALIZER, job_done = PTHREAD_COND_INITIALIZER;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void do_part(job *it, int part)
{
    if (it->task(it->context, part)) atomic_store(&it->failed, 1);
    if (atomic_fetch_sub(&it->unfinished, 1) == 1 && atomic_load(&it->caller_sleeps)) {
        pthread_mutex_lock(&mutex);
        pthread_cond_broadcast(&job_done);
        pthread_mutex_unlock(&mutex);
    }
}

/* Do the parts of this job that nobody has claimed. */
static void help(job *it)
{
    uint64_t ticket = atomic_load(&it->ticket);
    while (next_part(ticket) < all_parts(ticket))
        if (atomic_compare_exchange_weak(&it->ticket, &ticket, ticket + 1)) {
            do_part(it, next_part(ticket));
            ticket = atomic_load(&it->ticket);
        }
}

static void *worker(void *unused)
{
    (void)unused;
    for (;;) {
        unsigned seen = atomic_load(&begun);
        for (int i = 0; i < JOBS; i++) help(&jobs[i]);
        /* Looking on is cheap for others: whoever else wants this core gets it first. */
        for (int64_t end = now() + IDLE_NS; atomic_load(&begun) == seen && now() < end;)
            sched_yield();
        if (atomic_load(&begun) != seen) continue;
        pthread_mutex_lock(&mutex);
        atomic_fetch_add(&sleeping, 1);
        while (atomic_load(&begun) == seen) pthread_cond_wait(&job_begun, &mutex);
        atomic_fetch_sub(&sleeping, 1);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

/* Have that many workers, or as many as the system gives. */
static void hire(int wanted)
{
    if (wanted > MAX_WORKERS) wanted = MAX_WORKERS;
    if (atomic_load(&workers) >= wanted) return;
    pthread_mutex_lock(&mutex);
    pthread_t thread;
    while (atomic_load(&workers) < wanted && pthread_create(&thread, NULL, worker, NULL) == 0) {
        pthread_detach(thread);
        atomic_fetch_add(&workers, 1);
    }
    pthread_mutex_unlock(&mutex);
}

static void wake(int wanted)
{
    pthread_mutex_lock(&mutex);
    while (wanted-- > 0) pthread_cond_signal(&job_begun);
    pthread_mutex_unlock(&mutex);
}

/* Wait until the job is done: awake for so long, then asleep, which leaves the core to a worker
 * that has lost its own. */
static void wait_for(job *it, int64_t awake)
{
    for (int64_t end = now() + awake; atomic_load(&it->unfinished);) {
        if (now() < end) continue;
        pthread_mutex_lock(&mutex);
        atomic_store(&it->caller_sleeps, 1);
        while (atomic_load(&it->unfinished)) pthread_cond_wait(&job_done, &mutex);
        atomic_store(&it->caller_sleeps, 0);
        pthread_mutex_unlock(&mutex);
    }
}

static int alone(fd_task task, const void *context, int parts)
{
    int failed = 0;
    for (int part = 0; part < parts; part++) failed |= task(context, part);
    return failed;
}

int fd_share(fd_task task, const void *context, int parts)
{
    int i = 0;
    while (i < JOBS && atomic_exchange(&jobs[i].taken, 1)) i++;
    if (i == JOBS) return alone(task, context, parts);
    hire(parts - 1);

    job *it = &jobs[i];
    it->task = task;
    it->context = context;
    atomic_store(&it->failed, 0);
    atomic_store(&it->unfinished, parts);
    /* The first part is the caller's: what it wrote last is in its cache. */
    atomic_store(&it->ticket, make_ticket(job_number(it->ticket) + 1, parts, 1));
    atomic_fetch_add(&begun, 1);
    if (atomic_load(&sleeping)) wake(parts - 1);

    int64_t start = now();
    do_part(it, 0);
    help(it);
    wait_for(it, WAKING_NS + now() - start);
    int failed = atomic_load(&it->failed);
    atomic_store(&it->taken, 0);
    return failed;
}

#endif
