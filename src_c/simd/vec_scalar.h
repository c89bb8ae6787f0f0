/* The vocabulary in plain C, for any CPU and byte order: the arithmetic that shared/scalar.h builds on, and
   stores. Included by isa_scalar.c; vec.md says what each operation does. */
#include <math.h>
#include <string.h>

#include "fma.h"

static INLINE float float_add(float a, float b) { return a + b; }
static INLINE float float_sub(float a, float b) { return a - b; }
static INLINE float float_mul(float a, float b) { return a * b; }
static INLINE float float_div(float a, float b) { return a / b; }
static INLINE float float_sqrt(float a) { return sqrtf(a); }
static INLINE float float_fma(float a, float b, float c)
{
#if HAS_FMA
    return fmaf(a, b, c);
#else
    return fma_of_floats(a, b, c);
#endif
}
static INLINE float float_from_int(int32_t a) { return (float)a; }
static INLINE uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static INLINE float float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static INLINE double double_add(double a, double b) { return a + b; }
static INLINE double double_sub(double a, double b) { return a - b; }
static INLINE double double_mul(double a, double b) { return a * b; }
static INLINE double double_div(double a, double b) { return a / b; }
static INLINE double double_sqrt(double a) { return sqrt(a); }
static INLINE double double_fma(double a, double b, double c) { return fma_of_doubles(a, b, c); }
static INLINE double double_from_int(int64_t a) { return (double)a; }
#define double_of_bits bits_double /* of fma.h, as double_bits */

#include "../shared/scalar.h"

#define TOGETHER 1
#define ROUNDS_IN_REGISTERS 0
#define HAS_NONTEMPORAL 0

/* To any address, so byte by byte as C sees it. */
#define STORE_ELEMENTS(name, value) \
    static INLINE void name##_store(void *p, const value v[]) \
    { \
        name##_element four[BLOCK]; \
        name##_elements(v, four); \
        memcpy(p, four, sizeof four); \
    }
STORE_ELEMENTS(f32, f32_v)
STORE_ELEMENTS(f64, f64_v)
STORE_ELEMENTS(f16, f32_v)
STORE_ELEMENTS(bf16, f32_v)
static INLINE void top_bytes_store(void *p, const vint v[2])
{
    uint8_t four[4];
    top_bytes(v, four);
    memcpy(p, four, sizeof four);
}
