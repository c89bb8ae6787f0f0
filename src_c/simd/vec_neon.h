/* The vocabulary in NEON (AArch64): two 64-bit lanes, four floats, two doubles.
   Included by isa_neon.c; vec.md says what each operation does. */
#include <arm_neon.h>

typedef uint64x2_t vint;
typedef float32x4_t f32_v;
typedef float64x2_t f64_v;

#define LANES 2
#define GROUPS 4
#define TOGETHER 2
#define ROUNDS_IN_REGISTERS 1
#define HAS_NONTEMPORAL 0

#define I32(a) vreinterpretq_s32_u64(a)
#define U32(a) vreinterpretq_u32_u64(a)
#define FROM_U32(a) vreinterpretq_u64_u32(a)

/* integers */
static INLINE vint vint_counters(uint32_t first)
{
    return vcombine_u64(vcreate_u64(first), vcreate_u64((uint64_t)first + 1));
}
static INLINE vint vint_set(uint64_t x) { return vdupq_n_u64(x); }
static INLINE vint vint_key(uint32_t x) { return FROM_U32(vdupq_n_u32(x)); }
static INLINE vint vint_advance(vint a, vint b) { return vaddq_u64(a, b); }
static INLINE vint vint_mul(vint a, vint b) { return vmull_u32(vmovn_u64(a), vmovn_u64(b)); }
static INLINE vint vint_high(vint a) { return vshrq_n_u64(a, 32); }
static INLINE vint vint_and(vint a, vint b) { return vandq_u64(a, b); }
static INLINE vint vint_or(vint a, vint b) { return vorrq_u64(a, b); }
static INLINE vint vint_xor(vint a, vint b) { return veorq_u64(a, b); }
static INLINE vint vint_xor3(vint a, vint b, vint c) { return vint_xor(a, vint_xor(b, c)); }
static INLINE vint vint_swap_xor(vint p, vint a, vint b)
{
    const vint low = vint_and(vint_xor(a, b), vdupq_n_u64(0xFFFFFFFFu));
    return vint_xor(FROM_U32(vrev64q_u32(U32(p))), low);
}
static INLINE vint vint_join_low(vint a, vint b) { return FROM_U32(vtrn1q_u32(U32(a), U32(b))); }
static INLINE vint vint_join_high(vint a, vint b) { return FROM_U32(vtrn2q_u32(U32(a), U32(b))); }

/* floats, and integers in 32-bit lanes */
static INLINE vint f32_iset(int32_t x) { return FROM_U32(vdupq_n_u32((uint32_t)x)); }
static INLINE vint f32_isub(vint a, vint b) { return FROM_U32(vsubq_u32(U32(a), U32(b))); }
#define f32_ishl(a, n) FROM_U32(vshlq_n_u32(U32(a), n))
static INLINE vint f32_isign(vint a) { return vreinterpretq_u64_s32(vshrq_n_s32(I32(a), 31)); }
static INLINE f32_v f32_from_int(vint a) { return vcvtq_f32_s32(I32(a)); }
static INLINE f32_v f32_distance(vint n)
{
    return f32_from_int(f32_isub(f32_iset(INT32_MIN), vreinterpretq_u64_s32(vabsq_s32(I32(n)))));
}
static INLINE vint f32_bits(f32_v a) { return vreinterpretq_u64_f32(a); }
static INLINE f32_v f32_unbits(vint a) { return vreinterpretq_f32_u64(a); }
static INLINE f32_v f32_set(float x) { return vdupq_n_f32(x); }
static INLINE f32_v f32_add(f32_v a, f32_v b) { return vaddq_f32(a, b); }
static INLINE f32_v f32_sub(f32_v a, f32_v b) { return vsubq_f32(a, b); }
static INLINE f32_v f32_mul(f32_v a, f32_v b) { return vmulq_f32(a, b); }
static INLINE f32_v f32_div(f32_v a, f32_v b) { return vdivq_f32(a, b); }
static INLINE f32_v f32_fma(f32_v a, f32_v b, f32_v c) { return vfmaq_f32(c, a, b); }
static INLINE f32_v f32_sqrt(f32_v a) { return vsqrtq_f32(a); }
static INLINE f32_v f32_select(vint sign, f32_v negative, f32_v positive)
{
    return vbslq_f32(U32(f32_isign(sign)), negative, positive);
}
static INLINE f32_v f32_min(f32_v a, f32_v b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static INLINE f32_v f32_max(f32_v a, f32_v b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
static INLINE int f32_any_negative(vint a) { return vaddvq_u32(vshrq_n_u32(U32(a), 31)) != 0; }
static INLINE f32_v f32_flip(f32_v a, vint sign)
{
    return f32_unbits(vint_xor(f32_bits(a), vint_and(sign, f32_iset(INT32_MIN))));
}
static INLINE void f32_zip64(f32_v a, f32_v b, f32_v out[2])
{
    const float64x2_t x = vreinterpretq_f64_f32(a), y = vreinterpretq_f64_f32(b);
    out[0] = vreinterpretq_f32_f64(vzip1q_f64(x, y));
    out[1] = vreinterpretq_f32_f64(vzip2q_f64(x, y));
}
static INLINE void f32_zip32(f32_v a, f32_v b, f32_v out[2])
{
    out[0] = vzip1q_f32(a, b);
    out[1] = vzip2q_f32(a, b);
}

/* doubles, and integers in 64-bit lanes */
static INLINE vint f64_iset(int64_t x) { return vdupq_n_u64((uint64_t)x); }
static INLINE vint f64_isub(vint a, vint b) { return vsubq_u64(a, b); }
#define f64_ishl(a, n) vshlq_n_u64(a, n)
static INLINE vint f64_isign(vint a)
{
    return vreinterpretq_u64_s64(vshrq_n_s64(vreinterpretq_s64_u64(a), 63));
}
static INLINE f64_v f64_from_int(vint a) { return vcvtq_f64_s64(vreinterpretq_s64_u64(a)); }
static INLINE f64_v f64_distance(vint n)
{
    const int64x2_t magnitude = vabsq_s64(vreinterpretq_s64_u64(n));
    return f64_from_int(f64_isub(f64_iset(INT64_MIN), vreinterpretq_u64_s64(magnitude)));
}
static INLINE vint f64_bits(f64_v a) { return vreinterpretq_u64_f64(a); }
static INLINE f64_v f64_unbits(vint a) { return vreinterpretq_f64_u64(a); }
static INLINE f64_v f64_set(double x) { return vdupq_n_f64(x); }
static INLINE f64_v f64_add(f64_v a, f64_v b) { return vaddq_f64(a, b); }
static INLINE f64_v f64_sub(f64_v a, f64_v b) { return vsubq_f64(a, b); }
static INLINE f64_v f64_mul(f64_v a, f64_v b) { return vmulq_f64(a, b); }
static INLINE f64_v f64_div(f64_v a, f64_v b) { return vdivq_f64(a, b); }
static INLINE f64_v f64_fma(f64_v a, f64_v b, f64_v c) { return vfmaq_f64(c, a, b); }
static INLINE f64_v f64_sqrt(f64_v a) { return vsqrtq_f64(a); }
static INLINE f64_v f64_min(f64_v a, f64_v b) { return vbslq_f64(vcltq_f64(a, b), a, b); }
static INLINE f64_v f64_max(f64_v a, f64_v b) { return vbslq_f64(vcgtq_f64(a, b), a, b); }
static INLINE f64_v f64_select(vint sign, f64_v negative, f64_v positive)
{
    return vbslq_f64(f64_isign(sign), negative, positive);
}
static INLINE int f64_any_negative(vint a) { return vaddvq_u64(vshrq_n_u64(a, 63)) != 0; }
static INLINE f64_v f64_flip(f64_v a, vint sign)
{
    return f64_unbits(vint_xor(f64_bits(a), vint_and(sign, f64_iset(INT64_MIN))));
}
static INLINE void f64_transpose(const f64_v in[4], f64_v out[4])
{
    out[0] = vzip1q_f64(in[0], in[1]);
    out[1] = vzip1q_f64(in[2], in[3]);
    out[2] = vzip2q_f64(in[0], in[1]);
    out[3] = vzip2q_f64(in[2], in[3]);
}

/* memory: stores to any address, so byte by byte as C sees it */
static INLINE void f32_store(void *p, const f32_v v[2])
{
    vst1q_u8(p, vreinterpretq_u8_f32(v[0]));
    vst1q_u8((uint8_t *)p + 16, vreinterpretq_u8_f32(v[1]));
}
static INLINE void f64_store(void *p, const f64_v v[4])
{
    for (int i = 0; i < 4; i++)
        vst1q_u8((uint8_t *)p + 16 * i, vreinterpretq_u8_f64(v[i]));
}
static INLINE void f16_store(void *p, const f32_v v[2])
{
    const float16x8_t half = vcombine_f16(vcvt_f16_f32(v[0]), vcvt_f16_f32(v[1]));
    vst1q_u8(p, vreinterpretq_u8_f16(half));
}
static INLINE uint16x4_t bf16_round(f32_v v)
{
    const uint32x4_t bits = vreinterpretq_u32_f32(v);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    return vshrn_n_u32(vaddq_u32(vaddq_u32(bits, odd), vdupq_n_u32(0x7FFF)), 16);
}
static INLINE void bf16_store(void *p, const f32_v v[2])
{
    vst1q_u8(p, vreinterpretq_u8_u16(vcombine_u16(bf16_round(v[0]), bf16_round(v[1]))));
}
static INLINE void top_bytes_store(void *p, const vint a[2])
{
    const uint16x4_t first = vshrn_n_u32(U32(a[0]), 16), second = vshrn_n_u32(U32(a[1]), 16);
    vst1_u8(p, vshrn_n_u16(vcombine_u16(first, second), 8));
}
