/* What no compiler may do to this arithmetic, refused as far as it can be seen from here: parts of
   -ffast-math that have a macro. Included wherever a rounding is the stream's. */
#ifndef FASTXAVIER_EXACT_H
#define FASTXAVIER_EXACT_H

#include <float.h>

#if defined(__FAST_MATH__)
#error "fastxavier promises the same bits everywhere: compile it without -ffast-math"
#elif defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__)
#error "fastxavier promises the same bits everywhere: compile it without -funsafe-math-optimizations"
#elif defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__
#error "fastxavier meets infinities and NaN: compile it without -ffinite-math-only"
#endif

#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0
#error "fastxavier needs float and double evaluated as such: on 32-bit x86 add -msse2 -mfpmath=sse"
#endif

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

#endif
