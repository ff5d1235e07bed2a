/* The keys of an enclave as a program, for tests in Python: the daemon's own code,
 * with a fake security module in the device's place. One process is one boot. Lines
 * of words in, bytes as hex, "-" for none; a line out: a status's name, and bytes. */
#include <sodium.h>

#include "enclave.h"
#include "fake_nsm.h"

enum { WORDS_MAX = 8, LINE_MAX_BYTES = 1 << 18 };

typedef struct word {
    uint8_t *bytes; /* aligned, as frames have to be */
    size_t size;
    const char *text;
} word;

static enclave *e;
static fake_nsm fake;
static word words[WORDS_MAX];
static uint8_t out[LINE_MAX_BYTES];

static void word_read(word *to, const char *text) {
    size_t most = strlen(text) / 2 + 8;
    free(to->bytes);
    to->bytes = calloc(1, most);
    to->size = 0;
    to->text = text;
    (void)sodium_hex2bin(to->bytes, most, text, strlen(text), NULL, &to->size, NULL);
}

static int64_t number(const word *in) {
    return strtoll(in->text, NULL, 10);
}

static void answer(sentinel_status status, const void *bytes, size_t size) {
    fputs(sentinel_status_name(status), stdout);
    if (status == SENTINEL_OK && size != 0) {
        putchar(' ');
        for (size_t i = 0; i < size; i++) {
            printf("%02x", ((const uint8_t *)bytes)[i]);
        }
    }
    putchar('\n');
    fflush(stdout);
}

static certificate_papers papers_at(const word *in) {
    return (certificate_papers){in[0].bytes, in[0].size,  in[1].bytes,
                                in[1].size,  in[2].bytes, in[2].size};
}

/* attest PURPOSE NONCE GENESIS */
static void do_attest(void) {
    static document made;
    const enclave_facts facts = {
        .genesis = words[3].size != 0 ? (const sentinel_genesis *)words[3].bytes : NULL,
        .epoch = 1};
    sentinel_status status =
        enclave_attest(e, &made, (uint32_t)number(&words[1]), &facts, words[2].bytes);
    answer(status, made.bytes, made.size);
}

/* certify GENESIS AUTHORITY CERTIFICATE KMS_SPKI NOW */
static void do_certify(void) {
    sentinel_wrapped_root wrapped;
    const certificate_papers papers = papers_at(words + 1);
    sentinel_status status =
        enclave_certify(e, &wrapped, &papers, words[4].bytes, words[4].size, number(&words[5]));
    answer(status, &wrapped, sizeof wrapped);
}

/* unwrap GENESIS AUTHORITY CERTIFICATE WRAPPED ANSWER */
static void do_unwrap(void) {
    const certificate_papers papers = papers_at(words + 1);
    answer(enclave_unwrap(e, (const sentinel_wrapped_root *)words[4].bytes, words[4].size, &papers,
                          words[5].bytes, words[5].size),
           NULL, 0);
}

/* seal TYPE NUMBER BYTES; unseal TYPE LEAST BLOB */
static void do_seal(void) {
    const sealed_place place = {
        .type = (uint16_t)number(&words[1]), .epoch = 1, .number = (uint64_t)number(&words[2])};
    size_t size = 0;
    sentinel_status status =
        enclave_seal(e, out, &size, sizeof out, &place, words[3].bytes, words[3].size);
    answer(status, out, size);
}

static void do_unseal(void) {
    const sealed_expect expect = {.type = (uint16_t)number(&words[1]),
                                  .number_least = (uint64_t)number(&words[2])};
    sentinel_sealed header;
    sentinel_status status =
        enclave_unseal(e, out, sizeof out, &header, &expect, words[3].bytes, words[3].size);
    answer(status, out, header.size);
}

/* import FRAME AUTHORITY NOW: gives what the key signs, and the key's own row. */
static void do_import(void) {
    sentinel_keyring *ring = NULL;
    struct {
        sentinel_key_info info;
        sentinel_signature signature;
    } got = {0};
    size_t head = sizeof(sentinel_frame_header);
    const sentinel_frame_header *authority = (const sentinel_frame_header *)words[2].bytes;
    sentinel_status status = sentinel_keyring_new(&ring);
    if (status == SENTINEL_OK) {
        status =
            enclave_import(e, ring, &got.info, words[1].bytes, words[1].size, words[2].bytes + head,
                           authority->size_bytes - head, number(&words[3]));
    }
    if (status == SENTINEL_OK) {
        status = sentinel_sign(ring, &got.signature, got.info.id, (const uint8_t *)"text", 4);
    }
    answer(status, &got, sizeof got);
    sentinel_keyring_free(ring);
}

static void do_genesis(void) {
    answer(words[1].size == sizeof(sentinel_genesis)
               ? enclave_genesis(e, (const sentinel_genesis *)words[1].bytes)
               : SENTINEL_FORMAT_SIZE,
           NULL, 0);
}

/* pcr INDEX VALUE; time MILLISECONDS */
static void do_pcr(void) {
    memcpy(fake.pcrs[number(&words[1])], words[2].bytes, NSM_PCR_BYTES);
    answer(SENTINEL_OK, NULL, 0);
}

static void do_time(void) {
    fake.time_ms = (uint64_t)number(&words[1]);
    answer(SENTINEL_OK, NULL, 0);
}

int main(void) {
    static const struct {
        const char *name;
        void (*act)(void);
    } verbs[] = {{"attest", do_attest},   {"certify", do_certify}, {"unwrap", do_unwrap},
                 {"seal", do_seal},       {"unseal", do_unseal},   {"import", do_import},
                 {"genesis", do_genesis}, {"pcr", do_pcr},         {"time", do_time}};
    static char line[LINE_MAX_BYTES];
    fake_nsm_begin(&fake);
    if (enclave_open_carrier(&e, fake_nsm_carry, &fake) != SENTINEL_OK) {
        return 1;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        size_t count = 0;
        for (char *at = strtok(line, " \n"); at != NULL && count < WORDS_MAX;
             at = strtok(NULL, " \n")) {
            word_read(&words[count++], strcmp(at, "-") == 0 ? "" : at);
        }
        for (size_t i = 0; count != 0 && i < sizeof verbs / sizeof *verbs; i++) {
            if (strcmp(words[0].text, verbs[i].name) == 0) {
                verbs[i].act();
            }
        }
    }
    enclave_close(e);
    for (size_t i = 0; i < WORDS_MAX; i++) {
        free(words[i].bytes);
    }
    return 0;
}
