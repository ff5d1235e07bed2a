/* deribit: not rendered yet. */
#include "venue.h"

static const sentinel_hold holds[SENTINEL_ACTION_COUNT];

const venue_table venue_deribit = {.name = "deribit", .holds = holds};
