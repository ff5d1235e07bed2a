/* A packed outcome back into a whole one. The daemon made it, and the channel
 * is authenticated; all sizes in it are checked all the same. */
#include <string.h>

#include "check.h"
#include "sentinel_client.h"

#define HEAD_BYTES offsetof(sentinel_outcome, decision)
#define REQUEST_AT (HEAD_BYTES + sizeof(sentinel_signature))
#define TEXT_AT (REQUEST_AT + offsetof(sentinel_request, text))
#define RESULTS_AT (HEAD_BYTES + offsetof(sentinel_decision, results))
#define RESULT_BYTES (sizeof(sentinel_result) + sizeof(int64_t))

static int span_is_inside(sentinel_span span, size_t size) {
    return (size_t)span.offset + span.size <= size;
}

static int request_is_valid(const sentinel_request *request, size_t text_size) {
    int valid =
        request->header_count <= SENTINEL_REQUEST_HEADERS_MAX && request->overflow == 0 &&
        span_is_inside(request->host, text_size) && span_is_inside(request->path, text_size) &&
        span_is_inside(request->query, text_size) && span_is_inside(request->body, text_size) &&
        span_is_inside(request->string_to_sign, text_size);
    for (unsigned i = 0; valid && i < request->header_count; i++) {
        valid = span_is_inside(request->header_names[i], text_size) &&
                span_is_inside(request->header_values[i], text_size);
    }
    return valid;
}

static sentinel_status unpack_allowed(sentinel_outcome *outcome, const uint8_t *packed,
                                      size_t size) {
    sentinel_request head;
    if (size < TEXT_AT) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(&head, packed + REQUEST_AT, TEXT_AT - REQUEST_AT);
    if (head.text_size > SENTINEL_REQUEST_TEXT_BYTES ||
        size != ((TEXT_AT + head.text_size + 7) & ~(size_t)7)) {
        return SENTINEL_FORMAT_SIZE;
    }
    if (!request_is_valid(&head, head.text_size)) {
        return SENTINEL_FORMAT_RANGE;
    }
    if (outcome != NULL) {
        memcpy(&outcome->signature, packed + HEAD_BYTES, sizeof outcome->signature);
        memcpy(&outcome->request, packed + REQUEST_AT, TEXT_AT - REQUEST_AT + head.text_size);
    }
    return SENTINEL_OK;
}

static sentinel_status unpack_refused(sentinel_outcome *outcome, const uint8_t *packed,
                                      size_t size) {
    if (size < RESULTS_AT) {
        return SENTINEL_FORMAT_SIZE;
    }
    uint16_t count;
    memcpy(&count, packed + HEAD_BYTES + offsetof(sentinel_decision, result_count), sizeof count);
    if (count > SENTINEL_RESULTS_MAX || size != RESULTS_AT + count * RESULT_BYTES) {
        return SENTINEL_FORMAT_SIZE;
    }
    if (outcome != NULL) {
        memcpy(&outcome->decision, packed + HEAD_BYTES, RESULTS_AT - HEAD_BYTES);
        memcpy(outcome->decision.results, packed + RESULTS_AT, count * sizeof(sentinel_result));
        memcpy(outcome->decision.retry_at_ns, packed + RESULTS_AT + count * sizeof(sentinel_result),
               count * sizeof(int64_t));
    }
    return SENTINEL_OK;
}

sentinel_status sentinel_outcome_unpack(sentinel_outcome *outcome, const uint8_t *packed,
                                        size_t size) {
    sentinel_outcome head;
    if (outcome != NULL) {
        memset(outcome, 0, sizeof *outcome);
    }
    if (size < HEAD_BYTES) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(&head, packed, HEAD_BYTES);
    if (head.verdict == SENTINEL_VERDICT_NONE || head.verdict > SENTINEL_FAILED ||
        head.client_id_size > sizeof head.client_id || head.recorded > 1) {
        return SENTINEL_FORMAT_RANGE;
    }
    SENTINEL_TRY(head.verdict == SENTINEL_ALLOWED ? unpack_allowed(outcome, packed, size)
                                                  : unpack_refused(outcome, packed, size));
    if (outcome != NULL) {
        memcpy(outcome, packed, HEAD_BYTES);
    }
    return SENTINEL_OK;
}
