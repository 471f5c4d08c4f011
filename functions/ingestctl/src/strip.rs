//! The coverage as a strip of characters, as wide as the terminal.

use std::io::IsTerminal;

use comfy_table::Table;
use pipeline::{Bin, Coverage};

/// The width without a terminal.
const PLAIN: u16 = 64;

/// The largest readable width.
const WIDEST: u16 = 120;

/// The characters of a strip: blocks if the terminal can show them, else ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Signs {
    loaded: char,
    in_part: char,
    missing: char,
    failed: char,
    under_way: char,
}

const BLOCKS: Signs = Signs { loaded: '█', in_part: '▒', missing: '·', failed: '✕', under_way: '▶' };
const ASCII: Signs = Signs { loaded: '#', in_part: '+', missing: '.', failed: 'X', under_way: '>' };

/// The width of a strip on stdout, in characters.
pub(crate) fn width() -> u16 {
    let terminal = if std::io::stdout().is_terminal() { Table::new().width() } else { None };
    terminal.map_or(PLAIN, |columns| columns.saturating_sub(2).clamp(10, WIDEST))
}

/// A strip of one character per bin, its first and last ledger, and a legend.
pub(crate) fn draw(coverage: &Coverage) -> String {
    let signs = if std::io::stdout().is_terminal() && speaks_utf8() { BLOCKS } else { ASCII };
    lines(coverage, signs)
}

/// Whether the locale's encoding is UTF-8.
#[allow(clippy::disallowed_methods, reason = "the locale is the terminal's, and no setting of the loader")]
fn speaks_utf8() -> bool {
    let named = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| std::env::var(name).ok());
    let locale = named.into_iter().find(|value| !value.is_empty()).unwrap_or_default().to_ascii_lowercase();
    locale.ends_with("utf-8") || locale.ends_with("utf8")
}

fn lines(coverage: &Coverage, signs: Signs) -> String {
    let strip: String = coverage.bins.iter().map(|bin| signs.of(bin)).collect();
    let (start, end) = (coverage.window.start().to_string(), coverage.window.end().to_string());
    let between = coverage.bins.len().saturating_sub(start.len() + end.len()).max(1);
    let mut meanings = Vec::new();
    for (sign, meaning) in [
        (signs.loaded, "loaded"),
        (signs.in_part, "partly loaded"),
        (signs.missing, "missing"),
        (signs.failed, "failed"),
        (signs.under_way, "under way"),
    ] {
        if strip.contains(sign) {
            meanings.push(format!("{sign} {meaning}"));
        }
    }
    format!("{strip}\n{start}{:between$}{end}\n{}", "", meanings.join("   "))
}

impl Signs {
    /// The character of a bin: failures first, then work under way, then loaded ledgers.
    fn of(self, bin: &Bin) -> char {
        match (bin.failed, bin.under_way, bin.completed, bin.missing()) {
            (1.., _, _, _) => self.failed,
            (_, 1.., _, _) => self.under_way,
            (_, _, 0, _) => self.missing,
            (_, _, _, 0) => self.loaded,
            _ => self.in_part,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::LedgerWindow;

    fn coverage(bins: &[(u64, u64, u64)]) -> Coverage {
        let bins: Vec<Bin> = (0..)
            .zip(bins)
            .map(|(n, (completed, failed, under_way))| Bin {
                window: LedgerWindow::new(1000 + n * 10, 1009 + n * 10).unwrap(),
                completed: *completed,
                failed: *failed,
                under_way: *under_way,
            })
            .collect();
        Coverage { window: LedgerWindow::new(1000, bins.last().unwrap().window.end()).unwrap(), bins }
    }

    #[test]
    fn each_state_has_a_sign_and_only_those_that_occur_are_explained() {
        let mixed = coverage(&[(10, 0, 0), (3, 0, 0), (0, 0, 0), (9, 1, 0), (0, 0, 5)]);
        let drawn = lines(&mixed, BLOCKS);
        assert_eq!(drawn.lines().next(), Some("█▒·✕▶"));
        let whole = lines(&coverage(&[(10, 0, 0); 12]), ASCII);
        assert_eq!(whole, "############\n1000    1119\n# loaded");
    }
}
