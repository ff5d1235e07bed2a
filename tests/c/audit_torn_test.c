/* A log that was cut off or changed. Goal: a torn tail is set aside and the
 * log goes on; nothing that was changed goes unnoticed. Method: the last frame
 * is cut at each byte, and each bit that a log uses is changed once. */
#include "audit_log_world.h"

static void test_a_frame_cut_at_any_byte_is_set_aside(void) {
    size_t at = prepare_cut();
    size_t frame = w.c.size + 16;
    chain after = w.c;
    for (size_t cut = 0; cut <= frame; cut++) {
        put_cut(at, cut, head_before);
        size_t torn = cut;
        while (torn > 0 && segment_after[at + torn - 1] == 0) {
            torn--;
        }
        /* Whole already when only zeros are missing. */
        int whole = memcmp(segment_after + at + cut, segment_before + at + cut, frame - cut) == 0;
        CHECK_OK(reopen());
        CHECK_EQ(w.log.count, whole ? 4 : 3);
        CHECK_EQ(w.log.torn_bytes, whole ? 0 : torn);
        CHECK_EQ(file_exists(w.dir, "torn-00000000000000000003"), !whole && torn > 0);
        if (!whole && torn > 0) {
            static uint8_t kept[SEGMENT];
            CHECK_EQ(file_size(w.dir, "torn-00000000000000000003"), torn);
            file_read(w.dir, "torn-00000000000000000003", kept, torn);
            CHECK_BYTES(kept, segment_after + at, torn);
            file_read(w.dir, FIRST, kept, SEGMENT);
            CHECK_BYTES(kept, segment_before, SEGMENT);
        }
        /* And the log goes on. */
        w.c = after;
        if (!whole) {
            append();
        }
        expect_whole(4);
        sentinel_log_close(&w.log);
        expect_whole(4);
    }
}

static void test_a_frame_that_the_head_knows_may_not_be_cut(void) {
    size_t at = prepare_cut();
    size_t frame = w.c.size + 16;
    for (size_t cut = 0; cut < frame; cut++) {
        if (memcmp(segment_after + at + cut, segment_before + at + cut, frame - cut) == 0) {
            continue;
        }
        put_cut(at, cut, head_after);
        sentinel_status status = reopen();
        /* No commit word: it ends too early. A part of one: it is not intact. */
        CHECK(status == SENTINEL_AUDIT_TRUNCATED || status == SENTINEL_AUDIT_CORRUPT);
        CHECK(cut >= frame - 8 || cut < 16 || status == SENTINEL_AUDIT_TRUNCATED);
        CHECK_EQ(w.log.count, 3);
        CHECK_EQ(sentinel_log_append(&w.log, w.c.record, w.c.size, w.c.last_hash32, 0),
                 SENTINEL_AUDIT_FULL);
        sentinel_log_close(&w.log);
        /* Nothing was changed: it is evidence. */
        static uint8_t now[SEGMENT];
        file_read(w.dir, FIRST, now, SEGMENT);
        CHECK_BYTES(now + at, segment_after + at, cut);
        CHECK(!file_exists(w.dir, "torn-00000000000000000003"));
        uint64_t count;
        CHECK(read_from(0, &count) != SENTINEL_AUDIT_END);
    }
}

/* A size that reaches beyond the segment is that of no frame. */
static void test_a_torn_frame_near_the_end_is_set_aside(void) {
    begin(1);
    chain_feed(&w.c, SENTINEL_SUBJECT_BYTES_MAX);
    append();
    chain_feed(&w.c, SENTINEL_SUBJECT_BYTES_MAX);
    append();
    size_t at = w.log.segment_offset;
    uint64_t words[2] = {24576, 1 | (uint64_t)SENTINEL_RECORD_FEED << 16 | (uint64_t)24576 << 32};
    CHECK(SEGMENT - at < 24576);
    sentinel_log_close(&w.log);
    file_write(w.dir, FIRST, words, sizeof words, at);
    uint64_t count;
    CHECK_EQ(read_from(0, &count), SENTINEL_AUDIT_CORRUPT);
    CHECK_OK(reopen());
    CHECK_EQ(w.log.count, 3);
    CHECK_EQ(w.log.torn_bytes, 14); /* up to the last byte that is not zero */
}

static void test_a_segment_without_its_last_zero_is_corruption(void) {
    begin(1);
    sentinel_log_close(&w.log);
    int fd = openat(w.dir, FIRST, O_RDWR);
    uint64_t size = 64 + 736;
    CHECK_OK(ftruncate(fd, (off_t)size));
    CHECK(pwrite(fd, &size, 8, 56) == 8);
    close(fd);
    uint64_t count;
    CHECK_EQ(read_from(0, &count), SENTINEL_AUDIT_CORRUPT);
    CHECK_EQ(count, 1);
    CHECK_EQ(reopen(), SENTINEL_AUDIT_CORRUPT);
}

static void test_what_is_torn_twice_is_kept_twice(void) {
    size_t at = prepare_cut();
    put_cut(at, 340, head_before); /* within the subject, which has no zeros */
    CHECK_OK(reopen());
    sentinel_log_close(&w.log);
    file_write(w.dir, FIRST, segment_after + at, 400, at);
    CHECK_OK(reopen());
    sentinel_log_close(&w.log);
    CHECK_EQ(file_size(w.dir, "torn-00000000000000000003"), 340);
    CHECK_EQ(file_size(w.dir, "torn-00000000000000000003.1"), 400);
}

/* After a power loss any of its pages may be missing, the first as well. */
static void test_a_frame_without_its_beginning_is_set_aside(void) {
    size_t at = prepare_cut();
    put_cut(at, 0, head_before);
    file_write(w.dir, FIRST, segment_after + at + 100, w.c.size + 16 - 100, at + 100);
    uint64_t count;
    CHECK_EQ(read_from(0, &count), SENTINEL_AUDIT_CORRUPT); /* for an auditor it is */
    CHECK_EQ(count, 3);
    CHECK_OK(reopen());
    CHECK_EQ(w.log.count, 3);
    CHECK_EQ(w.log.torn_bytes, w.c.size + 16);
    append();
    expect_whole(4);
}

/* The size, the header, each part of the body, the commit word itself: a frame
 * of which one bit is another is no record, whichever byte it is in. */
static void test_a_changed_byte_of_a_frame_beyond_the_head_is_set_aside(void) {
    size_t at = prepare_cut();
    for (size_t i = 0; i < w.c.size + 16; i++) {
        put_cut(at, w.c.size + 16, head_before);
        flip(FIRST, at + i, (uint8_t)(1u << i % 8));
        CHECK_OK(reopen());
        CHECK_EQ(w.log.count, 3);
        CHECK_EQ(w.log.torn_bytes, w.c.size + 16);
        sentinel_log_close(&w.log);
    }
}

static void test_a_changed_byte_of_a_frame_below_the_head_is_corruption(void) {
    size_t at = prepare_cut();
    for (size_t i = 0; i < w.c.size + 16; i++) {
        put_cut(at, w.c.size + 16, head_after);
        flip(FIRST, at + i, (uint8_t)(1u << i % 8));
        CHECK_EQ(reopen(), SENTINEL_AUDIT_CORRUPT);
        CHECK_EQ(w.log.count, 3);
        CHECK(!file_exists(w.dir, "torn-00000000000000000003"));
        sentinel_log_close(&w.log);
    }
}

/* After a power loss the header and its commit word may be there, and pages
 * between them not. The word is right, and still there is no record. */
static void test_a_body_torn_behind_its_header_is_no_record(void) {
    static const uint8_t zeros[SENTINEL_ORDER_BYTES_MAX];
    size_t at = prepare_cut();
    size_t parts[4] = {288, 2 * sizeof(sentinel_result), sizeof(sentinel_outcome_part),
                       SENTINEL_RECORD_PARTS * SENTINEL_SALT_BYTES};
    for (int known = 0; known < 2; known++) {
        size_t part = at + 8 + sizeof(sentinel_record_header);
        for (int i = 0; i < 4; i++) {
            put_cut(at, w.c.size + 16, known ? head_after : head_before);
            file_write(w.dir, FIRST, zeros, parts[i], part);
            uint64_t count;
            CHECK_EQ(read_from(0, &count), SENTINEL_AUDIT_CORRUPT);
            CHECK_EQ(count, 3);
            CHECK_EQ(reopen(), known ? SENTINEL_AUDIT_CORRUPT : SENTINEL_OK);
            CHECK_EQ(w.log.count, 3);
            CHECK_EQ(w.log.torn_bytes, known ? 0 : w.c.size + 16);
            sentinel_log_close(&w.log);
            part += parts[i];
        }
    }
}

/* Two records were on their way: none of them counts as one behind a hole. */
static void test_two_torn_bodies_are_set_aside_together(void) {
    static const uint8_t zeros[288];
    begin(3);
    size_t at = w.log.segment_offset;
    sentinel_log_close(&w.log);
    file_read(w.dir, "head", head_before, SENTINEL_HEAD_BYTES);
    CHECK_OK(reopen());
    for (int i = 0; i < 2; i++) {
        chain_order(&w.c, 288);
        append();
    }
    sentinel_log_close(&w.log);
    size_t frame = w.c.size + 16;
    file_read(w.dir, FIRST, segment_after, SEGMENT);
    for (int i = 0; i < 2; i++) {
        dir_empty(w.dir);
        file_write(w.dir, FIRST, segment_after, SEGMENT, 0);
        file_write(w.dir, "head", head_before, SENTINEL_HEAD_BYTES, 0);
        file_write(w.dir, FIRST, zeros, sizeof zeros, at + 8 + 320);
        if (i == 0) {
            file_write(w.dir, FIRST, zeros, sizeof zeros, at + frame + 8 + 320);
        }
        CHECK_EQ(reopen(), i == 0 ? SENTINEL_OK : SENTINEL_AUDIT_CORRUPT);
        CHECK_EQ(w.log.count, 3);
        CHECK_EQ(w.log.torn_bytes, i == 0 ? 2 * frame : 0);
        sentinel_log_close(&w.log);
    }
}

static void test_records_behind_a_hole_are_corruption(void) {
    static const uint8_t zeros[784];
    size_t at = prepare_cut();
    for (int i = 0; i < 2; i++) {
        /* The third record is gone, the fourth is there, whatever the head says. */
        put_cut(at, w.c.size + 16, i == 0 ? head_after : head_before);
        file_write(w.dir, FIRST, zeros, sizeof zeros, at - sizeof zeros);
        uint64_t count;
        CHECK_EQ(read_from(0, &count), SENTINEL_AUDIT_CORRUPT);
        CHECK_EQ(count, 2);
        CHECK_EQ(reopen(), SENTINEL_AUDIT_CORRUPT);
        CHECK_EQ(w.log.count, 2);
        sentinel_log_close(&w.log);
    }
}

static void test_a_log_ahead_of_its_head_brings_it_up(void) {
    size_t at = prepare_cut();
    put_cut(at, w.c.size + 16, head_before);
    expect_whole(4);
    CHECK_OK(reopen());
    CHECK_EQ(w.log.count, 4);
    CHECK_EQ(w.log.torn_bytes, 0);
    sentinel_log_head head;
    CHECK_OK(sentinel_log_head_read(&head, w.dir));
    CHECK_EQ(head.count, 4);
    expect_whole(4);
}

static void test_a_log_far_ahead_of_its_head_is_read_from_there(void) {
    begin(5);
    sentinel_log_close(&w.log);
    file_read(w.dir, "head", head_before, SENTINEL_HEAD_BYTES);
    CHECK_OK(reopen());
    for (int i = 0; i < 400; i++) {
        chain_order(&w.c, 288);
        append();
    }
    sentinel_log_close(&w.log);
    file_write(w.dir, "head", head_before, SENTINEL_HEAD_BYTES, 0);
    CHECK_OK(reopen());
    CHECK_EQ(w.log.count, 405);
    sentinel_log_close(&w.log);
    /* On the way every record counts. */
    file_write(w.dir, "head", head_before, SENTINEL_HEAD_BYTES, 0);
    flip(FIRST, 60000, 4);
    CHECK_EQ(reopen(), SENTINEL_AUDIT_CORRUPT);
}

static void test_a_head_of_another_chain_is_corruption(void) {
    begin(4);
    sentinel_log_close(&w.log);
    file_read(w.dir, "head", head_after, SENTINEL_HEAD_BYTES);
    begin(1);
    for (int i = 0; i < 3; i++) {
        chain_order(&w.c, 256); /* the same engine, other records */
        append();
    }
    sentinel_log_close(&w.log);
    file_write(w.dir, "head", head_after, SENTINEL_HEAD_BYTES, 0);
    uint64_t count;
    CHECK_EQ(read_from(0, &count), SENTINEL_AUDIT_CORRUPT);
    CHECK_EQ(reopen(), SENTINEL_AUDIT_CORRUPT);
}

/* A whole frame, rightly committed, in place of the fourth. */
static void forge(const chain *forged, size_t at) {
    uint64_t size = forged->size;
    uint8_t frame[2048], leaf[1 + sizeof(sentinel_record_header)] = {0}, digest[32];
    memcpy(frame, &size, 8);
    memcpy(frame + 8, forged->record, size);
    memcpy(leaf + 1, forged->record, sizeof leaf - 1);
    crypto_hash_sha256(digest, leaf, sizeof leaf);
    memcpy(frame + 8 + size, digest, 8);
    put_cut(at, 0, head_before);
    file_write(w.dir, FIRST, frame, size + 16, at);
}

static void test_a_record_out_of_the_chain_is_corruption(void) {
    size_t at = prepare_cut();
    chain fourth = w.c;
    static const uint8_t zeros[288];
    for (int i = 0; i < 4; i++) {
        /* As it should be; another number; another past; another form. */
        chain forged = fourth;
        forged.number = i == 1 ? 4 : 3;
        memcpy(forged.last_hash32, fourth.header.prev_hash32, 32);
        forged.last_hash32[5] ^= i == 2;
        chain_header(&forged, SENTINEL_RECORD_ORDER, 288);
        CHECK_OK(chain_build(&forged, zeros, chain_results));
        forged.record[319] = i == 3;
        forge(&forged, at);
        uint64_t count;
        CHECK_EQ(read_from(0, &count), i == 0 ? SENTINEL_AUDIT_END : SENTINEL_AUDIT_CORRUPT);
        CHECK_EQ(count, i == 0 ? 4 : 3);
        CHECK_EQ(reopen(), i == 0 ? SENTINEL_OK : SENTINEL_AUDIT_CORRUPT);
        sentinel_log_close(&w.log);
    }
}

/* ---- Changed ------------------------------------------------------------------ */

static void expect_found(const char *name, size_t at, uint8_t mask) {
    uint64_t count;
    flip(name, at, mask);
    sentinel_status status = read_from(0, &count);
    flip(name, at, mask);
    if (status == SENTINEL_AUDIT_END) {
        printf("    %s, byte %zu, mask %u: not found\n", name, at, mask);
    }
    CHECK(status != SENTINEL_AUDIT_END);
}

static void test_any_changed_byte_of_a_log_is_found(void) {
    begin(4);
    size_t end = w.log.segment_offset;
    sentinel_log_close(&w.log);
    expect_whole(4);
    for (size_t at = 0; at < end + 64; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            expect_found(FIRST, at, (uint8_t)(1u << bit));
        }
    }
    for (size_t at = end + 64; at < SEGMENT; at += 61) {
        expect_found(FIRST, at, (uint8_t)(1u << at % 8));
    }
    for (size_t at = 0; at < SENTINEL_HEAD_BYTES; at++) {
        expect_found("head", at, (uint8_t)(1u << at % 8));
    }
    expect_whole(4);
}

static void test_a_changed_byte_behind_a_full_segment_is_found(void) {
    begin(200);
    sentinel_log_close(&w.log);
    expect_found(FIRST, SEGMENT - 1, 1);
    expect_found("00000000000000000083.log", SEGMENT - 20, 128);
    for (size_t at = 0; at < 64; at++) {
        expect_found("00000000000000000083.log", at, 2);
    }
}

static void test_a_segment_of_another_length_is_found(void) {
    begin(2);
    sentinel_log_close(&w.log);
    uint64_t count;
    file_write(w.dir, FIRST, "", 1, SEGMENT);
    CHECK_EQ(read_from(0, &count), SENTINEL_AUDIT_CORRUPT);
    int fd = openat(w.dir, FIRST, O_RDWR);
    CHECK_OK(ftruncate(fd, SEGMENT - 1));
    CHECK_EQ(read_from(0, &count), SENTINEL_AUDIT_CORRUPT);
    CHECK_EQ(reopen(), SENTINEL_AUDIT_CORRUPT);
    CHECK_OK(ftruncate(fd, 63));
    CHECK_EQ(read_from(0, &count), SENTINEL_AUDIT_CORRUPT);
    close(fd);
}

static void test_the_place_of_damage_is_named(void) {
    static _Alignas(8) uint8_t buffer[SENTINEL_RECORD_BYTES_MAX];
    sentinel_log_reader reader;
    sentinel_record record;
    begin(4);
    sentinel_log_close(&w.log);
    flip(FIRST, 64 + 736 + 784 + 100, 1);
    CHECK_OK(sentinel_log_reader_open(&reader, w.dir, 0));
    CHECK_OK(sentinel_log_reader_next(&reader, &record, buffer, sizeof buffer));
    CHECK_OK(sentinel_log_reader_next(&reader, &record, buffer, sizeof buffer));
    CHECK_EQ(sentinel_log_reader_next(&reader, &record, buffer, sizeof buffer),
             SENTINEL_AUDIT_CORRUPT);
    CHECK_EQ(reader.next, 2);
    CHECK_EQ(reader.offset, 64 + 736 + 784);
    sentinel_log_reader_close(&reader);
}

static void run_all(void) {
    RUN(test_a_frame_cut_at_any_byte_is_set_aside);
    RUN(test_a_frame_that_the_head_knows_may_not_be_cut);
    RUN(test_a_torn_frame_near_the_end_is_set_aside);
    RUN(test_a_segment_without_its_last_zero_is_corruption);
    RUN(test_what_is_torn_twice_is_kept_twice);
    RUN(test_a_frame_without_its_beginning_is_set_aside);
    RUN(test_a_changed_byte_of_a_frame_beyond_the_head_is_set_aside);
    RUN(test_a_changed_byte_of_a_frame_below_the_head_is_corruption);
    RUN(test_a_body_torn_behind_its_header_is_no_record);
    RUN(test_two_torn_bodies_are_set_aside_together);
    RUN(test_records_behind_a_hole_are_corruption);
    RUN(test_a_log_ahead_of_its_head_brings_it_up);
    RUN(test_a_log_far_ahead_of_its_head_is_read_from_there);
    RUN(test_a_head_of_another_chain_is_corruption);
    RUN(test_a_record_out_of_the_chain_is_corruption);
    RUN(test_any_changed_byte_of_a_log_is_found);
    RUN(test_a_changed_byte_behind_a_full_segment_is_found);
    RUN(test_a_segment_of_another_length_is_found);
    RUN(test_the_place_of_damage_is_named);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    world_begin();
    run_all();
    printf("by a mapped writer\n");
    writer = SENTINEL_DURABILITY_MAPPED;
    RUN(test_a_frame_cut_at_any_byte_is_set_aside);
    RUN(test_a_torn_frame_near_the_end_is_set_aside);
    RUN(test_what_is_torn_twice_is_kept_twice);
    RUN(test_a_frame_without_its_beginning_is_set_aside);
    RUN(test_a_log_ahead_of_its_head_brings_it_up);
    dir_remove(w.path, w.dir);
    return test_end();
}
