/* exp, tanh, the logistic and the normal distribution function of a vector, without a branch.
 *
 * exp(x) = 2^n exp(r) with n = round(x / ln 2), |r| <= ln(2) / 2 (Cody & Waite, 1980). All
 * need it for x <= 0 only: softmax subtracts the maximum, the others are symmetric. So nothing
 * overflows, and what would be subnormal may be 0.
 *
 * expm1(r) = r (1 + r h(r)); h is interpolated at Chebyshev's points, which leaves an error of
 * 2e-8 in expm1(r) / r for float32, 4e-17 for float64: below half a unit in the last place.
 *
 * The normal distribution's tail is Phi(-|x|) = exp(-x^2 / 2) t q(t) with t = A / (A + |x|), a way
 * of writing that Hastings (1955) chose; A = 3.5 sqrt(2), and q, interpolated on [0, 1] likewise, is
 * off by 9e-9 for float32, 2e-17 for float64.
 */
#ifdef FD_IS_DOUBLE
static inline T K(root)(T v) { return sqrt(v); }

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
#define TAIL_DEGREE 22
static const T K(tail_terms)[] = {
    0.080598511935393760103, 0.080598511935388665506, 0.077308776755239971798,
    0.070729306332157719125, 0.061262927708254438953, 0.049715237580392167879,
    0.037213297536870020312, 0.0250311112008829508, 0.014449523776609236037,
    0.0060085301573712957141, 0.0017214903448905282114, -0.0034118162313008854104,
    -0.00035173763457470378059, 0.0043892957925901789017, -0.030533784625284810417,
    0.078070477427973883833, -0.13100686330574107971, 0.15847166478128833644,
    -0.13451426126281854906, 0.077325550354990148885, -0.028712615371559364435,
    0.0062439220904268938666, -0.00060705727944081782638};
#else
static inline T K(root)(T v) { return sqrtf(v); }

#define EXP_LOWEST -88.1f
#define LN2_HIGH 6.93359375e-01f
#define LN2_LOW -2.12194440e-04f
#define ROUNDER 12582912.0f             /* 1.5 * 2^23 */
#define MANTISSA 23
#define BIAS 127
#define DEGREE 4
static const T K(expm1_terms)[] = {0.5f, 0.1666657695f, 0.04166655457f, 0.008363185032f,
                                   0.001392619106f};
#define TAIL_DEGREE 10
static const T K(tail_terms)[] = {
    0.080598518002f, 0.080597048167f, 0.0773664603f, 0.069854677784f, 0.067948696989f,
    0.020604524185f, 0.11338601146f, -0.095175914533f, 0.12193509972f, -0.036535861351f,
    -0.00057926945791f};
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

/* Phi(x), and exp(-x^2 / 2) through `bell`. */
FD_INLINE V K(normal_distribution)(V x, V *bell)
{
    V t = (T)4.949747468305832671 / ((T)4.949747468305832671 - K(negative)(x));
    V q = (V){0} + K(tail_terms)[TAIL_DEGREE];
#pragma GCC unroll 32
    for (int i = TAIL_DEGREE - 1; i >= 0; i--) q = q * t + K(tail_terms)[i];
    *bell = K(exp_of)(x * x * (T)-0.5);
    V tail = *bell * (q * t);
    return K(select)((K(ivec))(x > 0), 1 - tail, tail);
}

#undef EXP_LOWEST
#undef LN2_HIGH
#undef LN2_LOW
#undef ROUNDER
#undef MANTISSA
#undef BIAS
#undef DEGREE
#undef TAIL_DEGREE
#undef SIGN
