/* From a distribution and a dtype to the kernel that draws it and its numbers. */
#ifndef FASTXAVIER_DISTRIBUTION_H
#define FASTXAVIER_DISTRIBUTION_H

#include "kernels.h"

/* Fill in job->f32 or job->f64 and *kernel_index; FX_ERROR_RANGE or FX_ERROR_EMPTY where the dtype
   cannot hold what the distribution draws. Called in the library's floating-point environment. */
fx_status fx__prepare_distribution(const fx_distribution *distribution, fx_dtype dtype, kernel_job *job, int *kernel_index);

#endif
