/* The kernels instantiated in NEON; dispatch.c lists the result. */
#include "cpu.h"
#if FX_AARCH64
#include "kernels.h"
#include "vec_neon.h"
#include "kernels.inc.h"
const isa fx__isa_neon = {.name = "neon", .runs_here = fx__cpu_has_neon, KERNEL_TABLES};
#endif
