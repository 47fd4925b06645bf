//! PostgreSQL keeps the books as memory does: one suite holds both.

use tests::Books;

#[tokio::test]
async fn postgresql_passes_every_case_of_the_ledger() {
    let books = Books::start("conformance").await.unwrap();
    let fresh = async || books.fresh().await.map_err(|it| format!("{it:#}"));
    let failures = sim::conformance::run_all(fresh).await;
    books.stop().await.unwrap();
    let told: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{} cases fail:\n{}", told.len(), told.join("\n"));
}
