//! IAM's patterns: `*` is any text, `?` any character, `${…}` a text that is known only with the request.

/// Whether the pattern, taken without variables, matches the whole text.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let symbols: Vec<char> = text.chars().collect();
    let tokens: Vec<char> = pattern.chars().collect();
    reaches(&tokens, &symbols, |expected, found| match expected {
        '*' => Take::Many,
        '?' => Take::One,
        _ if expected == found => Take::One,
        _ => Take::Nothing,
    })
}

/// Whether `wide` matches every text that `narrow` matches. `true` only when it is certain.
///
/// IAM lets a `*` reach over colons for certain only at the end of an ARN's part
/// (IAM user guide, "IAM JSON policy elements: Resource"). A `*` elsewhere is not counted on to take a colon.
#[must_use]
pub fn includes(wide: &str, narrow: &str) -> bool {
    if are_apart(wide, narrow) {
        return false;
    }
    let (wide, narrow) = (tokens(wide), tokens(narrow));
    reaches(&wide, &narrow, |expected, found| match (expected, found) {
        (Token::Any { last: true }, _) => Take::Many,
        (Token::Any { last: false }, Token::Char(':') | Token::Any { last: true } | Token::Variable(_)) => {
            Take::Nothing
        }
        (Token::Any { last: false }, _) => Take::Many,
        (Token::One, Token::Char(found)) if *found != ':' => Take::One,
        (expected, found) if expected == found && !matches!(expected, Token::Any { .. }) => Take::One,
        _ => Take::Nothing,
    })
}

/// Whether some text may be matched by both. `false` only when it is certain that there is none.
#[must_use]
pub fn may_meet(one: &str, other: &str) -> bool {
    if are_apart(one, other) {
        return false;
    }
    let (one, other) = (tokens(one), tokens(other));
    let is_open = |token: Option<&Token>| matches!(token, Some(Token::Any { .. } | Token::Variable(_)));
    // Which prefixes of `other` can be matched together with the prefix of `one` so far.
    let mut met: Vec<bool> = Vec::with_capacity(other.len() + 1);
    for end in 0..=other.len() {
        let before = end.checked_sub(1);
        let reached =
            before.is_none_or(|before| is_open(other.get(before)) && met.get(before).copied().unwrap_or(false));
        met.push(reached);
    }
    for token in &one {
        let mut next: Vec<bool> = Vec::with_capacity(met.len());
        for end in 0..=other.len() {
            let at =
                |row: &[bool], index: Option<usize>| index.and_then(|index| row.get(index).copied()).unwrap_or(false);
            let before = end.checked_sub(1);
            let found = before.and_then(|before| other.get(before));
            // One of the two takes nothing, or both take the same character.
            let reached = (is_open(Some(token)) && (at(&met, Some(end)) || at(&next, before)))
                || (is_open(found) && (at(&next, before) || at(&met, Some(end))))
                || (at(&met, before)
                    && match (token, found) {
                        (Token::Char(one), Some(Token::Char(other))) => one == other,
                        (_, None) => false,
                        _ => true,
                    });
            next.push(reached);
        }
        met = next;
    }
    met.last().copied().unwrap_or(false)
}

/// Whether the two begin with different texts. Most that are compared do, and this is told without tables.
fn are_apart(one: &str, other: &str) -> bool {
    let is_literal = |byte: u8| !matches!(byte, b'*' | b'?' | b'$');
    let pairs = one.bytes().zip(other.bytes());
    let mut literal = pairs.take_while(|(one, other)| is_literal(*one) && is_literal(*other));
    literal.any(|(one, other)| one != other)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    /// `last`: at the end of an ARN's part, where it reaches over colons.
    Any {
        last: bool,
    },
    Variable(String),
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let after = rest.get(first.len_utf8()..).unwrap_or_default();
        let variable = rest.strip_prefix("${").and_then(|inner| inner.split_once('}'));
        rest = match (first, variable) {
            (_, Some((name, after))) => {
                tokens.push(Token::Variable(name.to_owned()));
                after
            }
            ('*', _) => {
                let rest = after.trim_start_matches('*');
                tokens.push(Token::Any {
                    last: rest.is_empty() || rest.starts_with(':'),
                });
                rest
            }
            ('?', _) => {
                tokens.push(Token::One);
                after
            }
            (other, _) => {
                tokens.push(Token::Char(other));
                after
            }
        };
    }
    tokens
}

/// What a token of a pattern takes of what it meets.
#[derive(PartialEq, Eq)]
enum Take {
    /// Not this one.
    Nothing,
    /// This one.
    One,
    /// This one, and any number of others; or none.
    Many,
}

/// Whether the tokens together take all symbols.
fn reaches<T, S>(tokens: &[T], symbols: &[S], take: impl Fn(&T, &S) -> Take) -> bool
where
    T: Optional,
{
    // One row per token: which prefixes of the symbols are taken so far.
    let mut reached: Vec<bool> = (0..=symbols.len()).map(|length| length == 0).collect();
    for token in tokens {
        let mut next: Vec<bool> = Vec::with_capacity(reached.len());
        for length in 0..=symbols.len() {
            let before = length.checked_sub(1);
            let was = |row: &[bool]| before.and_then(|before| row.get(before).copied()).unwrap_or(false);
            let skipped = token.is_optional() && reached.get(length).copied().unwrap_or(false);
            let taken = match before
                .and_then(|before| symbols.get(before))
                .map(|symbol| take(token, symbol))
            {
                Some(Take::One) => was(&reached),
                Some(Take::Many) => was(&reached) || was(&next),
                Some(Take::Nothing) | None => false,
            };
            next.push(skipped || taken);
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

/// A token that may take nothing.
trait Optional {
    fn is_optional(&self) -> bool;
}

impl Optional for char {
    fn is_optional(&self) -> bool {
        *self == '*'
    }
}

impl Optional for Token {
    fn is_optional(&self) -> bool {
        matches!(self, Self::Any { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_as_iam_reads_them() {
        for (pattern, text, expected) in [
            ("s3:*", "s3:GetObject", true),
            ("S3:getobject", "s3:GetObject", false),
            ("s3:Get*", "s3:PutObject", false),
            ("*", "s3:PutObject", true),
            ("s3:?etObject", "s3:GetObject", true),
            ("s3:GetObject?", "s3:GetObject", false),
            ("s3:*Object*", "s3:GetObjectVersion", true),
            ("", "s3:GetObject", false),
            ("**", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn one_pattern_in_another() {
        for (wide, narrow, expected) in [
            ("*", "arn:aws:s3:::a/*", true),
            ("s3:*", "s3:Get*", true),
            ("s3:Get*", "s3:*", false),
            ("s3:Get*", "s3:Get*Object", true),
            ("s3:Get?", "s3:Get*", false),
            ("s3:G*t?", "s3:Get?", true),
            ("s3:?", "s3:a", true),
            ("arn:aws:s3:::a*", "arn:aws:s3:::a/${aws:username}/*", true),
            (
                "arn:aws:s3:::a/${aws:username}/*",
                "arn:aws:s3:::a/${aws:username}/x",
                true,
            ),
            (
                "arn:aws:s3:::a/${aws:username}/*",
                "arn:aws:s3:::a/${aws:userid}/x",
                false,
            ),
            ("arn:aws:s3:::a/?/*", "arn:aws:s3:::a/${aws:username}/x", false),
            ("arn:aws:s3:::a*/x", "arn:aws:s3:::a${aws:username}/x", false),
            // A star inside of a part does not certainly take a colon.
            ("arn:aws:logs:*:*:group*x", "arn:aws:logs:eu-west-1:1:group:x", false),
            ("arn:aws:logs:*:*:group*", "arn:aws:logs:eu-west-1:1:group:x", true),
            ("arn:*x", "arn:a*", false),
            ("arn:a*x", "arn:ab*x", true),
            ("a?c", "a:c", false),
        ] {
            assert_eq!(includes(wide, narrow), expected, "{narrow} in {wide}");
        }
    }

    #[test]
    fn patterns_that_have_nothing_in_common() {
        for (one, other, expected) in [
            ("s3:Get*", "s3:*Object", true),
            ("s3:Get*", "s3:Put*", false),
            ("*", "kms:Decrypt", true),
            ("kms:D?crypt", "kms:Decrypt", true),
            ("kms:Encrypt", "kms:Decrypt", false),
            ("kms:*t", "kms:ReEncryptFrom", false),
            ("a*b*c", "*x*", true),
            ("${aws:username}", "anything", true),
            ("a${aws:username}", "b*", false),
            ("", "*", true),
            ("", "?", false),
        ] {
            assert_eq!(may_meet(one, other), expected, "{one} and {other}");
            assert_eq!(may_meet(other, one), expected, "{other} and {one}");
        }
    }

    #[test]
    fn a_star_may_stand_for_nothing_and_wildcards_are_not_told_apart_by_their_signs() {
        assert!(includes("a*", "a") && includes("*a", "a") && !includes("a", "a*"));
        assert!(includes("*", "?") && includes("*", "?a") && !includes("?", "*"));
        assert!(may_meet("*a", "?a") && may_meet("${x}", "?") && !may_meet("ab", "ac*"));
    }

    #[test]
    fn a_text_that_ends_first_meets_nothing_more() {
        assert!(!may_meet("a?", "a") && !may_meet("?", "") && may_meet("a*", "a"));
        assert!(!may_meet("a${x}b", "ac") && may_meet("${x}", ""));
    }
}
