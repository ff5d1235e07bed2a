/* From requests to the engine, one function each. enclave/PROTOCOL.md, section
 * 5. The engine judges; here is only who may ask for what, and in which form. */
#include "answer.h"

#include "bytes.h"
#include "check.h"
#include "files.h"
#include "lobby.h"

#include <dirent.h>
#include <fcntl.h>
#include <sentinel/order.h>
#include <stdio.h>
#include <unistd.h>

#define RECORDS_BYTES_MAX (UINT32_C(1) << 20) /* at once, however many are wanted */
#define FILE_BYTES_MAX (UINT32_C(1) << 20)
#define TREE_STEPS_MAX 4096 /* records, in one turn */
#define ROLE(name) (1u << SENTINEL_ROLE_##name)
#define ANYONE (ROLE(AGENT) | ROLE(COMMAND) | ROLE(FEEDER)) /* of those who decide something */
#define HOST (ROLE(COMMAND) | ROLE(KEEPER))                 /* who copies, and carries grants */

typedef int serve_function(server *s, conn *c, const conn_request *request, serve_answer *answer);

/* ---- Answers --------------------------------------------------------------------- */

/* A few bytes out of the scratch. */
static int give_copy(const server *s, serve_answer *answer, const void *bytes, size_t size) {
    memcpy(s->scratch, bytes, size);
    return give(answer, s->scratch, size);
}

/* ---- Agents ---------------------------------------------------------------------- */

static uint64_t last_command(const server *s) {
    return sentinel_gate_state(s->context)->sequences[SENTINEL_FRAME_COMMAND];
}

/* What this very order got before, unless a command came since. */
static const outcome_kept *answer_before(server *s, uint32_t agent, const conn_request *request) {
    for (;;) {
        uint64_t command = last_command(s);
        const outcome_ring *ring = outcome_ring_of(s->outcomes, agent, command);
        const outcome_kept *before = outcome_find(ring, request->payload, request->size);
        /* What lies in the spool counts as well: signing would look there first. */
        if (before == NULL || sentinel_engine_spool(s->engine, s->now_ns) != SENTINEL_OK) {
            return NULL;
        }
        if (last_command(s) == command) {
            return before;
        }
    }
}

static int serve_sign(server *s, conn *c, const conn_request *request, serve_answer *answer) {
    static sentinel_outcome outcome; /* one thread; what is behind its text is never sent */
    const outcome_kept *before = answer_before(s, c->agent, request);
    if (before != NULL) {
        return give(answer, before->packed, before->size);
    }
    sentinel_status status = sentinel_engine_sign(s->engine, &outcome, &c->seat, request->payload,
                                                  request->size, s->now_ns);
    if (status != SENTINEL_OK) {
        return say(answer, status);
    }
    give(answer, s->scratch, outcome_pack(s->scratch, &outcome));
    answer->is_kept = outcome.verdict == SENTINEL_ALLOWED;
    return 1;
}

void serve_settle(server *s, const conn *c, const conn_request *request,
                  const serve_answer *answer) {
    if (answer->is_kept) {
        outcome_ring *ring = outcome_ring_of(s->outcomes, c->agent, last_command(s));
        outcome_keep(ring, request->payload, request->size, answer->payload, answer->size);
    }
}

static int serve_withdraw(server *s, conn *c, const conn_request *request, serve_answer *answer) {
    uint64_t action_id, record = 0;
    if (request->size != sizeof action_id) {
        return say(answer, SENTINEL_FORMAT_SIZE);
    }
    memcpy(&action_id, request->payload, sizeof action_id);
    sentinel_status status =
        sentinel_engine_withdraw(s->engine, &record, &c->seat, action_id, server_wall_ns());
    return status == SENTINEL_OK ? give_copy(s, answer, &record, sizeof record)
                                 : say(answer, status);
}

static int serve_beat(server *s, conn *c, const conn_request *request, serve_answer *answer) {
    sentinel_frame frame;
    sentinel_feed feed;
    sentinel_heartbeat beat;
    uint64_t record = 0;
    sentinel_status status =
        sentinel_frame_parse(&frame, request->payload, request->size, SENTINEL_FRAME_FEED);
    if (status != SENTINEL_OK) {
        return say(answer, status);
    }
    if (frame.payload_size != sizeof feed + sizeof beat) {
        return say(answer, SENTINEL_POLICY_SCOPE);
    }
    memcpy(&feed, frame.payload, sizeof feed);
    memcpy(&beat, frame.payload + sizeof feed, sizeof beat);
    if (feed.kind != SENTINEL_FEED_HEARTBEAT || beat.agent != c->agent) {
        return say(answer, SENTINEL_POLICY_SCOPE);
    }
    status =
        sentinel_engine_take(s->engine, &record, request->payload, request->size, server_wall_ns());
    return status == SENTINEL_OK ? give_copy(s, answer, &record, sizeof record)
                                 : say(answer, status);
}

/* ---- Frames ---------------------------------------------------------------------- */

static int role_takes(uint16_t role, uint16_t kind) {
    if (role == SENTINEL_ROLE_FEEDER) {
        return kind == SENTINEL_FRAME_FEED;
    }
    if (role == SENTINEL_ROLE_KEEPER) {
        return kind == SENTINEL_FRAME_GRANT;
    }
    return role == SENTINEL_ROLE_COMMAND &&
           (kind == SENTINEL_FRAME_COMMAND || kind == SENTINEL_FRAME_POLICY ||
            kind == SENTINEL_FRAME_AUTHORITY || kind == SENTINEL_FRAME_GRANT);
}

/* What the last command that was taken is answered with: its acknowledgement, or
 * that a witness has to confirm it first. Returns: 1; 0: another came after it. */
static int give_command(server *s, serve_answer *answer) {
    sentinel_signed_ack ack;
    if (sentinel_engine_ack(s->engine, &ack) == SENTINEL_OK) {
        return bytes_equal(ack.ack.frame_hash32, s->command_hash32, 32) &&
               give_copy(s, answer, &ack, sizeof ack);
    }
    sentinel_taken taken = {.record = s->command_record, .held = 1};
    return give_copy(s, answer, &taken, sizeof taken);
}

static int take(server *s, const conn *c, const uint8_t *bytes, size_t size, serve_answer *answer) {
    sentinel_frame_header header;
    sentinel_frame frame;
    uint64_t record = 0;
    if (size < sizeof header) {
        return say(answer, SENTINEL_FORMAT_SIZE);
    }
    memcpy(&header, bytes, sizeof header);
    if (!role_takes(c->role, header.kind)) {
        return say(answer, SENTINEL_POLICY_SCOPE);
    }
    if (s->lobby != NULL) {
        sentinel_status bounded = lobby_frame_check(bytes, size);
        if (bounded != SENTINEL_OK) {
            return say(answer, bounded);
        }
    }
    int is_command = header.kind == SENTINEL_FRAME_COMMAND &&
                     sentinel_frame_parse(&frame, bytes, size, header.kind) == SENTINEL_OK;
    if (is_command && s->command_record != 0 && bytes_equal(frame.hash32, s->command_hash32, 32) &&
        give_command(s, answer)) {
        return 1; /* Asked again: it is taken once. */
    }
    sentinel_status status =
        sentinel_engine_take(s->engine, &record, bytes, size, server_wall_ns());
    if (status != SENTINEL_OK) {
        return say(answer, status);
    }
    if (is_command) {
        s->command_record = record;
        memcpy(s->command_hash32, frame.hash32, 32);
        if (give_command(s, answer)) {
            return 1;
        }
    }
    sentinel_taken taken = {.record = record};
    return give_copy(s, answer, &taken, sizeof taken);
}

static int serve_take(server *s, conn *c, const conn_request *request, serve_answer *answer) {
    if (request->size != 0) {
        return take(s, c, request->payload, request->size, answer);
    }
    size_t size;
    const uint8_t *put = pieces_put(s, c, &size);
    int done = put != NULL ? take(s, c, put, size, answer) : say(answer, SENTINEL_USAGE_STATE);
    pieces_end(s, c);
    return done;
}

/* ---- What is in force -------------------------------------------------------------- */

static int is_halted(const sentinel_state *state, const sentinel_view *view) {
    const sentinel_stop_state *nodes =
        (const sentinel_stop_state *)((const uint8_t *)state + state->nodes);
    if (state->halted != 0 || view == NULL) {
        return 1;
    }
    for (uint32_t i = 0; i < view->bundle.node_count; i++) {
        if (view->bundle.nodes[i].kind == SENTINEL_NODE_FIRM) {
            return nodes[i].mode == SENTINEL_HALTED;
        }
    }
    return 1;
}

/* One above every id that the agent used, or asked approval for. */
static uint64_t next_action(const sentinel_state *state, uint32_t agent) {
    const sentinel_agent_state *agents =
        (const sentinel_agent_state *)((const uint8_t *)state + state->agents);
    uint64_t highest = 0;
    for (uint32_t i = 0; i < state->agent_count; i++) {
        if (agents[i].node == agent && agents[i].id_highest > highest) {
            highest = agents[i].id_highest;
        }
    }
    for (uint32_t i = 0; i < SENTINEL_PENDING_MAX; i++) {
        const sentinel_pending *row = &state->pending[i];
        if (row->status != 0 && row->agent == agent && row->action_id > highest) {
            highest = row->action_id;
        }
    }
    return highest + 1 != 0 ? highest + 1 : highest;
}

/* Whether and how the engine goes on is the witness's word; so is when to ask it again. */
static void tell_grant(const server *s, sentinel_daemon_status *status) {
    const sentinel_grant_state *grant = &sentinel_gate_state(s->context)->grant;
    int is_needed = sentinel_gate_needs_witness(s->context);
    int is_held = is_needed && grant->gap_to == 0 &&
                  ((s->command_record != 0 && grant->count <= s->command_record) ||
                   sentinel_engine_is_held(s->engine));
    status->grant_epoch = grant->epoch;
    status->confirmed = grant->count;
    status->record_end = grant->record_end;
    status->spend_end = grant->spend_end;
    status->spent = grant->spent;
    status->witness = (is_needed ? SENTINEL_WITNESS_NEEDED : 0) |
                      (is_held ? SENTINEL_WITNESS_HELD : 0) |
                      (grant->gap_to != 0 ? SENTINEL_WITNESS_MISSING : 0);
}

static int serve_status(server *s, conn *c, const conn_request *request, serve_answer *answer) {
    const sentinel_state *state = sentinel_gate_state(s->context);
    sentinel_daemon_status status = {
        .epoch = state->epoch,
        .records = state->record_count,
        .now_ns = server_wall_ns(),
        .served = s->served,
        .refused_busy = s->refused_busy,
        .sessions = s->sessions,
        .halted = (uint32_t)is_halted(state, sentinel_gate_view(s->context)),
    };
    if (request->size != 0) {
        return say(answer, SENTINEL_FORMAT_SIZE);
    }
    memcpy(status.engine_id32, state->engine_id32, 32);
    memcpy(status.last_hash32, state->last_hash32, 32);
    memcpy(status.policy_hash32, state->policy_hash32, 32);
    memcpy(status.authority_hash32, state->authority_hash32, 32);
    if (c->role == SENTINEL_ROLE_AGENT) {
        status.next_action_known = 1;
        status.next_action = next_action(state, c->agent);
    }
    if ((HOST >> c->role & 1) != 0) {
        tell_grant(s, &status);
    }
    return give_copy(s, answer, &status, sizeof status);
}

static int serve_keys(server *s, conn *c, const conn_request *request, serve_answer *answer) {
    const sentinel_keyring *ring = sentinel_engine_keys(s->engine);
    size_t size = 0;
    (void)c;
    if (request->size != 0) {
        return say(answer, SENTINEL_FORMAT_SIZE);
    }
    for (uint32_t i = 0; i < sentinel_keyring_count(ring); i++) {
        const sentinel_key_info *info = sentinel_keyring_at(ring, i);
        if (info != NULL) {
            memcpy(s->scratch + size, info, sizeof *info);
            size += sizeof *info;
        }
    }
    return give(answer, s->scratch, size);
}

/* ---- The log ------------------------------------------------------------------------ */

static void cursor_close(log_cursor *cursor) {
    if (cursor->is_open) {
        sentinel_log_reader_close(&cursor->reader);
        cursor->is_open = 0;
    }
}

static sentinel_status cursor_next(const server *s, log_cursor *cursor, uint64_t number,
                                   sentinel_record *record) {
    if (!cursor->is_open || cursor->reader.next != number) {
        cursor_close(cursor);
        cursor->is_open = 1;
        SENTINEL_TRY(sentinel_log_reader_open(&cursor->reader, s->log_fd, number));
    }
    return sentinel_log_reader_next(&cursor->reader, record, cursor->buffer, SERVER_CURSOR_BYTES);
}

static int serve_records(server *s, conn *c, const conn_request *request, serve_answer *answer) {
    sentinel_records_wanted wanted;
    sentinel_record record;
    size_t size = 0;
    if (request->size != sizeof wanted) {
        return say(answer, SENTINEL_FORMAT_SIZE);
    }
    memcpy(&wanted, request->payload, sizeof wanted);
    if (!bytes_are_zero(wanted.reserved, sizeof wanted.reserved)) {
        return say(answer, SENTINEL_FORMAT_RESERVED);
    }
    uint32_t most = wanted.bytes_max < RECORDS_BYTES_MAX ? wanted.bytes_max : RECORDS_BYTES_MAX;
    if (!pieces_buffer(s, c, most)) { /* fewer, and none is read in vain */
        most = CHANNEL_LARGE_ROOM;
    }
    uint64_t number = wanted.first;
    sentinel_status status = SENTINEL_AUDIT_END;
    while (number < sentinel_gate_state(s->context)->record_count) {
        status = cursor_next(s, &s->record_cursor, number, &record);
        if (status != SENTINEL_OK) {
            cursor_close(&s->record_cursor);
            break;
        }
        uint32_t bytes = record.header->size_bytes;
        if (size != 0 && size + sizeof bytes + bytes > most) {
            cursor_close(&s->record_cursor); /* It stands behind one that was not given. */
            break;
        }
        memcpy(s->scratch + size, &bytes, sizeof bytes);
        memcpy(s->scratch + size + sizeof bytes, record.header, bytes);
        size += sizeof bytes + bytes;
        number++;
    }
    return size != 0 ? give(answer, s->scratch, size) : say(answer, status);
}

/* The tree over all records grows by a bounded number of them in one turn. */
static int serve_head(server *s, conn *c, const conn_request *request, serve_answer *answer) {
    const sentinel_state *state = sentinel_gate_state(s->context);
    sentinel_record record;
    (void)c;
    if (request->size != 0) {
        return say(answer, SENTINEL_FORMAT_SIZE);
    }
    for (int i = 0; s->tree.count < state->record_count; i++) {
        if (i == TREE_STEPS_MAX) {
            return 0;
        }
        sentinel_status status = cursor_next(s, &s->tree_cursor, s->tree.count, &record);
        if (status != SENTINEL_OK) {
            cursor_close(&s->tree_cursor);
            return say(answer, status);
        }
        sentinel_tree_add(&s->tree, record.hash32);
    }
    struct {
        sentinel_head head;
        uint8_t signature64[64];
    } made = {.head = {.epoch = state->epoch, .count = state->record_count}};
    memcpy(made.head.engine_id32, state->engine_id32, 32);
    memcpy(made.head.last_hash32, state->last_hash32, 32);
    sentinel_tree_root(&s->tree, made.head.root32);
    sentinel_status status = sentinel_gate_sign_head(s->context, made.signature64, &made.head);
    return status == SENTINEL_OK ? give_copy(s, answer, &made, sizeof made) : say(answer, status);
}

static int serve_ask(server *s, conn *c, const conn_request *request, serve_answer *answer) {
    struct {
        sentinel_ask ask;
        uint8_t signature64[64];
    } made;
    uint32_t flags;
    if (request->size != sizeof flags) {
        return say(answer, SENTINEL_FORMAT_SIZE);
    }
    memcpy(&flags, request->payload, sizeof flags);
    /* After a final question nothing is signed: that is for whoever may halt. */
    if ((flags & SENTINEL_ASK_FINAL) != 0 && (c->powers >> SENTINEL_POWER_OPERATOR & 1) == 0) {
        return say(answer, SENTINEL_POLICY_SCOPE);
    }
    sentinel_status status = sentinel_gate_ask(s->context, &made.ask, made.signature64, flags);
    return status == SENTINEL_OK ? give_copy(s, answer, &made, sizeof made) : say(answer, status);
}

/* Outside an enclave nobody vouches for the daemon. */
sentinel_status serve_document(server *s, document *out, const uint8_t nonce32[32]) {
    int64_t now = server_running_ns();
    if (s->lobby == NULL) {
        return SENTINEL_USAGE_STATE;
    }
    if (s->attested_ns != 0 && now - s->attested_ns < SENTINEL_DOCUMENT_NS) {
        return SENTINEL_USAGE_CAPACITY; /* orders wait while the module works */
    }
    s->attested_ns = now;
    return lobby_attest(s->lobby, out, nonce32);
}

static int serve_attest(server *s, conn *c, const conn_request *request, serve_answer *answer) {
    static document made; /* one thread */
    uint8_t nonce32[32];
    (void)c;
    if (request->size != sizeof nonce32) {
        return say(answer, SENTINEL_FORMAT_SIZE);
    }
    memcpy(nonce32, request->payload, sizeof nonce32);
    sentinel_status status = serve_document(s, &made, nonce32);
    return status == SENTINEL_OK ? give_copy(s, answer, made.bytes, made.size)
                                 : say(answer, status);
}

/* ---- Files of the log, bundles and seals ----------------------------------------------------- */

/* Their names, a line each: the head first, so that who copies in this order never
 * has a head that is ahead of its records. */
static sentinel_status names_add(server *s, size_t *size, int folder_fd, const char *folder) {
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (list == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return SENTINEL_IO_OPEN;
    }
    sentinel_status status = SENTINEL_OK;
    for (struct dirent *at; status == SENTINEL_OK && (at = readdir(list)) != NULL;) {
        size_t room = SENTINEL_CHANNEL_BYTES_MAX - *size;
        if (at->d_name[0] != '.' && strcmp(at->d_name, "head") != 0) {
            int written = snprintf((char *)s->scratch + *size, room, "%s/%s\n", folder, at->d_name);
            if (written < 0 || (size_t)written >= room) {
                status = SENTINEL_USAGE_CAPACITY;
            } else {
                *size += (size_t)written;
            }
        }
    }
    (void)closedir(list);
    return status;
}

static int serve_names(server *s, serve_answer *answer) {
    static const char head[] = "log/head\n";
    size_t size = sizeof head - 1;
    memcpy(s->scratch, head, size);
    sentinel_status status = names_add(s, &size, s->log_fd, "log");
    if (status == SENTINEL_OK) {
        status = names_add(s, &size, s->bundles_fd, "bundles");
    }
    if (status == SENTINEL_OK && s->sealed_fd >= 0) {
        status = names_add(s, &size, s->sealed_fd, "sealed");
    }
    return status == SENTINEL_OK ? give(answer, s->scratch, size) : say(answer, status);
}

static int folder_of(const server *s, const char *name) {
    return name[0] == 'l' ? s->log_fd : name[0] == 'b' ? s->bundles_fd : s->sealed_fd;
}

static int serve_file(server *s, conn *c, const conn_request *request, serve_answer *answer) {
    sentinel_file_wanted wanted;
    if (request->size != sizeof wanted) {
        return say(answer, SENTINEL_FORMAT_SIZE);
    }
    memcpy(&wanted, request->payload, sizeof wanted);
    size_t name_size = strnlen(wanted.name, sizeof wanted.name);
    if (name_size == sizeof wanted.name ||
        !bytes_are_zero(wanted.name + name_size, sizeof wanted.name - name_size) ||
        !bytes_are_zero(wanted.reserved, sizeof wanted.reserved)) {
        return say(answer, SENTINEL_FORMAT_RESERVED);
    }
    if (name_size == 0) {
        return serve_names(s, answer);
    }
    if (lobby_file_name(wanted.name) == 0) {
        return say(answer, SENTINEL_FORMAT_TEXT);
    }
    uint64_t total;
    size_t size = wanted.bytes_max < FILE_BYTES_MAX ? wanted.bytes_max : FILE_BYTES_MAX;
    if (!pieces_buffer(s, c, sizeof total + size)) {
        return 0;
    }
    sentinel_status status =
        pieces_file(&total, &size, s->scratch + sizeof total, folder_of(s, wanted.name),
                    strchr(wanted.name, '/') + 1, wanted.offset);
    memcpy(s->scratch, &total, sizeof total);
    return status == SENTINEL_OK ? give(answer, s->scratch, sizeof total + size)
                                 : say(answer, status);
}

/* ---- Who may ask for what ------------------------------------------------------------ */

static const struct {
    serve_function *serve;
    uint32_t roles;
} requests[SENTINEL_REQUEST_COUNT] = {
    [SENTINEL_REQUEST_SIGN] = {serve_sign, ROLE(AGENT)},
    [SENTINEL_REQUEST_WITHDRAW] = {serve_withdraw, ROLE(AGENT)},
    [SENTINEL_REQUEST_BEAT] = {serve_beat, ROLE(AGENT)},
    [SENTINEL_REQUEST_TAKE] = {serve_take, HOST | ROLE(FEEDER)},
    [SENTINEL_REQUEST_STATUS] = {serve_status, ANYONE | ROLE(KEEPER)},
    [SENTINEL_REQUEST_BUNDLE] = {serve_bundle, ANYONE},
    [SENTINEL_REQUEST_RECORDS] = {serve_records, ROLE(COMMAND)},
    [SENTINEL_REQUEST_HEAD] = {serve_head, ANYONE},
    [SENTINEL_REQUEST_ATTEST] = {serve_attest, ANYONE},
    [SENTINEL_REQUEST_ASK] = {serve_ask, HOST},
    [SENTINEL_REQUEST_STATE] = {serve_state, ROLE(COMMAND)},
    [SENTINEL_REQUEST_KEYS] = {serve_keys, ANYONE},
    [SENTINEL_REQUEST_FILE] = {serve_file, HOST},
    [SENTINEL_REQUEST_PUT] = {serve_put, ROLE(COMMAND)},
};

int serve_request(server *s, conn *c, const conn_request *request, serve_answer *answer) {
    if ((requests[request->kind].roles >> c->role & 1) == 0) {
        return say(answer, SENTINEL_POLICY_SCOPE);
    }
    if (request->deadline_ns != 0 && s->now_ns >= request->deadline_ns) {
        return say(answer, SENTINEL_POLICY_EXPIRED);
    }
    return requests[request->kind].serve(s, c, request, answer);
}
