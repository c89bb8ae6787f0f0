/* The kernels instantiated in AVX2; dispatch.c lists the result. */
#include "cpu.h"
#if FX_X86_64
#include <immintrin.h>
#include <math.h>
#include "kernels.h"
FX_TARGET_BEGIN("avx2,fma,f16c")
#include "vec_avx2.h"
#include "kernels.inc.h"
FX_TARGET_END
const isa fx__isa_avx2 = {.name = "avx2", .runs_here = fx__cpu_has_avx2, KERNEL_TABLES};
#endif
