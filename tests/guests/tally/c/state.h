// What tally folds, its report, and its snapshot.
#pragma once

#include "json.h"

#define MOST_ROWS 65536u

// Counts by name, open addressing; rows are kept in the order of their first sight.
typedef struct {
  text names[MOST_ROWS];
  u64 counts[MOST_ROWS];
  u32 slots[MOST_ROWS * 2];  // place of a row plus 1
  u32 rows;
} table;

enum { BYTES, ERASED, EVENTS, UNREADABLE, UNTYPED, FIRST_SEQUENCE, FIRST_TIME, LAST_SEQUENCE, LAST_TIME, NUMBERS };

enum { FORM_TEXT, FORM_BASE64, FORM_ERASED };

typedef struct {
  u64 first_sequence;
  const u64 *times;
  const text *payloads;
  u32 events;
  const u8 *forms;
  u32 forms_count;
  const text *writers;
  const u32 *writer_of;
  u32 writer_of_count;
} batch;

void state_clear(void);
int state_fold(const batch *b);              // 0 when it holds no more names
void state_report(const text *only, u32 only_count);
int state_part(u32 part);                    // 0 when there is none
int state_restore(u32 part, text lines);     // 0 for what is no snapshot
