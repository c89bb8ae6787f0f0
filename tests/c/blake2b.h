/* BLAKE2b without a key (RFC 7693), to read the golden file from C. For tests only. */
#ifndef BLAKE2B_H
#define BLAKE2B_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static uint64_t blake2b_rotated(uint64_t x, int by) { return x >> by | x << (64 - by); }

static void blake2b_compress(uint64_t h[8], const uint8_t block[128], uint64_t length, int last)
{
    static const uint8_t SIGMA[10][16] = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                                          {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
                                          {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
                                          {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
                                          {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
                                          {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
                                          {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
                                          {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
                                          {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
                                          {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};
    static const uint64_t IV[8] = {UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b),
                                   UINT64_C(0x3c6ef372fe94f82b), UINT64_C(0xa54ff53a5f1d36f1),
                                   UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f),
                                   UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179)};
    static const uint8_t MIX[8][4] = {{0, 4, 8, 12},  {1, 5, 9, 13},  {2, 6, 10, 14}, {3, 7, 11, 15},
                                      {0, 5, 10, 15}, {1, 6, 11, 12}, {2, 7, 8, 13},  {3, 4, 9, 14}};
    uint64_t m[16], v[16];
    for (int i = 0; i < 16; i++) {
        m[i] = 0;
        for (int k = 7; k >= 0; k--)
            m[i] = m[i] << 8 | block[8 * i + k];
    }
    for (int i = 0; i < 8; i++) {
        v[i] = h[i];
        v[8 + i] = IV[i];
    }
    v[12] ^= length;
    v[14] ^= last ? ~UINT64_C(0) : 0;
    for (int round = 0; round < 12; round++)
        for (int i = 0; i < 8; i++) {
            const uint8_t *s = SIGMA[round % 10];
            uint64_t *a = &v[MIX[i][0]], *b = &v[MIX[i][1]], *c = &v[MIX[i][2]], *d = &v[MIX[i][3]];
            *a += *b + m[s[2 * i]];
            *d = blake2b_rotated(*d ^ *a, 32);
            *c += *d;
            *b = blake2b_rotated(*b ^ *c, 24);
            *a += *b + m[s[2 * i + 1]];
            *d = blake2b_rotated(*d ^ *a, 16);
            *c += *d;
            *b = blake2b_rotated(*b ^ *c, 63);
        }
    for (int i = 0; i < 8; i++)
        h[i] ^= v[i] ^ v[8 + i];
}

static void blake2b(const uint8_t *data, size_t length, uint8_t *digest, size_t digest_size)
{
    uint64_t h[8] = {UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b),
                     UINT64_C(0x3c6ef372fe94f82b), UINT64_C(0xa54ff53a5f1d36f1),
                     UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f),
                     UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179)};
    h[0] ^= 0x01010000 ^ digest_size;
    size_t done = 0;
    while (length - done > 128) {
        blake2b_compress(h, data + done, done + 128, 0);
        done += 128;
    }
    uint8_t block[128] = {0};
    memcpy(block, data + done, length - done);
    blake2b_compress(h, block, length, 1);
    for (size_t i = 0; i < digest_size; i++)
        digest[i] = (uint8_t)(h[i / 8] >> 8 * (i % 8));
}

#endif
