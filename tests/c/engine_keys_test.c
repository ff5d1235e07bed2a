/* Which keys a start had. Goal: the log says it, a snapshot carries it, and where
 * keys only grow an engine with fewer, or others, does not start. Method: an engine
 * in a directory whose key file is written anew between openings. */
#include "engine_scene.h"

static void keys_write(const sentinel_keyring *ring) {
    static uint8_t sealed[32768];
    CHECK_OK(sentinel_keyring_seal(ring, sealed, sizeof sealed, "pass", 4, 1, 8192));
    int fd = open(in_home("keys/engine"), O_WRONLY | O_TRUNC, 0600);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, sealed, sentinel_keyring_sealed_bytes(ring)),
             (ssize_t)sentinel_keyring_sealed_bytes(ring));
    close(fd);
}

static void key_add(uint32_t id) {
    scene_key(scene.ring, id, SENTINEL_PURPOSE_MESSAGE, SENTINEL_ALGORITHM_ED25519, 0);
    keys_write(scene.ring);
}

static void opens_and_closes(sentinel_status expected) {
    const uint64_t before = log_count();
    CHECK_EQ(engine_open(), expected);
    CHECK_EQ(engine == NULL, expected != SENTINEL_OK);
    engine_close();
    CHECK(expected == SENTINEL_OK || log_count() == before);
}

static void test_a_start_says_which_keys_there_are(void) {
    uint8_t hash32[32];
    engine_begin();
    CHECK_EQ(engine_state()->keys, 3);
    CHECK_OK(sentinel_keyring_hash(hash32, scene.ring, 3));
    CHECK(memcmp(engine_state()->keyring_hash32, hash32, 32) == 0);
    frame_policy(); /* a new policy carries it over */
    CHECK_OK(engine_take());
    CHECK_EQ(engine_state()->keys, 3);
    CHECK(memcmp(engine_state()->keyring_hash32, hash32, 32) == 0);
    engine_close();
    key_add(50);
    CHECK_OK(engine_open());
    CHECK_EQ(engine_state()->keys, 4);
    CHECK(memcmp(engine_state()->keyring_hash32, hash32, 32) != 0);
}

static void test_the_hash_is_of_the_first_keys(void) {
    uint8_t three[32], again[32];
    home_begin();
    CHECK_OK(sentinel_keyring_hash(three, scene.ring, 3));
    CHECK_EQ(sentinel_keyring_hash(again, scene.ring, 4), SENTINEL_USAGE_ARGUMENT);
    key_add(50);
    CHECK_OK(sentinel_keyring_hash(again, scene.ring, 3));
    CHECK(memcmp(three, again, 32) == 0);
    CHECK_OK(sentinel_keyring_remove(scene.ring, KEY_VENUE));
    CHECK_OK(sentinel_keyring_hash(again, scene.ring, 3));
    CHECK(memcmp(three, again, 32) != 0);
}

/* By its last snapshot, and by every record. */
static void test_keys_that_grow_are_never_fewer(void) {
    for (int by_records = 0; by_records < 2; by_records++) {
        engine_begin();
        expect_allowed();
        engine_close();
        options.keys_grow = 1;
        opens_and_closes(SENTINEL_OK);
        key_add(50);
        opens_and_closes(SENTINEL_OK);
        if (by_records) {
            shell("rm -f %s/snapshots/*", home, "");
        }
        CHECK_OK(sentinel_keyring_remove(scene.ring, 50));
        keys_write(scene.ring);
        opens_and_closes(SENTINEL_ENCLAVE_STALE);
        key_add(51); /* as many, but another one */
        opens_and_closes(SENTINEL_ENCLAVE_STALE);
        options.keys_grow = 0; /* an owner of the directory does as he likes */
        opens_and_closes(SENTINEL_OK);
    }
}

static void test_a_log_without_a_start_says_nothing_of_keys(void) {
    home_begin();
    CHECK_OK(engine_create());
    options.keys_grow = 1;
    opens_and_closes(SENTINEL_ENCLAVE_STALE);
    options.keys_grow = 0;
    opens_and_closes(SENTINEL_OK);
    options.keys_grow = 1;
    opens_and_closes(SENTINEL_OK);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_a_start_says_which_keys_there_are);
    RUN(test_the_hash_is_of_the_first_keys);
    RUN(test_keys_that_grow_are_never_fewer);
    RUN(test_a_log_without_a_start_says_nothing_of_keys);
    home_begin();
    shell("rm -rf %s", home, "");
    scene_end(&scene);
    return test_end();
}
