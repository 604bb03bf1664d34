// JSON as tally reads and writes it (RFC 8259). The text is UTF-8: the component boundary saw to that.
#pragma once

#include "heap.h"

// A place in a text that is being read.
typedef struct {
  const u8 *at;
  const u8 *end;
} reader;

void json_space(reader *r);
int json_take(reader *r, u8 byte);             // whether the byte was next, and is passed
int json_value(reader *r);                     // passes one value of any depth; 0 when it is none
int json_number(reader *r, u64 *number);       // passes a whole number without sign, fraction or exponent
int json_raw_string(reader *r, text *raw);     // passes a string; raw is what stands between its quotes
int json_decode(text raw, text *decoded);      // 0 for an unpaired surrogate
void json_write_string(text bytes);
