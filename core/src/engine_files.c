/* The files of an engine's directory. */
#include "engine_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static sentinel_status refuse(int fd, int error) {
    if (fd >= 0) {
        (void)close(fd);
    }
    errno = error;
    return SENTINEL_IO_OPEN;
}

sentinel_status engine_dir_open(int *fd, const char *dir, int private_only) {
    struct stat stat;
    *fd = -1;
    int opened = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0 || fstat(opened, &stat) != 0) {
        return refuse(opened, errno);
    }
    /* Another user's directory could be changed under us at any time. */
    if (stat.st_uid != geteuid()) {
        return refuse(opened, EPERM);
    }
    if (private_only && (stat.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return refuse(opened, EACCES);
    }
    *fd = opened;
    return SENTINEL_OK;
}

sentinel_status engine_dir_below(int *fd, int dir_fd, const char *name) {
    *fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return *fd < 0 ? SENTINEL_IO_OPEN : SENTINEL_OK;
}

sentinel_status engine_log_open(sentinel_engine *engine, const sentinel_engine_options *options) {
    uint64_t segment_bytes =
        options->segment_bytes != 0 ? options->segment_bytes : SENTINEL_SEGMENT_BYTES_DEFAULT;
    return sentinel_log_open(&engine->log, engine->log_fd, engine->engine_id32, engine->durability,
                             segment_bytes);
}

sentinel_status engine_below_open(sentinel_engine *engine) {
    SENTINEL_TRY(engine_dir_below(&engine->log_fd, engine->dir_fd, "log"));
    SENTINEL_TRY(engine_dir_below(&engine->bundles_fd, engine->dir_fd, "bundles"));
    SENTINEL_TRY(engine_dir_below(&engine->snapshots_fd, engine->dir_fd, "snapshots"));
    return engine_dir_below(&engine->spool_fd, engine->dir_fd, "spool");
}

sentinel_status engine_lock(int *fd, int dir_fd) {
    *fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0) {
        return SENTINEL_IO_OPEN;
    }
    int failed;
    do {
        failed = flock(*fd, LOCK_EX | LOCK_NB);
    } while (failed != 0 && errno == EINTR);
    return failed == 0 ? SENTINEL_OK : errno == EWOULDBLOCK ? SENTINEL_IO_LOCKED : SENTINEL_IO_OPEN;
}

static sentinel_status control_make(int dir_fd) {
    uint8_t page[ENGINE_CONTROL_BYTES] = {0};
    sentinel_control control = {.magic = {'S', 'E', 'N', 'T', 'C', 'T', 'R', 'L'}, .version = 1};
    memcpy(page, &control, sizeof control);
    return files_save(dir_fd, "control", page, sizeof page, 1);
}

sentinel_status engine_control_map(sentinel_control **control, int dir_fd, int make) {
    struct stat stat;
    int fd = openat(dir_fd, "control", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT && make) {
        SENTINEL_TRY(control_make(dir_fd));
        fd = openat(dir_fd, "control", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    }
    if (fd < 0 || fstat(fd, &stat) != 0) {
        return refuse(fd, errno);
    }
    if (stat.st_size != ENGINE_CONTROL_BYTES) {
        (void)close(fd);
        return SENTINEL_FORMAT_SIZE;
    }
    void *page = mmap(NULL, ENGINE_CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int error = errno;
    (void)close(fd);
    errno = error;
    if (page == MAP_FAILED) {
        return SENTINEL_IO_MEMORY;
    }
    sentinel_control *mapped = page;
    if (memcmp(mapped->magic, "SENTCTRL", sizeof mapped->magic) != 0 || mapped->version != 1) {
        engine_control_unmap(mapped);
        return SENTINEL_FORMAT_MAGIC;
    }
    *control = mapped;
    return SENTINEL_OK;
}

void engine_control_unmap(sentinel_control *control) {
    if (control != NULL) {
        (void)munmap(control, ENGINE_CONTROL_BYTES);
    }
}

/* The key that the genesis record names; it signs heads and makes salts. */
static sentinel_status identity_find(sentinel_engine *engine) {
    for (uint32_t i = 0; i < sentinel_keyring_count(engine->keyring); i++) {
        const sentinel_key_info *info = sentinel_keyring_at(engine->keyring, i);
        if (info != NULL && info->purpose == SENTINEL_PURPOSE_RECEIPT &&
            info->public_key_size == 32 &&
            bytes_equal(info->public_key, engine->config.genesis.identity_key32, 32)) {
            engine->config.receipt_key = info->id;
            return SENTINEL_OK;
        }
    }
    return SENTINEL_KEY_UNKNOWN;
}

sentinel_status engine_keys_open(sentinel_engine *engine, const sentinel_engine_options *options) {
    _Alignas(8) uint8_t sealed[ENGINE_KEYFILE_BYTES_MAX];
    struct stat stat;
    size_t size;
    if (fstatat(engine->dir_fd, "keys/engine", &stat, AT_SYMLINK_NOFOLLOW) != 0) {
        return SENTINEL_IO_OPEN;
    }
    if (!S_ISREG(stat.st_mode) || stat.st_uid != geteuid() ||
        (stat.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return refuse(-1, EACCES);
    }
    SENTINEL_TRY(files_load(&size, engine->dir_fd, "keys/engine", sealed, sizeof sealed));
    SENTINEL_TRY(sentinel_keyring_new(&engine->keyring));
    SENTINEL_TRY(sentinel_keyring_unseal(engine->keyring, sealed, size, options->passphrase,
                                         options->passphrase_size));
    return identity_find(engine);
}

static void hash_name(char name[ENGINE_HASH_NAME_BYTES], const uint8_t hash32[32]) {
    bytes_to_hex(name, hash32, 32);
    name[ENGINE_HASH_NAME_BYTES - 1] = 0;
}

sentinel_status engine_bundle_save(const sentinel_engine *engine, const uint8_t hash32[32],
                                   const void *bytes, size_t size) {
    char name[ENGINE_HASH_NAME_BYTES];
    hash_name(name, hash32);
    return files_save(engine->bundles_fd, name, bytes, size, 1);
}

sentinel_status engine_bundle_load(const sentinel_engine *engine, size_t *size,
                                   const uint8_t hash32[32], void *bytes, uint64_t capacity) {
    char name[ENGINE_HASH_NAME_BYTES];
    hash_name(name, hash32);
    sentinel_status status = files_load(size, engine->bundles_fd, name, bytes, (size_t)capacity);
    return status == SENTINEL_FORMAT_SIZE ? SENTINEL_POLICY_ARENA : status;
}

sentinel_status engine_dir_is_new(int dir_fd) {
    int fd;
    SENTINEL_TRY(engine_dir_below(&fd, dir_fd, "."));
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        return refuse(fd, errno);
    }
    static const char *const ours[] = {".", "..", "keys", "lock"};
    sentinel_status status = SENTINEL_OK;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        int known = 0;
        for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
            known |= strcmp(entry->d_name, ours[i]) == 0;
        }
        status = known ? status : SENTINEL_USAGE_STATE;
    }
    (void)closedir(dir);
    return status;
}

static void clear_below(int dir_fd, const char *name) {
    int fd;
    if (engine_dir_below(&fd, dir_fd, name) != SENTINEL_OK) {
        return;
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        (void)close(fd);
        return;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        (void)unlinkat(fd, entry->d_name, 0);
    }
    (void)closedir(dir);
    (void)unlinkat(dir_fd, name, AT_REMOVEDIR);
}

void engine_dir_clear(int dir_fd) {
    int error = errno;
    static const char *const names[] = {"log", "bundles", "snapshots", "spool", "texts"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        clear_below(dir_fd, names[i]);
    }
    (void)unlinkat(dir_fd, "genesis", 0);
    (void)unlinkat(dir_fd, "control", 0);
    (void)unlinkat(dir_fd, "lock", 0);
    errno = error;
}
