//! What must hold of everything that is printed for people, whatever was captured.

use anstyle::Style;
use flow::FlowSide;

use super::escape::{self, Escaped, EscapedLines, Quoted};
use super::payload::{Text, hex};

/// Prints bytes in every way, cut in pieces in various ways.
///
/// # Panics
///
/// If a terminal would obey something in what was printed, if a line could be taken for a heading, or if text was lost.
pub(crate) fn judge(bytes: &[u8], cuts: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    one_line(&Escaped(&text).to_string());
    one_line(&Quoted(bytes).to_string());
    EscapedLines(&text).to_string().lines().for_each(one_line);

    for side in [FlowSide::Initiator, FlowSide::Responder] {
        let mut printed = Vec::new();
        let (mut writer, mut rest, mut offset) = (Text::default(), bytes, 0);
        for cut in cuts {
            let (piece, others) = rest.split_at(rest.len().min(usize::from(*cut)));
            let _ = writer.write(&mut printed, side, Style::new(), offset, piece);
            (rest, offset) = (others, offset + piece.len() as u64);
        }
        let _ = writer.write(&mut printed, side, Style::new(), offset, rest);
        let _ = writer.finish(&mut printed, side, Style::new());
        let mark = if side == FlowSide::Initiator { '>' } else { '<' };
        let printed = String::from_utf8(printed).expect("only UTF-8 is printed");
        lines(&printed, &[mark]);
        // What needs no escape is there as it was.
        if cuts.is_empty()
            && std::str::from_utf8(bytes).is_ok()
            && text.chars().all(|c| escape::is_shown(c) || c == '\n')
        {
            let shown: Vec<_> =
                printed.lines().map(|line| line[1..].trim_start_matches(' ')).collect();
            let sent: Vec<_> = text.lines().map(|line| line.trim_start_matches(' ')).collect();
            assert_eq!(shown, sent);
        }
    }
    let mut printed = Vec::new();
    let _ = hex(&mut printed, Style::new(), u64::MAX, bytes);
    lines(&String::from_utf8(printed).expect("only ASCII is printed"), &['\t']);
}

/// Lines of captured bytes: each begins with a mark, and is harmless.
fn lines(printed: &str, marks: &[char]) {
    assert!(printed.is_empty() || printed.ends_with('\n'), "{printed:?}");
    for line in printed.lines() {
        assert!(line.starts_with(marks), "{line:?} could be a heading");
        one_line(line);
    }
}

/// Nothing in it but characters that are shown, and tabs.
fn one_line(line: &str) {
    for c in line.chars() {
        let dangerous = c.is_control() && c != '\t'
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        assert!(!dangerous, "{c:?} in {line:?}");
    }
}
