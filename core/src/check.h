/* Control-flow helpers. SENTINEL_TRY is the only macro that hides a return. */
#ifndef SENTINEL_CHECK_H
#define SENTINEL_CHECK_H

#include <sentinel/status.h>

/* Returns from the caller with any status but OK. */
#define SENTINEL_TRY(call)                    \
    do {                                      \
        sentinel_status try_status_ = (call); \
        if (try_status_ != SENTINEL_OK) {     \
            return try_status_;               \
        }                                     \
    } while (0)

/* Our own invariant. Test builds (-DSENTINEL_TEST) abort; release builds give
 * 0 here, and the caller latches the engine halted. Never for data from
 * outside. */
#ifdef SENTINEL_TEST
#include <stdlib.h>
#define SENTINEL_HOLDS(cond) ((cond) ? 1 : (abort(), 0))
#else
#define SENTINEL_HOLDS(cond) (!!(cond))
#endif

#endif
