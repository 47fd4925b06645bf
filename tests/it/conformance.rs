//! PostgreSQL keeps the books as memory does: one suite holds both.

use tests::Books;

async fn failing(is_direct: bool) -> Vec<String> {
    let books = Books::start("conformance").await.unwrap();
    let fresh = async || books.fresh(is_direct).await.map_err(|it| format!("{it:#}"));
    let failures = sim::conformance::run_all(fresh).await;
    books.stop().await.unwrap();
    failures.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn postgresql_passes_every_case_of_the_ledger() {
    assert_eq!(failing(false).await, Vec::<String>::new());
}

#[tokio::test]
async fn postgresql_passes_every_case_with_statements_that_it_keeps() {
    assert_eq!(failing(true).await, Vec::<String>::new());
}
