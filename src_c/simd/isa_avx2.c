/* The kernels in AVX2: a stamp. */
#include "cpu.h"
#if FX_X86_64
#include <immintrin.h>
#include <math.h>
#include "kernels.h"
FX_TARGET_BEGIN("avx2,fma,f16c")
#include "vec_avx2.h"
#include "kernels.inc.h"
FX_TARGET_END
const isa fx__isa_avx2 = {.name = "avx2", .runs_here = fx__cpu_has_avx2, .stream_align = LANES * 8, KERNEL_TABLES};
#endif
