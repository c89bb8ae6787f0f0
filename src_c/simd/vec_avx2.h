/* The vocabulary in AVX2 with FMA and F16C: four 64-bit lanes, eight floats, four doubles.
   Included by isa_avx2.c; vec.md says what each operation does. */
#include <immintrin.h>

typedef __m256i vint;
typedef __m256 f32_v;
typedef __m256d f64_v;

#define LANES 4
#define GROUPS 8
#define TOGETHER 2
#define ROUNDS_IN_REGISTERS 1
#define HAS_NONTEMPORAL 1

/* integers */
static INLINE vint vint_counters(uint32_t first)
{
    return _mm256_add_epi64(_mm256_set1_epi64x(first), _mm256_setr_epi64x(0, 2, 1, 3));
}
static INLINE vint vint_set(uint64_t x) { return _mm256_set1_epi64x((long long)x); }
static INLINE vint vint_key(uint32_t x) { return _mm256_set1_epi32((int)x); }
static INLINE vint vint_advance(vint a, vint b) { return _mm256_add_epi64(a, b); }
static INLINE vint vint_mul(vint a, vint b) { return _mm256_mul_epu32(a, b); }
static INLINE vint vint_high(vint a)
{
    return _mm256_castps_si256(_mm256_movehdup_ps(_mm256_castsi256_ps(a)));
}
static INLINE vint vint_and(vint a, vint b) { return _mm256_and_si256(a, b); }
static INLINE vint vint_or(vint a, vint b) { return _mm256_or_si256(a, b); }
static INLINE vint vint_xor(vint a, vint b) { return _mm256_xor_si256(a, b); }
static INLINE vint vint_xor3(vint a, vint b, vint c) { return vint_xor(a, vint_xor(b, c)); }
static INLINE vint vint_swap_xor(vint p, vint a, vint b)
{
    const vint low = _mm256_blend_epi32(_mm256_setzero_si256(), vint_xor(a, b), 0x55);
    return vint_xor(_mm256_shuffle_epi32(p, 0xB1), low);
}
static INLINE vint vint_join_low(vint a, vint b)
{
    return _mm256_blend_epi32(a, _mm256_shuffle_epi32(b, 0xA0), 0xAA);
}
static INLINE vint vint_join_high(vint a, vint b)
{
    return _mm256_blend_epi32(_mm256_shuffle_epi32(a, 0xF5), b, 0xAA);
}

/* floats, and integers in 32-bit lanes */
static INLINE vint f32_iset(int32_t x) { return _mm256_set1_epi32(x); }
static INLINE vint f32_isub(vint a, vint b) { return _mm256_sub_epi32(a, b); }
#define f32_ishl(a, n) _mm256_slli_epi32(a, n)
static INLINE f32_v f32_from_int(vint a) { return _mm256_cvtepi32_ps(a); }
static INLINE f32_v f32_distance(vint n)
{
    return f32_from_int(f32_isub(f32_iset(INT32_MIN), _mm256_abs_epi32(n)));
}
static INLINE vint f32_bits(f32_v a) { return _mm256_castps_si256(a); }
static INLINE f32_v f32_unbits(vint a) { return _mm256_castsi256_ps(a); }
static INLINE f32_v f32_set(float x) { return _mm256_set1_ps(x); }
static INLINE f32_v f32_add(f32_v a, f32_v b) { return _mm256_add_ps(a, b); }
static INLINE f32_v f32_sub(f32_v a, f32_v b) { return _mm256_sub_ps(a, b); }
static INLINE f32_v f32_mul(f32_v a, f32_v b) { return _mm256_mul_ps(a, b); }
static INLINE f32_v f32_div(f32_v a, f32_v b) { return _mm256_div_ps(a, b); }
static INLINE f32_v f32_fma(f32_v a, f32_v b, f32_v c) { return _mm256_fmadd_ps(a, b, c); }
static INLINE f32_v f32_sqrt(f32_v a) { return _mm256_sqrt_ps(a); }
static INLINE f32_v f32_min(f32_v a, f32_v b) { return _mm256_min_ps(a, b); }
static INLINE f32_v f32_max(f32_v a, f32_v b) { return _mm256_max_ps(a, b); }
static INLINE f32_v f32_select(vint sign, f32_v negative, f32_v positive)
{
    return _mm256_blendv_ps(positive, negative, _mm256_castsi256_ps(sign));
}
static INLINE int f32_any_negative(vint a) { return _mm256_movemask_ps(_mm256_castsi256_ps(a)) != 0; }
static INLINE f32_v f32_flip(f32_v a, vint sign)
{
    return _mm256_xor_ps(a, _mm256_and_ps(_mm256_castsi256_ps(sign), _mm256_set1_ps(-0.0f)));
}
static INLINE void f32_zip64(f32_v a, f32_v b, f32_v out[2])
{
    const __m256d x = _mm256_castps_pd(a), y = _mm256_castps_pd(b);
    out[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(x, y));
    out[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(x, y));
}
static INLINE void f32_zip32(f32_v a, f32_v b, f32_v out[2])
{
    out[0] = _mm256_unpacklo_ps(a, b);
    out[1] = _mm256_unpackhi_ps(a, b);
}

/* doubles, and integers in 64-bit lanes */
static INLINE vint f64_iset(int64_t x) { return _mm256_set1_epi64x(x); }
static INLINE vint f64_isub(vint a, vint b) { return _mm256_sub_epi64(a, b); }
#define f64_ishl(a, n) _mm256_slli_epi64(a, n)
/* AVX2 has no conversion of 64-bit integers. The halves become exact doubles, the low one plus 2^52 and the
   high one, times 2^32, minus 2^52, and only the last addition rounds. */
static INLINE f64_v f64_low_half(vint a)
{
    return _mm256_castsi256_pd(_mm256_blend_epi32(_mm256_castpd_si256(_mm256_set1_pd(0x1p52)), a, 0x55));
}
static INLINE f64_v f64_high_half(vint a)
{
    const vint high =
        vint_xor(_mm256_srli_epi64(a, 32), _mm256_castpd_si256(_mm256_set1_pd(0x1p84 + 0x1p63)));
    return _mm256_sub_pd(_mm256_castsi256_pd(high), _mm256_set1_pd(0x1p84 + 0x1p63 + 0x1p52));
}
static INLINE f64_v f64_from_int(vint a) { return _mm256_add_pd(f64_high_half(a), f64_low_half(a)); }
/* 2^63 - |high + low|, with the halves subtracted one by one. */
static INLINE f64_v f64_distance(vint n)
{
    const f64_v sign = _mm256_andnot_pd(_mm256_castsi256_pd(n), _mm256_set1_pd(-0.0));
    const f64_v high = _mm256_xor_pd(f64_high_half(n), sign);
    const f64_v low = _mm256_xor_pd(f64_low_half(n), sign);
    return _mm256_add_pd(_mm256_add_pd(_mm256_set1_pd(0x1p63), high), low);
}
static INLINE vint f64_bits(f64_v a) { return _mm256_castpd_si256(a); }
static INLINE f64_v f64_unbits(vint a) { return _mm256_castsi256_pd(a); }
static INLINE f64_v f64_set(double x) { return _mm256_set1_pd(x); }
static INLINE f64_v f64_add(f64_v a, f64_v b) { return _mm256_add_pd(a, b); }
static INLINE f64_v f64_sub(f64_v a, f64_v b) { return _mm256_sub_pd(a, b); }
static INLINE f64_v f64_mul(f64_v a, f64_v b) { return _mm256_mul_pd(a, b); }
static INLINE f64_v f64_div(f64_v a, f64_v b) { return _mm256_div_pd(a, b); }
static INLINE f64_v f64_fma(f64_v a, f64_v b, f64_v c) { return _mm256_fmadd_pd(a, b, c); }
static INLINE f64_v f64_sqrt(f64_v a) { return _mm256_sqrt_pd(a); }
static INLINE f64_v f64_min(f64_v a, f64_v b) { return _mm256_min_pd(a, b); }
static INLINE f64_v f64_max(f64_v a, f64_v b) { return _mm256_max_pd(a, b); }
static INLINE f64_v f64_select(vint sign, f64_v negative, f64_v positive)
{
    return _mm256_blendv_pd(positive, negative, _mm256_castsi256_pd(sign));
}
static INLINE int f64_any_negative(vint a) { return _mm256_movemask_pd(_mm256_castsi256_pd(a)) != 0; }
static INLINE f64_v f64_flip(f64_v a, vint sign)
{
    return _mm256_xor_pd(a, _mm256_and_pd(_mm256_castsi256_pd(sign), _mm256_set1_pd(-0.0)));
}
static INLINE void f64_transpose(const f64_v in[4], f64_v out[4])
{
    const f64_v low01 = _mm256_unpacklo_pd(in[0], in[1]), low23 = _mm256_unpacklo_pd(in[2], in[3]);
    const f64_v high01 = _mm256_unpackhi_pd(in[0], in[1]), high23 = _mm256_unpackhi_pd(in[2], in[3]);
    out[0] = _mm256_permute2f128_pd(low01, low23, 0x20);
    out[1] = _mm256_permute2f128_pd(low01, low23, 0x31);
    out[2] = _mm256_permute2f128_pd(high01, high23, 0x20);
    out[3] = _mm256_permute2f128_pd(high01, high23, 0x31);
}

/* memory */
static INLINE void f32_store(void *p, const f32_v v[2])
{
    _mm256_storeu_ps(p, v[0]);
    _mm256_storeu_ps((float *)p + 8, v[1]);
}
static INLINE void f32_nontemporal(void *p, const f32_v v[2])
{
    _mm256_stream_ps(p, v[0]);
    _mm256_stream_ps((float *)p + 8, v[1]);
}
static INLINE void f64_store(void *p, const f64_v v[4])
{
    for (int i = 0; i < 4; i++)
        _mm256_storeu_pd((double *)p + 4 * i, v[i]);
}
static INLINE f64_v f64_load_one(const void *p) { return _mm256_loadu_pd(p); }
static INLINE void f64_store_one(void *p, f64_v v) { _mm256_storeu_pd(p, v); }
static INLINE void f64_nontemporal_one(void *p, f64_v v) { _mm256_stream_pd(p, v); }
/* For each half of a lane its position in (before, after). Bit 3 of the position selects the vector. */
static INLINE vint f64_splice_index(int lanes)
{
    return _mm256_add_epi32(_mm256_set1_epi32(8 - 2 * lanes), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static INLINE f64_v f64_splice(f64_v before, f64_v after, vint index)
{
    const __m256 x = _mm256_permutevar8x32_ps(_mm256_castpd_ps(before), index);
    const __m256 y = _mm256_permutevar8x32_ps(_mm256_castpd_ps(after), index);
    const __m256 in_after = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));
    return _mm256_castps_pd(_mm256_blendv_ps(x, y, in_after));
}
enum { NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };
static INLINE vint f16_pack(const f32_v v[2])
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm256_cvtps_ph(v[0], NEAREST)),
                                   _mm256_cvtps_ph(v[1], NEAREST), 1);
}
static INLINE void f16_store(void *p, const f32_v v[2]) { _mm256_storeu_si256(p, f16_pack(v)); }
static INLINE void f16_nontemporal(void *p, const f32_v v[2]) { _mm256_stream_si256(p, f16_pack(v)); }
static INLINE vint bf16_round(f32_v v)
{
    const vint bits = _mm256_castps_si256(v);
    const vint odd = vint_and(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7FFF)),
                             16);
}
static INLINE vint bf16_pack(const f32_v v[2])
{
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(bf16_round(v[0]), bf16_round(v[1])), 0xD8);
}
static INLINE void bf16_store(void *p, const f32_v v[2]) { _mm256_storeu_si256(p, bf16_pack(v)); }
static INLINE void bf16_nontemporal(void *p, const f32_v v[2]) { _mm256_stream_si256(p, bf16_pack(v)); }
static INLINE void top_bytes_store(void *p, const vint a[2])
{
    const vint both = _mm256_blend_epi16(_mm256_srli_epi32(a[0], 16), a[1], 0xAA);
    const vint order = _mm256_set1_epi64x(0x0F0B07030D090501); /* the odd bytes, those of a[0] first */
    const vint bytes = _mm256_shuffle_epi8(both, order);
    _mm_storeu_si128(
        p, _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1)));
}
/* Nontemporal stores are ordered before later stores only by this. */
static INLINE void nontemporal_fence(void) { _mm_sfence(); }
