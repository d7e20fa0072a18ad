/* Dropout: Philox4x32-10 on several counters at once, then the mask (the reference's docstring
 * is the specification). */
#ifndef FASTDL_PHILOX
#define FASTDL_PHILOX
enum { PHILOX_LANES = 16, PHILOX_ROUNDS = 10 };

/* words[lane][0..3] of the blocks with counters first, first + 1, … */
static void philox_blocks(uint64_t first, uint64_t seed, uint32_t words[PHILOX_LANES][4])
{
    uint32_t c0[PHILOX_LANES], c1[PHILOX_LANES], c2[PHILOX_LANES] = {0}, c3[PHILOX_LANES] = {0};
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int i = 0; i < PHILOX_LANES; i++) {
        c0[i] = (uint32_t)(first + (uint64_t)i);
        c1[i] = (uint32_t)((first + (uint64_t)i) >> 32);
    }
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        for (int i = 0; i < PHILOX_LANES; i++) {
            uint64_t p0 = (uint64_t)c0[i] * 0xD2511F53u, p1 = (uint64_t)c2[i] * 0xCD9E8D57u;
            c0[i] = (uint32_t)(p1 >> 32) ^ c1[i] ^ k0;
            c1[i] = (uint32_t)p1;
            c2[i] = (uint32_t)(p0 >> 32) ^ c3[i] ^ k1;
            c3[i] = (uint32_t)p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (int i = 0; i < PHILOX_LANES; i++) {
        words[i][0] = c0[i];
        words[i][1] = c1[i];
        words[i][2] = c2[i];
        words[i][3] = c3[i];
    }
}
#endif

/* Items: groups of PHILOX_LANES blocks of four elements. */
static void K(dropout)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_dropout_args *args = p;
    const T *x = args->x, scale = (T)args->scale;
    T *y = args->y;
    uint32_t words[PHILOX_LANES][4];
    for (ptrdiff_t item = begin; item < end; item++) {
        ptrdiff_t first = item * PHILOX_LANES * 4;
        ptrdiff_t count = FD_MIN(args->size - first, PHILOX_LANES * 4);
        philox_blocks((uint64_t)item * PHILOX_LANES, args->seed, words);
        const uint32_t *word = words[0];
        for (ptrdiff_t i = 0; i < count; i++)
            y[first + i] = word[i] >= args->threshold ? x[first + i] * scale : 0;
    }
}
