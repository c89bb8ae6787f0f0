/* What check.c, fresh.c, launches.c, layouts.c, threads.c and xla_calls.c share: each of them is a part of
   the C tests. */
#ifndef FASTXAVIER_CHECK_H
#define FASTXAVIER_CHECK_H

#include "fastxavier.h"

enum { DTYPE_COUNT = FX_FLOAT8_E5M2 + 1 };

/* Count a check; unless it holds, print what failed. */
void expect(int holds, const char *what, const char *detail);

void check_fresh_memory(void);
void check_launches(void);

/* With `brief`, less, for machines that are emulated or instrumented. */
void check_layouts(int brief);
void check_threads(int brief);
void check_xla(void);

#endif
