/* Defaults come from the descriptor as text. Numbers keep the digits that protoc wrote, which read
 * back as the very same value (protoc-gen-c shortens a float to 6 digits), and get what C wants: a
 * suffix, and an expression for the least integers, which have no literal in C. Bytes arrive
 * escaped and are escaped anew in the one form that is safe in C. */
#include "codegen/defaults.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool is_signed(const cg_field *f)
{
    return f->type == CG_TYPE(INT32) || f->type == CG_TYPE(SINT32) ||
           f->type == CG_TYPE(SFIXED32) || f->type == CG_TYPE(INT64) ||
           f->type == CG_TYPE(SINT64) || f->type == CG_TYPE(SFIXED64);
}

static bool is_wide(const cg_field *f)
{
    return f->type == CG_TYPE(INT64) || f->type == CG_TYPE(SINT64) ||
           f->type == CG_TYPE(SFIXED64) || f->type == CG_TYPE(UINT64) ||
           f->type == CG_TYPE(FIXED64);
}

static bool is_floating(const cg_field *f)
{
    return f->type == CG_TYPE(FLOAT) || f->type == CG_TYPE(DOUBLE);
}

bool cg_default_needs_math(const cg_field *f)
{
    /* "inf", "-inf", "nan": no other number has an n. */
    return is_floating(f) && f->default_text && strchr(f->default_text, 'n');
}

/* --- checks ----------------------------------------------------------------------------------- */

static const cg_enum_value *default_enum_value(const cg_field *f)
{
    size_t i;

    if (!f->default_text)
        return &f->enumeration->values[0];
    for (i = 0; i < f->enumeration->n_values; i++)
        if (strcmp(f->enumeration->values[i].name, f->default_text) == 0)
            return &f->enumeration->values[i];
    return NULL;
}

static bool is_integer(const cg_field *f)
{
    const char *digits = f->default_text + (is_signed(f) && f->default_text[0] == '-');
    long long value;

    if (!*digits || digits[strspn(digits, "0123456789")] != '\0')
        return false;
    errno = 0;
    if (!is_signed(f)) {
        unsigned long long u = strtoull(digits, NULL, 10);

        return errno == 0 && (is_wide(f) || u <= UINT32_MAX);
    }
    value = strtoll(f->default_text, NULL, 10);
    return errno == 0 && (is_wide(f) || (value >= INT32_MIN && value <= INT32_MAX));
}

static bool is_number(const char *text)
{
    const char *digits = text + (*text == '-');

    if (strcmp(digits, "inf") == 0 || strcmp(digits, "nan") == 0)
        return true;
    if (!isdigit((unsigned char)*digits))
        return false;
    digits += strspn(digits, "0123456789");
    if (*digits == '.')
        digits += 1 + strspn(digits + 1, "0123456789");
    if (*digits == 'e' || *digits == 'E') {
        digits += 1 + (digits[1] == '+' || digits[1] == '-');
        if (!isdigit((unsigned char)*digits))
            return false;
        digits += strspn(digits, "0123456789");
    }
    return *digits == '\0';
}

static bool fits(const cg_field *f)
{
    switch (f->type) {
    case CG_TYPE(STRING):
    case CG_TYPE(BYTES):
        return true;
    case CG_TYPE(BOOL):
        return strcmp(f->default_text, "true") == 0 || strcmp(f->default_text, "false") == 0;
    case CG_TYPE(FLOAT):
    case CG_TYPE(DOUBLE):
        return is_number(f->default_text);
    case CG_TYPE(ENUM):
        return default_enum_value(f) != NULL;
    case CG_TYPE(MESSAGE):
        return false;
    default:
        return is_integer(f);
    }
}

int cg_default_check(cg_model *m, const cg_message *msg, const cg_field *f)
{
    if (!f->default_text || (f->label != CG_REPEATED && fits(f)))
        return 0;
    return cg_fail(m, "%s: field %s.%s: \"%s\" cannot be its default", msg->file->name,
                   msg->names.full, f->name, f->default_text);
}

/* --- text ------------------------------------------------------------------------------------- */

/* Undoes the escapes that descriptor.proto has in defaults of bytes fields. */
static size_t unescape(const char *text, unsigned char *ret)
{
    static const char letters[] = "abfnrtv";
    static const char meanings[] = "\a\b\f\n\r\t\v";
    size_t len = 0;

    while (*text) {
        const char *letter;

        if (*text != '\\' || !text[1]) {
            ret[len++] = (unsigned char)*text++;
            continue;
        }
        text++;
        if (*text >= '0' && *text <= '7') {
            unsigned value = 0;
            int digits;

            for (digits = 0; digits < 3 && *text >= '0' && *text <= '7'; digits++)
                value = value * 8 + (unsigned)(*text++ - '0');
            ret[len++] = (unsigned char)value;
        } else if (*text == 'x' && isxdigit((unsigned char)text[1])) {
            char hex[3] = { text[1], isxdigit((unsigned char)text[2]) ? text[2] : '\0', '\0' };

            ret[len++] = (unsigned char)strtoul(hex, NULL, 16);
            text += 1 + strlen(hex);
        } else {
            letter = strchr(letters, *text);
            ret[len++] = (unsigned char)(letter ? meanings[letter - letters] : *text);
            text++;
        }
    }
    return len;
}

/* The bytes of a string or bytes default. */
static const unsigned char *default_bytes(cg_arena *a, const cg_field *f, size_t *ret_len)
{
    unsigned char *bytes = cg_alloc(a, strlen(f->default_text) + 1, 1);

    if (f->proto->type == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_BYTES) {
        *ret_len = unescape(f->default_text, bytes);
    } else {
        *ret_len = strlen(f->default_text);
        memcpy(bytes, f->default_text, *ret_len);
    }
    return bytes;
}

/* A string literal. Octal escapes have three digits at most, so what follows never sticks to them;
 * a second question mark is escaped because two of them begin a trigraph in C11. */
static void put_literal(cg_out *o, const unsigned char *bytes, size_t len)
{
    size_t i;

    cg_put(o, "\"");
    for (i = 0; i < len; i++) {
        unsigned char c = bytes[i];

        if (c == '"' || c == '\\' || (c == '?' && i > 0 && bytes[i - 1] == '?'))
            cg_putf(o, "\\%c", c);
        else if (c >= 0x20 && c < 0x7f)
            cg_putf(o, "%c", c);
        else
            cg_putf(o, "\\%03o", c);
    }
    cg_put(o, "\"");
}

static char *integer_value(cg_arena *a, const cg_field *f)
{
    const char *text = f->default_text;

    if (strcmp(text, "-9223372036854775808") == 0)
        return cg_strdup(a, "(-9223372036854775807ll - 1)");
    if (strcmp(text, "-2147483648") == 0 && !is_wide(f))
        return cg_strdup(a, "(-2147483647 - 1)");
    return cg_printf(a, "%s%s%s", text, is_signed(f) ? "" : "u", is_wide(f) ? "ll" : "");
}

static char *floating_value(cg_arena *a, const cg_field *f)
{
    const char *text = f->default_text;

    if (strstr(text, "nan"))
        return cg_strdup(a, "NAN");
    if (strstr(text, "inf"))
        return cg_strdup(a, *text == '-' ? "-INFINITY" : "INFINITY");
    return cg_printf(a, "%s%s%s", text, text[strcspn(text, ".eE")] ? "" : ".0",
                     f->type == CG_TYPE(FLOAT) ? "f" : "");
}

static char *string_value(cg_arena *a, const cg_message *msg, const cg_field *f)
{
    if (f->default_text)
        return cg_strdup(a, f->default_name);
    if (f->label != CG_NONE)
        return cg_strdup(a, "NULL");
    if (msg->file->options.const_strings)
        return cg_strdup(a, "protobuf_c_empty_string");
    /* The library's constant is const and the member is not. Going through an integer keeps
     * -Wcast-qual quiet in programs that use the macro. */
    return cg_strdup(a, "(char *)(uintptr_t)protobuf_c_empty_string");
}

char *cg_default_value(cg_arena *a, const cg_message *msg, const cg_field *f)
{
    size_t len;

    switch (f->type) {
    case CG_TYPE(MESSAGE):
        return cg_strdup(a, "NULL");
    case CG_TYPE(STRING):
        return string_value(a, msg, f);
    case CG_TYPE(BYTES):
        if (!f->default_text)
            return cg_strdup(a, "{0, NULL}");
        default_bytes(a, f, &len);
        return cg_printf(a, "{%zu, %s_data}", len, f->default_name);
    case CG_TYPE(ENUM):
        return cg_strdup(a, default_enum_value(f)->c_name);
    default:
        break;
    }
    if (!f->default_text)
        return cg_strdup(a, "0");
    if (f->type == CG_TYPE(BOOL))
        return cg_strdup(a, strcmp(f->default_text, "true") == 0 ? "1" : "0");
    return is_floating(f) ? floating_value(a, f) : integer_value(a, f);
}

void cg_put_default_declarations(cg_out *o, const cg_message *msg)
{
    size_t i;

    for (i = 0; i < msg->n_fields; i++) {
        const cg_field *f = &msg->fields[i];

        if (f->default_text && f->type == CG_TYPE(STRING))
            cg_putf(o, "extern char %s[];\n", f->default_name);
        else if (f->default_text && f->type == CG_TYPE(BYTES))
            cg_putf(o, "extern uint8_t %s_data[];\n", f->default_name);
    }
}

static const char *constant_type(const cg_field *f)
{
    switch (f->type) {
    case CG_TYPE(ENUM):
        return f->enumeration->names.type;
    case CG_TYPE(BOOL):
        return "protobuf_c_boolean";
    case CG_TYPE(FLOAT):
        return "float";
    case CG_TYPE(DOUBLE):
        return "double";
    case CG_TYPE(BYTES):
        return "ProtobufCBinaryData";
    default:
        if (is_wide(f))
            return is_signed(f) ? "int64_t" : "uint64_t";
        return is_signed(f) ? "int32_t" : "uint32_t";
    }
}

void cg_put_default_constants(cg_arena *a, cg_out *o, const cg_message *msg)
{
    size_t i;

    for (i = 0; i < msg->n_fields; i++) {
        const cg_field *f = &msg->fields[i];

        if (!f->default_text)
            continue;
        if (f->type == CG_TYPE(STRING) || f->type == CG_TYPE(BYTES)) {
            size_t len;
            const unsigned char *bytes = default_bytes(a, f, &len);

            cg_putf(o, f->type == CG_TYPE(STRING) ? "char %s[] = " : "uint8_t %s_data[] = ",
                    f->default_name);
            put_literal(o, bytes, len);
            cg_put(o, ";\n");
        }
        if (f->type != CG_TYPE(STRING))
            cg_putf(o, "static const %s %s = %s;\n", constant_type(f), f->default_name,
                    cg_default_value(a, msg, f));
    }
}
