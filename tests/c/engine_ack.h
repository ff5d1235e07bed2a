/* What an acknowledgement must say, by public inputs alone. */
#ifndef ENGINE_ACK_H
#define ENGINE_ACK_H

#include "engine_scene.h"

/* Who has the engine's public identity can tell what the engine said. */
static void expect_acknowledged(const sentinel_signed_ack *found, uint64_t record) {
    uint8_t digest32[32];
    hash_bytes(digest32, &found->ack, sizeof found->ack);
    CHECK_OK(sentinel_verify_frame(found->signature64, scene.config.genesis.identity_key32,
                                   "sentinel-ack-v1", digest32));
    CHECK_EQ(found->ack.record, record);
    CHECK_EQ(found->ack.count, record + 1);
    CHECK(memcmp(found->ack.engine_id32, scene.engine_id32, 32) == 0);
    CHECK_EQ(found->ack.environment, scene.config.genesis.environment);
}

#endif
