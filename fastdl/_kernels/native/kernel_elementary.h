/* exp, tanh and the logistic function of a vector, without a branch.
 *
 * exp(x) = 2^n exp(r) with n = round(x / ln 2), |r| <= ln(2) / 2 (Cody & Waite, 1980). All three
 * need it for x <= 0 only: softmax subtracts the maximum, the others are symmetric. So nothing
 * overflows, and what would be subnormal may be 0.
 *
 * expm1(r) = r (1 + r h(r)); h is interpolated at Chebyshev's points, which leaves an error of
 * 2e-8 in expm1(r) / r for float32, 4e-17 for float64: below half a unit in the last place.
 */
#ifdef FD_IS_DOUBLE
#define EXP_LOWEST -709.0               /* n is -1023 there, whose power of two comes out as 0 */
#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10
#define ROUNDER 6755399441055744.0      /* 1.5 * 2^52: adding it rounds to an integer */
#define MANTISSA 52
#define BIAS 1023
#define DEGREE 9
static const T K(expm1_terms)[] = {
    0.5000000000000001023, 0.1666666666666666745, 0.04166666666662409382,
    0.008333333333330059214, 0.001388888891723072323, 0.0001984126986306669503,
    0.0000248015212695321211, 2.755726843967800235e-6, 2.762010101209800023e-7,
    2.510039515942924402e-8};
#else
#define EXP_LOWEST -88.1f
#define LN2_HIGH 6.93359375e-01f
#define LN2_LOW -2.12194440e-04f
#define ROUNDER 12582912.0f             /* 1.5 * 2^23 */
#define MANTISSA 23
#define BIAS 127
#define DEGREE 4
static const T K(expm1_terms)[] = {0.5f, 0.1666657695f, 0.04166655457f, 0.008363185032f,
                                   0.001392619106f};
#endif

#define SIGN ((INT)((UINT)1 << (sizeof(T) * 8 - 1)))

static inline K(ivec) K(bits_of)(V v)
{
    K(ivec) bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static inline V K(of_bits)(K(ivec) bits)
{
    V v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* -|x| */
FD_INLINE V K(negative)(V x) { return K(of_bits)(K(bits_of)(x) | SIGN); }

/* For x <= 0: `scale` and the returned q, with exp(x) = scale + scale q. NaN passes through q. */
FD_INLINE V K(exp_parts)(V x, V *scale)
{
    x = K(select)((K(ivec))(x < EXP_LOWEST), (V){0} + EXP_LOWEST, x);
    V shifted = x * (T)1.4426950408889634 + ROUNDER;
    V n = shifted - ROUNDER;
    V r = (x - n * LN2_HIGH) - n * LN2_LOW;
    V h = (V){0} + K(expm1_terms)[DEGREE];
#pragma GCC unroll 16
    for (int i = DEGREE - 1; i >= 0; i--) h = h * r + K(expm1_terms)[i];
    K(ivec) exponent = K(bits_of)(shifted) - K(bits_of)((V){0} + ROUNDER);
    *scale = K(of_bits)((exponent + BIAS) << MANTISSA);
    return (h * r + 1) * r;
}

FD_INLINE V K(exp_of)(V x)
{
    V scale, q = K(exp_parts)(x, &scale);
    return scale * (q + 1);     /* scale * q alone may be subnormal where their sum is not */
}

FD_INLINE V K(logistic)(V x)
{
    V e = K(exp_of)(K(negative)(x));
    return K(select)((K(ivec))(x < 0), e, (V){0} + 1) / (e + 1);
}

/* tanh(|x|) = -e / (e + 2) with e = expm1(-2 |x|): exact to the last places near 0 as well. */
FD_INLINE V K(hyperbolic_tangent)(V x)
{
    V scale, q = K(exp_parts)(2 * K(negative)(x), &scale);
    V e = scale * q + (scale - 1);
    return K(of_bits)(K(bits_of)((0 - e) / (e + 2)) | (K(bits_of)(x) & SIGN));
}

#undef EXP_LOWEST
#undef LN2_HIGH
#undef LN2_LOW
#undef ROUNDER
#undef MANTISSA
#undef BIAS
#undef DEGREE
#undef SIGN
