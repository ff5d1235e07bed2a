/* Keccak-256 as Ethereum uses it: the padding of the first submission (0x01),
 * not that of SHA3-256 (0x06). */
#ifndef SENTINEL_KECCAK_H
#define SENTINEL_KECCAK_H

#include <stddef.h>
#include <stdint.h>

/* Timing: depends on the size alone. Allocates: never. Threads: any. */
void keccak256(uint8_t digest32[32], const void *bytes, size_t size);

#endif
