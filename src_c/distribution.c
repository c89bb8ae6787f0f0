/* Distributions: the public functions that make them, with checks and moments, and the constants that
   kernels need, which fill.c asks for. */
#include "distribution.h"

#include <math.h>
#include <string.h>

#include "fpenv.h"
#include "normal_cdf.h"
#include "shared/polynomials.h"

enum { CONSTANT = 1, UNIFORM, NORMAL, TRUNCATED };

/* An interval that begins farther out is refused: its probabilities would underflow in a double. */
static const double FARTHEST_BEGIN = 37;

/* For an interval that begins beyond this, the numbers of its tail are scaled, because they would
   otherwise underflow in a float. */
static const double FAR_BEGIN = 7;

/* With less probability than this, times 2^(1-B), a float would be subnormal. */
static const double NARROW = 0x1p-60;

/* Twice the probability beyond three standard deviations, up to which the quotients are fitted, and a
   little more. */
static const double TAIL = 0.0027;

/* ---- making distributions ------------------------------------------------------------------ */

fx_status fx_constant(fx_distribution *distribution, double value)
{
    if (!isfinite(value))
        return FX_ERROR_NOT_FINITE;
    *distribution = (fx_distribution){.kind = CONSTANT, .location = value};
    return FX_OK;
}

fx_status fx_uniform(fx_distribution *distribution, double low, double high)
{
    if (!isfinite(low) || !isfinite(high))
        return FX_ERROR_NOT_FINITE;
    if (low > high)
        return FX_ERROR_ORDER;
    memset(distribution, 0, sizeof *distribution);
    distribution->kind = UNIFORM;
    distribution->location = low;
    distribution->scale = high;
    const fp_state callers = fp_enter();
    const double from = distribution->location, to = distribution->scale; /* read here: see fpenv.h */
    const double half_width = to / 2 - from / 2;
    distribution->mean = from / 2 + to / 2;
    distribution->variance = half_width * half_width / 3;
    fp_leave(callers);
    return FX_OK;
}

fx_status fx_rescaled(fx_distribution *distribution, double mean, double std)
{
    if (distribution->kind != NORMAL && distribution->kind != TRUNCATED)
        return FX_ERROR_DISTRIBUTION;
    if (!isfinite(mean) || !isfinite(std))
        return FX_ERROR_NOT_FINITE;
    if (std < 0)
        return FX_ERROR_ORDER;
    distribution->location = mean;
    distribution->scale = std;
    return FX_OK;
}

fx_status fx_normal(fx_distribution *distribution, double mean, double std)
{
    fx_distribution normal = {.kind = NORMAL, .variance = 1, .low = -INFINITY, .high = INFINITY};
    const fx_status status = fx_rescaled(&normal, mean, std);
    if (status == FX_OK)
        *distribution = normal;
    return status;
}

static double_double doubled(double_double a) { return fx__dd_scale(a, 1); }

/* The probability above x, which may have either sign. */
static double_double above(double x)
{
    return x < 0 ? fx__dd_sub(fx__dd_from(1), fx__normal_tail(-x, 0)) : fx__normal_tail(x, 0);
}

/* Moments of an interval that is narrow compared with the scale on which the density changes. Around
   its centre c the density is proportional to exp(-c t - t^2/2) = sum a_k t^k, which is integrated term
   by term. */
static void moments_of_narrow(fx_distribution *distribution, double centre, double half)
{
    enum { TERMS = 24 };
    double sums[3] = {0}, term = 1, before = 0; /* term is a_k half^k */
    for (int k = 0; k < TERMS; k++) {
        for (int j = k % 2; j < 3; j += 2) /* the integrals of odd powers are 0 */
            sums[j] += term / (k + j + 1);
        const double next = -(centre * half * term + half * half * before) / (k + 1);
        before = term;
        term = next;
    }
    const double shift = sums[1] / sums[0] * half;
    distribution->mean = centre + shift;
    distribution->variance = sums[2] / sums[0] * half * half - shift * shift;
}

/* Mean and variance of the standard normal restricted to (low, high):
   m = (density(low) - density(high)) / width and
   v = 1 + (low density(low) - high density(high)) / width - m^2. */
static void moments(fx_distribution *distribution, double_double width)
{
    const double low = distribution->low, high = distribution->high;
    const double centre = low / 2 + high / 2, half = high / 2 - low / 2;
    if (half * fmax(1, fabs(centre)) < 0.5) {
        moments_of_narrow(distribution, centre, half);
        return;
    }
    const double_double at_low = fx__normal_density(fabs(low), distribution->exponent);
    const double_double at_high = fx__normal_density(fabs(high), distribution->exponent);
    double_double slope = fx__dd_from(0);
    if (!isinf(low))
        slope = fx__dd_mul(fx__dd_from(low), at_low);
    if (!isinf(high))
        slope = fx__dd_sub(slope, fx__dd_mul(fx__dd_from(high), at_high));
    const double_double mean = fx__dd_div(fx__dd_sub(at_low, at_high), width);
    const double_double variance =
        fx__dd_sub(fx__dd_add(fx__dd_from(1), fx__dd_div(slope, width)), fx__dd_mul(mean, mean));
    distribution->mean = mean.high;
    distribution->variance = variance.high;
}

static void set_probabilities(fx_distribution *distribution)
{
    const double low = distribution->low, high = distribution->high;
    const double_double half_low = fx__normal_half(low), half_high = fx__normal_half(high);
    const double_double middle = fx__dd_add(half_low, half_high);
    double_double lower_low = above(-low), lower_high = above(-high);
    double_double upper_low = above(low), upper_high = above(high);
    double_double width = fx__dd_sub(half_high, half_low);
    double_double lower_width = width, upper_width = width;
    if (low >= FAR_BEGIN || high <= -FAR_BEGIN) {
        const double nearest = low > 0 ? low : -high, farthest = low > 0 ? high : -low;
        int exponent;
        frexp(fx__normal_tail(nearest, 0).high, &exponent);
        distribution->exponent = -3 - exponent; /* the scaled tail is 1/16 to 1/8 */
        const double_double most = fx__normal_tail(nearest, distribution->exponent);
        const double_double least = fx__normal_tail(farthest, distribution->exponent);
        width = fx__dd_sub(most, least);
        if (low > 0)
            upper_low = most, upper_high = least, upper_width = width;
        else
            lower_high = most, lower_low = least, lower_width = width;
    }
    distribution->lower[0] = doubled(lower_low).high;
    distribution->lower[1] = doubled(lower_high).high;
    distribution->upper[0] = doubled(upper_low).high;
    distribution->upper[1] = doubled(upper_high).high;
    distribution->lower_width = lower_width.high;
    distribution->upper_width = upper_width.high;
    distribution->middle[0] = middle.high;
    distribution->middle[1] = middle.low;
    moments(distribution, width);
    width = fx__dd_scale(width, -distribution->exponent);
    distribution->width[0] = width.high;
    distribution->width[1] = width.low;
}

fx_status fx_truncated_normal(fx_distribution *distribution, double mean, double std, double low,
                              double high)
{
    if (isnan(low) || isnan(high))
        return FX_ERROR_NOT_FINITE;
    if (!(low < high) || low > FARTHEST_BEGIN || high < -FARTHEST_BEGIN)
        return FX_ERROR_EMPTY;
    fx_distribution truncated = {.kind = TRUNCATED, .low = low, .high = high};
    const fx_status status = fx_rescaled(&truncated, mean, std);
    if (status != FX_OK)
        return status;
    *distribution = truncated;
    const fp_state callers = fp_enter();
    set_probabilities(distribution);
    fp_leave(callers);
    return FX_OK;
}

/* ---- constants for the kernels ------------------------------------------------------------- */

typedef struct {
    int word_bits;
    int is_float;
    double end;   /* the smallest magnitude that rounds beyond the largest finite number */
    double reach; /* the largest normal value: sqrt(2 word_bits ln 2), rounded up */
} precision;

#define FLOAT_REACH 6.6605
#define DOUBLE_REACH 9.4193
static const precision PRECISIONS[DTYPE_COUNT] = {
    [FX_FLOAT32] = {32, 1, 0x1.ffffffp127, FLOAT_REACH},
    [FX_FLOAT64] = {64, 0, INFINITY, DOUBLE_REACH},
    [FX_FLOAT16] = {32, 1, 65520, FLOAT_REACH},
    [FX_BFLOAT16] = {32, 1, 0x1.ffp127, FLOAT_REACH},
    [FX_FLOAT8_E4M3FN] = {32, 1, 0x1.d00002p8, FLOAT_REACH}, /* 464 itself rounds to 448 */
    [FX_FLOAT8_E5M2] = {32, 1, 61440, FLOAT_REACH},
};

/* x rounded to the precision in which the kernels compute. Volatile, because GCC 12.2 at -O2 vectorizes
   two of these and then omits the rounding. */
static double round_to(double x, const precision *p)
{
    if (!p->is_float)
        return x;
    const volatile float nearest = (float)x;
    return nearest;
}

static double round_up_to(double x, const precision *p)
{
    const double nearest = round_to(x, p);
    return nearest >= x ? nearest : (double)nextafterf((float)nearest, INFINITY);
}

static int can_represent(double x, const precision *p) { return fabs(round_to(x, p)) < p->end; }

/* The number with this bit pattern. Nonnegative numbers have the order of their bit patterns. */
static double from_pattern(uint64_t pattern, const precision *p)
{
    if (p->is_float) {
        const uint32_t low_half = (uint32_t)pattern;
        float x;
        memcpy(&x, &low_half, sizeof x);
        return x;
    }
    double x;
    memcpy(&x, &pattern, sizeof x);
    return x;
}

/* The largest h with low <= mid - h and mid + h <= high, both sums rounded, found by bisection. */
static double widest(double low, double high, double mid, const precision *p)
{
    if (mid == 0)
        return fmin(-low, high) + 0.0;
    uint64_t fits = 0, fails = p->is_float ? 0x7F800000u : UINT64_C(0x7FF) << 52;
    while (fails - fits > 1) {
        const uint64_t pattern = fits + (fails - fits) / 2;
        const double h = from_pattern(pattern, p);
        if (round_to(mid - h, p) >= low && round_to(mid + h, p) <= high)
            fits = pattern;
        else
            fails = pattern;
    }
    return from_pattern(fits, p);
}

static fx_status prepare_constant(const fx_distribution *distribution, const precision *p,
                                  f64_constants *c)
{
    c->mean = distribution->location;
    return can_represent(c->mean, p) ? FX_OK : FX_ERROR_RANGE;
}

static fx_status prepare_uniform(const fx_distribution *distribution, const precision *p,
                                 f64_constants *c, int *kernel_index)
{
    const double low = round_to(distribution->location, p), high = round_to(distribution->scale, p);
    if (!can_represent(low, p) || !can_represent(high, p))
        return FX_ERROR_RANGE;
    const double sum = low + high;
    const double mid = round_to(isinf(sum) ? low / 2 + high / 2 : sum / 2, p) + 0.0; /* never -0 */
    const double h = widest(low, high, mid, p);
    c->mean = mid;
    c->step = ldexp(1, 1 - p->word_bits);
    c->scale = h * c->step;
    *kernel_index = DISTRIBUTION_uniform;
    if (round_to(c->scale, p) / c->step != h) {
        c->scale = h;
        *kernel_index = DISTRIBUTION_uniform_tiny;
    }
    return FX_OK;
}

static fx_status prepare_scaling(const fx_distribution *distribution, const precision *p,
                                 f64_constants *c)
{
    /* The farthest value of an open tail that begins at z leaves 2^-B of the tail's probability beyond
       it. It is less than sqrt(z^2 + reach^2). */
    const double past_low = fmin(distribution->high, 0), past_high = fmax(distribution->low, 0);
    const double lowest = fmax(distribution->low, -sqrt(past_low * past_low + p->reach * p->reach));
    const double highest = fmin(distribution->high, sqrt(past_high * past_high + p->reach * p->reach));
    c->mean = round_to(distribution->location + 0.0, p);
    c->scale = round_to(distribution->scale + 0.0, p);
    const double from = fma(lowest, c->scale, c->mean), to = fma(highest, c->scale, c->mean);
    const int can_compute = isfinite(c->mean) && isfinite(c->scale);
    return can_compute && can_represent(from, p) && can_represent(to, p) ? FX_OK : FX_ERROR_RANGE;
}

/* The kernel for an interval. The small numbers of a narrow one need those of the general kernel. */
static int truncated_kernel(const fx_distribution *distribution)
{
    if (distribution->low != -distribution->high || distribution->width[0] < NARROW)
        return DISTRIBUTION_truncated;
    return distribution->high <= 2   ? DISTRIBUTION_truncated_2
           : distribution->high <= 3 ? DISTRIBUTION_truncated_3
                                     : DISTRIBUTION_truncated_wide;
}

static void prepare_symmetric(const fx_distribution *distribution, f64_constants *c)
{
    c->width[0] = distribution->width[0] * c->step * QUOTIENT_SCALE;
    c->near_base[0] = distribution->upper[1];
    c->near_slope[0] = distribution->width[0] * c->step;
    c->tail_below = TAIL;
}

static void prepare_any_interval(const fx_distribution *distribution, const precision *p,
                                 f64_constants *c)
{
    const int upper_is_far = distribution->exponent && distribution->low > 0;
    const int lower_is_far = distribution->exponent && distribution->low <= 0;
    const double lower_width = lower_is_far ? distribution->lower_width : distribution->width[0];
    const double upper_width = upper_is_far ? distribution->upper_width : distribution->width[0];
    c->near_base[1] = distribution->lower[0];
    c->near_slope[1] = lower_width * c->step;
    c->far_base[1] = distribution->upper[0];
    c->far_slope[1] = -upper_width * c->step;
    c->near_base[0] = distribution->upper[1];
    c->near_slope[0] = upper_width * c->step;
    c->far_base[0] = distribution->lower[1];
    c->far_slope[0] = -lower_width * c->step;
    c->width[0] = distribution->width[0];
    c->width[1] =
        (distribution->width[0] - round_to(distribution->width[0], p)) + distribution->width[1];
    c->middle[0] = distribution->middle[0];
    c->middle[1] =
        (distribution->middle[0] - round_to(distribution->middle[0], p)) + distribution->middle[1];
    c->tail_below = distribution->exponent ? INFINITY : TAIL;
    c->shift = ldexp(distribution->exponent, p->is_float ? 23 : 52);
}

static fx_status prepare_truncated(const fx_distribution *distribution, const precision *p,
                                   f64_constants *c, int *kernel_index)
{
    c->step = ldexp(1, 1 - p->word_bits);
    c->low = round_up_to(distribution->low, p);
    c->high = -round_up_to(-distribution->high, p);
    *kernel_index = truncated_kernel(distribution);
    if (*kernel_index == DISTRIBUTION_truncated)
        prepare_any_interval(distribution, p, c);
    else
        prepare_symmetric(distribution, c);
    return c->low <= c->high ? FX_OK : FX_ERROR_EMPTY;
}

static f32_constants in_float(const f64_constants *c)
{
    f32_constants f;
    const double *from = (const double *)c;
    float *to = (float *)&f;
    for (size_t i = 0; i < sizeof f / sizeof *to; i++)
        to[i] = (float)from[i];
    return f;
}

fx_status fx__prepare_distribution(const fx_distribution *distribution, fx_dtype dtype, kernel_job *job,
                                   int *kernel_index)
{
    const precision *p = &PRECISIONS[dtype];
    f64_constants c;
    memset(&c, 0, sizeof c);
    fx_status status = FX_ERROR_DISTRIBUTION;
    if (distribution->kind == CONSTANT) {
        *kernel_index = DISTRIBUTION_constant;
        status = prepare_constant(distribution, p, &c);
    } else if (distribution->kind == UNIFORM) {
        status = prepare_uniform(distribution, p, &c, kernel_index);
    } else if (distribution->kind == NORMAL || distribution->kind == TRUNCATED) {
        *kernel_index = DISTRIBUTION_normal;
        status = prepare_scaling(distribution, p, &c);
        if (status == FX_OK && distribution->kind == TRUNCATED)
            status = prepare_truncated(distribution, p, &c, kernel_index);
    }
    if (p->is_float)
        job->f32 = in_float(&c);
    else
        job->f64 = c;
    return status;
}
