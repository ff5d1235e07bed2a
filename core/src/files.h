/* Files: whole reads and writes, atomic replacement, numbered names. Each
 * leaves errno as the system call set it. */
#ifndef SENTINEL_FILES_H
#define SENTINEL_FILES_H

#include <sentinel/status.h>
#include <stddef.h>
#include <stdint.h>

#define FILES_NUMBER_DIGITS 20u
#define FILES_NAME_BYTES 96u

/* "00000000000000000042" and the suffix; name has FILES_NAME_BYTES. */
void files_number_name(char *name, uint64_t number, const char *suffix);

/* 1 when the name is a number's, with this suffix. */
int files_number_parse(uint64_t *number, const char *name, const char *suffix);

/* Reads up to `size` bytes; fewer only at the end of the file. */
SENTINEL_MUST_USE sentinel_status files_read_at(size_t *got, int fd, void *bytes, size_t size,
                                                uint64_t offset);

/* Writes all bytes. Returns: OK; IO_WRITE; IO_SPACE. */
SENTINEL_MUST_USE sentinel_status files_write_at(int fd, const void *bytes, size_t size,
                                                 uint64_t offset);

/* Zeros a range. */
SENTINEL_MUST_USE sentinel_status files_zero_at(int fd, uint64_t offset, uint64_t size);

/* IO_SPACE when errno says that there is no room, else `otherwise`. */
sentinel_status files_status(int error, sentinel_status otherwise);

/* Writes a file under another name and renames it, so that it is there whole
 * or not at all; `sync` also carries it, and its name, to the medium. */
SENTINEL_MUST_USE sentinel_status files_save(int dir_fd, const char *name, const void *bytes,
                                             size_t size, int sync);

/* Reads a whole file that must fit. Returns: OK; IO_OPEN; IO_READ; FORMAT_SIZE;
 * FORMAT_MAGIC (a directory, a pipe or a device). */
SENTINEL_MUST_USE sentinel_status files_load(size_t *size, int dir_fd, const char *name,
                                             void *bytes, size_t capacity);

/* The lowest and the highest number not above `at_most` among names with
 * this suffix. Returns: OK; AUDIT_END (none); IO_OPEN; IO_READ. */
SENTINEL_MUST_USE sentinel_status files_numbers(uint64_t *lowest, uint64_t *highest, int dir_fd,
                                                const char *suffix, uint64_t at_most);
SENTINEL_MUST_USE sentinel_status files_highest(uint64_t *number, int dir_fd, const char *suffix,
                                                uint64_t at_most);

#endif
