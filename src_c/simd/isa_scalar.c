/* The kernels in plain C: a stamp. */
#include "cpu.h"
#include "kernels.h"
#include "vec_scalar.h"
#include "kernels.inc.h"
const isa isa_scalar = {
    .name = "scalar", .runs_here = cpu_has_scalar, KERNEL_TABLES};
