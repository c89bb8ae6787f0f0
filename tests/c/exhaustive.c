/* The error of the float32 normal and of the float32 truncated normals at 2 and 3 standard deviations.

   The normal: every radius word and every angle word, all 2^32 of each, against
   double precision. A value is radius * cosine (or sine), rounded once. With relative errors a and b of
   the factors, in u = 2^-24, the product is off by (a + b) m / 2 ulp and its rounding adds 1/2, where m
   is its significand in [1, 2). The largest a and b are kept for each significand of the factor, and the
   printed bound is the largest over all pairs of significands: no pair of words is worse.

   A truncated normal: every word, against the double with that word above and zeros below, which the tests
   of accuracy compare with 40-digit arithmetic. The word 2^-32 more in the double is far below an ulp.

   Fails above the promised 4 ulp. Run by make exhaustive. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>

#include "distribution.h"
#include "kernels.h"
#include "simd/vec_scalar.h"
#include "simd/kernels.inc.h"

enum { BINS = 1024 };
static const double PI_4 = 0.78539816339744830962;

static void record(double worst[BINS], double got, double want)
{
    int exponent;
    const double significand = 2 * frexp(fabs(want), &exponent);
    const double error = fabs(got / want - 1) * 0x1p24;
    double *slot = &worst[(int)((significand - 1) * BINS)];
    if (error > *slot)
        *slot = error;
}

static double largest(const double worst[BINS])
{
    double result = 0;
    for (int i = 0; i < BINS; i++)
        result = fmax(result, worst[i]);
    return result;
}

static double ulps(double got, double want)
{
    int exponent;
    frexp(want, &exponent);
    return fabs(got - want) / ldexp(1, exponent - 24);
}

/* Bit 0 of a word is not used, and bit 31 only changes the sign of the value. */
static double truncated_error(int standard_deviations)
{
    fx_distribution distribution;
    kernel_job job;
    int kernel;
    fx_truncated_normal(&distribution, 0, 1, -standard_deviations, standard_deviations);
    fx__prepare_distribution(&distribution, FX_FLOAT32, &job, &kernel);
    fx__prepare_distribution(&distribution, FX_FLOAT64, &job, &kernel);
    double largest = 0;
#pragma omp parallel for schedule(static, 1 << 20) reduction(max : largest)
    for (int64_t i = 0; i < INT64_C(1) << 30; i++) {
        const uint64_t word = (uint64_t)(2 * i + 1);
        const f32_v got = f32_value(kernel, word, &job.f32);
        const f64_v want = f64_value(kernel, word << 32, &job.f64);
        largest = fmax(largest, ulps(got.low, want));
    }
    printf("float32 normal truncated at %d: %.3f ulp at most\n", standard_deviations, largest);
    return largest;
}

int main(void)
{
    static double radius[BINS], angle[BINS];
#pragma omp parallel
    {
        double mine_radius[BINS] = {0}, mine_angle[BINS] = {0};
#pragma omp for schedule(static, 1 << 20)
        for (int64_t i = 0; i < INT64_C(1) << 31; i++) {
            const uint32_t word = (uint32_t)(2 * i + 1); /* bit 0 is not used */
            const int32_t n = (int32_t)word;
            const double g = fabs((double)n) * 0x1p-32;
            record(mine_radius, f32_radius(word).low, sqrt(-2 * (n < 0 ? log(g) : log1p(-g))));
        }
#pragma omp for schedule(static, 1 << 20)
        for (int64_t i = 0; i < INT64_C(1) << 32; i++) {
            const uint32_t word = (uint32_t)i;
            const int turns = word >> 30;
            const double theta = PI_4 * (int32_t)(word << 2 | 2) * 0x1p-31;
            const double c = cos(theta), s = sin(theta);
            f32_v got[2];
            f32_cosine_sine(word, got);
            record(mine_angle, got[0].low, turns == 0 ? c : turns == 1 ? -s : turns == 2 ? -c : s);
            record(mine_angle, got[1].low, turns == 0 ? s : turns == 1 ? c : turns == 2 ? -s : -c);
        }
#pragma omp critical
        for (int i = 0; i < BINS; i++) {
            radius[i] = fmax(radius[i], mine_radius[i]);
            angle[i] = fmax(angle[i], mine_angle[i]);
        }
    }
    double bound = 0;
    for (int i = 0; i < BINS; i++)
        for (int j = 0; j < BINS; j++) {
            const double low = (1 + (double)i / BINS) * (1 + (double)j / BINS);
            const double high = (1 + (i + 1.0) / BINS) * (1 + (j + 1.0) / BINS);
            const double m = low < 2 && high > 2 ? 2 : high > 2 ? high / 2 : high;
            bound = fmax(bound, (radius[i] + angle[j]) * m / 2 + 0.5);
        }
    printf("radius: %.3f u, cosine and sine: %.3f u, float32 normal: %.3f ulp at most\n",
           largest(radius), largest(angle), bound);
    bound = fmax(bound, fmax(truncated_error(2), fmax(truncated_error(3), truncated_error(100))));
    return bound <= 4 ? 0 : 1;
}
