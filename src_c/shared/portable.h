/* What lets the shared sources compile as C, as C++ and by NVRTC, which has no standard headers: integer
   types, and macros for functions, loops and tables. Included by all of them. */
#ifndef FASTXAVIER_PORTABLE_H
#define FASTXAVIER_PORTABLE_H

#if defined(__CUDACC_RTC__)

typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#define INT32_MAX 0x7FFFFFFF
#define INT32_MIN (-0x7FFFFFFF - 1)
#define INT64_MIN (-0x7FFFFFFFFFFFFFFFLL - 1)
#define INT64_C(x) x##LL
#define UINT64_C(x) x##ULL

#define DEVICE __device__
#define INLINE __device__ __forceinline__
#define NOINLINE __device__
#define FX_PRAGMA(text) _Pragma(#text)
#define FX_UNROLL(count) FX_PRAGMA(unroll count)
/* A constant expression, so that what an unrolled loop reads becomes a literal in the code. */
#define FX_TABLE(type, name) static DEVICE constexpr type name[]

#else

#include <stdint.h>

#define DEVICE
#define FX_PRAGMA(text) _Pragma(#text)
#if defined(__GNUC__)
#define INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline, unused))
#define FX_UNROLL(count) FX_PRAGMA(GCC unroll count)
#else
#define INLINE inline
#define NOINLINE
#define FX_UNROLL(count)
#endif
#define FX_TABLE(type, name) static const type name[]

#endif

#endif
