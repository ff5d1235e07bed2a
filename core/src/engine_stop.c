/* The stop word on the control page: a halt that is in no record, and in no
 * ticket either. It holds until a record covers it, and nothing that is not a
 * record clears it (docs/4-audit.md, "The stop word"). */
#include "engine_internal.h"

/* A word: u32 target, u16 scope, u16 count. No place: the firm, or unknown. */
#define PLACE_BITS 48u
#define PLACE_OF(word) ((word) & ((UINT64_C(1) << PLACE_BITS) - 1))

/* 0: the bytes are no command. */
static int command_read(sentinel_frame_header *header, sentinel_command *command, const void *frame,
                        size_t size) {
    if (size < sizeof *header + sizeof *command) {
        return 0;
    }
    memcpy(header, frame, sizeof *header);
    memcpy(command, (const uint8_t *)frame + sizeof *header, sizeof *command);
    return header->kind == SENTINEL_FRAME_COMMAND;
}

static uint64_t place_of(const sentinel_command *command) {
    int is_known =
        command->scope >= SENTINEL_SCOPE_NODE && command->scope <= SENTINEL_SCOPE_INSTRUMENT;
    return is_known ? (uint64_t)command->scope << 32 | command->target : 0;
}

int engine_frame_stops(const void *frame, size_t size) {
    sentinel_frame_header header;
    sentinel_command command;
    return command_read(&header, &command, frame, size) && command.verb == SENTINEL_COMMAND_HALT;
}

engine_stop engine_stop_seen(const sentinel_control *control) {
    engine_stop seen;
    seen.word = __atomic_load_n(&control->stop, __ATOMIC_ACQUIRE);
    seen.sequence = __atomic_load_n(&control->stop_sequence, __ATOMIC_ACQUIRE);
    return seen;
}

/* Never lower, whoever else asks: a resume that is older than one of the halts
 * would clear the word. One on the page that was made up says nothing: now. */
static uint64_t sequence_raise(sentinel_control *control, uint64_t sequence, uint64_t now_ns,
                               uint64_t most) {
    uint64_t is = __atomic_load_n(&control->stop_sequence, __ATOMIC_ACQUIRE);
    uint64_t raised;
    do {
        uint64_t known = is > most ? now_ns : is;
        raised = known > sequence ? known : sequence;
    } while (raised != is && !__atomic_compare_exchange_n(&control->stop_sequence, &is, raised, 0,
                                                          __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    return raised;
}

engine_stop engine_stop_ask(sentinel_control *control, engine_stop *before, const void *frame,
                            size_t size) {
    sentinel_frame_header header = {0};
    sentinel_command command = {0};
    engine_stop asked;
    uint64_t now_ns = engine_wall_ns();
    uint64_t most = now_ns != 0 ? now_ns + SENTINEL_FRAME_AHEAD_NS : UINT64_MAX;
    *before = engine_stop_seen(control);
    int is_command = command_read(&header, &command, frame, size);
    uint64_t place = is_command ? place_of(&command) : 0;
    /* What nobody knows is of now; and nobody's command is of later. */
    int is_known = is_command && header.sequence <= most;
    do {
        int is_first = before->word == 0;
        /* Of several halts it is the firm's to say that all may go on. */
        uint64_t both = is_first || PLACE_OF(before->word) == place ? place : 0;
        /* Counted, so that a word that is set again is another one; never 0. */
        uint64_t count = (before->word >> PLACE_BITS) % UINT16_MAX + 1;
        asked.word = count << PLACE_BITS | both;
        asked.sequence = sequence_raise(control, is_known ? header.sequence : now_ns, now_ns, most);
    } while (!__atomic_compare_exchange_n(&control->stop, &before->word, asked.word, 0,
                                          __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    return asked;
}

/* The sequence stays: another submitter may have raised it meanwhile. */
void engine_stop_drop(sentinel_control *control, const engine_stop *asked,
                      const engine_stop *before) {
    uint64_t word = asked->word;
    (void)__atomic_compare_exchange_n(&control->stop, &word, before->word, 0, __ATOMIC_ACQ_REL,
                                      __ATOMIC_RELAXED);
}

/* The place itself; the firm where the word names none that could be named. */
static int covers(const sentinel_engine *engine, uint64_t place, const sentinel_command *command) {
    const sentinel_view *view = sentinel_gate_view(engine->context);
    int is_firm = command->scope == SENTINEL_SCOPE_NODE &&
                  sentinel_bundle_node(&view->bundle, command->target) == 0;
    return (place != 0 && place == place_of(command)) ||
           (is_firm && sentinel_view_place(view, (uint16_t)(place >> 32), (uint32_t)place) == NULL);
}

void engine_stop_answer(sentinel_engine *engine, const engine_stop *seen, const void *frame,
                        size_t size, int64_t now_ns) {
    sentinel_frame_header header;
    sentinel_command command;
    if (seen->word == 0 || !command_read(&header, &command, frame, size) ||
        (command.verb != SENTINEL_COMMAND_HALT && command.verb != SENTINEL_COMMAND_RESUME)) {
        return;
    }
    /* Had the halt become a record, a command that is older would have been
     * refused. A sequence that no command can have yet was made up. */
    int is_older = header.sequence < seen->sequence ||
                   (header.sequence == seen->sequence && command.verb != SENTINEL_COMMAND_HALT);
    if (is_older && seen->sequence <= (uint64_t)now_ns + SENTINEL_FRAME_AHEAD_NS) {
        return;
    }
    uint64_t word = seen->word;
    if (covers(engine, PLACE_OF(word), &command)) {
        (void)__atomic_compare_exchange_n(&engine->control->stop, &word, 0, 0, __ATOMIC_ACQ_REL,
                                          __ATOMIC_RELAXED);
    }
}
