/* Asks the CPU which instruction sets it has, by CPUID and XGETBV. Called by dispatch.c. */
#include "cpu.h"

int fx__cpu_has_scalar(void) { return 1; }

#if FX_AARCH64
/* Every AArch64 CPU has NEON with double precision. */
int fx__cpu_has_neon(void) { return 1; }
#endif

#if FX_X86_64
#include <cpuid.h>
#include <stdint.h>

enum {
    LEAF1_ECX_FMA = 1 << 12,
    LEAF1_ECX_OSXSAVE = 1 << 27,
    LEAF1_ECX_F16C = 1 << 29,
    LEAF7_EBX_AVX2 = 1 << 5,
    LEAF7_EBX_AVX512F = 1 << 16,
    LEAF7_EBX_AVX512DQ = 1 << 17,
    LEAF7_EBX_AVX512BW = 1 << 30,
    XCR0_YMM = 0x6,  /* xmm and upper ymm state */
    XCR0_ZMM = 0xE6, /* and mask, upper zmm, zmm16-31 */
};
#define LEAF7_EBX_AVX512VL (1u << 31)

static int has(unsigned leaf1_ecx, unsigned leaf7_ebx, unsigned xcr0)
{
    unsigned a, b, c, d;
    __cpuid(1, a, b, c, d); /* every x86-64 CPU answers */
    leaf1_ecx |= LEAF1_ECX_OSXSAVE;
    /* Untaken by tests, perhaps: needs a CPU without FMA. */
    if ((c & leaf1_ecx) != leaf1_ecx)
        return 0;
    /* Untaken by tests, perhaps: needs a CPU without AVX2 or AVX-512. */
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & leaf7_ebx) != leaf7_ebx)
        return 0;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (a & xcr0) == xcr0;
}

/* Every x86-64 CPU has SSE2. */
int fx__cpu_has_sse2(void) { return 1; }

int fx__cpu_has_avx2(void) { return has(LEAF1_ECX_FMA | LEAF1_ECX_F16C, LEAF7_EBX_AVX2, XCR0_YMM); }

int fx__cpu_has_avx512(void)
{
    return has(LEAF1_ECX_FMA | LEAF1_ECX_F16C,
               LEAF7_EBX_AVX2 | LEAF7_EBX_AVX512F | LEAF7_EBX_AVX512DQ | LEAF7_EBX_AVX512BW |
                   LEAF7_EBX_AVX512VL,
               XCR0_ZMM);
}
#endif
