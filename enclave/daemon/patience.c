#include "patience.h"

void patience_begin(patience *p, int64_t now_ns) {
    if (now_ns - p->slept_ns < PATIENCE_NS) {
        p->for_ns = PATIENCE_NS;
    }
    p->until_ns = now_ns + p->for_ns;
}

int patience_lasts(patience *p, int64_t now_ns) {
    if (now_ns < p->until_ns) {
        return 1;
    }
    if (p->until_ns != 0) { /* in vain */
        p->until_ns = 0;
        p->for_ns /= 2;
        p->slept_ns = now_ns;
    }
    return 0;
}
