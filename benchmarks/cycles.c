/* Bytes per cycle of every kernel that runs here, one thread, the destination in the second-level
   cache. The clock is measured beside each run as a chain of dependent additions, one a cycle, so
   the figure does not depend on what frequency the machine was allowed to run at. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fastxavier.h"

#if defined(__x86_64__)
#define ADD "add $1, %0\n\t"
#elif defined(__aarch64__)
#define ADD "add %0, %0, #1\n\t"
#else
#error "no chain of additions is written for this machine"
#endif

enum { BYTES = 256 << 10, RUNS = 100, REPEATS = 4 };

static double seconds(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double seconds_per_cycle(void)
{
    enum { STEPS = 100000 };
    const double start = seconds();
    uint64_t x = 0;
    for (long i = 0; i < STEPS; i++)
        __asm__ volatile(ADD ADD ADD ADD ADD ADD ADD ADD : "+r"(x));
    return (seconds() - start) / (8.0 * STEPS);
}

int main(void)
{
    static const char *const DTYPES[] = {"float32", "float64", "float16", "bfloat16"};
    static const char *const LAWS[] = {"uniform", "normal", "truncated +-2", "truncated +-3"};
    const fx_options one = {.threads = 1};
    char *data = aligned_alloc(4096, BYTES);
    if (!data)
        return 1;
    fx_law laws[4];
    fx_uniform(&laws[0], -0.05, 0.05);
    fx_normal(&laws[1], 0, 0.02);
    fx_truncated_normal(&laws[2], 0, 0.02, -2, 2);
    fx_truncated_normal(&laws[3], 0, 0.02, -3, 3);
    memset(data, 0, BYTES);
    printf("%-8s %-14s %9s %9s %9s %9s   bytes per cycle\n", "ISA", "law", DTYPES[0], DTYPES[1],
           DTYPES[2], DTYPES[3]);
    for (int i = 0; fx_isa_available(i); i++) {
        fx_force_isa(fx_isa_available(i));
        for (int law = 0; law < 4; law++) {
            printf("%-8s %-14s", fx_isa(), LAWS[law]);
            for (int dtype = FX_FLOAT32; dtype <= FX_BFLOAT16; dtype++) {
                const int64_t count = BYTES / (int64_t)fx_itemsize((fx_dtype)dtype);
                double least = 1e300;
                for (int run = 0; run < RUNS; run++) {
                    const double before = seconds_per_cycle(), start = seconds();
                    for (int k = 0; k < REPEATS; k++)
                        fx_fill_run(data, (fx_dtype)dtype, 0, count, &laws[law], 7, 3, &one);
                    const double taken = (seconds() - start) / REPEATS, after = seconds_per_cycle();
                    const double cycles = taken / (before < after ? before : after);
                    least = cycles < least ? cycles : least;
                }
                printf(" %9.2f", BYTES / least);
                fflush(stdout);
            }
            printf("\n");
        }
    }
    free(data);
    return 0;
}
