/* ahead.h - what to fetch before somebody asks for it: the policy alone, without I/O, clock, threads or locks.
 *
 * It is told of every open and of every reader that has to wait, and hands out jobs: list this, fetch that.  Streams are found
 * by where opens fall in a listing, not by who opens: FUSE tells threads, and the workers of one loader are many processes.
 *   in order:   three opens close together in a view's listing (of a camera, all, a label, the starred; across days; forwards or
 *               backwards).  The window doubles while its pictures are opened and came too late, and halves when they are passed by.
 *   to and fro: eight readers of one directory had to wait.  Each open there pays for some pictures in listing order, as
 *               long as they are met as often as chance would have it.
 *   roaming:    the same over several directories, none of which has half of the opens.  They are paid for once the readers have
 *               proved that they take each picture once: where chance would have met some again, they met none.
 * What was fetched in vain is held below an eighth of all bytes fetched: above it no stream begins or grows.  How many flights
 * there may be follows from how long they take.  Memory is fixed: streams, items and recent opens are all bounded. */
#pragma once

#include "shutterfs/catalog.h"

enum {
	AHEAD_STREAMS = 64,
	AHEAD_ITEMS = 8192,
	AHEAD_BUCKETS = 4096,
	AHEAD_RECENT = 128,
	AHEAD_SUSPECTS = 8,
	AHEAD_PAGE = 128,
	AHEAD_COMMON_MAX = 8,
	AHEAD_LABELS_MAX = 4,
	AHEAD_SURVEY_MAX = 16384, /* rows; a directory of more is not warmed */
	AHEAD_PROBE = 16,
	AHEAD_JUMPS = 8, /* waits in one directory make it worth warming, */
	AHEAD_JUMP_WITHIN =
		16, /* within so many opens: of a walk over many directories none has half of them */
	AHEAD_HAUNTS = 64,    /* directories that are roamed in */
	AHEAD_SEEN = 1 << 18, /* bits */
	AHEAD_NEAR = 8,       /* as close together as opens in order are */
};

/* ---- jobs ---- */
enum ahead_what {
	AHEAD_FETCH,  /* id[0]; ends with ahead_done */
	AHEAD_LIST,   /* ahead_listed */
	AHEAD_COMMON, /* labels that all of id[n] have: ahead_labelled */
	AHEAD_SURVEY, /* how much is in (view, day): ahead_surveyed */
};
struct ahead_job {
	enum ahead_what what;
	struct view view;
	int32_t day;
	int64_t after; /* LIST: 0: from the start of `day` */
	bool backwards, one_day;
	unsigned limit;
	int64_t id[AHEAD_COMMON_MAX];
	size_t n;
	bool sure;            /* FETCH: as good as asked for: may displace what was used lately */
	unsigned stream, gen; /* LIST: gen 0: it is for the search */
};
struct ahead_entry {
	int64_t id;
	int32_t day;
	uint64_t size;
	bool local;
};

struct ahead;
/* At most `flights` at a time and `bytes` fetched and not opened. */
int ahead_new(unsigned flights, uint64_t bytes, struct ahead **ret) MUST_CHECK;
struct ahead *ahead_free(struct ahead *a);
/* True: ahead_next may have something now. */
bool ahead_opened(struct ahead *a, int64_t now_us, const struct snap *s);
bool ahead_waits(struct ahead *a, int64_t now_us, int64_t id); /* the reader that opened it */
void ahead_fetched(struct ahead *a, uint64_t bytes);           /* because a reader asked */
bool ahead_next(struct ahead *a, int64_t now_us, struct ahead_job *ret);
/* Fewer entries than the job's limit: there are no more. */
void ahead_listed(struct ahead *a, int64_t now_us, const struct ahead_job *job,
		  const struct ahead_entry *e, size_t n);
void ahead_labelled(struct ahead *a, const int64_t *label, size_t n);
void ahead_surveyed(struct ahead *a, int64_t now_us, const struct ahead_job *job, size_t n,
		    uint64_t bytes);
/* bytes 0: no request was needed.  took_us: from the job on. */
void ahead_done(struct ahead *a, int64_t now_us, int64_t id, int err, uint64_t bytes,
		int64_t took_us);

struct ahead_counts {
	uint64_t requests, bytes, used; /* used: pictures of them that were opened since */
	uint64_t unused_bytes;          /* of streams that are followed */
	unsigned flights, link, streams;
};
void ahead_counts(const struct ahead *a, struct ahead_counts *ret);

/* ---- link.c: how many flights at a time ---- */
struct link {
	unsigned most, width, asked /* under way */, failures /* in a row */;
	int64_t took_us /* of late */, base_us /* at best */;
	int64_t progress_us, quiet_until_us, shrunk_us;
};
void link_init(struct link *l, unsigned most);
bool link_bears(const struct link *l, int64_t now_us); /* one more */
void link_asked(struct link *l, int64_t now_us);
/* took_us 0: no request was needed */
void link_landed(struct link *l, int64_t now_us, int err, int64_t took_us);

/* ---- between ahead.c and search.c ---- */
struct item { /* a picture that is expected to be opened */
	int64_t id;
	uint64_t size, pos;
	enum item_state { ITEM_LISTED, ITEM_ASKED, ITEM_HERE, ITEM_LOCAL } state;
	struct stream *stream;
	struct item *next_hash; /* also the list of free ones */
	struct item *prev, *next;
};

struct stream {
	enum stream_mode { STREAM_FREE, STREAM_ORDER, STREAM_WARM, STREAM_BARRED } mode;
	unsigned gen; /* never 0 while in use */
	struct view view;
	bool backwards;
	int32_t day; /* its listing goes on after `tail` of `day` */
	int64_t tail;
	bool ended, listing;
	uint64_t head, next_pos; /* ORDER: the furthest position opened, and the next to be given */
	struct item *first, *last, *todo; /* todo: the first that is LISTED */
	unsigned n_items, n_listed;
	uint64_t unused_bytes; /* ASKED or HERE */
	unsigned n_unused;
	unsigned window, since, late; /* ORDER: opened, and too late, since the window changed */
	unsigned used, vain;          /* ORDER: since it was last judged */
	uint64_t used_ever;
	int64_t last_us;
	uint64_t last_open;                   /* ahead.opens then */
	unsigned tokens, grant, opens, total; /* WARM */
	uint64_t strays;                      /* WARM: ahead.strays at its begin */
	bool roams;                           /* WARM: one of several directories */
	double hits, expected;                /* WARM */
};

struct recent {
	int64_t id, camera, when_us;
	int32_t day;
	bool starred, missed;
	unsigned stream, gen; /* gen 0: of no stream */
	uint64_t at;          /* ahead.opens then */
	char stem[STEM_MAX + 1];
};

enum step {
	STEP_NONE,
	STEP_FORWARD,
	STEP_CAMERA,
	STEP_BACK,
	STEP_COMMON,
	STEP_LABEL,
	STEP_JUMP,
	STEP_SURVEY,
};
struct search { /* of the stream to which a picture that had to be waited for may belong */
	enum step step;
	bool asked; /* its job is out */
	bool roams; /* JUMP, SURVEY: the directory is one of several */
	struct recent x, p1, p2;
	struct view candidate[AHEAD_LABELS_MAX + 1];
	size_t n, at;
};

struct haunt { /* a directory where readers had to wait, in no order */
	int32_t day;
	int64_t camera; /* 0: of several */
	int64_t id[AHEAD_JUMPS], when_us;
	size_t n; /* 0: free */
};

struct roam { /* since the first directory is warmed */
	struct haunt haunt[AHEAD_HAUNTS];
	uint64_t seen[AHEAD_SEEN / 64]; /* what was opened: bit id % AHEAD_SEEN */
	uint64_t again;                 /* opens of something seen, */
	double chance;                  /* and how many a random walk would have had */
};

struct ahead {
	uint64_t max_bytes;
	struct roam roam;
	struct stream stream[AHEAD_STREAMS];
	struct item *pool, *free_items, *hash[AHEAD_BUCKETS];
	struct recent recent[AHEAD_RECENT]; /* ring */
	uint64_t n_recent;                  /* ever */
	int64_t suspect[AHEAD_SUSPECTS];
	unsigned n_suspects, turn, n_warm, last_gen;
	struct search search;
	uint64_t searches, opens, strays; /* strays: opens of no stream in order */
	uint64_t fetched, vain;           /* bytes, halved together now and then */
	uint64_t unused_bytes;
	uint64_t requests, bytes, used;
	struct link link;
};

struct recent *recent_find(struct ahead *a, int64_t id);
/* The last `n` at most, the youngest first; false: no more. */
struct recent *recent_at(struct ahead *a, uint64_t back);
/* ---- roam.c: to and fro in several directories ---- */
/* A picture that had to be waited for, in no order; the last AHEAD_JUMPS of its directory, or NULL: not as many yet. */
const struct haunt *roam_waits(struct roam *r, const struct recent *x);
void roam_begin(struct roam *r);            /* nothing is seen */
bool roam_seen(struct roam *r, int64_t id); /* it is now; was it? */
/* A jump into a directory of `total` pictures of which `opened` were opened. */
void roam_jumped(struct roam *r, unsigned opened, unsigned total);
bool roam_sure(const struct roam *r); /* these readers take each picture once */

bool search_next(struct ahead *a, int64_t now_us, struct ahead_job *ret);
void search_listed(struct ahead *a, int64_t now_us, const struct ahead_job *job,
		   const struct ahead_entry *e, size_t n);
bool stream_may_begin(const struct ahead *a);
struct stream *stream_new(struct ahead *a, int64_t now_us, enum stream_mode mode, struct view view,
			  int32_t day, int64_t tail);
/* The search found that `x` is read in this order. */
void stream_follow(struct ahead *a, int64_t now_us, struct view view, bool backwards);
