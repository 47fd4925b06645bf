//! The audit's chains, checked outside the database that keeps them.
//!
//! A line's hash is SHA-256 over the hash before it and the line's text, as `audit_link` of the schema writes it. The
//! lines are read in pages and the hashes are computed here: a line that was changed, taken out or put in breaks its
//! account's chain at that place, whoever had the database.

use data_encoding::HEXLOWER;
use domain::account::AccountRef;
use domain::ports::LedgerError;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::control;
use crate::pool::Store;
use crate::tx::Tx;
use crate::views::column;

const WHAT: &str = "audit";
/// Lines in a page.
const PAGE: i64 = 2_000;
const LINES: &str = "SELECT no, previous, hash,
        convert_to(concat_ws('|', account_id, no, at_ns, what, about, body), 'UTF8')
    FROM audit WHERE account_id = $1 AND no > $2 ORDER BY no LIMIT $3";
const HEAD: &str = "SELECT no, hash FROM audit_heads WHERE account_id = $1";

/// How an account's chain stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Chain {
    /// Whose it is.
    pub account: AccountRef,
    /// The lines that hold.
    pub lines: i64,
    /// The last good line's hash, in hex: noted elsewhere, it proves later that nothing before it was changed.
    pub head: String,
    /// Where it breaks and how, if it does.
    pub broken: Option<Break>,
}

/// Where a chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Break {
    /// The number of the first line that does not hold.
    pub no: i64,
    /// What is wrong with it.
    pub why: String,
}

/// Checks the chain of every account.
///
/// # Errors
/// [`LedgerError`] when the database does not answer.
pub async fn verify(store: &Store) -> Result<Vec<Chain>, LedgerError> {
    let mut chains = Vec::new();
    for account in control::every_account(store).await? {
        chains.push(chain(store, account).await?);
    }
    Ok(chains)
}

async fn chain(store: &Store, account: AccountRef) -> Result<Chain, LedgerError> {
    // Read first: lines written while we read are beyond it.
    let mut link = Link::towards(head(store, &account).await?);
    let broken = loop {
        let page: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
            [(&account.account.0, Type::UUID), (&link.no, Type::INT8), (&PAGE, Type::INT8)];
        let rows = Tx::read(store, WHAT, Some(account.user), LINES, &page).await?;
        let found = rows.iter().find_map(|row| match Line::of(row) {
            Ok(line) => link.take(&line).err().map(Ok),
            Err(error) => Some(Err(error)),
        });
        match found {
            Some(found) => break Some(found?),
            None if rows.is_empty() => break link.ends(),
            None => {}
        }
    };
    Ok(Chain { account, lines: link.no, head: HEXLOWER.encode(&link.hash), broken })
}

async fn head(store: &Store, account: &AccountRef) -> Result<Option<Head>, LedgerError> {
    let rows = Tx::read(store, WHAT, Some(account.user), HEAD, &[(&account.account.0, Type::UUID)]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(Head { no: column(WHAT, row, 0)?, hash: column(WHAT, row, 1)? }))
}

/// What the database names as an account's last line.
struct Head {
    no: i64,
    hash: Vec<u8>,
}

/// A line as it is kept.
struct Line {
    no: i64,
    previous: Vec<u8>,
    hash: Vec<u8>,
    text: Vec<u8>,
}

impl Line {
    fn of(row: &Row) -> Result<Self, LedgerError> {
        Ok(Self {
            no: column(WHAT, row, 0)?,
            previous: column(WHAT, row, 1)?,
            hash: column(WHAT, row, 2)?,
            text: column(WHAT, row, 3)?,
        })
    }
}

/// The last line that held.
struct Link {
    no: i64,
    hash: [u8; 32],
    /// Where the chain must come to.
    head: Option<Head>,
    /// Whether it came there.
    is_reached: bool,
}

impl Link {
    fn towards(head: Option<Head>) -> Self {
        Self { no: 0, hash: Sha256::digest(b"").into(), head, is_reached: false }
    }

    /// Takes the next line.
    fn take(&mut self, line: &Line) -> Result<(), Break> {
        let next = self.no.saturating_add(1);
        let broken = |why: &str| Err(Break { no: next, why: why.to_owned() });
        if line.no != next {
            return broken("the line is missing");
        }
        if line.previous != self.hash {
            return broken("it does not continue the line before it");
        }
        let hash: [u8; 32] = Sha256::new().chain_update(self.hash).chain_update(&line.text).finalize().into();
        if line.hash != hash {
            return broken("its text is not what its hash was made of");
        }
        self.no = next;
        self.hash = hash;
        self.is_reached |= self.head.as_ref().is_some_and(|it| it.no == next && it.hash == hash);
        Ok(())
    }

    /// What is wrong with the chain's end, if something is.
    fn ends(&self) -> Option<Break> {
        match &self.head {
            Some(head) if !self.is_reached => {
                let no = head.no.min(self.no.saturating_add(1));
                Some(Break { no, why: "the chain does not come to its head".to_owned() })
            }
            None if self.no > 0 => Some(Break { no: 1, why: "the chain has lines and no head".to_owned() }),
            Some(_) | None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as the schema would write them.
    fn chain_of(texts: &[&str]) -> Vec<Line> {
        let mut previous: [u8; 32] = Sha256::digest(b"").into();
        let line = |(n, text): (usize, &&str)| {
            let hash: [u8; 32] = Sha256::digest([&previous[..], text.as_bytes()].concat()).into();
            let line = Line {
                no: n as i64 + 1,
                previous: previous.to_vec(),
                hash: hash.to_vec(),
                text: text.as_bytes().to_vec(),
            };
            previous = hash;
            line
        };
        texts.iter().enumerate().map(line).collect()
    }

    /// Where the chain breaks, with the head that belongs to `of` lines.
    fn broken(lines: &[Line], head: &Line) -> Option<i64> {
        let mut link = Link::towards(Some(Head { no: head.no, hash: head.hash.clone() }));
        let found = lines.iter().find_map(|it| link.take(it).err());
        found.or_else(|| link.ends()).map(|it| it.no)
    }

    #[test]
    fn a_chain_breaks_where_a_line_was_changed_taken_out_put_in_or_cut_off() {
        let whole = || chain_of(&["a", "b", "c", "d"]);
        let head = whole().pop().unwrap();
        assert_eq!(broken(&whole(), &head), None);
        let mut changed = whole();
        changed[1].text = b"B".to_vec();
        assert_eq!(broken(&changed, &head), Some(2));
        let mut rehashed = whole();
        rehashed[1].text = b"B".to_vec();
        rehashed[1].hash = Sha256::digest([&rehashed[1].previous[..], b"B"].concat()).to_vec();
        assert_eq!(broken(&rehashed, &head), Some(3));
        let mut without = whole();
        without.remove(2);
        assert_eq!(broken(&without, &head), Some(3));
        let mut cut = whole();
        cut.pop();
        assert_eq!(broken(&cut, &head), Some(4));
        assert_eq!(broken(&[], &head), Some(1));
        // A chain that was made anew from a changed line on has another head.
        assert_eq!(broken(&chain_of(&["a", "B", "c", "d"]), &head), Some(4));
    }

    #[test]
    fn lines_written_after_the_head_was_read_are_not_held_against_it() {
        let lines = chain_of(&["a", "b", "c"]);
        assert_eq!(broken(&lines, &lines[1]), None);
    }

    #[test]
    fn an_account_without_lines_has_nothing_to_break() {
        assert_eq!(Link::towards(None).ends(), None);
    }
}
