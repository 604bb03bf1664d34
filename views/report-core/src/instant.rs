//! Times: microseconds since 1970-01-01T00:00:00Z inside, RFC 3339 outside.

const SECOND: i64 = 1_000_000;
const DAY_SECONDS: i64 = 86_400;
/// 0001-01-01T00:00:00Z.
pub const FIRST: i64 = -62_135_596_800 * SECOND;
/// 9999-12-31T23:59:59.999999Z.
pub const LAST: i64 = 253_402_300_800 * SECOND - 1;
/// Numbers below this many milliseconds (1973) may be seconds, and are not read at all.
const FIRST_MILLIS: i64 = 100_000_000_000;

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that the leap
/// day ends one.
fn days_from_date(year: i64, month: i64, day: i64) -> i64 {
    let year_from_march = if month > 2 { year } else { year - 1 };
    let month_from_march = (month + 9) % 12;
    let leap_days =
        year_from_march.div_euclid(4) - year_from_march.div_euclid(100) + year_from_march.div_euclid(400);
    365 * year_from_march + leap_days + (153 * month_from_march + 2) / 5 + day - 719_469
}

fn date_from_days(days: i64) -> (i64, i64, i64) {
    // A guess from the mean length of a year is off by at most one.
    let mut year = 1970 + (days * 400).div_euclid(146_097);
    while days_from_date(year + 1, 1, 1) <= days {
        year += 1;
    }
    while days_from_date(year, 1, 1) > days {
        year -= 1;
    }
    let month = (1..=12).rev().find(|month| days_from_date(year, *month, 1) <= days).unwrap_or(1);
    (year, month, days - days_from_date(year, month, 1) + 1)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    days_from_date(next.0, next.1, 1) - days_from_date(year, month, 1)
}

/// Writes an instant in UTC with six digits of fraction and `Z`.
pub fn format(micros: i64) -> String {
    let (year, month, day) = date_from_days(micros.div_euclid(DAY_SECONDS * SECOND));
    let of_day = micros.rem_euclid(DAY_SECONDS * SECOND);
    let (seconds, fraction) = (of_day / SECOND, of_day % SECOND);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
}

/// Reads `count` digits at `at`.
fn digits(bytes: &[u8], at: usize, count: usize) -> Option<i64> {
    let run = bytes.get(at..at + count)?;
    run.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

fn number(bytes: &[u8], at: usize, count: usize, low: i64, high: i64) -> Option<i64> {
    digits(bytes, at, count).filter(|value| (low..=high).contains(value))
}

/// The offset from UTC in seconds that is all of `bytes`.
fn offset(bytes: &[u8]) -> Option<i64> {
    match bytes {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let seconds = number(bytes, 1, 2, 0, 23)? * 3600 + number(bytes, 4, 2, 0, 59)? * 60;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

/// Reads an RFC 3339 instant (section 5.6). Digits of the fraction past the sixth are cut; a leap second, and
/// an instant outside the years 1 to 9999, are not read.
pub fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let (year, month) = (number(bytes, 0, 4, 1, 9999)?, number(bytes, 5, 2, 1, 12)?);
    let day = number(bytes, 8, 2, 1, days_in_month(year, month))?;
    let (hour, minute) = (number(bytes, 11, 2, 0, 23)?, number(bytes, 14, 2, 0, 59)?);
    let second = number(bytes, 17, 2, 0, 59)?;
    let marks =
        [bytes[4], bytes[7], bytes[13], bytes[16]] == *b"--::" && matches!(bytes[10], b'T' | b't' | b' ');
    let (fraction, rest) = fraction(&bytes[19..])?;
    let seconds =
        days_from_date(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second - offset(rest)?;
    let micros = seconds * SECOND + fraction;
    (marks && (FIRST..=LAST).contains(&micros)).then_some(micros)
}

/// The microseconds of an optional fraction of one to nine digits, and what follows it.
fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.', rest @ ..] = bytes else { return Some((0, bytes)) };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let micros = (0..6).fold(0, |sum, at| {
        let digit = if at < count { rest[at] - b'0' } else { 0 };
        sum * 10 + i64::from(digit)
    });
    Some((micros, &rest[count..]))
}

/// Reads a JSON number as milliseconds since 1970, as OCSF and most programs write them. A number that could
/// be seconds is not read: a wrong date would be worse than none.
pub fn from_millis(number: &str) -> Option<i64> {
    let millis =
        number.parse::<i64>().ok().or_else(|| number.parse::<f64>().ok().map(|millis| millis as i64))?;
    (FIRST_MILLIS..=LAST / 1_000).contains(&millis).then(|| millis * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants_read_and_write_back() {
        for (text, micros) in [
            ("1970-01-01T00:00:00.000000Z", 0),
            ("2025-03-31T23:59:59.999999Z", 1_743_465_599_999_999),
            ("2000-02-29T12:00:00.000001Z", 951_825_600_000_001),
            ("1969-12-31T23:59:59.999999Z", -1),
            ("0001-01-01T00:00:00.000000Z", FIRST),
            ("9999-12-31T23:59:59.999999Z", LAST),
        ] {
            assert_eq!(parse(text), Some(micros), "{text}");
            assert_eq!(format(micros), text);
        }
    }

    #[test]
    fn every_day_of_four_centuries_has_its_own_date() {
        let mut expected = days_from_date(1800, 1, 1);
        for days in days_from_date(1800, 1, 1)..days_from_date(2200, 1, 1) {
            let (year, month, day) = date_from_days(days);
            assert_eq!(days_from_date(year, month, day), expected);
            assert!((1..=days_in_month(year, month)).contains(&day));
            expected += 1;
        }
        assert_eq!(date_from_days(expected), (2200, 1, 1));
    }

    #[test]
    fn offsets_and_fractions_count() {
        let noon = parse("2025-06-01T12:00:00Z");
        assert!(noon.is_some());
        assert_eq!(parse("2025-06-01T14:00:00+02:00"), noon);
        assert_eq!(parse("2025-06-01 06:30:00.000-05:30"), noon);
        assert_eq!(parse("2025-06-01t12:00:00.0000009z"), noon);
        assert_eq!(parse("2025-06-01T12:00:00.5Z"), noon.map(|micros| micros + 500_000));
    }

    #[test]
    fn what_is_no_instant_is_not_read() {
        for text in [
            "",
            "2025",
            "2025-06-01",
            "2025-06-01T12:00:00",
            "2025-06-31T12:00:00Z",
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-06-01T24:00:00Z",
            "2025-06-01T12:00:60Z",
            "2025-06-01T12:00:00.Z",
            "2025-06-01T12:00:00.1234567890Z",
            "2025-06-01T12:00:00+0200",
            "2025/06/01T12:00:00Z",
            "0001-01-01T00:00:00+01:00",
            "yesterday",
            "２025-06-01T12:00:00Z",
            "2025-06-01T12:00:00Z ",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_milliseconds_are_read_as_numbers() {
        assert_eq!(from_millis("1735689600123"), Some(1_735_689_600_123_000));
        assert_eq!(from_millis("1735689600123.9"), Some(1_735_689_600_123_000));
        for number in ["1735689600", "-1735689600123", "1e300", "0", "9999999999999999"] {
            assert_eq!(from_millis(number), None, "{number}");
        }
    }
}
