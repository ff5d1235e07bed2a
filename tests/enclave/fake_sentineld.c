/* A fake: the daemon of an enclave without an enclave, in a process of its own.
 *
 *   fake_sentineld DIR LOBBY_SOCKET SESSIONS_SOCKET */
#include <time.h>

#include "fake_daemon.h"

/* An enclave's clock is its own. Here it would be the machine's, for all who use it. */
int clock_settime(clockid_t id, const struct timespec *at) {
    (void)id, (void)at;
    return 0;
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
    fake.time_ms = (uint64_t)server_wall_ns() / 1000000;
    return fake_daemon(argv[1], fake_listen(argv[2]), argv[3], fake_nsm_carry, &fake, NULL);
}
