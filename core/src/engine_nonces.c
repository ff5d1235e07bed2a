/* What another thread makes ahead: the pools of precomputed nonces of an
 * engine's keys, and pages and segments of a mapped log. */
#include "engine_internal.h"

sentinel_status engine_nonces_open(sentinel_engine *engine,
                                   const sentinel_engine_options *options) {
    if (options->nonces == 0) {
        return options->snapshot_risk == 0 ? SENTINEL_OK : SENTINEL_USAGE_ARGUMENT;
    }
    if (options->snapshot_risk != 1) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    for (uint32_t i = 0; i < sentinel_keyring_count(engine->keyring); i++) {
        uint32_t key = sentinel_keyring_at(engine->keyring, i)->id;
        sentinel_status status = sentinel_nonces_start(engine->keyring, key, options->nonces);
        if (status != SENTINEL_OK && status != SENTINEL_KEY_PURPOSE) {
            return status;
        }
    }
    engine->config.nonces = SENTINEL_NONCES_SNAPSHOT_RISK;
    return SENTINEL_OK;
}

sentinel_status sentinel_engine_fill(sentinel_engine *engine, uint32_t *made) {
    *made = 0;
    if (engine == NULL || *engine->alive == 0) {
        return SENTINEL_USAGE_STATE;
    }
    sentinel_status first = sentinel_log_ahead(&engine->log);
    /* One failure keeps no key from its nonces. */
    for (uint32_t i = 0; i < sentinel_keyring_count(engine->keyring); i++) {
        uint32_t batch = 0;
        uint32_t key = sentinel_keyring_at(engine->keyring, i)->id;
        sentinel_status status = sentinel_nonces_fill(engine->keyring, key, &batch);
        if (status != SENTINEL_USAGE_STATE && first == SENTINEL_OK) {
            first = status;
        }
        *made += batch;
    }
    return first;
}

sentinel_status sentinel_engine_nonces(const sentinel_engine *engine, sentinel_nonces *nonces) {
    memset(nonces, 0, sizeof *nonces);
    if (engine == NULL || *engine->alive == 0) {
        return SENTINEL_USAGE_STATE;
    }
    for (uint32_t i = 0; i < sentinel_keyring_count(engine->keyring); i++) {
        sentinel_nonces one;
        uint32_t key = sentinel_keyring_at(engine->keyring, i)->id;
        if (sentinel_nonces_read(engine->keyring, key, &one) == SENTINEL_OK) {
            nonces->capacity += one.capacity;
            nonces->ready += one.ready;
            nonces->made += one.made;
            nonces->used += one.used;
            nonces->burnt += one.burnt;
            nonces->missed += one.missed;
        }
    }
    return SENTINEL_OK;
}
