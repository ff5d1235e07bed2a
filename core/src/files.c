/* See files.h. Signals may interrupt any call, and a write may be short; both
 * are ordinary and handled here, once. */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void files_number_name(char *name, uint64_t number, const char *suffix) {
    for (unsigned i = FILES_NUMBER_DIGITS; i > 0; i--) {
        name[i - 1] = (char)('0' + number % 10);
        number /= 10;
    }
    size_t room = FILES_NAME_BYTES - FILES_NUMBER_DIGITS - 1;
    size_t size = strlen(suffix) < room ? strlen(suffix) : room;
    memcpy(name + FILES_NUMBER_DIGITS, suffix, size);
    name[FILES_NUMBER_DIGITS + size] = 0;
}

int files_number_parse(uint64_t *number, const char *name, const char *suffix) {
    uint64_t value = 0;
    for (unsigned i = 0; i < FILES_NUMBER_DIGITS; i++) {
        uint64_t digit = (uint64_t)(unsigned char)name[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return 0;
        }
        value = value * 10 + digit;
    }
    *number = value;
    return strcmp(name + FILES_NUMBER_DIGITS, suffix) == 0;
}

sentinel_status files_status(int error, sentinel_status otherwise) {
    int full = error == ENOSPC || error == EDQUOT || error == EFBIG;
    return full ? SENTINEL_IO_SPACE : otherwise;
}

sentinel_status files_read_at(size_t *got, int fd, void *bytes, size_t size, uint64_t offset) {
    *got = 0;
    while (*got < size) {
        ssize_t count = pread(fd, (uint8_t *)bytes + *got, size - *got, (off_t)(offset + *got));
        if (count == 0) {
            break;
        }
        if (count > 0) {
            *got += (size_t)count;
        } else if (errno != EINTR) {
            return SENTINEL_IO_READ;
        }
    }
    return SENTINEL_OK;
}

sentinel_status files_write_at(int fd, const void *bytes, size_t size, uint64_t offset) {
    size_t done = 0;
    while (done < size) {
        ssize_t count =
            pwrite(fd, (const uint8_t *)bytes + done, size - done, (off_t)(offset + done));
        if (count > 0) {
            done += (size_t)count;
        } else if (count == 0 || errno != EINTR) {
            return files_status(count == 0 ? ENOSPC : errno, SENTINEL_IO_WRITE);
        }
    }
    return SENTINEL_OK;
}

sentinel_status files_zero_at(int fd, uint64_t offset, uint64_t size) {
    static const uint8_t zeros[4096];
    sentinel_status status = SENTINEL_OK;
    while (size > 0 && status == SENTINEL_OK) {
        size_t piece = size < sizeof zeros ? (size_t)size : sizeof zeros;
        status = files_write_at(fd, zeros, piece, offset);
        offset += piece;
        size -= piece;
    }
    return status;
}

sentinel_status files_save(int dir_fd, const char *name, const void *bytes, size_t size, int sync) {
    char temporary[FILES_NAME_BYTES + 8];
    (void)snprintf(temporary, sizeof temporary, "%s.new", name);
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
    int fd = openat(dir_fd, temporary, flags, 0600);
    if (fd < 0) {
        return files_status(errno, SENTINEL_IO_OPEN);
    }
    sentinel_status status = files_write_at(fd, bytes, size, 0);
    if (status == SENTINEL_OK && sync && fsync(fd) != 0) {
        status = files_status(errno, SENTINEL_IO_SYNC);
    }
    int error = errno;
    if (close(fd) != 0 && status == SENTINEL_OK) {
        error = errno;
        status = files_status(error, SENTINEL_IO_WRITE);
    }
    if (status == SENTINEL_OK && renameat(dir_fd, temporary, dir_fd, name) != 0) {
        error = errno;
        status = files_status(error, SENTINEL_IO_WRITE);
    }
    if (status != SENTINEL_OK) {
        (void)unlinkat(dir_fd, temporary, 0);
        errno = error;
        return status;
    }
    return sync && fsync(dir_fd) != 0 ? SENTINEL_IO_SYNC : SENTINEL_OK;
}

sentinel_status files_load(size_t *size, int dir_fd, const char *name, void *bytes,
                           size_t capacity) {
    *size = 0;
    /* Nonblocking: what turns out to be no file must not hold the writer up. */
    int fd = openat(dir_fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return SENTINEL_IO_OPEN;
    }
    struct stat stat;
    sentinel_status status = SENTINEL_IO_READ;
    if (fstat(fd, &stat) == 0) {
        status = S_ISREG(stat.st_mode) ? files_read_at(size, fd, bytes, capacity, 0)
                                       : SENTINEL_FORMAT_MAGIC;
    }
    uint8_t more;
    size_t got = 0;
    if (status == SENTINEL_OK && *size == capacity) {
        status = files_read_at(&got, fd, &more, 1, capacity);
    }
    int error = errno;
    (void)close(fd);
    errno = error;
    return got != 0 ? SENTINEL_FORMAT_SIZE : status;
}

sentinel_status files_numbers(uint64_t *lowest, uint64_t *highest, int dir_fd, const char *suffix,
                              uint64_t at_most) {
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        int error = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        errno = error;
        return SENTINEL_IO_OPEN;
    }
    int found = 0;
    errno = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        uint64_t candidate;
        if (strlen(entry->d_name) >= FILES_NUMBER_DIGITS &&
            files_number_parse(&candidate, entry->d_name, suffix) && candidate <= at_most) {
            *lowest = !found || candidate < *lowest ? candidate : *lowest;
            *highest = !found || candidate > *highest ? candidate : *highest;
            found = 1;
        }
    }
    int error = errno;
    (void)closedir(dir);
    errno = error;
    return error != 0 ? SENTINEL_IO_READ : found ? SENTINEL_OK : SENTINEL_AUDIT_END;
}

sentinel_status files_highest(uint64_t *number, int dir_fd, const char *suffix, uint64_t at_most) {
    uint64_t lowest;
    return files_numbers(&lowest, number, dir_fd, suffix, at_most);
}
