/* Goal: CBOR is taken in one form only, and no bytes make the reader look beyond
 * them. Method: RFC 8949's own examples; each byte of a nested item changed to
 * every value, each shorter length, with the bytes at the end of their memory. */
#include "cbor.h"

#include "sentinel_test.h"

static sentinel_status take(const char *bytes, size_t size, cbor_item *item) {
    /* Memory that ends where the bytes do, so that a sanitizer sees a step too far. */
    uint8_t *own = malloc(size != 0 ? size : 1);
    memcpy(own, bytes, size);
    cbor_reader reader = {own, size};
    sentinel_status status = cbor_take(&reader, item);
    if (status == SENTINEL_OK && reader.left != 0) {
        status = SENTINEL_FORMAT_SIZE;
    }
    item->bytes = NULL;
    free(own);
    return status;
}

/* RFC 8949, appendix A, of the types that are taken. */
static void test_examples_of_the_standard(void) {
    static const struct {
        const char *bytes;
        size_t size;
        cbor_type type;
        uint64_t number;
    } good[] = {
        {"\x00", 1, CBOR_UINT, 0},
        {"\x17", 1, CBOR_UINT, 23},
        {"\x18\x18", 2, CBOR_UINT, 24},
        {"\x19\x03\xe8", 3, CBOR_UINT, 1000},
        {"\x1a\x00\x0f\x42\x40", 5, CBOR_UINT, 1000000},
        {"\x1b\xff\xff\xff\xff\xff\xff\xff\xff", 9, CBOR_UINT, UINT64_MAX},
        {"\x20", 1, CBOR_NEGATIVE, 0},
        {"\x38\x63", 2, CBOR_NEGATIVE, 99},
        {"\xf4", 1, CBOR_SIMPLE, CBOR_FALSE},
        {"\xf5", 1, CBOR_SIMPLE, CBOR_TRUE},
        {"\xf6", 1, CBOR_SIMPLE, CBOR_NULL},
        {"\x40", 1, CBOR_BYTES, 0},
        {"\x44\x01\x02\x03\x04", 5, CBOR_BYTES, 4},
        {"\x64IETF", 5, CBOR_TEXT, 4},
        {"\x80", 1, CBOR_ARRAY, 0},
        {"\x83\x01\x82\x02\x03\x82\x04\x05", 8, CBOR_ARRAY, 3},
        {"\xa2\x61\x61\x01\x61\x62\x82\x02\x03", 9, CBOR_MAP, 2},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cbor_item item;
        CHECK_OK(take(good[i].bytes, good[i].size, &item));
        CHECK_EQ(item.type, good[i].type);
        CHECK(item.number == good[i].number);
        for (size_t size = 0; size < good[i].size; size++) {
            CHECK_EQ(take(good[i].bytes, size, &item), SENTINEL_FORMAT_SIZE);
        }
    }
}

static void test_other_forms_are_refused(void) {
    static const struct {
        const char *bytes;
        size_t size;
        sentinel_status status;
    } bad[] = {
        {"\x18\x17", 2, SENTINEL_FORMAT_RANGE}, /* not the shortest */
        {"\x19\x00\xff", 3, SENTINEL_FORMAT_RANGE},
        {"\x1a\x00\x00\xff\xff", 5, SENTINEL_FORMAT_RANGE},
        {"\x1b\x00\x00\x00\x00\xff\xff\xff\xff", 9, SENTINEL_FORMAT_RANGE},
        {"\x58\x01x", 3, SENTINEL_FORMAT_RANGE},
        {"\x1c", 1, SENTINEL_FORMAT_RANGE},          /* reserved */
        {"\x5f\x41x\xff", 4, SENTINEL_FORMAT_RANGE}, /* indefinite */
        {"\x9f\xff", 2, SENTINEL_FORMAT_RANGE},
        {"\xbf\xff", 2, SENTINEL_FORMAT_RANGE},
        {"\xc0\x00", 2, SENTINEL_FORMAT_RANGE}, /* a tag */
        {"\xd2\x80", 2, SENTINEL_FORMAT_RANGE},
        {"\xf7", 1, SENTINEL_FORMAT_RANGE}, /* undefined */
        {"\xe0", 1, SENTINEL_FORMAT_RANGE},
        {"\xf8\x20", 2, SENTINEL_FORMAT_RANGE},
        {"\xf9\x3c\x00", 3, SENTINEL_FORMAT_RANGE}, /* a float */
        {"\xff", 1, SENTINEL_FORMAT_RANGE},
        {"\x5b\xff\xff\xff\xff\xff\xff\xff\xffx", 10, SENTINEL_FORMAT_SIZE},
        {"\x9b\xff\xff\xff\xff\xff\xff\xff\xffx", 10, SENTINEL_FORMAT_SIZE},
        {"\xbb\xff\xff\xff\xff\xff\xff\xff\xffx", 10, SENTINEL_FORMAT_SIZE},
        {"\xbb\x80\x00\x00\x00\x00\x00\x00\x00x", 10, SENTINEL_FORMAT_SIZE}, /* twice it: 0 */
        {"\x82\x9a\xff\xff\xff\xff\x9a\xff\xff\xff\xff", 11, SENTINEL_FORMAT_SIZE},
        {"\x00\x00", 2, SENTINEL_FORMAT_SIZE}, /* something follows */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cbor_item item;
        CHECK_EQ(take(bad[i].bytes, bad[i].size, &item), bad[i].status);
    }
}

static void test_depth_costs_nothing(void) {
    enum { DEPTH = 100000 };
    static char deep[DEPTH + 1];
    memset(deep, 0x81, DEPTH);
    cbor_item item;
    CHECK_OK(take(deep, sizeof deep, &item));
    CHECK_EQ(take(deep, DEPTH, &item), SENTINEL_FORMAT_SIZE);
}

static void test_what_is_written_is_read(void) {
    static const uint64_t numbers[] = {
        0, 23, 24, 255, 256, 65535, UINT64_C(65536), UINT32_MAX, UINT64_C(0x100000000), UINT64_MAX};
    uint8_t bytes[256];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        cbor_writer to = {.at = bytes, .capacity = sizeof bytes};
        cbor_put(&to, CBOR_UINT, numbers[i]);
        cbor_item item;
        CHECK_OK(cbor_whole(&item, CBOR_UINT, bytes, to.size));
        CHECK(item.number == numbers[i]);
        CHECK_EQ(cbor_whole(&item, CBOR_NEGATIVE, bytes, to.size), SENTINEL_FORMAT_MAGIC);
        /* One byte too few, and nothing is said to be there. */
        cbor_writer tight = {.at = bytes, .capacity = to.size - 1};
        cbor_put(&tight, CBOR_UINT, numbers[i]);
        CHECK(tight.overflow && tight.size == 0);
    }
}

static cbor_item map_of(const char *bytes, size_t size) {
    cbor_item map;
    CHECK_OK(cbor_whole(&map, CBOR_MAP, bytes, size));
    return map;
}

static void test_entries_are_found_in_any_order_and_once(void) {
    cbor_want wants[] = {{.key = "a"}, {.key = "bb"}, {.key = "none"}};
    cbor_item map = map_of("\xa3\x62"
                           "bb\x01\x61z\x81\x02\x61"
                           "a\x43xyz",
                           15);
    CHECK_OK(cbor_find(wants, 3, &map));
    CHECK(cbor_is(&wants[0].item, CBOR_BYTES) && wants[0].item.size == 3);
    CHECK(cbor_is(&wants[1].item, CBOR_UINT) && wants[1].item.number == 1);
    CHECK(!cbor_is(&wants[2].item, CBOR_SIMPLE));
    map = map_of("\xa2\x61q\x01\x61q\x02", 7); /* twice, though nobody asks for it */
    CHECK_EQ(cbor_find(wants, 3, &map), SENTINEL_FORMAT_ORDER);
    map = map_of("\xa1\x01\x02", 3); /* a key that is no text */
    CHECK_EQ(cbor_find(wants, 3, &map), SENTINEL_FORMAT_RANGE);
    CHECK_EQ(cbor_find(wants, 3, &wants[0].item), SENTINEL_FORMAT_MAGIC);
}

static void test_maps_and_keys_have_limits(void) {
    static uint8_t bytes[4096];
    for (unsigned count = CBOR_MAP_ENTRIES_MAX; count <= CBOR_MAP_ENTRIES_MAX + 1; count++) {
        cbor_writer to = {.at = bytes, .capacity = sizeof bytes};
        cbor_put(&to, CBOR_MAP, count);
        for (unsigned i = 0; i < count; i++) {
            char name[8];
            snprintf(name, sizeof name, "k%u", i);
            cbor_put_text(&to, name);
            cbor_put(&to, CBOR_UINT, i);
        }
        cbor_item map = map_of((const char *)bytes, to.size);
        cbor_want want = {.key = "k0"};
        CHECK_EQ(cbor_find(&want, 1, &map),
                 count <= CBOR_MAP_ENTRIES_MAX ? SENTINEL_OK : SENTINEL_FORMAT_LIMIT);
    }
    for (unsigned size = CBOR_KEY_BYTES_MAX; size <= CBOR_KEY_BYTES_MAX + 1; size++) {
        char name[CBOR_KEY_BYTES_MAX + 2] = {0};
        memset(name, 'k', size);
        cbor_writer to = {.at = bytes, .capacity = sizeof bytes};
        cbor_put(&to, CBOR_MAP, 1);
        cbor_put_text(&to, name);
        cbor_put(&to, CBOR_UINT, 1);
        cbor_item map = map_of((const char *)bytes, to.size);
        cbor_want want = {.key = "a"};
        CHECK_EQ(cbor_find(&want, 1, &map),
                 size <= CBOR_KEY_BYTES_MAX ? SENTINEL_OK : SENTINEL_FORMAT_RANGE);
    }
}

static void test_any_changed_byte_is_refused_or_read_within_its_bytes(void) {
    static const char good[] = "\xa3\x61"
                               "a\x82\x01\x19\x03\xe8\x62"
                               "bc\x44zzzz\x61"
                               "d\xf5";
    char bytes[sizeof good - 1];
    for (size_t at = 0; at < sizeof bytes; at++) {
        for (unsigned value = 0; value < 256; value++) {
            memcpy(bytes, good, sizeof bytes);
            bytes[at] = (char)value;
            for (size_t size = 0; size <= sizeof bytes; size++) {
                cbor_item item;
                (void)take(bytes, size, &item);
            }
        }
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_examples_of_the_standard);
    RUN(test_other_forms_are_refused);
    RUN(test_depth_costs_nothing);
    RUN(test_what_is_written_is_read);
    RUN(test_entries_are_found_in_any_order_and_once);
    RUN(test_maps_and_keys_have_limits);
    RUN(test_any_changed_byte_is_refused_or_read_within_its_bytes);
    return test_end();
}
