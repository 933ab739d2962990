#include "text.h"

#include "system.h"

static void put_bytes(struct text *t, const char *s, size_t length)
{
	if (length > t->room - t->used)
		length = t->room - t->used;
	memcpy(t->bytes + t->used, s, length);
	t->used += length;
}

void put(struct text *t, const char *s)
{
	put_bytes(t, s, length_of(s));
}

void put_number(struct text *t, unsigned long n, int digits)
{
	char reversed[24], forward[24];
	int count = 0;

	do {
		reversed[count++] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0 || count < digits);
	for (int i = 0; i < count; i++)
		forward[i] = reversed[count - 1 - i];
	put_bytes(t, forward, (size_t)count);
}

void put_json(struct text *t, const char *s)
{
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\') {
			char escaped[2] = {'\\', *s};
			put_bytes(t, escaped, 2);
		} else if (c < 0x20 || c >= 0x7f) {
			/* Paths need not be UTF-8, a JSON text must be. */
			put(t, "?");
		} else {
			put_bytes(t, s, 1);
		}
	}
}

static bool is_version(const char *s, size_t length, size_t room)
{
	if (length == 0 || length >= room)
		return false;
	for (size_t i = 0; i < length; i++)
		if ((s[i] < '0' || s[i] > '9') && s[i] != '.')
			return false;
	return true;
}

/* Answers the offset of the quote that ends the string which begins after the quote at i. */
static size_t string_end(const char *json, size_t length, size_t i)
{
	for (i++; i < length && json[i] != '"'; i++)
		if (json[i] == '\\')
			i++;
	return i;
}

void find_cni_version(const char *json, size_t length, char *out, size_t room)
{
	static const char wanted[] = "cniVersion";
	enum { KEY, COLON, VALUE, COMMA } expect = KEY;
	bool matched = false;
	int depth = 0;

	for (size_t i = 0; i < length; i++) {
		char c = json[i];

		if (c == '"') {
			size_t start = i + 1;

			i = string_end(json, length, i);
			if (i >= length)
				return;
			if (depth != 1)
				continue;
			if (expect == KEY) {
				matched = i - start == sizeof wanted - 1 && memcmp(json + start, wanted, i - start) == 0;
				expect = COLON;
			} else if (expect == VALUE) {
				if (matched && is_version(json + start, i - start, room)) {
					memcpy(out, json + start, i - start);
					out[i - start] = '\0';
				}
				expect = COMMA;
			}
		} else if (c == '{' || c == '[') {
			depth++;
		} else if (c == '}' || c == ']') {
			depth--;
		} else if (depth == 1 && c == ':') {
			expect = VALUE;
		} else if (depth == 1 && c == ',') {
			expect = KEY;
		}
	}
}
