"""Mistakes in what stops: halts, drains, and who may lift them."""

from __future__ import annotations

from tests.model.mutation import gate, policy

STOPS = (
    policy(
        "a drain lasts a nanosecond longer",
        "state.c",
        "stop->until_ns != 0 && now_ns >= stop->until_ns",
        "stop->until_ns != 0 && now_ns > stop->until_ns",
    ),
    policy(
        "a drain does not end",
        "policy_stop.c",
        "uint8_t mode = sentinel_stop_mode(stop, count->turn->now_ns);",
        "uint8_t mode = stop->mode;",
    ),
    policy(
        "a parent's stop is missed",
        "policy_stop.c",
        "policy_step step = {subject->parent, subject->parent_slot};",
        "policy_step step = {0};",
    ),
    policy(
        "only the parent agent's own stop counts, not those above it",
        "policy_stop.c",
        "node = view->bundle.nodes[node].parent;",
        "break;",
    ),
    policy(
        "what stops is not counted",
        "state.c",
        "    view->state->stopped += is_stopped(stop) - is_stopped(place);\n",
        "",
    ),
    policy(
        "what a new version takes over is not counted",
        "state_carry.c",
        "    state->stopped = state_stopped(view);\n",
        "",
    ),
    policy(
        "a node's stop is overlooked",
        "policy_stop.c",
        "modes |= nodes[chain[i]].mode;",
        "modes |= 0;",
    ),
    policy(
        "a venue's stop is overlooked",
        "policy_stop.c",
        "unsigned modes = view->state->venues[turn->subject->venue].mode;",
        "unsigned modes = 0;",
    ),
    policy(
        "an instrument's stop is overlooked",
        "policy_stop.c",
        "modes |= stops[instrument - view->bundle.instruments].mode;",
        "(void)stops;",
    ),
    policy(
        "a parent's stop is overlooked",
        "policy_stop.c",
        "modes != SENTINEL_RUNNING || turn->subject->parent != 0",
        "modes != SENTINEL_RUNNING",
    ),
    policy("the venue's stop is missed", "policy_stop.c", "if (venue != NULL) {", "if (0) {"),
    policy(
        "the instrument's stop is missed",
        "policy_stop.c",
        "    if (subject->instrument != NULL) {\n",
        "    if (0) {\n",
    ),
    policy(
        "a drain lets everything through but funds",
        "policy_stop.c",
        "subject->action == SENTINEL_ACTION_QUERY;",
        "subject->action < SENTINEL_ACTION_WITHDRAW;",
    ),
    policy(
        "a drain lets no cancel through",
        "policy_stop.c",
        "return subject->action == SENTINEL_ACTION_CANCEL ||",
        "return ",
    ),
    policy(
        "a close may be of anything but spot",
        "policy_stop.c",
        "(contract == SENTINEL_CONTRACT_LINEAR || contract == SENTINEL_CONTRACT_INVERSE)",
        "contract != SENTINEL_CONTRACT_SPOT",
    ),
    policy(
        "an order that says it does not reduce passes for a close",
        "policy_stop.c",
        "place->reduce_only == 1",
        "place->reduce_only <= 1",
    ),
    policy(
        "a close may name a position's side",
        "policy_stop.c",
        "(place->position_side == 0 || place->position_side == SENTINEL_POSITION_BOTH)",
        "1",
    ),
    policy(
        "draining is named beside a halt",
        "policy_stop.c",
        "count.refused != 0 && count.refused == count.drained",
        "count.drained != 0",
    ),
    policy(
        "a version may loosen a drain",
        "state_carry.c",
        "sentinel_stop_loosens(&before, &after, now_ns)",
        "before.mode > after.mode",
    ),
    policy(
        "a version may give a halted instrument's id to another",
        "state_carry.c",
        "!is_same_market(from, sentinel_bundle_instrument(&view->bundle, from->id))",
        "sentinel_bundle_instrument(&view->bundle, from->id) == NULL",
    ),
    policy(
        "a version forgets stops of instruments",
        "state_carry.c",
        "*sentinel_view_instrument(view, row) = *sentinel_view_instrument(old, from);",
        "",
    ),
    gate(
        "a version forgets stops of venues",
        "state_carry.c",
        "    memcpy(state->venues, old->venues, sizeof state->venues);\n",
        "",
    ),
    gate(
        "what is halted by the end of its drain is drained again",
        "gate_command.c",
        "sentinel_stop_mode(place, now_ns) == SENTINEL_HALTED",
        "place->mode == SENTINEL_HALTED",
    ),
    gate(
        "what is halted is drained by two",
        "gate_command.c",
        "return SENTINEL_POLICY_STOPPED;",
        "(void)0;",
    ),
    gate(
        "one operator ends a drain later",
        "gate_command.c",
        "tightens && sentinel_stop_loosens(place, &stop, now_ns)",
        "0",
    ),
    gate(
        "one operator takes a drain's end away",
        "state.c",
        "mode == SENTINEL_HALTED ? now_ns : never ? INT64_MAX : stop->until_ns",
        "mode == SENTINEL_HALTED ? now_ns : never ? now_ns : stop->until_ns",
    ),
    gate(
        "a command for a venue may be of any number",
        "state.c",
        "target < SENTINEL_VENUE_COUNT ?",
        "1 ?",
    ),
    gate(
        "a halt may have an end",
        "gate_command.c",
        "(command->until_ns != 0 && !drains && !gate_is_clock_set(command))",
        "0",
    ),
    gate(
        "any resume lifts the engine's own halt",
        "gate_command.c",
        "if (!tightens && command->scope == SENTINEL_SCOPE_NODE &&",
        "if (!tightens || command->scope == SENTINEL_SCOPE_NODE ||",
    ),
)
