// The view "tally" in C, against the canonical ABI by hand. `../README.md` says what every tally answers.
#include "state.h"

#define NAME "indelible:view/view@1.0.0#"
#define BIG (100u << 20)

// result<_, string>, and option<string>
typedef struct {
  u32 tag;
  text value;
} tagged;

// result<answer, refusal>
typedef struct {
  u32 tag;
  union {
    struct {
      text content_type, body;
    } answer;
    struct {
      u32 tag;
      text value;
    } refusal;
  };
} outcome;

typedef struct {
  text name, value;
} pair;

enum { INVALID, FAILED };

static const text CONFIG = LITERAL("config takes only fail-at and trap-at, each a whole number");
static const text NO_SNAPSHOT = LITERAL("not a snapshot of a tally");
static const text DESCRIPTION =
    LITERAL("{\"description\":\"Counts events by their type.\",\"parameters\":{\"additionalProperties\":false,"
            "\"properties\":{\"type\":{\"items\":{\"type\":\"string\"},\"type\":\"array\"}},"
            "\"type\":\"object\"},\"title\":\"Tally\"}");

static u64 fail_at, trap_at;
static u8 init_bytes[1u << 20];  // config and facts, for the echo
static u32 init_used;
static text config_text;
static pair init_facts[64];
static u32 init_facts_count;
static tagged result;
static outcome answered;

static tagged *ok(void) {
  result = (tagged){0, {0, 0}};
  return &result;
}

static tagged *error(text why) {
  result = (tagged){1, why};
  return &result;
}

static text keep_init(text bytes) {
  if (bytes.len > sizeof init_bytes - init_used) __builtin_trap();
  u8 *copy = init_bytes + init_used;
  for (u32 i = 0; i < bytes.len; i++) copy[i] = bytes.ptr[i];
  init_used += bytes.len;
  return (text){copy, bytes.len};
}

static int parse_config(text config) {
  reader r = {config.ptr, config.ptr + config.len};
  fail_at = trap_at = 0;
  if (config.len == 0) return 1;
  json_space(&r);
  if (!json_take(&r, '{')) return 0;
  json_space(&r);
  if (!json_take(&r, '}')) {
    do {
      text name;
      json_space(&r);
      if (!json_raw_string(&r, &name)) return 0;
      u64 *to = text_is(name, TEXT("fail-at")) ? &fail_at : text_is(name, TEXT("trap-at")) ? &trap_at : 0;
      json_space(&r);
      if (!to || !json_take(&r, ':')) return 0;
      json_space(&r);
      if (!json_number(&r, to)) return 0;
      json_space(&r);
    } while (json_take(&r, ','));
    if (!json_take(&r, '}')) return 0;
  }
  json_space(&r);
  return r.at == r.end;
}

EXPORT(NAME "describe") text *describe(void) {
  static text description;
  description = DESCRIPTION;
  return &description;
}

EXPORT(NAME "init") tagged *init(const u8 *config, u32 config_len, const pair *facts, u32 facts_count) {
  if (!parse_config((text){config, config_len})) return error(CONFIG);
  if (facts_count > sizeof init_facts / sizeof *init_facts) __builtin_trap();
  init_used = 0;
  config_text = keep_init((text){config, config_len});
  for (u32 i = 0; i < facts_count; i++)
    init_facts[i] = (pair){keep_init(facts[i].name), keep_init(facts[i].value)};
  init_facts_count = facts_count;
  state_clear();
  return ok();
}

EXPORT(NAME "append")
tagged *append(u64 first, const u64 *times, u32 times_count, const text *payloads, u32 events, const u8 *forms,
               u32 forms_count, const text *writers, u32 writers_count, const u32 *writer_of, u32 writer_of_count) {
  (void)times_count, (void)writers_count;
  int fails = fail_at >= first && fail_at - first < events;
  int traps = trap_at >= first && trap_at - first < events;
  if (traps && !(fails && fail_at <= trap_at)) __builtin_trap();
  if (fails) {
    write_begin();
    write_text(TEXT("told to fail at "));
    write_number(fail_at);
    return error(written());
  }
  batch b = {first, times, payloads, events, forms, forms_count, writers, writer_of, writer_of_count};
  return state_fold(&b) ? ok() : error(TEXT("a tally in C holds no more names"));
}

static void write_pairs(const pair *pairs, u32 n) {
  write_text(TEXT("["));
  for (u32 i = 0; i < n; i++) {
    write_text(i ? TEXT(",[") : TEXT("["));
    json_write_string(pairs[i].name);
    write_text(TEXT(","));
    json_write_string(pairs[i].value);
    write_text(TEXT("]"));
  }
  write_text(TEXT("]"));
}

static outcome *answer(text body) {
  answered.tag = 0;
  answered.answer.content_type = TEXT("application/json");
  answered.answer.body = body;
  return &answered;
}

static outcome *refuse(u32 how, text why) {
  answered.tag = 1;
  answered.refusal.tag = how;
  answered.refusal.value = why;
  return &answered;
}

static outcome *boom(text how) {
  if (text_is(how, TEXT("trap"))) __builtin_trap();
  if (text_is(how, TEXT("fail"))) return refuse(FAILED, TEXT("told to fail"));
  if (text_is(how, TEXT("big"))) {
    u8 *big = call_alloc(1, BIG);
    for (u32 i = 0; i < BIG; i++) big[i] = 'x';
    return answer((text){big, BIG});
  }
  if (text_is(how, TEXT("loop")))
    for (;;) __asm__ volatile("");
  return refuse(INVALID, TEXT("boom takes big, fail, loop or trap"));
}

static outcome *unknown(text name) {
  write_begin();
  write_text(TEXT("unknown parameter "));
  write_text(name);
  write_text(TEXT("; known: boom, echo, type"));
  return refuse(INVALID, written());
}

static void write_echo(const pair *params, u32 params_count, text body, const pair *facts, u32 facts_count) {
  write_text(TEXT(",\"~echo\":{\"body\":"));
  json_write_string(body);
  write_text(TEXT(",\"config\":"));
  json_write_string(config_text);
  write_text(TEXT(",\"facts\":"));
  write_pairs(facts, facts_count);
  write_text(TEXT(",\"init\":"));
  write_pairs(init_facts, init_facts_count);
  write_text(TEXT(",\"params\":"));
  write_pairs(params, params_count);
  write_text(TEXT("}"));
}

EXPORT(NAME "query")
outcome *query(const pair *params, u32 params_count, const u8 *body, u32 body_len, const pair *facts, u32 facts_count) {
  text *only = call_alloc(4, params_count * sizeof *only);
  u32 only_count = 0;
  int echo = 0;
  for (u32 i = 0; i < params_count; i++) {
    if (text_is(params[i].name, TEXT("type"))) only[only_count++] = params[i].value;
    else if (text_is(params[i].name, TEXT("echo"))) echo = 1;
    else if (text_is(params[i].name, TEXT("boom"))) return boom(params[i].value);
    else return unknown(params[i].name);
  }
  state_report(only, only_count);
  if (echo) write_echo(params, params_count, (text){body, body_len}, facts, facts_count);
  write_text(TEXT("}"));
  return answer(written());
}

EXPORT(NAME "snapshot") tagged *snapshot(u32 part) {
  result.tag = (u32)state_part(part);
  result.value = written();
  return &result;
}

EXPORT(NAME "restore") tagged *restore(u32 part, const u8 *lines, u32 len, u32 last) {
  (void)last;
  return state_restore(part, (text){lines, len}) ? ok() : error(NO_SNAPSHOT);
}

EXPORT("cabi_post_" NAME "describe") void post_describe(void *r) { (void)r, call_done(); }
EXPORT("cabi_post_" NAME "init") void post_init(void *r) { (void)r, call_done(); }
EXPORT("cabi_post_" NAME "append") void post_append(void *r) { (void)r, call_done(); }
EXPORT("cabi_post_" NAME "query") void post_query(void *r) { (void)r, call_done(); }
EXPORT("cabi_post_" NAME "snapshot") void post_snapshot(void *r) { (void)r, call_done(); }
EXPORT("cabi_post_" NAME "restore") void post_restore(void *r) { (void)r, call_done(); }
