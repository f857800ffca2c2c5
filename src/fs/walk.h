/* walk.h - who walks through directories of pictures and looks at none of them.
 *
 * Attributes beside the names of a listing save who asks for them a request per picture, but cost the kernel an inode and a name
 * in its memory each, which is most of what a listing costs.  Who only wants names (find -type f, os.walk) never tells so.  So the
 * first entry of every listing comes without attributes: who lists a directory and then another one without having asked for
 * anything in the first is given names alone in the second; until something is asked for.
 *
 * Threads are told apart, not processes; what is forgotten or mistaken costs time only. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { WALKERS = 64 };
struct walks {
	pthread_mutex_t lock;
	struct walker {
		pid_t pid;
		uint64_t dir; /* that it listed last; 0: something there was asked for since */
	} walker[WALKERS];    /* lock; by pid, who comes later takes the place */
};

void walks_init(struct walks *w);
void walks_done(struct walks *w);
/* Does it want names alone, of this directory?  pid 0 is somebody of another namespace: not known. */
bool walk_goes_on(struct walks *w, pid_t pid, uint64_t dir);
void walk_listed(struct walks *w, pid_t pid, uint64_t dir);
void walk_asked(struct walks *w, uint64_t dir); /* somebody, for a name in it */
