//! Check digits and other rules that a format alone cannot say.

/// The digits of a text, whatever stands between them.
fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

/// A number below 100 made of two digits.
fn two(digits: &[u32], at: usize) -> u32 {
    digits.get(at).copied().unwrap_or(0) * 10 + digits.get(at + 1).copied().unwrap_or(0)
}

fn is_day(month: u32, day: u32) -> bool {
    (1..=12).contains(&month) && (1..=31).contains(&day)
}

/// ISO/IEC 7812-1, annex B.
fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2 == 1, digit * 2) {
            (false, _) => *digit,
            (true, double) if double > 9 => double - 9,
            (true, double) => double,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Digits and letters as a number modulo 97 (ISO 7064): a letter stands for 10 to 35.
fn modulo_97(mut text: impl Iterator<Item = char>) -> Option<u32> {
    text.try_fold(0, |rest, c| {
        let value = c.to_digit(36)?;
        Some(if value > 9 { (rest * 100 + value) % 97 } else { (rest * 10 + value) % 97 })
    })
}

/// Within the lengths of RFC 5321, section 4.5.3.1, and no file such as a picture for dense screens (`logo@2x.png`).
pub(super) fn is_email(text: &str) -> bool {
    const FILES: &[&str] = &["png", "jpg", "jpeg", "gif", "svg", "webp", "js", "css", "html"];
    let last = text.rsplit('.').next().unwrap_or_default();
    let (local, domain) = text.rsplit_once('@').unwrap_or_default();
    let labels = domain.split('.').all(|label| label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-'));
    local.len() <= 64
        && domain.len() <= 255
        && labels
        && !FILES.contains(&last)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
}

/// ISO 13616, with the lengths of the IBAN registry.
pub(super) fn is_iban(text: &str) -> bool {
    #[rustfmt::skip]
    const LENGTHS: &[(&str, usize)] = &[
        ("AD", 24), ("AE", 23), ("AL", 28), ("AT", 20), ("AZ", 28), ("BA", 20), ("BE", 16), ("BG", 22), ("BH", 22), ("BI", 27),
        ("BR", 29), ("BY", 28), ("CH", 21), ("CR", 22), ("CY", 28), ("CZ", 24), ("DE", 22), ("DJ", 27), ("DK", 18), ("DO", 28),
        ("EE", 20), ("EG", 29), ("ES", 24), ("FI", 18), ("FK", 18), ("FO", 18), ("FR", 27), ("GB", 22), ("GE", 22), ("GI", 23),
        ("GL", 18), ("GR", 27), ("GT", 28), ("HN", 28), ("HR", 21), ("HU", 28), ("IE", 22), ("IL", 23), ("IQ", 23), ("IS", 26),
        ("IT", 27), ("JO", 30), ("KW", 30), ("KZ", 20), ("LB", 28), ("LC", 32), ("LI", 21), ("LT", 20), ("LU", 20), ("LV", 21),
        ("LY", 25), ("MC", 27), ("MD", 24), ("ME", 22), ("MK", 19), ("MN", 20), ("MR", 27), ("MT", 31), ("MU", 30), ("NI", 28),
        ("NL", 18), ("NO", 15), ("OM", 23), ("PK", 24), ("PL", 28), ("PS", 29), ("PT", 25), ("QA", 29), ("RO", 24), ("RS", 22),
        ("RU", 33), ("SA", 24), ("SC", 31), ("SD", 18), ("SE", 24), ("SI", 19), ("SK", 24), ("SM", 27), ("SO", 23), ("ST", 25),
        ("SV", 28), ("TL", 23), ("TN", 24), ("TR", 26), ("UA", 29), ("VA", 22), ("VG", 24), ("XK", 20), ("YE", 30),
    ];
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    let known = |(country, length): &(&str, usize)| plain.starts_with(country) && plain.len() == *length;
    let (head, tail) = plain.split_at(4.min(plain.len()));
    LENGTHS.iter().any(known) && modulo_97(tail.chars().chain(head.chars())) == Some(1)
}

/// Check digit, and the lengths of the networks by their first digits; no single digit over and over.
pub(super) fn is_card(text: &str) -> bool {
    let digits = digits(text);
    let lengths: &[usize] = match (two(&digits, 0), two(&digits, 0) * 100 + two(&digits, 2)) {
        (34 | 37, _) => &[15],
        (30 | 36 | 38 | 39, _) => &[14],
        (40..=49, _) => &[13, 16, 19],
        (51..=55, _) | (_, 2_221..=2_720) => &[16],
        (35 | 50 | 56..=58 | 60..=69, _) => &[16, 17, 18, 19],
        _ => &[],
    };
    lengths.contains(&digits.len()) && digits.iter().any(|digit| *digit != digits[0]) && luhn(&digits)
}

pub(super) fn is_ssn(text: &str) -> bool {
    let mut parts = text.split('-');
    let (area, group, serial) =
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    !matches!(area, "000" | "666") && !area.starts_with('9') && group != "00" && serial != "0000"
}

pub(super) fn is_nino(text: &str) -> bool {
    const NEVER: &[&str] = &["BG", "GB", "KN", "NK", "NT", "TN", "ZZ"];
    !NEVER.iter().any(|prefix| text.starts_with(prefix))
}

pub(super) fn is_codice_fiscale(text: &str) -> bool {
    // what a character counts for in an odd place, from `0` and from `A` on
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let plain: Vec<u32> = text.chars().filter_map(|c| c.to_digit(36)).collect();
    let Some((check, body)) = plain.split_last() else { return false };
    let value = |(place, code): (usize, &u32)| {
        let code = if *code > 9 { code - 10 } else { *code };
        let odd = place % 2 == 0; // places are counted from 1
        if odd { usize::try_from(code).ok().and_then(|code| ODD.get(code)).copied().unwrap_or(0) } else { code }
    };
    let sum: u32 = body.iter().enumerate().map(value).sum();
    body.len() == 15 && check.checked_sub(10) == Some(sum % 26)
}

pub(super) fn is_dni(text: &str) -> bool {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let upper = text.to_ascii_uppercase();
    let number: String = upper
        .chars()
        .enumerate()
        .filter_map(|(place, c)| match (place, c) {
            (0, 'X') => Some('0'),
            (0, 'Y') => Some('1'),
            (0, 'Z') => Some('2'),
            (_, digit) if digit.is_ascii_digit() => Some(digit),
            _ => None,
        })
        .collect();
    let letter = number.parse::<usize>().ok().and_then(|number| LETTERS.get(number % 23));
    letter.is_some_and(|letter| upper.as_bytes().last() == Some(letter))
}

pub(super) fn is_nir(text: &str) -> bool {
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    let corsica = plain.replace("2A", "19").replace("2B", "18"); // as INSEE counts the two departments
    let (Some(number), Some(key)) = (corsica.get(..13), corsica.get(13..15)) else { return false };
    let (Ok(number), Ok(key)) = (number.parse::<u64>(), key.parse::<u64>()) else { return false };
    let month = two(&digits(&corsica), 3);
    (matches!(month, 1..=12 | 20 | 30..=42 | 50..=99)) && 97 - number % 97 == key
}

pub(super) fn is_personnummer(text: &str) -> bool {
    let digits = digits(text);
    let Some(start) = digits.len().checked_sub(10) else { return false };
    let short = &digits[start..];
    let day = two(short, 4);
    is_day(two(short, 2), if day > 60 { day - 60 } else { day }) && luhn(short)
}

pub(super) fn is_rijksregister(text: &str) -> bool {
    let plain: String = text.chars().filter(char::is_ascii_digit).collect();
    let (Some(number), Some(check)) = (plain.get(..9), plain.get(9..)) else { return false };
    let (Ok(number), Ok(check)) = (number.parse::<u64>(), check.parse::<u64>()) else { return false };
    check == 97 - number % 97 || check == 97 - (2_000_000_000 + number) % 97 // born since 2000
}

pub(super) fn is_cpf(text: &str) -> bool {
    let digits = digits(text);
    let check = |count: usize| {
        let weighted = digits.iter().take(count).zip((2..=count as u32 + 1).rev());
        let sum: u32 = weighted.map(|(digit, weight)| digit * weight).sum();
        digits.get(count).copied() == Some((sum * 10 % 11) % 10)
    };
    digits.len() == 11 && digits.iter().any(|digit| *digit != digits[0]) && check(9) && check(10)
}

/// Verhoeff's scheme.
pub(super) fn is_aadhaar(text: &str) -> bool {
    const PERMUTE: [usize; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    // the dihedral group of order ten
    let times = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    let permuted =
        |digit: u32, place: usize| (0..place % 8).fold(digit as usize, |digit, _| PERMUTE[digit % 10]) as u32;
    let digits = digits(text);
    let check = digits.iter().rev().enumerate().fold(0, |check, (place, digit)| times(check, permuted(*digit, place)));
    digits.len() == 12 && check == 0
}

/// Of the first ten digits one stands two or three times, and the last is by ISO 7064 modulo 11, 10.
pub(super) fn is_steuer_id(text: &str) -> bool {
    let digits = digits(text);
    let (Some(body), Some(check)) = (digits.get(..10), digits.get(10)) else { return false };
    let mut counts = [0_u32; 10];
    body.iter().for_each(|digit| counts[*digit as usize % 10] += 1);
    let repeated: Vec<u32> = counts.into_iter().filter(|count| *count > 1).collect();
    let product = body.iter().fold(10, |product, digit| {
        let sum = (digit + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    digits.len() == 11 && matches!(repeated[..], [2 | 3]) && (11 - product) % 10 == *check
}

pub(super) fn is_pesel(text: &str) -> bool {
    const WEIGHTS: [u32; 10] = [1, 3, 7, 9, 1, 3, 7, 9, 1, 3];
    let digits = digits(text);
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(digit, weight)| digit * weight).sum();
    let born = is_day(two(&digits, 2) % 20, two(&digits, 4)); // the century is added to the month
    born && digits.last().copied() == Some((10 - sum % 10) % 10)
}

/// ITU-T E.164: at most 15 digits, and enough of them to be somebody's; no date.
pub(super) fn is_phone(text: &str) -> bool {
    let digits = digits(text);
    (7..=15).contains(&digits.len()) && digits.iter().any(|digit| *digit != digits[0])
}

/// With its trunk prefix nine to twelve digits: a day such as `01.02.2026` has eight.
pub(super) fn is_national_phone(text: &str) -> bool {
    (9..=12).contains(&digits(text).len()) && is_phone(text)
}
