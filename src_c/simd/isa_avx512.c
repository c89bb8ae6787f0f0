/* The kernels instantiated in AVX-512; dispatch.c lists the result. */
#include "cpu.h"
#if FX_X86_64
#include <immintrin.h>
#include <math.h>
#include "kernels.h"
FX_TARGET_BEGIN("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,f16c")
#include "vec_avx512.h"
#include "kernels.inc.h"
FX_TARGET_END
const isa fx__isa_avx512 = {.name = "avx512", .runs_here = fx__cpu_has_avx512, KERNEL_TABLES};
#endif
