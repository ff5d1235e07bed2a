/* Orders for histories that are replayed: such as follow from others. */
#ifndef REPLAY_SCENE_H
#define REPLAY_SCENE_H

#include "gate_scene.h"

static inline void scene_as(gate_scene *s, uint32_t agent) {
    s->session.agent = agent;
    s->session.generation = 0;
}

/* Of one agent or the other, and mostly after something that one of them signed. */
static inline void follow_perhaps(gate_scene *s, sentinel_order *order,
                                  uint64_t (*draw)(uint64_t)) {
    static const uint32_t agents[] = {AGENT_A, AGENT_B, AGENT_B + 1, FIRM_ID};
    if (draw(3) == 0) {
        scene_as(s, agents[draw(2)]);
    }
    order->header.agent = draw(9) != 0 ? s->session.agent : AGENT_A;
    if (draw(3) != 0) {
        order->header.present |= SENTINEL_PRESENT_PARENT;
        order->header.parent_agent = agents[draw(9) != 0 ? draw(2) : draw(4)];
        order->header.parent_action_id = s->id > 3 ? s->id - draw(4) : draw(4);
    }
}

/* Two agents that answer each other, for longer than a lineage may be. */
static inline void talk(gate_scene *s) {
    uint64_t parent_id = 0;
    for (unsigned i = 0; i < SENTINEL_LINEAGE_MAX + 3; i++) {
        sentinel_order order = scene_order(s, SENTINEL_ACTION_MESSAGE);
        order.message.text_size = 1;
        order.message.text[0] = 'x';
        order.header.agent = i % 2 != 0 ? AGENT_B : AGENT_A;
        if (parent_id != 0) {
            order.header.present |= SENTINEL_PRESENT_PARENT;
            order.header.parent_agent = i % 2 != 0 ? AGENT_A : AGENT_B;
            order.header.parent_action_id = parent_id;
        }
        scene_as(s, order.header.agent);
        scene_sign(s, &order);
        parent_id = order.header.action_id;
    }
}

/* An amend of an action that there may be. */
static inline sentinel_order some_amend(gate_scene *s, uint64_t action_id) {
    sentinel_order order = scene_order(s, SENTINEL_ACTION_AMEND);
    order.header.present = SENTINEL_PRESENT_QUANTITY | SENTINEL_PRESENT_PRICE;
    order.amend.target.by = SENTINEL_TARGET_ACTION;
    order.amend.target.action_id = action_id;
    order.amend.type = SENTINEL_TYPE_LIMIT;
    order.amend.time_in_force = SENTINEL_TIF_GTC;
    order.amend.quantity = decimal(1, 3);
    order.amend.price = decimal(4900000, 2);
    return order;
}

#endif
