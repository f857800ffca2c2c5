/* seen.c - the ledger of other systems: which of their items have been taken or given, by id, so that nothing is carried twice. */
#include <errno.h>

#include "db.h"

int catalog_seen(struct catalog *c, const char *target, const char *id)
{
	int64_t there;
	int r;

	READ(db, c);
	r = ONE(db, &there, "SELECT EXISTS(SELECT 1 FROM seen WHERE target = ?1 AND id = ?2)",
		T(target), T(id));
	return r < 0 ? r : (int)there;
}

struct add {
	const char *target;
	const char *const *id;
	size_t n;
};

static int add_tx(struct db *db, void *arg)
{
	struct add *a = arg;
	int r = 0;

	for (size_t i = 0; i < a->n && r == 0; i++)
		r = RUN(db, "INSERT OR IGNORE INTO seen(target, id, at_us) VALUES(?1, ?2, ?3)",
			T(a->target), T(a->id[i]), I(now_us()));
	return r;
}

int catalog_seen_add(struct catalog *c, const char *target, const char *const *id, size_t n)
{
	struct add a = {target, id, n};

	return db_write(c, add_tx, &a, false);
}
