/* Who may come in: a key of the authority bundle in force, or of the root.
 * enclave/PROTOCOL.md, section 2. */
#include "server.h"
#include "tls.h"

#include "bytes.h"
#include "check.h"

#define UID_UNMAPPED 65534u /* what the kernel says of users of another user namespace */
#define POWER(name) (1u << SENTINEL_POWER_##name)

/* What a row must have, one of these, to claim a role. */
static const uint32_t role_powers[SENTINEL_ROLE_COUNT] = {
    [SENTINEL_ROLE_AGENT] = POWER(AGENT),
    [SENTINEL_ROLE_COMMAND] =
        POWER(POLICY) | POWER(LIMIT) | POWER(OPERATOR) | POWER(APPROVER) | POWER(WITNESS),
    [SENTINEL_ROLE_KEEPER] = POWER(KEEPER),
    [SENTINEL_ROLE_FEEDER] = POWER(FEED_MARK) | POWER(FEED_EXECUTION) | POWER(FEED_POSITION),
};

static sentinel_status hello_check(const sentinel_hello *hello, const uint8_t engine_id32[32]) {
    if (memcmp(hello->magic, "SENTHELO", sizeof hello->magic) != 0) {
        return SENTINEL_FORMAT_MAGIC;
    }
    if (hello->version != SENTINEL_PROTOCOL_VERSION) {
        return SENTINEL_FORMAT_VERSION;
    }
    if (!bytes_are_zero(hello->reserved0, sizeof hello->reserved0) ||
        !bytes_are_zero(hello->reserved1, sizeof hello->reserved1)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    if (hello->role == 0 || hello->role >= SENTINEL_ROLE_COUNT ||
        (hello->agent != 0) != (hello->role == SENTINEL_ROLE_AGENT)) {
        return SENTINEL_FORMAT_RANGE;
    }
    if (!bytes_are_zero(hello->engine_id32, 32) &&
        !bytes_equal(hello->engine_id32, engine_id32, 32)) {
        return SENTINEL_POLICY_ENGINE;
    }
    return SENTINEL_OK;
}

/* The row with this id, in force; null: there is none. */
static const sentinel_authority_key *row_find(const server *s, uint32_t id, int64_t now_ns) {
    size_t size;
    const sentinel_authority *authority = sentinel_gate_authority(s->context, &size);
    if (authority == NULL) {
        return NULL;
    }
    const sentinel_authority_key *rows = (const sentinel_authority_key *)(authority + 1);
    for (uint32_t i = 0; i < authority->key_count; i++) {
        if (rows[i].id == id) {
            return now_ns < rows[i].expires_ns ? &rows[i] : NULL;
        }
    }
    return NULL;
}

static int is_root(const server *s, const uint8_t public_key32[32]) {
    const sentinel_genesis *genesis = &sentinel_gate_config(s->context)->genesis;
    for (unsigned i = 0; i < genesis->root_count && i < SENTINEL_ROOT_KEYS_MAX; i++) {
        if (bytes_equal(genesis->root_keys[i], public_key32, 32)) {
            return 1;
        }
    }
    return 0;
}

/* What the session's row must be: that of its key, or of its user. */
static sentinel_status row_check(const server *s, conn *c, int64_t now_ns) {
    c->expires_ns = INT64_MAX;
    c->powers = 0;
    memcpy(c->authority32, sentinel_gate_state(s->context)->authority_hash32, 32);
    if (c->key == 0) {
        if (!c->is_tls || !is_root(s, c->public_key32)) {
            return SENTINEL_POLICY_SIGNATURE;
        }
        return c->role == SENTINEL_ROLE_COMMAND ? SENTINEL_OK : SENTINEL_POLICY_SCOPE;
    }
    const sentinel_authority_key *row = row_find(s, c->key, now_ns);
    if (row == NULL ||
        (c->is_tls ? !bytes_equal(row->public_key32, c->public_key32, 32)
                   : (row->flags & SENTINEL_AUTHORITY_PEER) == 0 || row->uid != c->uid)) {
        return SENTINEL_POLICY_SIGNATURE;
    }
    if ((row->powers & role_powers[c->role]) == 0 ||
        (c->role == SENTINEL_ROLE_AGENT && row->node != c->agent)) {
        return SENTINEL_POLICY_SCOPE;
    }
    c->expires_ns = row->expires_ns;
    c->powers = row->powers;
    return SENTINEL_OK;
}

int session_holds(const server *s, conn *c, int64_t now_ns) {
    if (now_ns >= c->until_ns) {
        return 0;
    }
    if (now_ns < c->expires_ns &&
        bytes_equal(c->authority32, sentinel_gate_state(s->context)->authority_hash32, 32)) {
        return 1;
    }
    return row_check(s, c, now_ns) == SENTINEL_OK;
}

/* So that no key can take the seats of others. */
static int has_seat(const server *s, const conn *c) {
    uint32_t taken = 0;
    for (uint32_t i = 0; i < SERVER_CONNS_MAX; i++) {
        taken += s->conns[i].state == CONN_OPEN && s->conns[i].key == c->key;
    }
    return taken < SENTINEL_KEY_SESSIONS_MAX;
}

static sentinel_status channel_begin(conn *c, const uint8_t engine_id32[32], uint64_t epoch) {
    if (!c->is_tls) {
        SENTINEL_TRY(channel_side_begin(&c->from, NULL));
        return channel_side_begin(&c->to, NULL);
    }
    for (int seals = 0; seals < 2; seals++) {
        uint16_t direction = seals ? SENTINEL_DIRECTION_ANSWER : SENTINEL_DIRECTION_REQUEST;
        sentinel_exporter_context context = {.channel = c->channel,
                                             .epoch = epoch,
                                             .agent = c->agent,
                                             .role = c->role,
                                             .direction = direction};
        sentinel_channel_key key;
        memcpy(context.engine_id32, engine_id32, 32);
        SENTINEL_TRY(tls_channel_key(&key, c->ssl, &context));
        sentinel_status status = channel_side_begin(seals ? &c->to : &c->from, &key);
        bytes_wipe(&key, sizeof key);
        SENTINEL_TRY(status);
    }
    return SENTINEL_OK;
}

sentinel_status session_greet(server *s, conn *c, const sentinel_hello *hello,
                              const uint8_t *public_key32) {
    const sentinel_state *state = sentinel_gate_state(s->context);
    int64_t now_ns = server_wall_ns();
    if (s->is_stopping) {
        return SENTINEL_USAGE_STATE;
    }
    SENTINEL_TRY(hello_check(hello, state->engine_id32));
    c->role = hello->role;
    c->agent = hello->agent;
    c->key = hello->key;
    if (public_key32 != NULL) {
        memcpy(c->public_key32, public_key32, 32);
    } else if (hello->role != SENTINEL_ROLE_AGENT) {
        return SENTINEL_POLICY_SIGNATURE; /* The kernel names agents only. */
    }
    SENTINEL_TRY(row_check(s, c, now_ns));
    if (c->role == SENTINEL_ROLE_AGENT) {
        sentinel_status status = sentinel_session_open(&c->seat, s->context, c->agent);
        if (status != SENTINEL_OK) {
            return status == SENTINEL_POLICY_ABSENT ? SENTINEL_USAGE_STATE : status;
        }
    }
    if (!has_seat(s, c)) {
        s->refused_busy++;
        return SENTINEL_USAGE_CAPACITY;
    }
    c->channel = ++s->channels;
    c->until_ns = now_ns + SENTINEL_CHANNEL_NS;
    c->next_id = 1;
    return channel_begin(c, state->engine_id32, state->epoch);
}

void session_welcome(const server *s, const conn *c, sentinel_welcome *welcome,
                     sentinel_status status) {
    const sentinel_state *state = sentinel_gate_state(s->context);
    memset(welcome, 0, sizeof *welcome);
    memcpy(welcome->magic, "SENTWELC", sizeof welcome->magic);
    welcome->version = SENTINEL_PROTOCOL_VERSION;
    welcome->status = (uint32_t)status;
    if (status != SENTINEL_OK) {
        return;
    }
    welcome->role = c->role;
    welcome->channel = c->channel;
    welcome->epoch = state->epoch;
    memcpy(welcome->engine_id32, state->engine_id32, 32);
    welcome->until_ns = c->until_ns;
    welcome->agent = c->agent;
    welcome->queue = SENTINEL_SESSION_QUEUE_MAX;
    welcome->transport = c->is_tls ? SENTINEL_TRANSPORT_SEALED : SENTINEL_TRANSPORT_PEER;
}
