/* timename.c - a capture time from the names that cameras and programs give their files: Foscam,
 * Dahua, Hikvision, Reolink, motion, Frigate, phones, our own.  A wrong time is worse than none, so
 * a run of digits must have the shape, the fields and the boundaries of a time; serial numbers,
 * plates and counters mostly do not. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "shutterfs/model.h"

enum { PARTS_MAX = 16, YEAR_MIN = 1990, YEAR_MAX = 2100 };

/* What was found in one name. */
struct found {
	struct civil c;
	bool has_date, has_time, has_zone;
	size_t end; /* where the match ends in the name */
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80);
}

static size_t run(const char *s)
{
	return strspn(s, "0123456789");
}

static int number(const char *s, size_t n)
{
	int value = 0;

	for (; n > 0; n--)
		value = value * 10 + (*s++ - '0');
	return value;
}

/* Microseconds from 3 or 6 digits; -1: neither. */
static int fraction(const char *s, size_t n)
{
	if (n != 3 && n != 6)
		return -1;
	return number(s, n) * (n == 3 ? 1000 : 1);
}

static bool date_ok(const struct civil *c)
{
	struct civil day = {.year = c->year, .month = c->month, .day = c->day};

	return c->year >= YEAR_MIN && c->year <= YEAR_MAX && civil_valid(&day);
}

/* 20201231, 2020-12-31 (one of - _ . : twice) or 2020Y12M31D at s; returns its length or 0. */
static size_t match_date(const char *s, struct civil *c)
{
	size_t n = run(s);
	char sep, second;

	if (n == 8 || n == 14 || n == 17 || n == 20) {
		c->year = number(s, 4);
		c->month = number(s + 4, 2);
		c->day = number(s + 6, 2);
		return date_ok(c) ? 8 : 0;
	}
	sep = n == 4 ? s[4] : '\0';
	if (!sep || !strchr("-_.:Y", sep))
		return 0;
	second = sep == 'Y' ? 'M' : sep;
	if (run(s + 5) != 2 || s[7] != second || run(s + 8) != 2 || (sep == 'Y' && s[10] != 'D'))
		return 0;
	c->year = number(s, 4);
	c->month = number(s + 5, 2);
	c->day = number(s + 8, 2);
	return date_ok(c) ? (sep == 'Y' ? 11 : 10) : 0;
}

static bool take_clock(const char *hour, const char *min, const char *sec, struct civil *c)
{
	int h = number(hour, 2), m = number(min, 2), s = number(sec, 2);

	if (h > 23 || m > 59 || s > 59)
		return false;
	c->hour = h;
	c->min = m;
	c->sec = s;
	c->us = 0;
	return true;
}

/* Digits after the seconds: ".123", ".123456", or "-123456" where `sep` is '-'. */
static size_t match_fraction(const char *s, char sep, struct civil *c)
{
	size_t n = *s ? run(s + 1) : 0;
	bool point = *s == '.' || *s == ',';

	if (!point && !(*s == sep && n == 6))
		return 0;
	if (fraction(s + 1, n) < 0)
		return 0;
	c->us = fraction(s + 1, n);
	return n + 1;
}

/* 154555, 154555123 or 154555123456: `n` digits at s. */
static size_t match_compact_time(const char *s, size_t n, char sep, struct civil *c)
{
	if ((n != 6 && n != 9 && n != 12) || !take_clock(s, s + 2, s + 4, c))
		return 0;
	if (n == 6)
		return n + match_fraction(s + n, sep, c);
	c->us = fraction(s + 6, n - 6);
	return n;
}

/* 15-45-55, 15.45.55, 15:45:55, 15_45_55 or 15h45m55s. */
static size_t match_spaced_time(const char *s, struct civil *c)
{
	char sep, second;
	size_t n;

	if (run(s) != 2 || !s[2] || !strchr("-.:_hH", s[2]))
		return 0;
	sep = s[2];
	second = sep == 'h' ? 'm' : sep == 'H' ? 'M' : sep;
	if (run(s + 3) != 2 || s[5] != second || run(s + 6) != 2 || !take_clock(s, s + 3, s + 6, c))
		return 0;
	if (second != sep)
		return s[8] == 's' || s[8] == 'S' ? 9 : 8;
	n = 8 + match_fraction(s + 8, sep, c);
	/* 10.20.30.40 is an address. */
	if (sep == '.' && s[n] == '.' && is_digit(s[n + 1]))
		return 0;
	return n;
}

/* " PM" after a time of the twelve-hour clock (macOS screen shots). */
static size_t match_half(const char *s, struct civil *c)
{
	size_t n = *s == ' ' || *s == '_';
	char half = s[n] & ~0x20;

	if ((half != 'A' && half != 'P') || (s[n + 1] & ~0x20) != 'M' || is_alpha(s[n + 2]) ||
	    is_digit(s[n + 2]))
		return 0;
	if (c->hour < 1 || c->hour > 12)
		return 0;
	c->hour = c->hour % 12 + (half == 'P' ? 12 : 0);
	return n + 2;
}

/* Z, +01:00 or +0100 (a minus only with its colon: "-0500" may be anything). */
static size_t match_zone(const char *s, struct found *f)
{
	bool colon = s[0] && run(s + 1) == 2 && s[3] == ':' && run(s + 4) == 2;
	int hour, min;

	if (*s == 'Z' && !is_alpha(s[1]) && !is_digit(s[1])) {
		f->has_zone = true;
		f->c.zone_min = 0;
		return 1;
	}
	if (!(*s == '+' && (colon || run(s + 1) == 4)) && !(*s == '-' && colon))
		return 0;
	hour = number(s + 1, 2);
	min = number(s + (colon ? 4 : 3), 2);
	if (hour > 14 || min > 59)
		return 0;
	f->has_zone = true;
	f->c.zone_min = (*s == '-' ? -1 : 1) * (hour * 60 + min);
	return colon ? 6 : 5;
}

/* What stands between a date and its time: up to three of these, or " at ". */
static size_t match_gap(const char *s)
{
	size_t n;

	if (strncmp(s, " at ", 4) == 0)
		return 4;
	n = strspn(s, "T_-. @t");
	return n <= 3 ? n : 0;
}

/* A number may begin at s[i]: it is not inside a longer word of letters and digits.  *ret_weak:
 * there are letters before it ("IMG20201231"). */
static bool may_begin(const char *s, size_t i, bool *ret_weak)
{
	size_t word = i;

	*ret_weak = i > 0 && is_alpha(s[i - 1]);
	while (word > 0 && is_alpha(s[word - 1]))
		word--;
	return is_digit(s[i]) && (word == 0 || !is_digit(s[word - 1]));
}

static bool ends_word(const char *s)
{
	return !is_digit(*s) && !is_alpha(*s);
}

/* Date and time together at s[i]. */
static bool match_both(const char *s, size_t i, bool weak, struct found *ret)
{
	struct found f = {.has_date = true, .has_time = true};
	size_t n = run(s + i), date = match_date(s + i, &f.c), time, gap = 0, at;
	char sep;

	if (date == 0)
		return false;
	at = i + date;
	if (date == 8 && n > 8) {
		time = match_compact_time(s + at, n - 8, '\0', &f.c);
	} else {
		gap = match_gap(s + at);
		sep = gap ? s[at + gap - 1] : '\0';
		at += gap;
		time = gap ? match_compact_time(s + at, run(s + at), sep, &f.c) : 0;
		if (time == 0)
			time = match_spaced_time(s + at, &f.c);
	}
	if (time == 0)
		return false;
	at += time;
	at += match_half(s + at, &f.c);
	at += match_zone(s + at, &f);
	/* "..._154555HDR" is fine; letters on both sides are a digest or a serial number. */
	if (is_digit(s[at]) || (is_alpha(s[at]) && (weak || gap == 0)))
		return false;
	f.end = at;
	*ret = f;
	return true;
}

/* The first date with a time in the name; else the first date. */
static struct found find_date(const char *s)
{
	struct found date_only = {.has_date = false}, f;
	size_t i;

	for (i = 0; s[i]; i++) {
		struct civil c = {0};
		size_t len;
		bool weak;

		if (!may_begin(s, i, &weak))
			continue;
		if (match_both(s, i, weak, &f))
			return f;
		len = match_date(s + i, &c);
		if (len == 0 || weak || date_only.has_date)
			continue;
		if (ends_word(s + i + len) || (s[i + 4] == 'Y' && is_digit(s[i + len])))
			date_only = (struct found){.c = c, .has_date = true, .end = i + len};
	}
	return date_only;
}

static void copy_clock(struct civil *to, const struct civil *from)
{
	to->hour = from->hour;
	to->min = from->min;
	to->sec = from->sec;
	to->us = from->us;
}

/* A time of day alone in the name, for a date found elsewhere.  `compact`: also six digits, if only
 * one word of the name can be meant. */
static bool find_time(const char *s, bool compact, struct civil *c)
{
	struct civil t = {0}, once = {0};
	unsigned n_compact = 0;
	size_t i, len;

	for (i = 0; s[i]; i++) {
		bool weak;

		if (!may_begin(s, i, &weak) || weak ||
		    (i > 1 && s[i - 1] == '.' && is_digit(s[i - 2])))
			continue;
		len = match_spaced_time(s + i, &t);
		if (len > 0)
			len += match_half(s + i + len, &t);
		if (len > 0 && ends_word(s + i + len)) {
			copy_clock(c, &t);
			return true;
		}
		len = match_compact_time(s + i, run(s + i), '\0', &t);
		if (len > 0 && ends_word(s + i + len)) {
			once = t;
			n_compact++;
		}
	}
	if (!compact || n_compact != 1)
		return false;
	copy_clock(c, &once);
	return true;
}

/* 10 digits (with up to 6 after a point) or 13 as a word of their own.  Pictures are not taken in
 * the future: that alone tells half of all serial numbers from times. */
static bool find_epoch(const char *s, int64_t *ret_us)
{
	int64_t now = now_us(), latest = INT64_C(4102444800000000);
	size_t i, n;

	if (now > INT64_C(1767225600000000)) /* 2026: the clock is set */
		latest = now + INT64_C(2) * 86400 * 1000000;
	for (i = 0; s[i]; i += n ? n : 1) {
		int64_t us = 0, unit = 1000000;
		const char *p = s + i;

		n = run(p);
		if ((n != 10 && n != 13) || *p == '0' ||
		    (i > 0 && (is_alpha(p[-1]) || p[-1] == '.')))
			continue;
		for (; is_digit(*p); p++)
			us = us * 10 + (*p - '0');
		us *= n == 10 ? 1000000 : 1000;
		if (n == 10 && *p == '.' && run(p + 1) >= 1 && run(p + 1) <= 6) {
			for (p++; is_digit(*p); p++)
				us += (unit /= 10) * (*p - '0');
		}
		if (!ends_word(p) || us > latest)
			continue;
		*ret_us = us;
		return true;
	}
	return false;
}

/* A path cut at its slashes, the file's name last. */
struct parts {
	char text[NAME_LIMIT * PARTS_MAX + PARTS_MAX];
	const char *part[PARTS_MAX];
	size_t n;
};

static void split(const char *path, struct parts *p)
{
	size_t len = strlen(path);
	char *s;

	if (len >= sizeof(p->text)) { /* the end is what counts */
		path += len - sizeof(p->text) + 1;
		len = sizeof(p->text) - 1;
	}
	memcpy(p->text, path, len + 1);
	for (p->n = 0; p->n < PARTS_MAX; p->n++) {
		s = strrchr(p->text, '/');
		p->part[PARTS_MAX - 1 - p->n] = s ? s + 1 : p->text;
		if (!s) {
			p->n++;
			break;
		}
		*s = '\0';
	}
	memmove(p->part, p->part + PARTS_MAX - p->n, p->n * sizeof(p->part[0]));
}

static bool is_number(const char *s, size_t digits)
{
	return run(s) == digits && !s[digits];
}

/* YYYY/MM/DD, YYYY-MM/DD or YYYYMM/DD ending at part i. */
static bool date_of_parts(const struct parts *p, size_t i, struct civil *c)
{
	const char *last = i > 0 ? p->part[i - 1] : "";

	if (i == 0 || !is_number(p->part[i], 2))
		return false;
	c->day = number(p->part[i], 2);
	if (is_number(last, 2) && i > 1 && is_number(p->part[i - 2], 4)) {
		c->year = number(p->part[i - 2], 4);
		c->month = number(last, 2);
	} else if (is_number(last, 6)) {
		c->year = number(last, 4);
		c->month = number(last + 4, 2);
	} else if (run(last) == 4 && last[4] == '-' && is_number(last + 5, 2)) {
		c->year = number(last, 4);
		c->month = number(last + 5, 2);
	} else {
		return false;
	}
	return date_ok(c);
}

/* The date in the directories nearest to the file; *ret_part: its last part. */
static struct found find_in_directories(const struct parts *p, size_t *ret_part)
{
	size_t i;

	for (i = p->n - 1; i-- > 0;) {
		struct found f = find_date(p->part[i]);

		*ret_part = i;
		if (f.has_date)
			return f;
		if (date_of_parts(p, i, &f.c))
			return (struct found){
				.c = f.c, .has_date = true, .end = strlen(p->part[i])};
	}
	return (struct found){.has_date = false};
}

/* The hour, or hour and minute, as directories after the date: 15/45/55[M].jpg,
 * 15/<camera>/45.55.jpg, 2020Y12M31D15H/45M55S60.jpg. */
static bool split_time(const struct parts *p, size_t date_part, size_t date_end, struct civil *c)
{
	const char *name = p->part[p->n - 1], *hour, *dir[2] = {"", ""};
	const char *rest = p->part[date_part] + date_end;
	size_t i;

	if (run(rest) == 2 && rest[2] == 'H')
		dir[1] = rest;
	for (i = date_part + 1; i + 1 < p->n; i++) {
		if (is_number(p->part[i], 2)) {
			dir[0] = dir[1];
			dir[1] = p->part[i];
		}
	}
	hour = dir[1];
	if (run(hour) != 2 || run(name) != 2)
		return false;
	if (name[2] && strchr("-._M", name[2]) && run(name + 3) == 2 &&
	    (name[2] != 'M' || name[5] == 'S'))
		return take_clock(hour, name, name + 3, c);
	return run(dir[0]) == 2 && ends_word(name + 2) && take_clock(dir[0], dir[1], name, c);
}

static bool same_day(const struct civil *a, const struct civil *b)
{
	int32_t days = day_from_civil(a->year, a->month, a->day) -
		       day_from_civil(b->year, b->month, b->day);

	return days >= -1 && days <= 1; /* the date may have been written in another zone */
}

static int find(const char *path, struct found *ret)
{
	struct parts p;
	struct found name, dirs;
	const char *file;
	size_t part = 0;
	int64_t us;

	split(path, &p);
	file = p.part[p.n - 1];
	name = find_date(file);
	*ret = name;
	if (name.has_time)
		return 0;
	dirs = find_in_directories(&p, &part);
	if (find_epoch(file, &us)) {
		struct found epoch = {.has_date = true, .has_time = true};

		civil_from_us(us, &epoch.c);
		epoch.has_zone = true; /* c.zone_min came with it */
		if ((!name.has_date || same_day(&name.c, &epoch.c)) &&
		    (!dirs.has_date || same_day(&dirs.c, &epoch.c))) {
			*ret = epoch;
			return 0;
		}
	}
	if (name.has_date) {
		ret->has_time = find_time(file + name.end, false, &ret->c);
		return 0;
	}
	if (!dirs.has_date)
		return -ENOENT;
	*ret = dirs;
	ret->has_zone = false;
	if (find_time(file, true, &ret->c) || split_time(&p, part, dirs.end, &ret->c))
		ret->has_time = true;
	else
		ret->has_zone = dirs.has_zone;
	return 0;
}

int time_from_path(const char *path, struct civil *ret, bool *ret_has_time)
{
	struct found f;
	int64_t us;
	int r;

	r = find(path, &f);
	if (r < 0)
		return r;
	us = us_from_civil(&f.c, f.has_zone);
	if (f.has_zone) {
		civil_from_us(us, &f.c);
	} else {
		f.c.zone_min = 0;
		f.c.zone_min = (int)((us_from_civil(&f.c, true) - us) / 60000000);
	}
	*ret = f.c;
	*ret_has_time = f.has_time;
	return 0;
}
