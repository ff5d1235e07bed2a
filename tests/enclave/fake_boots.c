/* A fake: boots of an enclave's daemon, each a fork of this one process, for the
 * schedules of a hostile host (fake_boots.py). What runs in them is the daemon's
 * own code. What is not: the security module is fake_nsm.h's; both clocks are a
 * page that the test writes; all randomness comes from the boot's seed; RSA keys
 * come out of a file; the loop sleeps until the test rings; and every secret that
 * comes to be is told to the test, which then looks for it in all that leaves.
 *
 *   fake_boots CONTROL_FD CLOCK_FILE RSA_FILE RSA_COUNT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define OPENSSL_SUPPRESS_DEPRECATED /* RAND_set_rand_method: a provider would be much longer */
#include <openssl/pem.h>

#include "bytes.h"
#include "fake_daemon.h"
#include "gcm.h"
#include "kms.h"
#include "root.h"

#include <sentinel/audit.h>
#include <sentinel/sign.h>
#include <sodium.h>

#define RSA_MAX 64
#define FDS 3

enum { BOOT = 1, END = 2 };
typedef struct request {
    uint32_t kind;
    uint32_t pid;    /* END */
    uint32_t signal; /* END; 0: only wait */
    uint32_t rsa_first;
    uint64_t seed;
    char dir[72];
} request;

static const int64_t *clocks; /* wall, running */
static EVP_PKEY *rsa_pool[RSA_MAX];
static unsigned rsa_count, rsa_next;
static struct {
    uint64_t seed, drawn;
    uint8_t rest[16];
} rng;
static int bell_fd, secrets_fd, is_making, is_asked;

/* ---- What is told to the test ------------------------------------------------------ */

static void tell(const char *name, const void *bytes, size_t size) {
    char text[4096];
    const uint8_t *at = bytes;
    int used = snprintf(text, sizeof text, "%s ", name);
    for (size_t i = 0; i < size && (size_t)used < sizeof text - 4; i++) {
        used += snprintf(text + used, sizeof text - (size_t)used, "%02x", at[i]);
    }
    text[used++] = '\n';
    if (write(secrets_fd, text, (size_t)used) != used) {
        abort();
    }
}

sentinel_status __real_root_make(root *secret, nsm *module);
sentinel_status __wrap_root_make(root *secret, nsm *module);
sentinel_status __wrap_root_make(root *secret, nsm *module) {
    sentinel_status status = __real_root_make(secret, module);
    tell(status == SENTINEL_OK ? "root" : "no-root", secret->secret32, 32);
    return status;
}

sentinel_status __real_root_unwrap(root *secret, const sentinel_wrapped_root *wrapped,
                                   const uint8_t *shared, size_t shared_size,
                                   const uint8_t commitment32[32]);
sentinel_status __wrap_root_unwrap(root *secret, const sentinel_wrapped_root *wrapped,
                                   const uint8_t *shared, size_t shared_size,
                                   const uint8_t commitment32[32]);
sentinel_status __wrap_root_unwrap(root *secret, const sentinel_wrapped_root *wrapped,
                                   const uint8_t *shared, size_t shared_size,
                                   const uint8_t commitment32[32]) {
    sentinel_status status = __real_root_unwrap(secret, wrapped, shared, shared_size, commitment32);
    tell("shared", shared, shared_size);
    if (status == SENTINEL_OK) {
        tell("unwrapped", secret->secret32, 32);
    }
    return status;
}

sentinel_status __real_hkdf_sha256(uint8_t key32[32], const void *secret, size_t size,
                                   const uint8_t salt32[32], const hkdf_info *info);
sentinel_status __wrap_hkdf_sha256(uint8_t key32[32], const void *secret, size_t size,
                                   const uint8_t salt32[32], const hkdf_info *info);
sentinel_status __wrap_hkdf_sha256(uint8_t key32[32], const void *secret, size_t size,
                                   const uint8_t salt32[32], const hkdf_info *info) {
    sentinel_status status = __real_hkdf_sha256(key32, secret, size, salt32, info);
    tell(info->label, key32, 32);
    return status;
}

sentinel_status __real_tls_channel_key(sentinel_channel_key *key, SSL *ssl,
                                       const sentinel_exporter_context *context);
sentinel_status __wrap_tls_channel_key(sentinel_channel_key *key, SSL *ssl,
                                       const sentinel_exporter_context *context);
sentinel_status __wrap_tls_channel_key(sentinel_channel_key *key, SSL *ssl,
                                       const sentinel_exporter_context *context) {
    sentinel_status status = __real_tls_channel_key(key, ssl, context);
    tell("channel", key->key32, 32);
    return status;
}

sentinel_status __real_sentinel_keyring_generate(sentinel_keyring *ring, sentinel_key_info *info);
sentinel_status __wrap_sentinel_keyring_generate(sentinel_keyring *ring, sentinel_key_info *info);
sentinel_status __wrap_sentinel_keyring_generate(sentinel_keyring *ring, sentinel_key_info *info) {
    is_making = 1;
    sentinel_status status = __real_sentinel_keyring_generate(ring, info);
    is_making = 0;
    return status;
}

/* Looking again before it sleeps is for clocks that go. */
int __wrap_patience_lasts(patience *p, int64_t now_ns);
int __wrap_patience_lasts(patience *p, int64_t now_ns) {
    (void)p, (void)now_ns;
    return 0;
}

/* Small segments: they are carried often, and a schedule should meet their ends. */
sentinel_status __real_sentinel_log_open(sentinel_log *log, int dir_fd,
                                         const uint8_t engine_id32[32], uint8_t durability,
                                         uint64_t segment_bytes);
sentinel_status __wrap_sentinel_log_open(sentinel_log *log, int dir_fd,
                                         const uint8_t engine_id32[32], uint8_t durability,
                                         uint64_t segment_bytes);
sentinel_status __wrap_sentinel_log_open(sentinel_log *log, int dir_fd,
                                         const uint8_t engine_id32[32], uint8_t durability,
                                         uint64_t segment_bytes) {
    (void)segment_bytes;
    return __real_sentinel_log_open(log, dir_fd, engine_id32, durability,
                                    SENTINEL_SEGMENT_BYTES_MIN);
}

/* ---- Randomness --------------------------------------------------------------------- */

static void draw(void *bytes, size_t size) {
    uint8_t seed32[randombytes_SEEDBYTES] = {0};
    memcpy(seed32, &rng, sizeof rng < sizeof seed32 ? sizeof rng : sizeof seed32);
    rng.drawn++;
    randombytes_buf_deterministic(bytes, size, seed32);
    if (is_making) {
        tell("made", bytes, size);
    }
}

static const char *sodium_name(void) {
    return "fake";
}

static uint32_t sodium_random(void) {
    uint32_t number;
    draw(&number, sizeof number);
    return number;
}

static randombytes_implementation sodium_fake = {
    .implementation_name = sodium_name, .random = sodium_random, .buf = draw};

static int openssl_bytes(unsigned char *bytes, int size) {
    draw(bytes, (size_t)size);
    return 1;
}

static int openssl_status(void) {
    return 1;
}

int getentropy(void *bytes, size_t size) {
    draw(bytes, size);
    return 0;
}

ssize_t getrandom(void *bytes, size_t size, unsigned flags) {
    (void)flags;
    draw(bytes, size);
    return (ssize_t)size;
}

static void randomness_begin(uint64_t seed) {
    static RAND_METHOD method = {
        .bytes = openssl_bytes, .pseudorand = openssl_bytes, .status = openssl_status};
    rng.seed = seed;
    if (RAND_set_rand_method(&method) != 1 || randombytes_set_implementation(&sodium_fake) != 0 ||
        sodium_init() < 0) {
        abort();
    }
}

sentinel_status __wrap_rsa_make(EVP_PKEY **key);
sentinel_status __wrap_rsa_make(EVP_PKEY **key) {
    *key = rsa_pool[rsa_next++ % rsa_count];
    return EVP_PKEY_up_ref(*key) == 1 ? SENTINEL_OK : SENTINEL_CRYPTO_FAILED;
}

/* Made once, and kept: there is nothing to learn from their making. */
static int rsa_load(const char *path, unsigned count) {
    FILE *file = fopen(path, "r");
    while (file != NULL && rsa_count < count &&
           (rsa_pool[rsa_count] = PEM_read_PrivateKey(file, NULL, NULL, NULL)) != NULL) {
        rsa_count++;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (rsa_count == count) {
        return 1;
    }
    file = fopen(path, "w");
    for (; file != NULL && rsa_count < count; rsa_count++) {
        rsa_pool[rsa_count] = EVP_RSA_gen(2048);
    }
    for (unsigned i = 0; file != NULL && i < count; i++) {
        if (PEM_write_PrivateKey(file, rsa_pool[i], NULL, NULL, 0, NULL, NULL) != 1) {
            return 0;
        }
    }
    return file != NULL && fclose(file) == 0;
}

/* ---- Time ----------------------------------------------------------------------------- */

int clock_gettime(clockid_t id, struct timespec *at) {
    int is_wall = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE;
    int64_t ns = __atomic_load_n(&clocks[is_wall ? 0 : 1], __ATOMIC_ACQUIRE);
    *at = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    return 0;
}

int clock_settime(clockid_t id, const struct timespec *at) {
    (void)id, (void)at;
    return 0;
}

/* Sleeps until there is something, or the test rings: it has sent all that it
 * wants to see served, or has moved the clocks. It hears back when all is done. */
int epoll_wait(int epoll_fd, struct epoll_event *events, int most, int wait_ms) {
    char byte;
    for (;;) {
        int count = epoll_pwait(epoll_fd, events, most, 0, NULL);
        if (count != 0 || wait_ms == 0) {
            return count;
        }
        if (is_asked && write(bell_fd, "", 1) != 1) {
            _exit(3);
        }
        is_asked = 0;
        struct pollfd either[] = {{.fd = epoll_fd, .events = POLLIN},
                                  {.fd = bell_fd, .events = POLLIN}};
        (void)poll(either, 2, wait_ms == 1 ? 1 : -1);
        if (either[1].revents != 0) {
            if (read(bell_fd, &byte, 1) != 1) {
                _exit(3); /* the test is over */
            }
            is_asked = 1;
            return 0; /* so that what is late is seen */
        }
        if (wait_ms == 1 && either[0].revents == 0) {
            return 0;
        }
    }
}

/* ---- Boots ------------------------------------------------------------------------------ */

static sentinel_status carry(void *with, uint8_t *response, size_t *response_size,
                             const uint8_t *asked, size_t asked_size) {
    fake_nsm *fake = with;
    fake->time_ms = (uint64_t)clocks[0] / 1000000;
    return fake_nsm_carry(fake, response, response_size, asked, asked_size);
}

static int boot(const request *asked, int lobby_fd) {
    static fake_nsm fake;
    char engine[96], sessions[96], secrets[96];
    uint8_t tls_seed32[32];
    (void)snprintf(engine, sizeof engine, "%s/engine", asked->dir);
    (void)snprintf(sessions, sizeof sessions, "%s/sessions", asked->dir);
    (void)snprintf(secrets, sizeof secrets, "%s/secrets", asked->dir);
    secrets_fd = open(secrets, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    randomness_begin(asked->seed);
    rsa_next = asked->rsa_first;
    fake_nsm_begin(&fake);
    draw(tls_seed32, sizeof tls_seed32);
    tell("tls", tls_seed32, sizeof tls_seed32);
    return fake_daemon(engine, lobby_fd, sessions, carry, &fake, tls_seed32);
}

/* One request, with three descriptors: bell, console, lobby. Returns: 0: no more. */
static int take(request *asked, int fds[FDS], int control_fd) {
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(FDS * sizeof(int))];
    } beside = {0};
    struct iovec part = {asked, sizeof *asked};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = beside.bytes,
                             .msg_controllen = sizeof beside.bytes};
    ssize_t got = recvmsg(control_fd, &message, 0);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    fds[0] = fds[1] = fds[2] = -1;
    if (head != NULL && head->cmsg_len == CMSG_LEN(FDS * sizeof(int))) {
        memcpy(fds, CMSG_DATA(head), FDS * sizeof(int));
    }
    return got == (ssize_t)sizeof *asked;
}

int main(int argc, char **argv) {
    request asked;
    int fds[FDS];
    if (argc != 5 || !rsa_load(argv[3], (unsigned)atoi(argv[4]))) {
        return 2;
    }
    int control_fd = atoi(argv[1]), clock_fd = open(argv[2], O_RDONLY | O_CLOEXEC);
    void *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, clock_fd, 0);
    if (page == MAP_FAILED) {
        return 2;
    }
    clocks = page;
    while (take(&asked, fds, control_fd)) {
        int answer = 0;
        if (asked.kind == BOOT) {
            answer = fork();
            if (answer == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void)close(control_fd);
                bell_fd = fds[0];
                (void)dup2(fds[1], STDERR_FILENO);
                (void)close(fds[1]);
                exit(boot(&asked, fds[2]));
            }
            for (int i = 0; i < FDS; i++) {
                (void)close(fds[i]);
            }
        } else {
            if (asked.signal != 0) {
                (void)kill((pid_t)asked.pid, (int)asked.signal);
            }
            if (waitpid((pid_t)asked.pid, &answer, 0) < 0) {
                answer = -1;
            }
        }
        if (send(control_fd, &answer, sizeof answer, 0) != sizeof answer) {
            return 1;
        }
    }
    return 0;
}
