/* Runs many independent tasks on the available threads. Called by fill.c and fill_all.c. */
#ifndef FASTXAVIER_PARALLEL_H
#define FASTXAVIER_PARALLEL_H

#include "fastxavier.h"

typedef void parallel_task(void *context, int64_t task);

/* Run task(context, 0 .. count - 1), each once, in any order and on any thread, in the floating-point
   environment of fp_enter. FX_INTERRUPTED if the options' poll asked to stop. */
fx_status fx__parallel_run(parallel_task *task, void *context, int64_t count, const fx_options *options);

#endif
