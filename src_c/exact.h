/* Refuses compiler flags that would change bits, as far as a macro reveals them: parts of -ffast-math.
   Included wherever values of the stream, or constants for them, are computed. */
#ifndef FASTXAVIER_EXACT_H
#define FASTXAVIER_EXACT_H

#include <float.h>

#if defined(__FAST_MATH__)
#error "fastxavier promises the same bits everywhere: compile it without -ffast-math"
#elif defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__)
#error "fastxavier promises the same bits everywhere: compile it without -funsafe-math-optimizations"
#elif defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__
#error "fastxavier computes with infinities and NaN: compile it without -ffinite-math-only"
#endif

/* 16 also evaluates float and double as such: it is for CPUs with arithmetic of half precision. */
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "fastxavier needs float and double evaluated as such: on 32-bit x86 add -msse2 -mfpmath=sse"
#endif

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

#endif
