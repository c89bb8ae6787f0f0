/* Commits one fault, given by name, that a sanitizer has to report; tools/sanitize.py runs it. All but the
   overflow break what fastxavier.h demands of callers, so that the report comes from inside the library. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastxavier.h"

enum { COUNT = 1 << 22 }; /* enough that one thread does not fill all before another one wakes */

static fx_status overrun(const fx_distribution *distribution, char *memory)
{
    char *few = realloc(memory, 4 * sizeof(float));
    const fx_status status = fx_fill_run(few, FX_FLOAT32, 0, 5, distribution, 0, 0, NULL);
    free(few);
    return status;
}

/* Two arrays at the same address, filled by two threads. */
static fx_status race(const fx_distribution *distribution, char *memory)
{
    const int64_t shape = COUNT;
    const fx_array same = {.data = memory, .dtype = FX_FLOAT32, .ndim = 1, .shape = &shape};
    fx_request requests[] = {{&same, distribution, 0, 1, 0, 0}, {&same, distribution, 0, 2, 0, 0}};
    const fx_status status = fx_fill_all(requests, 2, &(fx_options){.threads = 2}, NULL);
    free(memory);
    return status;
}

static fx_status uninitialised(const fx_distribution *distribution, char *memory)
{
    fx_distribution *unmade = malloc(sizeof *unmade);
    const fx_status status = fx_rescaled(unmade, distribution->mean, 1);
    free(unmade);
    free(memory);
    return status;
}

static fx_status leak(const fx_distribution *distribution, char *memory)
{
    char *volatile only = malloc(64);
    const fx_status status = fx_fill_run(only, FX_FLOAT32, 0, 16, distribution, 0, 0, NULL);
    only = NULL;
    free(memory);
    return status;
}

static fx_status overflow(const fx_distribution *distribution, char *memory)
{
    int most = INT32_MAX;
    most += distribution->kind != 0;
    free(memory);
    return most < 0 ? FX_OK : FX_ERROR_SHAPE;
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name;
        fx_status (*commit)(const fx_distribution *, char *);
    } FAULTS[] = {{"overrun", overrun},
                  {"race", race},
                  {"uninitialised", uninitialised},
                  {"leak", leak},
                  {"overflow", overflow}};
    fx_distribution distribution;
    fx_uniform(&distribution, -1, 1);
    for (size_t i = 0; i < sizeof FAULTS / sizeof *FAULTS; i++)
        if (count == 2 && strcmp(arguments[1], FAULTS[i].name) == 0)
            return printf("%s\n", fx_message(FAULTS[i].commit(&distribution,
                                                              malloc(COUNT * sizeof(float))))) < 0;
    return 2;
}
