/* okx: not rendered yet. */
#include "venue.h"

static const sentinel_hold holds[SENTINEL_ACTION_COUNT];

const venue_table venue_okx = {.name = "okx", .holds = holds};
