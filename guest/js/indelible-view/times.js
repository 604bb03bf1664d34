// Times: microseconds since 1970-01-01T00:00:00Z inside, RFC 3339 outside. A double holds them exactly until 2255.

const INSTANT =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;
const DAY = 86_400;
const MONTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Write a time as RFC 3339 in UTC with six digits of fraction: 2026-01-31T09:30:00.000000Z. */
export function toIso(micros) {
  const seconds = Math.floor(micros / 1_000_000);
  const fraction = micros - seconds * 1_000_000;
  const [year, month, day] = dateOf(Math.floor(seconds / DAY));
  const clock = seconds - Math.floor(seconds / DAY) * DAY;
  const pad = (number, digits) => String(number).padStart(digits, "0");
  const time = [Math.floor(clock / 3600), Math.floor(clock / 60) % 60, clock % 60].map((n) => pad(n, 2)).join(":");
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}T${time}.${pad(fraction, 6)}Z`;
}

/** Read an RFC 3339 instant; null where the text is none. Digits past the sixth are cut. */
export function parseInstant(text) {
  const found = INSTANT.exec(text);
  if (found === null || found[0].length !== text.length) return null;
  const [year, month, day, hour, minute, second] = found.slice(1, 7).map(Number);
  const [hours, minutes] = found[8] ? found.slice(9, 11).map(Number) : [0, 0];
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return null;
  if (hour > 23 || minute > 59 || second > 59 || hours > 23 || minutes > 59) return null;
  const offset = (hours * 3600 + minutes * 60) * (found[8] === "-" ? -1 : 1);
  const fraction = Number((found[7] ?? "").padEnd(6, "0").slice(0, 6));
  const seconds = daysOf(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
  return seconds * 1_000_000 + fraction;
}

function daysIn(year, month) {
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return month === 2 && leap ? 29 : MONTHS[month - 1];
}

/**
 * Days since 1970-01-01 of a date in the Gregorian calendar. A year begins in March here, so that the day which
 * comes and goes is its last one; 400 years have 146,097 days.
 */
function daysOf(year, month, day) {
  const march = month <= 2 ? year - 1 : year;
  const era = Math.floor(march / 400);
  const ofEra = march - era * 400;
  const ofYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  return era * 146_097 + ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + ofYear - 719_468;
}

function dateOf(days) {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const ofEra = shifted - era * 146_097;
  const part = ofEra - Math.floor(ofEra / 1_460) + Math.floor(ofEra / 36_524) - Math.floor(ofEra / 146_096);
  const year = Math.floor(part / 365);
  const ofYear = ofEra - (365 * year + Math.floor(year / 4) - Math.floor(year / 100));
  const month = Math.floor((5 * ofYear + 2) / 153);
  const day = ofYear - Math.floor((153 * month + 2) / 5) + 1;
  const real = month < 10 ? month + 3 : month - 9;
  return [year + era * 400 + (real <= 2 ? 1 : 0), real, day];
}
