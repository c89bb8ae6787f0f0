/* The vocabulary of one lane of 64 bits: two floats, or one double. simd/vec_scalar.h includes it for any
   CPU and byte order, cuda/vec_cuda.h for GPUs, each after its arithmetic of single floats and doubles:
   float_add and double_add, and the same with sub, mul, div, sqrt, fma, from_int (of a signed integer of the
   same size), bits and of_bits. simd/vec.md says what each operation here does. */
#include "portable.h"

typedef uint64_t vint;
typedef struct {
    float low, high;
} f32_v;
typedef double f64_v;

#define LANES 1
#define GROUPS 1

static INLINE uint32_t low_half(vint a) { return (uint32_t)a; }
static INLINE uint32_t high_half(vint a) { return (uint32_t)(a >> 32); }
static INLINE vint halves(uint32_t low, uint32_t high) { return (uint64_t)high << 32 | low; }

/* integers */
static INLINE vint vint_counters(uint32_t first) { return first; }
static INLINE vint vint_set(uint64_t x) { return x; }
static INLINE vint vint_key(uint32_t x) { return halves(x, x); }
static INLINE vint vint_advance(vint a, vint b) { return a + b; }
static INLINE vint vint_mul(vint a, vint b) { return (uint64_t)low_half(a) * low_half(b); }
static INLINE vint vint_high(vint a) { return a >> 32; }
static INLINE vint vint_and(vint a, vint b) { return a & b; }
static INLINE vint vint_or(vint a, vint b) { return a | b; }
static INLINE vint vint_xor(vint a, vint b) { return a ^ b; }
static INLINE vint vint_xor3(vint a, vint b, vint c) { return a ^ b ^ c; }
static INLINE vint vint_swap_xor(vint p, vint a, vint b)
{
    return halves(high_half(p) ^ low_half(a ^ b), low_half(p));
}
static INLINE vint vint_join_low(vint a, vint b) { return halves(low_half(a), low_half(b)); }
static INLINE vint vint_join_high(vint a, vint b) { return halves(high_half(a), high_half(b)); }

/* floats, and integers in 32-bit lanes */
static INLINE f32_v f32_of(float low, float high)
{
    f32_v v;
    v.low = low;
    v.high = high;
    return v;
}
#define BOTH(f, a, b) f32_of(f((a).low, (b).low), f((a).high, (b).high))
static INLINE vint f32_iset(int32_t x) { return vint_key((uint32_t)x); }
static INLINE vint f32_isub(vint a, vint b)
{
    return halves(low_half(a) - low_half(b), high_half(a) - high_half(b));
}
#define f32_ishl(a, n) halves(low_half(a) << (n), high_half(a) << (n))
static INLINE f32_v f32_from_int(vint a)
{
    return f32_of(float_from_int((int32_t)low_half(a)), float_from_int((int32_t)high_half(a)));
}
static INLINE float distance(uint32_t n)
{
    return float_from_int((int32_t)(n >> 31 ? n - 0x80000000u : 0x80000000u - n));
}
static INLINE f32_v f32_distance(vint n)
{
    return f32_of(distance(low_half(n)), distance(high_half(n)));
}
static INLINE vint f32_bits(f32_v a) { return halves(float_bits(a.low), float_bits(a.high)); }
static INLINE f32_v f32_unbits(vint a)
{
    return f32_of(float_of_bits(low_half(a)), float_of_bits(high_half(a)));
}
static INLINE f32_v f32_set(float x) { return f32_of(x, x); }
static INLINE f32_v f32_add(f32_v a, f32_v b) { return BOTH(float_add, a, b); }
static INLINE f32_v f32_sub(f32_v a, f32_v b) { return BOTH(float_sub, a, b); }
static INLINE f32_v f32_mul(f32_v a, f32_v b) { return BOTH(float_mul, a, b); }
static INLINE f32_v f32_div(f32_v a, f32_v b) { return BOTH(float_div, a, b); }
static INLINE f32_v f32_fma(f32_v a, f32_v b, f32_v c)
{
    return f32_of(float_fma(a.low, b.low, c.low), float_fma(a.high, b.high, c.high));
}
static INLINE f32_v f32_sqrt(f32_v a) { return f32_of(float_sqrt(a.low), float_sqrt(a.high)); }
static INLINE float lesser(float a, float b) { return a < b ? a : b; }
static INLINE float greater(float a, float b) { return a > b ? a : b; }
static INLINE f32_v f32_min(f32_v a, f32_v b) { return BOTH(lesser, a, b); }
static INLINE f32_v f32_max(f32_v a, f32_v b) { return BOTH(greater, a, b); }
static INLINE f32_v f32_select(vint sign, f32_v negative, f32_v positive)
{
    return f32_of(low_half(sign) >> 31 ? negative.low : positive.low,
                  high_half(sign) >> 31 ? negative.high : positive.high);
}
static INLINE int f32_any_negative(vint a) { return (low_half(a) | high_half(a)) >> 31; }
static INLINE f32_v f32_flip(f32_v a, vint sign)
{
    return f32_unbits(f32_bits(a) ^ (sign & f32_iset(INT32_MIN)));
}
static INLINE void f32_zip64(f32_v a, f32_v b, f32_v out[2])
{
    out[0] = a;
    out[1] = b;
}
static INLINE void f32_zip32(f32_v a, f32_v b, f32_v out[2])
{
    out[0] = f32_of(a.low, b.low);
    out[1] = f32_of(a.high, b.high);
}

/* doubles, and integers in 64-bit lanes */
static INLINE vint f64_iset(int64_t x) { return (uint64_t)x; }
static INLINE vint f64_isub(vint a, vint b) { return a - b; }
#define f64_ishl(a, n) ((a) << (n))
static INLINE f64_v f64_from_int(vint a) { return double_from_int((int64_t)a); }
static INLINE f64_v f64_distance(vint n)
{
    const uint64_t end = UINT64_C(1) << 63;
    return double_from_int((int64_t)(n >> 63 ? n - end : end - n));
}
static INLINE vint f64_bits(f64_v a) { return double_bits(a); }
static INLINE f64_v f64_unbits(vint a) { return double_of_bits(a); }
static INLINE f64_v f64_set(double x) { return x; }
static INLINE f64_v f64_add(f64_v a, f64_v b) { return double_add(a, b); }
static INLINE f64_v f64_sub(f64_v a, f64_v b) { return double_sub(a, b); }
static INLINE f64_v f64_mul(f64_v a, f64_v b) { return double_mul(a, b); }
static INLINE f64_v f64_div(f64_v a, f64_v b) { return double_div(a, b); }
static INLINE f64_v f64_fma(f64_v a, f64_v b, f64_v c) { return double_fma(a, b, c); }
static INLINE f64_v f64_sqrt(f64_v a) { return double_sqrt(a); }
static INLINE f64_v f64_min(f64_v a, f64_v b) { return a < b ? a : b; }
static INLINE f64_v f64_max(f64_v a, f64_v b) { return a > b ? a : b; }
static INLINE f64_v f64_select(vint sign, f64_v negative, f64_v positive)
{
    return sign >> 63 ? negative : positive;
}
static INLINE int f64_any_negative(vint a) { return (int)(a >> 63); }
static INLINE f64_v f64_flip(f64_v a, vint sign)
{
    return f64_unbits(f64_bits(a) ^ (sign & f64_iset(INT64_MIN)));
}
static INLINE void f64_transpose(const f64_v in[4], f64_v out[4])
{
    for (int i = 0; i < 4; i++)
        out[i] = in[i];
}

/* the values of a block as integers of their bits, in memory order */
static INLINE uint16_t f16_round(float x)
{
    const uint32_t bits = float_bits(x), sign = bits >> 16 & 0x8000u, size = bits & 0x7FFFFFFFu;
    /* Untaken by tests of isa_scalar: distributions that reach 65520 are refused. */
    if (size >= 0x477FF000u) /* 65520, the first value that rounds to infinity */
        return (uint16_t)(sign | 0x7C00u);
    if (size < 0x38800000u) { /* below 2^-14: adding 1/2 rounds to a multiple of 2^-24 */
        const uint32_t sum = float_bits(float_add(float_of_bits(size), 0.5f));
        return (uint16_t)(sign | (sum - 0x3F000000u));
    }
    const uint32_t odd = size >> 13 & 1;
    return (uint16_t)(sign | (size - 0x38000000u + 0xFFFu + odd) >> 13);
}
static INLINE uint16_t bf16_round(float x)
{
    const uint32_t bits = float_bits(x);
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}
#define FLOAT_ELEMENTS(name, type, bits) \
    typedef type name##_element; \
    static INLINE void name##_elements(const f32_v v[2], type out[4]) \
    { \
        out[0] = bits(v[0].low); \
        out[1] = bits(v[0].high); \
        out[2] = bits(v[1].low); \
        out[3] = bits(v[1].high); \
    }
FLOAT_ELEMENTS(f32, uint32_t, float_bits)
FLOAT_ELEMENTS(f16, uint16_t, f16_round)
FLOAT_ELEMENTS(bf16, uint16_t, bf16_round)
typedef uint64_t f64_element;
static INLINE void f64_elements(const f64_v v[4], f64_element out[4])
{
    for (int i = 0; i < 4; i++)
        out[i] = double_bits(v[i]);
}
static INLINE void top_bytes(const vint v[2], uint8_t out[4])
{
    out[0] = (uint8_t)(low_half(v[0]) >> 24);
    out[1] = (uint8_t)(high_half(v[0]) >> 24);
    out[2] = (uint8_t)(low_half(v[1]) >> 24);
    out[3] = (uint8_t)(high_half(v[1]) >> 24);
}
