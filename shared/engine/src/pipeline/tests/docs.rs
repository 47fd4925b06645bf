//! docs/pipeline.md tells all there is.

use super::super::*;

#[test]
fn the_documentation_lists_every_stage_every_reason_and_every_reading() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/pipeline.md");
    let text = std::fs::read_to_string(path).unwrap();
    for reason in Reason::ALL {
        let row = format!("| `{reason}` | {} |", reason.meaning());
        assert!(text.contains(&row), "docs/pipeline.md lacks {row}");
    }
    for reading in Reading::ALL {
        let row = format!("| `{reading}` | {} | {} |", reading.unit(), reading.what());
        assert!(text.contains(&row), "docs/pipeline.md lacks {row}");
    }
    for stage in Stage::ALL {
        assert!(
            text.contains(&format!("| {stage:?} | {} |", stage.title())),
            "docs/pipeline.md lacks {stage:?}"
        );
    }
}
