/* What tests load into a process: modes of the floating-point unit, and another library's OpenMP
   region. tests/conftest.py compiles it. */
#include <fenv.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
static unsigned long get(void) { return _mm_getcsr(); }
static void set(unsigned long mode) { _mm_setcsr((unsigned)mode); }
enum { RESULTS = 0x8000, OPERANDS = 0x40, STICKY = 0x3F };
#elif defined(__aarch64__)
static unsigned long get(void)
{
    unsigned long mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static void set(unsigned long mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
enum { RESULTS = 1 << 24, OPERANDS = 1 << 24, STICKY = 0 };
#else
static unsigned long get(void) { return 0; }
static void set(unsigned long mode) { (void)mode; }
enum { RESULTS = 0, OPERANDS = 0, STICKY = 0 };
#endif

/* Mode without sticky flags, and the rounding that <fenv.h> sees. */
unsigned long control(void)
{
    return (get() & ~(unsigned long)STICKY) << 16 | (unsigned long)fegetround();
}
int rounding(int which)
{
    const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    return fesetround(modes[which]);
}
/* Subnormal results become 0 (bit 0 of `which`), subnormal operands count as 0 (bit 1). */
void flush(int which)
{
    const unsigned long usual = get() & ~(unsigned long)(RESULTS | OPERANDS);
    set(usual | (which & 1 ? RESULTS : 0) | (which & 2 ? OPERANDS : 0));
}

int region(int threads)
{
    int sum = 0;
#pragma omp parallel num_threads(threads) reduction(+ : sum)
    sum += 1;
    return sum;
}
