/* sentineld: an engine in a process of its own. docs/service.md is for who runs
 * it, enclave/PROTOCOL.md for who speaks to it. */
#include "harden.h"
#include "lobby.h"
#include "server.h"
#include "tls.h"

#include "bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILL_PAUSE_NS 1000000
#define ENCLAVE_NONCES 1024u

static const char usage[] =
    "usage: sentineld --dir DIR (--unix PATH | --vsock PORT)\n"
    "                 (--passphrase-fd N | --passphrase-file FILE)\n"
    "                 [--pin FILE] [--durability write|fsync|mapped] [--busy-poll]\n"
    "                 [--nonces N --accept-snapshot-risk]\n"
    "       sentineld --enclave [--vsock PORT]\n"
    "\n"
    "Serves the engine in DIR until SIGTERM. docs/service.md says the rest.\n";

typedef struct arguments {
    server_options server;
    sentinel_engine_options engine;
    const char *pin;
    const char *passphrase_file;
    int passphrase_fd; /* -1: none */
    uint8_t is_enclave;
} arguments;

static int complain(const char *what, const char *why) {
    (void)fprintf(stderr, "sentineld: %s: %s\n", what, why);
    return -1;
}

/* ---- The command line ------------------------------------------------------------ */

static int number_of(uint32_t *number, const char *text, uint32_t most) {
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != 0 || value > most) {
        return complain(text, "not a number that is possible here");
    }
    *number = (uint32_t)value;
    return 0;
}

static int durability_of(uint8_t *durability, const char *text) {
    static const struct {
        const char *name;
        uint8_t value;
    } known[] = {
        {"write", SENTINEL_DURABILITY_WRITE},
        {"fsync", SENTINEL_DURABILITY_FSYNC},
        {"mapped", SENTINEL_DURABILITY_MAPPED},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(text, known[i].name) == 0) {
            *durability = known[i].value;
            return 0;
        }
    }
    return complain(text, "--durability is write, fsync or mapped");
}

static int argument_take(arguments *a, int which) {
    uint32_t number;
    switch (which) {
    case 'd':
        a->server.dir = optarg;
        return 0;
    case 'u':
        a->server.unix_path = optarg;
        return 0;
    case 'v':
        return number_of(&a->server.vsock_port, optarg, UINT32_MAX - 1);
    case 'p':
        if (number_of(&number, optarg, 1 << 20) != 0) {
            return -1;
        }
        a->passphrase_fd = (int)number;
        return 0;
    case 'f':
        a->passphrase_file = optarg;
        return 0;
    case 'i':
        a->pin = optarg;
        return 0;
    case 'l':
        return durability_of(&a->engine.durability, optarg);
    case 'b':
        a->server.is_polling = 1;
        return 0;
    case 'n':
        return number_of(&a->engine.nonces, optarg, SENTINEL_NONCES_MAX);
    case 'r':
        a->engine.snapshot_risk = 1;
        return 0;
    case 'e':
        a->is_enclave = 1;
        return 0;
    default:
        return -1;
    }
}

/* An enclave has one way to run: its folder is in memory, its keys come by the
 * lobby. No machine can copy it while it runs, so nonces are made ahead. */
static int enclave_arguments(arguments *a, int is_all) {
    if (!is_all || a->server.dir != NULL || a->server.unix_path != NULL || a->pin != NULL ||
        a->passphrase_fd >= 0 || a->passphrase_file != NULL || a->engine.nonces != 0) {
        (void)fputs(usage, stderr);
        return -1;
    }
    a->server.dir = SENTINEL_LOBBY_DIR;
    if (a->server.vsock_port == 0) {
        a->server.vsock_port = SENTINEL_VSOCK_PORT;
    }
    a->engine.nonces = ENCLAVE_NONCES;
    a->engine.snapshot_risk = 1;
    a->engine.durability = SENTINEL_DURABILITY_WRITE; /* in memory; the host keeps copies */
    return 0;
}

static int arguments_read(arguments *a, int argc, char **argv) {
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"unix", required_argument, NULL, 'u'},
        {"vsock", required_argument, NULL, 'v'},
        {"passphrase-fd", required_argument, NULL, 'p'},
        {"passphrase-file", required_argument, NULL, 'f'},
        {"pin", required_argument, NULL, 'i'},
        {"durability", required_argument, NULL, 'l'},
        {"busy-poll", no_argument, NULL, 'b'},
        {"nonces", required_argument, NULL, 'n'},
        {"accept-snapshot-risk", no_argument, NULL, 'r'},
        {"enclave", no_argument, NULL, 'e'},
        {NULL, 0, NULL, 0},
    };
    *a = (arguments){.passphrase_fd = -1};
    for (int which; (which = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (argument_take(a, which) != 0) {
            (void)fputs(usage, stderr);
            return -1;
        }
    }
    if (a->is_enclave) {
        return enclave_arguments(a, optind == argc);
    }
    int places = (a->server.unix_path != NULL) + (a->server.vsock_port != 0);
    int passphrases = (a->passphrase_fd >= 0) + (a->passphrase_file != NULL);
    if (optind != argc || a->server.dir == NULL || places != 1 || passphrases != 1 ||
        (a->engine.nonces != 0) != (a->engine.snapshot_risk != 0)) {
        (void)fputs(usage, stderr);
        return -1;
    }
    return 0;
}

/* ---- The passphrase --------------------------------------------------------------- */

/* Its bytes without one newline at the end. A file must be nobody else's to read. */
static int passphrase_read(char *text, size_t *size, const arguments *a) {
    struct stat is;
    int fd = a->passphrase_fd;
    if (a->passphrase_file != NULL) {
        fd = open(a->passphrase_file, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &is) != 0) {
            return complain(a->passphrase_file, strerror(errno));
        }
        if ((is.st_uid != geteuid() && is.st_uid != 0) || (is.st_mode & 077) != 0) {
            (void)close(fd);
            return complain(a->passphrase_file, "must be this user's alone (chmod 600)");
        }
    }
    *size = 0;
    for (;;) {
        ssize_t got = read(fd, text + *size, SENTINEL_PASSPHRASE_BYTES_MAX + 1 - *size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return complain("passphrase", strerror(errno));
        }
        if (got == 0 || *size + (size_t)got > SENTINEL_PASSPHRASE_BYTES_MAX) {
            *size += (size_t)got;
            break;
        }
        *size += (size_t)got;
    }
    (void)close(fd);
    if (*size != 0 && text[*size - 1] == '\n') {
        (*size)--;
    }
    return *size != 0 && *size <= SENTINEL_PASSPHRASE_BYTES_MAX
               ? 0
               : complain("passphrase", "it is empty, or above 1,024 bytes");
}

/* ---- Starting ---------------------------------------------------------------------- */

static int engine_begin(sentinel_engine **engine, arguments *a) {
    char text[SENTINEL_PASSPHRASE_BYTES_MAX + 1];
    size_t size;
    int result = passphrase_read(text, &size, a);
    if (result == 0) {
        a->engine.passphrase = text;
        a->engine.passphrase_size = size;
        sentinel_status status =
            sentinel_engine_open(engine, a->server.dir, &a->engine, server_wall_ns());
        if (status != SENTINEL_OK) {
            int why = errno;
            (void)fprintf(stderr, "sentineld: %s: %s: %s%s%s\n", a->server.dir,
                          sentinel_status_name(status), sentinel_status_text(status),
                          status >> 8 == 0x07 ? ": " : "",
                          status >> 8 == 0x07 ? strerror(why) : "");
            /* With a damaged log it is open, and signs nothing: that is for people. */
            sentinel_engine_close(*engine, server_wall_ns());
            *engine = NULL;
            result = -1;
        }
    }
    bytes_wipe(text, sizeof text);
    a->engine.passphrase = NULL;
    return result;
}

/* The same in an enclave, by its host's requests. */
static int enclave_begin(sentinel_engine **engine, lobby **room, const arguments *a,
                         const uint8_t public_key32[32]) {
    uint8_t spki[TLS_SPKI_BYTES];
    char name[CLOCK_NAME_BYTES];
    enclave *e;
    clock_name(name);
    if (!clock_name_is_good(name)) {
        return complain("the kernel's clock source is none to go by", name);
    }
    tls_spki(spki, public_key32);
    sentinel_status status = enclave_open(&e);
    if (status == SENTINEL_OK) {
        status = lobby_begin(room, e, a->server.dir, spki, sizeof spki, &a->engine);
    }
    if (status != SENTINEL_OK) {
        return complain(sentinel_status_name(status), sentinel_status_text(status));
    }
    int listen_fd = server_vsock_listen(SENTINEL_LOBBY_PORT, 0);
    if (listen_fd < 0) {
        return -1;
    }
    (void)fprintf(stderr, "sentineld: waits for its host\n");
    *engine = lobby_serve(*room, listen_fd);
    (void)close(listen_fd);
    return *engine != NULL ? 0 : -1;
}

/* What clients pin, for them to read: 64 hex digits and a newline; whole or not
 * at all. */
static int pin_write(const arguments *a, const uint8_t public_key32[32]) {
    char path[4096], fresh[4096 + 8], text[65];
    uint8_t hash32[32];
    int written = a->pin != NULL ? snprintf(path, sizeof path, "%s", a->pin)
                                 : snprintf(path, sizeof path, "%s/daemon.pin", a->server.dir);
    if (written < 0 || (size_t)written >= sizeof path) {
        return complain("--pin", "the path is too long");
    }
    (void)snprintf(fresh, sizeof fresh, "%s.new", path);
    tls_spki_hash(hash32, public_key32);
    bytes_to_hex(text, hash32, sizeof hash32);
    text[64] = '\n';
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0 || fchmod(fd, 0644) != 0 || write(fd, text, sizeof text) != sizeof text ||
        close(fd) != 0 || rename(fresh, path) != 0) {
        return complain(path, strerror(errno));
    }
    return 0;
}

static atomic_int fill_ends;
static pthread_barrier_t fill_begins;

static void *fill(void *engine) {
    (void)pthread_barrier_wait(&fill_begins);
    while (!atomic_load(&fill_ends)) {
        uint32_t made = 0;
        if (sentinel_engine_fill(engine, &made) != SENTINEL_OK || made == 0) {
            (void)nanosleep(&(struct timespec){.tv_nsec = FILL_PAUSE_NS}, NULL);
        }
    }
    return NULL;
}

/* Runs the loop, with a thread beside it where something is made ahead. */
static int serve(server *s, const arguments *a, sentinel_engine *engine) {
    pthread_t thread;
    int has_thread = a->engine.nonces != 0 || a->engine.durability == SENTINEL_DURABILITY_MAPPED;
    if (harden_rights() != 0) {
        return -1;
    }
    if (has_thread && (pthread_barrier_init(&fill_begins, NULL, 2) != 0 ||
                       pthread_create(&thread, NULL, fill, engine) != 0)) {
        return complain("a thread", "cannot be made");
    }
    if (has_thread) {
        /* A thread begins with system calls that nobody may make afterwards. */
        (void)pthread_barrier_wait(&fill_begins);
    }
    int result = harden_calls();
    if (result == 0) {
        (void)fprintf(stderr, "sentineld: ready\n");
        result = server_run(s);
    }
    atomic_store(&fill_ends, 1);
    if (has_thread) {
        (void)pthread_join(thread, NULL);
    }
    return result;
}

int main(int argc, char **argv) {
    static server s;
    arguments a;
    sentinel_engine *engine = NULL;
    uint8_t public_key32[32];
    sigset_t signals;
    if (harden_begin() != 0 || arguments_read(&a, argc, argv) != 0) {
        return 2;
    }
    /* Signals come by a descriptor, to no thread. */
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    harden_descriptors(SERVER_CONNS_MAX + 64);
    SSL_CTX *tls = tls_context(public_key32, 1, NULL);
    int result = tls != NULL ? 0 : complain("TLS", "OpenSSL could not be started");
    if (result == 0) {
        result = a.is_enclave ? enclave_begin(&engine, &s.lobby, &a, public_key32)
                              : engine_begin(&engine, &a);
    }
    if (result == 0) {
        result = server_begin(&s, &a.server, engine, tls);
    }
    if (result == 0) {
        harden_memory();
        result = a.is_enclave ? 0 : pin_write(&a, public_key32);
    }
    if (result == 0) {
        result = serve(&s, &a, engine);
    }
    server_end(&s);
    SSL_CTX_free(tls);
    sentinel_engine_close(engine, server_wall_ns());
    lobby_end(s.lobby);
    return result == 0 ? 0 : 1;
}
