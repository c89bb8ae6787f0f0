/* Prints bytes per cycle of every kernel that runs here: one thread, destination in the second-level cache.
   The length of a cycle is measured before and after each run. Run by make cycles. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cycle.inc.h"
#include "fastxavier.h"

enum { BYTES = 256 << 10, RUNS = 100, REPEATS = 4 };

int main(void)
{
    static const char *const DTYPES[] = {"float32",  "float64",       "float16",
                                         "bfloat16", "float8_e4m3fn", "float8_e5m2"};
    static const char *const DISTRIBUTIONS[] = {"uniform", "normal", "truncated +-2", "truncated +-3",
                                                "truncated wide"};
    const fx_options one = {.threads = 1};
    char *data = aligned_alloc(4096, BYTES);
    if (!data)
        return 1;
    fx_distribution distributions[5];
    fx_uniform(&distributions[0], -0.05, 0.05);
    fx_normal(&distributions[1], 0, 0.02);
    fx_truncated_normal(&distributions[2], 0, 0.02, -2, 2);
    fx_truncated_normal(&distributions[3], 0, 0.02, -3, 3);
    fx_truncated_normal(&distributions[4], 0, 0.02, -100, 100);
    memset(data, 0, BYTES);
    printf("%-8s %-14s", "ISA", "distribution");
    for (int dtype = FX_FLOAT32; dtype <= FX_FLOAT8_E5M2; dtype++)
        printf(" %13s", DTYPES[dtype]);
    printf("   bytes per cycle\n");
    for (int i = 0; fx_isa_available(i); i++) {
        fx_force_isa(fx_isa_available(i));
        for (int distribution = 0; distribution < 5; distribution++) {
            printf("%-8s %-14s", fx_isa(), DISTRIBUTIONS[distribution]);
            for (int dtype = FX_FLOAT32; dtype <= FX_FLOAT8_E5M2; dtype++) {
                const int64_t count = BYTES / (int64_t)fx_itemsize((fx_dtype)dtype);
                double least = 1e300;
                for (int run = 0; run < RUNS; run++) {
                    const double before = seconds_per_cycle(), start = seconds();
                    for (int k = 0; k < REPEATS; k++)
                        fx_fill_run(data, (fx_dtype)dtype, 0, count, &distributions[distribution], 7, 3,
                                    &one);
                    const double taken = (seconds() - start) / REPEATS, after = seconds_per_cycle();
                    const double cycles = taken / (before < after ? before : after);
                    least = cycles < least ? cycles : least;
                }
                printf(" %13.2f", BYTES / least);
                fflush(stdout);
            }
            printf("\n");
        }
    }
    free(data);
    return 0;
}
