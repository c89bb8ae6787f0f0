/* The floating-point environment. fp_enter sets round to nearest without flush-to-zero and traps, and
   fp_leave restores the caller's own, sticky flags included. Used by parallel.c and fill.c around the
   computation of values, by distribution.c around that of constants, and by the Python binding.

   No compiler knows that arithmetic depends on the environment: GCC 16 moves it past both. What is
   computed between them must therefore be read from memory that others can see and written to it, which
   fp_fence keeps in place, or be volatile. */
#ifndef FASTXAVIER_FPENV_H
#define FASTXAVIER_FPENV_H

#include <stdatomic.h>

#include "cpu.h"

static inline void fp_fence(void) { atomic_signal_fence(memory_order_seq_cst); }

#if FX_X86_64

#include <xmmintrin.h>
typedef unsigned fp_state;
static inline fp_state fp_enter(void)
{
    const fp_state callers = _mm_getcsr();
    _mm_setcsr(0x1F80); /* all exceptions masked */
    fp_fence();
    return callers;
}
static inline void fp_leave(fp_state callers)
{
    fp_fence();
    _mm_setcsr(callers);
}

#elif FX_AARCH64

#include <stdint.h>
typedef struct {
    uint64_t fpcr, fpsr;
} fp_state;
static inline fp_state fp_enter(void)
{
    fp_state callers;
    __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(callers.fpcr), "=r"(callers.fpsr));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0) : "memory");
    return callers;
}
static inline void fp_leave(fp_state callers)
{
    __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1" : : "r"(callers.fpcr), "r"(callers.fpsr) : "memory");
}

#else

#include <fenv.h>
typedef fenv_t fp_state;
static inline fp_state fp_enter(void)
{
    fp_state callers;
    fegetenv(&callers);
    fesetenv(FE_DFL_ENV);
    fp_fence();
    return callers;
}
static inline void fp_leave(fp_state callers)
{
    fp_fence();
    fesetenv(&callers);
}

#endif

#endif
