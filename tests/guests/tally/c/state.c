#include "state.h"

#define ROWS_A_PART 100u

static u64 numbers[NUMBERS];
static table types, writers;
static u32 parts_restored;

static void table_clear(table *t) {
  for (u32 i = 0; i < MOST_ROWS * 2; i++) t->slots[i] = 0;
  t->rows = 0;
}

void state_clear(void) {
  for (u32 i = 0; i < NUMBERS; i++) numbers[i] = 0;
  table_clear(&types);
  table_clear(&writers);
  keep_nothing();
  parts_restored = 0;
}

// The count of a name; with `make`, a new row when there is none. Null: not there, or full.
static u64 *row(table *t, text name, int make) {
  u32 hash = 2166136261u;
  for (u32 i = 0; i < name.len; i++) hash = (hash ^ name.ptr[i]) * 16777619u;
  u32 slot = hash % (MOST_ROWS * 2);
  for (; t->slots[slot]; slot = (slot + 1) % (MOST_ROWS * 2))
    if (text_is(t->names[t->slots[slot] - 1], name)) return &t->counts[t->slots[slot] - 1];
  const u8 *copy = make && t->rows < MOST_ROWS ? keep(name) : 0;
  if (!copy) return 0;
  t->names[t->rows] = (text){copy, name.len};
  t->counts[t->rows] = 0;
  t->slots[slot] = ++t->rows;
  return &t->counts[t->rows - 1];
}

static int count(table *t, text name, u64 by) {
  u64 *found = row(t, name, 1);
  if (found) *found += by;
  return found != 0;
}

// The raw text of the last member `type`, passing all others: 0 unreadable, 1 no string there, 2 found.
static int type_of(text payload, text *raw) {
  reader r = {payload.ptr, payload.ptr + payload.len};
  int kind = 1;
  json_space(&r);
  if (!json_take(&r, '{')) return 0;
  json_space(&r);
  if (!json_take(&r, '}')) {
    do {
      text name, decoded;
      json_space(&r);
      if (!json_raw_string(&r, &name)) return 0;
      json_space(&r);
      if (!json_take(&r, ':')) return 0;
      json_space(&r);
      if (json_decode(name, &decoded) && text_is(decoded, TEXT("type"))) {
        kind = r.at < r.end && *r.at == '"' ? 2 : 1;
        if (kind == 2 ? !json_raw_string(&r, raw) : !json_value(&r)) return 0;
      } else if (!json_value(&r)) {
        return 0;
      }
      json_space(&r);
    } while (json_take(&r, ','));
    if (!json_take(&r, '}')) return 0;
  }
  json_space(&r);
  return r.at == r.end ? kind : 0;
}

static int fold_text(text payload) {
  text raw, name;
  int kind = type_of(payload, &raw);
  if (kind == 2 && json_decode(raw, &name)) return count(&types, name, 1);
  numbers[kind == 1 ? UNTYPED : UNREADABLE]++;
  return 1;
}

int state_fold(const batch *b) {
  if (b->events == 0) return 1;
  if (numbers[EVENTS] == 0) {
    numbers[FIRST_SEQUENCE] = b->first_sequence;
    numbers[FIRST_TIME] = b->times[0];
  }
  numbers[LAST_SEQUENCE] = b->first_sequence + b->events - 1;
  numbers[LAST_TIME] = b->times[b->events - 1];
  numbers[EVENTS] += b->events;
  for (u32 i = 0; i < b->events; i++) {
    u8 form = b->forms_count ? b->forms[i] : FORM_TEXT;
    numbers[BYTES] += b->payloads[i].len;
    if (form == FORM_ERASED) numbers[ERASED]++;
    if (form == FORM_BASE64) numbers[UNREADABLE]++;
    if (form == FORM_TEXT && !fold_text(b->payloads[i])) return 0;
  }
  if (b->writer_of_count == 0) return count(&writers, b->writers[0], b->events);
  for (u32 i = 0; i < b->writer_of_count; i++)
    if (!count(&writers, b->writers[b->writer_of[i]], 1)) return 0;
  return 1;
}

// The places of the rows in the order of their names.
static u32 *sorted(const table *t) {
  u32 *order = call_alloc(4, t->rows * 4);
  for (u32 i = 0; i < t->rows; i++) {
    u32 at = i;
    for (; at > 0 && text_compare(t->names[order[at - 1]], t->names[i]) > 0; at--) order[at] = order[at - 1];
    order[at] = i;
  }
  return order;
}

static void write_row(int place, text name, u64 number) {
  if (place) write_text(TEXT(","));
  json_write_string(name);
  write_text(TEXT(":"));
  write_number(number);
}

static void write_table(const table *t, const u32 *order) {
  write_text(TEXT("{"));
  for (u32 i = 0; i < t->rows; i++) write_row(i > 0, t->names[order[i]], t->counts[order[i]]);
  write_text(TEXT("}"));
}

// The smallest name of `only` above `after`, so that repeats are written once.
static const text *next_name(const text *only, u32 n, const text *after) {
  const text *next = 0;
  for (u32 i = 0; i < n; i++)
    if ((!after || text_compare(only[i], *after) > 0) && (!next || text_compare(only[i], *next) < 0)) next = &only[i];
  return next;
}

static void write_only(const text *only, u32 n) {
  write_text(TEXT("{"));
  for (const text *name = next_name(only, n, 0), *first = name; name; name = next_name(only, n, name)) {
    u64 *found = row(&types, *name, 0);
    write_row(name != first, *name, found ? *found : 0);
  }
  write_text(TEXT("}"));
}

static void write_member(text name, u64 number) {
  write_text(name);
  write_number(number);
}

static void write_place(text name, u32 sequence) {
  write_text(name);
  if (numbers[EVENTS] == 0) {
    write_text(TEXT("null"));
    return;
  }
  write_member(TEXT("{\"sequence\":"), numbers[sequence]);
  write_member(TEXT(",\"time\":"), numbers[sequence + 1]);
  write_text(TEXT("}"));
}

// Leaves out the closing brace, since an echo may follow.
void state_report(const text *only, u32 only_count) {
  u32 *of_types = sorted(&types), *of_writers = sorted(&writers);
  write_begin();
  write_member(TEXT("{\"bytes\":"), numbers[BYTES]);
  write_text(TEXT(",\"counts\":"));
  if (only_count) write_only(only, only_count);
  else write_table(&types, of_types);
  write_member(TEXT(",\"erased\":"), numbers[ERASED]);
  write_member(TEXT(",\"events\":"), numbers[EVENTS]);
  write_place(TEXT(",\"first\":"), FIRST_SEQUENCE);
  write_place(TEXT(",\"last\":"), LAST_SEQUENCE);
  write_member(TEXT(",\"unreadable\":"), numbers[UNREADABLE]);
  write_member(TEXT(",\"untyped\":"), numbers[UNTYPED]);
  write_text(TEXT(",\"writers\":"));
  write_table(&writers, of_writers);
}

int state_part(u32 part) {
  u32 *of_types = sorted(&types), *of_writers = sorted(&writers);
  u64 from = (u64)(part - 1) * ROWS_A_PART, all = (u64)types.rows + writers.rows;
  write_begin();
  if (part == 0) {
    write_text(TEXT("tally 1"));
    for (u32 i = 0; i < NUMBERS; i++) write_member(TEXT(" "), numbers[i]);
    write_text(TEXT("\n"));
    return 1;
  }
  for (u64 i = from; i < all && i < from + ROWS_A_PART; i++) {
    const table *t = i < types.rows ? &types : &writers;
    u32 at = i < types.rows ? of_types[i] : of_writers[i - types.rows];
    write_member(t == &types ? TEXT("t ") : TEXT("w "), t->counts[at]);
    write_text(TEXT(" "));
    json_write_string(t->names[at]);
    write_text(TEXT("\n"));
  }
  return from < all;
}

static int restore_numbers(reader *r) {
  text head = {r->at, 7};
  if (r->end - r->at < 7 || !text_is(head, TEXT("tally 1"))) return 0;
  r->at += 7;
  for (u32 i = 0; i < NUMBERS; i++)
    if (!json_take(r, ' ') || !json_number(r, &numbers[i])) return 0;
  return json_take(r, '\n');
}

static int restore_row(reader *r) {
  text raw, name;
  u64 number;
  table *t = json_take(r, 't') ? &types : json_take(r, 'w') ? &writers : 0;
  if (!t || !json_take(r, ' ') || !json_number(r, &number) || !json_take(r, ' ')) return 0;
  if (!json_raw_string(r, &raw) || !json_decode(raw, &name) || !json_take(r, '\n')) return 0;
  return count(t, name, number);
}

int state_restore(u32 part, text lines) {
  reader r = {lines.ptr, lines.ptr + lines.len};
  if (part != 0 && part != parts_restored) return 0;
  if (part == 0) {
    state_clear();
    if (!restore_numbers(&r)) return 0;
  }
  while (r.at < r.end)
    if (!restore_row(&r)) return 0;
  parts_restored = part + 1;
  return 1;
}
