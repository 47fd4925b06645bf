//! No text makes a parser panic, hang, or keep more than a few times what it was given. The same in earnest:
//! `cargo run --profile fast -p broker --example fuzz -- 10000000`.

use crate::fuzz::{PARSERS, SEED, Texts};

/// Kept for one byte given, at most: a leg of two letters' JSON becomes a row of our own.
const KEPT_PER_BYTE: usize = 64;

#[test]
fn no_text_makes_a_parser_panic_or_keep_more_than_it_was_given() {
    for parser in PARSERS {
        let mut texts = Texts::new(parser, SEED);
        for n in 0..3_000 {
            let text = texts.next();
            let kept = (parser.parse)(&text).unwrap_or(0);
            assert!(
                kept <= 4_096 + KEPT_PER_BYTE * text.len(),
                "{} kept {kept} bytes of text {n}: {text}",
                parser.name
            );
        }
    }
}

#[test]
fn every_text_of_the_corpus_is_read_or_refused_as_its_parser_always_did() {
    for parser in PARSERS {
        let read = parser.corpus.lines().filter(|it| (parser.parse)(it).is_some()).count();
        assert!(read > 0, "{} reads nothing of its own corpus", parser.name);
    }
}

#[test]
fn the_same_seed_gives_the_same_texts() {
    let texts = |seed| {
        let mut texts = Texts::new(&PARSERS[0], seed);
        (0..50).map(|_| texts.next().into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(texts(SEED), texts(SEED));
    assert_ne!(texts(SEED), texts(SEED + 2));
}
