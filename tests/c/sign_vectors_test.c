/* Goal: the algorithms are those of the standards. Method: the known answers
 * of RFC 8032, RFC 4231, RFC 6979 and BIP340 in tests/golden/sign_vectors.csv.
 * kind: sign (we must give this signature), valid (it verifies, but was made
 * with auxiliary randomness), invalid (it must be refused). */
#include "sign_test.h"

#include "sign_internal.h"

enum { FIELDS = 7, LINE_MAX_BYTES = 4096, MESSAGE_MAX_BYTES = 1024 };

typedef struct vector {
    char name[64];
    int algorithm;
    char kind[8];
    uint8_t secret[160], public_key[40], message[MESSAGE_MAX_BYTES], signature[80];
    size_t secret_size, public_key_size, message_size, signature_size;
} vector;

static size_t from_hex(uint8_t *out, size_t out_size, const char *hex) {
    size_t size = 0;
    CHECK_EQ(sodium_hex2bin(out, out_size, hex, strlen(hex), NULL, &size, NULL), 0);
    CHECK_EQ(2 * size, strlen(hex));
    return size;
}

static void parse(vector *row, char *line) {
    static const char *names[] = {"", "ed25519", "ecdsa", "bip340", "hmac"};
    char *fields[FIELDS], *at = line;
    line[strcspn(line, "\n")] = 0;
    for (int i = 0; i < FIELDS; i++) {
        CHECK(at != NULL);
        fields[i] = at;
        at = strchr(at, ',');
        if (at != NULL) {
            *at++ = 0;
        }
    }
    CHECK(at == NULL);
    memset(row, 0, sizeof *row);
    (void)snprintf(row->name, sizeof row->name, "%.60s", fields[0]);
    (void)snprintf(row->kind, sizeof row->kind, "%.7s", fields[2]);
    for (int i = ED25519; i <= HMAC; i++) {
        row->algorithm = strcmp(fields[1], names[i]) == 0 ? i : row->algorithm;
    }
    row->secret_size = from_hex(row->secret, sizeof row->secret, fields[3]);
    row->public_key_size = from_hex(row->public_key, sizeof row->public_key, fields[4]);
    row->message_size = from_hex(row->message, sizeof row->message, fields[5]);
    row->signature_size = from_hex(row->signature, sizeof row->signature, fields[6]);
}

/* RFC 4231 has keys longer than a slot takes; the slot refuses, the HMAC not. */
static void check_long_hmac(const vector *row, sentinel_keyring *ring) {
    sentinel_key_info info = info_of(1, SENTINEL_PURPOSE_MESSAGE, HMAC);
    sign_mac mac;
    uint8_t mac32[32];
    CHECK_EQ(sentinel_keyring_import(ring, &info, row->secret, row->secret_size),
             SENTINEL_KEY_INVALID);
    sign_hmac_key(&mac, row->secret, row->secret_size);
    sign_hmac(mac32, &mac, row->message, row->message_size);
    CHECK_BYTES(mac32, row->signature, 32);
}

static void check_sign(const vector *row) {
    sentinel_keyring *ring = ring_new();
    sentinel_key_info info = info_of(1, SENTINEL_PURPOSE_MESSAGE, row->algorithm);
    sentinel_signature signature;
    if (row->secret_size > SENTINEL_SECRET_BYTES_MAX) {
        check_long_hmac(row, ring);
        sentinel_keyring_free(ring);
        return;
    }
    CHECK_OK(sentinel_keyring_import(ring, &info, row->secret, row->secret_size));
    CHECK_EQ(info.public_key_size, row->public_key_size);
    CHECK_BYTES(info.public_key, row->public_key, sizeof info.public_key);
    if (row->algorithm == BIP340) { /* its messages are digests already */
        CHECK_EQ(row->message_size, 32);
        CHECK_OK(sentinel_sign_digest(ring, &signature, 1, row->message));
    } else {
        CHECK_OK(sentinel_sign(ring, &signature, 1, row->message, row->message_size));
    }
    const size_t id_size = row->algorithm == ECDSA ? 1 : 0; /* r || s || recovery id */
    CHECK_EQ(signature.size + id_size, row->signature_size);
    CHECK_BYTES(signature.bytes, row->signature, signature.size);
    CHECK_EQ(signature.recovery_id, id_size == 1 ? row->signature[64] : 0);
    sentinel_keyring_free(ring);
}

static void every_known_answer_holds(void) {
    char path[512], line[LINE_MAX_BYTES];
    int counts[SENTINEL_ALGORITHM_COUNT] = {0}, invalid = 0;
    static vector row;
    const char *top = getenv("SENTINEL_TOP");
    (void)snprintf(path, sizeof path, "%s/tests/golden/sign_vectors.csv", top ? top : ".");
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    CHECK(fgets(line, sizeof line, file) != NULL); /* the names of the columns */
    while (fgets(line, sizeof line, file) != NULL) {
        parse(&row, line);
        printf("        %s\n", row.name);
        CHECK(row.algorithm != 0);
        counts[row.algorithm]++;
        if (strcmp(row.kind, "sign") == 0) {
            check_sign(&row);
        }
        if (row.algorithm == BIP340) {
            const int expected = strcmp(row.kind, "invalid") != 0;
            CHECK_EQ(sign_bip340_verify(row.public_key, row.signature, row.message), expected);
            invalid += !expected;
        }
    }
    CHECK_EQ(fclose(file), 0);
    CHECK_EQ(counts[ED25519], 5);
    CHECK_EQ(counts[ECDSA], 3);
    CHECK_EQ(counts[BIP340], 15);
    CHECK_EQ(counts[HMAC], 6);
    CHECK_EQ(invalid, 10);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(every_known_answer_holds);
    return test_end();
}
