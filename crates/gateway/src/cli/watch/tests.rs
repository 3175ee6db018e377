//! Keys and what they lead to, drawn on a terminal in memory.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

use super::model::{Effect, Model, Verdict};
use super::screen;

fn review(id: &str, may_decide: bool, statement: &str) -> Value {
    json!({
        "id": id, "state": "open", "target": "orders", "environment": "production", "action": "sql:write",
        "requester": {"kind": "agent", "name": "billing-bot", "owner": "ada"}, "on_behalf_of": "ada",
        "statement": statement, "suffices": [["dba:1"]], "seconds_left": 300, "votes": [],
        "action_digest": "sha256:aa", "card_digest": format!("sha256:{id}"),
        "url": format!("http://127.0.0.1/reviews/{id}"),
        "you": {"may_decide": may_decide, "label": "", "why": "You cannot decide this: none of your groups was asked."},
    })
}

struct Screen {
    model: Model,
    terminal: Terminal<TestBackend>,
}

impl Screen {
    fn new(reviews: Vec<Value>, size: (u16, u16)) -> Self {
        let terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        let mut screen = Self { model: Model::new(reviews), terminal };
        screen.draw();
        screen
    }

    fn draw(&mut self) -> String {
        let mut seen = None;
        self.terminal.draw(|frame| seen = screen::draw(frame, &self.model)).unwrap();
        if let Some((lines, height)) = seen {
            self.model.drawn(lines, height);
        }
        self.terminal.backend().to_string()
    }

    fn press(&mut self, keys: &[KeyCode]) -> (Option<Effect>, String) {
        let mut effect = None;
        for key in keys {
            effect = self.model.key(KeyEvent::new(*key, KeyModifiers::NONE));
            self.draw();
        }
        (effect, self.draw())
    }
}

fn typed(text: &str) -> Vec<KeyCode> {
    text.chars().map(KeyCode::Char).collect()
}

#[test]
fn what_awaits_one_comes_first_and_can_be_shown_alone() {
    let mut screen = Screen::new(vec![review("r1", false, "DELETE 1"), review("r2", true, "UPDATE 2")], (120, 12));
    let all = screen.draw();
    assert!(all.contains("2 open, 1 awaits you"), "{all}");
    assert!(all.find("UPDATE 2") < all.find("DELETE 1"), "{all}");
    let (_, mine) = screen.press(&[KeyCode::Char('m')]);
    assert!(mine.contains("UPDATE 2") && !mine.contains("DELETE 1"), "{mine}");
}

#[test]
fn a_vote_carries_the_digests_of_the_card_that_was_shown() {
    let mut screen = Screen::new(vec![review("r1", true, "UPDATE 1")], (100, 30));
    let (effect, asking) = screen.press(&[KeyCode::Enter, KeyCode::Char('a')]);
    assert!(effect.is_none() && asking.contains("Approve: why (may be empty)?"), "{asking}");
    screen.press(&typed("looks right"));
    let Some(Effect::Vote(vote)) = screen.press(&[KeyCode::Enter]).0 else { panic!("a vote is cast") };
    assert_eq!((vote.verdict, vote.reason.as_str()), (Verdict::Approve, "looks right"));
    assert_eq!(vote.review["card_digest"], "sha256:r1");
    let (again, said) = screen.press(&[KeyCode::Char('a')]);
    assert!(again.is_none() && said.contains("on its way"), "{said}");
}

#[test]
fn nothing_is_approved_that_was_not_seen_to_its_end() {
    let long = (0..60).map(|line| format!("-- line {line}\n")).collect::<String>() + "DROP TABLE customers";
    let mut screen = Screen::new(vec![review("r1", true, &long)], (80, 20));
    let (_, said) = screen.press(&[KeyCode::Enter, KeyCode::Char('a')]);
    assert!(said.contains("read it to its end first") && !said.contains("DROP TABLE"), "{said}");
    let (_, end) = screen.press(&[KeyCode::Char(' '); 8]);
    assert!(end.contains("the end is in sight"), "{end}");
    let (_, asking) = screen.press(&[KeyCode::Char('a')]);
    assert!(asking.contains("Approve:"), "{asking}");
}

#[test]
fn another_card_under_the_same_review_has_to_be_read_anew() {
    let mut screen = Screen::new(vec![review("r1", true, "UPDATE 1")], (100, 30));
    screen.press(&[KeyCode::Enter, KeyCode::Char('a')]);
    let mut other = review("r1", true, "UPDATE 2");
    other["card_digest"] = json!("sha256:other");
    screen.model.refresh(vec![other]);
    assert!(screen.press(&[KeyCode::Enter]).0.is_none(), "the vote that was being written is gone");
    assert!(screen.draw().contains("UPDATE 2"));
}

#[test]
fn who_may_not_decide_is_told_why_and_a_rejection_needs_a_reason() {
    let mut screen = Screen::new(vec![review("r1", false, "UPDATE 1")], (120, 30));
    let (_, said) = screen.press(&[KeyCode::Enter, KeyCode::Char('r')]);
    assert!(said.contains("none of your groups was asked"), "{said}");
    let mut screen = Screen::new(vec![review("r1", true, "UPDATE 1")], (120, 30));
    let (effect, said) = screen.press(&[KeyCode::Enter, KeyCode::Char('r'), KeyCode::Enter]);
    assert!(effect.is_none() && said.contains("write why"), "{said}");
}

#[test]
fn a_review_that_is_closed_elsewhere_is_looked_at_again() {
    let mut screen = Screen::new(vec![review("r1", true, "UPDATE 1")], (100, 30));
    screen.press(&[KeyCode::Enter]);
    let (fresh, effect) = screen.model.refresh(vec![review("r2", true, "UPDATE 2")]);
    assert_eq!(fresh, ["billing-bot for ada awaits your review on orders"]);
    assert!(matches!(effect, Some(Effect::Look(id)) if id == "r1"));
    let mut closed = review("r1", true, "UPDATE 1");
    closed["state"] = json!("rejected");
    screen.model.answered(Ok(closed));
    let (effect, said) = screen.press(&[KeyCode::Char('a')]);
    assert!(effect.is_none() && said.contains("it is rejected already"), "{said}");
}

#[test]
fn what_agents_say_cannot_steer_the_terminal() {
    let mut screen = Screen::new(vec![review("r1", true, "SELECT '\u{1b}[2J\u{202e}'")], (180, 30));
    assert!(screen.draw().contains("<U+001B>[2J<U+202E>"));
    let (_, card) = screen.press(&[KeyCode::Enter]);
    assert!(card.contains("<U+001B>[2J<U+202E>"), "{card}");
}

#[test]
fn a_small_terminal_shows_what_it_can() {
    for size in [(1, 1), (20, 4), (40, 8)] {
        let mut screen = Screen::new(vec![review("r1", true, "UPDATE 1")], size);
        screen.press(&[KeyCode::Enter, KeyCode::Char('a'), KeyCode::Esc, KeyCode::Char('?')]);
    }
}
