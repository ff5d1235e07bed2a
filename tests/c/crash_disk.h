/* A directory as a medium would hold it after a power loss. What was synced is
 * there; each sector written since, each new size and each name changed since
 * is an item that is there or not, in any combination. */
#ifndef CRASH_DISK_H
#define CRASH_DISK_H

#include "crash_trace.h"
#include "sentinel_test.h"

#include <dirent.h>

#define DISK_ITEMS_MAX 8192u
#define DISK_NAMES_MAX 1024u
#define DISK_NONE UINT32_MAX

typedef struct disk_file {
    uint8_t *durable;
    uint8_t *current;
    uint8_t *base; /* as it was when the trace began */
    size_t durable_size;
    size_t current_size;
    size_t base_size;
    size_t room;
    int is_dir;
} disk_file;

typedef enum disk_kind { DISK_SECTOR, DISK_SIZE, DISK_NAME } disk_kind;

typedef struct disk_item {
    disk_kind kind;
    uint32_t node; /* of a name: its directory */
    uint32_t name;
    uint32_t target;
    uint64_t offset; /* of a size: the size */
    uint8_t bytes[TRACE_SECTOR];
} disk_item;

typedef struct disk_name {
    uint32_t dir;
    uint32_t base;
    uint32_t durable;
    uint32_t current;
    uint32_t chosen;
    char text[TRACE_NAME_BYTES];
} disk_name;

static struct {
    disk_file files[TRACE_NODES_MAX];
    disk_item items[DISK_ITEMS_MAX];
    disk_name names[DISK_NAMES_MAX];
    unsigned item_count;
    unsigned name_count;
    unsigned base_nodes;
    unsigned base_names;
    uint8_t chosen[DISK_ITEMS_MAX];
} disk;

static void disk_room(uint32_t node, size_t size) {
    disk_file *file = &disk.files[node];
    if (size > file->room) {
        size_t room = 2 * size + 4096;
        file->durable = realloc(file->durable, room);
        file->current = realloc(file->current, room);
        CHECK(file->durable != NULL && file->current != NULL);
        memset(file->durable + file->room, 0, room - file->room);
        memset(file->current + file->room, 0, room - file->room);
        file->room = room;
    }
}

static void disk_file_reset(uint32_t node, int is_dir) {
    disk_file *file = &disk.files[node];
    if (file->room != 0) {
        memset(file->durable, 0, file->room);
        memset(file->current, 0, file->room);
    }
    file->durable_size = file->current_size = 0;
    file->is_dir = is_dir;
}

static uint32_t disk_name_of(uint32_t dir, const char *text) {
    for (uint32_t i = 0; i < disk.name_count; i++) {
        if (disk.names[i].dir == dir && strcmp(disk.names[i].text, text) == 0) {
            return i;
        }
    }
    CHECK(disk.name_count < DISK_NAMES_MAX);
    disk_name *name = &disk.names[disk.name_count];
    *name = (disk_name){.dir = dir, .base = DISK_NONE, .durable = DISK_NONE, .current = DISK_NONE};
    name_copy(name->text, text);
    return disk.name_count++;
}

/* ---- A real directory, taken as durable ------------------------------------------ */

static void disk_load_file(int dir_fd, const char *name, uint32_t node) {
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW);
    struct stat stat;
    CHECK(fd >= 0 && fstat(fd, &stat) == 0);
    disk_file *file = &disk.files[node];
    disk_room(node, (size_t)stat.st_size + 1);
    CHECK_EQ(pread(fd, file->durable, (size_t)stat.st_size, 0), stat.st_size);
    file->base_size = (size_t)stat.st_size;
    file->base = realloc(file->base, file->base_size + 1);
    CHECK(file->base != NULL);
    memcpy(file->base, file->durable, file->base_size);
    close(fd);
}

static void disk_load_below(int dir_fd, uint32_t dir) {
    struct stat stat;
    DIR *list = fdopendir(dup(dir_fd));
    CHECK(list != NULL);
    rewinddir(list);
    for (struct dirent *e = readdir(list); e != NULL; e = readdir(list)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        CHECK_OK(fstatat(dir_fd, e->d_name, &stat, AT_SYMLINK_NOFOLLOW));
        uint32_t node = node_new(stat.st_ino, dir, e->d_name);
        disk_file_reset(node, S_ISDIR(stat.st_mode));
        uint32_t name = disk_name_of(dir, e->d_name);
        disk.names[name].base = node;
        if (S_ISDIR(stat.st_mode)) {
            int fd = openat(dir_fd, e->d_name, O_RDONLY | O_DIRECTORY);
            disk_load_below(fd, node);
            close(fd);
        } else {
            disk_load_file(dir_fd, e->d_name, node);
        }
    }
    closedir(list);
}

/* Back to where the trace began. */
static void disk_rewind(void) {
    disk.item_count = 0;
    disk.name_count = disk.base_names;
    for (uint32_t i = 0; i < disk.name_count; i++) {
        disk.names[i].durable = disk.names[i].current = disk.names[i].base;
    }
    for (uint32_t node = 0; node < disk.base_nodes; node++) {
        disk_file *file = &disk.files[node];
        disk_file_reset(node, file->is_dir);
        if (!file->is_dir) {
            disk_room(node, file->base_size + 1);
            file->durable_size = file->current_size = file->base_size;
            memcpy(file->durable, file->base, file->base_size);
            memcpy(file->current, file->base, file->base_size);
        }
    }
}

/* The directory at `path` is now where a trace begins. */
static void disk_load(const char *path) {
    struct stat stat;
    trace_reset();
    disk.item_count = disk.name_count = 0;
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0 && fstat(fd, &stat) == 0);
    (void)node_new(stat.st_ino, 0, "");
    disk_file_reset(0, 1);
    disk_load_below(fd, 0);
    close(fd);
    disk.base_nodes = trace->nodes;
    disk.base_names = disk.name_count;
    disk_rewind();
}

/* ---- One event after another ----------------------------------------------------- */

static disk_item *disk_item_new(disk_kind kind, uint32_t node) {
    CHECK(disk.item_count < DISK_ITEMS_MAX);
    disk_item *item = &disk.items[disk.item_count++];
    item->kind = kind;
    item->node = node;
    return item;
}

static void disk_set_size(uint32_t node, uint64_t size) {
    disk_file *file = &disk.files[node];
    disk_room(node, (size_t)size);
    if (size < file->current_size) {
        memset(file->current + size, 0, file->current_size - (size_t)size);
    }
    if (size != file->current_size) {
        file->current_size = (size_t)size;
        disk_item_new(DISK_SIZE, node)->offset = size;
    }
}

static void disk_write(const trace_event *event) {
    uint32_t node = event->node;
    uint64_t end = event->offset + event->size;
    disk_room(node, (size_t)end + TRACE_SECTOR);
    if (end > disk.files[node].current_size) {
        disk_set_size(node, end);
    }
    memcpy(disk.files[node].current + event->offset, trace->data + event->data, event->size);
    for (uint64_t at = event->offset / TRACE_SECTOR * TRACE_SECTOR; at < end; at += TRACE_SECTOR) {
        disk_item *item = disk_item_new(DISK_SECTOR, node);
        item->offset = at;
        memcpy(item->bytes, disk.files[node].current + at, TRACE_SECTOR);
    }
}

static void disk_set_name(uint32_t dir, const char *text, uint32_t target) {
    uint32_t name = disk_name_of(dir, text);
    disk.names[name].current = target;
    disk_item *item = disk_item_new(DISK_NAME, dir);
    item->name = name;
    item->target = target;
}

static void disk_sync(uint32_t node) {
    disk_file *file = &disk.files[node];
    if (!file->is_dir) {
        disk_room(node, 1);
        memcpy(file->durable, file->current, file->room);
        file->durable_size = file->current_size;
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < disk.item_count; i++) {
        disk_item *item = &disk.items[i];
        if (item->node != node) {
            if (kept != i) {
                disk.items[kept] = *item;
            }
            kept++;
        } else if (item->kind == DISK_NAME) {
            disk.names[item->name].durable = item->target;
        }
    }
    disk.item_count = kept;
}

static void disk_apply(const trace_event *event) {
    switch ((trace_kind)event->kind) {
    case TRACE_CREATE:
    case TRACE_MKDIR:
        disk_file_reset(event->made, event->kind == TRACE_MKDIR);
        disk_set_name(event->node, event->name, event->made);
        break;
    case TRACE_WRITE:
    case TRACE_STORE:
        disk_write(event);
        break;
    case TRACE_SIZE:
        disk_set_size(event->node, event->offset);
        break;
    case TRACE_RENAME: {
        uint32_t from = disk_name_of(event->node, event->name);
        disk_set_name(event->node, event->other, disk.names[from].current);
        disk_set_name(event->node, event->name, DISK_NONE);
        break;
    }
    case TRACE_UNLINK:
        disk_set_name(event->node, event->name, DISK_NONE);
        break;
    case TRACE_SYNC:
        disk_sync(event->node);
        break;
    case TRACE_MAP:
        break;
    }
}

/* ---- The directory that is left -------------------------------------------------- */

static void disk_wipe(int dir_fd) {
    DIR *list = fdopendir(dup(dir_fd));
    CHECK(list != NULL);
    rewinddir(list);
    for (struct dirent *e = readdir(list); e != NULL; e = readdir(list)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            unlinkat(dir_fd, e->d_name, 0) == 0) {
            continue;
        }
        int fd = openat(dir_fd, e->d_name, O_RDONLY | O_DIRECTORY);
        CHECK(fd >= 0);
        disk_wipe(fd);
        close(fd);
        CHECK_OK(unlinkat(dir_fd, e->d_name, AT_REMOVEDIR));
    }
    closedir(list);
}

static void disk_put_file(int dir_fd, const char *name, uint32_t node) {
    static uint8_t *bytes;
    static size_t room;
    const disk_file *file = &disk.files[node];
    if (file->room > room) {
        room = file->room;
        bytes = realloc(bytes, room);
        CHECK(bytes != NULL);
    }
    size_t size = file->durable_size;
    memset(bytes, 0, file->room);
    if (size != 0) {
        memcpy(bytes, file->durable, size);
    }
    for (unsigned i = 0; i < disk.item_count; i++) {
        const disk_item *item = &disk.items[i];
        if (item->node != node || !disk.chosen[i]) {
            continue;
        }
        if (item->kind == DISK_SECTOR) {
            memcpy(bytes + item->offset, item->bytes, TRACE_SECTOR);
        } else {
            memset(bytes + item->offset, 0, file->room - item->offset);
            size = (size_t)item->offset;
        }
    }
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0);
    CHECK_EQ(pwrite(fd, bytes, size, 0), size);
    close(fd);
}

static void disk_put_below(int dir_fd, uint32_t dir) {
    for (uint32_t i = 0; i < disk.name_count; i++) {
        const disk_name *name = &disk.names[i];
        if (name->dir != dir || name->chosen == DISK_NONE) {
            continue;
        }
        if (!disk.files[name->chosen].is_dir) {
            disk_put_file(dir_fd, name->text, name->chosen);
            continue;
        }
        CHECK_OK(mkdirat(dir_fd, name->text, 0700));
        int fd = openat(dir_fd, name->text, O_RDONLY | O_DIRECTORY);
        disk_put_below(fd, name->chosen);
        close(fd);
    }
}

/* Writes what the chosen items leave. */
static void disk_put(const char *path) {
    for (uint32_t i = 0; i < disk.name_count; i++) {
        disk.names[i].chosen = disk.names[i].durable;
    }
    for (unsigned i = 0; i < disk.item_count; i++) {
        if (disk.items[i].kind == DISK_NAME && disk.chosen[i]) {
            disk.names[disk.items[i].name].chosen = disk.items[i].target;
        }
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0);
    disk_wipe(fd);
    disk_put_below(fd, 0);
    close(fd);
}

static void disk_choose_all(uint8_t chosen) {
    memset(disk.chosen, chosen, sizeof disk.chosen);
}

static void disk_bind_below(int dir_fd, uint32_t dir) {
    for (uint32_t i = 0; i < disk.base_names; i++) {
        const disk_name *name = &disk.names[i];
        struct stat stat;
        if (name->dir != dir) {
            continue;
        }
        CHECK_OK(fstatat(dir_fd, name->text, &stat, AT_SYMLINK_NOFOLLOW));
        trace->inodes[name->base] = stat.st_ino;
        if (disk.files[name->base].is_dir) {
            int fd = openat(dir_fd, name->text, O_RDONLY | O_DIRECTORY);
            disk_bind_below(fd, name->base);
            close(fd);
        }
    }
}

/* The directory as it was when the trace began, and an empty trace. */
static void disk_restore(const char *path) {
    disk_rewind();
    disk_put(path);
    trace_reset();
    trace->nodes = disk.base_nodes;
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    disk_bind_below(fd, 0);
    close(fd);
}

/* ---- The trace is complete: the model is the real directory ---------------------- */

static unsigned disk_compare_below(int dir_fd, uint32_t dir) {
    unsigned files = 0;
    for (uint32_t i = 0; i < disk.name_count; i++) {
        const disk_name *name = &disk.names[i];
        struct stat stat;
        if (name->dir != dir) {
            continue;
        }
        int is_there = fstatat(dir_fd, name->text, &stat, AT_SYMLINK_NOFOLLOW) == 0;
        CHECK_EQ(is_there, name->current != DISK_NONE);
        if (!is_there) {
            continue;
        }
        files++;
        const disk_file *file = &disk.files[name->current];
        int fd = openat(dir_fd, name->text, O_RDONLY | O_NOFOLLOW);
        CHECK(fd >= 0);
        if (file->is_dir) {
            files += disk_compare_below(fd, name->current);
        } else {
            static uint8_t bytes[1 << 20];
            CHECK_EQ(stat.st_size, file->current_size);
            CHECK_EQ(pread(fd, bytes, sizeof bytes, 0), stat.st_size);
            CHECK(stat.st_size == 0 || memcmp(bytes, file->current, (size_t)stat.st_size) == 0);
        }
        close(fd);
    }
    return files;
}

static unsigned disk_count_real(int dir_fd) {
    unsigned files = 0;
    DIR *list = fdopendir(dup(dir_fd));
    CHECK(list != NULL);
    rewinddir(list);
    for (struct dirent *e = readdir(list); e != NULL; e = readdir(list)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        files++;
        int fd = openat(dir_fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (fd >= 0) {
            files += disk_count_real(fd);
            close(fd);
        }
    }
    closedir(list);
    return files;
}

/* After the last event: a call that is not recorded would show here. */
static void disk_must_be(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0);
    CHECK_EQ(disk_compare_below(fd, 0), disk_count_real(fd));
    close(fd);
}

#endif
