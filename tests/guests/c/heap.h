// Memory of the guests in C. What a call needs lies in one bump region that the next call starts anew;
// what is kept lies in a fixed one. No free, no fragments.
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

// A string or a list as the canonical ABI has it.
typedef struct {
  const u8 *ptr;
  u32 len;
} text;

_Static_assert(sizeof(text) == 8, "the canonical ABI of a string");

#define EXPORT(name) __attribute__((export_name(name)))
#define LITERAL(literal) {(const u8 *)(literal), sizeof(literal) - 1}
#define TEXT(literal) ((text)LITERAL(literal))

void *call_alloc(u32 align, u32 size);      // until call_done
void call_done(void);                       // forgets all that call_alloc gave
const u8 *keep(text bytes);                 // a copy for ever; null when the fixed region is full
void keep_nothing(void);                    // forgets all copies
int text_compare(text a, text b);           // as memcmp, the shorter one first
int text_is(text a, text b);

// One text at a time is written at the end of the bump region.
void write_begin(void);
void write_text(text bytes);
void write_number(u64 number);
text written(void);
