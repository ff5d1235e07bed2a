/* An enclave's clock beside the security module's: set at the start, then compared
 * and recorded. */
#ifndef SENTINEL_MODULE_CLOCK_H
#define SENTINEL_MODULE_CLOCK_H

#include "clock.h"
#include "enclave.h"

/* Sets the machine's clock by the module's where they are more than CLOCK_OFF_NS
 * apart. Returns: OK; ENCLAVE_MODULE; IO_OPEN (it cannot be set). */
SENTINEL_MUST_USE sentinel_status module_clock_set(enclave *e, const enclave_facts *facts,
                                                   document *made);

/* Compares, and records what came of it; an engine whose clock is too far off is
 * halted. dir_fd: the engine's folder, where the document is to be kept; -1: it is not.
 * Returns: OK, also when halted; ENCLAVE_MODULE; IO_*; as append. */
SENTINEL_MUST_USE sentinel_status module_clock_compare(clock_watch *w, sentinel_engine *engine,
                                                       enclave *e, const enclave_facts *facts,
                                                       document *made, int dir_fd);

#endif
