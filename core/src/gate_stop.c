/* Stops that the engine sets by itself: an agent that fell silent, a loop that
 * hangs, a report that contradicts what was signed (docs/2-policy.md, "What
 * stops by itself"). */
#include "gate_internal.h"

/* The node's index; SENTINEL_NODE_NONE when the stop is of nothing that is there. */
static uint32_t node_of(const sentinel_context *context, const sentinel_auto_stop *stop) {
    const sentinel_view *view = gate_view(context);
    return view == NULL || stop->scope != SENTINEL_SCOPE_NODE || stop->target == 0
               ? SENTINEL_NODE_NONE
               : sentinel_bundle_node(&view->bundle, stop->target);
}

/* What was stopped first keeps its cause; only a halt takes a drain's place. */
static int tightens(const sentinel_context *context, uint32_t node, uint8_t mode, int64_t now_ns) {
    return mode > sentinel_stop_mode(sentinel_view_node(gate_view(context), node), now_ns);
}

int gate_stop_node(sentinel_context *context, uint32_t node, uint8_t mode, uint8_t cause,
                   uint64_t record, int64_t now_ns) {
    if (!tightens(context, node, mode, now_ns)) {
        return 0;
    }
    sentinel_stop_state stop = {
        .mode = mode,
        .severity = GATE_AUTO_STOP_SEVERITY,
        .cause = cause,
        .record = record,
        .since_ns = now_ns,
    };
    const sentinel_view *view = gate_view(context);
    sentinel_stop_set(view, sentinel_view_node(view, node), &stop);
    gate_beats_changed(context, node, 0);
    return 1;
}

sentinel_status gate_auto_stop(sentinel_context *context, const sentinel_auto_stop *stop,
                               const void *frame, size_t size, int64_t now_ns, uint32_t flags) {
    uint32_t node = node_of(context, stop);
    if (node == SENTINEL_NODE_NONE) {
        return SENTINEL_POLICY_SCOPE;
    }
    if (!tightens(context, node, stop->mode, now_ns)) {
        return SENTINEL_OK;
    }
    _Alignas(8) uint8_t subject[SENTINEL_SUBJECT_BYTES_MAX];
    if (size % 8 != 0 || size > sizeof subject - sizeof *stop) {
        return SENTINEL_FORMAT_LIMIT;
    }
    memcpy(subject, stop, sizeof *stop);
    if (size != 0) {
        memcpy(subject + sizeof *stop, frame, size);
    }
    uint64_t number = gate_state(context)->record_count;
    SENTINEL_TRY(gate_record_frame(context, SENTINEL_RECORD_STOP, subject, sizeof *stop + size,
                                   now_ns, flags));
    (void)gate_stop_node(context, node, stop->mode, stop->cause, number, now_ns);
    return SENTINEL_OK;
}

/* Whether the state, and the frame kept behind the stop, say the same. */
static int holds(const sentinel_context *context, const sentinel_auto_stop *stop, uint32_t node,
                 int64_t now_ns) {
    sentinel_auto_stop due;
    switch (stop->cause) {
    case SENTINEL_CAUSE_HEARTBEAT:
    case SENTINEL_CAUSE_PROGRESS:
        return gate_beat_due(context, node, now_ns, &due) &&
               bytes_equal((const uint8_t *)&due, (const uint8_t *)stop, sizeof due);
    default: /* nothing else stops by itself yet */
        return 0;
    }
}

/* A report's stop is made again from the frame behind it, whole. */
static sentinel_status replay_report(sentinel_context *context, const sentinel_record *record) {
    const sentinel_record_header *header = record->header;
    uint64_t number = gate_state(context)->record_count;
    sentinel_status status =
        gate_take_feed(context, record->subject + sizeof(sentinel_auto_stop),
                       header->subject_size - sizeof(sentinel_auto_stop), header->now_ns,
                       header->flags & SENTINEL_RECORD_CLOCK_HELD, 1);
    if (status == SENTINEL_POLICY_REPORT && gate_state(context)->record_count == number + 1) {
        return SENTINEL_OK;
    }
    if (context->difference == NULL) {
        context->difference = "stop";
    }
    return SENTINEL_AUDIT_MISMATCH;
}

sentinel_status gate_replay_stop(sentinel_context *context, const sentinel_record *record) {
    const sentinel_record_header *header = record->header;
    sentinel_auto_stop stop;
    if (header->subject_size < sizeof stop) {
        return SENTINEL_AUDIT_CORRUPT;
    }
    memcpy(&stop, record->subject, sizeof stop);
    if (stop.cause == SENTINEL_CAUSE_REPORT) {
        return replay_report(context, record);
    }
    uint32_t node = node_of(context, &stop);
    if (node == SENTINEL_NODE_NONE || !tightens(context, node, stop.mode, header->now_ns) ||
        !holds(context, &stop, node, header->now_ns)) {
        context->difference = "stop";
        return SENTINEL_AUDIT_MISMATCH;
    }
    return gate_auto_stop(context, &stop, record->subject + sizeof stop,
                          header->subject_size - sizeof stop, header->now_ns,
                          header->flags & SENTINEL_RECORD_CLOCK_HELD);
}
