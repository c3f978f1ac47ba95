//! What the gateway says itself: refusals, redirects, fixed answers.

use wire::h1::{put_field, put_number_field, put_status_line};
use wire::reason::Reason;

/// An answer that is whole from the beginning.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) reason: Option<Reason>,
    /// Further fields: names and values.
    pub(crate) fields: &'a [(String, String)],
    pub(crate) location: Option<&'a [u8]>,
    pub(crate) content_type: &'a str,
    pub(crate) body: &'a [u8],
    /// Microseconds since the Unix epoch, for Date.
    pub(crate) unix_us: u64,
}

/// The body of a refusal: its word and its sentence, as JSON, so that API clients can show it.
pub(crate) fn refusal_body(reason: Reason) -> String {
    // Words and sentences hold neither quotes nor backslashes nor control characters.
    format!(
        "{{\"error\":{{\"type\":\"{}\",\"message\":\"{}\"}}}}\n",
        reason.as_str(),
        reason.explain().replace(['"', '\\', '\n'], "'")
    )
}

impl<'a> Answer<'a> {
    /// The refusal for `reason`, with `body` from [`refusal_body`].
    pub(crate) fn refusal(reason: Reason, body: &'a str, unix_us: u64) -> Answer<'a> {
        Answer {
            status: reason.status(),
            reason: Some(reason),
            fields: &[],
            location: None,
            content_type: "application/json",
            body: body.as_bytes(),
            unix_us,
        }
    }

    /// Appends head and body for an HTTP/1 client.
    pub(crate) fn put(&self, out: &mut Vec<u8>, is_head: bool, closes: bool, keeps: bool) {
        put_status_line(out, self.status);
        let has_body = !matches!(self.status, 100..=199 | 204 | 304);
        if !self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            && has_body
            && !self.body.is_empty()
        {
            put_field(out, b"Content-Type", self.content_type.as_bytes());
        }
        if has_body {
            put_number_field(out, b"Content-Length", self.body.len() as u64);
        }
        out.extend_from_slice(b"Date: ");
        put_http_date(out, self.unix_us / 1_000_000);
        out.extend_from_slice(b"\r\n");
        if let Some(reason) = self.reason {
            put_field(out, b"X-Ringgate-Error", reason.as_str().as_bytes());
            if matches!(reason.status(), 503 | 429) {
                put_field(out, b"Retry-After", b"1");
            }
        }
        if let Some(location) = self.location {
            put_field(out, b"Location", location);
        }
        for (name, value) in self.fields {
            put_field(out, name.as_bytes(), value.as_bytes());
        }
        if closes {
            put_field(out, b"Connection", b"close");
        } else if keeps {
            put_field(out, b"Connection", b"keep-alive");
        }
        out.extend_from_slice(b"\r\n");
        if has_body && !is_head {
            out.extend_from_slice(self.body);
        }
    }
}

/// Appends an IMF-fixdate (RFC 9110 §5.6.7) for seconds since the Unix epoch.
fn put_http_date(out: &mut Vec<u8>, unix_s: u64) {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, seconds) = (unix_s / 86_400, unix_s % 86_400);
    let (year, month, day) = civil_from_days(days);
    let name = |names: &'static [&'static str], index: u64| {
        names.get(index as usize).copied().unwrap_or_default()
    };
    use std::io::Write as _;
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        name(&DAYS, days % 7),
        name(&MONTHS, month - 1),
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
}

/// Year, month and day of the proleptic Gregorian calendar, from days since 1970-01-01
/// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let date = |unix_s| {
            let mut out = Vec::new();
            put_http_date(&mut out, unix_s);
            String::from_utf8(out).unwrap()
        };
        // The example of RFC 9110 §5.6.7, a leap day, the epoch.
        assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn refusals_name_their_reason_and_are_json() {
        for reason in Reason::ALL {
            let body = refusal_body(*reason);
            assert_eq!(body.matches('"').count(), 10, "{body}");
            let mut out = Vec::new();
            Answer::refusal(*reason, &body, 0).put(&mut out, false, true, false);
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains(&format!("X-Ringgate-Error: {}\r\n", reason.as_str())));
            assert!(text.contains("Connection: close\r\n"));
        }
    }
}
