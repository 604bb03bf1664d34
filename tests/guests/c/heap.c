#include "heap.h"

#define PAGE 65536u
#define KEPT_BYTES (16u << 20)

extern u8 __heap_base;
static u8 kept[KEPT_BYTES];
static u32 kept_bytes;
static u32 top;         // end of the bump region; 0 before the first call
static u32 write_start;

void *memcpy(void *to, const void *from, size_t n) {
  for (size_t i = 0; i < n; i++) ((volatile u8 *)to)[i] = ((const u8 *)from)[i];
  return to;
}

void *memset(void *to, int byte, size_t n) {
  for (size_t i = 0; i < n; i++) ((volatile u8 *)to)[i] = (u8)byte;
  return to;
}

static u32 base(void) { return (u32)(uintptr_t)&__heap_base; }

void *call_alloc(u32 align, u32 size) {
  u32 start = ((top ? top : base()) + align - 1) & ~(align - 1);
  if (start + size < start) __builtin_trap();
  u32 have = (u32)__builtin_wasm_memory_size(0) * PAGE;
  if (start + size > have) {
    u32 pages = (start + size - have + PAGE - 1) / PAGE + 16;
    if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) __builtin_trap();
  }
  top = start + size;
  return (void *)(uintptr_t)start;
}

void call_done(void) { top = base(); }

const u8 *keep(text bytes) {
  if (bytes.len > KEPT_BYTES - kept_bytes) return 0;
  u8 *copy = kept + kept_bytes;
  for (u32 i = 0; i < bytes.len; i++) copy[i] = bytes.ptr[i];
  kept_bytes += bytes.len;
  return copy;
}

void keep_nothing(void) { kept_bytes = 0; }

int text_compare(text a, text b) {
  for (u32 i = 0; i < a.len && i < b.len; i++)
    if (a.ptr[i] != b.ptr[i]) return a.ptr[i] < b.ptr[i] ? -1 : 1;
  return a.len < b.len ? -1 : a.len > b.len;
}

int text_is(text a, text b) { return a.len == b.len && text_compare(a, b) == 0; }

void write_begin(void) { write_start = (u32)(uintptr_t)call_alloc(1, 0); }

void write_text(text bytes) {
  u8 *to = call_alloc(1, bytes.len);
  for (u32 i = 0; i < bytes.len; i++) to[i] = bytes.ptr[i];
}

void write_number(u64 number) {
  u8 digits[20];
  u32 at = sizeof digits;
  do digits[--at] = (u8)('0' + number % 10);
  while (number /= 10);
  write_text((text){digits + at, (u32)sizeof digits - at});
}

text written(void) {
  return (text){(const u8 *)(uintptr_t)write_start, top - write_start};
}

// The canonical ABI's allocator. Nothing is ever grown in place.
EXPORT("cabi_realloc")
void *cabi_realloc(void *old, u32 old_size, u32 align, u32 size) {
  u8 *to = call_alloc(align, size);
  for (u32 i = 0; i < old_size && i < size; i++) to[i] = ((u8 *)old)[i];
  return to;
}
