#include "json.h"

#define MOST_LEVELS (1u << 20)

static u8 levels[MOST_LEVELS / 8];  // one bit a level: 1 is an object, 0 an array

static int is_space(u8 c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
static int is_digit(u8 c) { return c >= '0' && c <= '9'; }
static u8 peek(const reader *r) { return r->at < r->end ? *r->at : 0; }

void json_space(reader *r) {
  while (r->at < r->end && is_space(*r->at)) r->at++;
}

int json_take(reader *r, u8 byte) {
  if (r->at >= r->end || *r->at != byte) return 0;
  r->at++;
  return 1;
}

static int word(reader *r, text expected) {
  if ((u32)(r->end - r->at) < expected.len || !text_is((text){r->at, expected.len}, expected)) return 0;
  r->at += expected.len;
  return 1;
}

static int digits(reader *r) {
  if (!is_digit(peek(r))) return 0;
  while (is_digit(peek(r))) r->at++;
  return 1;
}

static int number(reader *r) {
  json_take(r, '-');
  if (!json_take(r, '0') && !digits(r)) return 0;
  if (json_take(r, '.') && !digits(r)) return 0;
  if (json_take(r, 'e') || json_take(r, 'E')) {
    if (!json_take(r, '+')) json_take(r, '-');
    return digits(r);
  }
  return 1;
}

int json_number(reader *r, u64 *value) {
  if (!is_digit(peek(r))) return 0;
  int zero = *r->at == '0';
  for (*value = 0; is_digit(peek(r)); r->at++) {
    u64 digit = *r->at - '0';
    if (*value > (~0ull - digit) / 10) return 0;
    *value = *value * 10 + digit;
  }
  u8 next = peek(r);
  return next != '.' && next != 'e' && next != 'E' && !(zero && *value != 0);
}

static int hex(u8 c) {
  if (is_digit(c)) return c - '0';
  u8 lower = c | 0x20;
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static int hex4(const u8 *at, const u8 *end, u32 *unit) {
  if (end - at < 4) return 0;
  *unit = 0;
  for (int i = 0; i < 4; i++) {
    int nibble = hex(at[i]);
    if (nibble < 0) return 0;
    *unit = *unit << 4 | (u32)nibble;
  }
  return 1;
}

static int is_escape(u8 c) {
  return c == '"' || c == '\\' || c == '/' || c == 'b' || c == 'f' || c == 'n' || c == 'r' || c == 't';
}

int json_raw_string(reader *r, text *raw) {
  if (!json_take(r, '"')) return 0;
  raw->ptr = r->at;
  for (; r->at < r->end && *r->at != '"'; r->at++) {
    u32 unit;
    if (*r->at < 0x20) return 0;
    if (*r->at != '\\') continue;
    r->at++;
    if (peek(r) == 'u') {
      if (!hex4(r->at + 1, r->end, &unit)) return 0;
      r->at += 4;
    } else if (!is_escape(peek(r))) {
      return 0;
    }
  }
  raw->len = (u32)(r->at - raw->ptr);
  return json_take(r, '"');
}

static int scalar(reader *r) {
  text raw;
  u8 first = peek(r);
  if (first == '"') return json_raw_string(r, &raw);
  if (first == 't') return word(r, TEXT("true"));
  if (first == 'f') return word(r, TEXT("false"));
  if (first == 'n') return word(r, TEXT("null"));
  return number(r);
}

static int member_name(reader *r) {
  text raw;
  json_space(r);
  if (!json_raw_string(r, &raw)) return 0;
  json_space(r);
  return json_take(r, ':');
}

// Without recursion, since a megabyte of brackets must not end the instance.
int json_value(reader *r) {
  u32 depth = 0;
  for (;;) {
    json_space(r);
    u8 open = peek(r);
    if (open == '{' || open == '[') {
      u32 object = open == '{';
      r->at++;
      json_space(r);
      if (!json_take(r, object ? '}' : ']')) {
        if (depth == MOST_LEVELS) return 0;
        levels[depth / 8] = (u8)((levels[depth / 8] & ~(1u << depth % 8)) | object << depth % 8);
        depth++;
        if (object && !member_name(r)) return 0;
        continue;
      }
    } else if (!scalar(r)) {
      return 0;
    }
    for (;;) {  // a value has ended
      if (depth == 0) return 1;
      u32 object = levels[(depth - 1) / 8] >> (depth - 1) % 8 & 1;
      json_space(r);
      if (json_take(r, ',')) {
        if (object && !member_name(r)) return 0;
        break;
      }
      if (!json_take(r, object ? '}' : ']')) return 0;
      depth--;
    }
  }
}

static u32 put_utf8(u8 *to, u32 point) {
  if (point < 0x80) return to[0] = (u8)point, 1;
  u32 more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
  to[0] = (u8)((0xf0u << (3 - more)) | point >> 6 * more);
  for (u32 i = 1; i <= more; i++) to[i] = (u8)(0x80 | (point >> 6 * (more - i) & 0x3f));
  return more + 1;
}

// Reads `uXXXX`, or two of them; returns the bytes passed, 0 for an unpaired surrogate.
static u32 escaped_point(const u8 *at, const u8 *end, u32 *point) {
  u32 low;
  if (!hex4(at + 1, end, point)) return 0;
  if (*point < 0xd800 || *point > 0xdfff) return 5;
  if (*point > 0xdbff || end - at < 11 || at[5] != '\\' || at[6] != 'u' || !hex4(at + 7, end, &low)) return 0;
  if (low < 0xdc00 || low > 0xdfff) return 0;
  *point = 0x10000 + ((*point - 0xd800) << 10) + (low - 0xdc00);
  return 11;
}

static u8 plain_escape(u8 c) {
  switch (c) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return c;
  }
}

int json_decode(text raw, text *decoded) {
  u8 *to = call_alloc(1, raw.len);  // an escape is never shorter than what it stands for
  const u8 *end = raw.ptr + raw.len;
  decoded->ptr = to;
  for (const u8 *at = raw.ptr; at < end; at++) {
    if (*at != '\\') {
      *to++ = *at;
    } else if (*++at != 'u') {
      *to++ = plain_escape(*at);
    } else {
      u32 point, passed = escaped_point(at, end, &point);
      if (!passed) return 0;
      to += put_utf8(to, point);
      at += passed - 1;
    }
  }
  decoded->len = (u32)(to - decoded->ptr);
  return 1;
}

static void write_escape(u8 c) {
  static const u8 hexits[] = "0123456789abcdef";
  static const u8 short_of[] = "btn\0fr";  // from backspace to carriage return
  u8 out[6] = {'\\', c, '0', '0', hexits[c >> 4 & 15], hexits[c & 15]};
  if (c < 0x20) out[1] = c >= 8 && c <= 13 && short_of[c - 8] ? short_of[c - 8] : 'u';
  write_text((text){out, out[1] == 'u' ? 6 : 2});
}

void json_write_string(text bytes) {
  write_text(TEXT("\""));
  u32 from = 0;
  for (u32 i = 0; i < bytes.len; i++) {
    u8 c = bytes.ptr[i];
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    write_text((text){bytes.ptr + from, i - from});
    write_escape(c);
    from = i + 1;
  }
  write_text((text){bytes.ptr + from, bytes.len - from});
  write_text(TEXT("\""));
}
