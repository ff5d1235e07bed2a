/* Execution reports and positions: what venues say of what was signed
 * (docs/2-policy.md, "Reports"). A report that cannot be true stops its agent,
 * a frame that is missing stops the firm: the engine does not know any more
 * what it has done. */
#include "gate_internal.h"

/* What a frame's rows would leave behind, until all of them are judged. */
typedef struct report_work {
    uint32_t entry_count;
    uint32_t position_count;
    sentinel_book_entry *entry_places[SENTINEL_FEED_REPORTS_MAX];
    sentinel_position_state *position_places[SENTINEL_FEED_REPORTS_MAX];
    sentinel_book_entry entries[SENTINEL_FEED_REPORTS_MAX];
    sentinel_position_state positions[SENTINEL_FEED_REPORTS_MAX];
} report_work;

static sentinel_status report_check(const sentinel_report *report, int64_t issued_ns) {
    if (!bytes_are_zero(report->reserved0, sizeof report->reserved0) ||
        !bytes_are_zero(report->reserved1, sizeof report->reserved1) ||
        !bytes_are_zero(report->filled.reserved, sizeof report->filled.reserved) ||
        !bytes_are_zero(report->price.reserved, sizeof report->price.reserved)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    int has_filled = report->filled.mantissa != 0;
    int fits = 1;
    switch (report->status) {
    case SENTINEL_ORDER_ACKNOWLEDGED:
    case SENTINEL_ORDER_REJECTED:
        fits = !has_filled;
        break;
    case SENTINEL_ORDER_PARTLY_FILLED:
    case SENTINEL_ORDER_FILLED:
        fits = has_filled;
        break;
    case SENTINEL_ORDER_CANCELLED:
    case SENTINEL_ORDER_EXPIRED:
        break;
    default:
        fits = 0;
        break;
    }
    if (!fits || report->agent == 0 || report->action_id == 0 || report->filled.mantissa < 0 ||
        report->filled.scale > SENTINEL_SCALE_MAX || report->price.mantissa < 0 ||
        report->price.scale > SENTINEL_SCALE_MAX || report->time_ns <= 0 ||
        report->time_ns > issued_ns) {
        return SENTINEL_FORMAT_RANGE;
    }
    return SENTINEL_OK;
}

static sentinel_book_entry *entry_of(report_work *work, sentinel_book_entry *place) {
    for (uint32_t i = 0; i < work->entry_count; i++) {
        if (work->entry_places[i] == place) {
            return &work->entries[i];
        }
    }
    work->entry_places[work->entry_count] = place;
    work->entries[work->entry_count] = *place;
    return &work->entries[work->entry_count++];
}

static sentinel_position_state *position_of(report_work *work, sentinel_position_state *place) {
    for (uint32_t i = 0; i < work->position_count; i++) {
        if (work->position_places[i] == place) {
            return &work->positions[i];
        }
    }
    work->position_places[work->position_count] = place;
    work->positions[work->position_count] = *place;
    return &work->positions[work->position_count++];
}

/* One row. What the policy no longer has is refused; what cannot be true is a
 * fault, of this agent. */
static sentinel_status judge(const sentinel_view *view, report_work *work,
                             const sentinel_report *report, int64_t now_ns, unsigned *fault) {
    uint32_t node = sentinel_bundle_node(&view->bundle, report->agent);
    if (sentinel_view_agent(view, node) == NULL) {
        return SENTINEL_POLICY_SCOPE;
    }
    sentinel_book_entry *place = gate_book_head(view, node, report->action_id);
    if (place == NULL) {
        *fault = SENTINEL_REPORT_UNSIGNED;
        return SENTINEL_OK;
    }
    const sentinel_instrument *instrument =
        sentinel_bundle_instrument(&view->bundle, place->instrument);
    if (instrument == NULL) {
        return SENTINEL_POLICY_SCOPE;
    }
    if (place->in_quote && report->filled.mantissa != 0 && report->price.mantissa == 0) {
        return SENTINEL_FORMAT_RANGE;
    }
    *fault = gate_book_report(entry_of(work, place),
                              position_of(work, sentinel_view_position(view, instrument)),
                              instrument, report, now_ns);
    return SENTINEL_OK;
}

/* The first key that proved the frame: sequences are its own. */
static uint32_t feeder_of(const sentinel_frame *frame) {
    sentinel_proof proof;
    memcpy(&proof, frame->proofs, sizeof proof);
    return proof.key;
}

static int is_in_authority(const sentinel_context *context, uint32_t key) {
    const sentinel_authority *authority = (const sentinel_authority *)context->authority;
    const sentinel_authority_key *rows = (const sentinel_authority_key *)(authority + 1);
    for (uint32_t i = 0; i < authority->key_count; i++) {
        if (rows[i].id == key) {
            return 1;
        }
    }
    return 0;
}

/* The feeder's row, or one for it: a free one, else of a key that is gone.
 * Null: as many feeders as there may be. */
static sentinel_feeder_state *feeder_row(const sentinel_context *context, uint32_t key) {
    sentinel_feeder_state *feeders = gate_state(context)->feeders;
    for (uint32_t i = 0; i < SENTINEL_FEEDERS_MAX; i++) {
        if (feeders[i].key == key || feeders[i].key == 0) {
            return &feeders[i];
        }
    }
    for (uint32_t i = 0; i < SENTINEL_FEEDERS_MAX; i++) {
        if (!is_in_authority(context, feeders[i].key)) {
            return &feeders[i];
        }
    }
    return NULL;
}

static sentinel_status sequence_judge(const sentinel_feeder_state *row, const sentinel_frame *frame,
                                      uint32_t key, unsigned *fault) {
    uint64_t sequence = frame->header->sequence;
    uint64_t last = row->key == key ? row->sequence : 0;
    if (sequence == last && bytes_equal(row->frame_hash32, frame->hash32, 32)) {
        return SENTINEL_POLICY_SEQUENCE; /* the same again, by whoever did not hear the answer */
    }
    *fault = sequence <= last       ? SENTINEL_REPORT_REPLAYED
             : sequence != last + 1 ? SENTINEL_REPORT_GAP
                                    : 0;
    return SENTINEL_OK;
}

/* Stops what the frame says wrong things of, within the record that keeps it. */
static sentinel_status contradict(sentinel_context *context, const gate_feed *given, uint32_t node,
                                  unsigned fault, uint32_t row) {
    if (given->commit) {
        sentinel_auto_stop stop = {
            .scope = SENTINEL_SCOPE_NODE,
            .mode = SENTINEL_HALTED,
            .cause = SENTINEL_CAUSE_REPORT,
            .target = node,
            .sequence = given->frame.header->sequence,
            .key = feeder_of(&given->frame),
            .detail = (uint16_t)fault,
            .row = (uint16_t)row,
        };
        SENTINEL_TRY(
            gate_auto_stop(context, &stop, given->bytes, given->size, given->now_ns, given->flags));
    }
    return SENTINEL_POLICY_REPORT;
}

static void reports_apply(report_work *work) {
    for (uint32_t i = 0; i < work->entry_count; i++) {
        *work->entry_places[i] = work->entries[i];
    }
    for (uint32_t i = 0; i < work->position_count; i++) {
        *work->position_places[i] = work->positions[i];
    }
}

/* Sequences are the feeder's own, and a wrong one is a fault, not a refusal:
 * of the frame's head, everything else must hold first. */
static sentinel_status reports_expect(const sentinel_context *context, const gate_feed *given) {
    const sentinel_frame *frame = &given->frame;
    SENTINEL_TRY(gate_feed_check(frame, SENTINEL_FEED_REPORTS_MAX, sizeof(sentinel_report)));
    const sentinel_feed *feed = (const sentinel_feed *)frame->payload;
    const sentinel_report *reports = (const sentinel_report *)(feed + 1);
    for (uint32_t i = 0; i < feed->count; i++) {
        SENTINEL_TRY(report_check(&reports[i], frame->header->issued_ns));
    }
    /* No frame has a sequence there: any that fits a time passes. */
    SENTINEL_TRY(gate_expects(context, frame, SENTINEL_SEQUENCE_FEED + SENTINEL_FEED_EXECUTION,
                              given->now_ns));
    return gate_verify_power(context, frame, SENTINEL_POWER_FEED_EXECUTION, 0, given->now_ns);
}

sentinel_status gate_take_reports(sentinel_context *context, const gate_feed *given) {
    SENTINEL_TRY(reports_expect(context, given));
    const sentinel_frame *frame = &given->frame;
    const sentinel_feed *feed = (const sentinel_feed *)frame->payload;
    const sentinel_report *reports = (const sentinel_report *)(feed + 1);
    const sentinel_view *view = gate_view(context);
    if (view == NULL) {
        return SENTINEL_POLICY_ABSENT;
    }
    uint32_t key = feeder_of(frame);
    sentinel_feeder_state *feeder = feeder_row(context, key);
    if (feeder == NULL) {
        return SENTINEL_FORMAT_LIMIT;
    }
    unsigned fault = 0;
    SENTINEL_TRY(sequence_judge(feeder, frame, key, &fault));
    if (fault != 0) { /* whose reports are missing, nobody knows */
        return contradict(context, given, view->bundle.nodes[0].id, fault, 0);
    }
    report_work work;
    work.entry_count = 0;
    work.position_count = 0;
    for (uint32_t i = 0; i < feed->count; i++) {
        SENTINEL_TRY(judge(view, &work, &reports[i], given->now_ns, &fault));
        if (fault != 0) {
            return contradict(context, given, reports[i].agent, fault, i);
        }
    }
    if (!given->commit) {
        return SENTINEL_OK;
    }
    SENTINEL_TRY(gate_record_feed(context, given));
    reports_apply(&work);
    *feeder = (sentinel_feeder_state){.key = key, .sequence = frame->header->sequence};
    memcpy(feeder->frame_hash32, frame->hash32, 32);
    return SENTINEL_OK;
}

static sentinel_status position_check(const sentinel_position *position, int64_t issued_ns) {
    if (!bytes_are_zero(position->reserved, sizeof position->reserved) ||
        !bytes_are_zero(position->quantity.reserved, sizeof position->quantity.reserved)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    if (position->instrument == 0 || position->quantity.mantissa == INT64_MIN ||
        position->quantity.scale > SENTINEL_SCALE_MAX || position->time_ns <= 0 ||
        position->time_ns > issued_ns) {
        return SENTINEL_FORMAT_RANGE;
    }
    return SENTINEL_OK;
}

sentinel_status gate_take_positions(sentinel_context *context, const gate_feed *given) {
    const sentinel_frame *frame = &given->frame;
    SENTINEL_TRY(gate_feed_check(frame, SENTINEL_FEED_POSITIONS_MAX, sizeof(sentinel_position)));
    const sentinel_feed *feed = (const sentinel_feed *)frame->payload;
    const sentinel_position *positions = (const sentinel_position *)(feed + 1);
    for (uint32_t i = 0; i < feed->count; i++) {
        SENTINEL_TRY(position_check(&positions[i], frame->header->issued_ns));
    }
    SENTINEL_TRY(gate_feed_admit(context, given, SENTINEL_POWER_FEED_POSITION));
    const sentinel_view *view = gate_view(context);
    for (uint32_t i = 0; i < feed->count && given->commit; i++) {
        const sentinel_instrument *row =
            sentinel_bundle_instrument(&view->bundle, positions[i].instrument);
        if (row != NULL) {
            gate_book_state(sentinel_view_position(view, row), &positions[i]);
        }
    }
    return SENTINEL_OK;
}
