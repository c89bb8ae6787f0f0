/* The kernels instantiated in SSE2; dispatch.c lists the result. */
#include "cpu.h"
#if FX_X86_64
#include "kernels.h"
#include "vec_sse2.h"
#include "kernels.inc.h"
const isa fx__isa_sse2 = {.name = "sse2", .runs_here = fx__cpu_has_sse2, KERNEL_TABLES};
#endif
