/* test-codec-xmp.c - XMP sidecars as digiKam, darktable and Lightroom write them, and what an XML parser must refuse. */
#include "test-codec-foreign.h"

#define HEAD                                                                                             \
	"<?xpacket begin=\"\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">" \
	"<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"                            \
	"<rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\" "                 \
	"xmlns:lr=\"http://ns.adobe.com/lightroom/1.0/\" xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\" "    \
	"xmlns:digiKam=\"http://www.digikam.org/ns/1.0/\" xmlns:exif=\"http://ns.adobe.com/exif/1.0/\" " \
	"xmlns:photoshop=\"http://ns.adobe.com/photoshop/1.0/\""
#define TAIL "</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end=\"w\"?>\n"
#define LI(text) "<rdf:li>" text "</rdf:li>"

static void reads(const char *text, const char *want)
{
	assert_reads("IMG_1.jpg.xmp", text, &no_classes, want);
}

static void refuses(const char *text, const char *want)
{
	assert_bad("IMG_1.xmp", text, &no_classes, want);
}

static void test_keywords(void **state)
{
	reads(HEAD "><dc:subject><rdf:Bag>" LI("person") LI("garden &amp; house")
		      LI("person") "</rdf:Bag></dc:subject><lr:hierarchicalSubject><rdf:Bag>" LI(
			      "object|person")
			      LI("place|Europe|Prague") "</rdf:Bag></lr:hierarchicalSubject>" TAIL,
	      "label/garden & house object/person place/Europe/Prague");
	reads(HEAD "><digiKam:TagsList><rdf:Seq>" LI("object/fox")
		      LI("night") "</rdf:Seq></digiKam:TagsList><dc:subject><rdf:Seq>" LI("fox")
			      LI("night") "</rdf:Seq></dc:subject>" TAIL,
	      "object/fox label/night");
	/* other prefixes, and names that only look alike */
	reads("<r:RDF xmlns:r=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"><r:Description "
	      "xmlns:q=\"http://purl.org/dc/elements/1.1/\" xmlns:dc=\"urn:else\"><dc:subject><r:Bag><r:li>no</r:li></r:Bag>"
	      "</dc:subject><q:subject><r:Bag><r:li> yes </r:li><r:li/></r:Bag></q:subject></r:Description></r:RDF>",
	      "label/yes");
	reads("<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"/>", "");
}

static void test_rest(void **state)
{
	reads(HEAD
	      " xmp:Rating=\"4\" exif:DateTimeOriginal=\"2020-12-31T15:45:55.12+01:00\" "
	      "photoshop:DateCreated=\"2001-01-01T00:00:00\"><dc:description><rdf:Alt>"
	      "<rdf:li xml:lang=\"x-default\">At the lake</rdf:li><rdf:li xml:lang=\"cs\">U jezera</rdf:li></rdf:Alt>"
	      "</dc:description>" TAIL,
	      "comment=At the lake rating=8 taken=2020-12-31T15:45:55.120000+01:00");
	reads(HEAD "><xmp:Rating>2.5</xmp:Rating><photoshop:DateCreated>2001-01-01T00:00:00+00:00"
		   "</photoshop:DateCreated>" TAIL,
	      "rating=5 taken=2001-01-01T00:00:00.000000+00:00");
	reads(HEAD " xmp:Rating=\"-1\">" TAIL, "");
	refuses(HEAD " xmp:Rating=\"many\">" TAIL, "xmp:Rating");
}

static void test_hostile(void **state)
{
	CLEANUP(buf_done) struct buf deep = BUF(65536), big = BUF(1 << 20);

	refuses("", "not XML");
	refuses("not xml", "not XML at line 1");
	refuses("<a>\n</b>", "line 2");
	refuses("<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>", "document type");
	for (int i = 0; i < 100; i++)
		(void)buf_str(&deep, "<a>");
	refuses(deep.data, "nested deeper");
	(void)buf_str(&big, HEAD "><dc:description><rdf:Alt><rdf:li>");
	for (int i = 0; i < 7000; i++)
		(void)buf_str(&big, "0123456789");
	(void)buf_str(&big, "</rdf:li></rdf:Alt></dc:description>" TAIL);
	refuses(big.data, "more than 64 KiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keywords),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
