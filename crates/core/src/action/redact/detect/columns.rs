//! Columns that are known by their name to hold secrets or personal data, whatever their values look like.

use super::Kind;

/// The names, without underscores, in lower case. Names that mean other things as well (`name`, `number`, `code`) are not here.
#[rustfmt::skip]
const COLUMNS: &[(Kind, &[&str])] = &[
    (Kind::Name, &[
        "firstname", "givenname", "forename", "middlename", "lastname", "surname", "familyname", "fullname", "maidenname",
        "birthname", "legalname", "cardholder", "cardholdername", "accountholder", "patientname", "nameoncard",
        "vorname", "nachname", "prenom", "nomdefamille", "apellido", "apellidos", "cognome", "achternaam", "voornaam",
    ]),
    (Kind::BirthDate, &["birthdate", "dateofbirth", "dob", "birthday", "geburtsdatum"]),
    (Kind::Address, &["street", "streetaddress", "homeaddress", "postaladdress", "billingaddress", "addressline1", "addressline2", "strasse"]),
    (Kind::Email, &["email", "emailaddress", "mail", "mailaddress", "useremail", "contactemail"]),
    (Kind::Phone, &["phone", "phonenumber", "telephone", "mobile", "mobilenumber", "mobilephone", "cellphone", "msisdn", "fax", "telefon", "handy"]),
    (Kind::NationalId, &[
        "ssn", "socialsecuritynumber", "nationalid", "nationalinsurance", "nino", "taxid", "tin", "steuerid", "passport",
        "passportnumber", "drivinglicense", "driverslicense", "idcardnumber", "nir", "codicefiscale", "dni", "nie", "bsn",
        "pesel", "personnummer", "cpf", "aadhaar", "sin",
    ]),
    (Kind::Iban, &["iban"]),
    (Kind::Account, &["accountnumber", "bankaccount", "bankaccountnumber", "routingnumber", "sortcode", "bic", "kontonummer"]),
    (Kind::Card, &["cardnumber", "creditcard", "creditcardnumber", "pan", "cvv", "cvc"]),
    (Kind::Password, &["password", "passwd", "pwd", "passphrase", "passwordhash", "passwordhashed", "encryptedpassword", "pin"]),
    (Kind::Secret, &[
        "secret", "apikey", "apisecret", "secretkey", "accesskey", "accesstoken", "refreshtoken", "authtoken", "clientsecret",
        "privatekey", "totpsecret", "sessiontoken", "webhooksecret",
    ]),
];

/// What the values of a column are; nothing where its name does not tell.
pub(in super::super) fn kind_of(column: &str) -> Option<Kind> {
    let plain: String = column.chars().filter(|c| *c != '_' && *c != '-').flat_map(char::to_lowercase).collect();
    COLUMNS.iter().find(|(_, names)| names.contains(&plain.as_str())).map(|(kind, _)| *kind)
}
