/* Fills that instructions.py counts with callgrind: every distribution and dtype, with the named
   implementation and one thread. Each fill writes a profile with its name. The first fill, in which the
   library chooses its kernels, is not counted. */
#include <stdio.h>
#include <stdlib.h>
#include <valgrind/callgrind.h>

#include "fastxavier.h"

enum { COUNT = 1 << 16 };

static const char *const DTYPES[] = {"float32",  "float64",       "float16",
                                     "bfloat16", "float8_e4m3fn", "float8_e5m2"};
static const char *const DISTRIBUTIONS[] = {"uniform", "normal", "truncated_2", "truncated_3",
                                            "truncated_wide"};

int main(int argc, char **argv)
{
    const fx_options one = {.threads = 1};
    fx_distribution distributions[5];
    char *data = aligned_alloc(4096, COUNT * sizeof(double));
    if (!data || argc != 2 || fx_force_isa(argv[1]) != FX_OK)
        return 1;
    fx_uniform(&distributions[0], -0.05, 0.05);
    fx_normal(&distributions[1], 0, 0.02);
    fx_truncated_normal(&distributions[2], 0, 0.02, -2, 2);
    fx_truncated_normal(&distributions[3], 0, 0.02, -3, 3);
    fx_truncated_normal(&distributions[4], 0, 0.02, -100, 100);
    fx_fill_run(data, FX_FLOAT32, 0, COUNT, &distributions[0], 7, 3, &one);
    for (int distribution = 0; distribution < 5; distribution++)
        for (int dtype = FX_FLOAT32; dtype <= FX_FLOAT8_E5M2; dtype++) {
            char name[80];
            snprintf(name, sizeof name, "%s %s %s %d", argv[1], DISTRIBUTIONS[distribution],
                     DTYPES[dtype], COUNT);
            CALLGRIND_ZERO_STATS;
            fx_fill_run(data, (fx_dtype)dtype, 0, COUNT, &distributions[distribution], 7, 3, &one);
            CALLGRIND_DUMP_STATS_AT(name);
        }
    free(data);
    return 0;
}
