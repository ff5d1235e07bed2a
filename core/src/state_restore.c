/* A state from a snapshot: bytes from outside, until every field is checked.
 * The digest in the record says who wrote them; this says that nothing in
 * them can lead the core astray. */
#include "state_internal.h"

#define IS_ZERO(field) bytes_are_zero(&(field), sizeof(field))

static sentinel_status need(int holds, sentinel_status status) {
    return holds ? SENTINEL_OK : status;
}

/* The tables lie where this bundle puts them. */
static sentinel_status header_check(const sentinel_state *state, const sentinel_bundle *bundle,
                                    const state_plan *plan, uint64_t size) {
    SENTINEL_TRY(need(memcmp(state->magic, "SENTSTAT", 8) == 0, SENTINEL_FORMAT_MAGIC));
    SENTINEL_TRY(need(state->version == SENTINEL_STATE_VERSION, SENTINEL_FORMAT_VERSION));
    SENTINEL_TRY(need(state->size_bytes == size, SENTINEL_FORMAT_SIZE));
    SENTINEL_TRY(
        need(bytes_equal(state->policy_hash32, bundle->hash32, 32), SENTINEL_AUDIT_SNAPSHOT));
    SENTINEL_TRY(need(state->nodes == plan->nodes && state->instruments == plan->instruments &&
                          state->positions == plan->positions && state->agents == plan->agents &&
                          state->instrument_marks == plan->instrument_marks &&
                          state->asset_marks == plan->asset_marks && state->book == plan->book &&
                          state->windows == plan->windows &&
                          state->node_count == bundle->node_count &&
                          state->agent_count == plan->agent_count &&
                          state->instrument_count == bundle->instrument_count &&
                          state->asset_count == bundle->asset_count &&
                          state->book_entries == bundle->policy->book_entries &&
                          state->last_now_ns >= 0 && state->lease_until_ns >= 0 &&
                          state->relied_ns >= 0 && state->relied_ns <= state->last_now_ns,
                      SENTINEL_FORMAT_RANGE));
    for (uint32_t i = 0; i < SENTINEL_VENUES_MAX; i++) {
        int is_known = i > SENTINEL_VENUE_NONE && i < SENTINEL_VENUE_COUNT;
        int64_t until = state->released.usable_until_ms[i];
        SENTINEL_TRY(need(is_known ? until >= 0 : until == 0, SENTINEL_FORMAT_RANGE));
    }
    return SENTINEL_OK;
}

/* Keys fill the table from its beginning, each once. */
static sentinel_status counters_check(const sentinel_state *state) {
    const sentinel_key_counter *counters = state->key_counters;
    for (uint32_t i = 0; i < SENTINEL_KEYS_MAX; i++) {
        SENTINEL_TRY(need(IS_ZERO(counters[i].reserved), SENTINEL_FORMAT_RESERVED));
        SENTINEL_TRY(need(counters[i].key != 0 || counters[i].uses == 0, SENTINEL_FORMAT_RANGE));
        if (counters[i].key == 0 || i == 0) {
            continue;
        }
        SENTINEL_TRY(need(counters[i - 1].key != 0, SENTINEL_FORMAT_ORDER));
        for (uint32_t j = 0; j < i; j++) {
            SENTINEL_TRY(need(counters[j].key != counters[i].key, SENTINEL_FORMAT_ORDER));
        }
    }
    return SENTINEL_OK;
}

/* What follows from nothing follows from no action. */
static int parents_are_in_range(const sentinel_agent_state *agent) {
    int holds = 1;
    for (uint32_t i = 0; i < SENTINEL_ID_WINDOW; i++) {
        holds &= agent->id_parent_slot[i] <= SENTINEL_ID_WINDOW &&
                 (agent->id_parent[i] != 0 || agent->id_parent_slot[i] == 0);
    }
    return holds;
}

static sentinel_status agent_check(const sentinel_agent_state *agent, uint32_t id) {
    /* Bit n stands for id_highest - n, and there is no action 0. */
    int seen = agent->id_highest == 0
                   ? agent->id_seen == 0 && IS_ZERO(agent->id_record) &&
                         IS_ZERO(agent->id_parent) && IS_ZERO(agent->id_parent_slot)
                   : (agent->id_seen & 1) != 0 && parents_are_in_range(agent) &&
                         (agent->id_highest >= SENTINEL_ID_WINDOW ||
                          agent->id_seen >> agent->id_highest == 0);
    int counted = agent->suppressed == 0
                      ? agent->suppressed_first_ns == 0 && agent->suppressed_last_ns == 0 &&
                            IS_ZERO(agent->suppressed_reasons)
                      : agent->suppressed_first_ns >= 0 &&
                            agent->suppressed_last_ns >= agent->suppressed_first_ns;
    int beats = agent->beat_sequence != 0 && agent->beat_ns > 0
                    ? agent->running_since_ns >= 0 && agent->running_since_ns <= agent->beat_ns
                    : agent->beat_ns == 0 && agent->iterations == 0 && agent->running_since_ns == 0;
    return need(agent->node == id && seen && counted && beats && agent->attempts_since_ns >= 0,
                SENTINEL_FORMAT_RANGE);
}

static sentinel_status stop_check(const sentinel_stop_state *stop, uint32_t id) {
    SENTINEL_TRY(need(stop->id == id && stop->mode < SENTINEL_MODE_COUNT && stop->severity <= 3 &&
                          stop->cause < SENTINEL_CAUSE_COUNT && stop->since_ns >= 0 &&
                          stop->until_ns >= 0 &&
                          (stop->until_ns == 0 || stop->mode == SENTINEL_DRAINING),
                      SENTINEL_FORMAT_RANGE));
    int is_clear = stop->severity == 0 && stop->cause == 0 && stop->record == 0 &&
                   stop->since_ns == 0 && IS_ZERO(stop->reason_digest32);
    return need(IS_ZERO(stop->reserved) &&
                    (stop->mode != SENTINEL_RUNNING ? stop->cause != 0 : is_clear),
                SENTINEL_FORMAT_RESERVED);
}

static sentinel_status venues_check(const sentinel_state *state) {
    for (uint32_t i = 0; i < SENTINEL_VENUES_MAX; i++) {
        int is_known = i > SENTINEL_VENUE_NONE && i < SENTINEL_VENUE_COUNT;
        SENTINEL_TRY(is_known ? stop_check(&state->venues[i], i)
                              : need(IS_ZERO(state->venues[i]), SENTINEL_FORMAT_RESERVED));
    }
    return SENTINEL_OK;
}

/* What a witness confirmed lies behind the state, but for an accepted gap. */
static sentinel_status grant_check(const sentinel_state *state) {
    const sentinel_grant_state *grant = &state->grant;
    int confirmed = grant->epoch == 0 ? grant->record_end == 0 && grant->spend_end == 0
                                      : grant->epoch <= state->epoch && grant->count != 0;
    int counted = grant->count != 0 || IS_ZERO(grant->hash32);
    int gap = grant->gap_to == 0 ? grant->gap_from == 0 && IS_ZERO(grant->gap_hash32)
                                 : grant->gap_from <= grant->gap_to;
    return need(confirmed && counted && gap && grant->spend_end >= 0 && grant->spent >= 0 &&
                    grant->epoch_floor < UINT64_MAX && grant->start_record <= state->record_count,
                SENTINEL_FORMAT_RANGE);
}

/* Feeders fill the table from its beginning, each once. */
static sentinel_status feeders_check(const sentinel_state *state) {
    const sentinel_feeder_state *feeders = state->feeders;
    for (uint32_t i = 0; i < SENTINEL_FEEDERS_MAX; i++) {
        SENTINEL_TRY(need(IS_ZERO(feeders[i].reserved), SENTINEL_FORMAT_RESERVED));
        SENTINEL_TRY(need((feeders[i].key == 0) == (feeders[i].sequence == 0) &&
                              (feeders[i].key != 0 || IS_ZERO(feeders[i].frame_hash32)) &&
                              (i == 0 || feeders[i].key == 0 || feeders[i - 1].key != 0),
                          SENTINEL_FORMAT_RANGE));
        for (uint32_t j = 0; j < i; j++) {
            SENTINEL_TRY(need(feeders[i].key == 0 || feeders[j].key != feeders[i].key,
                              SENTINEL_FORMAT_ORDER));
        }
    }
    return SENTINEL_OK;
}

/* An approver counts once, and an order waits once. */
static sentinel_status pending_once(const sentinel_state *state, uint32_t index) {
    const sentinel_pending *row = &state->pending[index];
    for (uint32_t k = 0; k < row->approver_count; k++) {
        for (uint32_t j = 0; j < k; j++) {
            SENTINEL_TRY(need(row->approvers[j] != row->approvers[k], SENTINEL_FORMAT_ORDER));
        }
    }
    for (uint32_t i = 0; i < index; i++) {
        const sentinel_pending *other = &state->pending[i];
        SENTINEL_TRY(need(other->agent != row->agent || other->action_id != row->action_id,
                          SENTINEL_FORMAT_ORDER));
    }
    return SENTINEL_OK;
}

static sentinel_status pending_check(const sentinel_state *state) {
    for (uint32_t i = 0; i < SENTINEL_PENDING_MAX; i++) {
        const sentinel_pending *row = &state->pending[i];
        SENTINEL_TRY(
            need((state->pending_used >> i & 1) == (row->status != 0), SENTINEL_FORMAT_RANGE));
        if (row->status == 0) {
            SENTINEL_TRY(need(IS_ZERO(*row), SENTINEL_FORMAT_RESERVED));
            continue;
        }
        SENTINEL_TRY(need(row->status <= SENTINEL_PENDING_REJECTED && row->quorum != 0 &&
                              row->quorum <= SENTINEL_APPROVERS_MAX &&
                              row->approver_count <= SENTINEL_APPROVERS_MAX &&
                              row->expires_ns > 0 && row->agent != 0 && row->action_id != 0 &&
                              row->record < state->record_count,
                          SENTINEL_FORMAT_RANGE));
        SENTINEL_TRY(need(IS_ZERO(row->reserved0), SENTINEL_FORMAT_RESERVED));
        for (uint32_t k = 0; k < SENTINEL_APPROVERS_MAX; k++) {
            SENTINEL_TRY(
                need((row->approvers[k] != 0) == (k < row->approver_count), SENTINEL_FORMAT_RANGE));
        }
        SENTINEL_TRY(pending_once(state, i));
    }
    return SENTINEL_OK;
}

/* They fill the table from its beginning, then the oldest makes room. */
static sentinel_status destinations_check(const sentinel_state *state) {
    const sentinel_destination_state *rows = state->destinations;
    uint32_t count = 0;
    for (uint32_t i = 0; i < SENTINEL_DESTINATIONS_KEPT; i++) {
        SENTINEL_TRY(need(IS_ZERO(rows[i].reserved), SENTINEL_FORMAT_RESERVED));
        SENTINEL_TRY(need(rows[i].venue != 0 || IS_ZERO(rows[i]), SENTINEL_FORMAT_RESERVED));
        SENTINEL_TRY(need(rows[i].venue < SENTINEL_VENUE_COUNT &&
                              (rows[i].venue == 0 || i == 0 || rows[i - 1].venue != 0),
                          SENTINEL_FORMAT_RANGE));
        count += rows[i].venue != 0;
    }
    SENTINEL_TRY(
        need(IS_ZERO(state->reserved1) && IS_ZERO(state->reserved2), SENTINEL_FORMAT_RESERVED));
    return need(state->destination_next < SENTINEL_DESTINATIONS_KEPT &&
                    (count == SENTINEL_DESTINATIONS_KEPT || state->destination_next == count),
                SENTINEL_FORMAT_RANGE);
}

static sentinel_status mark_check(const sentinel_mark_state *mark, uint32_t id, uint8_t kind) {
    SENTINEL_TRY(need(IS_ZERO(mark->reserved), SENTINEL_FORMAT_RESERVED));
    if (mark->kind == 0) {
        return need(mark->id == id && mark->scale == 0 && mark->mantissa == 0 && mark->time_ns == 0,
                    SENTINEL_FORMAT_RANGE);
    }
    return need(mark->id == id && mark->kind == kind && mark->mantissa > 0 &&
                    mark->scale <= SENTINEL_SCALE_MAX &&
                    (mark->scale == 0 || mark->mantissa % 10 != 0),
                SENTINEL_FORMAT_RANGE);
}

static sentinel_status book_check(const sentinel_view *view, uint32_t node) {
    const sentinel_book_entry *book = sentinel_view_book(view, node, 0);
    for (uint32_t i = 0; i < view->bundle.policy->book_entries; i++) {
        const sentinel_book_entry *entry = &book[i];
        if (entry->action_id == 0) {
            SENTINEL_TRY(need(IS_ZERO(*entry), SENTINEL_FORMAT_RESERVED));
            continue;
        }
        SENTINEL_TRY(need(
            sentinel_view_book(view, node, entry->action_id) == entry && entry->instrument != 0 &&
                entry->side != 0 && entry->side < SENTINEL_SIDE_COUNT && entry->type != 0 &&
                entry->type < SENTINEL_TYPE_COUNT && entry->time_in_force < SENTINEL_TIF_COUNT &&
                entry->reduce_only <= 1 && entry->in_quote <= 1 &&
                entry->status < SENTINEL_ORDER_STATUS_COUNT && entry->reported_ns >= 0 &&
                entry->quantity.mantissa >= 0 && entry->quantity.scale <= SENTINEL_SCALE_MAX &&
                entry->filled.mantissa >= 0 && entry->filled.scale <= SENTINEL_SCALE_MAX,
            SENTINEL_FORMAT_RANGE));
        SENTINEL_TRY(need(IS_ZERO(entry->reserved) && IS_ZERO(entry->quantity.reserved) &&
                              IS_ZERO(entry->filled.reserved),
                          SENTINEL_FORMAT_RESERVED));
    }
    return SENTINEL_OK;
}

static sentinel_status nodes_check(const sentinel_view *view) {
    const sentinel_bundle *bundle = &view->bundle;
    for (uint32_t i = 0; i < bundle->node_count; i++) {
        SENTINEL_TRY(stop_check(sentinel_view_node(view, i), bundle->nodes[i].id));
        const sentinel_agent_state *agent = sentinel_view_agent(view, i);
        if (agent != NULL) {
            SENTINEL_TRY(agent_check(agent, bundle->nodes[i].id));
            SENTINEL_TRY(need(agent->beat_deadline_ns == policy_beat_deadline(view, i),
                              SENTINEL_FORMAT_RANGE));
            SENTINEL_TRY(book_check(view, i));
        }
    }
    return SENTINEL_OK;
}

static sentinel_status position_check(const sentinel_position_state *position, uint32_t id) {
    SENTINEL_TRY(need(position->id == id && position->scale <= SENTINEL_SCALE_MAX &&
                          position->stated_ns >= 0 && position->time_ns >= position->stated_ns &&
                          position->mantissa != INT64_MIN,
                      SENTINEL_FORMAT_RANGE));
    return need(IS_ZERO(position->reserved), SENTINEL_FORMAT_RESERVED);
}

static sentinel_status marks_check(const sentinel_view *view) {
    const sentinel_bundle *bundle = &view->bundle;
    const sentinel_mark_state *marks = state_at(view, view->state->instrument_marks);
    for (uint32_t i = 0; i < bundle->instrument_count; i++) {
        const sentinel_instrument *row = &bundle->instruments[i];
        SENTINEL_TRY(mark_check(&marks[i], row->id, SENTINEL_MARK_INSTRUMENT));
        SENTINEL_TRY(stop_check(sentinel_view_instrument(view, row), row->id));
        SENTINEL_TRY(position_check(sentinel_view_position(view, row), row->id));
    }
    marks = state_at(view, view->state->asset_marks);
    for (uint32_t i = 0; i < bundle->asset_count; i++) {
        SENTINEL_TRY(mark_check(&marks[i], bundle->assets[i].id, SENTINEL_MARK_ASSET));
    }
    return SENTINEL_OK;
}

static sentinel_status windows_check(const sentinel_view *view) {
    for (uint32_t i = 0; i < view->bundle.constraint_count; i++) {
        const sentinel_constraint *constraint = &view->bundle.constraints[i];
        const policy_window *window = policy_rule_of(constraint->kind)->window;
        if (window == NULL) {
            continue;
        }
        const uint8_t *at = state_at(view, view->window_offsets[i]);
        uint64_t step = window->bytes(constraint);
        for (uint64_t k = state_window_count(view, i, window); k > 0; k--, at += step) {
            SENTINEL_TRY(window->check(at, constraint));
        }
    }
    return SENTINEL_OK;
}

sentinel_status sentinel_state_restore(sentinel_view *view, const sentinel_bundle *bundle,
                                       void *layout, uint64_t layout_size, void *state,
                                       uint64_t state_size) {
    if (view == NULL || bundle == NULL) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    state_plan plan = state_plan_of(bundle);
    SENTINEL_TRY(state_lay_out(view, &plan, bundle, layout, layout_size, state));
    SENTINEL_TRY(need(state_size == plan.size, SENTINEL_FORMAT_SIZE));
    SENTINEL_TRY(header_check(view->state, bundle, &plan, state_size));
    SENTINEL_TRY(counters_check(view->state));
    SENTINEL_TRY(venues_check(view->state));
    SENTINEL_TRY(grant_check(view->state));
    SENTINEL_TRY(feeders_check(view->state));
    SENTINEL_TRY(pending_check(view->state));
    SENTINEL_TRY(destinations_check(view->state));
    SENTINEL_TRY(agent_check(&view->state->strangers, 0));
    SENTINEL_TRY(need(view->state->strangers.beat_deadline_ns == 0, SENTINEL_FORMAT_RANGE));
    SENTINEL_TRY(nodes_check(view));
    SENTINEL_TRY(marks_check(view));
    SENTINEL_TRY(need(view->state->stopped == state_stopped(view), SENTINEL_FORMAT_RANGE));
    return windows_check(view);
}
