/* EIP-712: typed data, hashed for a signature. Only flat structs, whose fields
 * are texts, unsigned integers, booleans or 32 bytes. */
#ifndef SENTINEL_EIP712_H
#define SENTINEL_EIP712_H

#include <stddef.h>
#include <stdint.h>

#define EIP712_FIELDS_MAX 6u

/* The encoding of one struct: the hash of its type, then a word a field. */
typedef struct eip712_struct {
    uint8_t words[EIP712_FIELDS_MAX + 1][32];
    size_t count;
    int overflow; /* 1: more fields than fit; nothing may be signed */
} eip712_struct;

/* type: "Name(type name,...)", as the standard writes it. */
void eip712_begin(eip712_struct *value, const char *type);
void eip712_begin_hashed(eip712_struct *value, const uint8_t type32[32]);
void eip712_text(eip712_struct *value, const char *text, size_t size);
void eip712_uint(eip712_struct *value, uint64_t number); /* a boolean: 0 or 1 */
void eip712_word(eip712_struct *value, const uint8_t word32[32]);

void eip712_hash(uint8_t hash32[32], const eip712_struct *value);

/* The separator of {name, version "1", chain id, verifying contract zero}. */
void eip712_domain(uint8_t domain32[32], const char *name, uint64_t chain_id);

/* keccak256(0x19 0x01 || domain || hash of the struct): what is signed. */
void eip712_digest(uint8_t digest32[32], const uint8_t domain32[32], const eip712_struct *value);

/* Computed beforehand, since every order needs them; eip712_test.c computes
 * them again. */
extern const uint8_t eip712_exchange_domain32[32]; /* "Exchange", chain 1337 */
extern const uint8_t eip712_agent_type32[32];      /* "Agent(string source,bytes32 connectionId)" */
extern const uint8_t eip712_live_source32[32];     /* "a" */
extern const uint8_t eip712_test_source32[32];     /* "b" */

#endif
