/* Feeds: what the outside world is said to be. What is taken becomes a record
 * before it takes effect. */
#include "gate_internal.h"

static sentinel_status feed_check(const sentinel_frame *frame) {
    if (frame->payload_size < sizeof(sentinel_feed)) {
        return SENTINEL_FORMAT_SIZE;
    }
    const sentinel_feed *feed = (const sentinel_feed *)frame->payload;
    if (feed->kind != SENTINEL_FEED_MARK) {
        return SENTINEL_FORMAT_RANGE;
    }
    if (feed->count == 0 || feed->count > SENTINEL_FEED_MARKS_MAX) {
        return SENTINEL_FORMAT_LIMIT;
    }
    if (frame->payload_size != sizeof *feed + feed->count * sizeof(sentinel_mark)) {
        return SENTINEL_FORMAT_SIZE;
    }
    if (!bytes_are_zero(feed->reserved, sizeof feed->reserved)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    const sentinel_mark *marks = (const sentinel_mark *)(feed + 1);
    for (uint32_t i = 0; i < feed->count; i++) {
        const sentinel_mark *mark = &marks[i];
        if (!bytes_are_zero(mark->reserved0, sizeof mark->reserved0) ||
            !bytes_are_zero(mark->price.reserved, sizeof mark->price.reserved)) {
            return SENTINEL_FORMAT_RESERVED;
        }
        if ((mark->kind != SENTINEL_MARK_INSTRUMENT && mark->kind != SENTINEL_MARK_ASSET) ||
            mark->id == 0 || mark->price.mantissa <= 0 || mark->price.scale > SENTINEL_SCALE_MAX ||
            mark->time_ns < 0 || mark->time_ns > frame->header->issued_ns) {
            return SENTINEL_FORMAT_RANGE;
        }
    }
    return SENTINEL_OK;
}

sentinel_status gate_take_feed(sentinel_context *context, const void *bytes, size_t size,
                               int64_t now_ns, uint32_t flags, int commit) {
    sentinel_frame frame;
    SENTINEL_TRY(sentinel_frame_parse(&frame, bytes, size, SENTINEL_FRAME_FEED));
    SENTINEL_TRY(feed_check(&frame));
    uint32_t sequence = SENTINEL_SEQUENCE_FEED + ((const sentinel_feed *)frame.payload)->kind;
    SENTINEL_TRY(gate_expects(context, &frame, sequence, now_ns));
    SENTINEL_TRY(gate_verify_power(context, &frame, SENTINEL_POWER_FEED_MARK, 0, now_ns));
    const sentinel_view *view = gate_view(context);
    if (view == NULL) {
        return SENTINEL_POLICY_ABSENT;
    }
    if (!commit) {
        return SENTINEL_OK;
    }
    SENTINEL_TRY(gate_record_frame(context, SENTINEL_RECORD_FEED, bytes, size, now_ns, flags));
    gate_state(context)->sequences[sequence] = frame.header->sequence;
    sentinel_policy_feed(view, frame.payload, frame.payload_size);
    return SENTINEL_OK;
}
