/* Double-double arithmetic (Dekker 1971) and the normal distribution's tails. Called by distribution.c.
   Only basic operations are used: constants of the stream must not depend on the platform's libm. */
#include "normal_cdf.h"

#include <math.h>

#include "exact.h"

static double_double quick_sum(double a, double b)
{
    const double s = a + b;
    return (double_double){s, b - (s - a)};
}

static double_double two_sum(double a, double b)
{
    const double s = a + b, t = s - a;
    return (double_double){s, (a - (s - t)) + (b - t)};
}

double_double fx__dd_from(double x) { return (double_double){x, 0}; }

double_double fx__dd_add(double_double a, double_double b)
{
    const double_double s = two_sum(a.high, b.high), t = two_sum(a.low, b.low);
    const double_double u = quick_sum(s.high, s.low + t.high);
    return quick_sum(u.high, u.low + t.low);
}

double_double fx__dd_sub(double_double a, double_double b)
{
    return fx__dd_add(a, (double_double){-b.high, -b.low});
}

double_double fx__dd_mul(double_double a, double_double b)
{
    const double p = a.high * b.high;
    return quick_sum(p, fma(a.high, b.high, -p) + (a.high * b.low + a.low * b.high));
}

double_double fx__dd_div(double_double a, double_double b)
{
    const double q1 = a.high / b.high;
    const double_double rest = fx__dd_sub(a, fx__dd_mul(b, fx__dd_from(q1)));
    const double q2 = rest.high / b.high;
    const double_double last = fx__dd_sub(rest, fx__dd_mul(b, fx__dd_from(q2)));
    return fx__dd_add(quick_sum(q1, q2), fx__dd_from(last.high / b.high));
}

double_double fx__dd_scale(double_double a, int exponent)
{
    return (double_double){ldexp(a.high, exponent), ldexp(a.low, exponent)};
}

static const double_double LN2 = {0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};
static const double_double ROOT_2_PI = {0x1.40d931ff62706p+1, -0x1.a6a0d6f814637p-53};

/* exp(x) * 2^exponent for x <= 0, from 30 terms of the Taylor series of exp(x - k ln 2), where
   |x - k ln 2| <= ln(2)/2. */
static double_double exponential(double_double x, int exponent)
{
    const double k = floor(x.high / LN2.high + 0.5);
    const double_double r = fx__dd_sub(x, fx__dd_mul(LN2, fx__dd_from(k)));
    double_double sum = fx__dd_from(1);
    for (int n = 30; n >= 1; n--)
        sum = fx__dd_add(fx__dd_from(1), fx__dd_div(fx__dd_mul(sum, r), fx__dd_from(n)));
    return fx__dd_scale(sum, (int)k + exponent);
}

/* Beyond this the density is 0 in a double, even times the power of two that brings the largest tail
   near to 1. Much farther out, squares would overflow. */
static const double DENSITY_END = 64;

double_double fx__normal_density(double x, int exponent)
{
    if (x > DENSITY_END)
        return fx__dd_from(0);
    const double_double half_square = fx__dd_scale(fx__dd_mul(fx__dd_from(x), fx__dd_from(x)), -1);
    const double_double minus = {-half_square.high, -half_square.low};
    return fx__dd_div(exponential(minus, exponent), ROOT_2_PI);
}

enum { SERIES_TERMS = 90, FRACTION_TERMS = 110 };
static const double SERIES_END = 3;

/* density(x) * (x + x^3/3 + x^5/(3*5) + ...), whose terms all have the same sign. */
double_double fx__normal_half(double x)
{
    const double size = fabs(x);
    double_double half;
    if (size > SERIES_END) {
        half = fx__dd_sub(fx__dd_from(0.5), fx__normal_tail(size, 0));
    } else {
        const double_double square = fx__dd_mul(fx__dd_from(size), fx__dd_from(size));
        double_double sum = fx__dd_from(1);
        for (int k = SERIES_TERMS; k >= 1; k--)
            sum =
                fx__dd_add(fx__dd_from(1), fx__dd_div(fx__dd_mul(sum, square), fx__dd_from(2 * k + 1)));
        half = fx__dd_mul(fx__normal_density(size, 0), fx__dd_mul(fx__dd_from(size), sum));
    }
    return x < 0 ? (double_double){-half.high, -half.low} : half;
}

/* density(x) / (x + 1/(x + 2/(x + 3/...))) (Laplace), evaluated from the innermost fraction. */
double_double fx__normal_tail(double x, int exponent)
{
    if (x <= SERIES_END)
        return fx__dd_scale(fx__dd_sub(fx__dd_from(0.5), fx__normal_half(x)), exponent);
    if (x > DENSITY_END)
        return fx__dd_from(0);
    double_double fraction = fx__dd_from(x);
    for (int k = FRACTION_TERMS; k >= 1; k--)
        fraction = fx__dd_add(fx__dd_from(x), fx__dd_div(fx__dd_from(k), fraction));
    return fx__dd_div(fx__normal_density(x, exponent), fraction);
}
