/* From words to values, one short function for each distribution, as docs/stream.md defines it. Included
   by values.inc.h for each precision R; c has the constants of the distribution. */

static INLINE R(v) R(scaled)(R(v) z, const R(constants) * c)
{
    return R(fma)(z, R(set)(c->scale), R(set)(c->mean));
}

static INLINE R(v) R(constant)(const R(constants) * c) { return R(set)(c->mean); }

static INLINE R(v) R(uniform)(vint word, const R(constants) * c)
{
    return R(scaled)(R(from_int)(vint_or(word, R(iset)(1))), c);
}

/* For a half-width h so small that h * 2^(1-B) would be subnormal: the power of two is applied to the
   word instead. */
static INLINE R(v) R(uniform_tiny)(vint word, const R(constants) * c)
{
    return R(scaled)(R(mul)(R(from_int)(vint_or(word, R(iset)(1))), R(set)(c->step)), c);
}

static INLINE void R(normal)(vint radius_word, vint angle_word, const R(constants) * c, R(v) out[2])
{
    const R(v) r = R(radius)(radius_word);
    R(cosine_sine)(angle_word, out);
    out[0] = R(scaled)(R(mul)(r, out[0]), c);
    out[1] = R(scaled)(R(mul)(r, out[1]), c);
}

/* The word as a sum of two numbers, the first of which is the word rounded. The top and the bottom bits
   convert without rounding, and so the second number is exact. */
static INLINE void R(split)(vint n, R(v) out[2])
{
    const R(v) top = R(from_int)(vint_and(n, R(iset)(~LOW_BITS)));
    const R(v) bottom = R(from_int)(vint_and(n, R(iset)(LOW_BITS)));
    out[0] = R(add)(top, bottom);
    out[1] = R(sub)(bottom, R(sub)(out[0], top));
}

/* p = 2 cdf - 1 = n * width + middle, where each of the three is a sum of two numbers, is
   fma(n[0], width[0], middle[0] + the result of this). */
static INLINE R(v) R(small_terms)(const R(v) n[2], const R(constants) * c, R(v) middle)
{
    return R(fma)(n[0], R(set)(c->width[1]), R(fma)(n[1], R(set)(c->width[0]), middle));
}

static INLINE R(v) R(clamped)(R(v) z, const R(constants) * c)
{
    return R(min)(R(max)(z, R(set)(c->low)), R(set)(c->high));
}

/* z from y = QUOTIENT_SCALE * p, v = p^2 - 1 and the nearer tail's probability, doubled. Few values of a
   wide interval lie in a tail, and so most vectors have none that needs the logarithm. */
static INLINE R(v) R(quantile)(R(v) y, R(v) v, R(v) tail, const R(constants) * c)
{
    const R(v) z = QUANTILE_NEAR(y, v, within_3);
    const vint in_tail = R(bits)(R(sub)(tail, R(set)(c->tail_below)));
    if (!R(any_negative)(in_tail))
        return z;
    const R(v) far = R(quantile_tail)(tail, R(set)(c->shift));
    return R(select)(in_tail, R(flip)(far, R(bits)(y)), z);
}

/* Symmetric intervals: y, the nearer tail, and v. It is tail^2 - 2 tail, and so exact where p^2 is close
   to 1. */
static INLINE R(v) R(symmetric)(vint word, const R(constants) * c, R(v) * tail, R(v) * v)
{
    const vint n = vint_or(word, R(iset)(1));
    *tail = R(fma)(R(distance)(n), R(set)(c->near_slope[0]), R(set)(c->near_base[0]));
    *v = R(fma)(*tail, *tail, R(mul)(*tail, R(set)(-2)));
    return R(mul)(R(from_int)(n), R(set)(c->width[0]));
}

/* At most two standard deviations. */
static INLINE R(v) R(truncated_2)(vint word, const R(constants) * c)
{
    R(v) tail, v;
    const R(v) y = R(symmetric)(word, c, &tail, &v);
    return R(scaled)(R(clamped)(QUANTILE_NEAR(y, v, within_2), c), c);
}

/* At most three. */
static INLINE R(v) R(truncated_3)(vint word, const R(constants) * c)
{
    R(v) tail, v;
    const R(v) y = R(symmetric)(word, c, &tail, &v);
    return R(scaled)(R(clamped)(QUANTILE_NEAR(y, v, within_3), c), c);
}

/* More. */
static INLINE R(v) R(truncated_wide)(vint word, const R(constants) * c)
{
    R(v) tail, v;
    const R(v) y = R(symmetric)(word, c, &tail, &v);
    return R(scaled)(R(clamped)(R(quantile)(y, v, tail, c), c), c);
}

/* Any other interval. */
static INLINE R(v) R(truncated)(vint word, const R(constants) * c)
{
    const vint n = vint_or(word, R(iset)(1));
    R(v) x[2];
    R(split)(n, x);
    x[0] = R(mul)(x[0], R(set)(c->step));
    x[1] = R(mul)(x[1], R(set)(c->step));
    const R(v) rest = R(small_terms)(x, c, R(set)(c->middle[1]));
    const R(v) p = R(fma)(x[0], R(set)(c->width[0]), R(add)(rest, R(set)(c->middle[0])));
    const R(v) a = R(distance)(n);
#define BY_SIDE(x) R(select)(n, R(set)(c->x[1]), R(set)(c->x[0]))
    const R(v) near = R(fma)(a, BY_SIDE(near_slope), BY_SIDE(near_base));
    const R(v) far = R(fma)(a, BY_SIDE(far_slope), BY_SIDE(far_base));
#undef BY_SIDE
    const R(v) y = R(mul)(p, R(set)(QUOTIENT_SCALE)), v = R(mul)(R(mul)(near, R(set)(-1)), far);
    return R(scaled)(R(clamped)(R(quantile)(y, v, R(min)(near, far), c), c), c);
}

/* The value of one word, for the distributions that take one. */
static INLINE R(v) R(value)(int distribution, vint word, const R(constants) * c)
{
    switch (distribution) {
    case DISTRIBUTION_uniform:
        return R(uniform)(word, c);
    case DISTRIBUTION_uniform_tiny:
        return R(uniform_tiny)(word, c);
    case DISTRIBUTION_truncated_2:
        return R(truncated_2)(word, c);
    case DISTRIBUTION_truncated_3:
        return R(truncated_3)(word, c);
    case DISTRIBUTION_truncated_wide:
        return R(truncated_wide)(word, c);
    default:
        return R(truncated)(word, c);
    }
}
