/* When a picture was taken: sidecar > EXIF > a time in its name or directories > an mtime that was set > arrival. */
#include "ingest_private.h"

#include "shutterfs/codec.h"

static struct when at(int64_t us, int zone_min, enum time_source source, bool sure)
{
	return (struct when){.taken_us = us, .zone_min = zone_min, .source = source, .sure = sure};
}

static struct when in_zone(int64_t us, enum time_source source, bool sure)
{
	struct civil c;

	civil_from_us(us, &c);
	return at(us, c.zone_min, source, sure);
}

/* What the catalog takes: 1970 to 9999. A camera whose clock was never set says something else. */
static bool possible(int64_t us)
{
	return us >= 0 && us < INT64_C(253402300800000000);
}

static bool same_date(const struct civil *a, const struct civil *b)
{
	return a->year == b->year && a->month == b->month && a->day == b->day;
}

/* Only a date is known: an mtime of that date says more, else the day's beginning. */
static struct when on_date(struct civil date, const struct upload_row *row)
{
	struct civil m;

	civil_from_us(row->mtime_ns / 1000, &m);
	if (row->mtime_set && same_date(&m, &date))
		return in_zone(row->mtime_ns / 1000, TIME_MTIME, true);
	date.hour = date.min = date.sec = date.us = 0;
	return in_zone(us_from_civil(&date, false), TIME_NAME, false);
}

void when_taken(const struct sidecar *side, const struct jpeg_info *jpeg, const char *path,
		const struct upload_row *row, struct when *ret)
{
	struct civil c;
	bool has_time;

	if (side && side->has_taken && possible(side->taken_us)) {
		*ret = at(side->taken_us, side->zone_min, side->time_source, true);
		return;
	}
	if (jpeg->has_exif_time && possible(jpeg->exif_taken_us)) {
		*ret = at(jpeg->exif_taken_us, jpeg->exif_zone_min, TIME_EXIF, true);
		return;
	}
	if (time_from_path(path, &c, &has_time) == 0) {
		*ret = has_time ? in_zone(us_from_civil(&c, true), TIME_NAME, true)
				: on_date(c, row);
		return;
	}
	if (row->mtime_set && possible(row->mtime_ns / 1000)) {
		*ret = in_zone(row->mtime_ns / 1000, TIME_MTIME, true);
		return;
	}
	*ret = in_zone(now_us(), TIME_ARRIVAL, false);
}
