/* Many records at once: for whoever reads a log through. */
#include "audit_log.h"
#include "audit_record.h"

#include "bytes.h"

enum { TOGETHER = 4 };

void records_check(uint8_t *whole, uint8_t (*hashes)[32], const uint8_t *bytes, const uint32_t *at,
                   size_t count) {
    sentinel_record records[TOGETHER];
    hash_message messages[TOGETHER * RECORD_MESSAGES];
    uint8_t digests[TOGETHER * RECORD_MESSAGES][32];
    size_t opened[TOGETHER];
    for (size_t i = 0; i < count;) {
        size_t some = 0;
        for (; i < count && some < TOGETHER; i++) {
            const size_t size = at[i + 1] - at[i] - 2 * (size_t)LOG_WORD_BYTES;
            whole[i] = 0;
            memset(hashes[i], 0, sizeof hashes[i]);
            if (record_open(&records[some], messages + some * RECORD_MESSAGES,
                            bytes + at[i] + LOG_WORD_BYTES, size) == SENTINEL_OK) {
                opened[some++] = i;
            }
        }
        hash_many(digests, messages, some * RECORD_MESSAGES);
        for (size_t k = 0; k < some; k++) {
            const size_t which = opened[k];
            const sentinel_status status = record_judge(&records[k], digests + k * RECORD_MESSAGES);
            const uint8_t *commit = bytes + at[which + 1] - LOG_WORD_BYTES;
            memcpy(hashes[which], records[k].hash32, sizeof hashes[which]);
            whole[which] =
                status == SENTINEL_OK && bytes_equal(records[k].hash32, commit, LOG_WORD_BYTES);
        }
    }
}
