/* letter.h - what a supervisor and its worker say to each other, over a pair of sockets.
 *
 *   worker: HELLO   the config is right, may I have the state?      supervisor: GO      you are the turn-th, after so many restarts
 *   worker: ROOMS   every room is open, where is the mount?         supervisor: MOUNT   the connection; how the kernel began, if it has
 *   worker: READY   I serve it; so the kernel began                 worker:     FAILED  why I end
 *
 * After an upgrade the two are of different versions: what is here changes with LETTER_VERSION only. */
#pragma once

#include "shutterfs/base.h"

enum { LETTER_VERSION = 1, LETTER_DATA = 4096, CHANNEL_FD = 3, LOCK_FD = 4 };
enum letter_kind {
	LETTER_HELLO = 1,
	LETTER_GO,
	LETTER_ROOMS,
	LETTER_MOUNT,
	LETTER_READY,
	LETTER_FAILED
};

struct letter {
	uint32_t version, kind;
	uint32_t turn, restarts;
	uint32_t resends; /* READY: the kernel can ask again */
	uint32_t len;
	char data[LETTER_DATA]; /* MOUNT, READY: INIT; FAILED: lines */
	int fd, table;          /* MOUNT: descriptors; not part of the bytes */
};

int letter_send(int channel, const struct letter *l) MUST_CHECK;
/* -EPIPE: the other one is gone; -EPROTO: it speaks otherwise.  Descriptors are the caller's, -1: none. */
int letter_recv(int channel, struct letter *ret) MUST_CHECK;
