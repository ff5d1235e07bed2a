/* An agent in C whose engine runs in sentineld: signs one message through a
 * session of its own. Build it anywhere:
 *
 *   cc client.c $(pkg-config --cflags --libs sentinel-client) -o client
 *   ./client ADDRESS PIN_FILE KEY_FILE PASSPHRASE_FILE ROW AGENT_ID TEXT
 *
 * The key file is the agent's own (`zcp authority keygen`), ROW its row of the
 * authority bundle, AGENT_ID the id of its node (`zcp policy explain --json`). */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <sentinel_client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t read_file(void *into, size_t size, const char *path) {
    FILE *file = fopen(path, "rb");
    size_t got = file != NULL ? fread(into, 1, size, file) : 0;
    if (file == NULL || got == 0) {
        perror(path);
        exit(2);
    }
    (void)fclose(file);
    return got;
}

/* The seed of the file's one key. */
static sentinel_status seed_of(uint8_t seed32[32], const char *key_path, const char *phrase_path) {
    static uint8_t sealed[65536];
    char phrase[SENTINEL_PASSPHRASE_BYTES_MAX + 1] = {0};
    size_t size = read_file(sealed, sizeof sealed, key_path);
    (void)read_file(phrase, sizeof phrase - 1, phrase_path);
    sentinel_keyring *ring = NULL;
    sentinel_status status = sentinel_keyring_new(&ring);
    if (status == SENTINEL_OK) {
        status = sentinel_keyring_unseal(ring, sealed, size, phrase, strcspn(phrase, "\r\n"));
    }
    const sentinel_key_info *info = ring != NULL ? sentinel_keyring_at(ring, 0) : NULL;
    if (status == SENTINEL_OK) {
        status = info != NULL ? sentinel_client_seed(seed32, ring, info->id) : SENTINEL_KEY_UNKNOWN;
    }
    memset(phrase, 0, sizeof phrase);
    sentinel_keyring_free(ring);
    return status;
}

static int said(const char *what, sentinel_status status) {
    (void)fprintf(stderr, "%s: %s\n", what, sentinel_status_text(status));
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 8) {
        (void)fprintf(stderr, "usage: client ADDRESS PIN_FILE KEY_FILE PASSPHRASE_FILE ROW "
                              "AGENT_ID TEXT\n");
        return 2;
    }
    sentinel_client_options options = {.pin_file = argv[2], .role = SENTINEL_ROLE_AGENT};
    options.key = (uint32_t)strtoul(argv[5], NULL, 10);
    options.agent = (uint32_t)strtoul(argv[6], NULL, 10);
    sentinel_status status = seed_of(options.seed32, argv[3], argv[4]);
    if (status != SENTINEL_OK) {
        return said(argv[3], status);
    }
    sentinel_client *client;
    status = sentinel_client_open(&client, argv[1], &options);
    memset(options.seed32, 0, sizeof options.seed32);
    if (status != SENTINEL_OK) {
        return said(argv[1], status);
    }
    /* Agent 0 and action id 0 are filled in. */
    sentinel_order_message order = {.header = {.version = SENTINEL_ORDER_VERSION,
                                               .action = SENTINEL_ACTION_MESSAGE,
                                               .size_bytes = sizeof order,
                                               .release_mode = SENTINEL_RELEASE_TO_AGENT}};
    size_t size = strlen(argv[7]);
    order.text_size = (uint16_t)(size < sizeof order.text ? size : sizeof order.text);
    memcpy(order.text, argv[7], order.text_size);
    static sentinel_outcome outcome;
    status = sentinel_client_sign(client, &outcome, &order, sizeof order);
    sentinel_client_close(client);
    if (status != SENTINEL_OK) {
        return said("sign", status);
    }
    if (outcome.verdict != SENTINEL_ALLOWED) {
        (void)fprintf(stderr, "refused: reason %u\n", (unsigned)outcome.reason);
        return 3;
    }
    for (unsigned i = 0; i < outcome.signature.size; i++) {
        (void)printf("%02x", outcome.signature.bytes[i]);
    }
    (void)printf("\n");
    return 0;
}
