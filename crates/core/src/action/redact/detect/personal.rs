//! Formats of personal data. What has check digits counts only with them.

use super::checks;
use super::{Hint, Kind, Rule, always};

const fn national(digits: usize, pattern: &'static str, holds: fn(&str) -> bool) -> Rule {
    Rule { kind: Kind::NationalId, hint: Hint::Digits(digits), pattern, holds }
}

#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    // RFC 5321 section 4.1.2 as mail is written today: a dot-atom, a domain of two labels or more
    Rule { kind: Kind::Email, hint: Hint::Text("@"), pattern: r"[\p{L}\p{N}.!#$%&'*+/=?^_`{|}~-]+@(?:[\p{L}\p{N}-]+\.)+(?:xn--[A-Za-z0-9-]+|\p{L}{2,})", holds: checks::is_email },
    // ISO 13616
    Rule { kind: Kind::Iban, hint: Hint::Digits(2), pattern: r"(?-u:\b)([A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,4})?)(?-u:\b)", holds: checks::is_iban },
    // ISO/IEC 7812-1
    Rule { kind: Kind::Card, hint: Hint::Digits(13), pattern: r"(?:^|[^0-9A-Za-z.-])([2-6][0-9]{3}(?:[ -]?[0-9]{4}){2}[ -]?[0-9]{1,7}|3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5}|3[0689][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{4})(?:$|[^0-9A-Za-z-])", holds: checks::is_card },
    // United States: SSA, as assigned since 2011
    national(9, r"(?:^|[^0-9A-Za-z-])([0-9]{3}-[0-9]{2}-[0-9]{4})(?:$|[^0-9A-Za-z-])", checks::is_ssn),
    // United Kingdom: HMRC NIM39110
    national(6, r"(?-u:\b)([A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D])(?-u:\b)", checks::is_nino),
    // Italy: DM 12 March 1974
    national(0, r"(?i)(?-u:\b)([A-Z]{6}[0-9LMNP-V]{2}[ABCDEHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z])(?-u:\b)", checks::is_codice_fiscale),
    // Spain: Real Decreto 1553/2005, Orden INT/2058/2008
    national(7, r"(?i)(?-u:\b)([0-9]{8}-?[A-HJ-NP-TV-Z]|[XYZ]-?[0-9]{7}-?[A-HJ-NP-TV-Z])(?-u:\b)", checks::is_dni),
    // France: INSEE, numéro d'inscription au répertoire
    national(13, r"(?:^|[^0-9A-Za-z])([12][ .]?[0-9]{2}[ .]?[0-9]{2}[ .]?(?:[0-9]{2}|2[AB])[ .]?[0-9]{3}[ .]?[0-9]{3}[ .]?[0-9]{2})(?:$|[^0-9A-Za-z])", checks::is_nir),
    // Sweden: personnummer, SFS 1991:481
    national(10, r"(?:^|[^0-9A-Za-z])((?:[0-9]{2})?[0-9]{6}[-+][0-9]{4})(?:$|[^0-9A-Za-z-])", checks::is_personnummer),
    // Belgium: rijksregisternummer, as it is written
    national(11, r"(?:^|[^0-9A-Za-z])([0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}\.[0-9]{2})(?:$|[^0-9A-Za-z])", checks::is_rijksregister),
    // Brazil: CPF, as it is written
    national(11, r"(?:^|[^0-9A-Za-z])([0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2})(?:$|[^0-9A-Za-z])", checks::is_cpf),
    // India: Aadhaar, as it is written
    national(12, r"(?:^|[^0-9A-Za-z-])([2-9][0-9]{3}[ -][0-9]{4}[ -][0-9]{4})(?:$|[^0-9A-Za-z-])", checks::is_aadhaar),
    // Germany: steuerliche Identifikationsnummer, BZSt
    national(11, r"(?:^|[^0-9A-Za-z.-])([1-9][0-9] ?[0-9]{3} ?[0-9]{3} ?[0-9]{3})(?:$|[^0-9A-Za-z.-])", checks::is_steuer_id),
    // Poland: PESEL
    national(11, r"(?:^|[^0-9A-Za-z.-])([0-9]{11})(?:$|[^0-9A-Za-z.-])", checks::is_pesel),
    // ITU-T E.164
    Rule { kind: Kind::Phone, hint: Hint::Digits(7), pattern: r"(?:^|[^0-9A-Za-z.+])(\+[1-9][0-9]{0,2}[ ./-]?(?:\(0?[0-9]{1,4}\)[ ./-]?)?[0-9](?:[ ./-]?[0-9]){5,13})(?:$|[^0-9A-Za-z])", holds: checks::is_phone },
    Rule { kind: Kind::Phone, hint: Hint::Digits(7), pattern: r"(?:^|[^0-9A-Za-z.+-])(00[1-9][0-9]{1,2}[ ./-][0-9](?:[ ./-]?[0-9]){5,12})(?:$|[^0-9A-Za-z])", holds: checks::is_phone },
    // North America: NANP, as it is written
    Rule { kind: Kind::Phone, hint: Hint::Digits(7), pattern: r"(?:^|[^0-9A-Za-z.+-])((?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4})(?:$|[^0-9A-Za-z-])", holds: always },
    // national numbers with a trunk prefix, as DIN 5008, ARCEP, Ofcom and PTS write them
    Rule { kind: Kind::Phone, hint: Hint::Digits(7), pattern: r"(?:^|[^0-9A-Za-z.+-])(\(0[1-9][0-9]{1,4}\) ?[0-9](?:[ /-]?[0-9]){3,9}|0[1-9][0-9]{0,4}(?:[ /.-][0-9]{2,8}){1,5})(?:$|[^0-9A-Za-z-])", holds: checks::is_national_phone },
];
