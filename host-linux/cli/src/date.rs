//! Dates of the Gregorian calendar, in UTC.

use core::fmt;

/// A moment as a date and a time, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    year: i64,
    month: i64,
    day: i64,
    second: i64,
}

impl Date {
    /// The date of this many seconds since 1970.
    #[must_use]
    pub const fn of(seconds: i64) -> Self {
        let days = seconds.div_euclid(86_400);
        let second = seconds.rem_euclid(86_400);
        // Years that begin in March have their leap day at the end, in eras of 400 of them; day
        // 0 is 0000-03-01.
        let day = days + 719_468;
        let era = day.div_euclid(146_097);
        let day = day.rem_euclid(146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 {
            (month + 3, 0)
        } else {
            (month - 9, 1)
        };
        Self {
            year: era * 400 + year + next,
            month,
            day,
            second,
        }
    }

    /// Writes the date with hours and minutes behind what there is, as
    /// `ls --time-style=long-iso` shows it.
    pub fn append_minute_to(self, line: &mut Vec<u8>) {
        let (Ok(year @ 0..=9999), Ok(month), Ok(day), Ok(second)) = (
            u32::try_from(self.year),
            u32::try_from(self.month),
            u32::try_from(self.day),
            u32::try_from(self.second),
        ) else {
            let text = self.to_string();
            let minute = text.len().saturating_sub(3);
            line.extend_from_slice(text.as_bytes().get(..minute).unwrap_or_default());
            return;
        };
        let mut pair = |number: u32, behind: &[u8]| {
            let digit = |number: u32| b"0123456789"[(number % 10) as usize];
            line.extend_from_slice(&[digit(number / 10), digit(number)]);
            line.extend_from_slice(behind);
        };
        pair(year / 100, b"");
        pair(year, b"-");
        pair(month, b"-");
        pair(day, b" ");
        pair(second / 3600, b":");
        pair(second / 60 % 60, b"");
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            year,
            month,
            day,
            second,
        } = self;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, date) in [
            (0, "1970-01-01 00:00:00"),
            (1_700_000_000, "2023-11-14 22:13:20"),
            (951_827_696, "2000-02-29 12:34:56"),
            (4_107_542_399, "2100-02-28 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
            (-1, "1969-12-31 23:59:59"),
            (i64::from(u32::MAX), "2106-02-07 06:28:15"),
        ] {
            assert_eq!(Date::of(seconds).to_string(), date);
        }
        // Whatever an image says.
        let years = [i64::MIN, -62_167_219_201, -62_167_219_200, 0, 951_827_696];
        for seconds in years
            .into_iter()
            .chain([253_402_300_799, 253_402_300_800, i64::MAX])
        {
            let date = Date::of(seconds);
            let mut line = b"at ".to_vec();
            date.append_minute_to(&mut line);
            let whole = format!("at {date}");
            assert_eq!(line, whole.as_bytes()[..whole.len() - 3], "{seconds}");
        }
    }
}
