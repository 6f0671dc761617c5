//! Texts from outside, before anybody sees them.

/// The text in one line, with a space in the place of whatever a terminal, a mail or a log would not show as a character: control
/// characters and escapes, the ends of lines, marks that turn the direction of writing, what has no width.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { ' ' } else { c }).collect()
}

/// Whether a character is not seen, and changes what is: what Unicode lets a program leave out (`Default_Ignorable_Code_Point`,
/// <https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt>), and what ends a line.
pub(crate) fn is_hidden(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let is_mark = matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    );
    c.is_control() || is_mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_becomes_a_space() {
        assert_eq!(one_line("a\nb\r\u{1b}[31mc\u{85}\u{7f}d"), "a b  [31mc  d");
        assert_eq!(one_line("x\u{202e}y\u{200b}z\u{2029}\u{feff}\u{61c}"), "x y z   ");
        assert_eq!(one_line("a\u{ad}b\u{3164}c\u{e0041}d\u{fe0f}"), "a b c d ");
        assert_eq!(one_line("größe ＡＢ 💥 а"), "größe ＡＢ 💥 а");
    }
}
