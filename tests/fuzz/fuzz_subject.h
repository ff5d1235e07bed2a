/* Orders for fuzzers of policy: made of the input's own bytes, but with the
 * form that a checked order has. */
#ifndef FUZZ_SUBJECT_H
#define FUZZ_SUBJECT_H

#include <sentinel/state.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEED(cond)                                                     \
    do {                                                               \
        if (!(cond)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
            abort();                                                   \
        }                                                              \
    } while (0)

/* Bytes of the input, taken from its end; zeros when they are used up. */
typedef struct fuzz_input {
    const uint8_t *bytes;
    size_t size;
} fuzz_input;

static uint64_t take(fuzz_input *input, size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size && input->size > 0; i++) {
        value = value << 8 | input->bytes[--input->size];
    }
    return value;
}

/* At least `least`; small numbers and the largest ones are frequent. */
static sentinel_decimal take_decimal(fuzz_input *input, int64_t least) {
    static const uint8_t sizes[8] = {1, 1, 2, 3, 4, 6, 8, 8};
    uint8_t form = (uint8_t)take(input, 1);
    sentinel_decimal value = {
        .mantissa = (int64_t)(take(input, sizes[form & 7]) & INT64_MAX),
        .scale = (uint8_t)((form >> 3) % (SENTINEL_SCALE_MAX + 1)),
    };
    value.mantissa = value.mantissa < least ? least : value.mantissa;
    return value;
}

static void take_prices(fuzz_input *input, sentinel_subject *subject) {
    subject->side = (uint8_t)(1 + take(input, 1) % 2);
    subject->type = (uint8_t)(1 + take(input, 1) % (SENTINEL_TYPE_COUNT - 1));
    subject->time_in_force = (uint8_t)(take(input, 1) % SENTINEL_TIF_COUNT);
    subject->present = (uint32_t)take(input, 1) & 15;
    subject->quantity = take_decimal(input, 1);
    subject->quote_quantity = take_decimal(input, 1);
    subject->price = take_decimal(input, 1);
    subject->trigger_price = take_decimal(input, 1);
}

static void take_funds(fuzz_input *input, const sentinel_bundle *bundle, sentinel_order *order,
                       sentinel_subject *subject) {
    if (bundle->asset_count != 0) {
        subject->asset = &bundle->assets[take(input, 1) % bundle->asset_count];
    }
    subject->amount = take_decimal(input, 1);
    char *address = subject->action == SENTINEL_ACTION_WITHDRAW ? order->withdraw.address
                                                                : order->transfer.destination;
    uint8_t size = (uint8_t)(take(input, 1) % 3);
    for (uint8_t i = 0; i < size; i++) {
        address[i] = (char)('a' + take(input, 1) % 4);
    }
    if (subject->action == SENTINEL_ACTION_WITHDRAW) {
        order->withdraw.address_size = size;
        order->withdraw.network = 5;
    } else {
        order->transfer.destination_size = size;
    }
}

/* The next order of the input, of an agent of the bundle; 0 at its end, or
 * when the bundle has no agent. */
static int take_subject(fuzz_input *input, const sentinel_bundle *bundle, sentinel_order *order,
                        sentinel_subject *subject) {
    memset(order, 0, sizeof *order);
    memset(subject, 0, sizeof *subject);
    if (input->size == 0) {
        return 0;
    }
    uint32_t node = (uint32_t)take(input, 1) % bundle->node_count, tried = 0;
    while (bundle->nodes[node].kind != SENTINEL_NODE_AGENT) {
        node = (node + 1) % bundle->node_count;
        if (++tried > bundle->node_count) {
            return 0;
        }
    }
    subject->order = order;
    subject->node = node;
    subject->action = (uint16_t)(1 + take(input, 1) % (SENTINEL_ACTION_COUNT - 1));
    subject->venue = (uint16_t)(take(input, 1) % SENTINEL_VENUE_COUNT);
    order->header.action = subject->action;
    if (subject->action <= SENTINEL_ACTION_QUERY) {
        if (bundle->instrument_count == 0) {
            subject->action = SENTINEL_ACTION_MESSAGE;
            return 1;
        }
        subject->instrument = &bundle->instruments[take(input, 1) % bundle->instrument_count];
        subject->venue = subject->instrument->venue;
    }
    if (subject->action <= SENTINEL_ACTION_AMEND) {
        take_prices(input, subject);
    } else if (subject->action == SENTINEL_ACTION_WITHDRAW ||
               subject->action == SENTINEL_ACTION_TRANSFER) {
        take_funds(input, bundle, order, subject);
    }
    return 1;
}

/* What holds of every decision. */
static void need_sound(const sentinel_decision *decision, const sentinel_bundle *bundle) {
    int failed = 0, waiting = 0;
    NEED(decision->result_count >= 1 && decision->result_count <= SENTINEL_RESULTS_MAX);
    for (uint32_t i = 0; i < decision->result_count; i++) {
        const sentinel_result *result = &decision->results[i];
        NEED(result->result >= SENTINEL_PASS && result->result <= SENTINEL_WAIT);
        NEED(result->result != SENTINEL_WAIT || result->kind == SENTINEL_RULE_APPROVAL);
        NEED(result->value >= 0 && result->bound >= 0);
        /* A drain for want of heartbeats lets through what lowers risk; what has no value waits. */
        int told =
            result->kind == SENTINEL_RULE_HEARTBEAT || result->kind == SENTINEL_RULE_APPROVAL;
        NEED(result->flags == 0 ||
             (result->value == INT64_MAX && (result->result == SENTINEL_FAIL || told)));
        NEED(result->rule == SENTINEL_RULE_IMPLICIT || result->rule < bundle->constraint_count);
        NEED(result->kind < SENTINEL_RULE_VALUE_CAP || result->result != SENTINEL_PASS || told ||
             result->value <= result->bound);
        NEED(decision->retry_at_ns[i] == 0 || result->result == SENTINEL_FAIL);
        failed += result->result == SENTINEL_FAIL;
        waiting += result->result == SENTINEL_WAIT;
    }
    int allowed = failed == 0 && waiting == 0;
    NEED((decision->verdict == SENTINEL_ALLOWED) == allowed);
    NEED((decision->verdict == SENTINEL_PENDING) == (failed == 0 && waiting != 0));
    NEED((decision->quorum != 0) == (decision->verdict == SENTINEL_PENDING));
    NEED((decision->reason == SENTINEL_REASON_NONE) == allowed);
    NEED((decision->reasons[0] == 0 && decision->reasons[1] == 0) == allowed);
}

/* Judges and charges the orders that the input still holds. Time moves on by
 * steps of every size. */
static void judge_all(fuzz_input *input, const sentinel_view *view, int64_t now_ns) {
    static sentinel_order order;
    static sentinel_decision decision, again;
    sentinel_subject subject;
    while (take_subject(input, &view->bundle, &order, &subject)) {
        static const uint8_t sizes[4] = {0, 1, 4, 7};
        uint64_t step = take(input, sizes[take(input, 1) & 3]);
        now_ns = step > (uint64_t)(INT64_MAX - now_ns) ? INT64_MAX : now_ns + (int64_t)step;
        sentinel_policy_evaluate(&decision, view, &subject, now_ns);
        need_sound(&decision, &view->bundle);
        sentinel_policy_evaluate(&again, view, &subject, now_ns);
        NEED(memcmp(&decision, &again, offsetof(sentinel_decision, results)) == 0);
        NEED(memcmp(decision.results, again.results,
                    decision.result_count * sizeof *decision.results) == 0);
        sentinel_policy_debit(view, &subject, &decision, now_ns);
    }
}

static void feed_all(const sentinel_view *view, fuzz_input *input, int64_t now_ns) {
    for (uint32_t i = 0; i < view->bundle.instrument_count + view->bundle.asset_count; i++) {
        int of_asset = i >= view->bundle.instrument_count;
        struct {
            sentinel_feed feed;
            sentinel_mark mark;
        } payload = {
            .feed = {.kind = SENTINEL_FEED_MARK, .count = 1},
            .mark = {.kind = of_asset ? SENTINEL_MARK_ASSET : SENTINEL_MARK_INSTRUMENT,
                     .id = of_asset ? view->bundle.assets[i - view->bundle.instrument_count].id
                                    : view->bundle.instruments[i].id,
                     .price = take_decimal(input, 0),
                     .time_ns = now_ns},
        };
        sentinel_policy_feed(view, (const uint8_t *)&payload, sizeof payload);
    }
}

#endif
