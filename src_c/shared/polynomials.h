/* Written by polynomials.py, which says how: the approximations of math.inc.h,
   constant term first, and the error of each in u = 2^-24 (f32) or 2^-53 (f64). */
#ifndef FASTXAVIER_POLYNOMIALS_H
#define FASTXAVIER_POLYNOMIALS_H

/* q in -2 ln(1 - f/2) = f + f^2 q(f), 1 - f/2 from 2/3 to 4/3; weight 1/ln: 0.162 u */
static const float f32_log[] = {
    0x1.0000000000000p-2f,
    0x1.5555020000000p-4f,
    0x1.fffe860000000p-6f,
    0x1.99d1f20000000p-7f,
    0x1.55a72e0000000p-8f,
    0x1.1ebe6c0000000p-9f,
    0x1.f261320000000p-11f,
    0x1.1ed1540000000p-11f,
    0x1.092ba00000000p-12f};

/* q in -2 ln(1 - f/2) = f + f^2 q(f), 1 - f/2 from 2/3 to 4/3; weight 1/ln: 0.138 u */
static const double f64_log[] = {
    0x1.ffffffffffff8p-3,
    0x1.5555555555531p-4,
    0x1.00000000014b7p-5,
    0x1.99999999a0fdcp-7,
    0x1.5555555359861p-8,
    0x1.249249205a3fep-9,
    0x1.000000b0c6ea0p-10,
    0x1.c71c742f61beap-12,
    0x1.999956539da91p-13,
    0x1.745cb1e99d2dbp-14,
    0x1.555cfcc72c12dp-15,
    0x1.3b1dffc8696c3p-16,
    0x1.24077c9b5ea80p-17,
    0x1.10663a154953ep-18,
    0x1.062490c9b5852p-19,
    0x1.efecb20c50f86p-21,
    0x1.737ccf158dd2ep-22,
    0x1.55661b7aab24ap-23,
    0x1.6426fa002b93cp-23,
    0x1.5cb384356db0fp-24};

/* q in sin(pi/4 t) = t (pi/4 rounded + q(t^2)), |t| <= 1; weight 1/sin: 0.142 u */
#define f32_sine_leading 0x1.921fb60000000p-1f
static const float f32_sine[] = {
    -0x1.a329000000000p-26f,
    -0x1.4abbba0000000p-4f,
    0x1.465e920000000p-9f,
    -0x1.2d93000000000p-15f};

/* q in sin(pi/4 t) = t (pi/4 rounded + q(t^2)), |t| <= 1; weight 1/sin: 0.093 u */
#define f64_sine_leading 0x1.921fb54442d18p-1
static const double f64_sine[] = {
    0x1.0267f6d254bb8p-55,
    -0x1.4abbce625be41p-4,
    0x1.466bc67758700p-9,
    -0x1.32d2cce2d5381p-15,
    0x1.50782fca36e33p-22,
    -0x1.e300639c90408p-30,
    0x1.e3eed41d94844p-38};

/* q in cos(pi/4 t) = 1 + t^2 q(t^2), |t| <= 1; weight 1/cos: 0.181 u */
static const float f32_cosine[] = {
    -0x1.3bd3cc0000000p-2f,
    0x1.03c1de0000000p-6f,
    -0x1.55c5e00000000p-12f,
    0x1.d9d57c0000000p-19f};

/* q in cos(pi/4 t) = 1 + t^2 q(t^2), |t| <= 1; weight 1/cos: 0.205 u */
static const double f64_cosine[] = {
    -0x1.3bd3cc9be45dep-2,
    0x1.03c1f081b5aaep-6,
    -0x1.55d3c7e3c9282p-12,
    0x1.e1f5068367ddap-19,
    -0x1.a6d1ec7e25a13p-26,
    0x1.f9cc40bbe09b3p-34,
    -0x1.b263c6b4ce767p-42};

/* p in z = (1 - 2 q) p(-2 ln(4 q (1 - q))), |z| <= 2.0075; weight 1/z: 0.227 u */
static const float f32_central[] = {
    0x1.40d9320000000p+0f,
    0x1.4ffdf00000000p-3f,
    0x1.0b907e0000000p-8f,
    -0x1.afc92c0000000p-12f,
    -0x1.9734ea0000000p-17f,
    0x1.4388420000000p-19f,
    -0x1.1f98de0000000p-25f,
    -0x1.1391de0000000p-28f};

/* p in z = (1 - 2 q) p(-2 ln(4 q (1 - q))), |z| <= 2.0075; weight 1/z: 0.682 u */
static const double f64_central[] = {
    0x1.40d931ff62706p+0,
    0x1.4ffddeaa22dd1p-3,
    0x1.0b9a8ec5b4c29p-8,
    -0x1.b0d7e368d1287p-12,
    -0x1.7bc0e37e8cbf4p-17,
    0x1.147b7fb63fc7ep-19,
    0x1.7f69b89104ed0p-25,
    -0x1.805cc49ff3c8dp-27,
    -0x1.c692b4e20ae69p-33,
    0x1.16b7572dc814dp-34,
    0x1.e2d02ccf21719p-41,
    -0x1.536666d529cd8p-42,
    -0x1.6a7ccb6165507p-46,
    0x1.491860aa631fcp-48,
    -0x1.103cb47c9d96cp-52,
    0x1.fb825082a626cp-60,
    0x1.629f8c62d6397p-63};

/* d in z = s - d(s), s = sqrt(-2 ln(2 q)), 2 <= z <= 38.5; weight 1/z: 0.082 u */
static const float f32_tail[] = {
    0x1.a227bc0000000p-6f,
    0x1.b524500000000p-1f,
    0x1.5816d60000000p-1f,
    0x1.237b8c0000000p-4f,
    0x1.42b3060000000p-10f,
    0x1.79d0f20000000p-21f};
static const float f32_tail_denominator[] = {
    0x1.0000000000000p+0f,
    0x1.efc6ea0000000p-1f,
    0x1.0ff7d40000000p+0f,
    0x1.329e420000000p-2f,
    0x1.34cfd40000000p-6f,
    0x1.ba15c40000000p-13f};

/* d in z = s - d(s), s = sqrt(-2 ln(2 q)), 2 <= z <= 38.5; weight 1/z: 0.027 u */
static const double f64_tail[] = {
    0x1.a098ef25fddbep-11,
    0x1.fc2b910904af2p-1,
    0x1.195f3a4cb4a8dp+0,
    0x1.4395d891081c9p+0,
    0x1.69125a0565f48p-1,
    0x1.ae7d19504ee7ep-3,
    0x1.92f0ba3d9405bp-5,
    0x1.9f4f6172eb4d4p-8,
    0x1.79b013881f332p-12,
    0x1.1a6cadd88b69bp-17,
    0x1.354faf6f72979p-24,
    0x1.68ce64f2a3a06p-33,
    0x1.0bad9f66edcf3p-46};
static const double f64_tail_denominator[] = {
    0x1.0000000000000p+0,
    0x1.b1ea14dddb631p+0,
    0x1.3343fe57d5f6ep+1,
    0x1.efc822b245ebbp+0,
    0x1.46f466d6ef12fp+0,
    0x1.e051e55fcef85p-2,
    0x1.ef755f6d39d22p-4,
    0x1.6b6d545cb876dp-6,
    0x1.1a8c9924139acp-9,
    0x1.924df3e036fa0p-14,
    0x1.e4151af60f913p-20,
    0x1.ab48a0e5dc0a1p-27,
    0x1.7e526b58b9fc2p-36};

#endif
