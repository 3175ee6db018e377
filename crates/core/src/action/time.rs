//! A point in time, as an argument: the core never reads a clock.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Microseconds since the Unix epoch, UTC; written as RFC 3339 with microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From whole seconds since the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// This point plus some seconds (which may be negative), saturating at the ends of the range.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// Whole seconds from `earlier` to this point; negative when `earlier` is later.
    pub const fn seconds_since(self, earlier: Self) -> i64 {
        (self.0 - earlier.0) / 1_000_000
    }

    /// As RFC 3339 with microseconds; `None` outside of the years 0 to 9999, which have no such form.
    pub(crate) fn rfc3339(self) -> Option<[u8; 27]> {
        let time = self.0.rem_euclid(DAY_MICROS);
        let (year, month, day) = civil(self.0.div_euclid(DAY_MICROS));
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        digits(&mut text[0..4], u64::try_from(year).ok().filter(|year| *year <= 9_999)?);
        digits(&mut text[5..7], month);
        digits(&mut text[8..10], day);
        let time = time.unsigned_abs(); // it is not negative
        let (seconds, micros) = (time / 1_000_000, time % 1_000_000);
        digits(&mut text[11..13], seconds / 3_600);
        digits(&mut text[14..16], seconds / 60 % 60);
        digits(&mut text[17..19], seconds % 60);
        digits(&mut text[20..26], micros);
        Some(text)
    }
}

const DAY_MICROS: i64 = 86_400 * 1_000_000;

/// Writes the last decimal digits of a number, as many as there is room for.
fn digits(room: &mut [u8], number: u64) {
    let mut rest = number;
    for digit in room.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8; // below ten
        rest /= 10;
    }
}

/// Year, month and day of a day since the epoch, in the proleptic Gregorian calendar. Years are counted from March, so that
/// the leap day is the last; five months of 153 days repeat (H. Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, u64, u64) {
    let since = days + 719_468; // from 0000-03-01
    let (era, of_era) = (since.div_euclid(146_097), since.rem_euclid(146_097).unsigned_abs());
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + i64::try_from(year).unwrap_or_default() + i64::from(month <= 2);
    (year, month, day)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rfc3339() {
            Some(text) => f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?),
            None => {
                let time = DateTime::from_timestamp_micros(self.0).unwrap_or(DateTime::<Utc>::UNIX_EPOCH);
                f.write_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true))
            }
        }
    }
}

impl std::str::FromStr for Timestamp {
    type Err = chrono::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(DateTime::parse_from_rfc3339(text)?.timestamp_micros()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(timestamp: Timestamp) {
        let time = DateTime::from_timestamp_micros(timestamp.0).unwrap_or(DateTime::UNIX_EPOCH);
        assert_eq!(timestamp.to_string(), time.to_rfc3339_opts(SecondsFormat::Micros, true));
    }

    #[test]
    fn edges_are_written_as_everyone_writes_them() {
        for seconds in [0, -1, 951_782_400, 951_868_799, 951_868_800, 4_107_542_399, -62_167_219_200, -62_167_219_201] {
            check(Timestamp::from_seconds(seconds));
            check(Timestamp::from_seconds(seconds).plus_seconds(1));
        }
        for micros in [i64::MIN, i64::MAX, 253_402_300_799_999_999, 253_402_300_800_000_000] {
            check(Timestamp::from_micros(micros));
        }
    }

    proptest! {
        #[test]
        fn any_moment_is_written_as_everyone_writes_it(micros in any::<i64>(), near in -62_200_000_000_i64..253_500_000_000) {
            check(Timestamp::from_micros(micros));
            check(Timestamp::from_micros(near * 1_000_000 + micros.rem_euclid(1_000_000)));
        }

        #[test]
        fn text_round_trips(micros in 0..253_402_300_799_999_999_i64) {
            let timestamp = Timestamp::from_micros(micros);
            prop_assert_eq!(timestamp.to_string().parse::<Timestamp>(), Ok(timestamp));
        }
    }
}
