/* labels.c - who owns what in labels and sidecars, and the words for their states. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shutterfs/model.h"

enum { LABELS_MAX = 10000 };

const char *const time_source_name[TIME_SOURCES] = {
	[TIME_SOURCE] = "source", [TIME_EXIF] = "exif",       [TIME_NAME] = "name",
	[TIME_MTIME] = "mtime",   [TIME_ARRIVAL] = "arrival",
};
const char *const snap_state_name[SNAP_STATES] = {
	[STATE_LOCAL] = "local",
	[STATE_QUEUED] = "queued",
	[STATE_SYNCED] = "synced",
	[STATE_REMOTE] = "remote",
};

void label_done(struct label *l)
{
	free(l->kind);
	free(l->value);
	free(l->by);
	*l = (struct label){0};
}

void labels_done(struct labels *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		label_done(&l->item[i]);
	free(l->item);
	*l = (struct labels){0};
}

int labels_add(struct labels *l, const struct label *item)
{
	CLEANUP(label_done) struct label copy = *item;
	struct label *grown;

	copy.kind = copy.value = copy.by = NULL;
	if (!item->kind || !item->value)
		return -EINVAL;
	if (l->n >= LABELS_MAX)
		return -E2BIG;
	copy.kind = strdup(item->kind);
	copy.value = strdup(item->value);
	copy.by = item->by ? strdup(item->by) : NULL;
	if (!copy.kind || !copy.value || (item->by && !copy.by))
		return -ENOMEM;
	if ((l->n & (l->n - 1)) ==
	    0) { /* 0 or a power of two: full, since only this makes it grow */
		grown = reallocarray(l->item, l->n ? 2 * l->n : 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		l->item = grown;
	}
	l->item[l->n++] = copy;
	l->looked = true;
	copy = (struct label){0};
	return 0;
}

int labels_add_tag(struct labels *l, const char *tag)
{
	CLEANUP(freep) char *copy = strdup(tag);
	char plain[] = "label";
	struct label item = {.kind = plain, .value = copy, .score = NAN};
	char *slash;

	if (!copy)
		return -ENOMEM;
	slash = strchr(copy, '/');
	if (slash && slash > copy && slash[1]) {
		*slash = '\0';
		item.kind = copy;
		item.value = slash + 1;
	}
	return item.value[0] ? labels_add(l, &item) : -EINVAL;
}

void sidecar_done(struct sidecar *s)
{
	size_t i;

	for (i = 0; i < s->n_replicas; i++) {
		free(s->replica[i].store);
		free(s->replica[i].key);
		free(s->replica[i].etag);
	}
	free(s->replica);
	labels_done(&s->labels);
	free(s->img_id);
	free(s->camera);
	free(s->group);
	free(s->mime);
	free(s->comment);
	free(s->documents);
	free(s->event);
	free(s->origin);
	free(s->extra);
	free(s->unknown);
	free(s->history);
	*s = (struct sidecar){0};
}
