/* Feeds: what the outside world is said to be. What is taken becomes a record
 * before it takes effect. */
#include "gate_internal.h"

static sentinel_status mark_check(const sentinel_mark *mark, int64_t issued_ns) {
    if (!bytes_are_zero(mark->reserved0, sizeof mark->reserved0) ||
        !bytes_are_zero(mark->price.reserved, sizeof mark->price.reserved)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    if ((mark->kind != SENTINEL_MARK_INSTRUMENT && mark->kind != SENTINEL_MARK_ASSET) ||
        mark->id == 0 || mark->price.mantissa <= 0 || mark->price.scale > SENTINEL_SCALE_MAX ||
        mark->time_ns < 0 || mark->time_ns > issued_ns) {
        return SENTINEL_FORMAT_RANGE;
    }
    return SENTINEL_OK;
}

sentinel_status gate_feed_check(const sentinel_frame *frame, uint32_t most, size_t row_bytes) {
    const sentinel_feed *feed = (const sentinel_feed *)frame->payload;
    if (feed->count == 0 || feed->count > most) {
        return SENTINEL_FORMAT_LIMIT;
    }
    if (frame->payload_size != sizeof *feed + feed->count * row_bytes) {
        return SENTINEL_FORMAT_SIZE;
    }
    return bytes_are_zero(feed->reserved, sizeof feed->reserved) ? SENTINEL_OK
                                                                 : SENTINEL_FORMAT_RESERVED;
}

sentinel_status gate_feed_admit(sentinel_context *context, const gate_feed *given, unsigned power) {
    const sentinel_frame *frame = &given->frame;
    uint32_t sequence = SENTINEL_SEQUENCE_FEED + ((const sentinel_feed *)frame->payload)->kind;
    SENTINEL_TRY(gate_expects(context, frame, sequence, given->now_ns));
    SENTINEL_TRY(gate_verify_power(context, frame, power, 0, given->now_ns));
    if (gate_view(context) == NULL) {
        return SENTINEL_POLICY_ABSENT;
    }
    if (given->commit) {
        SENTINEL_TRY(gate_record_feed(context, given));
        gate_state(context)->sequences[sequence] = frame->header->sequence;
    }
    return SENTINEL_OK;
}

static sentinel_status take_marks(sentinel_context *context, const gate_feed *given) {
    const sentinel_frame *frame = &given->frame;
    SENTINEL_TRY(gate_feed_check(frame, SENTINEL_FEED_MARKS_MAX, sizeof(sentinel_mark)));
    const sentinel_feed *feed = (const sentinel_feed *)frame->payload;
    const sentinel_mark *marks = (const sentinel_mark *)(feed + 1);
    for (uint32_t i = 0; i < feed->count; i++) {
        SENTINEL_TRY(mark_check(&marks[i], frame->header->issued_ns));
    }
    SENTINEL_TRY(gate_feed_admit(context, given, SENTINEL_POWER_FEED_MARK));
    if (given->commit) {
        sentinel_policy_feed(gate_view(context), frame->payload, frame->payload_size);
    }
    return SENTINEL_OK;
}

sentinel_status gate_record_feed(sentinel_context *context, const gate_feed *given) {
    return gate_record_frame(context, SENTINEL_RECORD_FEED, given->bytes, given->size,
                             given->now_ns, given->flags);
}

sentinel_status gate_take_feed(sentinel_context *context, const void *bytes, size_t size,
                               int64_t now_ns, uint32_t flags, int commit) {
    gate_feed given = {
        .bytes = bytes, .size = size, .now_ns = now_ns, .flags = flags, .commit = commit};
    SENTINEL_TRY(sentinel_frame_parse(&given.frame, bytes, size, SENTINEL_FRAME_FEED));
    if (given.frame.payload_size < sizeof(sentinel_feed)) {
        return SENTINEL_FORMAT_SIZE;
    }
    switch (((const sentinel_feed *)given.frame.payload)->kind) {
    case SENTINEL_FEED_MARK:
        return take_marks(context, &given);
    case SENTINEL_FEED_HEARTBEAT:
        return gate_take_heartbeat(context, &given);
    case SENTINEL_FEED_EXECUTION:
        return gate_take_reports(context, &given);
    case SENTINEL_FEED_POSITION:
        return gate_take_positions(context, &given);
    default: /* the other kinds have their place in the layout alone, yet */
        return SENTINEL_FORMAT_RANGE;
    }
}
