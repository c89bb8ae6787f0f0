/* The vocabulary in SSE2, which every x86-64 CPU has. A vector is four registers, eight 64-bit lanes: without
   the instruction, fma is some twenty that wait for each other, and a CPU does those of four registers
   meanwhile. Included by isa_sse2.c; vec.md says what each operation does. */
#include <emmintrin.h>

#include "fma.h"

typedef struct {
    __m128i a, b, c, d;
} vint;
typedef struct {
    __m128 a, b, c, d;
} f32_v;
typedef struct {
    __m128d a, b, c, d;
} f64_v;

#define LANES 8
#define GROUPS 1
#define TOGETHER 1
#define ROUNDS_IN_REGISTERS 0
#define HAS_NONTEMPORAL 0

/* A function of each register. */
#define EACH1(f, x) {f((x).a), f((x).b), f((x).c), f((x).d)}
#define EACH2(f, x, y) {f((x).a, (y).a), f((x).b, (y).b), f((x).c, (y).c), f((x).d, (y).d)}
#define EACH3(f, x, y, z) \
    {f((x).a, (y).a, (z).a), f((x).b, (y).b, (z).b), f((x).c, (y).c, (z).c), f((x).d, (y).d, (z).d)}
#define FOUR(x) {x, x, x, x}
#define UNARY(type, name, argument, f) \
    static INLINE type name(argument x) { return (type)EACH1(f, x); }
#define BINARY(type, name, f) \
    static INLINE type name(type x, type y) { return (type)EACH2(f, x, y); }
#define SHIFT(name, f) \
    static INLINE vint name(vint x, int n) { return (vint){f(x.a, n), f(x.b, n), f(x.c, n), f(x.d, n)}; }
/* With the number known to the compiler even without optimization. */
#define SHUFFLED(x, n) \
    ((vint){_mm_shuffle_epi32((x).a, n), _mm_shuffle_epi32((x).b, n), _mm_shuffle_epi32((x).c, n), \
            _mm_shuffle_epi32((x).d, n)})

/* integers */
static INLINE vint vint_set(uint64_t x) { return (vint)FOUR(_mm_set1_epi64x((long long)x)); }
static INLINE vint vint_key(uint32_t x) { return (vint)FOUR(_mm_set1_epi32((int)x)); }
BINARY(vint, vint_advance, _mm_add_epi64)
BINARY(vint, vint_mul, _mm_mul_epu32)
BINARY(vint, vint_and, _mm_and_si128)
BINARY(vint, vint_and_not, _mm_andnot_si128) /* ~a & b */
BINARY(vint, vint_or, _mm_or_si128)
BINARY(vint, vint_xor, _mm_xor_si128)
SHIFT(vint_shl, _mm_slli_epi64)
SHIFT(vint_shr, _mm_srli_epi64)
static INLINE vint vint_counters(uint32_t first)
{
    const vint lanes = {_mm_set_epi64x(1, 0), _mm_set_epi64x(3, 2), _mm_set_epi64x(5, 4),
                        _mm_set_epi64x(7, 6)};
    return vint_advance(vint_set(first), lanes);
}
static INLINE vint vint_high(vint a) { return SHUFFLED(a, 0xF5); }
static INLINE vint vint_xor3(vint a, vint b, vint c) { return vint_xor(a, vint_xor(b, c)); }
/* x where the bits of the mask are 1, else y */
static INLINE vint vint_choose(vint mask, vint x, vint y)
{
    return vint_or(vint_and(mask, x), vint_and_not(mask, y));
}
/* The four registers, combined bit by bit with or. */
static INLINE __m128i any_of_four(vint a)
{
    return _mm_or_si128(_mm_or_si128(a.a, a.b), _mm_or_si128(a.c, a.d));
}
static INLINE vint vint_low(vint a) { return vint_and(a, vint_set(UINT32_MAX)); }
static INLINE vint vint_swap_xor(vint p, vint a, vint b)
{
    return vint_xor(SHUFFLED(p, 0xB1), vint_low(vint_xor(a, b)));
}
static INLINE vint vint_join_low(vint a, vint b) { return vint_or(vint_low(a), vint_shl(b, 32)); }
static INLINE vint vint_join_high(vint a, vint b)
{
    return vint_choose(vint_set(UINT32_MAX), vint_shr(a, 32), b);
}

/* floats, and integers in 32-bit lanes */
static INLINE vint f32_iset(int32_t x) { return vint_key((uint32_t)x); }
BINARY(vint, f32_iadd, _mm_add_epi32)
BINARY(vint, f32_isub, _mm_sub_epi32)
SHIFT(f32_ishl, _mm_slli_epi32)
SHIFT(f32_ishr, _mm_srli_epi32)
SHIFT(f32_ishr_signed, _mm_srai_epi32)
UNARY(f32_v, f32_from_int, vint, _mm_cvtepi32_ps)
UNARY(vint, f32_bits, f32_v, _mm_castps_si128)
UNARY(f32_v, f32_unbits, vint, _mm_castsi128_ps)
static INLINE f32_v f32_set(float x) { return (f32_v)FOUR(_mm_set1_ps(x)); }
BINARY(f32_v, f32_add, _mm_add_ps)
BINARY(f32_v, f32_sub, _mm_sub_ps)
BINARY(f32_v, f32_mul, _mm_mul_ps)
BINARY(f32_v, f32_div, _mm_div_ps)
BINARY(f32_v, f32_min, _mm_min_ps)
BINARY(f32_v, f32_max, _mm_max_ps)
UNARY(f32_v, f32_sqrt, f32_v, _mm_sqrt_ps)
/* -1 where a is negative, else 0 */
static INLINE vint f32_sign(vint a) { return f32_ishr_signed(a, 31); }
static INLINE f32_v f32_distance(vint n)
{
    const vint sign = f32_sign(n), size = f32_isub(vint_xor(n, sign), sign);
    return f32_from_int(f32_isub(f32_iset(INT32_MIN), size));
}
static INLINE f32_v f32_select(vint sign, f32_v negative, f32_v positive)
{
    return f32_unbits(vint_choose(f32_sign(sign), f32_bits(negative), f32_bits(positive)));
}
static INLINE int f32_any_negative(vint a)
{
    return _mm_movemask_ps(_mm_castsi128_ps(any_of_four(a))) != 0;
}
static INLINE f32_v f32_flip(f32_v a, vint sign)
{
    return f32_unbits(vint_xor(f32_bits(a), vint_and(sign, f32_iset(INT32_MIN))));
}
static INLINE __m128 unpack_low64(__m128 x, __m128 y)
{
    return _mm_castpd_ps(_mm_unpacklo_pd(_mm_castps_pd(x), _mm_castps_pd(y)));
}
static INLINE __m128 unpack_high64(__m128 x, __m128 y)
{
    return _mm_castpd_ps(_mm_unpackhi_pd(_mm_castps_pd(x), _mm_castps_pd(y)));
}
static INLINE void f32_zip64(f32_v x, f32_v y, f32_v out[2])
{
    const f32_v low = EACH2(unpack_low64, x, y), high = EACH2(unpack_high64, x, y);
    out[0] = (f32_v){low.a, high.a, low.b, high.b};
    out[1] = (f32_v){low.c, high.c, low.d, high.d};
}
static INLINE void f32_zip32(f32_v x, f32_v y, f32_v out[2])
{
    const f32_v low = EACH2(_mm_unpacklo_ps, x, y), high = EACH2(_mm_unpackhi_ps, x, y);
    out[0] = (f32_v){low.a, high.a, low.b, high.b};
    out[1] = (f32_v){low.c, high.c, low.d, high.d};
}

/* doubles, and integers in 64-bit lanes */
static INLINE vint f64_iset(int64_t x) { return vint_set((uint64_t)x); }
BINARY(vint, f64_isub, _mm_sub_epi64)
static INLINE vint f64_ishl(vint a, int n) { return vint_shl(a, n); }
UNARY(vint, f64_bits, f64_v, _mm_castpd_si128)
UNARY(f64_v, f64_unbits, vint, _mm_castsi128_pd)
static INLINE f64_v f64_set(double x) { return (f64_v)FOUR(_mm_set1_pd(x)); }
BINARY(f64_v, f64_add, _mm_add_pd)
BINARY(f64_v, f64_sub, _mm_sub_pd)
BINARY(f64_v, f64_mul, _mm_mul_pd)
BINARY(f64_v, f64_div, _mm_div_pd)
BINARY(f64_v, f64_min, _mm_min_pd)
BINARY(f64_v, f64_max, _mm_max_pd)
UNARY(f64_v, f64_sqrt, f64_v, _mm_sqrt_pd)
/* SSE2 has no conversion of 64-bit integers. The halves become exact doubles, the low one plus 2^52 and the
   high one, times 2^32, minus 2^52, and only the last addition rounds. */
static INLINE f64_v f64_low_half(vint a)
{
    return f64_unbits(vint_or(vint_low(a), f64_bits(f64_set(0x1p52))));
}
static INLINE f64_v f64_high_half(vint a)
{
    const vint high = vint_xor(vint_shr(a, 32), f64_bits(f64_set(0x1p84 + 0x1p63)));
    return f64_sub(f64_unbits(high), f64_set(0x1p84 + 0x1p63 + 0x1p52));
}
static INLINE f64_v f64_from_int(vint a) { return f64_add(f64_high_half(a), f64_low_half(a)); }
static INLINE f64_v f64_select(vint sign, f64_v negative, f64_v positive)
{
    return f64_unbits(vint_choose(vint_high(f32_sign(sign)), f64_bits(negative), f64_bits(positive)));
}
static INLINE int f64_any_negative(vint a)
{
    return _mm_movemask_pd(_mm_castsi128_pd(any_of_four(a))) != 0;
}
static INLINE f64_v f64_flip(f64_v a, vint sign)
{
    return f64_unbits(vint_xor(f64_bits(a), vint_and(sign, f64_iset(INT64_MIN))));
}
/* 2^63 - |high + low|, with the halves subtracted one by one. */
static INLINE f64_v f64_distance(vint n)
{
    const vint not_negative = vint_xor(n, vint_set(UINT64_MAX));
    return f64_add(f64_add(f64_set(0x1p63), f64_flip(f64_high_half(n), not_negative)),
                   f64_flip(f64_low_half(n), not_negative));
}
static INLINE void f64_transpose(const f64_v in[4], f64_v out[4])
{
    const f64_v low01 = EACH2(_mm_unpacklo_pd, in[0], in[1]),
                low23 = EACH2(_mm_unpacklo_pd, in[2], in[3]);
    const f64_v high01 = EACH2(_mm_unpackhi_pd, in[0], in[1]),
                high23 = EACH2(_mm_unpackhi_pd, in[2], in[3]);
    out[0] = (f64_v){low01.a, low23.a, high01.a, high23.a};
    out[1] = (f64_v){low01.b, low23.b, high01.b, high23.b};
    out[2] = (f64_v){low01.c, low23.c, high01.c, high23.c};
    out[3] = (f64_v){low01.d, low23.d, high01.d, high23.d};
}

/* fma without the instruction. What fma.h says about floats holds here. */
static INLINE __m128d errors_of_sums(__m128d x, __m128d y, __m128d sum)
{
    const __m128d y_part = sum - x;
    return (x - (sum - y_part)) + (y - y_part);
}
static INLINE int both(__m128d condition) { return _mm_movemask_pd(condition) == 3; }

/* The doubles that the floats of one register are. */
typedef struct {
    __m128d low, high;
} doubles;
static INLINE doubles to_doubles(__m128 x)
{
    return (doubles){_mm_cvtps_pd(x), _mm_cvtps_pd(_mm_movehl_ps(x, x))};
}
static INLINE __m128 to_floats(doubles x)
{
    return _mm_movelh_ps(_mm_cvtpd_ps(x.low), _mm_cvtpd_ps(x.high));
}
static INLINE doubles twice_rounded_fma(__m128 x, __m128 y, __m128 z)
{
    const doubles a = to_doubles(x), b = to_doubles(y), c = to_doubles(z);
    return (doubles){a.low * b.low + c.low, a.high * b.high + c.high};
}
/* Ones in the lanes of sums whose 28 last bits are 0. */
static INLINE __m128i end_in_zeros(doubles sum)
{
    const __m128 last = _mm_shuffle_ps(_mm_castpd_ps(sum.low), _mm_castpd_ps(sum.high), 0x88);
    return _mm_cmpeq_epi32(_mm_slli_epi32(_mm_castps_si128(last), 4), _mm_setzero_si128());
}
static INLINE __m128d sums_to_round(__m128d product, __m128d c)
{
    const __m128d sum = product + c;
    if (both(_mm_cmpeq_pd(errors_of_sums(product, c, sum), _mm_setzero_pd())))
        return sum;
    return (__m128d){sum_to_round(product[0], c[0]), sum_to_round(product[1], c[1])};
}
static NOINLINE __m128 fma_of_four(__m128 x, __m128 y, __m128 z)
{
    const doubles a = to_doubles(x), b = to_doubles(y), c = to_doubles(z);
    return to_floats(
        (doubles){sums_to_round(a.low * b.low, c.low), sums_to_round(a.high * b.high, c.high)});
}
static INLINE f32_v f32_fma(f32_v x, f32_v y, f32_v z)
{
    const doubles a = twice_rounded_fma(x.a, y.a, z.a), b = twice_rounded_fma(x.b, y.b, z.b);
    const doubles c = twice_rounded_fma(x.c, y.c, z.c), d = twice_rounded_fma(x.d, y.d, z.d);
    const vint short_sums = {end_in_zeros(a), end_in_zeros(b), end_in_zeros(c), end_in_zeros(d)};
    if (_mm_movemask_epi8((short_sums.a | short_sums.b) | (short_sums.c | short_sums.d)))
        return (f32_v)EACH3(fma_of_four, x, y, z);
    return (f32_v){to_floats(a), to_floats(b), to_floats(c), to_floats(d)};
}

/* The product is a sum of two doubles (Dekker), and so is the sum of the first of these and c. What is small
   of both, added up, has one rounding error, of half an ulp at most. If the result is the same with that
   ulp more and less, it is the right one, because rounding is monotonic. Otherwise, in some 2^-50 of all
   cases, and where parts of the product could underflow, libm decides. It does too where anything
   overflows: then `small` is NaN, which equals nothing. A function of
   its own, because dozens of copies in each kernel are big and hardly faster. */
static NOINLINE __m128d fma_of_two(__m128d a, __m128d b, __m128d c)
{
    const __m128d split = _mm_set1_pd(0x8000001p0), ulp = _mm_set1_pd(0x1p-52), one = _mm_set1_pd(1);
    const __m128d big_a = split * a, a0 = big_a - (big_a - a), a1 = a - a0;
    const __m128d big_b = split * b, b0 = big_b - (big_b - b), b1 = b - b0;
    const __m128d product = a * b, sum = product + c;
    const __m128d rest = (a0 * b0 - product + a0 * b1 + a1 * b0) + a1 * b1;
    const __m128d small = errors_of_sums(product, c, sum) + rest, result = sum + small * (one + ulp);
    const __m128d is_same = _mm_cmpeq_pd(result, sum + small * (one - ulp));
    const __m128d is_large = _mm_cmpgt_pd(product * product, _mm_set1_pd(0x1p-1000));
    if (both(_mm_and_pd(is_same, is_large)))
        return result;
    return (__m128d){fma_of_doubles(a[0], b[0], c[0]), fma_of_doubles(a[1], b[1], c[1])};
}
static INLINE f64_v f64_fma(f64_v x, f64_v y, f64_v z) { return (f64_v)EACH3(fma_of_two, x, y, z); }

/* memory */
static INLINE void f32_store(void *p, const f32_v v[2]) { memcpy(p, v, 2 * sizeof *v); }
static INLINE void f64_store(void *p, const f64_v v[4]) { memcpy(p, v, 4 * sizeof *v); }
/* The upper half of each number. Packing saturates, unless the lower half repeats its sign. */
static INLINE void upper_halves_store(void *p, vint x, vint y)
{
    const vint v = f32_ishr_signed(x, 16), w = f32_ishr_signed(y, 16);
    const vint packed = {_mm_packs_epi32(v.a, v.b), _mm_packs_epi32(v.c, v.d), _mm_packs_epi32(w.a, w.b),
                         _mm_packs_epi32(w.c, w.d)};
    memcpy(p, &packed, sizeof packed);
}
static INLINE vint f16_round(f32_v x)
{
    const vint sign = vint_and(f32_bits(x), f32_iset(INT32_MIN)), size = vint_xor(f32_bits(x), sign);
    /* below 2^-14: adding 1/2 rounds to a multiple of 2^-24 */
    const vint small =
        f32_isub(f32_bits(f32_add(f32_unbits(size), f32_set(0.5f))), f32_iset(0x3F000000));
    const vint odd = vint_and(f32_ishr(size, 13), f32_iset(1));
    const vint rounded = f32_ishr(f32_iadd(f32_isub(size, f32_iset(0x38000000 - 0xFFF)), odd), 13);
    const vint is_small = f32_sign(f32_isub(size, f32_iset(0x38800000)));
    return vint_or(sign, f32_ishl(vint_choose(is_small, small, rounded), 16));
}
static INLINE void f16_store(void *p, const f32_v v[2])
{
    upper_halves_store(p, f16_round(v[0]), f16_round(v[1]));
}
static INLINE vint bf16_round(f32_v x)
{
    const vint odd = vint_and(f32_ishr(f32_bits(x), 16), f32_iset(1));
    return f32_iadd(f32_iadd(f32_bits(x), odd), f32_iset(0x7FFF));
}
static INLINE void bf16_store(void *p, const f32_v v[2])
{
    upper_halves_store(p, bf16_round(v[0]), bf16_round(v[1]));
}
/* Bytes from numbers below 256 */
static INLINE __m128i pack_bytes(__m128i a, __m128i b, __m128i c, __m128i d)
{
    return _mm_packus_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d));
}
static INLINE void top_bytes_store(void *p, const vint v[2])
{
    const vint x = f32_ishr(v[0], 24), y = f32_ishr(v[1], 24);
    const __m128i bytes[2] = {pack_bytes(x.a, x.b, x.c, x.d), pack_bytes(y.a, y.b, y.c, y.d)};
    memcpy(p, bytes, sizeof bytes);
}
