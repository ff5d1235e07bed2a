/* How long the loop looks for the next request before it sleeps. Waking up takes
 * longer than deciding an order: so behind an answer it looks again for a while,
 * and half as long the next time when nothing came. What comes soon after it fell
 * asleep is what it should have waited for: then it looks for the whole while again. */
#ifndef PATIENCE_H
#define PATIENCE_H

#include <stdint.h>

#define PATIENCE_NS INT64_C(100000)

/* Zero: it sleeps. Times are those of the clock that only runs. */
typedef struct patience {
    int64_t until_ns; /* 0: it does not look */
    int64_t for_ns;   /* how long, behind the next answer */
    int64_t slept_ns; /* when it last looked in vain, and slept */
} patience;

/* Something was answered that came at this time. */
void patience_begin(patience *p, int64_t now_ns);

/* Returns: 1: look again; 0: sleep. */
int patience_lasts(patience *p, int64_t now_ns);

#endif
