/* A new engine: its directory, and the records that every log begins with. */
#include "engine_internal.h"

#include <errno.h>
#include <sys/stat.h>

static sentinel_status below_make(int dir_fd) {
    static const char *const names[] = {"log", "bundles", "snapshots", "spool", "texts"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (mkdirat(dir_fd, names[i], 0700) != 0) {
            return files_status(errno, SENTINEL_IO_WRITE);
        }
    }
    return SENTINEL_OK;
}

/* The first three records, into a log or into none. */
static sentinel_status first_records(sentinel_engine *engine, const void *authority,
                                     size_t authority_size, const void *policy, size_t policy_size,
                                     int64_t now_ns) {
    SENTINEL_TRY(sentinel_gate_genesis(engine->context, now_ns));
    memcpy(engine->authority, authority, authority_size);
    memcpy(engine->frame, policy, policy_size);
    if (engine->log_fd < 0) {
        SENTINEL_TRY(
            sentinel_gate_take(engine->context, NULL, engine->authority, authority_size, now_ns));
        return sentinel_gate_take(engine->context, NULL, engine->frame, policy_size, now_ns);
    }
    SENTINEL_TRY(sentinel_engine_take(engine, NULL, engine->authority, authority_size, now_ns));
    return sentinel_engine_take(engine, NULL, engine->frame, policy_size, now_ns);
}

static sentinel_status create_files(sentinel_engine *engine, const sentinel_engine_options *options,
                                    const void *authority, size_t authority_size,
                                    const void *policy, size_t policy_size, int64_t now_ns) {
    if (fchmod(engine->dir_fd, 0700) != 0) {
        return SENTINEL_IO_OPEN;
    }
    SENTINEL_TRY(below_make(engine->dir_fd));
    SENTINEL_TRY(engine_below_open(engine));
    SENTINEL_TRY(engine_control_map(&engine->control, engine->dir_fd, 1));
    SENTINEL_TRY(engine_log_open(engine, options));
    SENTINEL_TRY(engine_context_make(engine, engine->config.bundle_bytes_max,
                                     engine->config.state_bytes_max, &engine->log));
    SENTINEL_TRY(first_records(engine, authority, authority_size, policy, policy_size, now_ns));
    /* The directory is an engine's once this file is there. */
    return files_save(engine->dir_fd, "genesis", &engine->config.genesis,
                      sizeof engine->config.genesis, 1);
}

/* Everything once without a file, so that bad input leaves none behind. */
static sentinel_status rehearse(sentinel_engine *engine, const sentinel_engine_options *options,
                                const void *authority, size_t authority_size, const void *policy,
                                size_t policy_size, int64_t now_ns) {
    if (authority_size > sizeof engine->authority) {
        return SENTINEL_FORMAT_LIMIT;
    }
    uint64_t bundle_bytes = 2 * (uint64_t)policy_size;
    if (bundle_bytes < ENGINE_BUNDLE_BYTES_MIN) {
        bundle_bytes = ENGINE_BUNDLE_BYTES_MIN;
    }
    uint64_t state_bytes = engine_state_room(options);
    SENTINEL_TRY(engine_context_make(engine, bundle_bytes, state_bytes, NULL));
    /* The policy itself says how much room its state needs. */
    sentinel_bundle bundle;
    memcpy(engine->frame, policy, policy_size);
    SENTINEL_TRY(sentinel_bundle_check(&bundle, engine->frame, policy_size));
    uint64_t needed = 2 * sentinel_state_bytes(&bundle);
    if (needed > state_bytes) {
        SENTINEL_TRY(engine_context_make(engine, bundle_bytes, needed, NULL));
    }
    return first_records(engine, authority, authority_size, policy, policy_size, now_ns);
}

static sentinel_status create(sentinel_engine *engine, const char *dir,
                              const sentinel_engine_options *options, const void *authority,
                              size_t authority_size, const void *policy, size_t policy_size,
                              int64_t now_ns) {
    SENTINEL_TRY(engine_dir_open(&engine->dir_fd, dir, 0));
    SENTINEL_TRY(engine_dir_is_new(engine->dir_fd));
    SENTINEL_TRY(engine_keys_open(engine, options));
    SENTINEL_TRY(rehearse(engine, options, authority, authority_size, policy, policy_size, now_ns));
    SENTINEL_TRY(engine_lock(&engine->lock_fd, engine->dir_fd));
    /* Unless somebody else was quicker, all that is there is ours. */
    sentinel_status status = engine_dir_is_new(engine->dir_fd);
    if (status == SENTINEL_USAGE_STATE) {
        return status;
    }
    if (status == SENTINEL_OK) {
        status =
            create_files(engine, options, authority, authority_size, policy, policy_size, now_ns);
    }
    if (status != SENTINEL_OK) {
        engine_dir_clear(engine->dir_fd);
    }
    return status;
}

sentinel_status sentinel_engine_create(const char *dir, const sentinel_genesis *genesis,
                                       const void *authority, size_t authority_size,
                                       const void *policy, size_t policy_size,
                                       const sentinel_engine_options *options, int64_t now_ns) {
    if (dir == NULL || genesis == NULL || authority == NULL || policy == NULL || options == NULL ||
        now_ns < 0) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    sentinel_engine *engine;
    SENTINEL_TRY(engine_new(&engine, options));
    if (engine->durability == SENTINEL_DURABILITY_NONE) {
        engine->durability = SENTINEL_DURABILITY_WRITE; /* The first records must be kept. */
    }
    engine->config.genesis = *genesis;
    sentinel_status status = sentinel_genesis_check(engine->engine_id32, genesis, sizeof *genesis);
    if (status == SENTINEL_OK) {
        status =
            create(engine, dir, options, authority, authority_size, policy, policy_size, now_ns);
    }
    engine_free(engine);
    return status;
}
