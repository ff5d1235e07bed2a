/* Step 1, second half: who asks, under which id, about which rows, with
 * which key. All reasons of a stage are named; a refused stage is the last. */
#include "gate_approval.h"
#include "gate_internal.h"
#include "state_internal.h"
#include "venue.h"
#include "wide.h"

/* How far nonces may run ahead of the time. A venue takes a day's. */
#define NONCE_AHEAD_MS_MAX 3600000u

/* Session and policy must agree on the agent. */
static void resolve_agent(const gate_case *c, sentinel_decision *decision) {
    if (c->order.header.agent != c->session->agent) {
        sentinel_decision_refuse(decision, SENTINEL_REASON_AGENT_MISMATCH);
    }
    if (c->agent == NULL) {
        sentinel_decision_refuse(decision, SENTINEL_REASON_AGENT_UNKNOWN);
    }
}

/* A later action has its place in the book: signed, it would push out an order
 * that may still be open, or be unknown itself. */
static int is_displaced(const sentinel_view *view, const gate_case *c) {
    const sentinel_order_header *header = &c->order.header;
    return (header->action == SENTINEL_ACTION_PLACE || header->action == SENTINEL_ACTION_AMEND) &&
           sentinel_view_book(view, c->node, header->action_id)->action_id > header->action_id;
}

/* An agent's own actions are one step of a lineage. Out of line, for few orders
 * name a parent. */
__attribute__((noinline)) static void resolve_parent(const sentinel_view *view, gate_case *c,
                                                     sentinel_decision *decision) {
    const sentinel_order_header *header = &c->order.header;
    uint32_t node = sentinel_bundle_node(&view->bundle, header->parent_agent);
    const sentinel_agent_state *parent = sentinel_view_agent(view, node);
    if (parent == NULL) {
        sentinel_decision_refuse(decision, SENTINEL_REASON_PARENT_UNKNOWN);
        return;
    }
    policy_step step = {header->parent_agent, policy_slot_of(parent, header->parent_action_id)};
    if (node == c->node) {
        step = policy_step_up(view, parent, step.slot);
    }
    c->subject.parent = step.agent;
    c->subject.parent_slot = step.slot;
}

static void resolve_ids(const sentinel_context *context, gate_case *c,
                        sentinel_decision *decision) {
    const sentinel_view *view = gate_view(context);
    const sentinel_order_header *header = &c->order.header;
    const sentinel_agent_state *agent = c->agent;
    uint64_t id = header->action_id;
    if (view->state->pending_used != 0) {
        gate_approval_find(context, c, decision);
    }
    if (id == 0 || (id <= agent->id_highest && agent->id_highest - id >= SENTINEL_ID_WINDOW)) {
        if (!gate_approval_keeps_id(c) && c->duplicate_of == 0) {
            sentinel_decision_refuse(decision, SENTINEL_REASON_ID_TOO_OLD);
        }
    } else if (id <= agent->id_highest && (agent->id_seen >> (agent->id_highest - id) & 1) != 0) {
        c->duplicate_of = agent->id_record[id % SENTINEL_ID_WINDOW];
        sentinel_decision_refuse(decision, SENTINEL_REASON_DUPLICATE);
    }
    if (id <= agent->id_highest && c->duplicate_of == 0 && is_displaced(view, c)) {
        sentinel_decision_refuse(decision, SENTINEL_REASON_ID_TOO_OLD);
    }
    if ((header->present & SENTINEL_PRESENT_PARENT) != 0) {
        resolve_parent(view, c, decision);
    }
}

/* The earlier action that a target means, when it names one. */
static int resolve_target(const sentinel_view *view, gate_case *c, const sentinel_target *target,
                          sentinel_decision *decision) {
    if (target->by == SENTINEL_TARGET_ACTION) {
        const sentinel_book_entry *entry = sentinel_view_book(view, c->node, target->action_id);
        if (target->action_id == 0 || entry->action_id != target->action_id) {
            sentinel_decision_refuse(decision, SENTINEL_REASON_TARGET_UNKNOWN);
            return 0;
        }
        c->target = entry;
    }
    return 1;
}

static void resolve_instrument(const sentinel_context *context, gate_case *c, uint32_t id,
                               sentinel_decision *decision) {
    const sentinel_instrument *row = state_instrument(gate_view(context), id);
    if (row == NULL) {
        sentinel_decision_refuse(decision, SENTINEL_REASON_INSTRUMENT_UNKNOWN);
        return;
    }
    if (row->environment != context->config.genesis.environment) {
        sentinel_decision_refuse(decision, SENTINEL_REASON_ENVIRONMENT);
    }
    c->subject.instrument = row;
    c->subject.venue = row->venue;
}

/* An instrument by id, or a whole venue. */
static void resolve_scope(const sentinel_context *context, gate_case *c, uint32_t instrument,
                          uint16_t venue, sentinel_decision *decision) {
    if (instrument != 0) {
        resolve_instrument(context, c, instrument, decision);
    } else if (venue == SENTINEL_VENUE_NONE || venue >= SENTINEL_VENUE_COUNT) {
        sentinel_decision_refuse(decision, SENTINEL_REASON_VENUE_UNKNOWN);
    } else {
        c->subject.venue = venue;
    }
}

static wide_u128 scaled(const sentinel_decimal *decimal, unsigned to_scale) {
    wide_u128 value = (wide_u128)(uint64_t)decimal->mantissa;
    for (unsigned scale = decimal->scale; scale < to_scale; scale++) {
        value *= 10; /* below 2^63 x 10^18: within 128 bits */
    }
    return value;
}

static int is_multiple(const sentinel_decimal *value, const sentinel_decimal *step) {
    unsigned scale = value->scale > step->scale ? value->scale : step->scale;
    const wide_u128 a = scaled(value, scale), b = scaled(step, scale);
    /* Nearly always within 64 bits, where a remainder is one instruction. */
    return ((a | b) >> 64) == 0 ? (uint64_t)a % (uint64_t)b == 0 : a % b == 0;
}

/* Prices lie on ticks, quantities on lots. */
static void check_grid(const gate_case *c, sentinel_decision *decision) {
    const sentinel_subject *subject = &c->subject;
    const sentinel_instrument *row = subject->instrument;
    if (((subject->present & SENTINEL_PRESENT_PRICE) != 0 &&
         !is_multiple(&subject->price, &row->tick)) ||
        ((subject->present & SENTINEL_PRESENT_TRIGGER_PRICE) != 0 &&
         !is_multiple(&subject->trigger_price, &row->tick))) {
        sentinel_decision_refuse(decision, SENTINEL_REASON_TICK);
    }
    if ((subject->present & SENTINEL_PRESENT_QUANTITY) != 0 &&
        !is_multiple(&subject->quantity, &row->lot)) {
        sentinel_decision_refuse(decision, SENTINEL_REASON_LOT);
    }
}

static void resolve_place(const sentinel_context *context, gate_case *c,
                          sentinel_decision *decision) {
    const sentinel_order_place *place = &c->order.place;
    sentinel_subject *subject = &c->subject;
    subject->side = place->side;
    subject->type = place->type;
    subject->time_in_force = place->time_in_force;
    subject->quantity = place->quantity;
    subject->quote_quantity = place->quote_quantity;
    subject->price = place->price;
    subject->trigger_price = place->trigger_price;
    subject->reduce_only = place->reduce_only;
    resolve_instrument(context, c, place->instrument, decision);
    if (subject->instrument != NULL) {
        check_grid(c, decision);
    }
    if ((subject->present & SENTINEL_PRESENT_EXPIRE) != 0 &&
        place->expire_ms <= c->now_ns / 1000000) {
        sentinel_decision_refuse(decision, SENTINEL_REASON_EXPIRY);
    }
}

static void resolve_amend(const sentinel_context *context, gate_case *c,
                          sentinel_decision *decision) {
    const sentinel_order_amend *amend = &c->order.amend;
    sentinel_subject *subject = &c->subject;
    if (!resolve_target(gate_view(context), c, &amend->target, decision)) {
        return;
    }
    subject->side = c->target != NULL ? c->target->side : amend->side;
    subject->type = amend->type;
    subject->time_in_force = amend->time_in_force;
    subject->quantity = amend->quantity;
    subject->price = amend->price;
    subject->trigger_price = amend->trigger_price;
    subject->reduce_only = amend->reduce_only;
    /* Its quantity cannot be compared with an amount: what may fill would be unknown. */
    if (c->target != NULL && c->target->in_quote) {
        sentinel_decision_refuse(decision, SENTINEL_REASON_UNSUPPORTED);
    }
    resolve_instrument(context, c, c->target != NULL ? c->target->instrument : amend->instrument,
                       decision);
    if (subject->instrument != NULL) {
        check_grid(c, decision);
    }
}

static void resolve_query(const sentinel_context *context, gate_case *c,
                          sentinel_decision *decision) {
    const sentinel_order_query *query = &c->order.query;
    if (!resolve_target(gate_view(context), c, &query->target, decision)) {
        return;
    }
    resolve_scope(context, c, c->target != NULL ? c->target->instrument : query->instrument,
                  query->venue, decision);
}

static void resolve_asset(const sentinel_view *view, gate_case *c, uint32_t id,
                          sentinel_decision *decision) {
    c->subject.asset = sentinel_bundle_asset(&view->bundle, id);
    if (c->subject.asset == NULL) {
        sentinel_decision_refuse(decision, SENTINEL_REASON_ASSET_UNKNOWN);
    }
}

static void resolve_withdraw(const sentinel_view *view, gate_case *c, sentinel_decision *decision) {
    const sentinel_order_withdraw *withdraw = &c->order.withdraw;
    c->subject.amount = withdraw->amount;
    resolve_asset(view, c, withdraw->asset, decision);
    c->subject.network = sentinel_bundle_network(&view->bundle, withdraw->network);
    if (c->subject.network == NULL || c->subject.network->asset != withdraw->asset) {
        sentinel_decision_refuse(decision, SENTINEL_REASON_NETWORK_UNKNOWN);
    }
}

/* Every row that the order refers to. */
static void resolve_rows(const sentinel_context *context, gate_case *c,
                         sentinel_decision *decision) {
    const sentinel_view *view = gate_view(context);
    const sentinel_order *order = &c->order;
    switch (order->header.action) {
    case SENTINEL_ACTION_PLACE:
        resolve_place(context, c, decision);
        break;
    case SENTINEL_ACTION_AMEND:
        resolve_amend(context, c, decision);
        break;
    case SENTINEL_ACTION_CANCEL:
        if (resolve_target(view, c, &order->cancel.target, decision)) {
            resolve_instrument(context, c,
                               c->target != NULL ? c->target->instrument : order->cancel.instrument,
                               decision);
        }
        break;
    case SENTINEL_ACTION_CANCEL_ALL:
        resolve_scope(context, c, order->cancel_all.instrument, order->cancel_all.venue, decision);
        if (order->cancel_all.asset != 0) {
            resolve_asset(view, c, order->cancel_all.asset, decision);
        }
        break;
    case SENTINEL_ACTION_CANCEL_ALL_AFTER:
        resolve_scope(context, c, order->cancel_all_after.instrument, order->cancel_all_after.venue,
                      decision);
        break;
    case SENTINEL_ACTION_QUERY:
        resolve_query(context, c, decision);
        break;
    case SENTINEL_ACTION_WITHDRAW:
        resolve_withdraw(view, c, decision);
        break;
    case SENTINEL_ACTION_TRANSFER:
        c->subject.amount = order->transfer.amount;
        resolve_asset(view, c, order->transfer.asset, decision);
        break;
    case SENTINEL_ACTION_MESSAGE:
        break;
    default:
        sentinel_decision_refuse(decision, SENTINEL_REASON_ORDER_ACTION);
        break;
    }
}

static int is_in_chain(const sentinel_bundle *bundle, uint32_t node, uint32_t agent) {
    for (uint32_t i = 0; i < SENTINEL_DEPTH_MAX && agent != SENTINEL_NODE_NONE; i++) {
        if (agent == node) {
            return 1;
        }
        agent = bundle->nodes[agent].parent;
    }
    return 0;
}

static int moves_funds(const gate_case *c) {
    return c->subject.action == SENTINEL_ACTION_WITHDRAW ||
           c->subject.action == SENTINEL_ACTION_TRANSFER;
}

/* The product that the order touches, as a bit of sentinel_key.products; of a
 * whole venue: any that is traded. What Binance signs for it is little more
 * than the time, so that it must not be signed with a key that moves funds. */
static uint32_t product_of(const gate_case *c) {
    const sentinel_order *order = &c->order;
    uint8_t contract = c->subject.instrument != NULL ? c->subject.instrument->contract
                       : c->subject.action == SENTINEL_ACTION_CANCEL_ALL
                           ? order->cancel_all.contract
                       : c->subject.action == SENTINEL_ACTION_QUERY ? order->query.contract
                                                                    : 0;
    return moves_funds(c)  ? SENTINEL_PRODUCT_WALLET
           : contract != 0 ? 1u << contract
                           : SENTINEL_PRODUCTS_ALL & ~SENTINEL_PRODUCT_WALLET;
}

/* A key that this agent may use for this: purpose, venue, product and node
 * fit. Where a venue has master keys, they alone move funds, and only that. */
static int key_fits(const sentinel_bundle *bundle, const gate_case *c, const sentinel_key *key) {
    if (c->subject.action == SENTINEL_ACTION_MESSAGE) {
        return key->purpose == SENTINEL_PURPOSE_MESSAGE && is_in_chain(bundle, key->node, c->node);
    }
    int has_masters = key->venue == SENTINEL_VENUE_HYPERLIQUID;
    uint8_t purpose =
        has_masters && moves_funds(c) ? SENTINEL_PURPOSE_VENUE_MASTER : SENTINEL_PURPOSE_VENUE;
    uint16_t venue = moves_funds(c) ? c->subject.asset->venue : c->subject.venue;
    int any_venue = moves_funds(c) && venue == SENTINEL_VENUE_NONE;
    return key->purpose == purpose && (any_venue || key->venue == venue) &&
           (key->products & product_of(c)) != 0 && is_in_chain(bundle, key->node, c->node);
}

/* Every key that ever signed is counted; the table of counters has a limit. */
static int key_has_counter(const sentinel_state *state, uint32_t key) {
    for (uint32_t i = 0; i < SENTINEL_KEYS_MAX; i++) {
        if (state->key_counters[i].key == key || state->key_counters[i].key == 0) {
            return 1;
        }
    }
    return 0;
}

/* Some venues want a passphrase beside the key. It may come and go while the
 * log stays, so that a replay must not depend on it (as on the key itself). */
static int key_is_complete(const sentinel_context *context, const sentinel_key *row) {
    uint8_t size = 0;
    return !venue_row(row->venue)->passphrased ||
           sentinel_keyring_passphrase(context->keyring, row->id, &size) != NULL;
}

/* The key in the ring must be the very key that the policy means. */
static int key_is_ready(const sentinel_context *context, gate_case *c) {
    if (!key_has_counter(gate_state(context), c->key_row->id)) {
        return 0;
    }
    if (context->expected != NULL) {
        const uint64_t *reasons = context->expected->header->reasons;
        if ((reasons[0] >> SENTINEL_REASON_KEY_UNAVAILABLE & 1) != 0) {
            return 0;
        }
    }
    const sentinel_key_info *info =
        context->keyring != NULL ? sentinel_keyring_find(context->keyring, c->key_row->id) : NULL;
    int is_lab = context->config.genesis.environment == SENTINEL_ENVIRONMENT_LAB;
    if (info != NULL && info->lab == is_lab &&
        bytes_equal(info->fingerprint32, c->key_row->fingerprint32, 32) &&
        key_is_complete(context, c->key_row)) {
        c->key = info;
        return 1;
    }
    return context->expected != NULL; /* a replay may lack keys */
}

static int resolve_key(const sentinel_context *context, gate_case *c, sentinel_decision *decision) {
    const sentinel_bundle *bundle = &gate_view(context)->bundle;
    uint32_t named = c->order.header.key;
    uint32_t found = 0;
    for (uint32_t i = 0; i < bundle->key_count; i++) {
        const sentinel_key *key = &bundle->keys[i];
        if ((named == 0 || key->id == named) && key_fits(bundle, c, key)) {
            c->key_row = key;
            found++;
        }
    }
    if (found != 1) {
        c->key_row = NULL;
        sentinel_decision_refuse(decision, named != 0   ? SENTINEL_REASON_KEY_NOT_GRANTED
                                           : found == 0 ? SENTINEL_REASON_KEY_NONE
                                                        : SENTINEL_REASON_KEY_AMBIGUOUS);
        return 0;
    }
    if (!key_is_ready(context, c)) {
        sentinel_decision_refuse(decision, SENTINEL_REASON_KEY_UNAVAILABLE);
        return 0;
    }
    c->subject.venue = c->key_row->venue;
    return 1;
}

/* The asset that an instrument settles in; of spot, what is paid with. */
static const sentinel_asset *settle_of(const sentinel_bundle *bundle,
                                       const sentinel_instrument *instrument) {
    return instrument == NULL
               ? NULL
               : sentinel_bundle_asset(bundle, instrument->settle != 0 ? instrument->settle
                                                                       : instrument->quote);
}

/* Nonces are the time, and one more than the last where that would not grow;
 * one count for all keys, so that two names of one secret never meet. */
static void choose_nonce(const sentinel_context *context, gate_case *c,
                         sentinel_decision *decision) {
    const sentinel_order_header *header = &c->order.header;
    sentinel_render *render = &c->render;
    uint64_t now_ms = (uint64_t)render->timestamp_ms;
    uint64_t least = gate_state(context)->released.nonce_next;
    int given = (header->present & SENTINEL_PRESENT_LAB_NONCE) != 0;
    c->is_nonced = venue_row(c->key_row->venue)->nonced;
    render->nonce = given ? header->lab_nonce : now_ms > least ? now_ms : least;
    uint64_t most = given ? UINT64_MAX - 1 : now_ms + NONCE_AHEAD_MS_MAX;
    if (c->is_nonced && (render->nonce < least || render->nonce > most)) {
        sentinel_decision_refuse(decision, SENTINEL_REASON_NONCE);
    }
}

/* What rendering needs beyond the rows: time, expiry, names of orders. */
static void prepare_render(const sentinel_context *context, gate_case *c) {
    const sentinel_order_header *header = &c->order.header;
    const sentinel_state *state = gate_state(context);
    sentinel_render *render = &c->render;
    render->order = &c->order;
    render->instrument = c->subject.instrument;
    render->asset = c->subject.asset;
    render->network = c->subject.network;
    render->settle = settle_of(&gate_view(context)->bundle, c->subject.instrument);
    render->key = c->key;
    if (context->keyring != NULL) {
        render->passphrase =
            sentinel_keyring_passphrase(context->keyring, c->key_row->id, &render->passphrase_size);
    }
    render->side = c->subject.side;
    render->environment = context->config.genesis.environment;
    render->timestamp_ms = c->now_ns / 1000000;
    render->has_expiry = c->key_row->expiry_ms != 0;
    render->expiry = c->key_row->expiry_ms;
    if (render->has_expiry && venue_row(c->key_row->venue)->expiry_is_time) {
        render->expiry += (uint64_t)render->timestamp_ms;
    }
    render->client_id_size = SENTINEL_CLIENT_ID_BYTES;
    sentinel_client_id(render->client_id, context->engine_id32, state->epoch, state->record_count);
    if (c->target != NULL) {
        render->target_type = c->target->type;
        render->target_time_in_force = c->target->time_in_force;
        render->target_reduce_only = c->target->reduce_only;
        render->target_client_id_size = SENTINEL_CLIENT_ID_BYTES;
        sentinel_client_id(render->target_client_id, context->engine_id32, c->target->client_epoch,
                           c->target->client_record);
    }
    /* From here: `lab` only, as sentinel_order_check has made sure. */
    if ((header->present & SENTINEL_PRESENT_LAB_WAIVE) != 0) {
        render->has_expiry = 0;
        render->expiry = 0;
        render->client_id_size = 0;
    }
    if ((header->present & SENTINEL_PRESENT_LAB_CLIENT_ID) != 0) {
        render->client_id_size = header->tag_size;
        memcpy(render->client_id, header->tag, sizeof header->tag);
    }
    if ((header->present & SENTINEL_PRESENT_LAB_EXPIRY) != 0) {
        render->has_expiry = 1;
        render->expiry = header->lab_expiry;
    }
    if ((header->present & SENTINEL_PRESENT_LAB_TESTNET) != 0) {
        render->environment = SENTINEL_ENVIRONMENT_TEST;
    }
    const sentinel_target *target =
        header->action == SENTINEL_ACTION_AMEND    ? &c->order.amend.target
        : header->action == SENTINEL_ACTION_CANCEL ? &c->order.cancel.target
        : header->action == SENTINEL_ACTION_QUERY  ? &c->order.query.target
                                                   : NULL;
    if (target != NULL && target->by == SENTINEL_TARGET_CLIENT_ID) {
        render->target_client_id_size = target->id_size;
        memcpy(render->target_client_id, target->id, sizeof target->id);
    }
}

void gate_resolve(const sentinel_context *context, gate_case *c, sentinel_decision *decision) {
    resolve_agent(c, decision);
    if (gate_is_refused(decision)) {
        return;
    }
    resolve_ids(context, c, decision);
    if (gate_is_refused(decision)) {
        return;
    }
    c->subject.order = &c->order;
    c->subject.node = c->node;
    c->subject.action = c->order.header.action;
    c->subject.present = c->order.header.present;
    resolve_rows(context, c, decision);
    if (gate_is_refused(decision)) {
        return;
    }
    if (resolve_key(context, c, decision)) {
        prepare_render(context, c);
        choose_nonce(context, c, decision);
        c->usable_until_ms = sentinel_venue_usable_until_ms(&c->render, c->key_row->venue);
    }
}
