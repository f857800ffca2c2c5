/* ahead.c - read-ahead, the policy: streams of pictures that are expected next, their windows. */
#include "ahead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_WINDOW 4
#define WIDEN_AFTER 3 /* windows opened: so a reader that stops leaves a fraction of what it read */
#define BEHIND 64     /* positions (and two windows) that opens of parallel readers may lie apart */
#define IDLE_OPENS 64 /* a stream that so many opens passed by may be over */
#define PROVEN 8      /* opens from a stream until it is believed */
#define FORGET_US 600000000
#define GRACE_BYTES (2u << 20)
#define WHOLE_PARTS 8               /* one of them may be in vain */
#define REMEMBERED_BYTES (1u << 30) /* older sins are forgotten */
#define WARM_LISTED 32              /* items of a warmed directory that wait for their turn */
#define WARM_ITEMS 4096
#define TOKENS_MAX 128
#define GRANT_FIRST 4
#define GRANT_MAX 16
#define SHARE 5      /* of so many opens in no order one falls into it: else it is one of many */
#define SURE_AFTER 5 /* hits that chance would have had, beyond four for each there was */

/* ---- items ---- */

static struct item **item_at(struct ahead *a, int64_t id)
{
	struct item **p = &a->hash[(uint64_t)id % AHEAD_BUCKETS];

	while (*p && (*p)->id != id)
		p = &(*p)->next_hash;
	return p;
}

static bool is_unused(const struct item *it)
{
	return it->state == ITEM_ASKED || it->state == ITEM_HERE;
}

static void count_unused(struct ahead *a, struct stream *s, uint64_t size, int sign)
{
	s->n_unused += (unsigned)sign;
	s->unused_bytes += sign > 0 ? size : -size;
	a->unused_bytes += sign > 0 ? size : -size;
}

static void item_free(struct ahead *a, struct item *it)
{
	struct stream *s = it->stream;

	*item_at(a, it->id) = it->next_hash;
	*(it->prev ? &it->prev->next : &s->first) = it->next;
	*(it->next ? &it->next->prev : &s->last) = it->prev;
	s->n_items--;
	if (it->state == ITEM_LISTED)
		s->n_listed--;
	if (is_unused(it))
		count_unused(a, s, it->size, -1);
	for (; s->todo == it || (s->todo && s->todo->state != ITEM_LISTED);)
		s->todo = s->todo->next;
	it->next_hash = a->free_items;
	a->free_items = it;
}

static bool item_add(struct ahead *a, struct stream *s, const struct ahead_entry *e)
{
	struct item *it = a->free_items, **bucket = item_at(a, e->id);

	if (!it)
		return false;
	a->free_items = it->next_hash;
	*it = (struct item){.id = e->id,
			    .size = e->size,
			    .pos = s->next_pos++,
			    .state = e->local ? ITEM_LOCAL : ITEM_LISTED,
			    .stream = s,
			    .prev = s->last};
	*bucket = it;
	*(s->last ? &s->last->next : &s->first) = it;
	s->last = it;
	s->n_items++;
	s->n_listed += !e->local;
	if (!s->todo && !e->local)
		s->todo = it;
	return true;
}

/* It was fetched, or is being, and nobody came. */
static void item_vain(struct ahead *a, struct item *it)
{
	if (is_unused(it)) {
		a->vain += it->size;
		it->stream->vain++;
	}
	item_free(a, it);
}

/* ---- streams ---- */

static void stream_end(struct ahead *a, struct stream *s)
{
	while (s->first)
		item_vain(a, s->first);
	a->n_warm -= s->mode == STREAM_WARM;
	*s = (struct stream){0};
}

static bool is_idle(const struct ahead *a, const struct stream *s)
{
	return a->opens - s->last_open > IDLE_OPENS;
}

/* What nobody may ever open: of streams that ended, that seem to have ended, or that only begin. */
bool stream_may_begin(const struct ahead *a)
{
	uint64_t doubt = a->vain;

	for (size_t i = 0; i < AHEAD_STREAMS; i++) {
		const struct stream *s = &a->stream[i];

		if (s->mode != STREAM_FREE && (is_idle(a, s) || s->used_ever < PROVEN))
			doubt += s->unused_bytes;
	}
	return doubt <= a->fetched / WHOLE_PARTS + GRACE_BYTES;
}

struct stream *stream_new(struct ahead *a, int64_t now_us, enum stream_mode mode, struct view view,
			  int32_t day, int64_t tail)
{
	struct stream *s = &a->stream[0];

	for (size_t i = 0; i < AHEAD_STREAMS && s->mode != STREAM_FREE; i++)
		if (a->stream[i].mode == STREAM_FREE || a->stream[i].last_us < s->last_us)
			s = &a->stream[i];
	stream_end(a, s);
	if (mode == STREAM_WARM && !a->n_warm)
		roam_begin(&a->roam);
	if (++a->last_gen == 0)
		a->last_gen = 1;
	*s = (struct stream){.mode = mode,
			     .gen = a->last_gen,
			     .view = view,
			     .day = day,
			     .tail = tail,
			     .next_pos = 1,
			     .window = FIRST_WINDOW,
			     .last_us = now_us,
			     .last_open = a->opens,
			     .strays = a->strays,
			     .grant = GRANT_FIRST,
			     .tokens = GRANT_FIRST};
	a->n_warm += mode == STREAM_WARM;
	return s;
}

static void widen(struct ahead *a, struct stream *s)
{
	if (s->window < a->link.most && stream_may_begin(a))
		s->window = 2 * s->window < a->link.most ? 2 * s->window : a->link.most;
	s->since = s->late = 0;
}

/* The stream that `x`'s predecessor belongs to, when it is read in this very order: its window was too small. */
static struct stream *stream_before(struct ahead *a, const struct search *q, struct view view,
				    bool backwards)
{
	const struct recent *r[2] = {&q->p1, &q->p2};

	for (int i = 0; i < 2; i++) {
		struct stream *s = &a->stream[r[i]->stream];

		if (r[i]->gen && s->gen == r[i]->gen && s->mode == STREAM_ORDER &&
		    s->view.kind == view.kind && s->view.id == view.id && s->backwards == backwards)
			return s;
	}
	return NULL;
}

void stream_follow(struct ahead *a, int64_t now_us, struct view view, bool backwards)
{
	const int64_t in_order[] = {a->search.x.id, a->search.p1.id, a->search.p2.id};
	struct recent *x = recent_find(a, a->search.x.id);
	struct stream *s = stream_before(a, &a->search, view, backwards);

	if (s) {
		widen(a, s);
		s->day = a->search.x.day;
		s->tail = a->search.x.id;
		s->head = s->next_pos - 1;
		s->ended = false;
	} else if (stream_may_begin(a)) {
		s = stream_new(a, now_us, STREAM_ORDER, view, a->search.x.day, a->search.x.id);
		s->backwards = backwards;
	}
	for (int i = 0; i < 3;
	     i++) { /* what is in order does not jump, also where no stream may begin */
		struct recent *r = recent_find(a, in_order[i]);

		if (r)
			r->missed = false;
	}
	if (!s)
		return;
	s->last_us = now_us;
	s->last_open = a->opens;
	if (x) {
		x->stream = (unsigned)(s - a->stream);
		x->gen = s->gen;
	}
}

/* Those far behind the furthest open will not be opened in this order; too many of them: it is no order. */
static void judge(struct ahead *a, struct stream *s)
{
	while (s->first && s->first->pos + BEHIND + 2 * s->window < s->head)
		item_vain(a, s->first);
	if (2 * s->vain <= s->used + FIRST_WINDOW)
		return;
	s->window /= 2;
	s->used = s->vain = s->since = s->late = 0;
	if (s->window < 2)
		stream_end(a, s);
}

static unsigned wants_listed(const struct ahead *a, const struct stream *s)
{
	uint64_t ahead = s->next_pos - 1 - s->head;

	if (s->ended || s->listing || !a->free_items)
		return 0;
	if (s->mode == STREAM_WARM)
		return s->tokens && s->n_listed < WARM_LISTED && s->n_items < WARM_ITEMS
			       ? AHEAD_PAGE
			       : 0;
	if (s->mode != STREAM_ORDER || ahead + s->window / 4 >= s->window)
		return 0;
	return s->window - (unsigned)ahead < AHEAD_PAGE ? s->window - (unsigned)ahead : AHEAD_PAGE;
}

/* ahead_next would hand out some of it, as soon as the link bears it. */
static bool has_work(const struct ahead *a, const struct stream *s)
{
	bool due = s->mode == STREAM_WARM ? s->tokens > 0
					  : s->todo && s->todo->pos <= s->head + s->window;

	return (s->todo && due) || wants_listed(a, s);
}

/* Is an open there worth fetching for? */
static bool pays(const struct ahead *a, const struct stream *s)
{
	uint64_t strays = a->strays - s->strays;

	return roam_sure(&a->roam) ||
	       (!s->roams && (s->opens + AHEAD_JUMPS) * SHARE >= strays + AHEAD_JUMP_WITHIN);
}

/* Did chance meet as many of its pictures as there are?  If not, the readers want others. */
static void warm_judge(struct ahead *a, struct stream *s, bool hit)
{
	unsigned left = s->total > s->opens ? s->total - s->opens : 1;
	double chance = (double)(s->n_unused + hit) / left;

	s->opens++;
	s->hits += hit;
	s->expected += chance < 1 ? chance : 1;
	if (s->expected >= SURE_AFTER + s->hits * 4) {
		while (s->first)
			item_vain(a, s->first);
		s->mode = STREAM_BARRED;
		a->n_warm--;
		return;
	}
	if (!pays(a, s))
		return;
	if (roam_sure(&a->roam))
		s->grant = GRANT_MAX;
	else if (s->opens % 8 == 0 && s->grant < GRANT_MAX)
		s->grant *= 2;
	s->tokens = s->tokens + s->grant < TOKENS_MAX ? s->tokens + s->grant : TOKENS_MAX;
}

/* An open in a directory that is being warmed; `own`: the stream whose item it was. */
static bool warm_opened(struct ahead *a, int64_t now_us, const struct snap *snap,
			const struct stream *own, bool hit)
{
	bool any = false;

	if (roam_seen(&a->roam, snap->id))
		a->roam.again++;

	for (size_t i = 0; a->n_warm && i < AHEAD_STREAMS; i++) {
		struct stream *s = &a->stream[i];

		if (s->mode != STREAM_WARM || s->day != snap->day ||
		    (s->view.kind == VIEW_CAMERA && s->view.id != snap->camera))
			continue;
		s->last_us = now_us;
		s->last_open = a->opens;
		warm_judge(a, s, hit && s == own);
		any = any || has_work(a, s);
	}
	return any;
}

/* ---- what happens ---- */

struct recent *recent_at(struct ahead *a, uint64_t back)
{
	uint64_t n = a->n_recent;

	if (back >= n || back >= AHEAD_RECENT)
		return NULL;
	return &a->recent[(n - 1 - back) % AHEAD_RECENT];
}

struct recent *recent_find(struct ahead *a, int64_t id)
{
	struct recent *r;

	for (uint64_t i = 0; (r = recent_at(a, i)); i++)
		if (r->id == id)
			return r;
	return NULL;
}

static void recent_add(struct ahead *a, int64_t now_us, const struct snap *s,
		       const struct stream *of)
{
	struct recent *r = &a->recent[a->n_recent++ % AHEAD_RECENT];

	*r = (struct recent){.id = s->id,
			     .at = a->opens,
			     .camera = s->camera,
			     .day = s->day,
			     .when_us = now_us,
			     .starred = s->starred,
			     .stream = of ? (unsigned)(of - a->stream) : 0,
			     .gen = of ? of->gen : 0};
	memcpy(r->stem, s->stem, sizeof(r->stem));
}

static bool order_opened(struct ahead *a, struct stream *s, const struct item *was)
{
	bool late = was->state == ITEM_ASKED || was->state == ITEM_LISTED;

	s->since++;
	s->late += late;
	s->used += is_unused(was);
	if (was->pos > s->head)
		s->head = was->pos;
	if (s->late && s->since >= WIDEN_AFTER * s->window)
		widen(a, s);
	judge(a, s);
	return has_work(a, s);
}

bool ahead_opened(struct ahead *a, int64_t now_us, const struct snap *s)
{
	struct item *it = *item_at(a, s->id), was;
	const struct recent *again;
	struct stream *of = NULL;
	bool work = false;

	if (!it && (again = recent_find(a, s->id))) { /* the same file again */
		a->roam.again += again->at + AHEAD_JUMP_WITHIN < a->opens;
		return false;
	}
	a->opens++;
	a->strays += !it || it->stream->mode != STREAM_ORDER;
	if (it) {
		was = *it;
		of = it->stream;
		of->last_us = now_us;
		of->last_open = a->opens;
		of->used_ever++;
		a->used += is_unused(it);
		item_free(a, it);
		recent_add(a, now_us, s, of);
		work = of->mode == STREAM_ORDER && order_opened(a, of, &was);
	} else {
		recent_add(a, now_us, s, NULL);
	}
	return warm_opened(a, now_us, s, of, it && is_unused(&was)) || work;
}

bool ahead_waits(struct ahead *a, int64_t now_us, int64_t id)
{
	struct recent *r = recent_find(a, id);

	if (!r || r->missed || r->gen)
		return false;
	r->missed = true;
	if (a->n_suspects == AHEAD_SUSPECTS)
		memmove(a->suspect, a->suspect + 1, --a->n_suspects * sizeof(a->suspect[0]));
	a->suspect[a->n_suspects++] = id;
	return true;
}

void ahead_fetched(struct ahead *a, uint64_t bytes)
{
	a->fetched += bytes;
	if (a->fetched > REMEMBERED_BYTES) {
		a->fetched /= 2;
		a->vain /= 2;
	}
}

void ahead_done(struct ahead *a, int64_t now_us, int64_t id, int err, uint64_t bytes,
		int64_t took_us)
{
	struct item *it = *item_at(a, id);

	link_landed(&a->link, now_us, err, bytes ? took_us : 0);
	if (err == 0 && bytes) {
		a->requests++;
		a->bytes += bytes;
		ahead_fetched(a, bytes);
	}
	if (!it || it->state != ITEM_ASKED)
		return;
	if (err == 0 && bytes) {
		it->state = ITEM_HERE;
		return;
	}
	count_unused(a, it->stream, it->size, -1);
	it->state = ITEM_LOCAL;
}

/* ---- what to do ---- */

static bool next_fetch(struct ahead *a, int64_t now_us, struct stream *s, struct ahead_job *ret)
{
	struct item *it = s->todo;

	if (!it || (s->mode == STREAM_ORDER && it->pos > s->head + s->window) ||
	    (s->mode == STREAM_WARM && !s->tokens) || a->unused_bytes + it->size > a->max_bytes)
		return false;
	*ret = (struct ahead_job){.what = AHEAD_FETCH,
				  .id = {it->id},
				  .n = 1,
				  .sure = s->mode == STREAM_ORDER && s->used_ever >= PROVEN};
	it->state = ITEM_ASKED;
	s->n_listed--;
	count_unused(a, s, it->size, 1);
	while (s->todo && s->todo->state != ITEM_LISTED)
		s->todo = s->todo->next;
	s->tokens -= s->mode == STREAM_WARM;
	link_asked(&a->link, now_us);
	return true;
}

static bool next_list(struct ahead *a, struct stream *s, struct ahead_job *ret)
{
	unsigned limit = wants_listed(a, s);

	if (!limit)
		return false;
	s->listing = true;
	*ret = (struct ahead_job){.what = AHEAD_LIST,
				  .view = s->view,
				  .day = s->day,
				  .after = s->tail,
				  .backwards = s->backwards,
				  .one_day = s->mode == STREAM_WARM,
				  .limit = limit,
				  .stream = (unsigned)(s - a->stream),
				  .gen = s->gen};
	return true;
}

static void forget_old(struct ahead *a, int64_t now_us)
{
	for (size_t i = 0; i < AHEAD_STREAMS; i++) {
		struct stream *s = &a->stream[i];
		bool over = s->mode == STREAM_ORDER && s->ended && !s->first;

		if (s->mode != STREAM_FREE && (over || now_us - s->last_us > FORGET_US))
			stream_end(a, s);
	}
}

bool ahead_next(struct ahead *a, int64_t now_us, struct ahead_job *ret)
{
	bool may = link_bears(&a->link, now_us);

	forget_old(a, now_us);
	for (size_t i = 0; may && i < AHEAD_STREAMS; i++)
		if (next_fetch(a, now_us, &a->stream[a->turn++ % AHEAD_STREAMS], ret))
			return true;
	for (size_t i = 0; i < AHEAD_STREAMS; i++)
		if (a->stream[i].mode != STREAM_FREE && next_list(a, &a->stream[i], ret))
			return true;
	return search_next(a, now_us, ret);
}

/* Met another stream's pictures: it goes on from there. */
static bool belongs_to_another(struct ahead *a, const struct stream *s, int64_t id)
{
	const struct item *it = *item_at(a, id);

	return it && it->stream != s;
}

static void stream_listed(struct ahead *a, struct stream *s, const struct ahead_job *job,
			  const struct ahead_entry *e, size_t n)
{
	s->listing = false;
	if (s->tail != job->after) /* it was led elsewhere meanwhile */
		return;
	s->ended = n < job->limit;
	for (size_t i = 0; i < n; i++) {
		bool skip = s->mode == STREAM_WARM && e[i].local;

		if (belongs_to_another(a, s, e[i].id)) {
			if (s->mode == STREAM_ORDER) {
				s->ended = true;
				return;
			}
			skip = true;
		}
		if (!skip && !*item_at(a, e[i].id) && !item_add(a, s, &e[i]))
			return;
		s->tail = e[i].id;
		s->day = e[i].day;
	}
}

void ahead_listed(struct ahead *a, int64_t now_us, const struct ahead_job *job,
		  const struct ahead_entry *e, size_t n)
{
	if (!job->gen)
		search_listed(a, now_us, job, e, n);
	else if (a->stream[job->stream].gen == job->gen)
		stream_listed(a, &a->stream[job->stream], job, e, n);
}

/* ---- life ---- */

static void ahead_freep(struct ahead **p)
{
	*p = ahead_free(*p);
}

int ahead_new(unsigned flights, uint64_t bytes, struct ahead **ret)
{
	CLEANUP(ahead_freep) struct ahead *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->pool = calloc(AHEAD_ITEMS, sizeof(*a->pool));
	if (!a->pool)
		return -ENOMEM;
	for (size_t i = 0; i < AHEAD_ITEMS; i++) {
		a->pool[i].next_hash = a->free_items;
		a->free_items = &a->pool[i];
	}
	link_init(&a->link, flights);
	a->max_bytes = bytes;
	*ret = TAKE(a);
	return 0;
}

struct ahead *ahead_free(struct ahead *a)
{
	if (a)
		free(a->pool);
	free(a);
	return NULL;
}

void ahead_counts(const struct ahead *a, struct ahead_counts *ret)
{
	*ret = (struct ahead_counts){.requests = a->requests,
				     .bytes = a->bytes,
				     .used = a->used,
				     .unused_bytes = a->unused_bytes,
				     .flights = a->link.asked,
				     .link = a->link.width};
	for (size_t i = 0; i < AHEAD_STREAMS; i++)
		ret->streams += a->stream[i].mode != STREAM_FREE;
}
