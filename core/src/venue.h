/* What a venue's file offers to venue.c, and what the files share. */
#ifndef SENTINEL_VENUE_INNER_H
#define SENTINEL_VENUE_INNER_H

#include <sentinel/venue.h>

/* One venue: all that is particular to it. */
typedef struct venue_table {
    const char *name;
    const sentinel_hold *holds; /* by action; window_ms 0: the venue has no such action */
    uint8_t nonced;             /* 1: every request has a nonce of its own */
    uint8_t expiry_is_time;     /* 1: requests expire at a time; 0: after a span; in milliseconds */
    uint8_t passphrased;        /* 1: its keys are of no use without a passphrase beside them */
    uint8_t reserved[5];
    /* Everything but the signature. Gets an action that has a hold, and a key
     * and rows of the venue. */
    sentinel_reason (*render)(sentinel_request *request, const sentinel_render *render);
    sentinel_reason (*finish)(sentinel_request *request, const sentinel_render *render,
                              const sentinel_signature *signature);
} venue_table;

extern const venue_table venue_binance_spot;
extern const venue_table venue_binance_usdm;
extern const venue_table venue_bybit;
extern const venue_table venue_okx;
extern const venue_table venue_deribit;
extern const venue_table venue_hyperliquid;

/* The row of a venue; null for an unknown number. */
const venue_table *venue_row(uint16_t number);

static inline int venue_has(const sentinel_render *render, uint32_t bit) {
    return (render->order->header.present & bit) != 0;
}

static inline int venue_is_limit(uint8_t type) {
    return type == SENTINEL_TYPE_LIMIT || type == SENTINEL_TYPE_STOP_LIMIT ||
           type == SENTINEL_TYPE_TAKE_PROFIT_LIMIT;
}

static inline int venue_is_triggered(uint8_t type) {
    return type >= SENTINEL_TYPE_STOP_MARKET;
}

/* A key's name goes into a header as it is, so it must not be able to end it. */
static inline int venue_key_is_named(const sentinel_key_info *key) {
    return key->api_key_size > 0 && sentinel_text_is_id(key->api_key, key->api_key_size);
}

/* An expiry is left out only where an order says so, in `lab`. */
static inline int venue_may_send(const sentinel_render *render) {
    return render->has_expiry || venue_has(render, SENTINEL_PRESENT_LAB_WAIVE);
}

static inline int venue_is_test(const sentinel_render *render) {
    return render->environment == SENTINEL_ENVIRONMENT_TEST;
}

/* For venues whose amends say quantity and prices alone: everything else is
 * as it was. Of orders that the book does not know (`lab`), it is believed. */
static inline int venue_amend_keeps_terms(const sentinel_render *render) {
    const sentinel_order_amend *amend = &render->order->amend;
    return render->target_type == 0 || (amend->type == render->target_type &&
                                        amend->time_in_force == render->target_time_in_force &&
                                        amend->reduce_only == render->target_reduce_only);
}

/* The name of an earlier order: by which the engine had it placed, or the
 * venue's own id. Sets is_own. */
static inline const char *venue_target(const sentinel_render *render, const sentinel_target *target,
                                       size_t *size, int *is_own) {
    *is_own = render->target_client_id_size > 0;
    *size = *is_own ? render->target_client_id_size : target->id_size;
    return *is_own ? render->target_client_id : target->id;
}

#endif
