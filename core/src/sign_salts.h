/* A record's salts, made while the one before it is hashed. */
#ifndef SENTINEL_SIGN_SALTS_H
#define SENTINEL_SIGN_SALTS_H

#include <sentinel/sign.h>

#include "hash.h"

enum { SIGN_BESIDE_BLOCKS = 2 };

/* Two blocks go into a chain, which is public; beside them, where the processor
 * can, in the same time the salts that sentinel_sign_salts gives for this record.
 * They wait in the memory of their key. Where there is no such key, none are made. */
void sign_salts_ahead(sentinel_keyring *ring, uint32_t key, uint64_t epoch, uint64_t record,
                      hash_chain *chain, const uint8_t blocks[SIGN_BESIDE_BLOCKS * 64]);

#endif
