/* worker.h - the process that serves a mount, the one that keeps it, and what both do first. */
#pragma once

#include "cli.h"

/* Core dumps and debuggers would show keys and passwords. */
void hide_memory(void);
/* Standard input and output go to /dev/null, the log to the system's. */
void leave_terminal(bool verbose);
void sd_notify(const char *text); /* to systemd, if it listens */

/* The hidden verb that a supervisor runs. */
int cmd_serve(const struct args *args, struct io *io);

/* ---- confine.c ---- */
/* This thread, and those made later.  `why`: by what, or why not. */
bool confine(const struct config *conf, char why[CONFINED_TEXT]);

/* ---- supervisor.c ---- */
struct supervised {
	const char *mountpoint, *options, *config; /* config: NULL: none was named */
	bool stay, verbose;
	int told_fd;   /* who waits for the mount; -1: nobody.  Taken over */
	int lock_fd;   /* of the state; borrowed */
	struct io *io; /* this terminal */
};
int supervise(const struct supervised *what); /* an exit status */
