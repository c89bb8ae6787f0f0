/* The normal distribution's tails to some 90 bits, for the constants of a truncated normal. */
#ifndef FASTXAVIER_NORMAL_CDF_H
#define FASTXAVIER_NORMAL_CDF_H

/* A number as an unevaluated sum: high is it rounded, low the rest. */
typedef struct {
    double high, low;
} wide;

wide wide_from(double x);
wide wide_add(wide a, wide b);
wide wide_sub(wide a, wide b);
wide wide_mul(wide a, wide b);
wide wide_div(wide a, wide b);
wide wide_scale(wide a, int exponent); /* times 2^exponent */

/* The density at x >= 0, and the upper tail there, both times 2^exponent. x may be infinite. */
wide normal_density(double x, int exponent);
wide normal_tail(double x, int exponent);

/* cdf(x) - 1/2, relatively accurate next to zero, odd in x. */
wide normal_half(double x);

#endif
