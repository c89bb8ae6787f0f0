/* The vocabulary of a GPU's thread: the arithmetic that shared/scalar.h builds on, by intrinsics that round to
   nearest, and that no compiler flag contracts or approximates. kernels.cu includes it. */
#define float_add(a, b) __fadd_rn(a, b)
#define float_sub(a, b) __fsub_rn(a, b)
#define float_mul(a, b) __fmul_rn(a, b)
#define float_div(a, b) __fdiv_rn(a, b)
#define float_sqrt(a) __fsqrt_rn(a)
#define float_fma(a, b, c) __fmaf_rn(a, b, c)
#define float_from_int(a) __int2float_rn(a)
#define float_bits(a) __float_as_uint(a)
#define float_of_bits(a) __uint_as_float(a)

#define double_add(a, b) __dadd_rn(a, b)
#define double_sub(a, b) __dsub_rn(a, b)
#define double_mul(a, b) __dmul_rn(a, b)
#define double_div(a, b) __ddiv_rn(a, b)
#define double_sqrt(a) __dsqrt_rn(a)
#define double_fma(a, b, c) __fma_rn(a, b, c)
#define double_from_int(a) __ll2double_rn(a)
#define double_bits(a) ((uint64_t)__double_as_longlong(a))
#define double_of_bits(a) __longlong_as_double((int64_t)(a))

#include "../shared/scalar.h"
