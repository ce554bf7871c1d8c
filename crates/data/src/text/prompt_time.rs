//! The date that a chat template may write into the prompt.

use serde::{Deserialize, Serialize};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The moment that `strftime_now` in a chat template sees.
///
/// It is part of the prompt, so it is given and recorded, never read from the clock: prompts of a run that goes on over
/// midnight would otherwise change without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptTime {
    days: i64,
    seconds: u32,
}

impl PromptTime {
    /// Seconds since 1970-01-01 00:00 UTC, read as UTC.
    pub fn from_unix_seconds(seconds: u32) -> Self {
        Self { days: i64::from(seconds / 86_400), seconds: seconds % 86_400 }
    }

    /// Midnight of a date, if there is such a date between the years 1 and 9999.
    pub fn date(year: u16, month: u8, day: u8) -> Option<Self> {
        let days = days_from_civil(i64::from(year), i64::from(month), i64::from(day));
        let real =
            (1..=9999).contains(&year) && civil_from_days(days) == (year.into(), month.into(), day.into());
        real.then_some(Self { days, seconds: 0 })
    }

    /// The moment in the format of Python's `strftime` in the C locale, for the directives that templates use.
    ///
    /// # Errors
    /// The directive that is not known.
    pub fn format(self, format: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = format.chars();
        while let Some(character) = rest.next() {
            if character != '%' {
                out.push(character);
                continue;
            }
            let directive = rest.next();
            let (padded, directive) = match directive {
                Some('-') => (false, rest.next()),
                other => (true, other),
            };
            let text = directive.and_then(|directive| self.directive(directive));
            let Some(text) = text else {
                return Err(format!("%{}", directive.map(String::from).unwrap_or_default()));
            };
            let text = if padded { &text } else { text.trim_start_matches(['0', ' ']) };
            out.push_str(if text.is_empty() { "0" } else { text });
        }
        Ok(out)
    }

    fn directive(self, directive: char) -> Option<String> {
        let (year, month, day) = civil_from_days(self.days);
        let (hour, minute, second) = (self.seconds / 3600, self.seconds / 60 % 60, self.seconds % 60);
        let month_name = MONTHS[(month - 1) as usize];
        let day_name = DAYS[(self.days + 4).rem_euclid(7) as usize]; // 1970-01-01 was a Thursday
        Some(match directive {
            'Y' => format!("{year:04}"),
            'y' => format!("{:02}", year % 100),
            'm' => format!("{month:02}"),
            'B' => month_name.to_owned(),
            'b' | 'h' => month_name[..3].to_owned(),
            'd' => format!("{day:02}"),
            'e' => format!("{day:2}"),
            'j' => format!("{:03}", self.days - days_from_civil(year, 1, 1) + 1),
            'A' => day_name.to_owned(),
            'a' => day_name[..3].to_owned(),
            'w' => (self.days + 4).rem_euclid(7).to_string(),
            'H' => format!("{hour:02}"),
            'I' => format!("{:02}", (hour + 11) % 12 + 1),
            'M' => format!("{minute:02}"),
            'S' => format!("{second:02}"),
            'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            'F' => format!("{year:04}-{month:02}-{day:02}"),
            'T' => format!("{hour:02}:{minute:02}:{second:02}"),
            '%' => "%".to_owned(),
            _ => return None,
        })
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, counted in years that begin in March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = (shifted_month + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let first = days_from_civil(1900, 1, 1);
        assert_eq!((first, days_from_civil(1970, 1, 1)), (-25_567, 0));
        let mut before = civil_from_days(first);
        for days in first + 1..first + 146_097 {
            let date = civil_from_days(days);
            assert_eq!(days_from_civil(date.0, date.1, date.2), days);
            assert!(date > before && (date.2 == before.2 + 1 || date.2 == 1), "{date:?} after {before:?}");
            before = date;
        }
        assert_eq!(before, (2299, 12, 31));
    }

    #[test]
    fn dates_that_do_not_exist_are_refused() {
        for (year, month, day) in [(2023, 2, 29), (2024, 13, 1), (2024, 0, 1), (2024, 4, 31), (0, 1, 1)] {
            assert_eq!(PromptTime::date(year, month, day), None, "{year}-{month}-{day}");
        }
        assert!(PromptTime::date(2024, 2, 29).is_some());
    }

    #[test]
    fn directives_follow_python() {
        let time = PromptTime::from_unix_seconds(1_709_215_445); // 2024-02-29 14:04:05
        let text = time.format("%A %a %d %-d %e %B %b %m %Y %y %j %H %I %M %S %p %F %T %w 100%%").unwrap();
        assert_eq!(
            text,
            "Thursday Thu 29 29 29 February Feb 02 2024 24 060 14 02 04 05 PM 2024-02-29 14:04:05 4 100%"
        );
        assert_eq!(time.format("%Q").unwrap_err(), "%Q");
        assert_eq!(time.format("x%").unwrap_err(), "%");
    }
}
