/* A fake: the daemon of an enclave without an enclave, in a process of its own.
 *
 *   fake_sentineld DIR LOBBY_SOCKET SESSIONS_SOCKET
 *
 * FAKE_SKEW: a file with the milliseconds that the module's time is ahead of the
 * machine's; "-": the module has no time. FAKE_EVERY_MS: between two comparisons;
 * the last one then holds ten times as long. */
#include <stdlib.h>
#include <time.h>

#include "fake_daemon.h"

/* An enclave's clock is its own. Here it would be the machine's, for all who use it. */
int clock_settime(clockid_t id, const struct timespec *at) {
    (void)id, (void)at;
    return 0;
}

/* The module's time runs, as the machine's does, and may be off it. */
static uint64_t module_ms(void) {
    const char *path = getenv("FAKE_SKEW");
    FILE *file = path != NULL ? fopen(path, "r") : NULL;
    char text[24] = "";
    struct timespec at;
    if (file != NULL) {
        text[fread(text, 1, sizeof text - 1, file)] = 0;
        (void)fclose(file);
    }
    (void)clock_gettime(CLOCK_REALTIME, &at);
    int64_t now_ms = (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
    return text[0] == '-' && text[1] < '0' ? UINT64_MAX : (uint64_t)(now_ms + atoll(text));
}

int main(int argc, char **argv) {
    static fake_nsm fake;
    if (argc != 4) {
        return 2;
    }
    fake_nsm_begin(&fake);
    for (int i = 0; i < 3; i++) {
        memset(fake.pcrs[i], 0xa0 + i, NSM_PCR_BYTES);
    }
    fake.clock_ms = module_ms;
    return fake_daemon(argv[1], fake_listen(argv[2]), argv[3], fake_nsm_carry, &fake, NULL);
}
