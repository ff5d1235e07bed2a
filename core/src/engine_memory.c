/* An engine's memory, all of it, from opening to closing. */
#include "engine_internal.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* Mapped, so that room which is never touched costs nothing. */
static void *room_map(uint64_t size) {
    void *room = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return room == MAP_FAILED ? NULL : room;
}

void engine_free(sentinel_engine *engine) {
    int error = errno;
    const int fds[] = {engine->log_fd,   engine->bundles_fd, engine->snapshots_fd,
                       engine->spool_fd, engine->dir_fd,     engine->lock_fd};
    if (engine->log.dir_fd >= 0) {
        sentinel_log_close(&engine->log);
    }
    sentinel_keyring_free(engine->keyring);
    engine_control_unmap(engine->control);
    if (engine->memory != NULL) {
        (void)munmap(engine->memory, (size_t)engine->memory_bytes);
    }
    if (engine->alive != NULL) {
        (void)munmap((void *)(uintptr_t)engine->alive, ENGINE_PAGE_BYTES);
    }
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    (void)munmap(engine, sizeof *engine);
    errno = error;
}

sentinel_status engine_new(sentinel_engine **made, const sentinel_engine_options *options) {
    sentinel_engine *engine = room_map(sizeof *engine);
    if (engine == NULL) {
        return SENTINEL_IO_MEMORY;
    }
    engine->dir_fd = engine->lock_fd = engine->log_fd = -1;
    engine->bundles_fd = engine->snapshots_fd = engine->spool_fd = -1;
    engine->log.dir_fd = engine->log.segment_fd = -1;
    engine->durability = options->durability != 0 ? options->durability : SENTINEL_DURABILITY_FSYNC;
    engine->snapshot_every =
        options->snapshot_every != 0 ? options->snapshot_every : ENGINE_SNAPSHOT_EVERY_DEFAULT;
    uint8_t *alive = room_map(ENGINE_PAGE_BYTES);
    engine->alive = alive;
    if (alive == NULL || madvise(alive, ENGINE_PAGE_BYTES, -1) == 0 ||
        madvise(alive, ENGINE_PAGE_BYTES, MADV_WIPEONFORK) != 0) {
        engine_free(engine);
        return SENTINEL_IO_MEMORY;
    }
    *alive = 1;
    *made = engine;
    return SENTINEL_OK;
}

sentinel_status engine_context_make(sentinel_engine *engine, uint64_t bundle_bytes,
                                    uint64_t state_bytes, sentinel_log *log) {
    if (bundle_bytes > ENGINE_ROOM_BYTES_MAX || state_bytes > ENGINE_ROOM_BYTES_MAX) {
        return SENTINEL_POLICY_ARENA;
    }
    engine->config.bundle_bytes_max = bytes_round_up(bundle_bytes, ENGINE_PAGE_BYTES);
    engine->config.state_bytes_max = bytes_round_up(state_bytes, ENGINE_PAGE_BYTES);
    uint64_t context_bytes = sentinel_context_bytes(&engine->config);
    context_bytes = bytes_round_up(context_bytes, ENGINE_PAGE_BYTES);
    if (engine->memory != NULL) {
        (void)munmap(engine->memory, (size_t)engine->memory_bytes);
    }
    engine->memory_bytes =
        context_bytes + engine->config.bundle_bytes_max + engine->config.state_bytes_max;
    engine->memory = room_map(engine->memory_bytes);
    if (engine->memory == NULL) {
        return SENTINEL_IO_MEMORY;
    }
    /* The state of 100,000 agents, or a list of a million digests, has more small
     * pages than the processor keeps addresses of: a read at random would wait for
     * the page's address first. Where there are none, small ones do. */
    (void)madvise(engine->memory, (size_t)engine->memory_bytes, MADV_HUGEPAGE);
    engine->frame = engine->memory + context_bytes;
    engine->state = engine->frame + engine->config.bundle_bytes_max;
    return sentinel_context_init(&engine->context, engine->memory, context_bytes, &engine->config,
                                 engine->keyring, log, engine->control);
}

uint64_t engine_state_room(const sentinel_engine_options *options) {
    if (options->state_bytes_min == 0) {
        return ENGINE_STATE_BYTES_DEFAULT;
    }
    return options->state_bytes_min > sizeof(sentinel_state) ? options->state_bytes_min
                                                             : sizeof(sentinel_state);
}
