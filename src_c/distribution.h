/* From a distribution and a dtype to a kernel and its constants. Called by fill.c. */
#ifndef FASTXAVIER_DISTRIBUTION_H
#define FASTXAVIER_DISTRIBUTION_H

#include "kernels.h"

/* Set job->f32 or job->f64, and *kernel_index to the kernel's row, such as DISTRIBUTION_uniform.
   FX_ERROR_RANGE or FX_ERROR_EMPTY if the dtype cannot represent the values; FX_ERROR_DISTRIBUTION if
   it is not a distribution. Call it between fp_enter and fp_leave. */
fx_status fx__prepare_distribution(const fx_distribution *distribution, fx_dtype dtype, kernel_job *job,
                                   int *kernel_index);

#endif
