/* EIP-712, "Definition of hashStruct", "encodeData" and "domainSeparator". */
#include "eip712.h"

#include <string.h>

#include "keccak.h"

const uint8_t eip712_exchange_domain32[32] = {
    0xd7, 0x92, 0x97, 0xfc, 0xdf, 0x2f, 0xfc, 0xd4, 0xae, 0x22, 0x3d, 0x01, 0xed, 0xaa, 0x2b, 0xa2,
    0x14, 0xff, 0x8f, 0x40, 0x1d, 0x7c, 0x93, 0x00, 0xd9, 0x95, 0xd1, 0x7c, 0x82, 0xaa, 0x40, 0x40};
const uint8_t eip712_agent_type32[32] = {
    0x26, 0xf0, 0x5c, 0x2f, 0x72, 0x39, 0xb6, 0x98, 0x30, 0x75, 0xe5, 0x83, 0x21, 0x29, 0x2d, 0x77,
    0xb3, 0xaa, 0x17, 0x3d, 0x19, 0xb2, 0x72, 0x57, 0xac, 0x96, 0xab, 0x36, 0x25, 0x70, 0xf5, 0x08};
const uint8_t eip712_live_source32[32] = {
    0x3a, 0xc2, 0x25, 0x16, 0x8d, 0xf5, 0x42, 0x12, 0xa2, 0x5c, 0x1c, 0x01, 0xfd, 0x35, 0xbe, 0xbf,
    0xea, 0x40, 0x8f, 0xda, 0xc2, 0xe3, 0x1d, 0xdd, 0x6f, 0x80, 0xa4, 0xbb, 0xf9, 0xa5, 0xf1, 0xcb};
const uint8_t eip712_test_source32[32] = {
    0xb5, 0x55, 0x3d, 0xe3, 0x15, 0xe0, 0xed, 0xf5, 0x04, 0xd9, 0x15, 0x0a, 0xf8, 0x2d, 0xaf, 0xa5,
    0xc4, 0x66, 0x7f, 0xa6, 0x18, 0xed, 0x0a, 0x6f, 0x19, 0xc6, 0x9b, 0x41, 0x16, 0x6c, 0x55, 0x10};

void eip712_word(eip712_struct *value, const uint8_t word32[32]) {
    if (value->count > EIP712_FIELDS_MAX) {
        value->overflow = 1;
        return;
    }
    memcpy(value->words[value->count++], word32, 32);
}

void eip712_begin_hashed(eip712_struct *value, const uint8_t type32[32]) {
    value->count = 0;
    value->overflow = 0;
    eip712_word(value, type32);
}

void eip712_begin(eip712_struct *value, const char *type) {
    uint8_t hash32[32];
    keccak256(hash32, type, strlen(type));
    eip712_begin_hashed(value, hash32);
}

void eip712_text(eip712_struct *value, const char *text, size_t size) {
    uint8_t hash32[32];
    keccak256(hash32, text, size);
    eip712_word(value, hash32);
}

void eip712_uint(eip712_struct *value, uint64_t number) {
    uint8_t word32[32] = {0};
    for (unsigned i = 0; i < 8; i++) {
        word32[24 + i] = (uint8_t)(number >> (56 - 8 * i));
    }
    eip712_word(value, word32);
}

void eip712_hash(uint8_t hash32[32], const eip712_struct *value) {
    keccak256(hash32, value->words, value->count * 32);
}

void eip712_domain(uint8_t domain32[32], const char *name, uint64_t chain_id) {
    eip712_struct domain;
    eip712_begin(&domain, "EIP712Domain(string name,string version,uint256 chainId,"
                          "address verifyingContract)");
    eip712_text(&domain, name, strlen(name));
    eip712_text(&domain, "1", 1);
    eip712_uint(&domain, chain_id);
    eip712_uint(&domain, 0);
    eip712_hash(domain32, &domain);
}

void eip712_digest(uint8_t digest32[32], const uint8_t domain32[32], const eip712_struct *value) {
    uint8_t message[2 + 32 + 32] = {0x19, 0x01};
    memcpy(message + 2, domain32, 32);
    eip712_hash(message + 34, value);
    keccak256(digest32, message, sizeof message);
}
