//! Runs of time in a zone: which one an instant is in, and what it is called.

use jiff::civil::{Date, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan as _};

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// An hour of the zone's clocks.
    Hour,
    /// A day.
    Day,
    /// A week from Monday on.
    Week,
    /// A month.
    Month,
    /// Three months.
    Quarter,
    /// A year.
    Year,
}

impl Unit {
    /// Their names in a specification.
    pub const WORDS: [(&'static str, Self); 6] = [
        ("hour", Self::Hour),
        ("day", Self::Day),
        ("week", Self::Week),
        ("month", Self::Month),
        ("quarter", Self::Quarter),
        ("year", Self::Year),
    ];
}

const EPOCH: Date = Date::constant(1970, 1, 1);
const SECOND: i64 = 1_000_000;
const HOUR_SECONDS: i64 = 3_600;
const DAY_SECONDS: i64 = 86_400;

/// Buckets of one unit in one zone. An instant is told apart by a number: of an hour its first second in UTC,
/// of anything longer its first day, counted from 1970.
pub struct Buckets {
    unit: Unit,
    zone: TimeZone,
    /// The offset that was looked up last, and the quarter of an hour for which: no zone changes within one.
    last: std::cell::Cell<(i64, i64)>,
}

const QUARTER_SECONDS: i64 = 900;

impl Buckets {
    /// Buckets of this unit in this zone.
    pub const fn new(unit: Unit, zone: TimeZone) -> Self {
        Self { unit, zone, last: std::cell::Cell::new((i64::MIN, 0)) }
    }

    fn offset(&self, second: i64) -> i64 {
        // Before 1972 some zones changed at any second.
        let quarter = second.div_euclid(QUARTER_SECONDS);
        if quarter > 0 && self.last.get().0 == quarter {
            return self.last.get().1;
        }
        let instant = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
        let offset = i64::from(self.zone.to_offset(instant).seconds());
        if second > 2 * 365 * DAY_SECONDS {
            self.last.set((quarter, offset));
        }
        offset
    }

    /// The number of the bucket that an instant is in, microseconds since 1970.
    pub fn of(&self, micros: i64) -> i64 {
        let second = micros.div_euclid(SECOND);
        let local = second + self.offset(second);
        if self.unit == Unit::Hour {
            return second - local.rem_euclid(HOUR_SECONDS);
        }
        let day = local.div_euclid(DAY_SECONDS);
        if self.unit == Unit::Day {
            return day;
        }
        let date = date_of(day);
        let first = match self.unit {
            Unit::Week => return day - i64::from(date.weekday().since(Weekday::Monday)),
            Unit::Quarter => Date::new(date.year(), (date.month() - 1) / 3 * 3 + 1, 1),
            Unit::Year => Date::new(date.year(), 1, 1),
            _ => Date::new(date.year(), date.month(), 1),
        };
        first.map_or(day, day_of)
    }

    /// What a bucket is called.
    pub fn label(&self, bucket: i64) -> String {
        if self.unit == Unit::Hour {
            let offset = i32::try_from(self.offset(bucket))
                .ok()
                .and_then(|seconds| Offset::from_seconds(seconds).ok());
            let offset = offset.unwrap_or(Offset::UTC);
            let instant = Timestamp::from_second(bucket).unwrap_or(Timestamp::UNIX_EPOCH);
            return format!(
                "{}{}",
                offset.to_datetime(instant).strftime("%Y-%m-%dT%H:%M:%S"),
                signed(offset)
            );
        }
        let date = date_of(bucket);
        match self.unit {
            Unit::Month => date.strftime("%Y-%m").to_string(),
            Unit::Quarter => format!("{}-Q{}", date.strftime("%Y"), (date.month() - 1) / 3 + 1),
            Unit::Year => date.strftime("%Y").to_string(),
            _ => date.strftime("%Y-%m-%d").to_string(),
        }
    }
}

/// An offset as RFC 3339 writes it; seconds, which only local mean times have, are cut.
fn signed(offset: Offset) -> String {
    let minutes = offset.seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

fn date_of(day: i64) -> Date {
    EPOCH.saturating_add(i32::try_from(day).unwrap_or(i32::MAX).days())
}

fn day_of(date: Date) -> i64 {
    EPOCH.until(date).map_or(0, |span| i64::from(span.get_days()))
}

/// The zone of that name.
pub fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(unit: Unit, name: &str, instant: &str) -> String {
        let micros = report_core::instant::parse(instant).expect(instant);
        let buckets = Buckets::new(unit, zone(name).expect(name));
        buckets.label(buckets.of(micros))
    }

    #[test]
    fn instants_fall_into_the_runs_of_their_zone() {
        for (unit, name, instant, expected) in [
            (Unit::Hour, "Europe/Berlin", "2025-10-26T00:30:00Z", "2025-10-26T02:00:00+02:00"),
            (Unit::Hour, "Europe/Berlin", "2025-10-26T01:30:00Z", "2025-10-26T02:00:00+01:00"),
            (Unit::Hour, "Asia/Kathmandu", "2025-06-01T00:20:00Z", "2025-06-01T06:00:00+05:45"),
            (Unit::Hour, "UTC", "1969-12-31T23:59:59Z", "1969-12-31T23:00:00+00:00"),
            (Unit::Day, "America/New_York", "2025-03-01T04:59:59Z", "2025-02-28"),
            (Unit::Day, "America/New_York", "2025-03-01T05:00:00Z", "2025-03-01"),
            (Unit::Week, "UTC", "2025-01-01T00:00:00Z", "2024-12-30"),
            (Unit::Month, "Pacific/Auckland", "2025-01-31T11:00:00Z", "2025-02"),
            (Unit::Quarter, "UTC", "2025-12-31T23:59:59.999999Z", "2025-Q4"),
            (Unit::Year, "Asia/Tokyo", "2024-12-31T15:00:00Z", "2025"),
            (Unit::Day, "UTC", "0001-01-01T00:00:00Z", "0001-01-01"),
            (Unit::Year, "UTC", "9999-12-31T23:59:59Z", "9999"),
        ] {
            assert_eq!(label(unit, name, instant), expected, "{name} {instant}");
        }
        assert!(zone("Europe/Nowhere").is_none());
    }
}
