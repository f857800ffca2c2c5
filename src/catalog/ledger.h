/* ledger.h - what the files about stores share: one row per object that a store showed or took.
 *
 * A row is a replica (a picture of `snapshot`, OBJECT_OK), a sidecar (of the picture's snapshot, NULL while that is not known), a
 * rejected object (no snapshot, `error`), or a lost one: a picture that a fetch found missing or other than recorded, which the
 * next scan restores or removes.  The counters of a snapshot know replicas only. */
#pragma once

#include "db.h"

enum object_outcome {
	OBJECT_OK,
	OBJECT_REJECTED,
	OBJECT_WANTED /* sidecar to be read */,
	OBJECT_LOST
};
#define ETAG_MAX 159 /* bytes kept of one, as in struct place */

/* `seen` of what we put: no scan has shown it yet, and that of this number need not. */
#define SEEN_NEVER(gen) (-(gen)-1)

struct object {
	int64_t store, snapshot, modified_us;
	int64_t seen;    /* by the scan of that number; negative: SEEN_NEVER */
	const char *key; /* borrowed */
	bool there;      /* object_get: the row exists */
	bool sidecar;
	enum object_outcome outcome;
	uint64_t size;
	char etag[ETAG_MAX + 1], error[256];
};
void etag_copy(const char *etag, char out[ETAG_MAX + 1]); /* NULL: "" */
/* What is known of an object; `there` false: nothing. */
int object_get(struct db *db, int64_t store, const char *key, struct object *ret) MUST_CHECK;
/* Writes the row as given and settles the snapshots that gain or lose a replica by it. */
int object_put(struct db *db, const struct object *o) MUST_CHECK;
int object_remove(struct db *db, const struct object *o) MUST_CHECK;
/* Recounts; one without replica and queued upload leaves the views. */
int snapshot_settle(struct db *db, int64_t id) MUST_CHECK;
/* -ESTALE: not the scan under way. */
int scan_check(struct db *db, int64_t store, int64_t gen) MUST_CHECK;
