/* A fake: the daemon of an enclave without an enclave. All of it is the daemon's
 * own code, but for the security module, which fake_nsm.h plays, and Unix sockets
 * in the place of vsock.
 *
 *   fake_sentineld DIR LOBBY_SOCKET SESSIONS_SOCKET */
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "fake_nsm.h"
#include "lobby.h"
#include "server.h"
#include "tls.h"

/* An enclave's clock is its own. Here it would be the machine's, for all who use it. */
int clock_settime(clockid_t id, const struct timespec *at) {
    (void)id, (void)at;
    return 0;
}

static int unix_listen(const char *path) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 4) == 0 ? fd
                                                                                             : -1;
}

int main(int argc, char **argv) {
    static server s;
    static fake_nsm fake;
    const sentinel_engine_options options = {.durability = SENTINEL_DURABILITY_WRITE};
    uint8_t public_key32[32], spki[TLS_SPKI_BYTES];
    enclave *e;
    sigset_t signals;
    if (argc != 4) {
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    fake_nsm_begin(&fake);
    for (int i = 0; i < 3; i++) {
        memset(fake.pcrs[i], 0xa0 + i, NSM_PCR_BYTES);
    }
    fake.time_ms = (uint64_t)server_wall_ns() / 1000000;
    int listen_fd = unix_listen(argv[2]);
    SSL_CTX *tls = tls_context(public_key32, 1, NULL);
    if (listen_fd < 0 || tls == NULL) {
        return 1;
    }
    tls_spki(spki, public_key32);
    if (enclave_open_carrier(&e, fake_nsm_carry, &fake) != SENTINEL_OK ||
        lobby_begin(&s.lobby, e, argv[1], spki, sizeof spki, &options) != SENTINEL_OK) {
        return 1;
    }
    sentinel_engine *engine = lobby_serve(s.lobby, listen_fd);
    (void)close(listen_fd);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    const server_options where = {.dir = argv[1], .unix_path = argv[3]};
    int result = engine != NULL ? server_begin(&s, &where, engine, tls) : -1;
    if (result == 0) {
        (void)fprintf(stderr, "ready\n");
        result = server_run(&s);
    }
    server_end(&s);
    SSL_CTX_free(tls);
    sentinel_engine_close(engine, server_wall_ns());
    lobby_end(s.lobby);
    enclave_close(e);
    return result == 0 ? 0 : 1;
}
