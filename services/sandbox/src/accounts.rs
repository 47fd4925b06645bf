//! Who may call a sandbox: the user that is always there, and others from a file.

use std::collections::BTreeSet;

use domain::account::AccountType;
use domain::ids::AccountNumber;
use domain::money::Usd;
use domain::secret::Token;
use serde::Deserialize;
use sim::broker::written::{self, Miswritten};
use sim::broker::{AccountConfig, UserConfig};

/// The token that is always there.
pub const TOKEN: &str = "stub-token";
/// Its account.
pub const ACCOUNT: &str = "VA00000001";
/// Users in one file.
const USERS_MAX: usize = 1_000;
/// Tokens, and accounts, of one user.
const EACH_MAX: usize = 100;
/// More than anybody tests with, and far from where sums end.
const CASH_MAX: i64 = 1_000_000_000;

/// A margin account of option level 6 with 100,000 dollars, and its user.
///
/// # Errors
/// Never with the number above.
pub fn usual() -> anyhow::Result<UserConfig> {
    member(ACCOUNT, AccountType::Margin, 100_000, TOKEN)
}

/// The two members of the trading group that the local run has.
///
/// # Errors
/// Never with these numbers.
pub fn group() -> anyhow::Result<Vec<UserConfig>> {
    Ok(vec![usual()?, member("VA00000002", AccountType::Cash, 10_000, "stub-token-2")?])
}

fn member(number: &str, kind: AccountType, dollars: i64, token: &str) -> anyhow::Result<UserConfig> {
    let number: AccountNumber = number.parse()?;
    Ok(UserConfig {
        id: format!("id-{}", number.last4()),
        name: format!("Member {}", number.last4()),
        tokens: vec![Token::new(token)],
        accounts: vec![AccountConfig { number, kind, option_level: 6, cash: Usd::from_dollars(dollars) }],
    })
}

#[derive(Deserialize)]
#[serde(try_from = "Written")]
struct Users(Vec<UserConfig>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    users: Vec<Checked>,
    /// Whether the usual user is there beside them.
    #[serde(default = "yes")]
    usual: bool,
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(try_from = "User")]
struct Checked {
    tokens: Vec<String>,
    config: UserConfig,
}

impl TryFrom<User> for Checked {
    type Error = String;
    fn try_from(it: User) -> Result<Self, String> {
        Ok(Self { tokens: it.tokens.clone(), config: it.checked()? })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    id: String,
    #[serde(default)]
    name: Option<String>,
    tokens: Vec<String>,
    accounts: Vec<Account>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    number: String,
    #[serde(rename = "type")]
    kind: AccountType,
    #[serde(default = "six")]
    option_level: u8,
    #[serde(default = "much")]
    cash: Cash,
}

const fn six() -> u8 {
    6
}

const fn much() -> Cash {
    Cash(Usd::from_dollars(100_000))
}

/// Dollars, as a number or a text.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "serde_json::Value")]
struct Cash(Usd);

impl TryFrom<serde_json::Value> for Cash {
    type Error = String;
    fn try_from(it: serde_json::Value) -> Result<Self, String> {
        let text = it.as_str().map_or_else(|| it.to_string(), str::to_owned);
        let most = Usd::from_dollars(CASH_MAX);
        let cash = Usd::parse(&text).ok().filter(|it| (Usd::ZERO..=most).contains(it));
        cash.map(Self).ok_or_else(|| {
            format!("{text} is no cash: expected dollars from 0 to {CASH_MAX}, such as 25000 or \"25000.50\"")
        })
    }
}

impl TryFrom<Written> for Users {
    type Error = String;
    fn try_from(it: Written) -> Result<Self, String> {
        let usual = if it.usual { Some(usual().map_err(|it| it.to_string())?) } else { None };
        let mut taken = Taken::default();
        let mut users: Vec<UserConfig> = Vec::new();
        if let Some(usual) = usual {
            taken.add(TOKEN, &usual)?;
            users.push(usual);
        }
        if it.users.is_empty() && users.is_empty() {
            return Err("field users: expected at least one, or usual left out".to_owned());
        }
        if it.users.len() > USERS_MAX {
            return Err(format!("field users: at most {USERS_MAX} are kept"));
        }
        for (n, user) in it.users.into_iter().enumerate() {
            let place = format!("users[{n}]");
            for token in &user.tokens {
                taken.token(&place, token)?;
            }
            taken.user(&place, &user.config)?;
            users.push(user.config);
        }
        Ok(Self(users))
    }
}

impl User {
    fn checked(self) -> Result<UserConfig, String> {
        let wrong = |field: &str, problem: &str| format!("field {field}: {problem}");
        let plain = |it: &str| !it.is_empty() && it.len() <= 64 && it.bytes().all(|b| b.is_ascii_graphic());
        if !plain(&self.id) {
            return Err(wrong("id", "expected 1 to 64 letters, digits or signs without blanks"));
        }
        if self.tokens.is_empty() || self.tokens.len() > EACH_MAX {
            return Err(wrong("tokens", &format!("expected 1 to {EACH_MAX}")));
        }
        if !self.tokens.iter().all(|it| plain(it)) {
            return Err(wrong("tokens", "expected texts of 1 to 64 letters, digits or signs without blanks"));
        }
        if self.accounts.is_empty() || self.accounts.len() > EACH_MAX {
            return Err(wrong("accounts", &format!("expected 1 to {EACH_MAX}")));
        }
        let mut accounts = Vec::new();
        for account in self.accounts {
            let number: AccountNumber =
                account.number.parse().map_err(|_| wrong("number", "expected 1 to 32 letters and digits"))?;
            if account.option_level > 6 {
                return Err(wrong("option_level", "expected 0 to 6: 2 buys, 3 and more trade spreads"));
            }
            let (kind, option_level, cash) = (account.kind, account.option_level, account.cash.0);
            accounts.push(AccountConfig { number, kind, option_level, cash });
        }
        let name = self.name.unwrap_or_else(|| self.id.clone());
        let tokens = self.tokens.into_iter().map(Token::new).collect();
        Ok(UserConfig { id: self.id, name, tokens, accounts })
    }
}

/// What must not be there twice.
#[derive(Default)]
struct Taken {
    tokens: BTreeSet<String>,
    names: BTreeSet<String>,
    numbers: BTreeSet<String>,
}

impl Taken {
    fn add(&mut self, token: &str, user: &UserConfig) -> Result<(), String> {
        self.token("usual", token)?;
        self.user("usual", user)
    }

    fn token(&mut self, place: &str, token: &str) -> Result<(), String> {
        if self.tokens.insert(token.to_owned()) {
            return Ok(());
        }
        let cure = if token == TOKEN { "; with \"usual\": false it is yours" } else { "" };
        Err(format!("field {place}.tokens: a token is somebody's already{cure}"))
    }

    fn user(&mut self, place: &str, user: &UserConfig) -> Result<(), String> {
        if !self.names.insert(user.id.clone()) {
            return Err(format!("field {place}.id: {} is somebody's already", user.id));
        }
        for account in &user.accounts {
            let number = account.number.as_str();
            if !self.numbers.insert(number.to_owned()) {
                let cure = if number == ACCOUNT { "; with \"usual\": false it is yours" } else { "" };
                return Err(format!("field {place}.number: {number} is somebody's already{cure}"));
            }
        }
        Ok(())
    }
}

/// Reads the users of a file, with the usual one first unless the file does without.
///
/// # Errors
/// [`Miswritten`] names line and field.
pub fn parse(text: &str) -> Result<Vec<UserConfig>, Miswritten> {
    Ok(written::read::<Users>(text)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"id": "jane", "tokens": ["t-1"], "accounts": [{"number": "VA7", "type": "pdt"}]}"#;

    #[test]
    fn users_are_added_to_the_usual_one() {
        let text = format!("{{\"users\": [{ONE}]}}");
        let users = parse(&text).unwrap();
        assert_eq!(users.len(), 2);
        let account = &users[1].accounts[0];
        assert_eq!(
            (account.number.as_str(), account.kind, account.option_level),
            ("VA7", AccountType::Pdt, 6)
        );
        assert_eq!((users[1].name.as_str(), account.cash), ("jane", Usd::from_dollars(100_000)));
        let alone =
            parse(&format!("{{\"usual\": false, \"users\": [{}]}}", ONE.replace("t-1", TOKEN))).unwrap();
        assert_eq!(alone.len(), 1);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_cure() {
        let of = |from: &str, to: &str| format!("{{\"users\": [\n{}\n]}}", ONE.replace(from, to));
        for (text, told) in [
            (of("\"t-1\"", ""), "line 2, field tokens: expected 1 to 100"),
            (of("t-1", ""), "line 2, field tokens: expected texts"),
            (
                of("t-1", TOKEN),
                "line 2, field users[0].tokens: a token is somebody's already; with \"usual\": false it is yours",
            ),
            (of("VA7", ACCOUNT), "VA00000001 is somebody's already; with \"usual\": false it is yours"),
            (of("VA7", "VA 7"), "line 2, field number: expected 1 to 32 letters and digits"),
            (of("pdt", "gold"), "line 2, field type: unknown variant `gold`, expected one of `margin`"),
            (of("\"pdt\"", "\"pdt\", \"option_level\": 7"), "line 2, field option_level: expected 0 to 6"),
            (of("\"pdt\"", "\"pdt\", \"cash\": -5"), "field cash: -5 is no cash: expected dollars from 0"),
            (of("\"pdt\"", "\"pdt\", \"cash\": 1e30"), "is no cash"),
            (
                of("\"pdt\"", "\"pdt\", \"level\": 6"),
                "unknown field `level`, expected one of `number`, `type`",
            ),
            (
                format!("{{\"users\": [{ONE},\n{ONE}]}}"),
                "line 2, field users[1].tokens: a token is somebody's already",
            ),
            ("{\"users\": [], \"usual\": false}".to_owned(), "field users: expected at least one"),
            ("{".to_owned(), "line 1: EOF while parsing"),
        ] {
            let wrong = parse(&text).unwrap_err().to_string();
            assert!(wrong.contains(told), "{text}: {wrong}");
        }
    }
}
