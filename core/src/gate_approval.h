/* Requests for approval, for the gate's other sources. */
#ifndef SENTINEL_GATE_APPROVAL_H
#define SENTINEL_GATE_APPROVAL_H

#include "gate_internal.h"

/* APPROVE and REJECT; `commit` 0 only checks. */
SENTINEL_MUST_USE sentinel_status gate_take_approval(sentinel_context *context,
                                                     const sentinel_frame *frame, const void *bytes,
                                                     size_t size, int64_t now_ns, uint32_t flags,
                                                     int commit);

/* The request of an order's id. Another order under the id of
 * a live one is refused; the id of this one's own does not grow too old. */
void gate_approval_find(const sentinel_context *context, gate_case *c, sentinel_decision *decision);
int gate_approval_keeps_id(const gate_case *c);

/* Behind policy: whether the order waits, or was answered. */
void gate_approval_judge(const sentinel_context *context, gate_case *c,
                         sentinel_decision *decision);

/* Behind its record: the request is there. Then what there is to say of it. */
void gate_approval_open(const sentinel_context *context, const sentinel_outcome *outcome,
                        gate_case *c);
void gate_approval_tell(const sentinel_context *context, sentinel_outcome *outcome,
                        const gate_case *c);

/* The id is used: nothing waits under it. */
void gate_approval_close(sentinel_state *state, uint32_t agent, uint64_t action_id);

/* A new authority: what those gave whose keys it lacks or changes is taken
 * back. The context still has the one before. */
void gate_approvals_follow(sentinel_context *context, const uint8_t *authority);

/* A WITHDRAWN record made again. */
SENTINEL_MUST_USE sentinel_status gate_replay_withdrawn(sentinel_context *context,
                                                        const sentinel_record *record);

#endif
