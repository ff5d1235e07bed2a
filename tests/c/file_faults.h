/* System calls that fail as a test says. A test program's own definitions
 * come before the C library's, so the core under test calls these. */
#ifndef FILE_FAULTS_H
#define FILE_FAULTS_H

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct file_faults {
    size_t most;          /* bytes moved by one call; 0: all */
    int interrupts;       /* 1: every other call is interrupted */
    int write_error;      /* errno of one write */
    unsigned write_after; /* writes that succeed before it */
    int sync_error;
    int space_error; /* of posix_fallocate */
    int rename_error;
    int advice_error; /* of madvise */
    unsigned fail_at; /* the call of this number fails with EIO; 0: none */
    unsigned seen;    /* calls so far, while fail_at is set */
    unsigned calls;
    unsigned syncs;
} file_faults;

static file_faults faults;

/* Counts every call below, and says whether this is the one. */
static int fails_now(void) {
    if (faults.fail_at == 0 || ++faults.seen != faults.fail_at) {
        return 0;
    }
    errno = EIO;
    return 1;
}

static int interrupted(void) {
    errno = EINTR;
    return faults.interrupts && ++faults.calls % 2 == 1;
}

static int write_fails(void) {
    if (faults.write_error == 0 || faults.write_after-- != 0) {
        return 0;
    }
    errno = faults.write_error;
    faults.write_error = 0;
    return 1;
}

ssize_t pread(int fd, void *bytes, size_t size, off_t offset) {
    if (interrupted() || fails_now()) {
        return -1;
    }
    size = faults.most != 0 && size > faults.most ? faults.most : size;
    return syscall(SYS_pread64, fd, bytes, size, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
    if (interrupted() || write_fails() || fails_now()) {
        return -1;
    }
    size = faults.most != 0 && size > faults.most ? faults.most : size;
    return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

static int sync_result(void) {
    faults.syncs++;
    if (fails_now()) {
        return -1;
    }
    errno = faults.sync_error;
    return faults.sync_error != 0 ? -1 : 0;
}

int fdatasync(int fd) {
    (void)fd;
    return sync_result();
}

int fsync(int fd) {
    (void)fd;
    return sync_result();
}

int posix_fallocate(int fd, off_t offset, off_t size) {
    if (fails_now()) {
        return errno;
    }
    /* On these file systems a hole does as well. */
    return faults.space_error != 0             ? faults.space_error
           : ftruncate(fd, offset + size) != 0 ? errno
                                               : 0;
}

int renameat(int from_fd, const char *from, int to_fd, const char *to) {
    if (fails_now()) {
        return -1;
    }
    errno = faults.rename_error;
    return faults.rename_error != 0 ? -1 : (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

int openat(int dir_fd, const char *name, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return fails_now() ? -1 : (int)syscall(SYS_openat, dir_fd, name, flags, mode);
}

int open(const char *name, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return fails_now() ? -1 : (int)syscall(SYS_openat, AT_FDCWD, name, flags, mode);
}

DIR *fdopendir(int fd) {
    /* The next definition, which is the C library's (RTLD_NEXT). */
    DIR *(*real)(int) = NULL;
    void *found = dlsym((void *)-1L, "fdopendir");
    memcpy(&real, &found, sizeof real);
    return fails_now() ? NULL : real(fd);
}

int fstat(int fd, struct stat *stat) {
    return fails_now() ? -1 : (int)syscall(SYS_fstat, fd, stat);
}

int fstatat(int dir_fd, const char *name, struct stat *stat, int flags) {
    return fails_now() ? -1 : (int)syscall(SYS_newfstatat, dir_fd, name, stat, flags);
}

int flock(int fd, int operation) {
    return fails_now() ? -1 : (int)syscall(SYS_flock, fd, operation);
}

int mkdirat(int dir_fd, const char *name, mode_t mode) {
    return fails_now() ? -1 : (int)syscall(SYS_mkdirat, dir_fd, name, mode);
}

int fchmod(int fd, mode_t mode) {
    return fails_now() ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

void *mmap(void *where, size_t size, int protection, int flags, int fd, off_t offset) {
    return fails_now() ? MAP_FAILED
                       : (void *)syscall(SYS_mmap, where, size, protection, flags, fd, offset);
}

int madvise(void *where, size_t size, int advice) {
    if (fails_now()) {
        return -1;
    }
    errno = faults.advice_error;
    return faults.advice_error != 0 ? -1 : (int)syscall(SYS_madvise, where, size, advice);
}

#endif
