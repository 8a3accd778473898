/* The naming rules. Two families stand side by side here. The cg_full_* and cg_camel_* functions
 * reproduce protoc-gen-c, whose rule for capitals is plain: a run of capitals is not split, and the
 * word after it sticks to it ("URLThing" -> "urlthing"). The names of stubs are new and use the
 * rule that people expect ("url_thing"). They never meet: one family joins by two underscores, the
 * other by one. */
#include "codegen/names.h"

#include <stdint.h>
#include <string.h>

/* ctype.h follows the locale; names in a .proto are ASCII. */
static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char to_lower(char c)
{
    return is_upper(c) ? (char)(c - 'A' + 'a') : c;
}

static char to_upper(char c)
{
    return is_lower(c) ? (char)(c - 'a' + 'A') : c;
}

static char *split_camel(cg_arena *a, const char *name, char (*convert)(char))
{
    char *result = cg_alloc(a, 2 * strlen(name) + 1, 1);
    char *p = result;
    bool was_upper = true;

    for (; *name; name++) {
        bool upper = is_upper(*name);

        if (upper && !was_upper)
            *p++ = '_';
        *p++ = convert(*name);
        was_upper = upper;
    }
    return result;
}

char *cg_camel_to_lower(cg_arena *a, const char *name)
{
    return split_camel(a, name, to_lower);
}

char *cg_camel_to_upper(cg_arena *a, const char *name)
{
    return split_camel(a, name, to_upper);
}

char *cg_to_camel(cg_arena *a, const char *name)
{
    char *result = cg_alloc(a, strlen(name) + 1, 1);
    char *p = result;
    bool next_is_upper = true;

    for (; *name; name++) {
        if (*name == '_') {
            next_is_upper = true;
        } else {
            *p++ = next_is_upper ? to_upper(*name) : *name;
            next_is_upper = false;
        }
    }
    return result;
}

static char *full_name(cg_arena *a, const char *name, const char *joint,
                       char *(*convert)(cg_arena *, const char *))
{
    char *result = cg_strdup(a, "");

    while (*name) {
        size_t len = strcspn(name, ".");

        if (len > 0)
            result = cg_printf(a, "%s%s%s", result, *result ? joint : "",
                               convert(a, cg_strndup(a, name, len)));
        name += len;
        name += *name == '.';
    }
    return result;
}

char *cg_full_lower(cg_arena *a, const char *name)
{
    return full_name(a, name, "__", cg_camel_to_lower);
}

char *cg_full_upper(cg_arena *a, const char *name)
{
    return full_name(a, name, "__", cg_camel_to_upper);
}

char *cg_full_camel(cg_arena *a, const char *name)
{
    return full_name(a, name, "__", cg_to_camel);
}

char *cg_override_package(cg_arena *a, const char *name, const char *package, const char *c_package)
{
    if (!c_package)
        return cg_strdup(a, name);
    if (!*package)
        return cg_printf(a, "%s.%s", c_package, name);
    return cg_printf(a, "%s%s", c_package, name + strlen(package));
}

/* Sorted. Beyond protoc-gen-c's list stand `restrict` and `static_assert`: a member with such a
 * name does not compile as C11, so no program can depend on it. Words that only later versions of
 * C++ reserve keep the name that protoc-gen-c gives them. */
static const char *const keywords[] = {
    "and",
    "and_eq",
    "asm",
    "auto",
    "bitand",
    "bitor",
    "bool",
    "break",
    "case",
    "catch",
    "char",
    "class",
    "compl",
    "const",
    "const_cast",
    "continue",
    "default",
    "delete",
    "do",
    "double",
    "dynamic_cast",
    "else",
    "enum",
    "explicit",
    "extern",
    "false",
    "float",
    "for",
    "friend",
    "goto",
    "if",
    "inline",
    "int",
    "long",
    "mutable",
    "namespace",
    "new",
    "not",
    "not_eq",
    "operator",
    "or",
    "or_eq",
    "private",
    "protected",
    "public",
    "register",
    "reinterpret_cast",
    "restrict",
    "return",
    "short",
    "signed",
    "sizeof",
    "static",
    "static_assert",
    "static_cast",
    "struct",
    "switch",
    "template",
    "this",
    "throw",
    "true",
    "try",
    "typedef",
    "typeid",
    "typename",
    "union",
    "unsigned",
    "using",
    "virtual",
    "void",
    "volatile",
    "wchar_t",
    "while",
    "xor",
    "xor_eq",
};

/* Words that stubs avoid as well: new names owe nothing to protoc-gen-c. */
static const char *const later_keywords[] = {
    "alignas",  "alignof", "char16_t",  "char32_t",     "char8_t",   "co_await",      "co_return",
    "co_yield", "concept", "consteval", "constexpr",    "constinit", "decltype",      "export",
    "noexcept", "nullptr", "requires",  "thread_local", "typeof",    "typeof_unqual",
};

bool cg_is_keyword(const char *word)
{
    size_t i;

    for (i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
        if (strcmp(word, keywords[i]) == 0)
            return true;
    return false;
}

bool cg_is_reserved(const char *word)
{
    size_t i;

    for (i = 0; i < sizeof(later_keywords) / sizeof(later_keywords[0]); i++)
        if (strcmp(word, later_keywords[i]) == 0)
            return true;
    return cg_is_keyword(word);
}

char *cg_member_name(cg_arena *a, const char *field_name)
{
    char *name = cg_strdup(a, field_name);
    char *p;

    for (p = name; *p; p++)
        *p = to_lower(*p);
    return cg_is_keyword(name) ? cg_printf(a, "%s_", name) : name;
}

/* An underscore goes before a capital that follows a small letter or a digit, and before the last
 * capital of a run when a small letter follows it: "URLList" -> "url_list". */
static char *snake_word(cg_arena *a, const char *name)
{
    char *result = cg_alloc(a, 2 * strlen(name) + 1, 1);
    char *p = result;
    size_t i;

    for (i = 0; name[i]; i++) {
        char before = i > 0 ? name[i - 1] : '_';
        bool starts_word = is_lower(before) || is_digit(before) ||
                           (is_upper(before) && is_lower(name[i + 1]));

        if (is_upper(name[i]) && starts_word)
            *p++ = '_';
        *p++ = to_lower(name[i]);
    }
    return result;
}

char *cg_snake(cg_arena *a, const char *name)
{
    return full_name(a, name, "_", snake_word);
}

char *cg_stub_name(cg_arena *a, const char *prefix, const char *name)
{
    char *stub = cg_printf(a, "%s%s", prefix, cg_snake(a, name));

    return cg_is_reserved(stub) ? cg_printf(a, "%s_", stub) : stub;
}

static bool ends_with(const char *s, const char *suffix, size_t *ret_rest)
{
    size_t len = strlen(s), suffix_len = strlen(suffix);

    if (len < suffix_len || strcmp(s + len - suffix_len, suffix) != 0)
        return false;
    *ret_rest = len - suffix_len;
    return true;
}

char *cg_strip_proto(cg_arena *a, const char *file_name)
{
    size_t len = strlen(file_name);

    if (!ends_with(file_name, ".protodevel", &len))
        ends_with(file_name, ".proto", &len);
    return cg_strndup(a, file_name, len);
}

char *cg_file_identifier(cg_arena *a, const char *file_name)
{
    static const char hex[] = "0123456789abcdef";
    char *result = cg_alloc(a, 3 * strlen(file_name) + 1, 1);
    char *p = result;

    for (; *file_name; file_name++) {
        uint8_t c = (uint8_t)*file_name;

        if (is_upper(*file_name) || is_lower(*file_name) || is_digit(*file_name)) {
            *p++ = *file_name;
            continue;
        }
        *p++ = '_';
        if (c >= 0x10)
            *p++ = hex[c >> 4];
        *p++ = hex[c & 15];
    }
    return result;
}
