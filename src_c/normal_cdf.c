/* Double-double arithmetic (Dekker 1971) and the normal tails in it, from basic operations only:
   a constant of the stream may not depend on somebody's libm. Knows no distribution and no kernel. */
#include "normal_cdf.h"

#include <math.h>

#include "exact.h"

static wide quick_sum(double a, double b)
{
    const double s = a + b;
    return (wide){s, b - (s - a)};
}

static wide two_sum(double a, double b)
{
    const double s = a + b, t = s - a;
    return (wide){s, (a - (s - t)) + (b - t)};
}

wide wide_from(double x) { return (wide){x, 0}; }

wide wide_add(wide a, wide b)
{
    const wide s = two_sum(a.high, b.high), t = two_sum(a.low, b.low);
    const wide u = quick_sum(s.high, s.low + t.high);
    return quick_sum(u.high, u.low + t.low);
}

wide wide_sub(wide a, wide b) { return wide_add(a, (wide){-b.high, -b.low}); }

wide wide_mul(wide a, wide b)
{
    const double p = a.high * b.high;
    return quick_sum(p, fma(a.high, b.high, -p) + (a.high * b.low + a.low * b.high));
}

wide wide_div(wide a, wide b)
{
    const double q1 = a.high / b.high;
    const wide rest = wide_sub(a, wide_mul(b, wide_from(q1)));
    const double q2 = rest.high / b.high;
    const wide last = wide_sub(rest, wide_mul(b, wide_from(q2)));
    return wide_add(quick_sum(q1, q2), wide_from(last.high / b.high));
}

wide wide_scale(wide a, int exponent)
{
    return (wide){ldexp(a.high, exponent), ldexp(a.low, exponent)};
}

static const wide LN2 = {0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};
static const wide ROOT_2_PI = {0x1.40d931ff62706p+1, -0x1.a6a0d6f814637p-53};

/* exp(x) * 2^exponent for x <= 0: the Taylor series of exp(x - k ln 2), 30 terms of it below ln(2)/2. */
static wide exponential(wide x, int exponent)
{
    const double k = floor(x.high / LN2.high + 0.5);
    const wide r = wide_sub(x, wide_mul(LN2, wide_from(k)));
    wide sum = wide_from(1);
    for (int n = 30; n >= 1; n--)
        sum = wide_add(wide_from(1), wide_div(wide_mul(sum, r), wide_from(n)));
    return wide_scale(sum, (int)k + exponent);
}

/* From here on a double holds nothing of the density, times whatever power of two brings the largest
   tail that is asked for near to 1; and in the end squares overflow. */
static const double NOTHING_LEFT = 64;

wide normal_density(double x, int exponent)
{
    if (x > NOTHING_LEFT)
        return wide_from(0);
    const wide half_square = wide_scale(wide_mul(wide_from(x), wide_from(x)), -1);
    const wide minus = {-half_square.high, -half_square.low};
    return wide_div(exponential(minus, exponent), ROOT_2_PI);
}

enum { SERIES_TERMS = 90, FRACTION_TERMS = 110 };
static const double SERIES_END = 3;

/* density(x) * (x + x^3/3 + x^5/(3*5) + ...), every term of one sign. */
wide normal_half(double x)
{
    const double size = fabs(x);
    wide half;
    if (size > SERIES_END) {
        half = wide_sub(wide_from(0.5), normal_tail(size, 0));
    } else {
        const wide square = wide_mul(wide_from(size), wide_from(size));
        wide sum = wide_from(1);
        for (int k = SERIES_TERMS; k >= 1; k--)
            sum = wide_add(wide_from(1), wide_div(wide_mul(sum, square), wide_from(2 * k + 1)));
        half = wide_mul(normal_density(size, 0), wide_mul(wide_from(size), sum));
    }
    return x < 0 ? (wide){-half.high, -half.low} : half;
}

/* density(x) / (x + 1/(x + 2/(x + 3/...))) (Laplace), evaluated from its far end. */
wide normal_tail(double x, int exponent)
{
    if (x <= SERIES_END)
        return wide_scale(wide_sub(wide_from(0.5), normal_half(x)), exponent);
    if (x > NOTHING_LEFT)
        return wide_from(0);
    wide fraction = wide_from(x);
    for (int k = FRACTION_TERMS; k >= 1; k--)
        fraction = wide_add(wide_from(x), wide_div(wide_from(k), fraction));
    return wide_div(normal_density(x, exponent), fraction);
}
