//! The daily report.
