// The machine "sum" in C, without any import. `../README.md` says what every machine answers.
#include "heap.h"

#define NAME "primatomic:machine/machine@0.0.1#"
#define FNV_START 14695981039346656037ull
#define FNV_PRIME 1099511628211ull
#define BIG (80u << 20)

static struct {
  u64 events, bytes, hash;
} state = {0, 0, FNV_START};

static text result;

static void write_hex(const u8 *bytes, u32 n) {
  static const u8 hexits[] = "0123456789abcdef";
  for (u32 i = 0; i < n; i++) write_text((text){(u8[]){hexits[bytes[i] >> 4], hexits[bytes[i] & 15]}, 2});
}

EXPORT(NAME "init") void init(void) { state.events = state.bytes = 0, state.hash = FNV_START; }

EXPORT(NAME "append") void append(const u8 *event, u32 len) {
  if (text_is((text){event, len}, TEXT("trap"))) __builtin_trap();
  if (text_is((text){event, len}, TEXT("loop")))
    for (;;) __asm__ volatile("");
  for (u32 i = 0; i < len; i++) state.hash = (state.hash ^ event[i]) * FNV_PRIME;
  state.events++;
  state.bytes += len;
  call_done();
}

static void write_report(text input) {
  u8 hash[8];
  for (int i = 0; i < 8; i++) hash[i] = (u8)(state.hash >> (56 - 8 * i));
  write_text(TEXT("{\"bytes\":"));
  write_number(state.bytes);
  write_text(TEXT(",\"events\":"));
  write_number(state.events);
  write_text(TEXT(",\"hash\":\""));
  write_hex(hash, 8);
  write_text(TEXT("\",\"input\":\""));
  write_hex(input.ptr, input.len);
  write_text(TEXT("\"}"));
}

EXPORT(NAME "query") text *query(const u8 *input, u32 len) {
  text asked = {input, len};
  if (text_is(asked, TEXT("trap"))) __builtin_trap();
  if (text_is(asked, TEXT("loop")))
    for (;;) __asm__ volatile("");
  if (text_is(asked, TEXT("big"))) {
    result = (text){call_alloc(1, BIG), BIG};
    return &result;
  }
  write_begin();
  if (text_is(asked, TEXT("raw"))) {
    for (u32 i = 0; i < 256; i++) write_text((text){(u8[]){(u8)i}, 1});
  } else {
    write_report(asked);
  }
  result = written();
  return &result;
}

EXPORT(NAME "snapshot") text *snapshot(void) {
  result = (text){(const u8 *)&state, sizeof state};
  return &result;
}

EXPORT(NAME "restore") void restore(const u8 *bytes, u32 len) {
  if (len != sizeof state) __builtin_trap();
  for (u32 i = 0; i < len; i++) ((u8 *)&state)[i] = bytes[i];
  call_done();
}

EXPORT("cabi_post_" NAME "query") void post_query(void *r) { (void)r, call_done(); }
EXPORT("cabi_post_" NAME "snapshot") void post_snapshot(void *r) { (void)r, call_done(); }
