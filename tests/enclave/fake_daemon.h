/* A fake: the daemon of an enclave without an enclave, for the programs that
 * tests start. All of it is the daemon's own code, but for the security module,
 * which fake_nsm.h plays, and Unix sockets in the place of vsock. */
#ifndef FAKE_DAEMON_H
#define FAKE_DAEMON_H

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "fake_nsm.h"
#include "lobby.h"
#include "server.h"
#include "tls.h"

static int fake_listen(const char *path) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 4) == 0 ? fd
                                                                                             : -1;
}

/* The whole of one boot, from lobby to end. tls_seed32: null: a key of its own.
 * Returns: what the process exits with. */
static int fake_daemon(const char *dir, int lobby_fd, const char *sessions_path, nsm_carry carry,
                       void *with, const uint8_t *tls_seed32) {
    static server s;
    const sentinel_engine_options options = {.durability = SENTINEL_DURABILITY_WRITE};
    uint8_t public_key32[32], spki[TLS_SPKI_BYTES];
    enclave *e;
    sigset_t signals;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    SSL_CTX *tls = tls_context(public_key32, 1, tls_seed32);
    if (lobby_fd < 0 || tls == NULL) {
        return 1;
    }
    tls_spki(spki, public_key32);
    if (enclave_open_carrier(&e, carry, with) != SENTINEL_OK ||
        lobby_begin(&s.lobby, e, dir, spki, sizeof spki, &options) != SENTINEL_OK) {
        return 1;
    }
    const char *every = getenv("FAKE_EVERY_MS");
    if (every != NULL) {
        lobby_watch(s.lobby)->every_ns = atoll(every) * 1000000;
        lobby_watch(s.lobby)->holds_ns = atoll(every) * 10000000;
    }
    sentinel_engine *engine = lobby_serve(s.lobby, lobby_fd);
    (void)close(lobby_fd);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    const server_options where = {.dir = dir, .unix_path = sessions_path};
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

#endif
