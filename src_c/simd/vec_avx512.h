/* The vocabulary in AVX-512 (F, DQ, BW, VL): eight 64-bit lanes, sixteen floats, eight doubles.
   Included by isa_avx512.c; vec.md says what each operation does. */
#include <immintrin.h>

typedef __m512i vint;
typedef __m512 f32_v;
typedef __m512d f64_v;

#define LANES 8
#define GROUPS 8
#define TOGETHER 2
#define ROUNDS_IN_REGISTERS 1
#define HAS_NONTEMPORAL 1

/* integers */
static INLINE vint vint_counters(uint32_t first)
{
    return _mm512_add_epi64(_mm512_set1_epi64(first), _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7));
}
static INLINE vint vint_set(uint64_t x) { return _mm512_set1_epi64((long long)x); }
static INLINE vint vint_key(uint32_t x) { return _mm512_set1_epi32((int)x); }
static INLINE vint vint_advance(vint a, vint b) { return _mm512_add_epi64(a, b); }
static INLINE vint vint_mul(vint a, vint b) { return _mm512_mul_epu32(a, b); }
static INLINE vint vint_high(vint a)
{
    return _mm512_castps_si512(_mm512_movehdup_ps(_mm512_castsi512_ps(a)));
}
static INLINE vint vint_and(vint a, vint b) { return _mm512_and_si512(a, b); }
static INLINE vint vint_or(vint a, vint b) { return _mm512_or_si512(a, b); }
static INLINE vint vint_xor(vint a, vint b) { return _mm512_xor_si512(a, b); }
static INLINE vint vint_xor3(vint a, vint b, vint c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
static INLINE vint vint_swap_xor(vint p, vint a, vint b)
{
    return _mm512_mask_ternarylogic_epi32(_mm512_rol_epi64(p, 32), 0x5555, a, b, 0x96);
}
static INLINE vint vint_join_low(vint a, vint b)
{
    return _mm512_castps_si512(
        _mm512_mask_moveldup_ps(_mm512_castsi512_ps(a), 0xAAAA, _mm512_castsi512_ps(b)));
}
static INLINE vint vint_join_high(vint a, vint b)
{
    return _mm512_castps_si512(
        _mm512_mask_movehdup_ps(_mm512_castsi512_ps(b), 0x5555, _mm512_castsi512_ps(a)));
}

/* floats, and integers in 32-bit lanes */
static INLINE vint f32_iset(int32_t x) { return _mm512_set1_epi32(x); }
static INLINE vint f32_isub(vint a, vint b) { return _mm512_sub_epi32(a, b); }
#define f32_ishl(a, n) _mm512_slli_epi32(a, n)
static INLINE f32_v f32_from_int(vint a) { return _mm512_cvtepi32_ps(a); }
static INLINE f32_v f32_distance(vint n)
{
    return f32_from_int(f32_isub(f32_iset(INT32_MIN), _mm512_abs_epi32(n)));
}
static INLINE vint f32_bits(f32_v a) { return _mm512_castps_si512(a); }
static INLINE f32_v f32_unbits(vint a) { return _mm512_castsi512_ps(a); }
static INLINE f32_v f32_set(float x) { return _mm512_set1_ps(x); }
static INLINE f32_v f32_add(f32_v a, f32_v b) { return _mm512_add_ps(a, b); }
static INLINE f32_v f32_sub(f32_v a, f32_v b) { return _mm512_sub_ps(a, b); }
static INLINE f32_v f32_mul(f32_v a, f32_v b) { return _mm512_mul_ps(a, b); }
static INLINE f32_v f32_div(f32_v a, f32_v b) { return _mm512_div_ps(a, b); }
static INLINE f32_v f32_fma(f32_v a, f32_v b, f32_v c) { return _mm512_fmadd_ps(a, b, c); }
static INLINE f32_v f32_sqrt(f32_v a) { return _mm512_sqrt_ps(a); }
static INLINE f32_v f32_min(f32_v a, f32_v b) { return _mm512_min_ps(a, b); }
static INLINE f32_v f32_max(f32_v a, f32_v b) { return _mm512_max_ps(a, b); }
static INLINE f32_v f32_select(vint sign, f32_v negative, f32_v positive)
{
    return _mm512_mask_mov_ps(positive, _mm512_movepi32_mask(sign), negative);
}
static INLINE int f32_any_negative(vint a) { return _mm512_movepi32_mask(a) != 0; }
static INLINE f32_v f32_flip(f32_v a, vint sign)
{
    return _mm512_castsi512_ps(
        _mm512_ternarylogic_epi32(_mm512_castps_si512(a), sign, _mm512_set1_epi32(INT32_MIN), 0x78));
}
static INLINE void f32_zip64(f32_v a, f32_v b, f32_v out[2])
{
    const __m512d x = _mm512_castps_pd(a), y = _mm512_castps_pd(b);
    out[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
    out[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
}
static INLINE void f32_zip32(f32_v a, f32_v b, f32_v out[2])
{
    out[0] = _mm512_unpacklo_ps(a, b);
    out[1] = _mm512_unpackhi_ps(a, b);
}

/* doubles, and integers in 64-bit lanes */
static INLINE vint f64_iset(int64_t x) { return _mm512_set1_epi64(x); }
static INLINE vint f64_isub(vint a, vint b) { return _mm512_sub_epi64(a, b); }
#define f64_ishl(a, n) _mm512_slli_epi64(a, n)
static INLINE f64_v f64_from_int(vint a) { return _mm512_cvtepi64_pd(a); }
static INLINE f64_v f64_distance(vint n)
{
    return f64_from_int(f64_isub(f64_iset(INT64_MIN), _mm512_abs_epi64(n)));
}
static INLINE vint f64_bits(f64_v a) { return _mm512_castpd_si512(a); }
static INLINE f64_v f64_unbits(vint a) { return _mm512_castsi512_pd(a); }
static INLINE f64_v f64_set(double x) { return _mm512_set1_pd(x); }
static INLINE f64_v f64_add(f64_v a, f64_v b) { return _mm512_add_pd(a, b); }
static INLINE f64_v f64_sub(f64_v a, f64_v b) { return _mm512_sub_pd(a, b); }
static INLINE f64_v f64_mul(f64_v a, f64_v b) { return _mm512_mul_pd(a, b); }
static INLINE f64_v f64_div(f64_v a, f64_v b) { return _mm512_div_pd(a, b); }
static INLINE f64_v f64_fma(f64_v a, f64_v b, f64_v c) { return _mm512_fmadd_pd(a, b, c); }
static INLINE f64_v f64_sqrt(f64_v a) { return _mm512_sqrt_pd(a); }
static INLINE f64_v f64_min(f64_v a, f64_v b) { return _mm512_min_pd(a, b); }
static INLINE f64_v f64_max(f64_v a, f64_v b) { return _mm512_max_pd(a, b); }
static INLINE f64_v f64_select(vint sign, f64_v negative, f64_v positive)
{
    return _mm512_mask_mov_pd(positive, _mm512_movepi64_mask(sign), negative);
}
static INLINE int f64_any_negative(vint a) { return _mm512_movepi64_mask(a) != 0; }
static INLINE f64_v f64_flip(f64_v a, vint sign)
{
    return _mm512_castsi512_pd(
        _mm512_ternarylogic_epi64(_mm512_castpd_si512(a), sign, _mm512_set1_epi64(INT64_MIN), 0x78));
}
static INLINE void f64_transpose(const f64_v in[4], f64_v out[4])
{
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    const f64_v low01 = _mm512_unpacklo_pd(in[0], in[1]), low23 = _mm512_unpacklo_pd(in[2], in[3]);
    const f64_v high01 = _mm512_unpackhi_pd(in[0], in[1]), high23 = _mm512_unpackhi_pd(in[2], in[3]);
    out[0] = _mm512_permutex2var_pd(low01, first, low23);
    out[1] = _mm512_permutex2var_pd(low01, second, low23);
    out[2] = _mm512_permutex2var_pd(high01, first, high23);
    out[3] = _mm512_permutex2var_pd(high01, second, high23);
}

/* memory */
static INLINE void f32_store(void *p, const f32_v v[2])
{
    _mm512_storeu_ps(p, v[0]);
    _mm512_storeu_ps((float *)p + 16, v[1]);
}
static INLINE void f32_nontemporal(void *p, const f32_v v[2])
{
    _mm512_stream_ps(p, v[0]);
    _mm512_stream_ps((float *)p + 16, v[1]);
}
static INLINE void f64_store(void *p, const f64_v v[4])
{
    for (int i = 0; i < 4; i++)
        _mm512_storeu_pd((double *)p + 8 * i, v[i]);
}
static INLINE f64_v f64_load_one(const void *p) { return _mm512_loadu_pd(p); }
static INLINE void f64_store_one(void *p, f64_v v) { _mm512_storeu_pd(p, v); }
static INLINE void f64_nontemporal_one(void *p, f64_v v) { _mm512_stream_pd(p, v); }
static INLINE vint f64_splice_index(int lanes)
{
    return _mm512_add_epi64(_mm512_set1_epi64(8 - lanes), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
}
static INLINE f64_v f64_splice(f64_v before, f64_v after, vint index)
{
    return _mm512_permutex2var_pd(before, index, after);
}
enum { NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };
static INLINE vint f16_pack(const f32_v v[2])
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtps_ph(v[0], NEAREST)),
                              _mm512_cvtps_ph(v[1], NEAREST), 1);
}
static INLINE void f16_store(void *p, const f32_v v[2]) { _mm512_storeu_si512(p, f16_pack(v)); }
static INLINE void f16_nontemporal(void *p, const f32_v v[2]) { _mm512_stream_si512(p, f16_pack(v)); }
/* The rounded value is in the high half of each lane; one permutation takes those of both vectors. */
static INLINE vint bf16_round(f32_v v)
{
    const vint bits = _mm512_castps_si512(v);
    const vint odd = vint_and(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    return _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7FFF));
}
static INLINE vint bf16_pack(const f32_v v[2])
{
    const vint high_halves =
        _mm512_set_epi32(0x3F003D, 0x3B0039, 0x370035, 0x330031, 0x2F002D, 0x2B0029, 0x270025, 0x230021,
                         0x1F001D, 0x1B0019, 0x170015, 0x130011, 0x0F000D, 0x0B0009, 0x070005, 0x030001);
    return _mm512_permutex2var_epi16(bf16_round(v[0]), high_halves, bf16_round(v[1]));
}
static INLINE void bf16_store(void *p, const f32_v v[2]) { _mm512_storeu_si512(p, bf16_pack(v)); }
static INLINE void bf16_nontemporal(void *p, const f32_v v[2]) { _mm512_stream_si512(p, bf16_pack(v)); }
static INLINE void top_bytes_store(void *p, const vint a[2])
{
    const vint both = _mm512_mask_mov_epi16(_mm512_srli_epi32(a[0], 16), 0xAAAAAAAA, a[1]);
    const vint order = _mm512_set1_epi64(0x0F0B07030D090501); /* the odd bytes, those of a[0] first */
    const vint halves = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 0, 0, 0, 0, 0, 0, 0, 0);
    const vint bytes = _mm512_permutexvar_epi32(halves, _mm512_shuffle_epi8(both, order));
    _mm256_storeu_si256(p, _mm512_castsi512_si256(bytes));
}
/* Nontemporal stores are ordered before later stores only by this. */
static INLINE void nontemporal_fence(void) { _mm_sfence(); }
