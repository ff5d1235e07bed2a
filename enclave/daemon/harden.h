/* What the process gives up once it has what it needs. Each says on stderr what
 * the system refused. docs/service.md lists it all. */
#ifndef HARDEN_H
#define HARDEN_H

/* First of all: no core dumps, nobody may trace or read this process, files are
 * its own alone, writing to nobody is no signal. Returns: 0 or -1. */
int harden_begin(void);

/* Memory stays out of swap, where the limit on locked memory allows it. */
void harden_memory(void);

/* Descriptors for so many connections. */
void harden_descriptors(unsigned count);

/* No capabilities and no new rights, of this thread and those that it makes.
 * Returns: 0 or -1. */
int harden_rights(void);

/* Last of all: only the system calls that serving needs, in all threads, which
 * must run by then. Returns: 0 or -1. */
int harden_calls(void);

#endif
