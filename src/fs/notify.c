/* Telling the kernel what changed: one thread, fed by the catalog's writer and by fetch workers, never from inside a request.
 *
 * The queue is bounded.  When a flood (a first scan of a large bucket) overruns it, the queue is dropped and every directory of the
 * views is invalidated instead, walked from the catalog; names that were looked up in vain come back within NEGATIVE_S. */
#include "datasets.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUE_MAX = 16384, OWN_MAX = 256, RECENT = 256 };

struct own { /* what the fs itself has to tell */
	struct node node;
	char name[NAME_LIMIT + 1]; /* in the directory `node`; "": the node itself */
};

struct notifier {
	struct fs *fs;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct change *queue;    /* lock; QUEUE_MAX */
	size_t head, n;          /* lock */
	bool overrun;            /* lock */
	struct own own[OWN_MAX]; /* lock */
	size_t own_head, n_own;  /* lock */
	_Atomic bool stop, stopped;
	uint64_t recent[RECENT]; /* thread only: directories already invalidated in this batch */
};

static void inval_inode(struct notifier *n, struct node node, bool content)
{
	/* A negative offset leaves the page cache alone and drops the attributes only. */
	(void)fuse_lowlevel_notify_inval_inode(n->fs->session, node_ino(node), content ? 0 : -1, 0);
}

static void inval_dir(struct notifier *n, struct node dir)
{
	uint64_t ino = node_ino(dir), *slot = &n->recent[(ino ^ (ino >> 17)) % RECENT];

	if (*slot == ino)
		return;
	*slot = ino;
	inval_inode(n, dir, true);
}

static void inval_name(struct notifier *n, struct node dir, const char *name)
{
	(void)fuse_lowlevel_notify_inval_entry(n->fs->session, node_ino(dir), name, strlen(name));
}

static void inval_snap_names(struct notifier *n, struct node day_dir, const char *stem)
{
	static const char *const suffix[] = {"jpg", "json", "jpg.json"};
	char name[STEM_MAX + 16];

	inval_dir(n, day_dir);
	for (size_t i = 0; i < ARRAY_LEN(suffix); i++) {
		(void)snprintf(name, sizeof(name), "%s.%s", stem, suffix[i]);
		inval_name(n, day_dir, name);
	}
}

static void inval_number(struct notifier *n, struct node parent, int digits, int value)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "%0*d", digits, value);
	inval_dir(n, parent);
	inval_name(n, parent, name);
}

static void inval_day_name(struct notifier *n, struct node parent, int32_t day)
{
	char name[16];

	day_name(day, name);
	inval_dir(n, parent);
	inval_name(n, parent, name);
}

/* A snapshot came to or left cameras/ and dates/. */
static void tell_snapshot(struct notifier *n, const struct change *c)
{
	struct node camera = {.kind = NODE_CAMERA, .id = c->camera};
	int y, m, d;

	civil_from_day(c->day, &y, &m, &d);
	inval_snap_names(n, (struct node){.kind = NODE_CAMERA_DAY, .id = c->camera, .day = c->day},
			 c->stem);
	inval_snap_names(n, (struct node){.kind = NODE_DAY, .day = c->day}, c->stem);
	inval_day_name(n, camera, c->day);
	inval_name(n, camera, "latest.jpg");
	inval_number(n, (struct node){.kind = NODE_MONTH, .id = (int64_t)y * 12 + m - 1}, 2, d);
	inval_number(n, (struct node){.kind = NODE_YEAR, .id = y}, 2, m);
	inval_number(n, (struct node){.kind = NODE_DATES}, 4, y);
	inval_inode(n, (struct node){.kind = NODE_SNAP, .id = c->snapshot}, false);
}

static void tell_label(struct notifier *n, const struct change *c)
{
	if (c->label == 0) {
		inval_snap_names(n, (struct node){.kind = NODE_STARRED_DAY, .day = c->day},
				 c->stem);
		inval_day_name(n, (struct node){.kind = NODE_STARRED}, c->day);
		return;
	}
	inval_snap_names(n, (struct node){.kind = NODE_LABEL_DAY, .id = c->label, .day = c->day},
			 c->stem);
	inval_day_name(n, (struct node){.kind = NODE_LABEL, .id = c->label}, c->day);
}

static void tell_listing(struct notifier *n, const struct change *c)
{
	struct node dir = {.kind = NODE_LABELS};

	if (c->kind != 0)
		dir = (struct node){.kind = NODE_KIND, .id = c->kind};
	inval_dir(n, dir);
	inval_name(n, dir, c->name);
}

/* It appeared, or its directory did when it was frozen. */
static void tell_dataset(struct notifier *n, int64_t id)
{
	struct node dataset = {.kind = NODE_DATASET, .id = id};
	struct dataset_row row;

	inval_dir(n, (struct node){.kind = NODE_DATASETS});
	inval_dir(n, dataset);
	for (int i = 1; i < dataset_n_places; i++)
		if (dataset_places[i].parent == DATASET_TOP)
			inval_name(n, dataset, dataset_places[i].name);
	inval_inode(n, dataset_place_node(id, DATASET_QUERY_PLACE), true);
	if (catalog_dataset(n->fs->parts.catalog, id, &row) == 0)
		inval_name(n, (struct node){.kind = NODE_DATASETS}, row.name);
}

static void tell_note(struct notifier *n, int64_t id)
{
	struct note_row note;

	if (catalog_note(n->fs->parts.catalog, id, &note) == 0 &&
	    strncmp(note.key, DATASET_NOTES, strlen(DATASET_NOTES)) == 0)
		datasets_look(n->fs->parts.datasets);
}

static void tell(struct notifier *n, const struct change *c)
{
	struct camera_row camera;

	switch (c->what) {
	case CHANGE_ADDED:
	case CHANGE_GONE:
		tell_snapshot(n, c);
		break;
	case CHANGE_BYTES: /* the size first, which waits for nobody */
		inval_inode(n, (struct node){.kind = NODE_SNAP, .id = c->snapshot}, false);
		inval_inode(n, (struct node){.kind = NODE_SNAP, .id = c->snapshot}, true);
		inval_inode(n, (struct node){.kind = NODE_SIDECAR, .id = c->snapshot}, true);
		break;
	case CHANGE_ATTR:
		inval_inode(n, (struct node){.kind = NODE_SNAP, .id = c->snapshot}, false);
		inval_inode(n, (struct node){.kind = NODE_SIDECAR, .id = c->snapshot}, true);
		break;
	case CHANGE_LABEL:
		tell_label(n, c);
		break;
	case CHANGE_CAMERA:
		inval_dir(n, (struct node){.kind = NODE_CAMERAS});
		if (catalog_camera(n->fs->parts.catalog, c->camera, &camera) == 0)
			inval_name(n, (struct node){.kind = NODE_CAMERAS}, camera.name);
		break;
	case CHANGE_LABELS:
		tell_listing(n, c);
		break;
	case CHANGE_NOTE:
		tell_note(n, c->snapshot);
		break;
	case CHANGE_DATASET:
		tell_dataset(n, c->snapshot);
		break;
	case CHANGE_QUERY:
		inval_dir(n, (struct node){.kind = NODE_QUERIES});
		inval_name(n, (struct node){.kind = NODE_QUERIES}, c->name);
		inval_inode(n, (struct node){.kind = NODE_QUERY, .id = c->snapshot}, false);
		inval_inode(n,
			    (struct node){.kind = NODE_QUERY_FILE,
					  .id = c->snapshot * QUERY_FILES + QUERY_FILE_TEXT},
			    true);
		break;
	case CHANGE_UPLOAD:
		inval_inode(n, (struct node){.kind = NODE_UPLOAD, .id = c->snapshot}, false);
		break;
	}
}

/* After an overrun: every directory that can have a cached listing, without remembering any. */
static void tell_days(struct notifier *n, struct node parent, enum node_kind kind, struct view v)
{
	int32_t day = INT32_MIN;

	inval_inode(n, parent, true);
	while (!n->stop && catalog_next_day(n->fs->parts.catalog, v, day, &day) == 0)
		inval_inode(n, (struct node){.kind = kind, .id = parent.id, .day = day}, true);
}

static void tell_everything(struct notifier *n)
{
	struct catalog *cat = n->fs->parts.catalog;
	struct camera_row camera = {0};
	struct label_row kind = {0};
	int32_t day = INT32_MIN;
	int y, m, d;

	inval_inode(n, (struct node){.kind = NODE_ROOT}, true);
	if (!n->fs->parts.upload) /* a changed config says so; else who is in there stays */
		inval_name(n, (struct node){.kind = NODE_ROOT}, "upload");
	inval_inode(n, (struct node){.kind = NODE_CAMERAS}, true);
	while (!n->stop && catalog_camera_next(cat, camera.name, false, &camera) == 0)
		tell_days(n, (struct node){.kind = NODE_CAMERA, .id = camera.id}, NODE_CAMERA_DAY,
			  (struct view){VIEW_CAMERA, camera.id});
	inval_inode(n, (struct node){.kind = NODE_QUERIES}, true);
	inval_inode(n, (struct node){.kind = NODE_LABELS}, true);
	while (!n->stop && catalog_kind_next(cat, kind.name, &kind) == 0) {
		struct label_row label = {0};

		inval_inode(n, (struct node){.kind = NODE_KIND, .id = kind.id}, true);
		while (!n->stop && catalog_label_next(cat, kind.id, label.name, &label) == 0)
			tell_days(n, (struct node){.kind = NODE_LABEL, .id = label.id},
				  NODE_LABEL_DAY, (struct view){VIEW_LABEL, label.id});
	}
	tell_days(n, (struct node){.kind = NODE_STARRED}, NODE_STARRED_DAY,
		  (struct view){VIEW_STARRED, 0});
	inval_inode(n, (struct node){.kind = NODE_DATES}, true);
	while (!n->stop && catalog_next_day(cat, (struct view){VIEW_ALL, 0}, day, &day) == 0) {
		civil_from_day(day, &y, &m, &d);
		inval_dir(n, (struct node){.kind = NODE_YEAR, .id = y});
		inval_dir(n, (struct node){.kind = NODE_MONTH, .id = (int64_t)y * 12 + m - 1});
		inval_inode(n, (struct node){.kind = NODE_DAY, .day = day}, true);
	}
}

static void *notify_main(void *arg)
{
	struct notifier *n = arg;

	(void)pthread_setname_np(pthread_self(), "notify");
	pthread_mutex_lock(&n->lock);
	while (!n->stop) {
		struct change batch[64];
		size_t k = 0;
		bool everything = n->overrun;

		if (n->n_own > 0) {
			struct own own = n->own[n->own_head];

			n->own_head = (n->own_head + 1) % OWN_MAX;
			n->n_own--;
			pthread_mutex_unlock(&n->lock);
			if (own.name[0])
				inval_name(n, own.node, own.name);
			else
				inval_inode(n, own.node, true);
			pthread_mutex_lock(&n->lock);
			continue;
		}
		if (n->n == 0 && !everything) {
			pthread_cond_wait(&n->wake, &n->lock);
			continue;
		}
		if (everything) {
			n->overrun = false;
			n->n = 0;
		}
		while (k < ARRAY_LEN(batch) && n->n > 0) {
			batch[k++] = n->queue[n->head];
			n->head = (n->head + 1) % QUEUE_MAX;
			n->n--;
		}
		pthread_mutex_unlock(&n->lock);
		memset(n->recent, 0, sizeof(n->recent));
		if (everything)
			tell_everything(n);
		for (size_t i = 0; i < k && !n->stop; i++)
			tell(n, &batch[i]);
		pthread_mutex_lock(&n->lock);
	}
	pthread_mutex_unlock(&n->lock);
	n->stopped = true;
	return NULL;
}

static void enqueue(void *user, const struct change *change, size_t count)
{
	struct notifier *n = user;

	pthread_mutex_lock(&n->lock);
	for (size_t i = 0; i < count; i++) {
		if (n->n == QUEUE_MAX) {
			n->overrun = true;
			break;
		}
		n->queue[(n->head + n->n++) % QUEUE_MAX] = change[i];
	}
	pthread_cond_signal(&n->wake);
	pthread_mutex_unlock(&n->lock);
}

int notifier_new(struct fs *fs, struct notifier **ret)
{
	struct notifier *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return -ENOMEM;
	n->fs = fs;
	n->queue = calloc(QUEUE_MAX, sizeof(*n->queue));
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->wake, NULL);
	r = n->queue ? pthread_create(&n->thread, NULL, notify_main, n) : ENOMEM;
	if (r) {
		free(n->queue);
		free(n);
		return -r;
	}
	catalog_on_change(fs->parts.catalog, enqueue, n);
	*ret = n;
	return 0;
}

void notify_everything(struct notifier *n)
{
	pthread_mutex_lock(&n->lock);
	n->overrun = true;
	pthread_cond_signal(&n->wake);
	pthread_mutex_unlock(&n->lock);
}

void notifier_stop(struct notifier *n)
{
	catalog_on_change(n->fs->parts.catalog, NULL, NULL);
	pthread_mutex_lock(&n->lock);
	n->stop = true;
	pthread_cond_signal(&n->wake);
	pthread_mutex_unlock(&n->lock);
}

bool notifier_stopped(struct notifier *n)
{
	return n->stopped;
}

struct notifier *notifier_free(struct notifier *n)
{
	if (!n)
		return NULL;
	notifier_stop(n);
	(void)pthread_join(n->thread, NULL);
	pthread_cond_destroy(&n->wake);
	pthread_mutex_destroy(&n->lock);
	free(n->queue);
	free(n);
	return NULL;
}

void notify_became_local(struct notifier *n, int64_t snapshot)
{
	struct change c = {.what = CHANGE_ATTR, .snapshot = snapshot};

	enqueue(n, &c, 1);
}

static void enqueue_own(struct notifier *n, struct node node, const char *name)
{
	pthread_mutex_lock(&n->lock);
	if (n->n_own == OWN_MAX) {
		n->own_head = (n->own_head + 1) % OWN_MAX;
		n->n_own--;
	}
	struct own *own = &n->own[(n->own_head + n->n_own++) % OWN_MAX];

	own->node = node;
	(void)snprintf(own->name, sizeof(own->name), "%s", name);
	pthread_cond_signal(&n->wake);
	pthread_mutex_unlock(&n->lock);
}

void notify_node(struct notifier *n, struct node node)
{
	enqueue_own(n, node, "");
}

void notify_name(struct notifier *n, struct node dir, const char *name)
{
	enqueue_own(n, dir, name);
}
