use domain::account::{AccountRef, Environment};
use domain::ids::{AccountId, UserId};

fn swapped(user: UserId, account: AccountId) -> AccountRef {
    AccountRef { user: account, account: user, environment: Environment::Live }
}

fn main() {}
