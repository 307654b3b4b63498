//! The table of `docs/common-mistakes.md` names tests that exist.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_mistake_has_its_test() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    // The file is in the repository, and not in the crate as it is published.
    let Ok(page) = fs::read_to_string(tests.join("../../../docs/common-mistakes.md")) else {
        return;
    };
    let mut all = String::new();
    for folder in [tests.clone(), tests.with_file_name("src")] {
        for file in sources(&folder) {
            all += &fs::read_to_string(file).expect("a source file");
        }
    }
    let mut named = 0;
    for row in page.lines().filter_map(|line| line.strip_prefix("| ")) {
        let cells = row.rsplit(" | ").next().unwrap_or_default();
        for name in cells.split('`').skip(1).step_by(2) {
            assert!(all.contains(&format!("fn {name}(")), "no test is called {name}");
            named += 1;
        }
    }
    assert!(named > 20, "{named} tests in the table");
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
