/* How long a clock cycle takes now: a chain of dependent additions, one a cycle. What is divided by
   it does not depend on what frequency the machine was allowed to run at. */
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#define ADD "add $1, %0\n\t"
#elif defined(__aarch64__)
#define ADD "add %0, %0, #1\n\t"
#else
#error "no chain of additions is written for this machine"
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
        __asm__ volatile(ADD ADD ADD ADD ADD ADD ADD ADD : "+r"(x));
    return (seconds() - start) / (8.0 * STEPS);
}
