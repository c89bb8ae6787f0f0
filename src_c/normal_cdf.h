/* The normal distribution's tails to some 90 bits, for the constants of a truncated normal. */
#ifndef FASTXAVIER_NORMAL_CDF_H
#define FASTXAVIER_NORMAL_CDF_H

/* A number as an unevaluated sum: high is it rounded, low the rest. */
typedef struct {
    double high, low;
} double_double;

double_double fx__dd_from(double x);
double_double fx__dd_add(double_double a, double_double b);
double_double fx__dd_sub(double_double a, double_double b);
double_double fx__dd_mul(double_double a, double_double b);
double_double fx__dd_div(double_double a, double_double b);
double_double fx__dd_scale(double_double a, int exponent); /* times 2^exponent */

/* The density at x >= 0, and the upper tail there, both times 2^exponent. x may be infinite. */
double_double fx__normal_density(double x, int exponent);
double_double fx__normal_tail(double x, int exponent);

/* cdf(x) - 1/2, relatively accurate next to zero, odd in x. */
double_double fx__normal_half(double x);

#endif
