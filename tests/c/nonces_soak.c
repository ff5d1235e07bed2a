/* Ten million signatures with nonces made ahead, and no nonce twice: the program
 * (docs/3-sign.md). Workers with one set of keys, each with two threads that
 * fill and two that sign without taking turns; every so often a thread forks,
 * the child must find its parent's pools wiped and then signs with the same keys
 * from pools of its own; workers and children are killed (kill -9) at random
 * moments and begin again. Each signature is verified by a library's own
 * function and then counted: the first 16 bytes of its R stand in shared memory
 * and are compared at the end. R and -R, k and -k have these in common.
 *
 *   nonces_soak [--count N] [--workers N] [--seed N] [--json] [--sample FILE]
 *               [--rows ALGORITHM FILE] [--plant repeat|forge]
 *
 * Memory: 16 bytes a signature, and some megabytes. Ends with 0 when nothing
 * repeats and everything verifies. --rows writes the bare signatures instead. */
#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sched.h>
#include <secp256k1_recovery.h>
#include <secp256k1_schnorrsig.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "nonces_soak.h"
#include "sign_nonces.h"

static soak *common;
static soak_options options = {.count = 500000, .workers = 2};

/* ---- a worker's keys and what it does with them -------------------------------- */

static sentinel_keyring *ring;
static sentinel_key_info infos[SOAK_ALGORITHMS];
static secp256k1_context *verifier;

static uint64_t scramble(uint64_t x) { /* splitmix64 */
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void die(const char *why) {
    (void)fprintf(stderr, "nonces_soak: %s\n", why);
    __atomic_fetch_add(&common->broken, 1, __ATOMIC_RELAXED);
    _exit(3);
}

/* The same keys in every process, and a pool for each. */
static void keys_open(void) {
    if (sentinel_keyring_new(&ring) != SENTINEL_OK) {
        die("no keyring");
    }
    for (uint32_t i = 0; i < SOAK_ALGORITHMS; i++) {
        uint8_t secret32[32];
        memset(secret32, (int)(0x41 + i), sizeof secret32); /* a test key */
        memset(&infos[i], 0, sizeof infos[i]);
        infos[i].id = i + 1;
        infos[i].purpose = SENTINEL_PURPOSE_MESSAGE;
        infos[i].algorithm = (uint8_t)(SENTINEL_ALGORITHM_ED25519 + i);
        if (sentinel_keyring_import(ring, &infos[i], secret32, sizeof secret32) != SENTINEL_OK ||
            sentinel_nonces_start(ring, i + 1, SOAK_CAPACITY) != SENTINEL_OK) {
            die("no key, or no pool; is RLIMIT_MEMLOCK below 4 MB?");
        }
    }
}

static void fill(uint32_t key) {
    uint32_t made = 0;
    if (sentinel_nonces_fill(ring, key, &made) != SENTINEL_OK) {
        die("a fill failed");
    }
    if (made == 0) {
        (void)sched_yield();
    }
}

/* By the libraries' own functions, and none of ours. */
static int verifies(const soak_row *row) {
    const uint8_t *key = infos[row->algorithm].public_key;
    uint8_t digest32[32];
    secp256k1_pubkey point, found;
    secp256k1_xonly_pubkey xonly;
    secp256k1_ecdsa_signature plain;
    secp256k1_ecdsa_recoverable_signature recoverable;
    crypto_hash_sha256(digest32, row->message, sizeof row->message);
    switch (row->algorithm) {
    case SOAK_ED25519:
        return crypto_sign_verify_detached(row->signature, row->message, sizeof row->message,
                                           key) == 0;
    case SOAK_ECDSA: /* a high s fails here */
        return secp256k1_ec_pubkey_parse(verifier, &point, key, 33) &&
               secp256k1_ecdsa_signature_parse_compact(verifier, &plain, row->signature) &&
               secp256k1_ecdsa_verify(verifier, &plain, digest32, &point) &&
               (row->number % 16 != 0 || /* the recovery id, of one in sixteen */
                (secp256k1_ecdsa_recoverable_signature_parse_compact(
                     verifier, &recoverable, row->signature, row->recovery_id) &&
                 secp256k1_ecdsa_recover(verifier, &found, &recoverable, digest32) &&
                 secp256k1_ec_pubkey_cmp(verifier, &found, &point) == 0));
    default:
        return secp256k1_xonly_pubkey_parse(verifier, &xonly, key) &&
               secp256k1_schnorrsig_verify(verifier, row->signature, digest32, 32, &xonly);
    }
}

static void message_of(soak_row *row) {
    for (size_t i = 0; i < sizeof row->message; i += 8) {
        const uint64_t word = i == 0 ? row->number : scramble(row->number * 8 + i);
        memcpy(row->message + i, &word, 8);
    }
}

/* A signature by the pool; by the public call, in turns, once in eight. */
static int sign(soak_row *row) {
    static pthread_mutex_t turns = PTHREAD_MUTEX_INITIALIZER;
    const uint32_t key = row->algorithm + 1u;
    sign_pool *pool = sign_slot_find(ring, key)->pool;
    sentinel_signature signature;
    uint8_t digest32[32];
    memset(&signature, 0, sizeof signature);
    if (row->number % 8 == 0) {
        (void)pthread_mutex_lock(&turns);
        sentinel_status status =
            sentinel_sign(ring, &signature, key, row->message, sizeof row->message);
        (void)pthread_mutex_unlock(&turns);
        if (status != SENTINEL_OK) {
            return 0;
        }
    } else {
        crypto_hash_sha256(digest32, row->message, sizeof row->message);
        const int whole = row->algorithm == SOAK_ED25519;
        while (!sign_with_nonce(&signature, pool, whole ? row->message : digest32,
                                whole ? sizeof row->message : 32)) {
            fill(key); /* it was empty */
        }
    }
    memcpy(row->signature, signature.bytes, 64);
    row->recovery_id = signature.recovery_id;
    return 1;
}

/* Counted from now on. Half a row, where the process is killed here, is a hole. */
static void note(const soak_row *row, uint64_t at) {
    uint64_t halves[2];
    memcpy(halves, row->signature, sizeof halves);
    __atomic_store_n(&common->shown[at].low, halves[0], __ATOMIC_RELAXED);
    __atomic_store_n(&common->shown[at].high, halves[1] | (halves[1] == 0), __ATOMIC_RELEASE);
    __atomic_fetch_add(&common->of_algorithm[row->algorithm], 1, __ATOMIC_RELAXED);
    if (row->number % common->sample_every == 0) {
        const uint64_t place =
            __atomic_fetch_add(&common->sampled[row->algorithm], 1, __ATOMIC_RELAXED);
        if (place < SOAK_SAMPLE) {
            common->sample[row->algorithm][place] = *row;
            __atomic_store_n(&common->sample[row->algorithm][place].written, 1, __ATOMIC_RELEASE);
        }
    }
}

/* Planted: a nonce is put back, and signs again. */
static void sign_twice(soak_row *row) {
    sign_pool *pool = sign_slot_find(ring, row->algorithm + 1u)->pool;
    while (pool->nonces[0].ready != 1) {
        fill(row->algorithm + 1u);
    }
    const sign_nonce kept = pool->nonces[0];
    for (int i = 0; i < 2; i++) {
        pool->nonces[0] = kept;
        pool->next = 0;
        const uint64_t at = __atomic_fetch_add(&common->taken, 1, __ATOMIC_RELAXED);
        row->number = 8 * at + 1;
        message_of(row);
        if (!sign(row) || !verifies(row)) {
            die("a planted signature does not verify");
        }
        note(row, at);
    }
}

/* One signature more. 0: there are enough. */
static int sign_next(void) {
    soak_row row;
    const uint64_t at = __atomic_fetch_add(&common->taken, 1, __ATOMIC_RELAXED);
    if (at >= common->places) {
        return 0;
    }
    memset(&row, 0, sizeof row);
    row.number = at;
    row.algorithm = (uint8_t)(scramble(at) % SOAK_ALGORITHMS);
    message_of(&row);
    if (!sign(&row)) {
        die("a signature failed");
    }
    row.signature[40] ^= (uint8_t)(options.plant == SOAK_FORGE && at == 1000);
    if (verifies(&row)) {
        note(&row, at);
    } else {
        __atomic_fetch_add(&common->wrong, 1, __ATOMIC_RELAXED);
    }
    return 1;
}

/* ---- forks, threads, kills ------------------------------------------------------ */

static void die_with_parent(pid_t parent) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(0);
    }
}

/* What was inherited signs nothing; the same keys, with new pools, do. */
static void child_runs(pid_t parent) {
    sentinel_signature signature;
    uint32_t made = 0;
    die_with_parent(parent);
    for (uint32_t key = 1; key <= SOAK_ALGORITHMS; key++) {
        const uint8_t digest32[32] = {1};
        if (sentinel_sign(ring, &signature, key, digest32, 32) != SENTINEL_KEY_WIPED ||
            sentinel_nonces_fill(ring, key, &made) != SENTINEL_KEY_WIPED) {
            die("a forked child can use its parent's keys");
        }
    }
    keys_open();
    for (int i = 0; i < SOAK_CHILD_SIGNS && sign_next(); i++) {
    }
    _exit(0);
}

/* Killed, or done; whatever else ends a process must not be. */
static int was_killed(int state) {
    if (WIFSIGNALED(state) && WTERMSIG(state) == SIGKILL) {
        return 1;
    }
    if (!WIFEXITED(state) || WEXITSTATUS(state) != 0) {
        (void)fprintf(stderr, "nonces_soak: a process ended with state %#x\n", (unsigned)state);
        __atomic_fetch_add(&common->broken, 1, __ATOMIC_RELAXED);
    }
    return 0;
}

static void fork_once(uint64_t chance) {
    const pid_t me = getpid();
    const pid_t child = fork();
    if (child == 0) {
        child_runs(me);
    }
    if (child < 0) {
        return;
    }
    __atomic_fetch_add(&common->forks, 1, __ATOMIC_RELAXED);
    if (chance % 2 == 0) { /* amid its work: it takes about 20 ms */
        (void)usleep((useconds_t)(chance / 2 % 20000));
        (void)kill(child, SIGKILL);
    }
    int state = 0;
    while (waitpid(child, &state, 0) < 0 && errno == EINTR) {
    }
    __atomic_fetch_add(&common->child_kills, (uint64_t)was_killed(state), __ATOMIC_RELAXED);
}

static void *sign_until_enough(void *data) {
    uint64_t chance = scramble((uint64_t)getpid() << 8 | (uintptr_t)data);
    while (sign_next()) {
        chance = scramble(chance);
        if (chance % SOAK_FORK_EVERY == 0) {
            fork_once(scramble(chance));
        }
    }
    return NULL;
}

/* In the state of a pool that nobody signs from, this only yields. */
static void *fill_until_enough(void *data) {
    (void)data;
    while (__atomic_load_n(&common->taken, __ATOMIC_RELAXED) < common->places) {
        for (uint32_t key = 1; key <= SOAK_ALGORITHMS; key++) {
            fill(key);
        }
    }
    return NULL;
}

static void worker_runs(pid_t parent) {
    pthread_t threads[2 * SOAK_THREADS];
    die_with_parent(parent);
    keys_open();
    if (options.plant == SOAK_REPEAT && __atomic_exchange_n(&common->planted, 1, 4) == 0) {
        soak_row row = {.algorithm = SOAK_ECDSA};
        sign_twice(&row);
        _exit(0); /* its counts are in disorder */
    }
    for (uintptr_t i = 0; i < SOAK_THREADS; i++) {
        if (pthread_create(&threads[2 * i], NULL, sign_until_enough, (void *)i) != 0 ||
            pthread_create(&threads[2 * i + 1], NULL, fill_until_enough, NULL) != 0) {
            die("no thread");
        }
    }
    for (int i = 0; i < 2 * SOAK_THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    for (uint32_t key = 1; key <= SOAK_ALGORITHMS; key++) {
        sentinel_nonces figures;
        if (sentinel_nonces_read(ring, key, &figures) != SENTINEL_OK || figures.burnt != 0 ||
            figures.made < figures.used) {
            die("a pool's figures are wrong");
        }
    }
    _exit(0);
}

static pid_t worker_begin(void) {
    const pid_t me = getpid();
    (void)fflush(stdout);
    const pid_t worker = fork();
    if (worker == 0) {
        worker_runs(me);
    }
    if (worker > 0) {
        common->starts++;
    }
    return worker;
}

static double now_s(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t taken(void) {
    const uint64_t count = __atomic_load_n(&common->taken, __ATOMIC_RELAXED);
    return count < common->places ? count : common->places;
}

static void progress(double began) {
    const double share = (double)taken() / (double)common->places;
    const double gone = now_s() - began;
    if (isatty(STDERR_FILENO) && share > 0) {
        (void)fprintf(stderr, "\r%5.1f %%  %llu signatures  %llu kills  %llu forks  %.0f s left  ",
                      100 * share, (unsigned long long)taken(), (unsigned long long)common->kills,
                      (unsigned long long)common->forks, gone / share - gone);
    }
}

/* Keeps the workers at work, and kills one at a random moment: each lives for a
 * second or so. Returns when all have ended by themselves. */
static void run_workers(double began) {
    pid_t workers[SOAK_WORKERS_MAX] = {0};
    uint64_t chance = scramble(options.seed ^ (uint64_t)getpid());
    for (uint32_t running = 1, first = 1; running > 0 && common->broken == 0; first = 0) {
        running = 0;
        for (uint32_t i = 0; i < options.workers; i++) {
            int state = 0;
            if (workers[i] > 0 && waitpid(workers[i], &state, WNOHANG) == workers[i]) {
                workers[i] = 0;
                common->kills += (uint64_t)was_killed(state);
            }
            if (workers[i] == 0 && (first || taken() < common->places)) {
                workers[i] = worker_begin();
            }
            running += workers[i] > 0;
            chance = scramble(chance);
            if (workers[i] > 0 && chance % 1000 < 20 && taken() < common->places) {
                (void)usleep((useconds_t)(scramble(chance) % 20000));
                (void)kill(workers[i], SIGKILL);
            }
        }
        (void)usleep(20000);
        progress(began);
    }
    for (uint32_t i = 0; i < options.workers; i++) {
        if (workers[i] > 0) {
            (void)kill(workers[i], SIGKILL);
            (void)waitpid(workers[i], NULL, 0);
        }
    }
}

/* ---- the end ---------------------------------------------------------------------- */

static int compare(const void *a, const void *b) {
    const soak_shown *x = a;
    const soak_shown *y = b;
    return x->low != y->low ? (x->low < y->low ? -1 : 1)
                            : (x->high > y->high) - (x->high < y->high);
}

/* Holes, of signatures that a kill kept from being counted, go to the end. */
static uint64_t close_holes(void) {
    uint64_t count = 0;
    for (uint64_t i = 0; i < common->places; i++) {
        if (common->shown[i].high != 0) {
            common->shown[count++] = common->shown[i];
        }
    }
    return count;
}

static uint64_t repeated(uint64_t count) {
    uint64_t twice = 0;
    qsort(common->shown, count, sizeof common->shown[0], compare);
    for (uint64_t i = 1; i < count; i++) {
        twice += compare(&common->shown[i - 1], &common->shown[i]) == 0;
    }
    return twice;
}

static void usage(void) {
    (void)fprintf(stderr,
                  "nonces_soak [--count N] [--workers 1..%d] [--seed N] [--json]"
                  " [--sample FILE] [--rows 0..2 FILE] [--plant repeat|forge]\n",
                  SOAK_WORKERS_MAX);
    exit(2);
}

static void read_options(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--json") == 0) {
            options.json = 1;
            continue;
        }
        if (*next == 0) {
            usage();
        }
        i++;
        if (strcmp(argv[i - 1], "--count") == 0) {
            options.count = strtoull(next, NULL, 10);
        } else if (strcmp(argv[i - 1], "--workers") == 0) {
            options.workers = (uint32_t)strtoul(next, NULL, 10);
        } else if (strcmp(argv[i - 1], "--seed") == 0) {
            options.seed = strtoull(next, NULL, 10);
        } else if (strcmp(argv[i - 1], "--sample") == 0) {
            options.sample = next;
        } else if (strcmp(argv[i - 1], "--rows") == 0 && i + 1 < argc) {
            options.rows_of = (uint8_t)strtoul(next, NULL, 10);
            options.rows = argv[++i];
        } else if (strcmp(argv[i - 1], "--plant") == 0) {
            options.plant = strcmp(next, "repeat") == 0 ? SOAK_REPEAT : SOAK_FORGE;
        } else {
            usage();
        }
    }
    if (options.count < 3000 || options.count > UINT64_C(1) << 32 || options.workers < 1 ||
        options.workers > SOAK_WORKERS_MAX || options.rows_of >= SOAK_ALGORITHMS) {
        usage();
    }
}

/* For statistics: only signatures, one after the other, of one key's pool. */
static int write_rows(void) {
    FILE *file = fopen(options.rows, "wb");
    soak_row row;
    memset(&row, 0, sizeof row);
    row.algorithm = options.rows_of;
    for (uint64_t i = 0; file != NULL && i < options.count; i++) {
        row.number = 8 * i + 1; /* by the pool */
        message_of(&row);
        if (!sign(&row) || fwrite(row.signature, 64, 1, file) != 1) {
            return 1;
        }
    }
    return file == NULL || fclose(file) != 0;
}

int main(int argc, char **argv) {
    soak_result result = {0};
    uint8_t keys[SOAK_ALGORITHMS][33] = {{0}};
    read_options(argc, argv);
    const uint64_t places = options.count + options.count / 64 + SOAK_HOLES;
    const size_t size = sizeof *common + places * sizeof common->shown[0];
    common = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    verifier = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    if (common == MAP_FAILED || verifier == NULL || sodium_init() < 0) {
        return 1;
    }
    common->places = places;
    common->sample_every = options.count / (SOAK_SAMPLE * SOAK_ALGORITHMS) + 1;
    if (options.rows != NULL) {
        keys_open();
        return write_rows();
    }
    const double began = now_s();
    run_workers(began);
    result.count = close_holes();
    result.twice = repeated(result.count);
    keys_open(); /* for the public keys */
    for (int i = 0; i < SOAK_ALGORITHMS; i++) {
        memcpy(keys[i], infos[i].public_key, infos[i].public_key_size);
        if (i != SOAK_BIP340) {
            result.openssl[i] = soak_openssl(common, i, infos[i].public_key);
        }
    }
    const int kept = options.sample == NULL || soak_write_sample(common, options.sample, keys);
    result.seconds = now_s() - began;
    const int passed = kept && result.twice == 0 && common->wrong == 0 && common->broken == 0 &&
                       result.count >= options.count;
    if (isatty(STDERR_FILENO)) {
        (void)fprintf(stderr, "\r%78s\r", "");
    }
    soak_say(common, &options, &result, passed);
    return passed ? 0 : 1;
}
