//! Conditions that must hold of everything that is printed for people, whatever was captured.

use anstyle::Style;
use flow::FlowSide;

use super::escape::{self, Escaped, EscapedLines, Quoted};
use super::payload::{Look, Text, hex};
use super::wrap::{self, Width};

/// Prints bytes in every way, cut in pieces in various ways.
///
/// # Panics
///
/// If a terminal would obey something in what was printed, if a line could be taken for a heading,
/// or if text was lost.
pub(crate) fn judge(bytes: &[u8], cuts: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    one_line(&Escaped(&text).to_string());
    one_line(&Quoted(bytes).to_string());
    EscapedLines(&text).to_string().lines().for_each(one_line);

    let widths = [Width::ANY, Width::of_terminal(Some(30)), Width::of_terminal(None)];
    for (width, side) in widths
        .into_iter()
        .flat_map(|width| [FlowSide::Initiator, FlowSide::Responder].map(|side| (width, side)))
    {
        let look = Look { side, style: Style::new(), width };
        let mut printed = Vec::new();
        let (mut writer, mut rest, mut offset) = (Text::default(), bytes, 0);
        for cut in cuts {
            let (piece, others) = rest.split_at(rest.len().min(usize::from(*cut)));
            let _ = writer.write(&mut printed, look, offset, piece);
            (rest, offset) = (others, offset + piece.len() as u64);
        }
        let _ = writer.write(&mut printed, look, offset, rest);
        let _ = writer.finish(&mut printed, look);
        let mark = if side == FlowSide::Initiator { '>' } else { '<' };
        let printed = String::from_utf8(printed).expect("only UTF-8 is printed");
        lines(&printed, &[mark], width);
        // What needs no escape is there as it was.
        if cuts.is_empty()
            && width == Width::ANY
            && std::str::from_utf8(bytes).is_ok()
            && text.chars().all(|c| escape::is_shown(c) || c == '\n')
        {
            let shown: Vec<_> =
                printed.lines().map(|line| line[1..].trim_start_matches(' ')).collect();
            let sent: Vec<_> = text.lines().map(|line| line.trim_start_matches(' ')).collect();
            assert_eq!(shown, sent);
        }
        let mut printed = Vec::new();
        let _ = hex(&mut printed, look, u64::MAX, bytes);
        let printed = String::from_utf8(printed).expect("only ASCII is printed");
        // The widest offset and two bytes need more than a terminal of 30 columns has.
        lines(&printed, &['\t'], if width == widths[1] { Width::ANY } else { width });
        let mut notice = Vec::new();
        let quoted = format!("[1] x {}", Quoted(bytes));
        let _ = wrap::line(&mut notice, width, ["", "    "], &quoted);
        notice.push(b'\n');
        lines(&String::from_utf8(notice).expect("only UTF-8 is printed"), &['[', ' '], width);
    }
}

/// Lines of captured bytes: each begins with a mark, is harmless, and fits the terminal.
fn lines(printed: &str, marks: &[char], width: Width) {
    assert!(printed.is_empty() || printed.ends_with('\n'), "{printed:?}");
    for line in printed.lines() {
        assert!(line.starts_with(marks), "{line:?} could be a heading");
        one_line(line);
        let fits = |columns| wrap::most_columns(line) <= columns;
        assert!(width.columns().is_none_or(fits), "{line:?} is too long");
    }
}

/// Nothing in it but characters that are shown, and tabs.
pub(crate) fn one_line(line: &str) {
    for c in line.chars() {
        let dangerous = c.is_control() && c != '\t'
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        assert!(!dangerous, "{c:?} in {line:?}");
    }
}
