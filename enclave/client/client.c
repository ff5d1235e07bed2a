/* The calls, and what happens when a connection is lost in one. */
#include <errno.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "check.h"
#include "client_internal.h"
#include "sign_internal.h"
#include "tls.h"

#define PAGE_BYTES 4096u
#define PAUSE_NS_MIN INT64_C(5000000)
#define PAUSE_NS_MAX INT64_C(200000000)
#define TIMEOUT_NS_MAX INT64_C(3600000000000)

/* ---- Opening and closing --------------------------------------------------------- */

static int options_are_valid(const client_address *address,
                             const sentinel_client_options *options) {
    const unsigned known = SENTINEL_CLIENT_PEER | SENTINEL_CLIENT_BUSY_POLL;
    int is_peer = (options->flags & SENTINEL_CLIENT_PEER) != 0;
    return options->role != 0 && options->role < SENTINEL_ROLE_COUNT &&
           (options->agent != 0) == (options->role == SENTINEL_ROLE_AGENT) &&
           (options->flags & ~known) == 0 && bytes_are_zero(options->reserved, 4) &&
           options->timeout_ns >= 0 && options->timeout_ns <= TIMEOUT_NS_MAX &&
           (!is_peer || (address->kind != CLIENT_VSOCK && options->role == SENTINEL_ROLE_AGENT));
}

/* A child of ours has our keys and counters: two frames would share a nonce. So
 * it finds a page that is wiped by the fork, and makes a session of its own. */
static sentinel_status alive_make(sentinel_client *client) {
    uint8_t *page =
        mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return SENTINEL_IO_MEMORY;
    }
    client->alive = page;
    if (madvise(page, PAGE_BYTES, MADV_WIPEONFORK) != 0) {
        return SENTINEL_IO_MEMORY;
    }
    *page = 1;
    return SENTINEL_OK;
}

static sentinel_status client_fill(sentinel_client *client,
                                   const sentinel_client_options *options) {
    uint8_t public_key32[32];
    client->options = *options;
    bytes_wipe(client->options.seed32, sizeof client->options.seed32);
    client->options.pin_file = NULL;
    if (client->options.timeout_ns == 0) {
        client->options.timeout_ns = SENTINEL_CLIENT_TIMEOUT_NS;
    }
    SENTINEL_TRY(alive_make(client));
    if (options->pin_file != NULL) {
        client->pin_file = strdup(options->pin_file);
        if (client->pin_file == NULL) {
            return SENTINEL_IO_MEMORY;
        }
    }
    if ((options->flags & SENTINEL_CLIENT_PEER) == 0) {
        client->tls = tls_context(public_key32, 0, options->seed32);
        if (client->tls == NULL) {
            return SENTINEL_CRYPTO_INIT;
        }
    }
    return SENTINEL_OK;
}

sentinel_status sentinel_client_open(sentinel_client **client, const char *address,
                                     const sentinel_client_options *options) {
    client_address parsed;
    if (client == NULL) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    *client = NULL;
    if (address == NULL || options == NULL) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    SENTINEL_TRY(client_address_parse(&parsed, address));
    if (!options_are_valid(&parsed, options)) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    sentinel_client *made = NULL;
    if (posix_memalign((void **)&made, 64, sizeof *made) != 0) {
        return SENTINEL_IO_MEMORY;
    }
    memset(made, 0, sizeof *made);
    made->fd = -1;
    made->address = parsed;
    sentinel_status status = client_fill(made, options);
    if (status == SENTINEL_OK) {
        status = client_connect(made, client_running_ns() + made->options.timeout_ns);
    }
    if (status != SENTINEL_OK) {
        int number = made->facts.last_errno;
        sentinel_client_close(made);
        errno = number;
        return status;
    }
    *client = made;
    return SENTINEL_OK;
}

void sentinel_client_close(sentinel_client *client) {
    if (client == NULL) {
        return;
    }
    client_drop(client);
    SSL_CTX_free(client->tls);
    free(client->pin_file);
    if (client->alive != NULL) {
        (void)munmap(client->alive, PAGE_BYTES);
    }
    if (client->wide != NULL) {
        bytes_wipe(client->wide, client->wide_size);
        free(client->wide);
    }
    if (client->whole != NULL) {
        bytes_wipe(client->whole, client->whole_size);
        free(client->whole);
    }
    bytes_wipe(client, sizeof *client);
    free(client);
}

sentinel_status sentinel_client_set_timeout(sentinel_client *client, int64_t timeout_ns) {
    if (timeout_ns <= 0 || timeout_ns > TIMEOUT_NS_MAX) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    client->options.timeout_ns = timeout_ns;
    return SENTINEL_OK;
}

void sentinel_client_facts_get(const sentinel_client *client, sentinel_client_facts *facts) {
    *facts = client->facts;
}

sentinel_status sentinel_client_seed(uint8_t seed32[32], const sentinel_keyring *ring,
                                     uint32_t id) {
    memset(seed32, 0, 32);
    if (!sign_is_live(ring)) {
        return SENTINEL_KEY_WIPED;
    }
    const sign_slot *slot = sign_slot_find(ring, id);
    if (slot == NULL) {
        return SENTINEL_KEY_UNKNOWN;
    }
    if (slot->info.purpose != SENTINEL_PURPOSE_AUTHORITY || slot->secret_size != 32) {
        return SENTINEL_KEY_PURPOSE;
    }
    memcpy(seed32, slot->secret, 32);
    return SENTINEL_OK;
}

/* ---- One call -------------------------------------------------------------------- */

/* Whether another attempt may end otherwise: the daemon went, comes, or is full.
 * A file of the pin may be older than the daemon that just began. */
static int is_passing(const sentinel_client *client, sentinel_status status) {
    switch (status) {
    case SENTINEL_IO_READ:
    case SENTINEL_IO_WRITE:
    case SENTINEL_CRYPTO_FAILED:
    case SENTINEL_USAGE_STATE:
    case SENTINEL_USAGE_CAPACITY:
        return 1;
    case SENTINEL_IO_OPEN:
        return client->facts.last_errno != EACCES && client->facts.last_errno != EPERM;
    case SENTINEL_CRYPTO_VERIFY:
    case SENTINEL_FORMAT_SIZE:
        return client->pin_file != NULL && client->fd < 0;
    default:
        return 0;
    }
}

void client_pause(unsigned attempt, int64_t end_ns) {
    int64_t pause_ns = PAUSE_NS_MIN << (attempt < 6 ? attempt : 6);
    pause_ns = pause_ns < PAUSE_NS_MAX ? pause_ns : PAUSE_NS_MAX;
    int64_t left = end_ns - client_running_ns();
    pause_ns = pause_ns < left ? pause_ns : left;
    if (pause_ns > 0) {
        struct timespec time = {0, (long)pause_ns};
        (void)nanosleep(&time, NULL);
    }
}

static sentinel_status connected(sentinel_client *client, int64_t end_ns) {
    if (client->fd >= 0 && *client->alive && client->now_ns < client->renew_ns) {
        return SENTINEL_OK;
    }
    *client->alive = 1;
    sentinel_status status = client_connect(client, end_ns);
    client->now_ns = client_running_ns();
    return status;
}

sentinel_status client_call(sentinel_client *client, const uint8_t **answer, size_t *answer_size,
                            uint16_t request, const void *payload, size_t size, int64_t end_ns) {
    *answer = NULL;
    *answer_size = 0;
    client->facts.is_answer = client->facts.is_resent = client->facts.is_sent = 0;
    if (request == 0 || request >= SENTINEL_REQUEST_COUNT || size > SENTINEL_CHANNEL_BYTES_MAX ||
        (payload == NULL && size != 0)) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    for (unsigned attempt = 0;; attempt++) {
        sentinel_status said = SENTINEL_OK;
        uint8_t was_sent = client->facts.is_sent;
        client->now_ns = client_running_ns();
        sentinel_status status = connected(client, end_ns);
        if (status == SENTINEL_OK) {
            client->facts.resent += was_sent && !client->facts.is_resent;
            client->facts.is_resent |= was_sent;
            status =
                client_exchange(client, &said, answer, answer_size, request, payload, size, end_ns);
        }
        if (status == SENTINEL_OK) {
            client->facts.is_answer = 1;
            return said;
        }
        /* A late answer must not be taken for that of the next request. */
        int passing = is_passing(client, status);
        client_drop(client);
        *answer = NULL;
        *answer_size = 0;
        if (!passing || attempt >= CLIENT_RESENDS_MAX || client_running_ns() >= end_ns) {
            return status;
        }
        if (attempt > 0 || !client->facts.is_sent) {
            client_pause(attempt, end_ns);
        }
    }
}

sentinel_status sentinel_client_call(sentinel_client *client, const uint8_t **answer,
                                     size_t *answer_size, uint16_t request, const void *payload,
                                     size_t size) {
    return client_call(client, answer, answer_size, request, payload, size,
                       client_running_ns() + client->options.timeout_ns);
}

/* A call whose answer has exactly one size. */
static sentinel_status fixed_call(sentinel_client *client, void *out, size_t out_size,
                                  uint16_t request, const void *payload, size_t size) {
    const uint8_t *answer;
    size_t answer_size;
    memset(out, 0, out_size);
    SENTINEL_TRY(sentinel_client_call(client, &answer, &answer_size, request, payload, size));
    if (answer_size != out_size) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(out, answer, out_size);
    return SENTINEL_OK;
}

/* ---- Signing ----------------------------------------------------------------------- */

/* The order as it is sent: agent and action id are filled in. */
static sentinel_status stamp(sentinel_client *client, uint8_t *order, int *is_ours) {
    sentinel_order_header header;
    memcpy(&header, order, sizeof header);
    if (header.agent == 0) {
        header.agent = client->options.agent;
    }
    *is_ours = header.action_id == 0;
    if (*is_ours && client->next_action == 0) {
        sentinel_daemon_status status;
        SENTINEL_TRY(sentinel_client_status(client, &status));
        if (status.next_action_known != 1 || status.next_action == 0) {
            return SENTINEL_FORMAT_RANGE;
        }
        client->next_action = status.next_action;
    }
    if (*is_ours) {
        header.action_id = client->next_action;
    }
    if (header.action_id >= client->next_action && client->next_action != 0) {
        client->next_action = header.action_id == UINT64_MAX ? 0 : header.action_id + 1;
    }
    memcpy(order, &header, sizeof header);
    return SENTINEL_OK;
}

sentinel_status sentinel_client_sign_packed(sentinel_client *client, const uint8_t **packed,
                                            size_t *packed_size, void *stamped,
                                            const void *order_bytes, size_t size) {
    _Alignas(8) uint8_t order[SENTINEL_ORDER_BYTES_MAX];
    int is_ours;
    *packed = NULL;
    *packed_size = 0;
    if (order_bytes == NULL || size < sizeof(sentinel_order_header) || size > sizeof order) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    memcpy(order, order_bytes, size);
    SENTINEL_TRY(stamp(client, order, &is_ours));
    if (stamped != NULL) {
        memcpy(stamped, order, size);
    }
    sentinel_status status =
        sentinel_client_call(client, packed, packed_size, SENTINEL_REQUEST_SIGN, order, size);
    if (*packed != NULL && *packed_size != 0) {
        /* There is an outcome whenever the gate decided. */
        SENTINEL_TRY(sentinel_outcome_unpack(NULL, *packed, *packed_size));
        const sentinel_outcome *head = (const sentinel_outcome *)*packed;
        if (head->reason == SENTINEL_REASON_DUPLICATE && is_ours) {
            client->next_action = 0; /* Somebody else signs for this agent: ask again. */
        }
        return SENTINEL_OK;
    }
    *packed = NULL;
    *packed_size = 0;
    return status == SENTINEL_OK ? SENTINEL_FORMAT_SIZE : status;
}

sentinel_status sentinel_client_sign(sentinel_client *client, sentinel_outcome *outcome,
                                     const void *order_bytes, size_t size) {
    const uint8_t *packed;
    size_t packed_size;
    memset(outcome, 0, sizeof *outcome);
    SENTINEL_TRY(
        sentinel_client_sign_packed(client, &packed, &packed_size, NULL, order_bytes, size));
    return sentinel_outcome_unpack(outcome, packed, packed_size);
}

/* ---- The others ---------------------------------------------------------------------- */

sentinel_status sentinel_client_withdraw(sentinel_client *client, uint64_t *record,
                                         uint64_t action_id) {
    return fixed_call(client, record, sizeof *record, SENTINEL_REQUEST_WITHDRAW, &action_id,
                      sizeof action_id);
}

sentinel_status sentinel_client_beat(sentinel_client *client, uint64_t *record, const void *frame,
                                     size_t size) {
    return fixed_call(client, record, sizeof *record, SENTINEL_REQUEST_BEAT, frame, size);
}

sentinel_status sentinel_client_take(sentinel_client *client, sentinel_taken *taken,
                                     sentinel_signed_ack *ack, int *ack_is_there, const void *frame,
                                     size_t size) {
    const uint8_t *answer;
    size_t answer_size;
    memset(taken, 0, sizeof *taken);
    memset(ack, 0, sizeof *ack);
    *ack_is_there = 0;
    SENTINEL_TRY(client_take_bytes(client, &answer, &answer_size, frame, size));
    if (answer_size == sizeof *ack) {
        memcpy(ack, answer, sizeof *ack);
        taken->record = ack->ack.record;
        *ack_is_there = 1;
        return SENTINEL_OK;
    }
    if (answer_size != sizeof *taken) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(taken, answer, sizeof *taken);
    return taken->held <= 1 && bytes_are_zero(taken->reserved, sizeof taken->reserved)
               ? SENTINEL_OK
               : SENTINEL_FORMAT_RANGE;
}

sentinel_status sentinel_client_status(sentinel_client *client, sentinel_daemon_status *status) {
    return fixed_call(client, status, sizeof *status, SENTINEL_REQUEST_STATUS, NULL, 0);
}

sentinel_status sentinel_client_records(sentinel_client *client, const uint8_t **records,
                                        size_t *size, uint64_t first, uint32_t bytes_max) {
    const sentinel_records_wanted wanted = {.first = first, .bytes_max = bytes_max};
    return sentinel_client_call(client, records, size, SENTINEL_REQUEST_RECORDS, &wanted,
                                sizeof wanted);
}

sentinel_status sentinel_client_attest(sentinel_client *client, const uint8_t **document,
                                       size_t *size, const uint8_t nonce32[32]) {
    return sentinel_client_call(client, document, size, SENTINEL_REQUEST_ATTEST, nonce32, 32);
}

sentinel_status sentinel_client_keys(sentinel_client *client, const uint8_t **rows, size_t *size) {
    return sentinel_client_call(client, rows, size, SENTINEL_REQUEST_KEYS, NULL, 0);
}

sentinel_status sentinel_client_file(sentinel_client *client, const uint8_t **bytes, size_t *size,
                                     uint64_t *total, const char *name, uint64_t offset,
                                     uint32_t bytes_max) {
    sentinel_file_wanted wanted = {.offset = offset, .bytes_max = bytes_max};
    size_t name_size = strlen(name);
    *bytes = NULL;
    *size = 0;
    *total = 0;
    if (name_size >= sizeof wanted.name) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    memcpy(wanted.name, name, name_size);
    SENTINEL_TRY(
        sentinel_client_call(client, bytes, size, SENTINEL_REQUEST_FILE, &wanted, sizeof wanted));
    if (name_size == 0) {
        return SENTINEL_OK;
    }
    if (*size < sizeof *total) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(total, *bytes, sizeof *total);
    *bytes += sizeof *total;
    *size -= sizeof *total;
    return SENTINEL_OK;
}

sentinel_status sentinel_client_head(sentinel_client *client, sentinel_head *head,
                                     uint8_t signature64[64]) {
    struct {
        sentinel_head head;
        uint8_t signature64[64];
    } answer;
    sentinel_status status =
        fixed_call(client, &answer, sizeof answer, SENTINEL_REQUEST_HEAD, NULL, 0);
    *head = answer.head;
    memcpy(signature64, answer.signature64, 64);
    return status;
}

sentinel_status sentinel_client_ask(sentinel_client *client, sentinel_ask *ask,
                                    uint8_t signature64[64], uint32_t flags) {
    struct {
        sentinel_ask ask;
        uint8_t signature64[64];
    } answer;
    sentinel_status status =
        fixed_call(client, &answer, sizeof answer, SENTINEL_REQUEST_ASK, &flags, sizeof flags);
    *ask = answer.ask;
    memcpy(signature64, answer.signature64, 64);
    return status;
}
