/* The time and the current length of a clock cycle, from a chain of dependent negations, which take one
   cycle each: some CPUs fold additions of a constant together. Times divided by it do not depend on the
   frequency. Included by cycles.c. */
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#define STEP "neg %0\n\t"
#elif defined(__aarch64__)
#define STEP "neg %0, %0\n\t"
#else
#error "cycle.inc.h supports x86-64 and AArch64"
#endif

double seconds(void);
double seconds_per_cycle(void);

double seconds(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double seconds_per_cycle(void)
{
    enum { STEPS = 100000 };
    const double start = seconds();
    uint64_t x = 0;
    for (long i = 0; i < STEPS; i++)
        __asm__ volatile(STEP STEP STEP STEP STEP STEP STEP STEP : "+r"(x));
    return (seconds() - start) / (8.0 * STEPS);
}
