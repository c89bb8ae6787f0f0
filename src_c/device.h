/* From an array and a distribution to the launch of a kernel on a GPU. The Python binding calls it; nothing
   here touches a GPU. */
#ifndef FASTXAVIER_DEVICE_H
#define FASTXAVIER_DEVICE_H

#include "cuda/launch.h"
#include "fastxavier.h"

typedef struct {
    const char *distribution, *name; /* FX_DISTRIBUTION and FX_NAME of the kernel's text */
    const char *entry; /* the name of the kernel; NULL if the array has no element */
    uint32_t grid; /* groups of LAUNCH_THREADS threads */
    device_launch launch;
} device_call;

/* The launch that writes what fx_fill would; its errors. The array's data is an address on the device. */
fx_status fx__device_call(const fx_array *array, const fx_distribution *distribution, uint64_t seed,
                          uint64_t stream, device_call *call);

/* The launch that writes zeros to a part of a matrix: in each column of the whole, to the places of its `zeros`
   least uniform numbers, at least one, which begin at index `first` for the part's first column. */
fx_status fx__device_zeros(const fx_array *array, int64_t first, int64_t zeros, uint64_t seed,
                           uint64_t stream, device_call *call);

#endif
