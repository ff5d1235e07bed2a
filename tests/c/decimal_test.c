/* Decimals as text and by value; names and sentences of statuses. */
#include <sentinel/order.h>

#include "sentinel_test.h"

static void test_writes_decimals_with_every_trailing_zero(void) {
    static const struct {
        sentinel_decimal decimal;
        const char *text;
    } decimals[] = {
        {{6500010, 2, {0}}, "65000.10"},
        {{0, 0, {0}}, "0"},
        {{0, 2, {0}}, "0.00"},
        {{5, 0, {0}}, "5"},
        {{5, 1, {0}}, "0.5"},
        {{10, 1, {0}}, "1.0"},
        {{100, 0, {0}}, "100"},
        {{12, 0, {0}}, "12"},
        {{100, 8, {0}}, "0.00000100"},
        {{1, 18, {0}}, "0.000000000000000001"},
        {{INT64_MAX, 0, {0}}, "9223372036854775807"},
        {{INT64_MAX, 18, {0}}, "9.223372036854775807"},
        {{INT64_MAX, 19, {0}}, ""},
        {{-1, 0, {0}}, ""},
        {{INT64_MIN, 0, {0}}, ""},
    };
    for (size_t i = 0; i < sizeof decimals / sizeof *decimals; i++) {
        char text[SENTINEL_DECIMAL_TEXT_MAX + 1] = {0};
        size_t size = sentinel_decimal_write(text, &decimals[i].decimal);
        CHECK_EQ(size, strlen(decimals[i].text));
        CHECK_BYTES(text, decimals[i].text, size);
        sentinel_decimal back = {-7, 99, {1}};
        if (size > 0) {
            CHECK_OK(sentinel_decimal_read(&back, text, size));
            CHECK_BYTES(&back, &decimals[i].decimal, sizeof back);
        }
    }
}

static void test_reads_canonical_decimals_only(void) {
    static const struct {
        const char *text;
        sentinel_status status;
    } texts[] = {
        {"", SENTINEL_FORMAT_TEXT},
        {".", SENTINEL_FORMAT_TEXT},
        {".5", SENTINEL_FORMAT_TEXT},
        {"5.", SENTINEL_FORMAT_TEXT},
        {"00", SENTINEL_FORMAT_TEXT},
        {"01", SENTINEL_FORMAT_TEXT},
        {"00.1", SENTINEL_FORMAT_TEXT},
        {"-1", SENTINEL_FORMAT_TEXT},
        {"+1", SENTINEL_FORMAT_TEXT},
        {"1e3", SENTINEL_FORMAT_TEXT},
        {"1..2", SENTINEL_FORMAT_TEXT},
        {"1.2.3", SENTINEL_FORMAT_TEXT},
        {" 1", SENTINEL_FORMAT_TEXT},
        {"1,5", SENTINEL_FORMAT_TEXT},
        {"/", SENTINEL_FORMAT_TEXT},
        {":", SENTINEL_FORMAT_TEXT},
        {"9223372036854775808", SENTINEL_FORMAT_RANGE},
        {"99999999999999999999999999", SENTINEL_FORMAT_RANGE},
        {"18446744073709551617", SENTINEL_FORMAT_RANGE},
        {"0.0000000000000000001", SENTINEL_FORMAT_RANGE},
        {"0.000000000000000000", SENTINEL_OK},
        {"9.223372036854775807", SENTINEL_OK},
        {"0", SENTINEL_OK},
        {"0.0", SENTINEL_OK},
        {"100", SENTINEL_OK},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        sentinel_decimal decimal;
        CHECK_EQ(sentinel_decimal_read(&decimal, texts[i].text, strlen(texts[i].text)),
                 texts[i].status);
    }
}

static void test_compares_decimals_by_value(void) {
    static const struct {
        sentinel_decimal a, b;
        int expected;
    } pairs[] = {
        {{10, 1, {0}}, {1, 0, {0}}, 0},
        {{1, 0, {0}}, {1000000000000000000, 18, {0}}, 0},
        {{1, 0, {0}}, {999999999999999999, 18, {0}}, 1},
        {{1, 0, {0}}, {1000000000000000001, 18, {0}}, -1},
        {{0, 0, {0}}, {0, 18, {0}}, 0},
        {{0, 18, {0}}, {1, 18, {0}}, -1},
        {{INT64_MAX, 0, {0}}, {INT64_MAX, 18, {0}}, 1}, /* leaves 64 bits */
        {{INT64_MAX, 0, {0}}, {INT64_MAX, 1, {0}}, 1},
        {{1844674407370955162, 0, {0}}, {INT64_MAX, 1, {0}}, 1}, /* just leaves them */
        {{922337203685477580, 0, {0}}, {INT64_MAX, 1, {0}}, -1},
        {{INT64_MAX, 18, {0}}, {INT64_MAX, 18, {0}}, 0},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        CHECK_EQ(sentinel_decimal_compare(&pairs[i].a, &pairs[i].b), pairs[i].expected);
        CHECK_EQ(sentinel_decimal_compare(&pairs[i].b, &pairs[i].a), -pairs[i].expected);
    }
}

static void test_has_a_name_and_a_sentence_for_every_status_and_reason(void) {
    CHECK(strcmp(sentinel_status_name(SENTINEL_FORMAT_SIZE), "FORMAT_SIZE") == 0);
    CHECK(strcmp(sentinel_status_name(SENTINEL_OK), "OK") == 0);
    CHECK(strcmp(sentinel_reason_code(SENTINEL_REASON_VALUE_CAP), "value_cap") == 0);
    CHECK(strcmp(sentinel_reason_code(SENTINEL_REASON_NONE), "none") == 0);
    CHECK(strcmp(sentinel_status_name((sentinel_status)0x7fff), "UNKNOWN") == 0);
    CHECK(strcmp(sentinel_reason_code((sentinel_reason)0x7fff), "unknown") == 0);
    int statuses = 0, reasons = 0;
    for (int n = 0; n < 0x1000; n++) {
        const char *name = sentinel_status_name((sentinel_status)n);
        const char *code = sentinel_reason_code((sentinel_reason)n);
        CHECK(strlen(sentinel_status_text((sentinel_status)n)) > 0);
        CHECK(strlen(sentinel_reason_text((sentinel_reason)n)) > 0);
        statuses += strcmp(name, "UNKNOWN") != 0;
        reasons += strcmp(code, "unknown") != 0;
    }
    int table_statuses = 0, table_reasons = 0;
#define SENTINEL_STATUS(name, number, text) \
    table_statuses++;                       \
    CHECK(strcmp(sentinel_status_text((sentinel_status)(number)), text) == 0);
#include <sentinel/status.def>
#undef SENTINEL_STATUS
#define SENTINEL_REASON(name, number, code, text) \
    table_reasons++;                              \
    CHECK(strcmp(sentinel_reason_text((sentinel_reason)(number)), text) == 0);
#include <sentinel/reason.def>
#undef SENTINEL_REASON
    CHECK_EQ(statuses, table_statuses);
    CHECK_EQ(reasons, table_reasons);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_writes_decimals_with_every_trailing_zero);
    RUN(test_reads_canonical_decimals_only);
    RUN(test_compares_decimals_by_value);
    RUN(test_has_a_name_and_a_sentence_for_every_status_and_reason);
    return test_end();
}
