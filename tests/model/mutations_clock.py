"""Mistakes in setting the log's time back."""

from __future__ import annotations

from tests.model.mutation import gate

FILE = "gate_set_clock.c"
CLOCK = (
    gate(
        "the clock is set from another time than the one named",
        FILE,
        "command->until_ns == state->last_now_ns && now_ns",
        "now_ns",
    ),
    gate(
        "the clock is set back before what something rests on",
        FILE,
        "now_ns >= state->relied_ns",
        "now_ns + 1 >= state->relied_ns",
    ),
    gate(
        "the clock is not set back to what something rests on",
        FILE,
        "now_ns >= state->relied_ns",
        "now_ns > state->relied_ns",
    ),
    gate(
        "nothing rests on an order that was signed",
        FILE,
        "return entry->verdict != SENTINEL_DENIED;",
        "return 0;",
    ),
    gate(
        "something rests on a denial, so that the clock stays",
        FILE,
        "return entry->verdict != SENTINEL_DENIED;",
        "return 1;",
    ),
    gate(
        "something rests on a start, so that the clock stays",
        FILE,
        "    case SENTINEL_RECORD_START:\n",
        "",
    ),
    gate(
        "nothing rests on a frame that was taken, and the clock is set back over it",
        FILE,
        "    default:\n        return 1;",
        "    default:\n        return 0;",
    ),
    gate(
        "the clock is set back by a resume of any node",
        FILE,
        "node == SENTINEL_NODE_NONE || bundle->nodes[node].kind != SENTINEL_NODE_FIRM",
        "node == SENTINEL_NODE_NONE",
    ),
    gate(
        "one operator sets the clock back",
        "gate_command.c",
        "tightens || leases ? 1 : 0,\n",
        "tightens || leases || sets ? 1 : 0,\n",
    ),
    gate(
        "a drain that had ended drains again as the clock is set back",
        FILE,
        "sentinel_stop_mode(stop, before_ns) == SENTINEL_HALTED",
        "0",
    ),
    gate(
        "a drain that had ended by the clock's last nanosecond drains again",
        FILE,
        "sentinel_stop_mode(stop, before_ns) == SENTINEL_HALTED",
        "sentinel_stop_mode(stop, before_ns - 1) == SENTINEL_HALTED",
    ),
    gate(
        "a request that had expired lives again as the clock is set back",
        FILE,
        "row->expires_ns <= before_ns &&",
        "row->expires_ns < before_ns &&",
    ),
    gate(
        "a lease that was over goes on as the clock is set back",
        FILE,
        "state->lease_until_ns <= before_ns &&",
        "state->lease_until_ns < before_ns &&",
    ),
    gate(
        "attempts of the wrong time count until it comes, though the clock was set back",
        FILE,
        "if (agent->attempts_since_ns > now_ns) {",
        "if (0) {",
    ),
    gate(
        "denials that are only counted stay counted as the clock is set back",
        "gate_take.c",
        "if (sets || kind_of(frame, size) == SENTINEL_FRAME_POLICY) {",
        "if (kind_of(frame, size) == SENTINEL_FRAME_POLICY) {",
    ),
    gate(
        "a feed is taken in the log's time, so that the clock is never set back",
        "gate_take.c",
        "status = early ?",
        "status = 0 ?",
    ),
    gate(
        "a request is taken back in the log's time, so that the clock is never set back",
        "gate_approval.c",
        "if (!gate_clock(context, &now_ns, &flags)) {",
        "if (gate_clock(context, &now_ns, &flags) > 1) {",
    ),
    gate(
        "something rests on a halt, so that the clock stays",
        FILE,
        "return !is_halt(entry);",
        "return 1;",
    ),
)
