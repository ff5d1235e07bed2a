"""The mistakes that tests/model/mutate.py plants: one line each, in every place that decides."""

from __future__ import annotations

from tests.model.mutation import Mutation, gate, policy
from tests.model.mutations_approval import APPROVALS
from tests.model.mutations_beat import BEATS
from tests.model.mutations_book import BOOK
from tests.model.mutations_clock import CLOCK
from tests.model.mutations_lineage import LINEAGE
from tests.model.mutations_report import REPORTS
from tests.model.mutations_stop import STOPS
from tests.model.mutations_value import VALUE

POLICY = (
    # The limits, each off by one.
    policy(
        "value cap: the cap itself is refused",
        "policy_limit.c",
        "turn->value <= constraint->bound ?",
        "turn->value < constraint->bound ?",
    ),
    policy(
        "quantity cap: the cap itself is refused",
        "policy_limit.c",
        "return result->value <= constraint->bound ?",
        "return result->value < constraint->bound ?",
    ),
    policy(
        "price collar: one past the bound passes",
        "policy_collar.c",
        "return result->value <= constraint->bound ?",
        "return result->value <= constraint->bound + 1 ?",
    ),
    policy(
        "sums: one past the bound passes",
        "policy_window.c",
        "return result->value <= constraint->bound ? SENTINEL_REASON_NONE : reason;",
        "return result->value - 1 <= constraint->bound ? SENTINEL_REASON_NONE : reason;",
    ),
    policy(
        "rate limit: one event too many",
        "policy_window.c",
        "if (result->value <= constraint->bound) {",
        "if (result->value <= constraint->bound + 1) {",
    ),
    policy(
        "masks: a number is taken for its neighbour",
        "policy_list.c",
        "(constraint->mask >> number & 1) != 0 ?",
        "(constraint->mask >> (number - 1) & 1) != 0 ?",
    ),
    # Arithmetic.
    policy(
        "division rounds down (64 bits)",
        "policy_math.h",
        "quotient = (wide_u128)(n / d) + (n % d != 0);",
        "quotient = n / d;",
    ),
    policy(
        "division rounds down (128 bits)",
        "policy_math.h",
        "quotient += quotient * denominator != numerator;",
        "",
    ),
    policy(
        "a product that left 128 bits goes on",
        "policy_value.c",
        "p->lost |= !math_multiply(",
        "p->lost |= 0 & !math_multiply(",
    ),
    policy(
        "the band is taken off the mark",
        "policy_value.c",
        "(int64_t)MATH_PPM + view->bundle.policy->market_band_ppm",
        "(int64_t)MATH_PPM - view->bundle.policy->market_band_ppm",
    ),
    policy(
        "a quote quantity buys at the mark itself",
        "policy_limit.c",
        "MATH_PPM - band_ppm",
        "MATH_PPM",
    ),
    policy(
        "the collar divides by the price",
        "policy_collar.c",
        "math_ceiling(apart, m)",
        "math_ceiling(apart, p)",
    ),
    policy("the collar ignores the trigger price", "policy_collar.c", "i < 2; i++", "i < 1; i++"),
    policy(
        "a sell is valued at its limit alone",
        "policy_value.c",
        "if (limited && is_buy) {",
        "if (limited) {",
    ),
    policy(
        "a triggered limit order is valued without its trigger",
        "policy_value.c",
        "math_greater(math_greater(limit, mark), trigger)",
        "math_greater(limit, mark)",
    ),
    policy(
        "the multiplier is forgotten",
        "policy_value.c",
        "times(p, math_normal(subject->instrument->multiplier));",
        "",
    ),
    policy(
        "the asset that lends its mark is ignored",
        "policy_value.c",
        "asset != NULL && asset->mark_asset != 0",
        "asset != NULL && asset->mark_asset == UINT32_MAX",
    ),
    # Times.
    policy(
        "a mark is stale, an event gone, a nanosecond early",
        "policy_math.h",
        "> (uint64_t)span;",
        ">= (uint64_t)span;",
    ),
    policy(
        "an older mark replaces a newer one",
        "state.c",
        "mark.time_ns < place->time_ns)",
        "mark.time_ns + 1 < place->time_ns)",
    ),
    policy(
        "a day too long",
        "policy_window.c",
        "DAY_NS INT64_C(86400000000000)",
        "DAY_NS INT64_C(86400000000001)",
    ),
    policy(
        "the day's sum is never reset (judging)",
        "policy_window.c",
        "state->day == day ? state->spent : 0,",
        "state->spent,",
    ),
    policy(
        "the day's sum is never reset (debiting)",
        "policy_window.c",
        "state->spent = state->day == day ? math_sum(state->spent, value) : value;",
        "state->spent = math_sum(state->spent, value);",
    ),
    policy(
        "buckets of the wrong width",
        "policy_window.c",
        "(constraint->window_ns + 63) / 64;",
        "constraint->window_ns / 64 + 1;",
    ),
    policy(
        "a bucket counts a nanosecond too long",
        "policy_window.c",
        "math_floor(now_ns - constraint->window_ns + 1,",
        "math_floor(now_ns - constraint->window_ns,",
    ),
    policy(
        "a bucket ceases to count a nanosecond early",
        "policy_window.c",
        "math_floor(now_ns - constraint->window_ns + 1,",
        "math_floor(now_ns - constraint->window_ns + 2,",
    ),
    policy(
        "the rolling sum is not debited",
        "policy_window.c",
        "    state->sum += added;\n",
        "",
    ),
    policy(
        "an emptied bucket keeps its amount",
        "policy_window.c",
        "        *bucket_at(state, bucket) = 0;\n",
        "",
    ),
    policy(
        "the time of a retry is a nanosecond late",
        "policy_window.c",
        "math_sum((bucket + 1) * width, constraint->window_ns - 1)",
        "math_sum((bucket + 1) * width, constraint->window_ns)",
    ),
    policy(
        "an event is not debited",
        "policy_window.c",
        "rate_times(state)[state->next] = now_ns;",
        "rate_times(state)[state->next] = 0;",
    ),
    # Who is judged, and by what.
    policy(
        "the kill switch of the firm is missed",
        "policy_stop.c",
        "    for (unsigned i = length; i > 0; i--) {\n        if (refuses",
        "    for (unsigned i = length; i > 1; i--) {\n        if (refuses",
    ),
    policy(
        "the kill switch names the deepest halted node",
        "policy_stop.c",
        "            first = i - 1;\n",
        "            first = count.refused == 1 ? i - 1 : first;\n",
    ),
    policy(
        "a node's last constraint is skipped",
        "policy.c",
        "k < node->constraint_count; k++",
        "k + 1 < node->constraint_count; k++",
    ),
    policy(
        "the venues of a constraint are ignored",
        "policy.c",
        "(constraint->venues & turn->venue) == 0 ||",
        "",
    ),
    policy(
        "the last reason in precedence wins",
        "policy.c",
        "number < decision->reason)",
        "number > decision->reason)",
    ),
    policy(
        "funds leave without a list",
        "policy.c",
        "(turn->actions & POLICY_MOVES_OUT) != 0 &&",
        "(turn->actions & POLICY_MOVES_OUT) == UINT32_MAX &&",
    ),
    policy(
        "sanctioned addresses are compared as they are written",
        "policy_list.c",
        "hash_add_lower(&hash, address, address_size);\n    hash_final",
        "hash_add(&hash, address, address_size);\n    hash_final",
    ),
    policy(
        "a list of instruments has whatever lies beside an id",
        "policy_list.c",
        "return *ids == id;",
        "return *ids <= id;",
    ),
    policy(
        "a list of instruments: an id in the middle is missed",
        "policy_list.c",
        "-(uint32_t)(ids[half] <= id)",
        "-(uint32_t)(ids[half] < id)",
    ),
    policy(
        "an instrument's mark goes to whatever is in its slot",
        "state_internal.h",
        "if (row->id == id) {",
        "if (id != 0) {",
    ),
    policy(
        "agents share the windows that each should have",
        "state_internal.h",
        "offset += (view->agent_ordinals[agent] - view->agent_ordinals[constraint->node]) *",
        "offset += 0 *",
    ),
    # A new version.
    policy(
        "a shared window is carried over to each agent",
        "state_carry.c",
        "old->bundle.constraints[before].each != constraint->each",
        "0",
    ),
    policy(
        "a rolling sum of another width is forgotten",
        "policy_window.c",
        "rolling_debit(window, constraint, spent, last_ns);",
        "(void)spent;",
    ),
    policy(
        "halts are forgotten by a new version",
        "state_carry.c",
        "        *sentinel_view_node(view, node) = *from;\n",
        "",
    ),
)

GATE = (
    gate(
        "an instrument is whatever is in the slot of its id",
        "state_internal.h",
        "if (row->id == id) {",
        "if (id != 0) {",
    ),
    gate(
        "instruments that meet in one slot push each other out",
        "state_layout.c",
        "while (slots[slot] != 0) {",
        "while (slots[slot] > view->bundle.instrument_count) {",
    ),
    gate(
        "the window of ids is 63",
        "gate_resolve.c",
        "agent->id_highest - id >= SENTINEL_ID_WINDOW)",
        "agent->id_highest - id >= SENTINEL_ID_WINDOW - 1)",
    ),
    gate(
        "the window of ids is 65",
        "gate_resolve.c",
        "agent->id_highest - id >= SENTINEL_ID_WINDOW)",
        "agent->id_highest - id > SENTINEL_ID_WINDOW)",
    ),
    gate(
        "an id below the highest is not remembered",
        "gate.c",
        "agent->id_seen |= UINT64_C(1) << (agent->id_highest - id);",
        "",
    ),
    gate(
        "a jump of ids keeps old ones",
        "gate.c",
        "step < SENTINEL_ID_WINDOW ? agent->id_seen << step | 1 : 1;",
        "agent->id_seen << (step & 63) | 1;",
    ),
    gate(
        "a duplicate names another record",
        "gate.c",
        "agent->id_record[id % SENTINEL_ID_WINDOW] = record;",
        "agent->id_record[id % SENTINEL_ID_WINDOW] = record + 1;",
    ),
    gate(
        "an allowed order is not debited",
        "gate.c",
        "    sentinel_policy_debit(view, &c->subject, &outcome->decision, c->now_ns);\n",
        "",
    ),
    gate(
        "an agent may ask in another's session",
        "gate_resolve.c",
        "if (c->order.header.agent != c->session->agent) {",
        "if (0) {",
    ),
    gate(
        "the firm passes for a parent agent of a lineage",
        "gate_resolve.c",
        "*parent = sentinel_view_agent(view, node);\n    if (",
        "*parent = sentinel_view_agent(view, node != 0 ? node : 1);\n    if (",
    ),
    gate(
        "the trigger price may lie between ticks",
        "gate_resolve.c",
        "!is_multiple(&subject->trigger_price, &row->tick))",
        "0)",
    ),
    gate(
        "the lot is ignored",
        "gate_resolve.c",
        "!is_multiple(&subject->quantity, &row->lot)",
        "0",
    ),
    gate(
        "a network of another asset passes",
        "gate_resolve.c",
        "c->subject.network->asset != withdraw->asset",
        "0",
    ),
    gate(
        "the first of several keys is taken",
        "gate_resolve.c",
        "    if (found != 1) {",
        "    if (found == 0) {",
    ),
    gate(
        "every node may use every key",
        "gate_resolve.c",
        "        agent = bundle->nodes[agent].parent;\n    }\n    return 0;",
        "        agent = bundle->nodes[agent].parent;\n    }\n    return 1;",
    ),
    gate(
        "a master key trades",
        "gate_resolve.c",
        "has_masters && moves_funds(c) ? SENTINEL_PURPOSE_VENUE_MASTER",
        "has_masters ? SENTINEL_PURPOSE_VENUE_MASTER",
    ),
    gate(
        "an agent's key moves funds",
        "gate_resolve.c",
        "has_masters && moves_funds(c) ? SENTINEL_PURPOSE_VENUE_MASTER",
        "0 ? SENTINEL_PURPOSE_VENUE_MASTER",
    ),
    gate(
        "a key is good for every product",
        "gate_resolve.c",
        "(key->products & product_of(c)) != 0 &&",
        "",
    ),
    gate(
        "any key moves funds",
        "gate_resolve.c",
        "return moves_funds(c)  ? SENTINEL_PRODUCT_WALLET",
        "return moves_funds(c)  ? SENTINEL_PRODUCTS_ALL",
    ),
    gate(
        "several products need no grant",
        "gate_take.c",
        "if (is_open && several && (key->flags & SENTINEL_KEY_ENDPOINT_GRANT) == 0) {",
        "if (0) {",
    ),
    gate(
        "the check of one product is enough for several",
        "gate_take.c",
        "(key->flags & SENTINEL_KEY_ENDPOINT_GRANT) == 0) {",
        "key->flags == 0) {",
    ),
    gate(
        "the book forgets an order's time in force",
        "gate_book.c",
        "    entry->time_in_force = subject->time_in_force;\n",
        "",
    ),
    gate(
        "the book forgets that an order only reduces",
        "gate_book.c",
        "    entry->reduce_only = subject->reduce_only;\n",
        "",
    ),
    gate(
        "a key is known by its id alone",
        "gate_resolve.c",
        "bytes_equal(info->fingerprint32, c->key_row->fingerprint32, 32)",
        "1",
    ),
    gate(
        "a withdrawal is judged without its key's venue",
        "gate_resolve.c",
        "    c->subject.venue = c->key_row->venue;\n",
        "",
    ),
    gate(
        "one attempt too many is recorded",
        "gate_record.c",
        "agent->attempts < limit;",
        "agent->attempts <= limit;",
    ),
    gate(
        "the interval of attempts is a nanosecond longer",
        "gate_record.c",
        "attempts_since_ns >= interval)",
        "attempts_since_ns > interval)",
    ),
    gate(
        "the reasons of suppressed denials are lost",
        "gate_record.c",
        "    agent->suppressed_reasons[0] |= reasons[0];\n",
        "",
    ),
    gate(
        "the clock's tolerance is a nanosecond shorter",
        "gate_record.c",
        "last_ns - now_ns > tolerance;",
        "last_ns - now_ns >= tolerance;",
    ),
    gate(
        "a clock that stepped back is believed",
        "gate_record.c",
        "    *now_ns = state->last_now_ns;\n",
        "",
    ),
    gate(
        "waiting commands do not stop the gate",
        "gate.c",
        "__atomic_load_n(&control->spool_submitted, __ATOMIC_ACQUIRE) !=",
        "0 && 0 !=",
    ),
    gate(
        "one operator resumes",
        "gate_command.c",
        "tightens || leases ? 1 : 0",
        "1",
    ),
    gate(
        "a resume halts",
        "gate_command.c",
        "[SENTINEL_COMMAND_RESUME] = SENTINEL_RUNNING",
        "[SENTINEL_COMMAND_RESUME] = SENTINEL_HALTED",
    ),
    gate(
        "instruments of another environment load",
        "gate_take.c",
        "if (fresh.bundle.instruments[i].environment != context->config.genesis.environment) {",
        "if (0) {",
    ),
    gate(
        "a smaller book keeps the lower action ids",
        "state_carry.c",
        "from[i].action_id > place->action_id",
        "from[i].action_id != 0 && place->action_id == 0",
    ),
    gate(
        "a halted engine goes on",
        "gate.c",
        "if (gate_state(context)->halted != 0) {",
        "if (0) {",
    ),
    gate(
        "a resume of the firm leaves the engine halted",
        "gate_command.c",
        "        state->halted = 0;\n",
        "",
    ),
    gate(
        "suppressed denials are not summarised",
        "gate_record.c",
        "attempts_since_ns >= interval) {\n        if (agent->suppressed != 0) {",
        "attempts_since_ns >= interval) {\n        if (0) {",
    ),
    gate(
        "a key that the policy names elsewhere passes for granted",
        "gate_resolve.c",
        "(named == 0 || key->id == named) && key_fits(bundle, c, key)",
        "(named == 0 ? key_fits(bundle, c, key) : key->id == named)",
    ),
)

MUTATIONS: tuple[Mutation, ...] = (
    *POLICY,
    *VALUE,
    *STOPS,
    *CLOCK,
    *LINEAGE,
    *BEATS,
    *REPORTS,
    *BOOK,
    *APPROVALS,
    *GATE,
)
