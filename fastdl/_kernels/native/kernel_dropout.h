/* Dropout: Philox4x32-10 on several counters at once, then the mask (the reference's docstring
 * is the specification). */
#ifndef FASTDL_PHILOX
#define FASTDL_PHILOX
#if defined(__GNUC__)
enum { PHILOX_LANES = FD_VBYTES / sizeof(uint64_t) };
#else
enum { PHILOX_LANES = 1 };
#endif
enum { PHILOX_ROUNDS = 10, PHILOX_CHUNK = 64 };

typedef FD_VECTOR(uint64_t) philox_words;       /* words of 32 bits, each in 64 */

static const uint32_t philox_weyl[2] = {0x9E3779B9u, 0xBB67AE85u};
/* Volatile, because GCC makes ten shifts and sums of the product with a constant that it knows. */
static const volatile uint32_t philox_multiplier[2] = {0xD2511F53u, 0xCD9E8D57u};

FD_INLINE philox_words philox_low(philox_words v) { return v & 0xFFFFFFFFu; }

/* Two vectors of counters make two sets of four words: one's products wait for the other's. The
 * upper half of a word is garbage: a product looks at the lower half alone. */
FD_INLINE void philox(philox_words counters[2], uint64_t seed, philox_words words[2][4])
{
    const uint64_t multiplier0 = philox_multiplier[0], multiplier1 = philox_multiplier[1];
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    philox_words c0[2], c1[2], c2[2], c3[2];
    for (int i = 0; i < 2; i++) {
        c0[i] = counters[i];
        c1[i] = counters[i] >> 32;
        c2[i] = c3[i] = (philox_words){0};
    }
#pragma GCC unroll 10
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            philox_words product0 = philox_low(c0[i]) * multiplier0;
            philox_words product1 = philox_low(c2[i]) * multiplier1;
            c0[i] = (product1 >> 32) ^ c1[i] ^ (uint64_t)k0;
            c1[i] = product1;
            c2[i] = (product0 >> 32) ^ c3[i] ^ (uint64_t)k1;
            c3[i] = product0;
        }
        k0 += philox_weyl[0];
        k1 += philox_weyl[1];
    }
    for (int i = 0; i < 2; i++) {
        words[i][0] = philox_low(c0[i]);
        words[i][1] = philox_low(c1[i]);
        words[i][2] = philox_low(c2[i]);
        words[i][3] = philox_low(c3[i]);
    }
}

/* 0, step, 2 step, … */
FD_INLINE philox_words philox_ramp(uint64_t step)
{
    uint64_t lane[PHILOX_LANES];
    philox_words ramp;
    for (int i = 0; i < PHILOX_LANES; i++) lane[i] = (uint64_t)i * step;
    memcpy(&ramp, lane, sizeof ramp);
    return ramp;
}

/* Two words that lie one after the other in memory. */
FD_INLINE philox_words philox_pair(philox_words first, philox_words second)
{
    const union { uint32_t words[2]; uint64_t both; } probe = {{1, 0}};
    return probe.both == 1 ? first | (second << 32) : (first << 32) | second;
}

/* Words number 64 chunk … 64 chunk + 63 of the stream. */
static inline void philox_chunk(uint64_t chunk, uint64_t seed, uint32_t out[PHILOX_CHUNK])
{
    const philox_words ramp = philox_ramp(1);
    uint64_t pairs[PHILOX_CHUNK / 2], *next = pairs;
    for (int block = 0; block < PHILOX_CHUNK / 4; block += 2 * PHILOX_LANES) {
        philox_words counters[2], words[2][4];
        for (int i = 0; i < 2; i++)
            counters[i] = ramp + (chunk * (PHILOX_CHUNK / 4)
                                  + (uint64_t)(block + i * PHILOX_LANES));
        philox(counters, seed, words);
        for (int i = 0; i < 2; i++) {
            const philox_words *word = words[i];
            philox_words halves[2] = {philox_pair(word[0], word[1]), philox_pair(word[2], word[3])};
            uint64_t half[2][PHILOX_LANES];
            memcpy(half, halves, sizeof half);
            for (int lane = 0; lane < PHILOX_LANES; lane++) {
                *next++ = half[0][lane];
                *next++ = half[1][lane];
            }
        }
    }
    memcpy(out, pairs, sizeof pairs);
}

/* Lane by lane, the word of that number (0 to 3). */
FD_INLINE philox_words philox_choose(philox_words number, const philox_words words[4])
{
    const philox_words zero = {0}, odd = zero - (number & 1), upper = zero - (number >> 1 & 1);
    philox_words first = (words[1] & odd) | (words[0] & ~odd);
    philox_words second = (words[3] & odd) | (words[2] & ~odd);
    return (second & upper) | (first & ~upper);
}
#endif

/* A threshold of 2^32, above every word, is left to the caller. */
FD_INLINE void K(drop)(const T *__restrict__ x, T *__restrict__ y,
                       const uint32_t *__restrict__ words, uint32_t threshold, T scale,
                       ptrdiff_t count)
{
#pragma GCC unroll 1    /* a short loop that is unrolled is no longer made vectors of */
    for (ptrdiff_t i = 0; i < count; i++) {
        T kept = x[i] * scale;
        y[i] = words[i] >= threshold ? kept : 0;
    }
}

/* The same for fewer elements at an end; in copies, because the compiler would make one scalar loop
 * of two whose counts alone differ. */
static void K(drop_last)(const T *x, T *y, const uint32_t *words, uint32_t threshold, T scale,
                         ptrdiff_t count)
{
    T in[PHILOX_CHUNK] = {0}, out[PHILOX_CHUNK];
    uint32_t own[PHILOX_CHUNK] = {0};
    memcpy(in, x, (size_t)count * sizeof(T));
    memcpy(own, words, (size_t)count * sizeof(uint32_t));
    K(drop)(in, out, own, threshold, scale, PHILOX_CHUNK);
    memcpy(y, out, (size_t)count * sizeof(T));
}

/* Items: chunks of the elements. */
static void K(dropout)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_dropout_args *args = p;
    const T scale = (T)args->scale;
    const uint32_t threshold = (uint32_t)args->threshold;
    uint32_t words[PHILOX_CHUNK];
    for (ptrdiff_t item = begin; item < end; item++) {
        const T *x = (const T *)args->x + item * PHILOX_CHUNK;
        T *y = (T *)args->y + item * PHILOX_CHUNK;
        philox_chunk((uint64_t)item, args->seed, words);
        if (args->size - item * PHILOX_CHUNK >= PHILOX_CHUNK)
            K(drop)(x, y, words, threshold, scale, PHILOX_CHUNK);
        else
            K(drop_last)(x, y, words, threshold, scale, args->size % PHILOX_CHUNK);
    }
}

/* The same for channels-last maps (N, C, L), whose elements are numbered as in (N, C, L) all the
 * same, so that a mask does not depend on the layout. Items: runs of four pixels where a block of
 * words never leaves its channel's run, else pixels; each with all their channels.
 *
 * The lanes are channels: a word of each belongs to elements that lie one after the other. */
static void K(dropout_channels_last)(const void *p, ptrdiff_t begin, ptrdiff_t end)
{
    const fd_dropout_args *args = p;
    const ptrdiff_t C = args->channels, L = args->pixels, run = L % 4 ? 1 : 4;
    const T scale = (T)args->scale;
    const uint32_t threshold = (uint32_t)args->threshold;
    const philox_words ramp = philox_ramp((uint64_t)L);
    for (ptrdiff_t item = begin; item < end; item++) {
        const ptrdiff_t n = item / (L / run), l = item % (L / run) * run;
        for (ptrdiff_t c = 0; c < C; c += 2 * PHILOX_LANES) {
            philox_words index[2], counters[2], words[2][4];
            for (int i = 0; i < 2; i++) {
                index[i] = ramp + (uint64_t)((n * C + c + i * PHILOX_LANES) * L + l);
                counters[i] = index[i] >> 2;
            }
            philox(counters, args->seed, words);
            for (ptrdiff_t pixel = 0; pixel < run; pixel++) {
                uint64_t lanes[2 * PHILOX_LANES];
                uint32_t own[2 * PHILOX_LANES];
                for (int i = 0; i < 2; i++) {
                    philox_words word = philox_choose((index[i] & 3) + (uint64_t)pixel, words[i]);
                    memcpy(lanes + i * PHILOX_LANES, &word, sizeof word);
                }
#pragma GCC unroll 1
                for (int i = 0; i < 2 * PHILOX_LANES; i++) own[i] = (uint32_t)lanes[i];
                const ptrdiff_t first = (n * L + l + pixel) * C + c;
                const T *x = (const T *)args->x + first;
                T *y = (T *)args->y + first;
                if (C - c >= 2 * PHILOX_LANES)
                    K(drop)(x, y, own, threshold, scale, 2 * PHILOX_LANES);
                else
                    K(drop_last)(x, y, own, threshold, scale, C - c);
            }
        }
    }
}
