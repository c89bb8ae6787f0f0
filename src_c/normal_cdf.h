/* The normal distribution's tails to about 90 bits, and the double-double arithmetic they need.
   distribution.c computes the constants of truncated normals with them. */
#ifndef FASTXAVIER_NORMAL_CDF_H
#define FASTXAVIER_NORMAL_CDF_H

/* A number as the sum high + low, where high is that sum rounded. */
typedef struct {
    double high, low;
} double_double;

double_double fx__dd_from(double x);
double_double fx__dd_add(double_double a, double_double b);
double_double fx__dd_sub(double_double a, double_double b);
double_double fx__dd_mul(double_double a, double_double b);
double_double fx__dd_div(double_double a, double_double b);
double_double fx__dd_scale(double_double a, int exponent); /* times 2^exponent */

/* The density at x >= 0, and the probability above x, both times 2^exponent. x may be infinite. */
double_double fx__normal_density(double x, int exponent);
double_double fx__normal_tail(double x, int exponent);

/* cdf(x) - 1/2, with a small relative error even near zero; odd in x. */
double_double fx__normal_half(double x);

#endif
