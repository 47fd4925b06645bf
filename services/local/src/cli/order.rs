//! `claxton order`.

mod story;

use std::io::Write;

use clap::{Args, Subcommand};

use crate::asking::get;

/// What can be asked of an order.
#[derive(Debug, Subcommand)]
pub(super) enum OrderCommand {
    /// Tell an order's whole story: setup, gates, sizing, what was sent, what the broker said, what filled.
    Show(ShowArgs),
}

/// Which order.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The intent's id, the tag of one of its orders, or the broker's number.
    #[arg(value_name = "ID")]
    id: String,
    /// Where `claxton up` serves its API.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7380")]
    url: String,
    /// Whose orders: a local name, `local-member-1` or `local-member-2`.
    #[arg(long = "as", value_name = "NAME", default_value = "local-member-1")]
    name: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &OrderCommand, out: &mut impl Write) -> anyhow::Result<()> {
    let OrderCommand::Show(ask) = command;
    let id = form_urlencoded::byte_serialize(ask.id.as_bytes()).collect::<String>();
    let story = super::block_on(get(&ask.url, &format!("/v1/orders/{id}"), Some(&ask.name)))?;
    match ask.json {
        true => writeln!(out, "{story}")?,
        false => out.write_all(story::told(&story).as_bytes())?,
    }
    Ok(())
}
