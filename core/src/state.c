/* The state: made for a bundle, read by index, changed by feeds and halts. */
#include "state_internal.h"

void state_name_venues(sentinel_state *state) {
    for (uint32_t i = SENTINEL_VENUE_NONE + 1; i < SENTINEL_VENUE_COUNT; i++) {
        state->venues[i].id = i;
    }
}

/* Every row that names what it belongs to. */
static void name_rows(const sentinel_view *view) {
    const sentinel_bundle *bundle = &view->bundle;
    for (uint32_t i = 0; i < bundle->node_count; i++) {
        sentinel_view_node(view, i)->id = bundle->nodes[i].id;
        sentinel_agent_state *agent = sentinel_view_agent(view, i);
        if (agent != NULL) {
            agent->node = bundle->nodes[i].id;
        }
    }
    sentinel_mark_state *marks = state_at(view, view->state->instrument_marks);
    for (uint32_t i = 0; i < bundle->instrument_count; i++) {
        const sentinel_instrument *row = &bundle->instruments[i];
        marks[i].id = row->id;
        sentinel_view_instrument(view, row)->id = row->id;
        sentinel_view_position(view, row)->id = row->id;
    }
    state_name_venues(view->state);
    marks = state_at(view, view->state->asset_marks);
    for (uint32_t i = 0; i < bundle->asset_count; i++) {
        marks[i].id = bundle->assets[i].id;
    }
}

static void init_windows(const sentinel_view *view) {
    for (uint32_t i = 0; i < view->bundle.constraint_count; i++) {
        const sentinel_constraint *constraint = &view->bundle.constraints[i];
        const policy_window *window = policy_rule_of(constraint->kind)->window;
        if (window == NULL || window->init == NULL) {
            continue;
        }
        uint8_t *at = state_at(view, view->window_offsets[i]);
        uint64_t step = window->bytes(constraint);
        for (uint64_t k = state_window_count(view, i, window); k > 0; k--, at += step) {
            window->init(at, constraint);
        }
    }
}

sentinel_status sentinel_state_make(sentinel_view *view, const sentinel_bundle *bundle,
                                    void *layout, uint64_t layout_size, void *state,
                                    uint64_t state_size, const sentinel_view *old) {
    if (view == NULL || bundle == NULL) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    state_plan plan = state_plan_of(bundle);
    if (plan.size > state_size) {
        return SENTINEL_POLICY_ARENA;
    }
    SENTINEL_TRY(state_lay_out(view, &plan, bundle, layout, layout_size, state));
    memset(state, 0, plan.size);
    sentinel_state *made = view->state;
    memcpy(made->magic, "SENTSTAT", 8);
    made->version = SENTINEL_STATE_VERSION;
    made->size_bytes = plan.size;
    made->nodes = plan.nodes;
    made->instruments = plan.instruments;
    made->positions = plan.positions;
    made->agents = plan.agents;
    made->instrument_marks = plan.instrument_marks;
    made->asset_marks = plan.asset_marks;
    made->book = plan.book;
    made->windows = plan.windows;
    made->node_count = bundle->node_count;
    made->agent_count = plan.agent_count;
    made->instrument_count = bundle->instrument_count;
    made->asset_count = bundle->asset_count;
    made->book_entries = bundle->policy->book_entries;
    memcpy(made->policy_hash32, bundle->hash32, 32);
    name_rows(view);
    init_windows(view);
    return old != NULL ? state_carry(view, old) : SENTINEL_OK;
}

sentinel_stop_state *sentinel_view_node(const sentinel_view *view, uint32_t node) {
    sentinel_stop_state *nodes = state_at(view, view->state->nodes);
    return node < view->bundle.node_count ? &nodes[node] : NULL;
}

sentinel_stop_state *sentinel_view_venue(const sentinel_view *view, uint16_t venue) {
    return venue != SENTINEL_VENUE_NONE && venue < SENTINEL_VENUE_COUNT
               ? &view->state->venues[venue]
               : NULL;
}

sentinel_stop_state *sentinel_view_instrument(const sentinel_view *view,
                                              const sentinel_instrument *instrument) {
    sentinel_stop_state *stops = state_at(view, view->state->instruments);
    return &stops[instrument - view->bundle.instruments];
}

sentinel_stop_state *sentinel_view_place(const sentinel_view *view, uint16_t scope,
                                         uint32_t target) {
    const sentinel_instrument *instrument;
    if (target == 0) {
        return NULL;
    }
    switch (scope) {
    case SENTINEL_SCOPE_NODE:
        return sentinel_view_node(view, sentinel_bundle_node(&view->bundle, target));
    case SENTINEL_SCOPE_VENUE: /* its number has 16 bits, the target 32 */
        return target < SENTINEL_VENUE_COUNT ? sentinel_view_venue(view, (uint16_t)target) : NULL;
    case SENTINEL_SCOPE_INSTRUMENT:
        instrument = sentinel_bundle_instrument(&view->bundle, target);
        return instrument != NULL ? sentinel_view_instrument(view, instrument) : NULL;
    default:
        return NULL;
    }
}

sentinel_position_state *sentinel_view_position(const sentinel_view *view,
                                                const sentinel_instrument *instrument) {
    sentinel_position_state *positions = state_at(view, view->state->positions);
    return &positions[instrument - view->bundle.instruments];
}

sentinel_agent_state *sentinel_view_agent(const sentinel_view *view, uint32_t node) {
    if (node >= view->bundle.node_count || view->bundle.nodes[node].kind != SENTINEL_NODE_AGENT) {
        return NULL;
    }
    sentinel_agent_state *agents = state_at(view, view->state->agents);
    return &agents[view->agent_ordinals[node]];
}

sentinel_book_entry *sentinel_view_book(const sentinel_view *view, uint32_t node,
                                        uint64_t action_id) {
    return sentinel_view_agent(view, node) != NULL ? state_book(view, node, action_id) : NULL;
}

/* Where a mark is kept; null when the bundle has no such row. */
static sentinel_mark_state *mark_place(const sentinel_view *view, const sentinel_mark *mark) {
    const sentinel_bundle *bundle = &view->bundle;
    uint64_t offset;
    ptrdiff_t index;
    if (mark->kind == SENTINEL_MARK_INSTRUMENT) {
        const sentinel_instrument *row = state_instrument(view, mark->id);
        offset = view->state->instrument_marks;
        index = row != NULL ? row - bundle->instruments : -1;
    } else {
        const sentinel_asset *row = sentinel_bundle_asset(bundle, mark->id);
        offset = view->state->asset_marks;
        index = row != NULL && mark->kind == SENTINEL_MARK_ASSET ? row - bundle->assets : -1;
    }
    sentinel_mark_state *marks = state_at(view, offset);
    return index >= 0 ? &marks[index] : NULL;
}

void sentinel_policy_feed(const sentinel_view *view, const uint8_t *payload, size_t size) {
    sentinel_feed feed;
    if (size < sizeof feed) {
        return;
    }
    memcpy(&feed, payload, sizeof feed);
    size_t left = (size - sizeof feed) / sizeof(sentinel_mark);
    for (size_t i = 0; i < feed.count && i < left; i++) {
        sentinel_mark mark;
        memcpy(&mark, payload + sizeof feed + i * sizeof mark, sizeof mark);
        sentinel_mark_state *place = mark_place(view, &mark);
        if (place == NULL || mark.price.mantissa <= 0 || mark.price.scale > SENTINEL_SCALE_MAX ||
            (place->kind != 0 && mark.time_ns < place->time_ns)) {
            continue;
        }
        sentinel_decimal price = math_normal(mark.price);
        *place = (sentinel_mark_state){
            .id = mark.id,
            .kind = (uint8_t)mark.kind,
            .scale = price.scale,
            .mantissa = price.mantissa,
            .time_ns = mark.time_ns,
        };
    }
}

static uint32_t is_stopped(const sentinel_stop_state *stop) {
    return stop->mode != SENTINEL_RUNNING;
}

uint32_t state_stopped(const sentinel_view *view) {
    const sentinel_stop_state *nodes = state_at(view, view->state->nodes);
    const sentinel_stop_state *instruments = state_at(view, view->state->instruments);
    uint32_t count = 0;
    for (uint32_t i = 0; i < view->bundle.node_count; i++) {
        count += is_stopped(&nodes[i]);
    }
    for (uint32_t i = 0; i < view->bundle.instrument_count; i++) {
        count += is_stopped(&instruments[i]);
    }
    for (uint32_t i = 0; i < SENTINEL_VENUES_MAX; i++) {
        count += is_stopped(&view->state->venues[i]);
    }
    return count;
}

void sentinel_stop_set(const sentinel_view *view, sentinel_stop_state *place,
                       const sentinel_stop_state *stop) {
    if (place == NULL) {
        return;
    }
    uint32_t id = place->id;
    view->state->stopped += is_stopped(stop) - is_stopped(place);
    *place = (sentinel_stop_state){0};
    if (stop->mode != SENTINEL_RUNNING) {
        *place = *stop;
    }
    place->id = id;
}

uint8_t sentinel_stop_mode(const sentinel_stop_state *stop, int64_t now_ns) {
    int is_over =
        stop->mode == SENTINEL_DRAINING && stop->until_ns != 0 && now_ns >= stop->until_ns;
    return is_over ? SENTINEL_HALTED : stop->mode;
}

/* From when on it counts as a halt; INT64_MAX: never. */
static int64_t halts_from(const sentinel_stop_state *stop, int64_t now_ns) {
    uint8_t mode = sentinel_stop_mode(stop, now_ns);
    int never = mode == SENTINEL_RUNNING || (mode == SENTINEL_DRAINING && stop->until_ns == 0);
    return mode == SENTINEL_HALTED ? now_ns : never ? INT64_MAX : stop->until_ns;
}

int sentinel_stop_loosens(const sentinel_stop_state *before, const sentinel_stop_state *after,
                          int64_t now_ns) {
    return sentinel_stop_mode(after, now_ns) < sentinel_stop_mode(before, now_ns) ||
           halts_from(after, now_ns) > halts_from(before, now_ns);
}
