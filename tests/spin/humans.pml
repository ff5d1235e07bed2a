/* Who commands the engine, and what it may sign: stops, the operators' lease,
 * approvals, kills between record, effect and answer (docs/model.md).
 *
 * The engine is one process. What lasts is the log, so `kept` is what its
 * records say; `mem` is what the running engine knows, and goes with it. Each
 * person's frame waits in a slot (the spool), until its answer is written.
 * `seen_` is what somebody outside would swear to; the assertions use that and
 * not what the engine believes.
 *
 * -DBUG=n plants a mistake that the verifier must find. -DKILLS=n ends the
 * engine n times at most. With -DCALM=1 `calm` comes at some time and stays:
 * from then on nobody stops, rejects or takes back, no time runs out, and people want one
 * order signed. */

#ifndef BUG
#define BUG 0
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef CALM
#define CALM 0
#endif

mtype = { halt, drain, resume_one, resume_same, resume_two, renew }; /* operators */
mtype = { approve_1, approve_2, approve_3, reject };
mtype = { big, big_new, small, lowers, withdraw }; /* the agent: orders, and a request back */
mtype = { running, draining, halted };
mtype = { none, live, rejected, expired }; /* the row of the request */
mtype = { allowed, pending, denied, ok, refused };

typedef Known {
    mtype mode;
    bit lease;   /* its end has not come */
    mtype row;
    byte by;     /* who approved, one bit each */
    bit number;  /* of the request: an answer names it */
    bit used;    /* the action id was signed */
    bit took     /* the frame in the slot became a record */
}
Known kept, mem;

mtype slot;     /* the spool: one frame of a person's */
bit by_number;  /* the request that it names */
mtype ask_slot; /* what the agent asks */
byte kills;
bit calm;

bit seen_halted;   /* a halt was answered, and no two people resumed */
bit seen_draining; /* the same for a drain */
bit seen_lease;    /* an operator gave one, and it is not over */
byte seen_by;      /* who sent an approval of this request */
byte seen_told;    /* who was told that it counts */
bit seen_dead;     /* this request was rejected, taken back, or is too late */
bit seen_signed;   /* the signature of this action id is out */
bit came_through;  /* an order was signed after the calm */

#define is_command(f) (f == halt || f == drain || f == resume_one || f == resume_same || \
                       f == resume_two || f == renew)
#define several(by) ((by) == 3 || (by) >= 5)
#define needs_people(order) (order == big || order == big_new)
#define bit_of(who) (who == approve_1 -> 1 : (who == approve_2 -> 2 : 4))
#define signers(f) (f == resume_two -> 2 : (f == resume_same && BUG == 2 -> 2 : 1))

inline restart() {
    d_step {
        mem.mode = (BUG == 4 -> running : kept.mode);
        mem.lease = (BUG == 6 -> 1 : kept.lease);
        mem.row = kept.row; mem.by = kept.by; mem.number = kept.number; mem.used = kept.used;
        mem.took = kept.took
    };
    /* What was answered outlives the engine. */
    assert(!seen_halted || mem.mode == halted);
    assert(!seen_draining || mem.mode != running);
    assert(mem.row != live || (seen_told & ~mem.by & 7) == 0);
    assert(!seen_dead || mem.row != live)
}

inline effect() {
    d_step {
        mem.mode = kept.mode; mem.lease = kept.lease; mem.row = kept.row; mem.by = kept.by;
        mem.number = kept.number; mem.used = kept.used;
        mem.took = kept.took
    }
}

/* The engine may be killed here. The agent lives in it and asks no more. */
inline DIES() {
    if
    :: kills < KILLS && !calm -> atomic {
        kills++; ask_slot = 0; answer = 0; slot = (BUG == 20 -> 0 : slot);
        kept.took = (BUG == 20 -> 0 : kept.took);
        printf("@ restart\n"); restart() }; goto again
    :: true
    fi
}

inline take_op() {
    if
    :: mem.took && BUG != 15 -> answer = ok /* a record before the restart */
    :: else -> atomic {
        answer = refused;
        if
        :: slot == halt -> answer = ok; kept.mode = (BUG == 5 -> mem.mode : halted)
        :: slot == drain && (mem.mode != halted || BUG == 3) -> answer = ok; kept.mode = draining
        :: slot == renew -> answer = ok; kept.lease = 1; seen_lease = 1
        :: (slot == resume_one || slot == resume_same || slot == resume_two) &&
           (signers(slot) >= 2 || BUG == 1) ->
            answer = ok; kept.mode = running;
            assert(slot == resume_two); /* never by one */
            seen_halted = 0; seen_draining = 0
        :: else
        fi;
        assert(answer == refused || !kept.took); /* one frame, one record */
        kept.took = (answer == ok);
        printf("@ op %e %e\n", slot, answer) };
        DIES();
        if
        :: BUG == 16 && slot == halt -> kept.mode = halted /* no effect before a restart */
        :: else -> effect()
        fi
    fi;
    DIES();
    atomic {
        seen_halted = (slot == halt -> 1 : seen_halted);
        seen_draining = (slot == drain && answer == ok -> 1 : seen_draining);
        slot = 0; kept.took = 0; mem.took = 0; answer = 0 }
}

inline take_by() {
    if
    :: mem.took -> answer = ok
    :: else -> atomic {
        answer = refused;
        if
        :: mem.row != live || (by_number != mem.number && BUG != 7)
        :: else ->
            if
            :: slot == reject -> answer = ok; kept.row = (BUG == 17 -> live : rejected);
                seen_dead = (by_number == kept.number -> 1 : seen_dead)
            :: slot != reject && !several(mem.by) &&
               ((mem.by & bit_of(slot)) == 0 || BUG == 8) ->
                answer = ok;
                kept.by = ((mem.by & bit_of(slot)) == 0 -> mem.by | bit_of(slot) : 7)
            :: else
            fi
        fi;
        kept.took = (answer == ok);
        printf("@ by %e %d %e\n", slot, by_number == mem.number, answer) };
        DIES();
        effect()
    fi;
    DIES();
    atomic {
        seen_told = (answer == ok && slot != reject && by_number == mem.number ->
                     seen_told | bit_of(slot) : seen_told);
        slot = 0; by_number = 0; kept.took = 0; mem.took = 0; answer = 0 }
}

inline judge() {
    answer = allowed;
    if
    :: mem.mode == halted || (mem.mode == draining && ask_slot != lowers && BUG != 9) ||
       (!mem.lease && BUG != 10) -> answer = denied
    :: else ->
        if
        :: ask_slot == small || ask_slot == lowers
        :: else ->
            if
            :: mem.used && BUG != 11 -> answer = denied /* duplicate */
            :: else ->
                if
                :: mem.row == rejected || (mem.row == expired && BUG != 12) -> answer = denied
                :: mem.row == none -> answer = pending
                :: else -> answer = (several(mem.by) || (BUG == 13 && mem.by) -> allowed : pending)
                fi
            fi
        fi
    fi
}

inline decide() {
    if
    :: ask_slot == big_new -> /* the next action id; a row that is over makes room */
        kept.row = none; kept.by = 0; kept.used = 0;
        mem.row = none; mem.by = 0; mem.used = 0;
        seen_signed = 0; seen_told = 0; seen_by = 0
    :: else
    fi;
    judge();
    if
    :: answer == allowed ->
        assert(slot != halt); /* its word is set before the spool is looked at */
        assert(!seen_halted);
        assert(!seen_draining || ask_slot == lowers);
        assert(seen_lease);
        if
        :: needs_people(ask_slot) ->
            assert(several(seen_by));
            assert(!seen_dead);
            if
            :: BUG != 14 -> kept.row = none; kept.by = 0; kept.used = 1
            :: else
            fi
        :: else
        fi
    :: answer == pending && (mem.row == none || BUG == 21) ->
        kept.row = live; kept.by = 0; kept.number = 1 - kept.number;
        seen_by = 0; seen_told = 0; seen_dead = 0
    :: else
    fi;
    printf("@ ask %e %e\n", ask_slot, answer)
}

inline release() {
    DIES();
    effect();
    DIES();
    atomic {
        if
        :: answer == allowed && needs_people(ask_slot) ->
            assert(!seen_signed); /* once */
            seen_signed = 1; came_through = calm; seen_by = 0; seen_told = 0;
            kept.row = (BUG == 14 -> live : kept.row) /* its record comes too late */
        :: else
        fi;
        ask_slot = 0; answer = 0 };
    if
    :: BUG == 14 -> DIES()
    :: else
    fi
}

inline take_back() {
    answer = refused;
    if
    :: mem.row == live -> answer = ok; seen_dead = 1;
        kept.row = (BUG == 18 -> live : none); kept.by = (BUG == 18 -> mem.by : 0)
    :: else
    fi;
    printf("@ ask withdraw %e\n", answer)
}

active proctype Engine() {
    mtype answer = 0;
    atomic { kept.mode = running; kept.row = none; effect() };
again:
    do
    :: is_command(slot) -> take_op()
    :: slot != 0 && !is_command(slot) -> take_by()
    /* Nothing is judged while a frame waits. */
    :: atomic { (slot == 0 || BUG == 19) && ask_slot == withdraw -> take_back() }; release()
    :: atomic { (slot == 0 || BUG == 19) && ask_slot != 0 && ask_slot != withdraw -> decide() };
        release()
    od
}

active proctype Operators() {
    do
    :: atomic { !slot && !calm -> slot = halt }
    :: atomic { !slot && !calm -> slot = drain }
    :: atomic { !slot && !calm -> slot = resume_one }
    :: atomic { !slot && !calm -> slot = resume_same }
    :: atomic { !slot && (!calm || kept.mode != running) -> slot = resume_two }
    :: atomic { !slot && (!calm || !kept.lease) -> slot = renew }
    od
}

inline approves(who) {
    slot = who; by_number = kept.number; seen_by = seen_by | bit_of(who)
}

#define wanted(b) (!slot && kept.row == live && \
                   (!calm || ((kept.by & b) == 0 && !several(kept.by))))

active proctype Approvers() {
    do
    :: atomic { wanted(1) -> approves(approve_1) }
    :: atomic { wanted(2) -> approves(approve_2) }
    :: atomic { wanted(4) -> approves(approve_3) }
    :: atomic { !slot && !calm -> slot = reject; by_number = kept.number }
    /* an answer to the request before this one */
    :: atomic { !slot && !calm -> slot = approve_1; by_number = 1 - kept.number }
    :: atomic { !slot && !calm -> slot = approve_2; by_number = 1 - kept.number }
    od
}

#define over (kept.used || kept.row == rejected || kept.row == expired)

active proctype Agent() {
    do
    :: atomic { !ask_slot && (!calm || !over) -> ask_slot = big }
    :: atomic { !ask_slot && over -> ask_slot = big_new }
    :: atomic { !ask_slot && !calm -> ask_slot = small }
    :: atomic { !ask_slot && !calm -> ask_slot = lowers }
    :: atomic { !ask_slot && !calm -> ask_slot = withdraw }
    od
}

active proctype Time() {
    do
    :: d_step { !calm && seen_lease -> kept.lease = 0; mem.lease = 0; seen_lease = 0;
        printf("@ time lease\n") }
    :: d_step { !calm && kept.row == live -> kept.row = expired; seen_dead = 1;
        mem.row = (mem.row == live -> expired : mem.row); printf("@ time request\n") }
#ifdef TRACE /* Calm comes and goes, so that a printed trace gets somewhere. */
    :: d_step { calm = 1 - calm }
    :: skip
    :: skip
    :: skip
    :: skip
    :: skip
    :: skip
    :: skip
    :: skip
    :: skip
    :: skip
    :: skip
    :: skip
    :: skip
    :: skip
    :: skip
    :: skip
#endif
#if CALM
    :: d_step { !calm -> calm = 1 }
#endif
    od
}

#define asked_to_halt (slot == halt)
#define is_halted (mem.mode == halted && kept.mode == halted)

/* Under weak fairness. */
ltl halts { [] (asked_to_halt -> <> is_halted) }
ltl comes_through { [] (calm -> <> came_through) }
