/* exp, tanh and the logistic function as straight-line code that the compiler vectorises.
 *
 * exp(x) = 2^n exp(r) with n = round(x / ln 2), |r| <= ln(2) / 2 (Cody & Waite, 1980), and the
 * Taylor polynomial of expm1(r), whose remainder is below half a unit in the last place at that
 * radius: degree 7 for float32, 13 for float64.
 */
#ifdef FD_IS_DOUBLE
#define EXP_LOWEST -746.0               /* exp is 0 below, infinite above */
#define EXP_HIGHEST 710.0
#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10
#define ROUNDER 6755399441055744.0      /* 1.5 * 2^52: adding it rounds to an integer */
#define MANTISSA 52
#define BIAS 1023
#define DEGREE 13
#else
#define EXP_LOWEST -104.0f
#define EXP_HIGHEST 89.0f
#define LN2_HIGH 6.93359375e-01f
#define LN2_LOW -2.12194440e-04f
#define ROUNDER 12582912.0f             /* 1.5 * 2^23 */
#define MANTISSA 23
#define BIAS 127
#define DEGREE 7
#endif

static inline T K(power_of_two)(INT n)
{
    UINT bits = (UINT)(n + BIAS) << MANTISSA;
    T value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The parts of exp(x) = scale1 * scale2 * (1 + q); two scales, so that subnormals come out. */
static inline void K(exp_parts)(T x, T *scale1, T *scale2, T *q)
{
    static const T inverse_factorial[] = {
        (T)(1.0), (T)(1.0 / 2), (T)(1.0 / 6), (T)(1.0 / 24), (T)(1.0 / 120), (T)(1.0 / 720),
        (T)(1.0 / 5040), (T)(1.0 / 40320), (T)(1.0 / 362880), (T)(1.0 / 3628800),
        (T)(1.0 / 39916800), (T)(1.0 / 479001600), (T)(1.0 / 6227020800)};
    x = x < EXP_LOWEST ? EXP_LOWEST : x;
    x = x > EXP_HIGHEST ? EXP_HIGHEST : x;
    T shifted = x * (T)1.4426950408889634 + ROUNDER;
    T n = shifted - ROUNDER;
    T r = (x - n * LN2_HIGH) - n * LN2_LOW;
    T p = inverse_factorial[DEGREE - 1];
#pragma GCC unroll 16
    for (int i = DEGREE - 2; i >= 0; i--) p = p * r + inverse_factorial[i];
    *q = p * r;
    INT exponent, zero;
    T rounder = ROUNDER;
    memcpy(&exponent, &shifted, sizeof exponent);
    memcpy(&zero, &rounder, sizeof zero);
    exponent -= zero;
    INT half = exponent >> 1;
    *scale1 = K(power_of_two)(half);
    *scale2 = K(power_of_two)(exponent - half);
}

static inline T K(exp_of)(T x)
{
    T scale1, scale2, q;
    K(exp_parts)(x, &scale1, &scale2, &q);
    T y = (q + 1) * scale1 * scale2;
    return x == x ? y : x;
}

static inline T K(logistic)(T x)
{
    T magnitude = x < 0 ? -x : x;
    T e = K(exp_of)(-magnitude);
    T y = (x < 0 ? e : (T)1) / (1 + e);
    return x == x ? y : x;
}

/* tanh(|x|) = -e / (e + 2) with e = expm1(-2 |x|): exact to the last places near 0 as well. */
static inline T K(hyperbolic_tangent)(T x)
{
    T magnitude = x < 0 ? -x : x, scale1, scale2, q;
    K(exp_parts)(-2 * magnitude, &scale1, &scale2, &q);
    T scale = scale1 * scale2;
    T e = scale * q + (scale - 1);
    T y = -e / (e + 2);
    y = x < 0 ? -y : y;
    return x == x && x != 0 ? y : x;            /* NaN and both zeros as they are */
}

#undef EXP_LOWEST
#undef EXP_HIGHEST
#undef LN2_HIGH
#undef LN2_LOW
#undef ROUNDER
#undef MANTISSA
#undef BIAS
#undef DEGREE

static T K(dot)(const T *a, const T *b, ptrdiff_t count)
{
    V sum = {0};
    ptrdiff_t i = 0;
    for (; i + VL <= count; i += VL) sum += K(load)(a + i) * K(load)(b + i);
    T total = K(lanes_sum)(sum);
    for (; i < count; i++) total += a[i] * b[i];
    return total;
}
