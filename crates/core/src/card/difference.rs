//! The lines that two texts have in common, and those they do not, in the manner of `diff`.

/// The most pairs of lines that are compared: two policies of 2,000 lines each.
const PAIRS_MAX: usize = 4_000_000;

/// The lines of both texts in order, each after `  ` (in both), `- ` (in the old one alone) or `+ ` (in the new one alone).
pub fn lines(old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(one, other)| one == other).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(one, other)| one == other).count();
    let (old_middle, new_middle) = (&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail]);
    let both = |line: &&str| format!("  {line}");
    let mut all: Vec<String> = old[..head].iter().map(both).collect();
    all.extend(middle(old_middle, new_middle));
    all.extend(old_rest[old_rest.len() - tail..].iter().map(both));
    all
}

/// By the longest common subsequence; texts too long for it are told as a whole.
fn middle(old: &[&str], new: &[&str]) -> Vec<String> {
    let (gone, come) = (|line: &&str| format!("- {line}"), |line: &&str| format!("+ {line}"));
    if old.len().saturating_mul(new.len()) > PAIRS_MAX {
        return old.iter().map(gone).chain(new.iter().map(come)).collect();
    }
    let common = common(old, new);
    let (mut at, mut to, mut all) = (0, 0, Vec::new());
    while at < old.len() || to < new.len() {
        match (old.get(at), new.get(to)) {
            (Some(one), Some(other)) if one == other => {
                all.push(format!("  {one}"));
                (at, to) = (at + 1, to + 1);
            }
            (Some(line), other) if other.is_none() || common[at + 1][to] >= common[at][to + 1] => {
                all.push(gone(line));
                at += 1;
            }
            (_, Some(line)) => {
                all.push(come(line));
                to += 1;
            }
            (_, None) => break, // never: one of the two is left
        }
    }
    all
}

/// How many lines the rests have in common, from each pair of places on.
fn common(old: &[&str], new: &[&str]) -> Vec<Vec<u32>> {
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for at in (0..old.len()).rev() {
        for to in (0..new.len()).rev() {
            common[at][to] = match old[at] == new[to] {
                true => common[at + 1][to + 1] + 1,
                false => common[at + 1][to].max(common[at][to + 1]),
            };
        }
    }
    common
}

/// How many lines that both texts have are kept on either side of one that only one has.
const CONTEXT: usize = 3;
/// The most lines of a difference that are shown.
const LINES_MAX: usize = 400;

/// The same, without what is far from any difference: how many lines are left out stands in their place. Nothing where the
/// texts do not differ.
pub fn hunks(old: &str, new: &str) -> Vec<String> {
    let all = lines(old, new);
    let differs = |line: &String| !line.starts_with("  ");
    let near = |at: usize| {
        let from = at.saturating_sub(CONTEXT);
        all.iter().take(at + CONTEXT + 1).skip(from).any(differs)
    };
    let (mut shown, mut left_out) = (Vec::new(), 0_usize);
    for (at, line) in all.iter().enumerate() {
        if near(at) && shown.len() < LINES_MAX {
            shown.extend(gap(std::mem::take(&mut left_out)));
            shown.push(line.clone());
        } else {
            left_out += 1;
        }
    }
    if !shown.is_empty() {
        shown.extend(gap(left_out));
    }
    shown
}

/// Says how many lines are missing.
fn gap(lines: usize) -> Option<String> {
    match lines {
        0 => None,
        1 => Some("== 1 line more".to_owned()),
        more => Some(format!("== {more} lines more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &str, new: &str, expected: &[&str]) {
        assert_eq!(lines(old, new), expected, "{old:?} → {new:?}");
    }

    #[test]
    fn differing_lines_are_told_apart() {
        check("", "", &[]);
        check("a", "a", &["  a"]);
        check("", "a\nb", &["+ a", "+ b"]);
        check("a\nb", "", &["- a", "- b"]);
        check("a\nb\nc", "a\nx\nc", &["  a", "- b", "+ x", "  c"]);
        check("a\nb\nc\nd", "b\nd\ne", &["- a", "  b", "- c", "  d", "+ e"]);
        check("a\na", "a", &["  a", "- a"]);
    }

    #[test]
    fn what_is_far_from_a_difference_is_counted() {
        assert!(hunks("a\nb", "a\nb").is_empty());
        let old: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let new = old.join("\n").replace("10", "ten");
        let shown = hunks(&old.join("\n"), &new);
        let expected =
            ["== 7 lines more", "  7", "  8", "  9", "- 10", "+ ten", "  11", "  12", "  13", "== 6 lines more"];
        assert_eq!(shown, expected);
        let long = "x\n".repeat(LINES_MAX + 100);
        assert_eq!(hunks("", &long).last().map(String::as_str), Some("== 100 lines more"));
    }

    /// Whatever is compared, each side can be had back from what is told.
    #[test]
    fn both_sides_can_be_read_off() {
        let texts = ["", "a", "b\na", "a\nb\nc\na\nb\nb\na", "c\nb\na\nb\na\nc", "x\ny\na\nb\nz"];
        for old in texts {
            for new in texts {
                let told = lines(old, new);
                let side = |mark: char| {
                    let of = told.iter().filter(|line| line.starts_with(mark) || line.starts_with(' '));
                    of.map(|line| &line[2..]).collect::<Vec<_>>().join("\n")
                };
                assert_eq!((side('-').as_str(), side('+').as_str()), (old, new));
            }
        }
    }

    #[test]
    fn very_long_texts_are_told_as_a_whole() {
        let long = |word: &str| (0..2_001).map(|n| format!("{word}{n}")).collect::<Vec<_>>().join("\n");
        assert_eq!(lines(&long("a"), &long("b")).len(), 4_002);
    }
}
