/* Comments travel in SourceCodeInfo, keyed by the path of the element in the descriptor. They are
 * text by strangers that ends up in C source, so every way out of a C comment is closed here: the
 * sign that ends it, a backslash (or its trigraph) that joins lines, control characters, and the
 * bidirectional controls of Unicode that make code look like what it is not. */
#include "codegen/comments.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef Google__Protobuf__SourceCodeInfo__Location location;

cg_path cg_path_down(const cg_path *path, int32_t number, size_t index)
{
    cg_path down = *path;

    assert(down.n + 2 <= sizeof(down.at) / sizeof(down.at[0]));
    down.at[down.n++] = number;
    down.at[down.n++] = (int32_t)index;
    return down;
}

static int compare_paths(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b)
{
    size_t i;

    for (i = 0; i < n_a && i < n_b; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return n_a == n_b ? 0 : n_a < n_b ? -1 : 1;
}

static int compare_locations(const void *a, const void *b)
{
    const location *x = *(const location *const *)a, *y = *(const location *const *)b;

    return compare_paths(x->path, x->n_path, y->path, y->n_path);
}

cg_comments cg_comments_new(cg_arena *a, const Google__Protobuf__SourceCodeInfo *info)
{
    cg_comments comments = { NULL, 0 };
    size_t i;

    if (!info || info->n_location == 0)
        return comments;
    comments.locations = cg_alloc(a, info->n_location, sizeof(*comments.locations));
    for (i = 0; i < info->n_location; i++) {
        const location *l = info->location[i];

        if (l->leading_comments || l->trailing_comments)
            comments.locations[comments.n++] = l;
    }
    qsort(comments.locations, comments.n, sizeof(*comments.locations), compare_locations);
    return comments;
}

char *cg_comment_at(cg_arena *a, const cg_comments *comments, const cg_path *path)
{
    size_t low = 0, high = comments->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const location *l = comments->locations[middle];
        int order = compare_paths(path->at, path->n, l->path, l->n_path);

        if (order == 0)
            return cg_comment_text(a, cg_printf(a, "%s%s%s",
                                                l->leading_comments ? l->leading_comments : "",
                                                l->leading_comments ? "\n" : "",
                                                l->trailing_comments ? l->trailing_comments : ""));
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* Length of the valid UTF-8 character at p, 0 if there is none. *ret is its code point. */
static size_t utf8_char(const unsigned char *p, uint32_t *ret)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t len = p[0] < 0x80 ? 1 : (p[0] & 0xe0) == 0xc0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : 4;
    uint32_t c;
    size_t i;

    if (len == 4 && (p[0] & 0xf8) != 0xf0)
        return 0;
    c = len == 1 ? p[0] : p[0] & (0xffu >> (len + 1));
    for (i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *ret = c;
    return len;
}

static bool changes_direction(uint32_t c)
{
    return c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

/* Appends one line (without its end) in safe form. */
static void put_line(cg_out *o, const char *line, size_t len)
{
    size_t i = 0;

    while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    while (i < len) {
        const char *p = line + i;
        uint32_t c = 0;
        size_t n = utf8_char((const unsigned char *)p, &c);

        i += n ? n : 1;
        if (n == 0 || changes_direction(c))
            cg_put(o, "?");
        else if ((c < 0x20 && c != '\t') || c == 0x7f)
            cg_put(o, " ");
        else
            cg_putn(o, p, n);
        if (n == 1 && i < len && ((p[0] == '*' && p[1] == '/') || (p[0] == '/' && p[1] == '*')))
            cg_put(o, " ");
    }
    if ((len > 0 && line[len - 1] == '\\') || (len > 2 && memcmp(line + len - 3,
                                                                 "?"
                                                                 "?/",
                                                                 3) == 0))
        cg_put(o, "."); /* a line must not end in what joins it to the next */
}

char *cg_comment_text(cg_arena *a, const char *text)
{
    cg_out o = { NULL, 0, 0 };
    char *result;
    size_t blank_lines = 0;

    while (*text) {
        size_t len = strcspn(text, "\r\n");
        size_t before;

        if (strspn(text, " \t") >= len) {
            blank_lines++;
        } else {
            if (o.len > 0)
                cg_put(&o, blank_lines > 0 ? "\n\n" : "\n");
            blank_lines = 0;
            before = text[0] == ' '; /* the blank after the comment sign */
            put_line(&o, text + before, len - before);
        }
        text += len;
        text += text[0] == '\r' && text[1] == '\n';
        text += *text != '\0';
    }
    result = o.len > 0 ? cg_strdup(a, o.data) : NULL;
    cg_out_free(&o);
    return result;
}

void cg_put_comment(cg_out *o, int indent, const char *text)
{
    if (!text)
        return;
    if (!strchr(text, '\n')) {
        cg_putf(o, "%*s/* %s */\n", indent, "", text);
        return;
    }
    cg_putf(o, "%*s/*\n", indent, "");
    while (*text) {
        size_t len = strcspn(text, "\n");

        cg_putf(o, "%*s *%s%.*s\n", indent, "", len > 0 ? " " : "", (int)len, text);
        text += len;
        text += *text == '\n';
    }
    cg_putf(o, "%*s */\n", indent, "");
}
