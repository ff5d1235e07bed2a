/* What a venue's file offers to venue.c. */
#ifndef SENTINEL_VENUE_INNER_H
#define SENTINEL_VENUE_INNER_H

#include <sentinel/venue.h>

/* Both get a request and a render whose key is of the venue. */
typedef struct venue {
    const char *name;
    /* Everything but the signature. Null: nothing is rendered for it. */
    sentinel_reason (*render)(sentinel_request *request, const sentinel_render *render);
    sentinel_reason (*finish)(sentinel_request *request, const sentinel_render *render,
                              const sentinel_signature *signature);
} venue;

sentinel_reason venue_binance_render(sentinel_request *request, const sentinel_render *render);
sentinel_reason venue_binance_finish(sentinel_request *request, const sentinel_render *render,
                                     const sentinel_signature *signature);

#endif
