/* Philox4x32-10: a scalar reference, used by tests, and the key schedule, used by all kernels.
   Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. */
#ifndef FASTXAVIER_PHILOX_H
#define FASTXAVIER_PHILOX_H

#include "portable.h"

#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u
#define PHILOX_W1 0xBB67AE85u
#define PHILOX_ROUNDS 10

/* One block of four words, written like the specification. */
static DEVICE inline void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4])
{
    uint32_t x0 = counter[0], x1 = counter[1], x2 = counter[2], x3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        const uint64_t p0 = (uint64_t)PHILOX_M0 * x0;
        const uint64_t p1 = (uint64_t)PHILOX_M1 * x2;
        x0 = (uint32_t)(p1 >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)p1;
        x2 = (uint32_t)(p0 >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)p0;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    words[0] = x0;
    words[1] = x1;
    words[2] = x2;
    words[3] = x3;
}

/* What the ten rounds need that does not depend on the low counter word. A kernel changes only that
   word, so half of rounds 0 and 1 is the same throughout a call: before round 0 the state is
   (b, high, stream0, stream1), and with p = M1 * stream0, round 0 gives x0 = hi(p) ^ high ^ k0 and
   x1 = lo(p) for every b. */
typedef struct {
    uint32_t k0[PHILOX_ROUNDS], k1[PHILOX_ROUNDS];
    uint32_t x2_round0; /* xor with hi(M0 * b) in round 0 */
    uint32_t x0_round1; /* xor with hi(M1 * x2) in round 1 */
    uint32_t x2_round1; /* xor with x3 in round 1 */
    uint32_t x2_round2; /* xor with hi(M0 * x0) in round 2 */
} philox_schedule;

/* Set what depends on the high counter word; the keys are there. */
static DEVICE inline void philox_place(philox_schedule *s, uint64_t stream, uint32_t block_high)
{
    const uint64_t p1 = (uint64_t)PHILOX_M1 * (uint32_t)stream;
    const uint32_t x0 = (uint32_t)(p1 >> 32) ^ block_high ^ s->k0[0];
    const uint64_t p0 = (uint64_t)PHILOX_M0 * x0;
    s->x2_round0 = (uint32_t)(stream >> 32) ^ s->k1[0];
    s->x0_round1 = (uint32_t)p1 ^ s->k0[1];
    s->x2_round1 = (uint32_t)(p0 >> 32) ^ s->k1[1];
    s->x2_round2 = (uint32_t)p0 ^ s->k1[2];
}

static DEVICE inline philox_schedule philox_prepare(uint64_t seed, uint64_t stream, uint32_t block_high)
{
    philox_schedule s;
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        s.k0[round] = (uint32_t)seed + (uint32_t)round * PHILOX_W0;
        s.k1[round] = (uint32_t)(seed >> 32) + (uint32_t)round * PHILOX_W1;
    }
    philox_place(&s, stream, block_high);
    return s;
}

#endif
