/* Goal: a frame comes through once, in its place, as it was sent, or ends the
 * channel (enclave/PROTOCOL.md, sections 3 to 5). Method: two sides with keys of
 * a real handshake in memory; every byte that an attacker has is changed. */
#include "channel.h"
#include "gcm.h"
#include "sentinel_test.h"
#include "tls.h"

#include <openssl/ssl.h>

static sentinel_channel_key key;
static channel_side out, in;
static _Alignas(8) uint8_t frame[CHANNEL_FRAME_BYTES_MAX];
static _Alignas(8) uint8_t copy[CHANNEL_FRAME_BYTES_MAX];
static uint8_t payload[SENTINEL_CHANNEL_BYTES_MAX + 1];

static void begin(int is_sealed) {
    channel_side_end(&out);
    channel_side_end(&in);
    for (unsigned i = 0; i < sizeof key; i++) {
        ((uint8_t *)&key)[i] = (uint8_t)(i * 7 + 1);
    }
    for (size_t i = 0; i < sizeof payload; i++) {
        payload[i] = (uint8_t)(i * 31 + 5);
    }
    CHECK_OK(channel_side_begin(&out, is_sealed ? &key : NULL));
    CHECK_OK(channel_side_begin(&in, is_sealed ? &key : NULL));
}

static size_t seal(uint16_t class_, uint32_t size) {
    sentinel_message message = {
        .kind = SENTINEL_REQUEST_SIGN, .id = out.counter + 1, .size = size, .total = size};
    return channel_seal(&out, frame, class_, &message, payload);
}

static void come_through(uint16_t class_, uint32_t size) {
    const sentinel_message *message = NULL;
    size_t bytes = seal(class_, size);
    CHECK(bytes != 0 && bytes == channel_frame_bytes(class_));
    CHECK_EQ(channel_expect(&in, frame), bytes);
    CHECK_OK(channel_open(&in, &message, frame, bytes));
    CHECK_EQ(message->kind, SENTINEL_REQUEST_SIGN);
    CHECK_EQ(message->size, size);
    CHECK_BYTES((const uint8_t *)(message + 1), payload, size);
}

static void test_frames_of_every_class_come_through_full_and_empty(void) {
    for (int is_sealed = 0; is_sealed < 2; is_sealed++) {
        begin(is_sealed);
        come_through(SENTINEL_CLASS_SMALL, 0);
        come_through(SENTINEL_CLASS_SMALL, CHANNEL_SMALL_ROOM);
        come_through(SENTINEL_CLASS_MIDDLE, CHANNEL_MIDDLE_ROOM);
        come_through(SENTINEL_CLASS_BROAD, CHANNEL_BROAD_ROOM);
        come_through(SENTINEL_CLASS_LARGE, CHANNEL_LARGE_ROOM);
        CHECK_EQ(out.counter, 5);
        CHECK_EQ(in.counter, 5);
    }
}

static void test_what_does_not_fit_is_not_sealed(void) {
    begin(1);
    CHECK_EQ(seal(SENTINEL_CLASS_SMALL, CHANNEL_SMALL_ROOM + 1), 0);
    CHECK_EQ(seal(SENTINEL_CLASS_LARGE, CHANNEL_LARGE_ROOM + 1), 0);
    CHECK_EQ(seal(0, 0), 0);
    CHECK_EQ(seal(SENTINEL_CLASS_COUNT, 0), 0);
    CHECK_EQ(seal(UINT16_MAX, 0), 0);
    CHECK_EQ(out.counter, 0); /* no counter was used up */
    out.counter = UINT64_MAX;
    CHECK_EQ(seal(SENTINEL_CLASS_SMALL, 0), 0);
}

/* The payload may lie where the frame has it. */
static void test_a_payload_is_sealed_in_place(void) {
    begin(1);
    sentinel_message message = {.kind = 1, .id = 1, .size = 100, .total = 100};
    const sentinel_message *got = NULL;
    memcpy(frame + CHANNEL_PAYLOAD_AT, payload, 100);
    size_t bytes =
        channel_seal(&out, frame, SENTINEL_CLASS_SMALL, &message, frame + CHANNEL_PAYLOAD_AT);
    CHECK_OK(channel_open(&in, &got, frame, bytes));
    CHECK_BYTES((const uint8_t *)(got + 1), payload, 100);
}

static void test_the_nonce_is_the_iv_with_the_counter(void) {
    begin(1);
    out.counter = in.counter = UINT64_C(0x0102030405060708);
    come_through(SENTINEL_CLASS_SMALL, 9);
    /* A side whose IV has the counter in it already makes the same ciphertext at 0. */
    begin(1);
    out.counter = UINT64_C(0x0102030405060708);
    CHECK_EQ(seal(SENTINEL_CLASS_SMALL, 9), 544);
    sentinel_channel_key moved = key;
    for (unsigned i = 0; i < 8; i++) {
        moved.iv12[4 + i] ^= (uint8_t)(i + 1);
    }
    memcpy(copy, frame, sizeof copy);
    channel_side_end(&out);
    CHECK_OK(channel_side_begin(&out, &moved));
    sentinel_message message = {
        .kind = 1, .id = UINT64_C(0x0102030405060709), .size = 9, .total = 9};
    CHECK_EQ(channel_seal(&out, frame, SENTINEL_CLASS_SMALL, &message, payload), 544);
    CHECK_BYTES(frame + 16, copy + 16, 512); /* seal and tag differ: the counter is in them */
    CHECK(memcmp(frame + 528, copy + 528, 16) != 0);
}

/* What is sealed is what AES-256-GCM by EVP makes of it, whatever of the key stream
 * was made ahead: nothing, less than the frame needs, or more. */
static void test_frames_are_those_of_any_aes_256_gcm(void) {
    static const uint16_t ahead[] = {0, SENTINEL_CLASS_SMALL, SENTINEL_CLASS_MIDDLE,
                                     SENTINEL_CLASS_LARGE};
    static uint8_t body[SENTINEL_LARGE_BYTES];
    for (uint16_t class_ = SENTINEL_CLASS_SMALL; class_ < SENTINEL_CLASS_COUNT; class_++) {
        for (unsigned i = 0; i < sizeof ahead / sizeof ahead[0]; i++) {
            const sentinel_message *message = NULL;
            uint8_t nonce12[12], tag16[16];
            begin(1);
            out.counter = in.counter = UINT64_C(0xfffffffffffffff0);
            if (ahead[i] != 0) {
                channel_ahead(&out, ahead[i]);
                channel_ahead(&in, ahead[i]);
            }
            size_t bytes = seal(class_, 400), size = bytes - CHANNEL_AROUND_BYTES;
            memcpy(nonce12, key.iv12, sizeof nonce12);
            for (unsigned at = 4; at < 12; at++) {
                nonce12[at] ^= at == 11 ? 0xf0 : 0xff;
            }
            const gcm_place place = {.key32 = key.key32,
                                     .nonce12 = nonce12,
                                     .beside = frame,
                                     .beside_size = sizeof(sentinel_seal)};
            CHECK_OK(gcm_open(body, frame + 16 + size, &place, frame + 16, size));
            CHECK_BYTES(body + sizeof(sentinel_message), payload, 400);
            for (size_t at = sizeof(sentinel_message) + 400; at < size; at++) {
                CHECK_EQ(body[at], 0); /* to the last block */
            }
            CHECK_OK(gcm_seal(body, tag16, &place, body, size));
            CHECK_BYTES(frame + 16, body, size);
            CHECK_OK(channel_open(&in, &message, frame, bytes));
            CHECK_BYTES((const uint8_t *)(message + 1), payload, 400);
        }
    }
}

/* Key stream that was made for one frame is never that of another. */
static void test_a_key_stream_is_used_once(void) {
    begin(1);
    memset(payload, 0, 400);
    channel_ahead(&out, SENTINEL_CLASS_MIDDLE);
    CHECK_EQ(seal(SENTINEL_CLASS_SMALL, 400), 544);
    memcpy(copy, frame, 544);
    CHECK_EQ(seal(SENTINEL_CLASS_SMALL, 400), 544);
    for (unsigned at = CHANNEL_PAYLOAD_AT; at + 16 <= CHANNEL_PAYLOAD_AT + 400; at += 16) {
        CHECK(memcmp(frame + at, copy + at, 16) != 0);
    }
    /* Nor is one that was made for a counter that did not come. */
    channel_ahead(&out, SENTINEL_CLASS_SMALL);
    out.counter = 9;
    CHECK_EQ(seal(SENTINEL_CLASS_SMALL, 400), 544);
    memcpy(copy, frame, 544);
    begin(1);
    memset(payload, 0, 400);
    out.counter = 9;
    CHECK_EQ(seal(SENTINEL_CLASS_SMALL, 400), 544);
    CHECK_BYTES(frame + CHANNEL_PAYLOAD_AT, copy + CHANNEL_PAYLOAD_AT, 400);
}

static void test_every_changed_byte_ends_the_channel(void) {
    const sentinel_message *message;
    for (unsigned at = 0; at < 544; at++) {
        for (unsigned bit = 0; bit < 8; bit += 3) {
            begin(1);
            CHECK_EQ(seal(SENTINEL_CLASS_SMALL, 30), 544);
            frame[at] ^= (uint8_t)(1u << bit);
            CHECK(channel_open(&in, &message, frame, 544) != SENTINEL_OK);
            CHECK_EQ(in.transport, 0);
            CHECK_EQ(channel_open(&in, &message, frame, 544), SENTINEL_USAGE_STATE);
            CHECK_EQ(channel_expect(&in, frame), 0);
        }
    }
}

static void test_nothing_of_a_forged_frame_is_given_out(void) {
    for (uint16_t class_ = SENTINEL_CLASS_SMALL; class_ < SENTINEL_CLASS_COUNT; class_++) {
        const sentinel_message *message = NULL;
        begin(1);
        size_t bytes = seal(class_, 400);
        frame[bytes - 1] ^= 1;
        CHECK_EQ(channel_open(&in, &message, frame, bytes), SENTINEL_CRYPTO_VERIFY);
        CHECK(message == NULL);
        for (size_t at = sizeof(sentinel_seal); at < bytes - SENTINEL_TAG_GCM_BYTES; at++) {
            CHECK_EQ(frame[at], 0);
        }
    }
}

static void test_a_frame_is_neither_replayed_nor_left_out_nor_swapped(void) {
    const sentinel_message *message;
    begin(1);
    CHECK_EQ(seal(SENTINEL_CLASS_SMALL, 1), 544);
    memcpy(copy, frame, 544);
    CHECK_OK(channel_open(&in, &message, frame, 544));
    CHECK_EQ(channel_expect(&in, copy), 0);
    CHECK_EQ(channel_open(&in, &message, copy, 544), SENTINEL_FORMAT_SIZE);
    begin(1);
    CHECK_EQ(seal(SENTINEL_CLASS_SMALL, 1), 544);
    CHECK_EQ(seal(SENTINEL_CLASS_SMALL, 1), 544); /* the first one was lost */
    CHECK_EQ(channel_expect(&in, frame), 0);
    CHECK_EQ(channel_open(&in, &message, frame, 544), SENTINEL_FORMAT_SIZE);
    /* With the number that is expected, but sealed as another. */
    begin(1);
    CHECK_EQ(seal(SENTINEL_CLASS_SMALL, 1), 544);
    CHECK_EQ(seal(SENTINEL_CLASS_SMALL, 1), 544);
    memset(frame + 8, 0, 8);
    CHECK_EQ(channel_expect(&in, frame), 544);
    CHECK_EQ(channel_open(&in, &message, frame, 544), SENTINEL_CRYPTO_VERIFY);
}

static void test_another_class_or_size_or_key_is_refused(void) {
    const sentinel_message *message;
    begin(1);
    CHECK_EQ(seal(SENTINEL_CLASS_MIDDLE, 1), 1056);
    CHECK_EQ(channel_open(&in, &message, frame, 544), SENTINEL_FORMAT_SIZE);
    begin(1);
    CHECK_EQ(seal(SENTINEL_CLASS_MIDDLE, 1), 1056);
    frame[2] = SENTINEL_CLASS_SMALL;
    CHECK_EQ(channel_expect(&in, frame), 544);
    CHECK_EQ(channel_open(&in, &message, frame, 544), SENTINEL_CRYPTO_VERIFY);
    begin(1);
    channel_side_end(&in);
    key.key32[31] ^= 1;
    CHECK_OK(channel_side_begin(&in, &key));
    CHECK_EQ(seal(SENTINEL_CLASS_SMALL, 1), 544);
    CHECK_EQ(channel_open(&in, &message, frame, 544), SENTINEL_CRYPTO_VERIFY);
}

static void test_reserved_bytes_of_a_seal_and_behind_a_payload_are_zero(void) {
    const sentinel_message *message;
    for (unsigned at = 4; at < 8; at++) {
        begin(0);
        CHECK_EQ(seal(SENTINEL_CLASS_SMALL, 1), 544);
        frame[at] = 1;
        CHECK_EQ(channel_expect(&in, frame), 0);
    }
    const unsigned places[] = {CHANNEL_PAYLOAD_AT + 1, 527, 528, 543}; /* clear: tag too */
    for (unsigned i = 0; i < 4; i++) {
        begin(0);
        CHECK_EQ(seal(SENTINEL_CLASS_SMALL, 1), 544);
        frame[places[i]] = 1;
        CHECK_EQ(channel_open(&in, &message, frame, 544), SENTINEL_FORMAT_RESERVED);
    }
    begin(0);
    CHECK_EQ(seal(SENTINEL_CLASS_SMALL, 1), 544);
    frame[16 + offsetof(sentinel_message, size)] = 0xe1; /* 481: one more than there is room */
    frame[16 + offsetof(sentinel_message, size) + 1] = 1;
    CHECK_EQ(channel_open(&in, &message, frame, 544), SENTINEL_FORMAT_SIZE);
}

/* ---- Messages over several frames ------------------------------------------- */

static uint8_t many[130 * CHANNEL_FRAME_BYTES_MAX + 8];
static uint8_t gathered[SENTINEL_CHANNEL_BYTES_MAX];

static void send_and_gather(uint32_t size) {
    begin(1);
    sentinel_message message = {.kind = 4, .id = 1};
    uint8_t *at = many + (8 - (uintptr_t)many % 8) % 8;
    size_t bytes = channel_seal_message(&out, at, SENTINEL_CLASS_SMALL, &message, payload, size);
    CHECK_EQ(bytes, channel_message_bytes(SENTINEL_CLASS_SMALL, size));
    channel_parts parts = {0};
    size_t frames = 0;
    for (size_t done = 0; done < bytes; frames++) {
        const sentinel_message *got = NULL;
        uint16_t class_ = ((sentinel_seal *)(at + done))->class_;
        size_t each = channel_expect(&in, at + done);
        CHECK(each != 0);
        CHECK_OK(channel_open(&in, &got, at + done, each));
        CHECK_OK(channel_follow(&parts, got, class_));
        memcpy(gathered + parts.got - got->size, got + 1, got->size);
        done += each;
        CHECK_EQ(parts.more, done < bytes);
    }
    CHECK_EQ(frames, size == 0 ? 1 : (size + CHANNEL_LARGE_ROOM - 1) / CHANNEL_LARGE_ROOM);
    CHECK_EQ(parts.got, size);
    CHECK_BYTES(gathered, payload, size);
}

static void test_messages_up_to_4_MiB_come_through(void) {
    send_and_gather(0);
    send_and_gather(CHANNEL_SMALL_ROOM + 1);
    send_and_gather(CHANNEL_LARGE_ROOM);
    send_and_gather(CHANNEL_LARGE_ROOM + 1);
    send_and_gather(2 * CHANNEL_LARGE_ROOM);
    send_and_gather(SENTINEL_CHANNEL_BYTES_MAX);
    sentinel_message message = {.kind = 4, .id = 1};
    CHECK_EQ(channel_seal_message(&out, many, SENTINEL_CLASS_SMALL, &message, payload,
                                  SENTINEL_CHANNEL_BYTES_MAX + 1),
             0);
}

static void test_frames_of_two_messages_are_not_mixed(void) {
    const sentinel_message first = {.kind = 4,
                                    .flags = SENTINEL_MESSAGE_MORE,
                                    .size = CHANNEL_LARGE_ROOM,
                                    .id = 5,
                                    .total = CHANNEL_LARGE_ROOM + 10};
    sentinel_message last = {.kind = 4, .size = 10, .id = 5, .total = CHANNEL_LARGE_ROOM + 10};
    channel_parts parts = {0};
    CHECK_OK(channel_follow(&parts, &first, SENTINEL_CLASS_LARGE));
    CHECK_EQ(parts.more, 1);
    const channel_parts begun = parts;
    for (int what = 0; what < 8; what++) {
        sentinel_message bad = last;
        uint16_t class_ = SENTINEL_CLASS_LARGE;
        bad.kind = what == 0 ? 5 : 4;
        bad.id += what == 1;
        bad.total += what == 2;
        bad.size += what == 3;
        bad.size -= what == 4;
        bad.flags = what == 5 ? SENTINEL_MESSAGE_MORE : what == 6 ? 2 : 0;
        class_ = what == 7 ? SENTINEL_CLASS_MIDDLE : SENTINEL_CLASS_LARGE;
        parts = begun;
        CHECK(channel_follow(&parts, &bad, class_) != SENTINEL_OK);
    }
    parts = begun;
    CHECK_OK(channel_follow(&parts, &last, SENTINEL_CLASS_LARGE));
    CHECK_EQ(parts.more, 0);
}

static void test_a_message_has_one_form(void) {
    sentinel_message message = {.kind = 4, .id = 1, .total = SENTINEL_CHANNEL_BYTES_MAX + 1};
    channel_parts parts = {0};
    CHECK_EQ(channel_follow(&parts, &message, SENTINEL_CLASS_LARGE), SENTINEL_FORMAT_LIMIT);
    message.total = 10;
    message.size = 9; /* less than its whole, and none follows */
    CHECK_EQ(channel_follow(&parts, &message, SENTINEL_CLASS_SMALL), SENTINEL_FORMAT_SIZE);
    message.flags = SENTINEL_MESSAGE_MORE; /* one follows, but this one is not full */
    CHECK_EQ(channel_follow(&parts, &message, SENTINEL_CLASS_LARGE), SENTINEL_FORMAT_SIZE);
    message.size = message.total = CHANNEL_LARGE_ROOM; /* full, and nothing is left */
    CHECK_EQ(channel_follow(&parts, &message, SENTINEL_CLASS_LARGE), SENTINEL_FORMAT_SIZE);
    message.flags = 0x8000;
    CHECK_EQ(channel_follow(&parts, &message, SENTINEL_CLASS_LARGE), SENTINEL_FORMAT_RESERVED);
}

/* ---- The handshake ----------------------------------------------------------- */

static SSL *client, *server;

static void connect_in_memory(SSL_CTX *client_context, SSL_CTX *server_context) {
    BIO *client_bio, *server_bio;
    client = SSL_new(client_context);
    server = SSL_new(server_context);
    CHECK(BIO_new_bio_pair(&client_bio, 0, &server_bio, 0) == 1);
    SSL_set_bio(client, client_bio, client_bio);
    SSL_set_bio(server, server_bio, server_bio);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
}

static int shake(void) {
    int a = 0, b = 0;
    for (int i = 0; i < 8 && (a != 1 || b != 1); i++) {
        a = SSL_do_handshake(client);
        b = SSL_do_handshake(server);
    }
    return a == 1 && b == 1;
}

static void disconnect(SSL_CTX *a, SSL_CTX *b) {
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(a);
    SSL_CTX_free(b);
}

static void test_a_handshake_shows_both_keys_and_gives_both_the_same_channel_keys(void) {
    const uint8_t seed32[32] = {1, 2, 3};
    uint8_t client32[32], server32[32], seen32[32], again32[32];
    SSL_CTX *a = tls_context(client32, 0, seed32), *b = tls_context(server32, 1, NULL);
    CHECK(a != NULL && b != NULL);
    connect_in_memory(a, b);
    sentinel_exporter_context context = {.channel = 1, .direction = SENTINEL_DIRECTION_REQUEST};
    sentinel_channel_key keys[3];
    CHECK_EQ(tls_peer_key(seen32, server), SENTINEL_USAGE_STATE);
    CHECK_EQ(tls_channel_key(keys, server, &context), SENTINEL_USAGE_STATE);
    CHECK(shake());
    CHECK(strcmp(SSL_get_version(server), "TLSv1.3") == 0);
    CHECK(strcmp(SSL_get_cipher_name(server), "TLS_AES_256_GCM_SHA384") == 0);
    CHECK_OK(tls_peer_key(seen32, server));
    CHECK_BYTES(seen32, client32, 32);
    CHECK_OK(tls_peer_key(seen32, client));
    CHECK_BYTES(seen32, server32, 32);
    CHECK_OK(tls_channel_key(&keys[0], client, &context));
    CHECK_OK(tls_channel_key(&keys[1], server, &context));
    CHECK_BYTES(&keys[0], &keys[1], sizeof keys[0]);
    for (unsigned at = 0; at < sizeof context; at++) {
        sentinel_exporter_context other = context;
        ((uint8_t *)&other)[at] ^= 1;
        CHECK_OK(tls_channel_key(&keys[2], server, &other));
        CHECK(memcmp(&keys[0], &keys[2], sizeof keys[0]) != 0);
    }
    disconnect(a, b);
    a = tls_context(again32, 0, seed32);
    CHECK_BYTES(again32, client32, 32);
    SSL_CTX_free(a);
}

static void test_nothing_is_sent_behind_the_handshake(void) {
    uint8_t public32[32];
    SSL_CTX *a = tls_context(public32, 0, NULL), *b = tls_context(public32, 1, NULL);
    connect_in_memory(a, b);
    CHECK(shake());
    CHECK_EQ(BIO_pending(SSL_get_rbio(client)), 0); /* no ticket */
    disconnect(a, b);
}

static void expect_no_handshake(SSL_CTX *a, SSL_CTX *b) {
    connect_in_memory(a, b);
    CHECK(!shake());
    disconnect(a, b);
}

static void test_another_form_of_tls_is_refused(void) {
    uint8_t public32[32];
    for (int what = 0; what < 5; what++) {
        SSL_CTX *a = tls_context(public32, 0, NULL), *b = tls_context(public32, 1, NULL);
        if (what == 0) {
            SSL_CTX_set_min_proto_version(a, TLS1_2_VERSION);
            SSL_CTX_set_max_proto_version(a, TLS1_2_VERSION);
        } else if (what == 1) {
            CHECK(SSL_CTX_set_ciphersuites(a, "TLS_AES_128_GCM_SHA256") == 1);
        } else if (what == 2) {
            CHECK(SSL_CTX_set1_groups_list(a, "P-256") == 1);
        } else if (what == 3) {
            CHECK(SSL_CTX_set1_sigalgs_list(a, "ECDSA+SHA256") == 1);
        } else { /* no certificate */
            SSL_CTX_free(a);
            a = SSL_CTX_new(TLS_client_method());
        }
        expect_no_handshake(a, b);
    }
}

static void test_a_certificate_of_another_algorithm_is_refused(void) {
    uint8_t public32[32];
    SSL_CTX *a = SSL_CTX_new(TLS_client_method()), *b = tls_context(public32, 1, NULL);
    EVP_PKEY *p256 = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_set_pubkey(certificate, p256);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 1000);
    CHECK(X509_sign(certificate, p256, EVP_sha256()) != 0);
    CHECK(SSL_CTX_use_certificate(a, certificate) == 1);
    CHECK(SSL_CTX_use_PrivateKey(a, p256) == 1);
    X509_free(certificate);
    EVP_PKEY_free(p256);
    expect_no_handshake(a, b);
}

static void test_the_pin_is_over_the_subject_public_key_info(void) {
    uint8_t public32[32], hash32[32], expected32[32];
    SSL_CTX *context = tls_context(public32, 1, NULL);
    EVP_PKEY *public_key = X509_get0_pubkey(SSL_CTX_get0_certificate(context));
    uint8_t *der = NULL;
    int size = i2d_PUBKEY(public_key, &der);
    CHECK_EQ(size, TLS_SPKI_BYTES);
    CHECK(EVP_Digest(der, (size_t)size, expected32, NULL, EVP_sha256(), NULL) == 1);
    OPENSSL_free(der);
    tls_spki_hash(hash32, public32);
    CHECK_BYTES(hash32, expected32, 32);
    SSL_CTX_free(context);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_frames_of_every_class_come_through_full_and_empty);
    RUN(test_what_does_not_fit_is_not_sealed);
    RUN(test_a_payload_is_sealed_in_place);
    RUN(test_the_nonce_is_the_iv_with_the_counter);
    RUN(test_frames_are_those_of_any_aes_256_gcm);
    RUN(test_a_key_stream_is_used_once);
    RUN(test_every_changed_byte_ends_the_channel);
    RUN(test_nothing_of_a_forged_frame_is_given_out);
    RUN(test_a_frame_is_neither_replayed_nor_left_out_nor_swapped);
    RUN(test_another_class_or_size_or_key_is_refused);
    RUN(test_reserved_bytes_of_a_seal_and_behind_a_payload_are_zero);
    RUN(test_messages_up_to_4_MiB_come_through);
    RUN(test_frames_of_two_messages_are_not_mixed);
    RUN(test_a_message_has_one_form);
    RUN(test_a_handshake_shows_both_keys_and_gives_both_the_same_channel_keys);
    RUN(test_nothing_is_sent_behind_the_handshake);
    RUN(test_another_form_of_tls_is_refused);
    RUN(test_a_certificate_of_another_algorithm_is_refused);
    RUN(test_the_pin_is_over_the_subject_public_key_info);
    channel_side_end(&out);
    channel_side_end(&in);
    return test_end();
}
