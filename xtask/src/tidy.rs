//! Language of comments and documents, checked against the rules in `tidy.txt`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Result},
    steps::Done,
    workspace::Workspace,
};

/// The widest line of a comment, in columns.
const WIDTH: usize = 100;

/// Words that make a reader guess whether a line describes a value, a question or an effect.
const OPENINGS: [&str; 9] =
    ["What", "Whether", "How", "Who", "Which", "Whose", "Why", "Where", "When"];

/// Findings that are printed of each kind.
const SHOWN: usize = 20;

/// The rules file.
#[derive(Debug, Default)]
struct Rules {
    /// Each phrase in lower case, with what to write instead.
    phrases: Vec<(String, String)>,
    limits: BTreeMap<String, usize>,
}

/// Something that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    line: usize,
    text: String,
}

/// The findings in all files.
#[derive(Debug, Default)]
struct Findings {
    phrases: Vec<(PathBuf, Finding)>,
    openings: Vec<(PathBuf, Finding)>,
    width: Vec<(PathBuf, Finding)>,
    /// Doc comments in all.
    doc_comments: usize,
}

/// Consecutive lines of text that form one comment or one paragraph.
#[derive(Debug)]
struct Paragraph {
    /// Number of its first line.
    line: usize,
    is_doc: bool,
    text: String,
}

/// Checks all comments of Rust files and all Markdown of the workspace.
pub(crate) fn check(workspace: &Workspace) -> Result<Done> {
    let rules = Rules::read(&workspace.root.join("xtask/tidy.txt"))?;
    let mut findings = Findings::default();
    for path in files(&workspace.root)? {
        let text = read(&path)?;
        let name = path.strip_prefix(&workspace.root).unwrap_or(&path);
        findings.add(name, &text, &rules);
    }
    findings.compare(&rules)
}

impl Rules {
    fn read(path: &Path) -> Result<Self> {
        let mut rules = Self::default();
        for (number, line) in read(path)?.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            rules.line(line).ok_or_else(|| Error::Rule { line: number + 1, text: line.into() })?;
        }
        Ok(rules)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        match line.split_once(' ')? {
            ("phrase", rest) => {
                let (phrase, instead) = rest.split_once(" => ")?;
                self.phrases.push((phrase.trim().to_lowercase(), instead.trim().to_owned()));
            }
            ("limit", rest) => {
                let (name, number) = rest.split_once(' ')?;
                self.limits.insert(name.to_owned(), number.trim().parse().ok()?);
            }
            _ => return None,
        }
        Some(())
    }
}

impl Findings {
    fn add(&mut self, path: &Path, text: &str, rules: &Rules) {
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        let paragraphs = if is_rust { comments(text) } else { prose(text) };
        let place = |finding| (path.to_owned(), finding);
        if is_rust {
            self.width.extend(wide_comments(text).into_iter().map(place));
        }
        for paragraph in paragraphs {
            self.doc_comments += usize::from(paragraph.is_doc);
            let opening = paragraph.text.split_whitespace().next().unwrap_or_default();
            if paragraph.is_doc && OPENINGS.contains(&opening) {
                let text = start_of(&paragraph.text);
                self.openings.push(place(Finding { line: paragraph.line, text }));
            }
            let lower = paragraph.text.to_lowercase();
            for (phrase, instead) in &rules.phrases {
                for _ in 0..count_of(&lower, phrase) {
                    let text = format!("\"{phrase}\": {instead}");
                    self.phrases.push(place(Finding { line: paragraph.line, text }));
                }
            }
        }
    }

    /// Fails if there is more of anything than the rules allow.
    fn compare(&self, rules: &Rules) -> Result<Done> {
        let share = self.openings.len() as f64 * 100.0 / self.doc_comments.max(1) as f64;
        println!("{share:.1} % of {} doc comments open with a question word", self.doc_comments);
        let mut over = Vec::new();
        let kinds =
            [("phrases", &self.phrases), ("openings", &self.openings), ("width", &self.width)];
        for (name, found) in kinds {
            let limit = rules.limits.get(name).copied().unwrap_or(0);
            println!("{name}: {} of at most {limit}", found.len());
            if found.len() > limit {
                over.push(name);
                for (path, Finding { line, text }) in found.iter().take(SHOWN) {
                    println!("  {}:{line}: {text}", path.display());
                }
            } else if found.len() < limit {
                println!("  lower the limit in xtask/tidy.txt");
            }
        }
        if over.is_empty() { Ok(Done::Well) } else { Err(Error::Untidy { kinds: over.join(", ") }) }
    }
}

/// The comments of a Rust file, each run of lines as one text. Code blocks in them are left out.
fn comments(source: &str) -> Vec<Paragraph> {
    let mut found: Vec<Paragraph> = Vec::new();
    let mut last = None;
    let mut is_code = false;
    for (number, line) in source.lines().enumerate() {
        let Some((marker, text)) = comment(line) else {
            (last, is_code) = (None, false);
            continue;
        };
        if text.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            // An example shows what users write.
        } else if last == Some(marker)
            && let Some(paragraph) = found.last_mut()
        {
            paragraph.text.push(' ');
            paragraph.text.push_str(text.trim());
        } else {
            let is_doc = marker != "//";
            found.push(Paragraph { line: number + 1, is_doc, text: text.trim().to_owned() });
        }
        last = Some(marker);
    }
    found
}

/// The paragraphs of a Markdown file without its code blocks.
fn prose(text: &str) -> Vec<Paragraph> {
    let mut found: Vec<Paragraph> = Vec::new();
    let (mut is_open, mut is_code) = (false, false);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("```") {
            (is_code, is_open) = (!is_code, false);
        } else if is_code || line.is_empty() {
            is_open = false;
        } else if is_open && let Some(paragraph) = found.last_mut() {
            paragraph.text.push(' ');
            paragraph.text.push_str(line);
        } else {
            found.push(Paragraph { line: number + 1, is_doc: false, text: line.to_owned() });
            is_open = true;
        }
    }
    found
}

fn wide_comments(source: &str) -> Vec<Finding> {
    let is_wide = |line: &str| line.chars().count() > WIDTH && comment(line).is_some();
    // A link or a table cannot be broken.
    let can_wrap = |line: &str| !line.contains("://") && !line.contains(" | ");
    let numbered = source.lines().enumerate();
    numbered
        .filter(|(_, line)| is_wide(line) && can_wrap(line))
        .map(|(number, line)| Finding { line: number + 1, text: start_of(line.trim()) })
        .collect()
}

/// The marker and the text of a line that is a comment and nothing else.
fn comment(line: &str) -> Option<(&'static str, &str)> {
    let line = line.trim_start();
    ["///", "//!", "//"].into_iter().find_map(|marker| Some((marker, line.strip_prefix(marker)?)))
}

/// The number of times that a phrase occurs as whole words. Both are in lower case.
fn count_of(text: &str, phrase: &str) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(phrase)
        .filter(|(at, _)| {
            !text[..*at].ends_with(is_word) && !text[at + phrase.len()..].starts_with(is_word)
        })
        .count()
}

fn start_of(text: &str) -> String {
    text.chars().take(72).collect()
}

/// Rust files and Markdown of the workspace, in a fixed order.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).map_err(|source| Error::File { path: folder.clone(), source })?;
        for entry in entries {
            let path = entry.map_err(|source| Error::File { path: folder.clone(), source })?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") || name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod unit {
    use super::*;

    fn findings(path: &str, text: &str) -> Findings {
        let mut rules = Rules::default();
        rules.line("phrase so many => the number").unwrap();
        let mut findings = Findings::default();
        findings.add(Path::new(path), text, &rules);
        findings
    }

    #[test]
    fn phrases_are_found_across_lines_and_as_whole_words() {
        let found =
            findings("a.rs", "/// Takes so\n/// many packets.\nfn a() {}\n// also manyfold\n");
        assert_eq!(found.phrases.len(), 1);
        assert_eq!(found.phrases[0].1.line, 1);
        assert!(findings("a.md", "```\nso many\n```\n").phrases.is_empty());
        assert_eq!(findings("a.md", "So\nmany.\n").phrases.len(), 1);
        assert!(findings("a.rs", "let text = \"so many\";\n").phrases.is_empty());
    }

    #[test]
    fn openings_count_in_doc_comments_alone() {
        let found =
            findings("a.rs", "/// Whether it is.\nfn a() {}\n// How it is.\n/// The value.\n");
        assert_eq!((found.openings.len(), found.doc_comments), (1, 2));
    }

    #[test]
    fn wide_comments_are_found_but_not_wide_links() {
        let wide = "x ".repeat(60);
        assert_eq!(findings("a.rs", &format!("// {wide}\n")).width.len(), 1);
        assert!(findings("a.rs", &format!("// {wide} https://example.com\n")).width.is_empty());
        assert!(findings("a.rs", &format!("call(\"{wide}\");\n")).width.is_empty());
    }

    #[test]
    fn limits_hold() {
        let mut rules = Rules::default();
        rules.line("limit width 1").unwrap();
        let one = || (PathBuf::new(), Finding { line: 1, text: String::new() });
        let mut found = Findings { width: vec![one()], ..Findings::default() };
        assert!(found.compare(&rules).is_ok());
        found.width.push(one());
        assert!(found.compare(&rules).is_err());
        assert!(rules.line("limit width").is_none());
    }
}
