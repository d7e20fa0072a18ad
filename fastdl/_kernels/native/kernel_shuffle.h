/* Lanes that change places: two vectors sorted by parity and put together again, and integers
 * between lanes and bytes. With vectors of one lane there is nothing to move. */
#if !defined(__GNUC__)
#define FD_EVEN first
#define FD_ODD second
#define FD_LOW first
#define FD_HIGH second
#define FD_SHUFFLE(which) (which)
#else
#if defined(__clang__)
#define FD_SHUFFLE(...) __builtin_shufflevector(first, second, __VA_ARGS__)
#else
#define FD_SHUFFLE(...) __builtin_shuffle(first, second, (K(ivec)){__VA_ARGS__})
#endif
#if defined(FD_IS_DOUBLE)
#define FD_LANES (FD_VBYTES / 8)
#else
#define FD_LANES (FD_VBYTES / 4)
#endif
#if FD_LANES == 16
#define FD_COUNT 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#define FD_EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define FD_ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define FD_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define FD_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif FD_LANES == 8
#define FD_COUNT 0, 1, 2, 3, 4, 5, 6, 7
#define FD_EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define FD_ODD 1, 3, 5, 7, 9, 11, 13, 15
#define FD_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define FD_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif FD_LANES == 4
#define FD_COUNT 0, 1, 2, 3
#define FD_EVEN 0, 2, 4, 6
#define FD_ODD 1, 3, 5, 7
#define FD_LOW 0, 4, 1, 5
#define FD_HIGH 2, 6, 3, 7
#else
#define FD_COUNT 0, 1
#define FD_EVEN 0, 2
#define FD_ODD 1, 3
#define FD_LOW 0, 2
#define FD_HIGH 1, 3
#endif
#endif

/* Every second one of 2 VL elements. */
FD_INLINE V K(even)(V first, V second) { return (void)second, FD_SHUFFLE(FD_EVEN); }
FD_INLINE V K(odd)(V first, V second) { return (void)first, FD_SHUFFLE(FD_ODD); }

/* The first and the last VL of: an element of `first`, one of `second`, and so on. */
FD_INLINE V K(zip_low)(V first, V second) { return (void)second, FD_SHUFFLE(FD_LOW); }
FD_INLINE V K(zip_high)(V first, V second) { return (void)first, FD_SHUFFLE(FD_HIGH); }

/* Bytes from and to lanes. GCC takes a conversion apart, lane by lane; shuffles it does find. */
typedef FD_LIKE_V(T, uint8_t) K(bytes);

/* The first VL of the bytes at `in`, of which FD_VBYTES may be read. */
FD_INLINE K(ivec) K(widen)(const uint8_t *in)
{
#if defined(__GNUC__) && !defined(__clang__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const K(ivec) lanes = {FD_COUNT};
    K(ivec) words;
    memcpy(&words, in, sizeof words);
    words = __builtin_shuffle(words, lanes / (INT)sizeof(T));
    return words >> lanes % (INT)sizeof(T) * 8 & 255;
#else
    return FD_CONVERT(*(const K(bytes) *)in, K(ivec));
#endif
}

FD_INLINE void K(narrow)(K(ivec) v, uint8_t *out)
{
#if defined(__GNUC__) && !defined(__clang__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    typedef uint8_t all __attribute__((vector_size(FD_VBYTES)));
    all lowest;
    for (size_t i = 0; i < FD_VBYTES; i++) lowest[i] = (uint8_t)(i * sizeof(T) % FD_VBYTES);
    lowest = __builtin_shuffle((all)v, lowest);
    memcpy(out, &lowest, FD_VBYTES / sizeof(T));
#else
    *(K(bytes) *)out = FD_CONVERT(v, K(bytes));
#endif
}

#undef FD_LANES
#undef FD_SHUFFLE
#undef FD_COUNT
#undef FD_EVEN
#undef FD_ODD
#undef FD_LOW
#undef FD_HIGH
