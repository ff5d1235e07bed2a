/* Every system call of the core that changes a directory, recorded, and death
 * at any of them. A test program's own definitions come before the C
 * library's, so the core under test calls these (as in file_faults.h). What is
 * recorded lies in shared memory: it outlives the process that is killed. */
#ifndef CRASH_TRACE_H
#define CRASH_TRACE_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRACE_SECTOR 512u
#define TRACE_EVENTS_MAX 16384u
#define TRACE_NODES_MAX 2048u
#define TRACE_MAPS_MAX 8u
#define TRACE_MAP_BYTES_MAX (64u << 10) /* a segment of these tests */
#define TRACE_DATA_BYTES ((size_t)64 << 20)
#define TRACE_NAME_BYTES 80u

typedef enum trace_kind {
    TRACE_CREATE, /* a name in a directory, for a new file */
    TRACE_MKDIR,
    TRACE_WRITE,
    TRACE_STORE, /* one sector of a mapped page changed */
    TRACE_SIZE,  /* a longer file; 0: cut to nothing */
    TRACE_RENAME,
    TRACE_UNLINK,
    TRACE_SYNC, /* of a file or a directory */
    TRACE_MAP
} trace_kind;

typedef struct trace_event {
    uint32_t kind;
    uint32_t node; /* the file; of names: their directory */
    uint32_t made; /* CREATE, MKDIR: the new one */
    uint32_t size;
    uint64_t offset;
    size_t data; /* where in the trace's bytes */
    char name[TRACE_NAME_BYTES];
    char other[TRACE_NAME_BYTES]; /* RENAME: the new name */
} trace_event;

typedef enum trace_death { DIE_BEFORE, DIE_MIDDLE, DIE_AFTER } trace_death;

/* What a planted break leaves out; the tests must then fail. */
typedef enum trace_lie {
    LIE_NOTHING,
    LIE_SYNC_LOG,   /* no sync of a file in log/ is done */
    LIE_SYNC_NAMES, /* none of a directory */
    LIE_SYNC_SPOOL, /* none of a file in spool/ */
    LIE_WRITE_LATE  /* a record is written when the next one is */
} trace_lie;

typedef struct trace_shared {
    unsigned count;
    unsigned calls; /* while armed */
    unsigned begin; /* events when it was armed first, and disarmed last */
    unsigned end;
    unsigned nodes;
    size_t data_size;
    uint8_t is_write[TRACE_EVENTS_MAX]; /* by call */
    ino_t inodes[TRACE_NODES_MAX];
    uint32_t below[TRACE_NODES_MAX]; /* of a file: the directory it was made in */
    char paths[TRACE_NODES_MAX][TRACE_NAME_BYTES];
    trace_event events[TRACE_EVENTS_MAX];
    uint8_t data[TRACE_DATA_BYTES];
} trace_shared;

typedef struct trace_map {
    uint8_t *page;
    size_t size;
    uint32_t node;
    uint8_t seen[TRACE_MAP_BYTES_MAX];
} trace_map;

static trace_shared *trace;
static int trace_on;    /* events are recorded */
static int trace_armed; /* and calls are counted */
static unsigned die_at; /* the call of this number; 0: none */
static trace_death die_how;
static trace_lie lie;
static trace_map trace_maps[TRACE_MAPS_MAX];
static struct {
    int fd;
    uint64_t offset;
    size_t size;
    uint8_t bytes[1 << 16];
} late = {.fd = -1};

static void trace_fails(const char *what) {
    (void)!write(2, what, strlen(what));
    (void)!write(2, "\n", 1);
    _exit(4);
}

static void name_copy(char *to, const char *name) {
    size_t size = strlen(name) + 1;
    if (size > TRACE_NAME_BYTES) {
        trace_fails("trace: a name that has no room");
    }
    memcpy(to, name, size);
}

static void trace_reset(void) {
    if (trace == NULL) {
        trace = (trace_shared *)syscall(SYS_mmap, NULL, sizeof *trace, PROT_READ | PROT_WRITE,
                                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    trace->count = trace->calls = trace->begin = trace->end = trace->nodes = 0;
    trace->data_size = 0;
}

static void trace_arm(void) {
    if (trace->begin == 0) {
        trace->begin = trace->count;
    }
    trace_armed = 1;
}

/* ---- Nodes: files and directories, whatever their names -------------------------- */

static uint32_t node_new(ino_t inode, uint32_t below, const char *path) {
    if (trace->nodes == TRACE_NODES_MAX) {
        trace_fails("trace: too many files");
    }
    uint32_t node = trace->nodes++;
    trace->inodes[node] = inode;
    trace->below[node] = below;
    name_copy(trace->paths[node], path);
    return node;
}

/* The latest with this number: a file system may use one again. */
static uint32_t node_of(int fd) {
    struct stat stat;
    if (syscall(SYS_fstat, fd, &stat) == 0) {
        for (uint32_t node = trace->nodes; node-- > 0;) {
            if (trace->inodes[node] == stat.st_ino) {
                return node;
            }
        }
    }
    return UINT32_MAX;
}

static const char *node_dir(uint32_t node) {
    return trace->paths[trace->below[node]];
}

/* ---- Events ---------------------------------------------------------------------- */

static trace_event *event_new(trace_kind kind, uint32_t node) {
    if (trace->count == TRACE_EVENTS_MAX) {
        trace_fails("trace: too many events");
    }
    trace_event *event = &trace->events[trace->count++];
    memset(event, 0, sizeof *event);
    event->kind = kind;
    event->node = node;
    return event;
}

static void event_bytes(trace_kind kind, uint32_t node, const void *bytes, size_t size,
                        uint64_t offset) {
    if (trace->data_size + size > TRACE_DATA_BYTES) {
        trace_fails("trace: too many bytes");
    }
    trace_event *event = event_new(kind, node);
    event->offset = offset;
    event->size = (uint32_t)size;
    event->data = trace->data_size;
    memcpy(trace->data + trace->data_size, bytes, size);
    trace->data_size += size;
}

/* Stores into mapped pages are no calls: they are seen at the next one. */
static void trace_stores(void) {
    for (unsigned i = 0; trace_on && i < TRACE_MAPS_MAX; i++) {
        trace_map *map = &trace_maps[i];
        for (size_t at = 0; map->page != NULL && at < map->size; at += TRACE_SECTOR) {
            if (memcmp(map->page + at, map->seen + at, TRACE_SECTOR) != 0) {
                memcpy(map->seen + at, map->page + at, TRACE_SECTOR);
                event_bytes(TRACE_STORE, map->node, map->seen + at, TRACE_SECTOR, at);
            }
        }
    }
}

static void die(void) {
    (void)kill(getpid(), SIGKILL);
}

/* Before a call. 1: it is the one to die in the middle of. */
static int trace_call(void) {
    trace_stores();
    if (!trace_armed || ++trace->calls != die_at) {
        return 0;
    }
    if (die_how == DIE_BEFORE) {
        die();
    }
    return die_how == DIE_MIDDLE;
}

/* Behind it, once it is recorded. */
static void trace_called(void) {
    trace->end = trace_armed ? trace->count : trace->end;
    if (trace_armed && trace->calls == die_at) {
        die();
    }
}

/* A place to die where there is no call: a mapped log makes few. */
static void trace_moment(void) {
    if (trace_on) {
        (void)trace_call();
        trace_called();
    }
}

/* ---- Writes ---------------------------------------------------------------------- */

static ssize_t write_now(int fd, const void *bytes, size_t size, uint64_t offset) {
    ssize_t count = syscall(SYS_pwrite64, fd, bytes, size, offset);
    uint32_t node = node_of(fd);
    if (count > 0 && node != UINT32_MAX) {
        event_bytes(TRACE_WRITE, node, bytes, (size_t)count, offset);
    }
    return count;
}

static void write_late(void) {
    if (late.fd >= 0) {
        (void)write_now(late.fd, late.bytes, late.size, late.offset);
        late.fd = -1;
    }
}

/* A record between its two words. */
static int is_frame(const void *bytes, size_t size) {
    uint64_t record = 0;
    memcpy(&record, bytes, size < sizeof record ? size : sizeof record);
    return record >= sizeof(sentinel_record_header) && record + 16 == size;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
    if (!trace_on) {
        return syscall(SYS_pwrite64, fd, bytes, size, offset);
    }
    if (lie == LIE_WRITE_LATE && is_frame(bytes, size)) {
        (void)trace_call();
        write_late();
        late.fd = fd;
        late.offset = (uint64_t)offset;
        late.size = size;
        memcpy(late.bytes, bytes, size);
        trace_called();
        return (ssize_t)size;
    }
    int is_middle = trace_call();
    trace->is_write[trace->calls % TRACE_EVENTS_MAX] = trace_armed != 0;
    if (is_middle) {
        (void)write_now(fd, bytes, size / 2, (uint64_t)offset);
        die();
    }
    ssize_t count = write_now(fd, bytes, size, (uint64_t)offset);
    trace_called();
    return count;
}

static int sync_now(int fd) {
    if (!trace_on) {
        return 0; /* Nothing here outlives the machine anyway. */
    }
    (void)trace_call();
    uint32_t node = node_of(fd);
    struct stat stat;
    int is_dir = syscall(SYS_fstat, fd, &stat) == 0 && S_ISDIR(stat.st_mode);
    int done = lie == LIE_SYNC_NAMES   ? !is_dir
               : lie == LIE_SYNC_LOG   ? is_dir || strcmp(node_dir(node), "log") != 0
               : lie == LIE_SYNC_SPOOL ? is_dir || strcmp(node_dir(node), "spool") != 0
                                       : 1;
    if (done) {
        (void)event_new(TRACE_SYNC, node);
    }
    trace_called();
    return 0;
}

int fdatasync(int fd) {
    return sync_now(fd);
}

int fsync(int fd) {
    return sync_now(fd);
}

static int size_now(int fd, uint64_t size) {
    int failed = (int)syscall(SYS_ftruncate, fd, size);
    if (failed == 0) {
        event_new(TRACE_SIZE, node_of(fd))->offset = size;
    }
    return failed;
}

int posix_fallocate(int fd, off_t offset, off_t size) {
    if (!trace_on) {
        return syscall(SYS_ftruncate, fd, offset + size) != 0 ? errno : 0;
    }
    (void)trace_call();
    int failed = size_now(fd, (uint64_t)(offset + size));
    trace_called();
    return failed != 0 ? errno : 0;
}

int ftruncate(int fd, off_t size) {
    if (!trace_on) {
        return (int)syscall(SYS_ftruncate, fd, size);
    }
    (void)trace_call();
    int failed = size_now(fd, (uint64_t)size);
    trace_called();
    return failed;
}

/* ---- Names ----------------------------------------------------------------------- */

static int open_traced(int dir_fd, const char *name, int flags, mode_t mode) {
    struct stat stat;
    if (!trace_on || (flags & (O_CREAT | O_TRUNC)) == 0) {
        return (int)syscall(SYS_openat, dir_fd, name, flags, mode);
    }
    int was_there = syscall(SYS_newfstatat, dir_fd, name, &stat, 0) == 0;
    if (was_there && (flags & O_TRUNC) == 0) {
        return (int)syscall(SYS_openat, dir_fd, name, flags, mode);
    }
    (void)trace_call();
    int fd = (int)syscall(SYS_openat, dir_fd, name, flags, mode);
    if (fd >= 0 && was_there) {
        event_new(TRACE_SIZE, node_of(fd))->offset = 0;
    } else if (fd >= 0 && syscall(SYS_fstat, fd, &stat) == 0) {
        uint32_t dir = node_of(dir_fd);
        trace_event *event = event_new(TRACE_CREATE, dir);
        event->made = node_new(stat.st_ino, dir, name);
        name_copy(event->name, name);
    }
    int error = errno;
    trace_called();
    errno = error;
    return fd;
}

int openat(int dir_fd, const char *name, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_traced(dir_fd, name, flags, mode);
}

int mkdirat(int dir_fd, const char *name, mode_t mode) {
    if (!trace_on) {
        return (int)syscall(SYS_mkdirat, dir_fd, name, mode);
    }
    struct stat stat;
    (void)trace_call();
    int failed = (int)syscall(SYS_mkdirat, dir_fd, name, mode);
    if (failed == 0 && syscall(SYS_newfstatat, dir_fd, name, &stat, 0) == 0) {
        trace_event *event = event_new(TRACE_MKDIR, node_of(dir_fd));
        event->made = node_new(stat.st_ino, event->node, name);
        name_copy(event->name, name);
    }
    trace_called();
    return failed;
}

int renameat(int from_fd, const char *from, int to_fd, const char *to) {
    if (!trace_on) {
        return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
    }
    (void)trace_call();
    int failed = (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
    if (failed == 0) {
        if (from_fd != to_fd) {
            trace_fails("trace: a rename between directories");
        }
        trace_event *event = event_new(TRACE_RENAME, node_of(from_fd));
        name_copy(event->name, from);
        name_copy(event->other, to);
    }
    int error = errno;
    trace_called();
    errno = error;
    return failed;
}

int unlinkat(int dir_fd, const char *name, int flags) {
    if (!trace_on) {
        return (int)syscall(SYS_unlinkat, dir_fd, name, flags);
    }
    (void)trace_call();
    int failed = (int)syscall(SYS_unlinkat, dir_fd, name, flags);
    if (failed == 0) {
        trace_event *event = event_new(TRACE_UNLINK, node_of(dir_fd));
        name_copy(event->name, name);
    }
    int error = errno;
    trace_called();
    errno = error;
    return failed;
}

/* ---- Mapped pages ---------------------------------------------------------------- */

static trace_map *map_find(const void *page) {
    for (unsigned i = 0; i < TRACE_MAPS_MAX; i++) {
        if (trace_maps[i].page == page) {
            return &trace_maps[i];
        }
    }
    return NULL;
}

/* Any that lies within; there may be several, a mapped log's. */
static trace_map *map_within(const void *page, size_t size) {
    uintptr_t from = (uintptr_t)page;
    for (unsigned i = 0; i < TRACE_MAPS_MAX; i++) {
        uintptr_t at = (uintptr_t)trace_maps[i].page;
        if (at != 0 && at >= from && at - from < size) {
            return &trace_maps[i];
        }
    }
    return NULL;
}

void *mmap(void *where, size_t size, int protection, int flags, int fd, off_t offset) {
    int is_traced =
        trace_on && fd >= 0 && (flags & MAP_SHARED) != 0 && (protection & PROT_WRITE) != 0;
    if (is_traced) {
        (void)trace_call();
    }
    void *page = (void *)syscall(SYS_mmap, where, size, protection, flags, fd, offset);
    if (is_traced && page != MAP_FAILED) {
        trace_map *map = map_find((flags & MAP_FIXED) != 0 ? page : NULL);
        map = map == NULL ? map_find(NULL) : map;
        if (map == NULL || size > sizeof map->seen) {
            trace_fails("trace: a page that has no room");
        }
        map->page = page;
        map->size = size;
        map->node = node_of(fd);
        memcpy(map->seen, page, size);
        (void)event_new(TRACE_MAP, map->node);
        trace_called();
    }
    return page;
}

int munmap(void *page, size_t size) {
    trace_map *map = trace_on && page != NULL ? map_within(page, size) : NULL;
    if (map != NULL) {
        (void)trace_call();
        for (; map != NULL; map = map_within(page, size)) {
            map->page = NULL;
            (void)event_new(TRACE_MAP, map->node);
        }
        trace_called();
    }
    return (int)syscall(SYS_munmap, page, size);
}

int msync(void *page, size_t size, int flags) {
    trace_map *map = trace_on && page != NULL ? map_find(page) : NULL;
    if (map != NULL) {
        (void)trace_call();
        (void)event_new(TRACE_SYNC, map->node);
        trace_called();
    }
    return (int)syscall(SYS_msync, page, size, flags);
}

#endif
