/* System calls that fail as a test says. A test program's own definitions
 * come before the C library's, so the core under test calls these. */
#ifndef FILE_FAULTS_H
#define FILE_FAULTS_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

typedef struct file_faults {
    size_t most;          /* bytes moved by one call; 0: all */
    int interrupts;       /* 1: every other call is interrupted */
    int write_error;      /* errno of one write */
    unsigned write_after; /* writes that succeed before it */
    int sync_error;
    int space_error; /* of posix_fallocate */
    int rename_error;
    unsigned calls;
    unsigned syncs;
} file_faults;

static file_faults faults;

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
    if (interrupted()) {
        return -1;
    }
    size = faults.most != 0 && size > faults.most ? faults.most : size;
    return syscall(SYS_pread64, fd, bytes, size, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
    if (interrupted() || write_fails()) {
        return -1;
    }
    size = faults.most != 0 && size > faults.most ? faults.most : size;
    return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    static uint8_t joined[1 << 16];
    size_t size = 0;
    for (int i = 0; i < count && size + parts[i].iov_len <= sizeof joined; i++) {
        memcpy(joined + size, parts[i].iov_base, parts[i].iov_len);
        size += parts[i].iov_len;
    }
    return pwrite(fd, joined, size, offset);
}

static int sync_result(void) {
    faults.syncs++;
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
    /* On these file systems a hole does as well. */
    return faults.space_error != 0             ? faults.space_error
           : ftruncate(fd, offset + size) != 0 ? errno
                                               : 0;
}

int renameat(int from_fd, const char *from, int to_fd, const char *to) {
    errno = faults.rename_error;
    return faults.rename_error != 0 ? -1 : (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

#endif
