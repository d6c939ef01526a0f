/*===- intrinsics.h - instructions of other machines in plain C -----------===*\
|*
|* One function for each row of the table of target intrinsics
|* (include/hwgq/Conversion/TargetIntrinsics.h), written from the instruction
|* set manuals of Intel and Arm. Vectors are arrays in memory; results never
|* overlap operands. Freestanding: no libc.
|*
\*===----------------------------------------------------------------------===*/
#ifndef HWGQ_TEST_EMULATION_INTRINSICS_H
#define HWGQ_TEST_EMULATION_INTRINSICS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The tile registers of AMX (palette 1) of one thread. */
struct hwgq_tiles {
  uint8_t palette; /**< 0: not configured */
  uint8_t start_row;
  uint8_t rows[8];
  uint8_t reserved[6];
  uint16_t bytes[8]; /**< of a row */
  uint8_t padding[32];
  uint8_t data[8][16][64];
};

typedef void hwgq_emulate_2(void *, const void *, const void *);
typedef void hwgq_emulate_3(void *, const void *, const void *, const void *);

/* acc + sums of four products of bytes */
hwgq_emulate_3 hwgq_emulate_vpdpbusd512, hwgq_emulate_vpdpbusd256,
    hwgq_emulate_sdot, hwgq_emulate_usdot, hwgq_emulate_usmmla;
/* sums of pairs of products */
hwgq_emulate_2 hwgq_emulate_pmaddubsw512, hwgq_emulate_pmaddubsw256,
    hwgq_emulate_pmaddubsw128, hwgq_emulate_pmaddwd512, hwgq_emulate_pmaddwd256,
    hwgq_emulate_pmaddwd128;
/* table, index */
hwgq_emulate_2 hwgq_emulate_pshufb512, hwgq_emulate_pshufb256,
    hwgq_emulate_pshufb128, hwgq_emulate_vpermb512, hwgq_emulate_tbl;
/* places of bits, words */
hwgq_emulate_2 hwgq_emulate_vpmultishiftqb256;
/* sums that stop at 255 */
hwgq_emulate_2 hwgq_emulate_paddusb512;

void hwgq_emulate_ldtilecfg(struct hwgq_tiles *tiles, const void *config);
void hwgq_emulate_tilerelease(struct hwgq_tiles *tiles);
void hwgq_emulate_tilezero(struct hwgq_tiles *tiles, uint8_t tile);
void hwgq_emulate_tileloadd(struct hwgq_tiles *tiles, uint8_t tile,
                            const void *memory, int64_t stride);
void hwgq_emulate_tilestored(struct hwgq_tiles *tiles, uint8_t tile,
                             void *memory, int64_t stride);
void hwgq_emulate_tdpbusd(struct hwgq_tiles *tiles, uint8_t c, uint8_t a,
                          uint8_t b);

#ifdef __cplusplus
}
#endif

#endif
