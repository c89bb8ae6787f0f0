/* The kernels instantiated in plain C; dispatch.c lists the result. */
#include "cpu.h"
#include "kernels.h"
#include "vec_scalar.h"
#include "kernels.inc.h"
const isa fx__isa_scalar = {.name = "scalar", .runs_here = fx__cpu_has_scalar, KERNEL_TABLES};
