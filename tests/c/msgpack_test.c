/* MessagePack: the shortest form at every boundary, and the end of the buffer.
 *
 * Method: expected bytes are written out from the format's specification.
 * tests/python/test_chain_parts.py compares random values with a library. */
#include "msgpack.h"

#include "sentinel_test.h"

static uint8_t bytes[70000];
static msgpack_writer writer;

static void start(size_t capacity) {
    memset(bytes, 0, sizeof bytes);
    writer = (msgpack_writer){.bytes = bytes, .capacity = capacity};
}

#define CHECK_WRITTEN(expected)                             \
    do {                                                    \
        CHECK_EQ(writer.overflow, 0);                       \
        CHECK_EQ(writer.size, sizeof(expected) - 1);        \
        CHECK_BYTES(bytes, expected, sizeof(expected) - 1); \
    } while (0)

static void test_writes_numbers_in_as_few_bytes_as_they_need(void) {
    static const struct {
        uint64_t value;
        size_t size;
        uint8_t head;
    } numbers[] = {
        {0, 1, 0x00},          {127, 1, 0x7f},        {128, 2, 0xcc},
        {255, 2, 0xcc},        {256, 3, 0xcd},        {65535, 3, 0xcd},
        {65536, 5, 0xce},      {UINT32_MAX, 5, 0xce}, {UINT64_C(1) << 32, 9, 0xcf},
        {UINT64_MAX, 9, 0xcf},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uint64_t back = 0;
        start(sizeof bytes);
        msgpack_uint(&writer, numbers[i].value);
        CHECK_EQ(writer.size, numbers[i].size);
        CHECK_EQ(bytes[0], numbers[i].head);
        for (size_t k = numbers[i].size == 1 ? 0 : 1; k < numbers[i].size; k++) {
            back = back << 8 | bytes[k];
        }
        CHECK(back == numbers[i].value);
    }
}

static void test_writes_texts_lists_and_maps_with_the_shortest_head(void) {
    static const char text[65536];
    static const struct {
        size_t size, head_size;
        uint8_t head[3];
    } texts[] = {
        {0, 1, {0xa0}},         {31, 1, {0xbf}},        {32, 2, {0xd9, 32}},
        {255, 2, {0xd9, 0xff}}, {256, 3, {0xda, 1, 0}}, {65535, 3, {0xda, 0xff, 0xff}},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        start(sizeof bytes);
        msgpack_text(&writer, text, texts[i].size);
        CHECK_EQ(writer.overflow, 0);
        CHECK_EQ(writer.size, texts[i].head_size + texts[i].size);
        CHECK_BYTES(bytes, texts[i].head, texts[i].head_size);
    }
    start(sizeof bytes);
    msgpack_array(&writer, 0);
    msgpack_array(&writer, 15);
    msgpack_array(&writer, 16);
    msgpack_map(&writer, 0);
    msgpack_map(&writer, 15);
    msgpack_map(&writer, 65535);
    CHECK_WRITTEN("\x90\x9f\xdc\0\x10\x80\x8f\xde\xff\xff");
    start(sizeof bytes);
    msgpack_nil(&writer);
    msgpack_bool(&writer, 0);
    msgpack_bool(&writer, 7);
    msgpack_big_endian(&writer, 0x0102030405060708, 8);
    msgpack_big_endian(&writer, 1, 1);
    CHECK_WRITTEN("\xc0\xc2\xc3\1\2\3\4\5\6\7\x08\1");
}

static void test_latches_what_does_not_fit(void) {
    static const char text[65536];
    start(4);
    msgpack_text(&writer, "abc", 3);
    CHECK_WRITTEN("\xa3"
                  "abc");
    msgpack_nil(&writer);
    CHECK_EQ(writer.overflow, 1);
    CHECK_EQ(writer.size, 4);
    CHECK_EQ(bytes[4], 0);
    msgpack_bytes(&writer, text, 0);
    CHECK_EQ(writer.overflow, 1); /* for good */
    start(sizeof bytes);
    msgpack_text(&writer, text, 65536);
    CHECK_EQ(writer.overflow, 1);
    start(sizeof bytes);
    msgpack_map(&writer, 65536);
    CHECK_EQ(writer.overflow, 1);
    start(sizeof bytes);
    msgpack_array(&writer, 65536);
    CHECK_EQ(writer.overflow, 1);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_writes_numbers_in_as_few_bytes_as_they_need);
    RUN(test_writes_texts_lists_and_maps_with_the_shortest_head);
    RUN(test_latches_what_does_not_fit);
    return test_end();
}
