/* How an answer is filled in, by those that serve requests. */
#ifndef ANSWER_H
#define ANSWER_H

#include "server.h"

/* Each returns 1: the request was served. */
static inline int say(serve_answer *answer, sentinel_status status) {
    answer->status = status;
    return 1;
}

static inline int give(serve_answer *answer, const void *payload, size_t size) {
    *answer = (serve_answer){.status = SENTINEL_OK, .payload = payload, .size = size};
    return 1;
}

#endif
