/* The engine: a directory that one process writes, and the gate over it. */
#include "engine_internal.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- Opening --------------------------------------------------------------- */

static sentinel_status genesis_load(sentinel_engine *engine) {
    size_t size;
    SENTINEL_TRY(files_load(&size, engine->dir_fd, "genesis", &engine->config.genesis,
                            sizeof engine->config.genesis));
    return sentinel_genesis_check(engine->engine_id32, &engine->config.genesis, size);
}

/* Restores with more and more room, until the policy in force fits twice. */
static sentinel_status restore_with_room(sentinel_engine *engine,
                                         const sentinel_engine_options *options) {
    uint64_t bundle_bytes = ENGINE_BUNDLE_BYTES_MIN;
    uint64_t state_bytes = engine_state_room(options);
    for (;;) {
        SENTINEL_TRY(engine_context_make(engine, bundle_bytes, state_bytes, &engine->log));
        sentinel_status status = engine_restore(engine);
        const sentinel_view *view = sentinel_gate_view(engine->context);
        if (status == SENTINEL_OK && view != NULL) {
            int narrow = 2 * (uint64_t)view->bundle.frame->size_bytes > bundle_bytes ||
                         2 * view->state->size_bytes > state_bytes;
            status = narrow ? SENTINEL_POLICY_ARENA : SENTINEL_OK;
        }
        if (status != SENTINEL_POLICY_ARENA) {
            return status;
        }
        bundle_bytes *= 2;
        state_bytes *= 2;
    }
}

/* The log says less than it once did, or something else: open, and halted. */
static int is_damage(sentinel_status status) {
    return status == SENTINEL_AUDIT_CORRUPT || status == SENTINEL_AUDIT_TRUNCATED;
}

static int has_keys_of_last_start(const sentinel_engine *engine) {
    const sentinel_state *state = sentinel_gate_state(engine->context);
    uint8_t hash32[32];
    return state->keys != 0 &&
           sentinel_keyring_hash(hash32, engine->keyring, state->keys) == SENTINEL_OK &&
           bytes_equal(hash32, state->keyring_hash32, 32);
}

static sentinel_status become_writer(sentinel_engine *engine,
                                     const sentinel_engine_options *options, int64_t now_ns) {
    SENTINEL_TRY(engine_lock(&engine->lock_fd, engine->dir_fd));
    SENTINEL_TRY(genesis_load(engine));
    if (engine->durability == SENTINEL_DURABILITY_NONE &&
        engine->config.genesis.environment == SENTINEL_ENVIRONMENT_LIVE) {
        return SENTINEL_USAGE_ARGUMENT; /* A live signature has a record. */
    }
    SENTINEL_TRY(engine_below_open(engine));
    SENTINEL_TRY(engine_control_map(&engine->control, engine->dir_fd, 1));
    SENTINEL_TRY(engine_keys_open(engine, options));
    SENTINEL_TRY(engine_nonces_open(engine, options));
    engine->control->writer_pid = (uint64_t)getpid();

    sentinel_status damage = engine_log_open(engine, options);
    if (damage != SENTINEL_OK && !is_damage(damage)) {
        return damage;
    }
    sentinel_status status = restore_with_room(engine, options);
    if (damage == SENTINEL_OK && is_damage(status)) {
        damage = status;
    }
    if (damage != SENTINEL_OK) {
        /* Nothing more is written: what is there is evidence. */
        engine->log.failed = 1;
        if (engine->context == NULL) {
            return status;
        }
        sentinel_gate_halt(engine->context, damage, now_ns);
        return damage;
    }
    SENTINEL_TRY(status);
    if (options->keys_grow != 0 && !has_keys_of_last_start(engine)) {
        return SENTINEL_ENCLAVE_STALE;
    }
    SENTINEL_TRY(sentinel_gate_start(engine->context, engine->log.torn_bytes, now_ns));
    SENTINEL_TRY(engine_spool_recover(engine));
    engine->opened_at = sentinel_gate_state(engine->context)->record_count;
    return sentinel_engine_spool(engine, now_ns);
}

sentinel_status sentinel_engine_open(sentinel_engine **engine, const char *dir,
                                     const sentinel_engine_options *options, int64_t now_ns) {
    if (engine == NULL || dir == NULL || options == NULL || now_ns < 0) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    *engine = NULL;
    sentinel_engine *made;
    SENTINEL_TRY(engine_new(&made, options));
    sentinel_status status = engine_dir_open(&made->dir_fd, dir, 1);
    if (status == SENTINEL_OK) {
        status = become_writer(made, options, now_ns);
    }
    if (status != SENTINEL_OK && !is_damage(status)) {
        engine_free(made);
        return status;
    }
    made->last_errno = errno;
    *engine = made;
    return status;
}

void sentinel_engine_close(sentinel_engine *engine, int64_t now_ns) {
    if (engine == NULL) {
        return;
    }
    if (*engine->alive != 0) {
        now_ns = engine_clock(engine, now_ns);
    }
    if (*engine->alive != 0 &&
        sentinel_gate_state(engine->context)->record_count > engine->opened_at &&
        sentinel_gate_flush(engine->context, now_ns) == SENTINEL_OK &&
        sentinel_engine_snapshot(engine, now_ns) != SENTINEL_OK) {
        /* The records alone say the same. */
        engine->last_errno = errno;
    }
    if (*engine->alive != 0) {
        engine->control->writer_pid = 0;
    } else {
        engine->log.head_page = NULL; /* The parent's to bring up to date. */
    }
    engine_free(engine);
}

sentinel_context *sentinel_engine_context(sentinel_engine *engine) {
    return engine->context;
}

const sentinel_keyring *sentinel_engine_keys(const sentinel_engine *engine) {
    return engine->keyring;
}

int sentinel_engine_errno(const sentinel_engine *engine) {
    return engine->last_errno != 0 ? engine->last_errno : engine->log.last_errno;
}

/* ---- Working --------------------------------------------------------------- */

sentinel_status sentinel_engine_snapshot(sentinel_engine *engine, int64_t now_ns) {
    if (engine == NULL || *engine->alive == 0) {
        return SENTINEL_USAGE_STATE;
    }
    if (engine->durability == SENTINEL_DURABILITY_NONE) {
        return SENTINEL_OK; /* Its record would not be there. */
    }
    if (engine->owed) {
        return SENTINEL_OK; /* A start must still see the frame that has no answer. */
    }
    char name[FILES_NAME_BYTES];
    uint64_t number;
    uint64_t size = sentinel_gate_snapshot_bytes(engine->context);
    SENTINEL_TRY(sentinel_gate_snapshot(engine->context, &number, engine->state,
                                        engine->config.state_bytes_max, now_ns));
    engine->snapshot_at = number + 1;
    files_number_name(name, number, "");
    sentinel_status status = files_save(engine->snapshots_fd, name, engine->state, (size_t)size,
                                        engine->durability == SENTINEL_DURABILITY_FSYNC);
    /* Older ones go, a few at a time if there are many. */
    for (unsigned kept = 1, i = 0; status == SENTINEL_OK && i < 8 && number > 0; i++) {
        if (files_highest(&number, engine->snapshots_fd, "", number - 1) != SENTINEL_OK) {
            break;
        }
        files_number_name(name, number, "");
        if (++kept > ENGINE_SNAPSHOTS_KEPT) {
            (void)unlinkat(engine->snapshots_fd, name, 0);
        }
    }
    if (status != SENTINEL_OK) {
        engine->last_errno = errno;
    }
    return status;
}

/* So that no more records than that are replayed, whatever they are. */
static void snapshot_when_due(sentinel_engine *engine, int64_t now_ns) {
    uint64_t count = sentinel_gate_state(engine->context)->record_count;
    if (count - engine->snapshot_at >= engine->snapshot_every && !engine->log.failed &&
        sentinel_gate_view(engine->context) != NULL &&
        sentinel_engine_snapshot(engine, now_ns) != SENTINEL_OK) {
        engine->snapshot_at = count; /* Not again at each record. */
    }
}

static int must_look_at_spool(const sentinel_engine *engine) {
    const sentinel_control *control = engine->control;
    return __atomic_load_n(&control->stop, __ATOMIC_ACQUIRE) != 0 ||
           __atomic_load_n(&control->spool_submitted, __ATOMIC_ACQUIRE) != control->spool_applied;
}

sentinel_status engine_tick(sentinel_engine *engine, int64_t now_ns) {
    /* Heartbeats that wait in the spool may say that an agent is well. */
    return must_look_at_spool(engine) ? SENTINEL_OK : sentinel_gate_tick(engine->context, now_ns);
}

sentinel_status sentinel_engine_sign(sentinel_engine *engine, sentinel_outcome *outcome,
                                     sentinel_session *session, const void *order_bytes,
                                     size_t size, int64_t now_ns) {
    if (engine == NULL || outcome == NULL || *engine->alive == 0) {
        if (outcome != NULL) {
            memset(outcome, 0, sizeof *outcome);
        }
        return SENTINEL_USAGE_STATE;
    }
    now_ns = engine_clock(engine, now_ns);
    /* Where the spool cannot be applied, the gate sees that it is open. */
    if (must_look_at_spool(engine) && engine_spool_at(engine, now_ns) != SENTINEL_OK) {
        engine->last_errno = errno;
    }
    /* Of agents that do not ask. What cannot be recorded shows at this order. */
    if (engine_tick(engine, now_ns) != SENTINEL_OK) {
        engine->last_errno = errno;
    }
    SENTINEL_TRY(sentinel_gate_sign(engine->context, outcome, session, order_bytes, size, now_ns));
    snapshot_when_due(engine, now_ns);
    return SENTINEL_OK;
}

sentinel_status sentinel_engine_withdraw(sentinel_engine *engine, uint64_t *record,
                                         const sentinel_session *session, uint64_t action_id,
                                         int64_t now_ns) {
    if (engine == NULL || *engine->alive == 0) {
        return SENTINEL_USAGE_STATE;
    }
    now_ns = engine_clock(engine, now_ns);
    if (must_look_at_spool(engine) && engine_spool_at(engine, now_ns) != SENTINEL_OK) {
        engine->last_errno = errno;
    }
    return sentinel_gate_withdraw(engine->context, record, session, action_id, now_ns);
}

/* Bundles are kept before they are taken: a record never names a file that
 * is not there. Those that would be refused are not kept. */
static sentinel_status keep_bundle(sentinel_engine *engine, const void *frame, size_t size,
                                   int64_t now_ns) {
    sentinel_frame_header header;
    sentinel_frame parsed;
    if (size < sizeof header || ((uintptr_t)frame & 7) != 0) {
        return SENTINEL_OK;
    }
    memcpy(&header, frame, sizeof header);
    if ((header.kind != SENTINEL_FRAME_AUTHORITY && header.kind != SENTINEL_FRAME_POLICY) ||
        sentinel_gate_check(engine->context, frame, size, now_ns) != SENTINEL_OK ||
        sentinel_frame_parse(&parsed, frame, size, header.kind) != SENTINEL_OK) {
        return SENTINEL_OK; /* The gate says why not. */
    }
    return engine_bundle_save(engine, parsed.hash32, frame, size);
}

/* A halt that no log can take still binds, and over a restart: the stop word
 * is on a page that needs no more room. */
static void stop_without_record(sentinel_engine *engine, const void *frame, size_t size) {
    engine_stop before;
    if (engine->log.failed && engine_frame_stops(frame, size)) {
        (void)engine_stop_ask(engine->control, &before, frame, size);
        (void)msync(engine->control, ENGINE_CONTROL_BYTES, MS_SYNC);
    }
}

sentinel_status engine_take_one(sentinel_engine *engine, uint64_t *record, const void *frame,
                                size_t size, int64_t now_ns) {
    engine_stop seen = engine_stop_seen(engine->control);
    now_ns = engine_clock_of(engine, frame, size, now_ns);
    sentinel_status status = keep_bundle(engine, frame, size, now_ns);
    if (status == SENTINEL_OK) {
        status = sentinel_gate_take(engine->context, record, frame, size, now_ns);
        if (status == SENTINEL_OK) {
            engine_acknowledge(engine, frame, size); /* before any other record */
            engine_stop_answer(engine, &seen, frame, size, now_ns);
        }
        snapshot_when_due(engine, now_ns);
    }
    if (status != SENTINEL_OK) {
        stop_without_record(engine, frame, size);
        engine->last_errno = engine->log.failed ? engine->log.last_errno : errno;
    }
    return status;
}

void engine_acknowledge(sentinel_engine *engine, const void *frame, size_t size) {
    sentinel_frame_header header;
    memcpy(&header, frame, sizeof header);
    if (header.kind == SENTINEL_FRAME_COMMAND &&
        sentinel_gate_acknowledge(engine->context, &engine->ack, frame, size) != SENTINEL_OK) {
        memset(&engine->ack, 0, sizeof engine->ack);
    }
}

sentinel_status sentinel_engine_ack(sentinel_engine *engine, sentinel_signed_ack *signed_ack) {
    if (engine == NULL || signed_ack == NULL || *engine->alive == 0 || engine->ack.count == 0) {
        return SENTINEL_USAGE_STATE;
    }
    if (engine_is_unconfirmed(engine, SENTINEL_FRAME_COMMAND, engine->ack.record)) {
        return SENTINEL_USAGE_STATE;
    }
    signed_ack->ack = engine->ack;
    return sentinel_gate_sign_ack(engine->context, signed_ack->signature64, &engine->ack);
}

sentinel_status sentinel_engine_take(sentinel_engine *engine, uint64_t *record, const void *frame,
                                     size_t size, int64_t now_ns) {
    if (engine == NULL || frame == NULL || *engine->alive == 0) {
        return SENTINEL_USAGE_STATE;
    }
    /* A start works out from the last frame alone whether one was taken that has
     * no answer yet: that answer comes before another frame. */
    if (engine->owed && sentinel_engine_spool(engine, now_ns) != SENTINEL_OK) {
        engine->last_errno = errno;
    }
    now_ns = engine_clock(engine, now_ns);
    sentinel_status status = engine_take_one(engine, record, frame, size, now_ns);
    sentinel_status stopped = engine_tick(engine, now_ns);
    if (stopped != SENTINEL_OK) {
        engine->last_errno = errno; /* The answer is the frame's; the next call fails too. */
    }
    return status;
}

sentinel_status sentinel_engine_note(sentinel_engine *engine, uint64_t *record, uint16_t type,
                                     const void *subject, size_t size, int64_t now_ns) {
    if (engine == NULL || *engine->alive == 0) {
        return SENTINEL_USAGE_STATE;
    }
    now_ns = engine_clock(engine, now_ns);
    return sentinel_gate_note(engine->context, record, type, subject, size, now_ns);
}
