/* The log's layout on disk, for its writer and its readers. */
#ifndef SENTINEL_AUDIT_LOG_H
#define SENTINEL_AUDIT_LOG_H

#include "audit_record.h"

#define LOG_SUFFIX ".log"
#define LOG_AHEAD_NAME "ahead.new" /* the next segment, until it has its first record */
#define LOG_SEGMENT_VERSION 1u
#define LOG_SEGMENT_BYTES_MAX (UINT64_C(1) << 40)
#define LOG_WORD_BYTES 8u /* the size before a record, the commit word behind it */
#define LOG_FRAME_BYTES_MAX (SENTINEL_RECORD_BYTES_MAX + 2 * LOG_WORD_BYTES)
/* Looks at what seems wrong: a writer may be at work, and each look may meet it
 * at another of the five steps of an append. What is wrong stays so. */
#define LOG_TRIES 16
#define LOG_PAUSE_NS 5000000

/* What stands at a place of a segment. */
typedef enum log_place {
    LOG_NOTHING,     /* a size of zero */
    LOG_RECORD,      /* committed and whole: commit word, header and body fit */
    LOG_UNCOMMITTED, /* the beginning of a frame without a commit word */
    LOG_WRONG,       /* a commit word, and bytes that it does not cover */
    LOG_UNKNOWN,     /* its commit word is right, its header of no form we know */
    LOG_BEGUN,       /* a first word alone: a writer is at work, or it is damage */
    LOG_GARBAGE      /* no frame of ours begins like this */
} log_place;

/* The head page, as found. */
typedef struct log_head {
    sentinel_log_head newest; /* of the intact slots */
    int intact;               /* slots, 0 to 2 */
    int clean;                /* both slots, and zero elsewhere */
} log_head;

/* The commit word of a record with this hash. The hash covers the header, the
 * header's commitments cover every part: nothing is hashed for it again. */
uint64_t log_commit_word(const uint8_t hash32[32]);

/* What `size` bytes (aligned to 8) with this word behind them are: LOG_RECORD,
 * and `record` is taken apart; LOG_WRONG; LOG_UNKNOWN. */
log_place log_judge(sentinel_record *record, const uint8_t *bytes, size_t size, uint64_t commit);

/* Looks at a place; a record's bytes go to `buffer` (RECORD_BYTES_MAX). */
SENTINEL_MUST_USE sentinel_status log_look(log_place *place, size_t *size, int fd, uint64_t offset,
                                           sentinel_record *record, uint8_t *buffer);

/* One step of a reader, without asking the head. Place: what it met; after
 * LOG_RECORD `record` is whole, linked and stepped over.
 * Returns: OK; IO_*; AUDIT_CORRUPT, AUDIT_FOREIGN, FORMAT_VERSION. */
SENTINEL_MUST_USE sentinel_status log_step(sentinel_log_reader *reader, log_place *place,
                                           sentinel_record *record, uint8_t *buffer);

/* A reader at the beginning of the segment that holds record `first`.
 * Returns: OK; AUDIT_END (no segment); as log_step. */
SENTINEL_MUST_USE sentinel_status log_start(sentinel_log_reader *reader, int dir_fd,
                                            uint64_t first);

/* Takes a head page apart. */
void log_head_parse(log_head *head, const uint8_t *page);

/* What makes a slot intact: docs/4-audit.md. */
void log_head_check(uint8_t check16[16], const sentinel_log_head *slot);

/* Returns: OK; IO_OPEN (errno ENOENT: none), IO_READ; AUDIT_CORRUPT (size). */
SENTINEL_MUST_USE sentinel_status log_head_load(log_head *head, int dir_fd);

/* A file for a segment that begins with record `first`, open; it has its room,
 * its header and a name for the time being. Returns: OK; IO_*. */
SENTINEL_MUST_USE sentinel_status log_segment_new(const sentinel_log *log, int *fd,
                                                  const char *temporary, uint64_t first);

/* As sentinel_log_append, of a record in pieces. */
SENTINEL_MUST_USE sentinel_status log_append(sentinel_log *log, const record_pieces *record,
                                             const uint8_t hash32[32], int later);

/* DURABILITY_MAPPED (audit_mapped.c): takes over the segment that is open; a
 * frame; the next segment. */
SENTINEL_MUST_USE sentinel_status log_mapped_open(sentinel_log *log);
void log_mapped_close(sentinel_log *log);
void log_mapped_put(sentinel_log *log, const record_pieces *record, uint64_t size, uint64_t commit);
SENTINEL_MUST_USE sentinel_status log_mapped_turn(sentinel_log *log);

/* Finds the end of the log in log->dir_fd and takes its last segment over; a
 * torn tail is set aside. Returns: OK; IO_*; AUDIT_*; FORMAT_VERSION. */
SENTINEL_MUST_USE sentinel_status log_resume(sentinel_log *log, int *have_head, int *have_segment);

#endif
