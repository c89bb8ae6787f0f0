/* Logarithm, sine, cosine and the normal quantile, from +, -, *, /, sqrt and fma alone, so that every
   instruction set gives the same bits. Included by values.inc.h for each precision R.
   polynomials.h has the polynomials and their errors. */

#define COUNT(name) ((int)(sizeof R(name) / sizeof *R(name)))

static INLINE R(v) R(horner)(R(v) x, const R(real) * coefficients, int count)
{
    R(v) sum = R(set)(coefficients[count - 1]);
    FX_UNROLL(32)
    for (int k = count - 2; k >= 0; k--)
        sum = R(fma)(sum, x, R(set)(coefficients[k]));
    return sum;
}
#define POLYNOMIAL(x, name) R(horner)(x, R(name), COUNT(name))
#define QUOTIENT(x, name) R(div)(POLYNOMIAL(x, name), POLYNOMIAL(x, name##_denominator))

/* The exponent of x with x * 2^-exponent in [2/3, 4/3), at its place in the exponent field. In that
   interval no sum below loses more than one bit to cancellation. */
static INLINE vint R(exponent_field)(R(v) x)
{
    return vint_and(R(isub)(R(bits)(x), R(iset)(TWO_THIRDS_BITS)), R(iset)(EXPONENT_MASK));
}

/* -2 * 2^-exponent */
static INLINE R(v) R(minus_two_over)(vint field)
{
    return R(unbits)(R(isub)(R(iset)(MINUS_TWO_BITS), field));
}

#if LOG_DIVIDES
/* -2 ln(1 - F/2) = 4 artanh(q), q = F / (4 - F). In double precision a division costs less than the
   thirteen coefficients that it saves. */
static INLINE R(v) R(log_series)(R(v) F)
{
    const R(v) q = R(div)(F, R(sub)(R(set)(4), F));
    const R(v) square = R(mul)(q, q);
    return R(fma)(q, R(fma)(square, POLYNOMIAL(square, artanh), F), F);
}
#else
/* -2 ln(1 - F/2). The even and the odd powers are summed side by side, which halves the wait. */
static INLINE R(v) R(log_series)(R(v) F)
{
    const R(v) square = R(mul)(F, F);
    const R(v) even = POLYNOMIAL(square, log_even), odd = POLYNOMIAL(square, log_odd);
    return R(fma)(square, R(fma)(odd, F, even), F);
}
#endif

/* -2 ln(2^exponent * (1 - F/2)), with the exponent field as a number. */
static INLINE R(v) R(minus_two_log)(R(v) field_value, R(v) F)
{
    return R(fma)(field_value, R(set)(MINUS_TWO_LN2 * EXPONENT_UNIT), R(log_series)(F));
}

/* Box-Muller's radius sqrt(-2 ln U), where U = g if the word is negative, else 1 - g, and g = |n| / 2^B.
   Near U = 1 the logarithm needs g itself, so F = 2 - 2 U / 2^exponent is computed from the signed word
   and not from a rounded U. */
static INLINE R(v) R(radius)(vint word)
{
    const vint n = vint_or(word, R(iset)(1));
    const R(v) signed_g = R(mul)(R(from_int)(n), R(set)(-UNIT_OF_WORD));
    const R(v) U = R(add)(signed_g, R(select)(n, R(set)(0), R(set)(1)));
    const vint field = R(exponent_field)(U);
    const R(v) factor = R(minus_two_over)(field);
    const R(v) offset = R(add)(R(set)(2), R(select)(n, R(set)(0), factor));
    const R(v) F = R(fma)(factor, signed_g, offset);
    return R(sqrt)(R(minus_two_log)(R(from_int)(field), F));
}

/* Box-Muller's angle: pi/4 * v / 2^(B-1) plus a number of quarter turns, which is the word's top two
   bits. Bit B-2 exchanges sine and cosine, and both bits determine the signs. */
static INLINE void R(cosine_sine)(vint word, R(v) out[2])
{
    const vint v = vint_or(R(ishl)(word, 2), R(iset)(2));
    const R(v) t = R(mul)(R(from_int)(v), R(set)(2 * UNIT_OF_WORD));
    const R(v) t2 = R(mul)(t, t);
    const R(v) sine = R(fma)(t, R(set)(R(sine_leading)), R(mul)(t, POLYNOMIAL(t2, sine)));
    const R(v) cosine = R(fma)(t2, POLYNOMIAL(t2, cosine), R(set)(1));
    const vint odd_turns = R(ishl)(word, 1);
    out[0] = R(flip)(R(select)(odd_turns, sine, cosine), vint_xor(word, odd_turns));
    out[1] = R(flip)(R(select)(odd_turns, cosine, sine), word);
}

/* y = -2 ln(x) for x in (0, 1]; `shift` is subtracted from the exponent field. */
static INLINE R(v) R(minus_two_log_of)(R(v) x, R(v) shift)
{
    const vint field = R(exponent_field)(x);
    const R(v) F = R(fma)(R(minus_two_over)(field), x, R(set)(2));
    return R(minus_two_log)(R(sub)(R(from_int)(field), shift), F);
}

/* The normal quantile z near the mean, as z / y - 1, where y = QUOTIENT_SCALE * p and p = 2 cdf - 1, from
   v = p^2 - 1. Its polynomials lose no digits in v, as they would in p^2. */
#define QUANTILE_NEAR(y, v, name) R(fma)(y, QUOTIENT(v, name), y)

/* The magnitude of the quantile away from the mean, from the tail's probability, doubled. One function for
   all kernels, because it is called for few vectors. */
static NOINLINE R(v) R(quantile_tail)(R(v) tail, R(v) shift)
{
    const R(v) s = R(sqrt)(R(minus_two_log_of)(tail, shift));
    return R(sub)(s, QUOTIENT(s, tail));
}
